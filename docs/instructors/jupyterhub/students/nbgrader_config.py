"""nbgrader's settings of students' servers: the assignment list, and where its files go."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from own_course import own_folder

c = get_config()  # noqa: F821
c.CourseDirectory.course_id = os.environ["COURSE_ID"]
c.CourseDirectory.student_id = os.environ["JUPYTERHUB_USER"]
c.Exchange.root = os.environ["COURSE_EXCHANGE"]
c.Exchange.assignment_dir = str(own_folder() / "notebooks")
c.ExchangeFactory.fetch_assignment = "own_course.FetchStage"
c.ExchangeFactory.submit = "own_course.SubmitStage"
