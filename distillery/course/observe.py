"""What a function does with stored inputs, as plain data: the ground that every check stands on.

`data/checks/<stage>.json` and `.safetensors` hold, for every task, the inputs, what a right answer
does with them and what each known misconception does with them. No answer, right or wrong, is in
there.

Inside the process that holds a student's function:

    case = from_wire(facts, tensors)        # what `to_wire(case)` gave outside
    recording = record(function, case)      # exceptions pass; the facts are JSON, the tensors plain

and outside, in one that need not believe it:

    observation = conclude(Recording(facts, tensors), case)

`observe` is both at once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import torch
from safetensors.torch import load
from torch import Tensor

from distillery.core.errors import CourseError
from distillery.course.record import (
    DRAWS,
    DTYPES,
    LONGEST_NAME,
    MOST_EVENTS,
    TOLERANCE,
    WEIGHTS,
    Case,
    CountingPrior,
    Recording,
    dtype_name,
    from_wire,
    record,
    to_wire,
)
from distillery.course.student_files import course_root

__all__ = [
    "DRAWS",
    "TOLERANCE",
    "UNREADABLE",
    "Accepted",
    "Case",
    "CountingPrior",
    "Misconception",
    "Observation",
    "Recording",
    "Task",
    "close",
    "conclude",
    "from_wire",
    "load_task",
    "observe",
    "record",
    "split_task",
    "sums",
    "task_names",
    "to_wire",
]

# Chi-square over 21 values: a fair sampler stays below 60 in all but one of 100,000 cases, and one
# that rounds, so that both ends come half as often, lies near 200.
UNIFORM_BELOW = 60.0
UNREADABLE = "unreadable"  # the type of what nobody can make sense of
LONGEST_TOLD = 120  # characters of a sentence of a recording
LARGEST_WHOLE = 10**9


@dataclass(frozen=True)
class Observation:
    """One function on one task's inputs.

    facts:     name -> JSON value, in the order in which they are judged.
    value:     what is compared with a tolerance, float32, or None.
    loss:      the scalar itself, float32 (), where it is prescribed as its gradient is.
    tolerance: the part of the largest value that a difference may have.
    """

    facts: dict[str, Any]
    value: Tensor | None = None
    loss: Tensor | None = None
    tolerance: float = TOLERANCE

    def equals(self, other: Observation) -> bool:
        """The same facts and, unless the value changes from call to call, the same value."""
        if self.facts != other.facts:
            return False
        if not self.facts.get("repeatable", True):
            return True
        return self.near(other) and close(self.loss, other.loss)

    def near(self, other: Observation) -> bool:
        """The same value, as far as both may differ."""
        return close(self.value, other.value, max(self.tolerance, other.tolerance))


@dataclass(frozen=True)
class Misconception:
    """A known wrong answer. The sentence goes on from "this is what you get when"."""

    name: str
    sentence: str
    observation: Observation


@dataclass(frozen=True)
class Accepted:
    """One of several right values. The sentence goes on from "right, with"."""

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


def close(one: Tensor | None, other: Tensor | None, tolerance: float = TOLERANCE) -> bool:
    """Both absent, or of one shape and apart by no more than that part of the largest value."""
    if one is None or other is None:
        return one is other
    if one.shape != other.shape:
        return False
    largest = max(float(other.abs().max()), 1e-3)
    return bool((one - other).abs().max() <= tolerance * largest)


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


def _observation(facts: dict[str, Any], mine: dict[str, Tensor], name: str) -> Observation:
    return Observation(facts, mine.get(name), mine.get(f"{name}/loss"))


def _all_facts(wanted: dict[str, Any], wrong: dict[str, Any]) -> dict[str, Any]:
    """Stored are those that differ from the wanted ones; null are those that there are not."""
    facts = wanted | wrong.get("facts", {})
    return {name: fact for name, fact in facts.items() if fact is not None}


def _accepted(sentences: list[str], mine: dict[str, Tensor]) -> tuple[Accepted, ...]:
    if not sentences:
        return ()
    values = sums(mine["accepted/weights"], mine["accepted/directions"])
    return tuple(Accepted(*pair) for pair in zip(sentences, values, strict=True))


def sums(weights: Tensor, directions: Tensor) -> Tensor:
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
    """Call the function on the case's inputs and say what it does; exceptions pass."""
    return conclude(record(function, case), case)


class _UnreadableError(Exception):
    """A recording that no function can have left."""


def conclude(recording: Recording, case: Case) -> Observation:
    """What a recording shows, all of it worked out anew but what only the process could see.

    A recording may come from anywhere. One that does not hold together gives an observation that
    equals no right one; nothing is raised.
    """
    kinds = {
        "value": _of_value,
        "gradient": _of_gradient,
        "passage": _of_passage,
        "draws": _of_draws,
        "choices": _of_choices,
        "alternation": _of_alternation,
    }
    try:
        reported = _reported(recording.facts, case)
        tensors = {name: _plain_tensor(tensor) for name, tensor in recording.tensors.items()}
        if "result" in tensors:
            with torch.no_grad():
                came = kinds[case.kind](reported, tensors, case)
        else:
            came = Observation(_without_result(reported))
    # Whatever a forged recording can make PyTorch stumble over is no right answer either.
    except Exception:
        came = Observation({"type": UNREADABLE})
    return replace(came, tolerance=case.tolerance)


