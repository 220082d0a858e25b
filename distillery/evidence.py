"""What a function does with stored inputs, as plain data: the ground that every check stands on.

`data/checks/<stage>.json` and `.safetensors` hold, for every task, the inputs, what a right answer
does with them and what each known misconception does with them. No answer, right or wrong, is in
there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from safetensors.torch import load
from torch import Tensor

from distillery.course import course_root
from distillery.errors import CourseError
from distillery.exact import GaussianMixturePrior
from distillery.prior import Condition

TOLERANCE = 1e-4  # of the largest value wanted; float32 in any order of operations stays far below
SEED = 20  # of the generators that a check hands out
DRAWS = 8400
# Chi-square over 21 values: a fair sampler stays below 60 in all but one of 100,000 cases, and one
# that rounds, so that both ends come half as often, lies near 200.
UNIFORM_BELOW = 60.0


@dataclass(frozen=True)
class Observation:
    """One function on one task's inputs.

    facts: name -> JSON value, in the order in which they are judged.
    value: what is compared with a tolerance, float32, or None.
    """

    facts: dict[str, Any]
    value: Tensor | None = None

    def equals(self, other: Observation) -> bool:
        """The same facts and, unless the value changes from call to call, the same value."""
        if self.facts != other.facts:
            return False
        return not self.facts.get("repeatable", True) or close(self.value, other.value)


@dataclass(frozen=True)
class Misconception:
    """A known wrong answer. The sentence goes on from "this is what you get when"."""

    name: str
    sentence: str
    observation: Observation


@dataclass(frozen=True)
class Case:
    """The inputs of one task.

    kind:        "value" (a tensor is returned), "gradient" (a scalar is, whose gradient with
                 respect to the first argument counts) or "draws" (a sampler of timesteps).
    arguments:   their names, in the order of the signature.
    tensors:     those that are tensors.
    values:      those that are plain numbers.
    prompts:     those that are conditions, as prompts for the exact prior.
    mixture:     means (K, C, h, w), std and names of the exact prior that `prior` stands for.
    with_graph:  the arguments that arrive with a graph.
    """

    kind: str
    arguments: tuple[str, ...]
    tensors: dict[str, Tensor] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    prompts: dict[str, list[str]] = field(default_factory=dict)
    mixture: dict[str, Any] = field(default_factory=dict)
    with_graph: tuple[str, ...] = ()

    @cached_property
    def prior(self) -> CountingPrior:
        return CountingPrior(**self.mixture)

    def fresh(self) -> dict[str, Any]:
        """All arguments by name, no memory shared with the case."""
        return {name: self._argument(name) for name in self.arguments}

    def _argument(self, name: str) -> Any:
        if name in self.tensors:
            tensor = self.tensors[name].clone()
            # A canvas hands over latents that are not leaves; so does the check.
            return tensor.requires_grad_().clone() if name in self.with_graph else tensor
        if name in self.prompts:
            return self.prior.embed(self.prompts[name])
        return self.prior if name == "prior" else self.values[name]


class CountingPrior(GaussianMixturePrior):
    """The exact prior, counting the calls of its network."""

    calls = 0

    def predict_noise(self, xt: Tensor, t: Tensor, *conditions: Condition) -> tuple[Tensor, ...]:
        self.calls += 1
        return super().predict_noise(xt, t, *conditions)


@dataclass(frozen=True)
class Task:
    """Everything stored about one task."""

    name: str
    number: int
    notebook: str
    case: Case
    wanted: Observation
    misconceptions: tuple[Misconception, ...]


def close(one: Tensor | None, other: Tensor | None) -> bool:
    """Both absent, or of one shape and as near as float32 can be asked to be."""
    if one is None or other is None:
        return one is other
    return one.shape == other.shape and bool((one - other).abs().max() <= tolerance(other))


def tolerance(wanted: Tensor) -> float:
    """The largest difference that passes."""
    return TOLERANCE * max(float(wanted.abs().max()), 1e-3)


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
        case=_case(facts, mine, tensors),
        wanted=Observation(facts["wanted"], mine.get("wanted")),
        misconceptions=tuple(
            Misconception(
                name, wrong["sentence"], Observation(wrong["facts"], mine.get(f"wrong/{name}"))
            )
            for name, wrong in facts["misconceptions"].items()
        ),
    )


def _case(facts: dict[str, Any], mine: dict[str, Tensor], shared: dict[str, Tensor]) -> Case:
    case = dict(facts["case"])
    mixture = case.get("mixture")
    if mixture:
        case["mixture"] = {**mixture, "means": shared["prior/means"]}
    case["arguments"] = tuple(case["arguments"])
    case["with_graph"] = tuple(case.get("with_graph", ()))
    return Case(**case, tensors={name: mine[name] for name in case["arguments"] if name in mine})


def _stored(stage: str) -> dict[str, Any]:
    folder = course_root() / "data" / "checks"
    try:
        return json.loads((folder / f"{stage}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        stages = _listed(path.stem for path in sorted(folder.glob("*.json")))
        raise CourseError(
            f"there are no checks for a stage {stage!r}; there are for {stages}."
        ) from error


def _read_tensors(stage: str) -> dict[str, Tensor]:
    path = course_root() / "data" / "checks" / f"{stage}.safetensors"
    try:
        return load(path.read_bytes())
    # safetensors has an exception type of its own for every kind of damage.
    except Exception as error:
        raise CourseError(f"{path} is missing or damaged; get it again with the course.") from error


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


def observe(function: Callable[..., Any], case: Case) -> Observation:
    """Call the function on the case's inputs and write down what it does; exceptions pass."""
    with torch.enable_grad():
        return {"value": _value, "gradient": _gradient, "draws": _draws}[case.kind](function, case)


