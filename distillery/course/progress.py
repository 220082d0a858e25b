"""How far a learner is: which tasks are right, which were tried, and what comes next.

Every check of a student's own function leaves a small file in outputs/.progress/ of the course
folder, and nothing else reads it. It is the learner's own, and never a grade.

Importing this module does not load torch.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from distillery.core.counting import counted, in_hours
from distillery.core.errors import CourseError
from distillery.core.files import atomic_write, decoded, read_record
from distillery.course.stored_checks import checks_in, split_task, stored_facts
from distillery.course.student_files import course_root, student_file

FOLDER = Path("outputs", ".progress")
PICTURES = "pictures"  # their place among the tasks of a stage


@dataclass(frozen=True)
class Item:
    """A task of a stage, or its pictures.

    share: of its points that it earned when it was last checked, 0 to 1; None where it is open.
    fresh: whether the function is as it was then.
    """

    name: str
    points: float
    share: float | None
    fresh: bool = True

    @property
    def earned(self) -> float:
        """Points so far; what was changed since its check has to be checked again."""
        return self.points * self.share if self.share and self.fresh else 0.0

    @property
    def is_right(self) -> bool:
        return self.share == 1 and self.fresh

    @property
    def line(self) -> str:
        """ "  right  sds_grad (4 points)"."""
        told = f"{self.name} ({counted(self.points, 'point')})"
        if self.share is None:
            return f"  open   {told}"
        if self.is_right:
            return f"  right  {told}"
        why = "" if self.fresh else ": changed since its last check"
        if self.fresh and self.share:
            why = f": {self.earned:g} of them so far"
        return f"  tried  {told}{why}"


@dataclass(frozen=True)
class StageProgress:
    """How far a learner is with a stage. Its items are in the order of its notebook."""

    notebook: PurePosixPath
    minutes: int
    items: tuple[Item, ...]

    @property
    def earned(self) -> float:
        return sum(item.earned for item in self.items)

    @property
    def worth(self) -> float:
        return sum(item.points for item in self.items)

    @property
    def is_begun(self) -> bool:
        return any(item.share is not None for item in self.items)

    @property
    def is_done(self) -> bool:
        return all(item.is_right for item in self.items)

    @property
    def line(self) -> str:
        """ "01_sds        1 h 20   2 of 4 right     6 of 13 points"."""
        right = sum(item.is_right for item in self.items)
        points = f"{self.earned:g} of {counted(self.worth, 'point')}"
        return (
            f"{self.notebook.stem:14}{in_hours(self.minutes):9}"
            f"{f'{right} of {len(self.items)} right':17}{points}"
        )


def my_progress() -> None:
    """Print which tasks are right, tried and open, the points so far, and what comes next.

    Raises:
        CourseError: the working directory is in no course folder, or its checks are damaged.
    """
    print("\n".join(progress_lines()))


def progress_lines() -> list[str]:
    """What `my_progress` prints, line by line."""
    stages = [stage_progress(path.stem) for path in checks_in(course_root())]
    stages.sort(key=lambda stage: stage.notebook)
    going_on = _going_on(stages)
    lines = []
    for stage in stages:
        lines.append(stage.line)
        if stage is going_on or (stage.is_begun and not stage.is_done):
            lines += [item.line for item in stage.items]
    earned, worth = sum(one.earned for one in stages), sum(one.worth for one in stages)
    lines += ["", f"{earned:g} of {counted(worth, 'point')} so far. {_next(going_on)}"]
    return [*lines, "This is what checks said in this folder. It is yours alone, and no grade."]


def _going_on(stages: list[StageProgress]) -> StageProgress | None:
    """The first stage that is begun and not done; else the first that is not begun."""
    open_ones = [stage for stage in stages if not stage.is_done]
    begun = [stage for stage in open_ones if stage.is_begun]
    return next(iter([*begun, *open_ones]), None)


def _next(stage: StageProgress | None) -> str:
    if stage is None:
        return "All of it is right."
    item = next(item for item in stage.items if not item.is_right)
    return f"Next: {item.name} in {stage.notebook}."


def stage_progress(module: str) -> StageProgress:
    """How far a learner is with the stage whose functions are in guidance/<module>.py.

    Raises:
        CourseError: there are no checks for it, or they are damaged.
    """
    facts = stored_facts(module)
    items = [_item(module, name, its["points"]) for name, its in facts["tasks"].items()]
    if facts["pictures"]:
        items.append(_item(module, PICTURES, facts["pictures"]))
    return StageProgress(PurePosixPath(facts["notebook"]), facts["minutes"], tuple(items))


def _item(module: str, name: str, points: float) -> Item:
    task = f"{module}.{name}"
    record: dict[str, Any] = dict(read_record(_file(task)))
    share = record.get("share")
    if not isinstance(share, int | float) or not 0 <= share <= 1:
        return Item(name, points, None)
    return Item(name, points, float(share), record.get("code") == code_of(task))


def keep(task: str, share: float | None) -> None:
    """Note what a check said. Where nothing can be written, nothing is noted.

    Args:
        task: "stage.function", or "stage.pictures".
        share: of its points, 0 to 1; None takes back what was noted.
    """
    with contextlib.suppress(CourseError, OSError):
        if share is None:
            _file(task).unlink(missing_ok=True)
        else:
            atomic_write(_file(task), json.dumps({"share": share, "code": code_of(task)}) + "\n")


def code_of(task: str) -> str:
    """16 digits that tell one text of a task's function from another; the pictures' are the file's.

    Empty where guidance/ holds none.
    """
    module, name = split_task(task)
    try:
        source = student_file(module).read_bytes()
        text = source if name == PICTURES else "\n".join(_texts_of(name, source)).encode()
    except (OSError, ValueError, SyntaxError):
        return ""
    return hashlib.sha256(text).hexdigest()[:16] if text else ""


def _texts_of(function: str, source: bytes) -> Iterator[str]:
    text = decoded(source)
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef) and node.name == function:
            yield ast.get_source_segment(text, node) or ""


def _file(task: str) -> Path:
    return course_root() / FOLDER / f"{task}.json"