def _plain_tensor(tensor: Any) -> Tensor:
    plain = type(tensor) is Tensor and tensor.device.type == "cpu"
    if not plain or tensor.layout != torch.strided or tensor.dtype not in DTYPES:
        raise _UnreadableError
    return tensor.detach()


def _without_result(reported: dict[str, Any]) -> dict[str, Any]:
    """The facts where no array came along: something else was returned, or far too much."""
    kind = reported["type"]
    if kind == "Tensor":
        return {"type": kind, "shape": reported["shape"], "dtype": reported["dtype"]}
    return {"type": UNREADABLE if kind.startswith("tuple of") else kind}


def _reported(facts: Any, case: Case) -> dict[str, Any]:
    """What a recording says of itself, each of it of the form that it must have."""
    if not isinstance(facts, dict):
        raise _UnreadableError
    tensors, prompts = set(case.tensors), set(case.prompts)
    forms: dict[str, Callable[[Any], bool]] = {
        "type": lambda fact: _is_text(fact, LONGEST_NAME),
        "shape": lambda fact: _is_list(fact, _is_whole, 32),
        "dtype": lambda fact: _is_text(fact, LONGEST_NAME),
        "changed": lambda fact: _is_list(fact, tensors.__contains__, len(tensors)),
        "calls": _is_whole,
        "lora_calls": lambda fact: _is_list(fact, _is_whole, 2) and len(fact) == 2,
        "told": lambda fact: (
            isinstance(fact, dict)
            and set(fact) <= prompts
            and all(_is_text(words, LONGEST_TOLD) for words in fact.values())
        ),
        "graph": lambda fact: isinstance(fact, bool),
        "leaks": lambda fact: _is_list(fact, set(case.with_graph).__contains__, len(tensors)),
        "events": lambda fact: _is_list(
            fact, lambda event: _is_text(event, LONGEST_NAME), MOST_EVENTS
        ),
        "drawn": lambda fact: isinstance(fact, bool),
        "untouched": lambda fact: isinstance(fact, bool),
    }
    if not all(name in forms and forms[name](fact) for name, fact in facts.items()):
        raise _UnreadableError
    return facts


def _is_text(fact: Any, longest: int) -> bool:
    return isinstance(fact, str) and len(fact) <= longest


def _is_whole(fact: Any) -> bool:
    return isinstance(fact, int) and not isinstance(fact, bool) and 0 <= fact <= LARGEST_WHOLE


def _is_list(fact: Any, of: Callable[[Any], bool], longest: int) -> bool:
    return isinstance(fact, list) and len(fact) <= longest and all(of(one) for one in fact)


def _said(reported: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: reported[name] for name in names if name in reported}


def _tensor_facts(result: Tensor, reported: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": reported["type"],
        "shape": list(result.shape),
        "dtype": dtype_name(result),
        "finite": bool(result.isfinite().all()),
    }


def _plain(tensor: Tensor) -> Tensor:
    """A copy of the numbers; those that are not finite are a fact of their own, and 0 here."""
    return tensor.detach().float().nan_to_num(0.0, 0.0, 0.0).clone()


def _same(one: Tensor, other: Tensor | None) -> bool:
    """Bit for bit. NaN differs from itself; that is a fact of its own."""
    if other is None or one.shape != other.shape or one.dtype != other.dtype:
        return False
    return torch.equal(one.nan_to_num(), other.nan_to_num())


def _of_one_form(first: Tensor, *others: Tensor) -> None:
    if any(one.shape != first.shape or one.dtype != first.dtype for one in others):
        raise _UnreadableError


def _of_value(reported: dict[str, Any], tensors: dict[str, Tensor], case: Case) -> Observation:
    result, kind = tensors["result"], reported["type"]
    facts = _tensor_facts(result, reported)
    if kind != "Tensor":
        if kind != f"tuple of {len(result)} tensors":
            raise _UnreadableError
        facts["shape"] = list(result.shape[1:])  # of each of them
    facts |= _said(reported, "changed", "calls", "lora_calls", "told", "graph")
    facts["repeatable"] = _same(result, tensors.get("again"))
    return Observation(facts, _plain(result))


def _of_gradient(reported: dict[str, Any], tensors: dict[str, Tensor], case: Case) -> Observation:
    result, gradient = tensors["result"], tensors.get("gradient")
    facts = _tensor_facts(result, reported) | _said(reported, "changed", "calls", "lora_calls")
    facts["reaches"] = gradient is not None
    facts |= _said(reported, "leaks")
    if gradient is None:
        return Observation(facts)
    learns = case.learns or case.arguments[0]
    learner = case.denoiser["means"] if learns == "lora" else case.tensors[learns]
    if result.shape != () or gradient.shape != learner.shape:
        raise _UnreadableError
    facts["repeatable"] = _same(gradient, tensors.get("again"))
    return Observation(facts, _plain(gradient), _plain(result) if case.loss_counts else None)


