"""What Gradescope says of a submission, and a result that is no mark. Imports nothing large."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from grading.autograder.host import ASK


def not_graded(why: str) -> dict[str, Any]:
    """A result that says why there is none.

    Gradescope takes no result without a score, so it is 0, and the sentence says that it is none.
    """
    said = f"NOT GRADED, and this 0 is no mark: {why} {ASK}"
    return {"score": 0, "output": said, "output_format": "text", "visibility": "visible"}


def late_by(metadata: Mapping[str, Any]) -> tuple[float, str | None]:
    """Seconds after the due date, and the due date as it stands there; 0 and None without one.

    Of a group the latest due date counts: a student's extension is the group's.
    """
    dues = [_at(one.get("assignment"), "due_date") for one in users_of(metadata)]
    dues = [one for one in dues if one] or [_at(metadata.get("assignment"), "due_date")]
    came = _time(metadata.get("created_at"))
    times = {time: text for text in dues if text and (time := _time(text)) is not None}
    if came is None or not times:
        return 0.0, None
    due = max(times)
    return max(0.0, (came - due).total_seconds()), times[due]


def users_of(metadata: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The student, or the group."""
    users = metadata.get("users")
    return [one for one in users if isinstance(one, dict)] if isinstance(users, list) else []


def _at(folder: object, name: str) -> str | None:
    value = folder.get(name) if isinstance(folder, dict) else None
    return value if isinstance(value, str) else None


def _time(text: object) -> datetime | None:
    """A time with its zone, as Gradescope writes it; None for anything else."""
    try:
        time = datetime.fromisoformat(str(text).replace("Z", "+00:00"))
    except ValueError:
        return None
    return time if time.tzinfo is not None else None


def read_metadata(autograder: Path) -> dict[str, Any]:
    """submission_metadata.json; empty where it is missing or broken."""
    try:
        found = json.loads((autograder / "submission_metadata.json").read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
