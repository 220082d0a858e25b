"""Who is who: a class list maps a platform's ids, names and addresses to the course's ids."""

from __future__ import annotations

import csv
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from distillery.core.errors import CourseError
from grading.intake.archives import quoted
from grading.intake.find_flags import safe_student
from grading.intake.take_in import STUDENT


@dataclass(frozen=True)
class Roster:
    """A class list. Without rows, the first key of a student is taken as the id.

    ids: what students are called, folded -> their ids.
    """

    ids: dict[str, set[str]] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> Roster:
        """Read a CSV with the column student_id.

        Raises:
            CourseError: it cannot be read, or an id is missing, unsafe or there twice.
        """
        ids: dict[str, set[str]] = {}
        seen: set[str] = set()
        for line, row in enumerate(_rows(path), start=2):
            student = (row.get("student_id") or "").strip()
            if not STUDENT.fullmatch(student) or student in seen:
                raise CourseError(
                    f"{path}, line {line}: each row needs its own student_id, of letters, digits "
                    f"and ._@-; {student!r} is not one."
                )
            seen.add(student)
            for key in _keys_of(row):
                ids.setdefault(key, set()).add(student)
        if not seen:
            raise CourseError(f"the roster {path} has no students; it needs a column student_id.")
        return cls(ids)

    def find(self, keys: Sequence[str]) -> tuple[str, str]:
        """The id of the student with these names, or "" and why it is not known."""
        name = quoted(keys[-1] if keys else "")
        if not self.ids:
            student = safe_student(keys[0]) if keys else ""
            return student, "" if student else f"{name} gives no id"
        found = set().union(*(self.ids.get(fold(key), set()) for key in keys))
        if len(found) == 1:
            return found.pop(), ""
        if found:
            return "", f"{name} could be {' or '.join(sorted(found))}"
        return "", f"{name} is not in the roster"


def fold(name: str) -> str:
    """A name without case, accents, spaces and signs, as platforms write it into file names."""
    letters = unicodedata.normalize("NFKD", name).casefold()
    return "".join(char for char in letters if char.isalnum())


def _rows(path: Path) -> list[dict[str, Any]]:
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            rows, columns = list(reader), list(reader.fieldnames or ())
    except FileNotFoundError:
        raise CourseError(f"there is no roster {path}.") from None
    except (OSError, ValueError, csv.Error) as error:
        raise CourseError(f"the roster {path} cannot be read as a CSV in UTF-8.") from error
    if columns and "student_id" not in columns:
        raise CourseError(
            f"{path} has no column student_id; its first line, split at commas, names "
            f"{', '.join(map(quoted, columns[:9]))}."
        )
    return rows


def _keys_of(row: dict[str, Any]) -> set[str]:
    """Everything that a platform may call the student of this row, folded."""
    values = {name: value for name, value in row.items() if isinstance(value, str) and name}
    first = next((values[n] for n in ("first_name", "First Name", "firstname") if n in values), "")
    last = next((values[n] for n in ("last_name", "Last Name", "lastname") if n in values), "")
    whole = [first + last, last + first] if first and last else []
    single = [value for value in values.values() if value not in (first, last)]
    return {fold(value) for value in [*single, *whole]} - {""}
