"""The data of the visible checks, made by running the reference and every known misconception."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import combinations
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from distillery.core.errors import CourseError
from distillery.course.kinds import to_wire
from distillery.course.observe import Observation, observe
from distillery.course.tasks import Accepted, Misconception, Task, weighted_sums
from grading.stages.cases import ACCEPTED, CASES
from grading.stages.inputs.random_inputs import VISIBLE
from grading.stages.misconceptions import MISCONCEPTIONS
from grading.stages.stage import Stage


def checks(stage: Stage, reference: dict[str, Callable[..., Any]]) -> tuple[bytes, str]:
    """The stage's data/checks files: its tensors as safetensors, the rest as JSON.

    Args:
        reference: function name -> right answer.

    Raises:
        CourseError: a misconception does on these inputs what the reference, or another, does.
    """
    tensors: dict[str, Tensor] = {}
    tasks: dict[str, Any] = {}
    for function in stage.points:
        task = observed_task(stage, function, reference[function], VISIBLE)
        facts, mine, shared = _stored(task)
        tasks[function] = facts
        tensors |= shared | {f"{function}/{name}": tensor for name, tensor in mine.items()}
    facts = {"notebook": str(stage.notebook), "tasks": tasks}
    same = _repeated(tensors)
    kept = {name: tensor.contiguous() for name, tensor in tensors.items() if name not in same}
    facts |= {"same": same} if same else {}
    return save(kept), json.dumps(facts, indent=1, ensure_ascii=False) + "\n"


def observed_task(stage: Stage, function: str, right: Callable[..., Any], seed: int) -> Task:
    """A task on the inputs of a seed: what the reference and every known misconception do there.

    Raises:
        CourseError: a misconception does on these inputs what the reference, or another, does.
    """
    name = f"{stage.module}.{function}"
    case = CASES[name](seed)
    sentences, values = _accepted(name, seed)
    task = Task(
        name=name,
        number=list(stage.points).index(function) + 1,
        notebook=str(stage.notebook),
        case=case,
        wanted=observe(right, case),
        misconceptions=tuple(
            Misconception(answer.name, answer.sentence, observe(answer.function, case))
            for answer in MISCONCEPTIONS
            if answer.task == name
        ),
        accepted=tuple(Accepted(*pair) for pair in zip(sentences, values, strict=True)),
        uses=tuple(name for name in stage.points if name in right.__code__.co_names),
    )
    _check_distinct(task)
    return task


def _accepted(task: str, seed: int) -> tuple[list[str], list[Tensor]]:
    if task not in ACCEPTED:
        return [], []
    sentences, weights, directions = ACCEPTED[task](seed)
    return sentences, list(weighted_sums(weights, directions))


def _check_distinct(task: Task) -> None:
    """Every right value and every misconception is like itself alone."""
    facts = task.wanted.facts
    right = [(one.sentence, Observation(facts, one.value)) for one in task.accepted]
    if right and not any(task.wanted.equals(one) for _, one in right):
        raise CourseError(f"{task.name}: the reference is none of the answers accepted.")
    wrong = [(known.name, known.observation) for known in task.misconceptions]
    all_of_them = [*(right or [("the reference", task.wanted)]), *wrong]
    for (one, its), (other, others) in combinations(all_of_them, 2):
        if its.equals(others) or others.equals(its):
            raise CourseError(f"{task.name}: the check cannot tell {other} from {one}.")


def _stored(task: Task) -> tuple[dict[str, Any], dict[str, Tensor], dict[str, Tensor]]:
    """What is stored of one task: facts, its own tensors, and those that tasks share."""
    case_facts, case_tensors = to_wire(task.case)
    facts: dict[str, Any] = {
        "number": task.number,
        "case": case_facts,
        "wanted": task.wanted.facts,
        "misconceptions": {
            known.name: {"sentence": known.sentence} | _facts_beside(task.wanted, known.observation)
            for known in task.misconceptions
        },
    }
    shared = {name: tensor for name, tensor in case_tensors.items() if "/" in name}
    tensors = {name: tensor for name, tensor in case_tensors.items() if "/" not in name}
    tensors |= _values("wanted", task.wanted)
    for known in task.misconceptions:
        tensors |= _values(f"wrong/{known.name}", known.observation)
    if task.accepted:
        facts["accepted"], weights, directions = ACCEPTED[task.name](VISIBLE)
        tensors |= {"accepted/weights": weights, "accepted/directions": directions}
    return facts | ({"uses": list(task.uses)} if task.uses else {}), tensors, shared


def _facts_beside(wanted: Observation, came: Observation) -> dict[str, Any]:
    """The facts that differ from the wanted ones, null for those that are missing."""
    names = dict.fromkeys([*wanted.facts, *came.facts])
    both = {name: (wanted.facts.get(name), came.facts.get(name)) for name in names}
    facts = {name: its for name, (asked, its) in both.items() if its != asked}
    return {"facts": facts} if facts else {}


def _values(name: str, came: Observation) -> dict[str, Tensor]:
    """What is compared; a value that changes at every call is not."""
    if came.value is None or not came.facts.get("repeatable", True):
        return {}
    return {name: came.value} | ({} if came.loss is None else {f"{name}/loss": came.loss})


def _repeated(tensors: dict[str, Tensor]) -> dict[str, str]:
    """Name -> an earlier name of the same tensor; it is stored once."""
    same: dict[str, str] = {}
    for name, other in combinations(tensors, 2):
        if name not in same and other not in same and _alike(tensors[name], tensors[other]):
            same[other] = name
    return same


def _alike(one: Tensor, other: Tensor) -> bool:
    """The same but for the last bits, which differ between processors."""
    alike = one.shape == other.shape and one.dtype == other.dtype
    return alike and torch.allclose(one, other, rtol=1e-5, atol=1e-6)