def _of_passage(reported: dict[str, Any], tensors: dict[str, Tensor], case: Case) -> Observation:
    """The value is what came out and, behind it in the batch, the gradient."""
    result, gradient = tensors["result"], tensors.get("gradient")
    facts = _tensor_facts(result, reported) | _said(reported, "changed", "graph")
    facts["reaches"] = gradient is not None
    if gradient is None:
        return Observation(facts)
    if not result.shape == gradient.shape == case.tensors[case.arguments[0]].shape:
        raise _UnreadableError
    facts["repeatable"] = _same(result, tensors.get("again")) and _same(
        gradient, tensors.get("gradient again")
    )
    return Observation(facts, torch.cat([_plain(result), _plain(gradient)]))


def _of_alternation(
    reported: dict[str, Any], tensors: dict[str, Tensor], case: Case
) -> Observation:
    """The value is the trajectory of both numbers and of what was returned, (3, steps)."""
    result, trajectory = tensors["result"], tensors.get("trajectory")
    facts = _tensor_facts(result, reported) | _said(reported, "graph", "events")
    if trajectory is None:
        return Observation(facts)
    # What the first step returned is in both.
    if trajectory.shape != (3, case.values["steps"]) or not _same(trajectory[2, 0], result):
        raise _UnreadableError
    return Observation(facts, _plain(trajectory))


def _of_draws(reported: dict[str, Any], tensors: dict[str, Tensor], case: Case) -> Observation:
    first, values = tensors["result"], case.values
    facts = _tensor_facts(first, reported)
    if first.shape != (DRAWS,):
        return Observation(facts)
    last = tensors["last"]
    on_the_way = [tensors[f"at {step}"] for step in values.get("between", ())]
    _of_one_form(first, last, *on_the_way)
    facts |= {
        "own_generator": reported["untouched"] and _same(first, tensors.get("again")),
        "varies_in_batch": bool((first != first[0]).any()),
        "fresh": not _same(first, tensors["second"]),
        "range": _range(first),
        "range_at_the_end": _range(last),
        "uniform": _uniform(first, values["t_min"], values["t_max"]),
    }
    if "between" in values:
        facts["ranges_between"] = [_range(t) for t in on_the_way]
        facts["uniform_at_the_end"] = _uniform(last, values["t_min"], values["t_bound"])
    return Observation(facts)


def _range(t: Tensor) -> list[int]:
    """Both ends, cut off to whole numbers."""
    return [
        int(end.double().nan_to_num().clamp(-LARGEST_WHOLE, LARGEST_WHOLE)) for end in t.aminmax()
    ]


def _uniform(t: Tensor, low: int, high: int) -> bool:
    """Chi-square of the counts of low, ..., high; whatever lies outside makes it fail."""
    inside = t[(t >= low) & (t <= high)].long()
    counts = torch.bincount(inside - low, minlength=high - low + 1).double()
    expected = len(t) / len(counts)
    return bool(((counts - expected).square() / expected).sum() < UNIFORM_BELOW)


def _of_choices(reported: dict[str, Any], tensors: dict[str, Tensor], case: Case) -> Observation:
    """A sampler of weights at two temperatures.

    The value is, for each of the temperatures, how often each colour has the largest weight, and
    then the mean weight of each colour.
    """
    first, (pictures, *size) = tensors["result"], WEIGHTS
    facts = _tensor_facts(first, reported)
    if first.shape != (pictures, case.tensors["logits"].shape[1], *size):
        return Observation(facts)
    own = reported["untouched"] and _same(first, tensors.get("again"))
    facts |= _said(reported, "changed")
    facts["sums"] = [axis for axis in range(4) if _is(first.sum(dim=axis), 1.0)]
    facts |= _said(reported, "graph")
    facts |= {
        "soft": bool(((first > 0) & (first < 1)).any()),
        "own_generator": own,
        "draws": reported["drawn"],
        "varies_in_batch": not _is(first, first[:1]),
        "varies_among_pixels": not _is(first, first[..., :1, :1]),
        "fresh": not _is(first, tensors["second"]),
    }
    # Where another generator decides, no two calls agree.
    _of_one_form(first, tensors["warm"])
    return Observation(facts, _shares(first, tensors["warm"]) if own else None)


def _is(one: Tensor, other: Tensor | float) -> bool:
    """The same but for rounding."""
    return bool((one - other).abs().max() < 1e-3)


def _shares(cold: Tensor, warm: Tensor) -> Tensor:
    """How often each colour has the largest weight, and its mean weight, cold and warm: (4, K)."""
    both = torch.stack([_plain(cold), _plain(warm)])
    colours = both.shape[2]
    largest = torch.nn.functional.one_hot(both.argmax(dim=2), colours).float()
    return torch.cat([largest.mean(dim=(1, 2, 3)), both.mean(dim=(1, 3, 4))])
