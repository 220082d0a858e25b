"""The rules of a course: points, what costs points, and the limits on student code."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

from distillery.core.errors import CourseError
from distillery.core.files import atomic_write, read_text
from distillery.core.settings import (
    LARGEST_SEED,
    Choice,
    Declared,
    Real,
    Truth,
    ValueType,
    Whole,
    declared,
    setting,
)
from grading.core.times import UTC, machine_zone, zone_named
from grading.stages import STAGES

NAME = "rules.yaml"
EMPTY = r"^{}:[ \t]*(null|~)?[ \t]*(#.*)?$"  # the line of a setting without a value


@dataclass(frozen=True)
class Seed(ValueType):
    """A seed, or None while none is drawn."""

    def check(self, name: str, value: Any, among: object = None) -> int | None:
        return None if value is None else Whole(0, LARGEST_SEED).check(name, value)


@dataclass(frozen=True)
class TimeZone(ValueType):
    """The IANA name of a time zone, or None while none is chosen."""

    def check(self, name: str, value: Any, among: object = None) -> str | None:
        if value is None:
            return None
        try:
            return zone_named(str(value)).key
        except CourseError as error:
            raise CourseError(f"{name}: {error}") from None


@dataclass(frozen=True)
class Points(ValueType):
    """A mapping of tasks to points from 0 to 1000."""

    def check(self, name: str, value: Any, among: object = None) -> dict[str, float]:
        if not isinstance(value, dict):
            raise CourseError(
                f"{name} must map tasks to points, e.g. {{sds.sds_grad: 6}}; it is {value!r}."
            )
        Tasks().check(name, list(value))
        for task, worth in value.items():
            Real(low=0, high=1000).check(f"{name} of {task}", worth)
        return dict(value)


@dataclass(frozen=True)
class Tasks(ValueType):
    """A list of tasks, stored as a tuple."""

    def check(self, name: str, value: Any, among: object = None) -> tuple[str, ...]:
        if not isinstance(value, (list, tuple)):
            raise CourseError(f"{name} must be a list of tasks; it is {value!r}.")
        each = Choice(tuple(_known_points()))
        return tuple(each.check(f"{name}: each task", task) for task in value)


@dataclass(frozen=True)
class Rules(Declared):
    """Everything that an instructor decides.

    Raises:
        CourseError: a value is of the wrong kind or out of its range.
    """

    seed: int | None = setting(
        None, Seed(), "seed of the hidden inputs; null: drawn once and written here"
    )
    points: dict[str, float] = setting(  # noqa: RUF009  # it makes a factory
        dict, Points(), "tasks worth other points than usual, such as {sds.sds_grad: 6}"
    )
    optional: tuple[str, ...] = setting(
        (), Tasks(), "tasks that earn extra credit, such as [vsd.vsd_grad]"
    )
    partial_credit: bool = setting(True, Truth(), "some points for a task that is partly right")

    missing_item_off: float = setting(
        0.1, Real(low=0, high=1), "fraction of the pictures' points lost for each missing item"
    )
    not_reproduced: Literal["pictures", "all"] = setting(
        "pictures",
        Choice(("pictures", "all")),
        "what earns no points where reported scores are not reproduced: pictures, or all",
    )
    regenerate: int = setting(
        2, Whole(0, 100), "pictures of each submission that the student's code draws again"
    )

    time_zone: str | None = setting(
        None,
        TimeZone(),
        "zone of every time that names none, such as Europe/Berlin, and in which all times are "
        "shown; null: this machine's, written here",
    )
    late_grace_minutes: int = setting(
        0, Whole(0, 60 * 24 * 365), "minutes after the due date without a late penalty"
    )
    late_off_per_day: float = setting(
        0.1,
        Real(low=0, high=1),
        "late penalty for each 24 hours begun, as a fraction of the points earned",
    )
    late_most_off: float = setting(
        1.0, Real(low=0, high=1), "largest late penalty, as a fraction of the points earned"
    )

    wall_s: float = setting(20.0, Real(above=0, high=86_400), "seconds that one task may take")
    cpu_s: int = setting(20, Whole(1, 86_400), "seconds of processor time that one task may use")
    memory_mb: int = setting(
        1024, Whole(64, 2**20), "MB that one task may use, not counting the course's models"
    )

    def worth(self, task: str) -> float:
        """What a task can earn, such as "sds.sds_grad" or "sds.pictures".

        Raises:
            CourseError: there is no such task.
        """
        known = _known_points()
        if task not in known:
            raise CourseError(f"there is no task {task!r}; there are {', '.join(known)}.")
        return float(self.points.get(task, known[task]))

    def maximum(self, task: str) -> float:
        """What a task adds to the points that can be reached: nothing, if it is optional."""
        return 0.0 if task in self.optional else self.worth(task)

    @property
    def zone(self) -> ZoneInfo:
        """The time zone of the course: the chosen one, or this machine's, or UTC."""
        return zone_named(self.time_zone or machine_zone() or UTC)

    @property
    def digest(self) -> str:
        """Of what decides a grade (hexadecimal SHA-256): other rules have another digest."""
        decisive = {name: value for name, value in asdict(self).items() if name != "time_zone"}
        return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()

    @classmethod
    def load(cls, path: Path | None, **changes: Any) -> Rules:
        """Read rules that `save` wrote, or some of them written by hand.

        Raises:
            CourseError: the file is missing, is not YAML, or holds an unknown or unfit rule.
        """
        if path is None:
            return super().load(path, **changes)
        if not Path(path).exists():
            raise CourseError(
                f"there is no {path}: name a course folder that python -m grading release made."
            )
        try:
            return super().load(path, **changes)
        except CourseError as error:
            raise CourseError(_at(path, error)) from None


def settle(course: Path) -> Rules:
    """The rules of a course folder; a seed or a time zone that is missing is written there.

    The seed is drawn, and the time zone is this machine's.

    Raises:
        CourseError: as `Rules.load`, or the file cannot be written.
    """
    path = Path(course) / NAME
    rules = Rules.load(path)
    missing: dict[str, Any] = {}
    if rules.seed is None:
        missing["seed"] = secrets.randbelow(2**32)
    if rules.time_zone is None:
        missing["time_zone"] = rules.zone.key
    if missing:
        # Only these lines: what else the instructor wrote, comments too, stays as it is.
        text = read_text(path)
        for name, value in missing.items():
            text = _with_line(text, name, value)
        atomic_write(path, text)
    return replace(rules, **missing)


def zone_of(course: Path) -> ZoneInfo:
    """The time zone of a course folder; this machine's, while the folder has no rules.

    Raises:
        CourseError: as `Rules.load`.
    """
    path = Path(course) / NAME
    return (Rules.load(path) if path.exists() else Rules()).zone


def _with_line(text: str, name: str, value: object) -> str:
    """The text of a file of rules, with a value in the place of an empty or missing one."""
    line = f"{name}: {value}"
    text, found = re.subn(EMPTY.format(name), line, text, count=1, flags=re.MULTILINE)
    return text if found else f"# {declared(Rules)[name].help}\n{line}\n\n{text}"


def _at(path: Path, error: CourseError) -> str:
    return str(error) if str(path) in str(error) else f"{path}: {error}"


def _known_points() -> dict[str, float]:
    """Task -> points, of every stage in its order."""
    known = {f"{stage.module}.{name}": p for stage in STAGES for name, p in stage.points.items()}
    pictures = {f"{stage.module}.pictures": stage.pictures for stage in STAGES}
    return known | pictures
