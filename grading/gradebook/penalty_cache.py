"""Remember for which state of the gradebook the late penalties were computed, and what was said.

In a run that finds nothing new, loading nbgrader takes longer than everything else. If nobody has
written to the gradebook's file since, it has no new extension, due date or points.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from distillery.core.files import atomic_write
from grading.core.due_dates import SQLITE
from grading.core.manifest import digest_of
from grading.core.nbgrader_config import NAME as SETTINGS
from grading.core.rules import zone_of

NAME = "penalties.json"


def remembered(assignment: str, course: Path) -> list[str] | None:
    """The lines that were said, where gradebook, settings and time zone are as `remember` noted.

    None where something has changed, and for a gradebook on a server.
    """
    try:
        stored = json.loads(_note(assignment, course).read_text("utf-8"))
        said = [str(line) for line in stored.pop("said")]
        return said if stored == _state(Path(stored["gradebook"]), course) else None
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def remember(assignment: str, course: Path, url: str, said: Sequence[str]) -> None:
    """Note that the penalties in the gradebook at this address are right as it is now.

    Args:
        said: the lines on who is late.

    Raises:
        CourseError: the note cannot be written.
    """
    file = Path(url.removeprefix(SQLITE))
    state = _state(file, course) if url.startswith(SQLITE) and file.is_file() else {}
    atomic_write(_note(assignment, course), json.dumps({**state, "said": list(said)}) + "\n")


def _state(gradebook: Path, course: Path) -> dict[str, object]:
    about = gradebook.stat()
    return {
        "gradebook": str(gradebook),
        "changed": about.st_mtime_ns,
        "size": about.st_size,
        "settings": digest_of(course / SETTINGS),
        "time_zone": zone_of(course).key,
    }


def _note(assignment: str, course: Path) -> Path:
    return course / "records" / assignment / NAME
