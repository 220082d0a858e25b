"""Remember for which state of the gradebook the late penalties were computed.

In a run that finds nothing new, loading nbgrader takes longer than everything else. If nobody has
written to the gradebook's file since, it has no new extension, due date or points.
"""

from __future__ import annotations

import json
from pathlib import Path

from distillery.core.files import atomic_write
from grading.core.manifest import digest_of
from grading.core.nbgrader_config import NAME as SETTINGS

NAME = "penalties.json"
SQLITE = "sqlite:///"


def are_current(assignment: str, course: Path) -> bool:
    """Whether gradebook and settings are as `remember` noted; False for a gradebook on a server."""
    try:
        stored = json.loads(_note(assignment, course).read_text("utf-8"))
        return bool(stored) and stored == _state(Path(stored["gradebook"]), course)
    except (OSError, ValueError, TypeError, KeyError):
        return False


def remember(assignment: str, course: Path, url: str) -> None:
    """Note that the penalties in the gradebook at this address are right as it is now.

    Raises:
        CourseError: the note cannot be written.
    """
    file = Path(url.removeprefix(SQLITE))
    state = _state(file, course) if url.startswith(SQLITE) and file.is_file() else {}
    atomic_write(_note(assignment, course), json.dumps(state) + "\n")


def _state(gradebook: Path, course: Path) -> dict[str, object]:
    about = gradebook.stat()
    return {
        "gradebook": str(gradebook),
        "changed": about.st_mtime_ns,
        "size": about.st_size,
        "settings": digest_of(course / SETTINGS),
    }


def _note(assignment: str, course: Path) -> Path:
    return course / "records" / assignment / NAME
