"""Due dates in nbgrader's own commands and pages, in the time zone of the course.

nbgrader reads a due date without a zone as UTC, and an offset behind a space as seconds. Its
formgrader offers today's offset for a due date in another season, which is then an hour wrong. It
has no setting for any of this, so four of its functions are replaced in the process that uses them.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from nbgrader import utils
from nbgrader.api import Gradebook
from nbgrader.apps.baseapp import NbGrader
from traitlets.config import Application
from traitlets.log import get_logger

from distillery.core.errors import CourseError
from grading.core.due_dates import due_sentence
from grading.core.rules import NAME, zone_of
from grading.core.times import from_gradebook, read_time

ADD, UPDATE = Gradebook.add_assignment, Gradebook.update_or_create_assignment
_course = Path()


def follow_zone_of(course: Path) -> None:
    """From now on, let nbgrader read and show times in the zone of this course folder.

    The zone is looked up when it is needed, so nothing is read here.
    """
    global _course
    _course = course.resolve()
    Gradebook.add_assignment = _add
    Gradebook.update_or_create_assignment = _update
    for name, ours in (("as_timezone", _as_timezone), ("to_numeric_tz", _no_offset)):
        theirs = getattr(utils, name)
        # Some of nbgrader's modules have a name of their own for the function.
        for module in [one for key, one in sys.modules.items() if key.startswith("nbgrader")]:
            if getattr(module, name, None) is theirs:
                setattr(module, name, ours)


@functools.wraps(ADD)
def _add(gradebook: Gradebook, name: str, **facts: Any) -> Any:
    return ADD(gradebook, name, **_with_due_date(facts, say=lambda line: None))


@functools.wraps(UPDATE)
def _update(gradebook: Gradebook, name: str, **facts: Any) -> Any:
    log = get_logger()
    assignment = UPDATE(gradebook, name, **_with_due_date(facts, say=log.warning))
    if "duedate" in facts:
        log.info(due_sentence(name, assignment.duedate, _zone()))
    return assignment


def _with_due_date(facts: dict[str, Any], say: Callable[[str], object]) -> dict[str, Any]:
    """The facts of an assignment with its due date in UTC, where it is text.

    Raises:
        CourseError: the due date is none. A command of nbgrader ends with this sentence instead.
    """
    due = facts.get("duedate")
    if not isinstance(due, str):
        return facts
    try:
        return facts | {"duedate": read_time(due, _zone(), due=True, say=say)}
    except CourseError as error:
        app = Application.instance() if Application.initialized() else None
        if isinstance(app, NbGrader):
            app.fail("%s", error)
        raise


def _as_timezone(time: datetime, name: str) -> datetime:
    """In place of `nbgrader.utils.as_timezone`, which is wrong while the clocks change."""
    return from_gradebook(time).astimezone(_zone())


def _no_offset(name: str) -> str:
    """In place of `nbgrader.utils.to_numeric_tz`: the field for an offset in formgrader is empty.

    A due date that is typed there is then of the course's zone, unless an offset is typed too.
    """
    return ""


def _zone() -> ZoneInfo:
    path = _course / NAME
    return _zone_at(_course, path.stat().st_mtime_ns if path.exists() else 0)


@functools.lru_cache(maxsize=1)
def _zone_at(course: Path, changed: int) -> ZoneInfo:
    """Formgrader asks for every submission; the file is read again only where it has changed."""
    return zone_of(course)
