"""The data of the visible checks, made by running the reference and every known misconception."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import combinations
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from distillery.errors import CourseError
from distillery.evidence import TOLERANCE, Case, Misconception, Observation, observe, sums
from grading.cases import ACCEPTED, CASES
from grading.misconceptions import MISCONCEPTIONS
from grading.stages import Stage


def checks(stage: Stage, reference: dict[str, Callable[..., Any]]) -> tuple[bytes, str]:
    """The stage's data/checks files: its tensors as safetensors, the rest as JSON.

    Args:
        reference: function name -> right answer.

    Raises:
        CourseError: a misconception does on these inputs what the reference, or another, does.
    """
    tensors: dict[str, Tensor] = {}
    tasks: dict[str, Any] = {}
    for number, function in enumerate(stage.points, start=1):
        facts, mine, shared = _task(f"{stage.module}.{function}", reference[function])
        uses = [name for name in stage.points if name in reference[function].__code__.co_names]
        tasks[function] = {"number": number} | facts | ({"uses": uses} if uses else {})
        tensors |= shared | {f"{function}/{name}": tensor for name, tensor in mine.items()}
    facts = {"notebook": str(stage.notebook), "tasks": tasks}
    same = _repeated(tensors)
    kept = {name: tensor.contiguous() for name, tensor in tensors.items() if name not in same}
    facts |= {"same": same} if same else {}
    return save(kept), json.dumps(facts, indent=1, ensure_ascii=False) + "\n"


def _task(
    task: str, right: Callable[..., Any]
) -> tuple[dict[str, Any], dict[str, Tensor], dict[str, Tensor]]:
    """What is stored of one task: facts, its own tensors, and those that tasks share."""
    case = CASES[task]()
    wanted = observe(right, case)
    wrong = [
        Misconception(answer.name, answer.sentence, observe(answer.function, case))
        for answer in MISCONCEPTIONS
        if answer.task == task
    ]
    facts: dict[str, Any] = {
        "case": _case_facts(case),
        "wanted": wanted.facts,
        "misconceptions": {
            known.name: {"sentence": known.sentence} | _facts_beside(wanted, known.observation)
            for known in wrong
        },
    }
    tensors = case.tensors | _values("wanted", wanted)
    for known in wrong:
        tensors |= _values(f"wrong/{known.name}", known.observation)
    accepted = [("the reference", wanted)]
    if task in ACCEPTED:
        facts["accepted"], weights, directions = ACCEPTED[task]()
        tensors |= {"accepted/weights": weights, "accepted/directions": directions}
        values = [Observation(wanted.facts, value) for value in sums(weights, directions)]
        accepted = list(zip(facts["accepted"], values, strict=True))
        if not any(wanted.equals(one) for one in values):
            raise CourseError(f"{task}: the reference is none of the answers accepted.")
    _check_distinct(task, [*accepted, *((known.name, known.observation) for known in wrong)])
    shared = {"prior/means": case.mixture, "lora/means": case.denoiser}
    return facts, tensors, {name: part["means"] for name, part in shared.items() if part}


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


def _check_distinct(task: str, observations: list[tuple[str, Observation]]) -> None:
    for (one, its), (other, others) in combinations(observations, 2):
        if its.equals(others) or others.equals(its):
            raise CourseError(f"{task}: the check cannot tell {other} from {one}.")


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


def _case_facts(case: Case) -> dict[str, Any]:
    facts = {
        "kind": case.kind,
        "arguments": list(case.arguments),
        "triples": case.triples,
        "controls": case.controls,
        "values": case.values,
        "prompts": case.prompts,
        "mixture": {name: value for name, value in case.mixture.items() if name != "means"},
        "denoiser": {name: value for name, value in case.denoiser.items() if name != "means"},
        "with_graph": list(case.with_graph),
        "learns": case.learns,
        "loss_counts": case.loss_counts,
        "parts": list(case.parts),
        "tolerance": case.tolerance if case.tolerance != TOLERANCE else None,
    }
    return {name: value for name, value in facts.items() if value}
