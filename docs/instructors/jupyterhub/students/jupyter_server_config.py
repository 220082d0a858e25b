"""A student's server: in a course folder of the student's own, which is made here."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from own_course import lay_out, own_folder

c = get_config()  # noqa: F821
lay_out(Path(os.environ["COURSE_SHARED"]), own_folder())
c.ServerApp.root_dir = str(own_folder())
c.LabApp.news_url = None
c.LabApp.check_for_updates_class = "jupyterlab.NeverCheckForUpdate"
