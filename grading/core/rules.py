"""The rules of a course: what counts how much, what costs points, and what code may use."""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

import yaml

from distillery.core.errors import CourseError
from distillery.core.files import atomic_write
from distillery.core.validation import (
    check_choice,
    check_real,
    check_truth,
    check_whole,
    read_settings,
)
from grading.stages import STAGES

NAME = "rules.yaml"
NO_SEED = re.compile(r"^seed:[ \t]*(null|~)?[ \t]*(#.*)?$", re.MULTILINE)


def _said(default: Any, says: str) -> Any:
    return field(default=default, metadata={"says": says})


@dataclass(frozen=True)
class Rules:
    """Everything that an instructor decides; every field says in its metadata what it is.

    Raises:
        CourseError: a value is of the wrong kind or out of its range.
    """

    seed: int | None = _said(None, "of the hidden inputs; null: drawn once, and written here")
    points: dict[str, float] = field(
        default_factory=dict,
        metadata={"says": "of tasks that differ, such as {sds.sds_grad: 6}"},
    )
    optional: tuple[str, ...] = _said((), "tasks that only add points, such as [vsd.vsd_grad]")
    partial_credit: bool = _said(True, "some points for a task that is partly right")

    missing_item_off: float = _said(0.1, "part of the pictures' points, for each item missing")
    not_reproduced: Literal["pictures", "all"] = _said(
        "pictures", "what is zero where reported scores do not reproduce: pictures, or all"
    )
    regenerate: int = _said(2, "pictures of each hand-in that are drawn anew by the student's code")

    late_grace_minutes: int = _said(0, "that cost nothing after the due date")
    late_off_per_day: float = _said(0.1, "part of the points reached, for each day begun")
    late_most_off: float = _said(1.0, "part of the points reached that being late can cost")

    wall_s: float = _said(20.0, "seconds that one task may take")
    cpu_s: int = _said(20, "seconds of processor time that one task may use")
    memory_mb: int = _said(1024, "MB that one task may use beside the course's models")

    def __post_init__(self) -> None:
        if self.seed is not None:
            check_whole("seed", self.seed, 0, 2**63 - 1)
        object.__setattr__(self, "points", _checked_points(self.points))
        object.__setattr__(self, "optional", _checked_tasks("optional", self.optional))
        check_truth("partial_credit", self.partial_credit)
        check_real("missing_item_off", self.missing_item_off, low=0, high=1)
        check_choice("not_reproduced", self.not_reproduced, ("pictures", "all"))
        check_whole("regenerate", self.regenerate, 0, 100)
        check_whole("late_grace_minutes", self.late_grace_minutes, 0, 60 * 24 * 365)
        check_real("late_off_per_day", self.late_off_per_day, low=0, high=1)
        check_real("late_most_off", self.late_most_off, low=0, high=1)
        check_real("wall_s", self.wall_s, above=0, high=86_400)
        check_whole("cpu_s", self.cpu_s, 1, 86_400)
        check_whole("memory_mb", self.memory_mb, 64, 2**20)

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
    def digest(self) -> str:
        """Of all of them (hexadecimal SHA-256): other rules have another one."""
        return hashlib.sha256(self.to_yaml().encode()).hexdigest()

    def to_yaml(self) -> str:
        """The rules as YAML, each under what it is."""
        lines = []
        for f in fields(self):
            value = getattr(self, f.name)
            value = list(value) if isinstance(value, tuple) else value
            written = yaml.safe_dump(value, default_flow_style=True, width=10**6)
            text = written.removesuffix("...\n").strip()
            lines.append(f"# {f.metadata['says']}\n{f.name}: {text}\n")
        return "\n".join(lines)

    def save(self, path: Path) -> None:
        """Write the rules as YAML; raises `CourseError` if that is impossible."""
        atomic_write(path, self.to_yaml())

    @classmethod
    def load(cls, path: Path) -> Rules:
        """Read rules that `save` wrote, or some of them written by hand.

        Raises:
            CourseError: the file is missing, is not YAML, or holds an unknown or unfit rule.
        """
        try:
            return cls(**read_settings(path, [f.name for f in fields(cls)]))
        except CourseError as error:
            if not Path(path).exists():
                raise CourseError(
                    f"there is no {path}: name a course folder that python -m grading release made."
                ) from None
            raise CourseError(_at(path, error)) from None


def settle(course: Path) -> Rules:
    """The rules of a course folder; where they have no seed, one is drawn and written there.

    Raises:
        CourseError: as `Rules.load`, or the file cannot be written.
    """
    path = Path(course) / NAME
    rules = Rules.load(path)
    if rules.seed is not None:
        return rules
    rules = replace(rules, seed=secrets.randbelow(2**32))
    # Only this line: what else the instructor wrote, comments too, stays as it is.
    text, found = NO_SEED.subn(f"seed: {rules.seed}", path.read_text("utf-8"), count=1)
    atomic_write(path, text if found else f"seed: {rules.seed}\n{text}")
    return rules


def _at(path: Path, error: CourseError) -> str:
    return str(error) if str(path) in str(error) else f"{path}: {error}"


def _known_points() -> dict[str, float]:
    """Task -> points, of every stage in its order."""
    known = {f"{stage.module}.{name}": p for stage in STAGES for name, p in stage.points.items()}
    pictures = {f"{stage.module}.pictures": stage.pictures for stage in STAGES}
    return known | pictures


def _checked_points(points: Any) -> dict[str, float]:
    if not isinstance(points, dict):
        raise CourseError(f"points must be a list of 'task: points'; it is {points!r}.")
    _checked_tasks("points", list(points))
    for task, worth in points.items():
        check_real(f"points of {task}", worth, low=0, high=1000)
    return dict(points)


def _checked_tasks(name: str, tasks: Any) -> tuple[str, ...]:
    known = _known_points()
    if not isinstance(tasks, (list, tuple)):
        raise CourseError(f"{name} must be a list of tasks; it is {tasks!r}.")
    for task in tasks:
        check_choice(f"{name}: each task", task, list(known))
    return tuple(tasks)
