"""When an assignment is due, as nbgrader's gradebook says."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from distillery.core.errors import CourseError, in_short
from grading.core.nbgrader_config import NAME, settings_of
from grading.core.times import from_gradebook, shown

SQLITE = "sqlite:///"


def due_date(course: Path, assignment: str) -> datetime | None:
    """The due date without extensions; None where none is set, or nothing is released yet.

    Raises:
        CourseError: the settings or the gradebook cannot be read.
    """
    if not (course / NAME).is_file():
        return None
    import sqlalchemy
    from nbgrader.api import Gradebook, MissingEntry
    from nbgrader.coursedir import CourseDirectory

    config = settings_of(course)
    config.CourseDirectory.root = str(Path(course).resolve())
    directory = CourseDirectory(config=config)
    url = directory.db_url
    # Opening a gradebook that does not exist would create it.
    if url.startswith(SQLITE) and not Path(url.removeprefix(SQLITE)).is_file():
        return None
    try:
        with Gradebook(url, directory.course_id) as gradebook:
            due = gradebook.find_assignment(assignment).duedate
    except MissingEntry:
        return None
    except (sqlalchemy.exc.SQLAlchemyError, OSError) as error:
        raise CourseError(f"the gradebook {url} cannot be read ({in_short(error)}).") from None
    return from_gradebook(due) if due else None


def due_sentence(assignment: str, due: datetime | None, zone: ZoneInfo) -> str:
    """When an assignment is due, in the time zone of the course.

    due: as `from_gradebook` reads it.
    """
    if due is None:
        return f"{assignment} has no due date; times without a zone are in {zone.key}."
    return f"{assignment} is due {shown(due, zone)}."
