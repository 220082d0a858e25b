"""Where a class on JupyterHub lies, and who is in it: hub.yaml in the hub's folder."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from distillery.core.errors import CourseError
from distillery.core.files import atomic_write, decoded
from distillery.core.yaml_text import values_of
from grading.core.manifest import TOP

NAME = "hub.yaml"
ACCOUNT = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}")  # nbgrader parts names with +
TEXT = """\
# Who uses this hub, and where the class is. Start the hub again after a change.
# Names are those of accounts, in small letters.
course: {course}
instructor: {instructor}
students:
{students}
# The Python of students' servers: with JupyterHub, nbgrader and the course's libraries.
student_python: {student_python}
"""


@dataclass(frozen=True)
class Hub:
    """A class on a hub.

    folder: the hub's; all that follows lies in it but the course folder.
    student_python: of the environment that students' servers run in.
    """

    folder: Path
    course: Path
    instructor: str
    students: tuple[str, ...]
    student_python: Path

    @property
    def shared(self) -> Path:
        """The course as students get it, for all of them to read."""
        return self.folder / "students" / TOP

    @property
    def student_settings(self) -> Path:
        """Jupyter's and nbgrader's settings of students' servers."""
        return self.folder / "students" / "jupyter"

    @property
    def exchange(self) -> Path:
        return self.folder / "exchange"

    @property
    def state(self) -> Path:
        """What JupyterHub keeps, for nobody else to read."""
        return self.folder / "state"

    @property
    def homes(self) -> Path:
        """Where students' files are when the hub is only tried, without accounts."""
        return self.folder / "homes"

    def save(self) -> None:
        """Write hub.yaml."""
        lines = "\n".join(f"- {yaml.safe_dump(name).splitlines()[0]}" for name in self.students)
        text = TEXT.format(
            course=_written(self.course),
            instructor=_written(self.instructor),
            students=lines or "[]",
            student_python=_written(self.student_python),
        )
        atomic_write(self.folder / NAME, text)


def _written(value: Path | str) -> str:
    return yaml.safe_dump(str(value), width=10_000).splitlines()[0]


def load_hub(folder: Path) -> Hub:
    """The class of a hub's folder.

    Raises:
        CourseError: there is no hub.yaml, or it says something that cannot be.
    """
    path = Path(folder).resolve() / NAME
    if not path.is_file():
        raise CourseError(
            f"there is no {path}: run python -m grading hub FOLDER, and start the hub in FOLDER."
        )
    try:
        stored = values_of(decoded(path.read_bytes()))
    except yaml.YAMLError as error:
        raise CourseError(f"{path} is not YAML: {error}; correct it.") from error
    if not isinstance(stored, Mapping):
        raise CourseError(f"{path} must have lines such as instructor: iris.")
    return hub_of(path.parent, stored)


def hub_of(folder: Path, stored: Mapping[str, Any]) -> Hub:
    """The class that these entries describe.

    Raises:
        CourseError: one is missing, or cannot be.
    """
    missing = [name for name in ("course", "instructor", "students") if not stored.get(name)]
    if missing:
        raise CourseError(f"{folder / NAME} says no {missing[0]}; add a line for it.")
    students = stored["students"]
    if isinstance(students, str) or not isinstance(students, Sequence):
        raise CourseError(f"students in {folder / NAME} must be a list, such as [ada, bea].")
    names = tuple(map(str, (stored["instructor"], *students)))
    wrong = [name for name in names if not ACCOUNT.fullmatch(name)]
    if wrong:
        raise CourseError(
            f"an account has 1 to 32 small letters, digits and ._- in its name; {wrong[0]!r} in "
            f"{folder / NAME} has not."
        )
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise CourseError(f"{twice} is named twice in {folder / NAME}; each account is one person.")
    return Hub(
        folder=folder,
        course=Path(folder, stored["course"]),
        instructor=names[0],
        students=names[1:],
        student_python=Path(folder, stored.get("student_python") or sys.executable),
    )
