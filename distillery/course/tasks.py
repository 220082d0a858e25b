"""The tasks in `data/checks`, and the comparison of an observation with what a task wants.

`data/checks/<stage>.json` and `.safetensors` hold, for every task, the inputs, what a right answer
does with them and what each known misconception does with them. They hold no answer, right or
wrong.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from safetensors.torch import load
from torch import Tensor

from distillery.core.errors import CourseError
from distillery.course.case import Case
from distillery.course.kinds import from_wire
from distillery.course.observe import Observation, close
from distillery.course.record import Facts, Tensors
from distillery.course.student_files import course_root


@dataclass(frozen=True)
class Misconception:
    """A known wrong answer. The sentence completes "this is what you get when"."""

    name: str
    sentence: str
    observation: Observation


@dataclass(frozen=True)
class Accepted:
    """One of several right values. The sentence completes "right, with"."""

    sentence: str
    value: Tensor


@dataclass(frozen=True)
class Task:
    """Everything stored about one task.

    accepted: where several values are right, all of them, that of `wanted` among them.
    uses:     the other tasks of the stage that its function calls.
    """

    name: str
    number: int
    notebook: str
    case: Case
    wanted: Observation
    misconceptions: tuple[Misconception, ...]
    accepted: tuple[Accepted, ...] = ()
    uses: tuple[str, ...] = ()

    def matching(self, came: Observation) -> Accepted | None:
        """The accepted value that came, the nearest of them where several are near."""
        value = came.value
        if value is None or came.facts != self.wanted.facts:
            return None
        near = [one for one in self.accepted if close(value, one.value, came.tolerance)]
        return min(near, key=lambda one: float((value - one.value).abs().max()), default=None)

    def passes(self, came: Observation) -> bool:
        """Whether that is what a right answer does."""
        return came.equals(self.wanted) or self.matching(came) is not None


@dataclass(frozen=True)
class Comparison:
    """How an observation compares with what its task wants.

    accepted:      where several values are right, the one that came.
    misconception: the known wrong answer that does the same.
    differing:     the names of the wanted facts that are not as wanted, in their order.
    right_numbers: the value and the loss are right, whatever the facts are.
    """

    task: Task
    came: Observation
    passed: bool
    accepted: Accepted | None
    misconception: Misconception | None
    differing: tuple[str, ...]
    right_numbers: bool


def compare(task: Task, came: Observation) -> Comparison:
    """Compare an observation with what the task wants and with every known misconception."""
    accepted = task.matching(came)
    passed = accepted is not None or came.equals(task.wanted)
    wrong = () if passed else task.misconceptions
    wanted = task.wanted.facts
    return Comparison(
        task=task,
        came=came,
        passed=passed,
        accepted=accepted,
        misconception=next((one for one in wrong if came.equals(one.observation)), None),
        differing=tuple(name for name in wanted if came.facts.get(name) != wanted[name]),
        right_numbers=_has_right_numbers(task, came),
    )


def _has_right_numbers(task: Task, came: Observation) -> bool:
    if came.value is None:
        return False
    right = [task.wanted.value, *(one.value for one in task.accepted)]
    near = any(close(came.value, value, came.tolerance) for value in right)
    return near and close(came.loss, task.wanted.loss)


def split_task(task: str) -> tuple[str, str]:
    """ "sds.sds_grad" -> ("sds", "sds_grad").

    Raises:
        CourseError: there is not one dot between two names.
    """
    stage, dot, function = task.partition(".")
    if not (dot and stage.isidentifier() and function.isidentifier()):
        raise CourseError(f"a task is named like sds.sds_grad; {task!r} is not.")
    return stage, function


def task_names(stage: str) -> list[str]:
    """The functions that a stage checks, in the order of its notebook."""
    return list(_stored(stage)["tasks"])


def load_task(task: str) -> Task:
    """Read what is stored about "stage.function".

    Raises:
        CourseError: there is no such task, or its data cannot be read.
    """
    stage, function = split_task(task)
    stored = _stored(stage)
    if function not in stored["tasks"]:
        raise CourseError(
            f"stage {stage} has no task {function}; it has {_listed(stored['tasks'])}."
        )
    facts = stored["tasks"][function]
    tensors = _read_tensors(stage)
    tensors |= {name: tensors[same] for name, same in stored.get("same", {}).items()}
    prefix = f"{function}/"
    mine = {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
    return Task(
        name=task,
        number=facts["number"],
        notebook=stored["notebook"],
        case=from_wire(facts["case"], tensors | mine),
        wanted=_observation(facts["wanted"], mine, "wanted"),
        misconceptions=tuple(
            Misconception(
                name,
                wrong["sentence"],
                _observation(_all_facts(facts["wanted"], wrong), mine, f"wrong/{name}"),
            )
            for name, wrong in facts["misconceptions"].items()
        ),
        accepted=_accepted(facts.get("accepted", []), mine),
        uses=tuple(facts.get("uses", ())),
    )


def _observation(facts: Facts, mine: Tensors, name: str) -> Observation:
    return Observation(facts, mine.get(name), mine.get(f"{name}/loss"))


def _all_facts(wanted: Facts, wrong: dict[str, Any]) -> Facts:
    """Only the facts that differ from the wanted ones are stored; null means there is none."""
    facts = wanted | wrong.get("facts", {})
    return {name: fact for name, fact in facts.items() if fact is not None}


def _accepted(sentences: list[str], mine: Tensors) -> tuple[Accepted, ...]:
    if not sentences:
        return ()
    values = weighted_sums(mine["accepted/weights"], mine["accepted/directions"])
    return tuple(Accepted(*pair) for pair in zip(sentences, values, strict=True))


def weighted_sums(weights: Tensor, directions: Tensor) -> Tensor:
    """N sums `(N, B, C, h, w)` of the directions (D, B, C, h, w), weighted by (N, D, B)."""
    return torch.einsum("ndb,dbchw->nbchw", weights, directions)


def _stored(stage: str) -> dict[str, Any]:
    folder = course_root() / "data" / "checks"
    try:
        return json.loads((folder / f"{stage}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        stages = _listed(path.stem for path in sorted(folder.glob("*.json")))
        raise CourseError(
            f"there are no checks for a stage {stage!r}; there are for {stages}."
        ) from error


def _read_tensors(stage: str) -> Tensors:
    path = course_root() / "data" / "checks" / f"{stage}.safetensors"
    try:
        return load(path.read_bytes())
    # safetensors has an exception type of its own for every kind of damage.
    except Exception as error:
        raise CourseError(f"{path} is missing or damaged; get it again with the course.") from error


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"
