"""Runs a function on stored inputs and summarises its behaviour.

Two steps, which may run in two processes:

    recording = record(function, case)          # inside: the student's process
    observation = conclude(recording, case)     # outside: trusts nothing in the recording

`observe` does both in one process. What a kind of check records and concludes is in its file in
`distillery/course/kinds/`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from distillery.course.record import (
    DTYPES,
    Facts,
    Function,
    Recording,
    Tensors,
    dtype_name,
    record,
)

if TYPE_CHECKING:
    from distillery.course.case import Case

TOLERANCE = 1e-4  # of the largest value wanted; float32 in any order of operations stays far below
UNREADABLE = "unreadable"  # the type of a result whose recording contradicts itself
LARGEST_INTEGER = 10**9


@dataclass(frozen=True)
class Observation:
    """What one function does with the inputs of one trial.

    facts:     name -> JSON value, in the order in which they are compared.
    value:     the numbers that are compared with a tolerance, float32, or None.
    loss:      the scalar itself, float32 (), where both it and its gradient are prescribed.
    tolerance: the largest difference allowed, as a part of the largest value.
    samples:   what a picture shows instead of `value`; it is not compared.
    asked:     what networks were asked in their first call and what they answered, "prior/xt" and
               others; it is not compared.
    """

    facts: Facts
    value: Tensor | None = None
    loss: Tensor | None = None
    tolerance: float = TOLERANCE
    samples: Tensor | None = None
    asked: Tensors = field(default_factory=dict)

    def equals(self, other: Observation) -> bool:
        """The same facts and the same value; a value that changes at every call is not compared."""
        if self.facts != other.facts:
            return False
        if not self.facts.get("repeatable", True):
            return True
        return self.near(other) and close(self.loss, other.loss)

    def near(self, other: Observation) -> bool:
        """The same value, within the larger of both tolerances."""
        return close(self.value, other.value, max(self.tolerance, other.tolerance))


def close(one: Tensor | None, other: Tensor | None, tolerance: float = TOLERANCE) -> bool:
    """Both None, or of one shape and no further apart than that part of the largest value."""
    if one is None or other is None:
        return one is other
    if one.shape != other.shape:
        return False
    largest = max(float(other.abs().max()), 1e-3)
    return bool((one - other).abs().max() <= tolerance * largest)


class UnreadableError(Exception):
    """No function can have left this recording: it was forged or damaged."""


def observe(function: Function, case: Case) -> Observation:
    """Call the function on the inputs of the case and summarise what it does.

    Exceptions of the function are not caught.
    """
    return conclude(record(function, case), case)


def conclude(recording: Recording, case: Case) -> Observation:
    """What a recording shows. All that follows from its tensors is computed here.

    A recording may be forged. One that contradicts itself gives an observation that equals no right
    one; nothing is raised.
    """
    try:
        reported = _checked_facts(recording.facts, case)
        tensors = {name: _checked_tensor(tensor) for name, tensor in recording.tensors.items()}
        if "result" in tensors:
            with torch.no_grad():
                came = case.conclude(reported, tensors)
        else:
            came = Observation(_without_result(reported))
    # A forged recording can make PyTorch fail in any way; it is not a right answer either.
    except Exception:
        came = Observation({"type": UNREADABLE})
    return replace(came, tolerance=case.tolerance)


def _checked_tensor(tensor: Any) -> Tensor:
    plain = type(tensor) is Tensor and tensor.device.type == "cpu"
    if not plain or tensor.layout != torch.strided or tensor.dtype not in DTYPES:
        raise UnreadableError
    return tensor.detach()


def _checked_facts(facts: Any, case: Case) -> Facts:
    """The facts of a recording, each in the form that its kind prescribes."""
    if not isinstance(facts, dict):
        raise UnreadableError
    forms = case.forms()
    if not all(name in forms and forms[name](fact) for name, fact in facts.items()):
        raise UnreadableError
    return facts


def _without_result(reported: Facts) -> Facts:
    """The facts where no tensor was recorded: another type was returned, or too many numbers."""
    kind = reported["type"]
    if kind == "Tensor":
        return {"type": kind, "shape": reported["shape"], "dtype": reported["dtype"]}
    return {"type": UNREADABLE if kind.startswith("tuple of") else kind} | picked(
        reported, "backward"
    )


def is_bool(fact: Any) -> bool:
    """A form of a reported fact, as the three below."""
    return isinstance(fact, bool)


def is_text(fact: Any, longest: int) -> bool:
    return isinstance(fact, str) and len(fact) <= longest


def is_integer(fact: Any) -> bool:
    return isinstance(fact, int) and not isinstance(fact, bool) and 0 <= fact <= LARGEST_INTEGER


def is_list(fact: Any, of: Callable[[Any], bool], longest: int) -> bool:
    return isinstance(fact, list) and len(fact) <= longest and all(of(one) for one in fact)


def picked(reported: Facts, *names: str) -> Facts:
    """Those of these facts that were reported, in this order."""
    return {name: reported[name] for name in names if name in reported}


def tensor_facts(result: Tensor, reported: Facts) -> Facts:
    """The facts that come first in every kind: type, shape, dtype and whether all is finite."""
    return {
        "type": reported["type"],
        "shape": list(result.shape),
        "dtype": dtype_name(result),
        "finite": bool(result.isfinite().all()),
    }


def plain(tensor: Tensor) -> Tensor:
    """A float32 copy with 0 for NaN and infinity, which are a fact of their own."""
    return tensor.detach().float().nan_to_num(0.0, 0.0, 0.0).clone()


def same_bits(one: Tensor, other: Tensor | None) -> bool:
    """Equal bit for bit, where NaN equals NaN."""
    if other is None or one.shape != other.shape or one.dtype != other.dtype:
        return False
    return torch.equal(one.nan_to_num(), other.nan_to_num())


def require_one_form(first: Tensor, *others: Tensor) -> None:
    """All of one shape and dtype.

    Raises:
        UnreadableError: they are not.
    """
    if any(one.shape != first.shape or one.dtype != first.dtype for one in others):
        raise UnreadableError
