"""When an assignment is due, as nbgrader's gradebook says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
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
    with _assignment(course, assignment) as found:
        return from_gradebook(found.duedate) if found and found.duedate else None


def extended_due_dates(course: Path, assignment: str) -> dict[str, datetime]:
    """Student -> due date, of those who have an extension in the gradebook.

    Raises:
        CourseError: the settings or the gradebook cannot be read.
    """
    with _assignment(course, assignment) as found:
        if not found or not found.duedate:
            return {}
        return {
            one.student_id: from_gradebook(one.duedate)
            for one in found.submissions
            if one.extension
        }


@contextmanager
def _assignment(course: Path, assignment: str) -> Iterator[Any]:
    """An assignment in the gradebook; None where it is not released yet."""
    if not (course / NAME).is_file():
        yield None
        return
    import sqlalchemy
    from nbgrader.api import Gradebook, MissingEntry
    from nbgrader.coursedir import CourseDirectory

    config = settings_of(course)
    config.CourseDirectory.root = str(Path(course).resolve())
    directory = CourseDirectory(config=config)
    url = directory.db_url
    # Opening a gradebook that does not exist would create it.
    if url.startswith(SQLITE) and not Path(url.removeprefix(SQLITE)).is_file():
        yield None
        return
    try:
        with Gradebook(url, directory.course_id) as gradebook:
            try:
                found = gradebook.find_assignment(assignment)
            except MissingEntry:
                found = None
            yield found
    except (sqlalchemy.exc.SQLAlchemyError, OSError) as error:
        raise CourseError(f"the gradebook {url} cannot be read ({in_short(error)}).") from None


def due_sentence(assignment: str, due: datetime | None, zone: ZoneInfo) -> str:
    """When an assignment is due, in the time zone of the course.

    due: as `from_gradebook` reads it.
    """
    if due is None:
        return f"{assignment} has no due date; times without a zone are in {zone.key}."
    return f"{assignment} is due {shown(due, zone)}."