def _value(function: Callable[..., Any], case: Case) -> Observation:
    arguments = case.fresh()
    calls_before = case.prior.calls if case.mixture else 0
    result = function(*arguments.values())
    calls = case.prior.calls - calls_before if case.mixture else 0
    if not isinstance(result, Tensor):
        return Observation({"type": type(result).__name__})
    facts = _tensor_facts(result) | {"changed": _changed(case, arguments)}
    if case.mixture:
        facts["calls"] = calls
    facts["graph"] = result.requires_grad
    again = function(*case.fresh().values())
    # NaN differs from itself; that is a fact of its own.
    facts["repeatable"] = bool(torch.equal(result.nan_to_num(), again.nan_to_num()))
    return Observation(facts, _plain(result))


def _gradient(function: Callable[..., Any], case: Case) -> Observation:
    arguments = case.fresh()
    result = function(*arguments.values())
    if not isinstance(result, Tensor):
        return Observation({"type": type(result).__name__})
    facts = _tensor_facts(result) | {"changed": _changed(case, arguments), "reaches": False}
    if result.shape != () or not result.requires_grad:
        return Observation(facts)
    (gradient,) = torch.autograd.grad(result, arguments[case.arguments[0]], allow_unused=True)
    facts["reaches"] = gradient is not None
    return Observation(facts, None if gradient is None else _plain(gradient))


def _tensor_facts(result: Tensor) -> dict[str, Any]:
    return {
        "type": "Tensor",
        "shape": list(result.shape),
        "dtype": str(result.dtype).removeprefix("torch."),
        "finite": bool(result.isfinite().all()),
    }


def _changed(case: Case, arguments: dict[str, Any]) -> list[str]:
    """The tensors that are no longer what they were."""
    return [name for name in case.tensors if not torch.equal(arguments[name], case.tensors[name])]


def _plain(tensor: Tensor) -> Tensor:
    return tensor.detach().float().clone()


def draw(function: Callable[..., Any], case: Case, generator: torch.Generator, step: int) -> Any:
    """Call a sampler for `DRAWS` latents."""
    values = case.values
    return function(
        DRAWS,
        step,
        values["steps"],
        t_min=values["t_min"],
        t_max=values["t_max"],
        generator=generator,
    )


def seeded() -> torch.Generator:
    """A generator as every check hands it out."""
    return torch.Generator().manual_seed(SEED)


def _draws(function: Callable[..., Any], case: Case) -> Observation:
    """A sampler at the first and at the last step of a run."""
    generator, shared_before = seeded(), torch.get_rng_state()
    first = draw(function, case, generator, step=0)
    if not isinstance(first, Tensor):
        return Observation({"type": type(first).__name__})
    facts = _tensor_facts(first)
    if first.shape != (DRAWS,):
        return Observation(facts)
    second = draw(function, case, generator, step=0)
    repeated = draw(function, case, seeded(), step=0)
    untouched = torch.equal(torch.get_rng_state(), shared_before)
    last = draw(function, case, seeded(), step=case.values["steps"] - 1)
    facts |= {
        "own_generator": untouched and torch.equal(first, repeated),
        "varies_in_batch": bool((first != first[0]).any()),
        "fresh": not torch.equal(first, second),
        "range": [int(first.min()), int(first.max())],
        "range_at_the_end": [int(last.min()), int(last.max())],
        "uniform": _uniform(first, case.values["t_min"], case.values["t_max"]),
    }
    return Observation(facts)


def _uniform(t: Tensor, low: int, high: int) -> bool:
    """Chi-square of the counts of low, ..., high; whatever lies outside makes it fail."""
    inside = t[(t >= low) & (t <= high)].long()
    counts = torch.bincount(inside - low, minlength=high - low + 1).double()
    expected = len(t) / len(counts)
    return bool(((counts - expected).square() / expected).sum() < UNIFORM_BELOW)
