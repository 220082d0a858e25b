"""Write down what a function does with the inputs of a case.

This runs in the process of the student's code, which in grading is inside the sandbox. Nothing is
judged here. `record` returns plain JSON and plain tensors; `distillery.course.observe.conclude`
draws the conclusions from them, in grading in another process.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from distillery.course.case import Case

SEED = 20  # of the generators that a check hands out
LARGEST = 2_000_000  # numbers in a recorded tensor; every task needs far fewer
LONGEST_NAME = 60  # characters of the name of a type
DTYPES = {
    *(torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.bool, torch.uint8),
    *(torch.int8, torch.int16, torch.int32, torch.int64),
}

Facts = dict[str, Any]
Tensors = dict[str, Tensor]
Function = Callable[..., Any]


@dataclass(frozen=True)
class Recording:
    """What one function did with the inputs of one case.

    facts:   plain JSON: the type of the result, and what only this process can see, such as the
             number of calls of a network.
    tensors: the results of the calls, unchanged: "result" of the first call, "again" of the second
             call with the same arguments, and others that depend on the kind of the case.
    """

    facts: Facts
    tensors: Tensors


def record(function: Function, case: Case) -> Recording:
    """Call the function on the inputs of the case. Its exceptions are not caught."""
    with torch.enable_grad():
        facts, tensors = case.record(function)
    result = tensors.get("result")
    if result is not None and not _can_be_recorded(result):
        facts |= {"shape": list(result.shape), "dtype": dtype_name(result)}
    recorded = {name: tensor for name, tensor in tensors.items() if _can_be_recorded(tensor)}
    return Recording(facts, recorded)


def under(prefix: str, tensors: Tensors) -> Tensors:
    """Those whose names begin so, without that beginning."""
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }


def numbered(place: int, tensors: Tensors) -> Tensors:
    """The same under names that begin with the place, as in "0/x0"; `under` takes it off again."""
    return {f"{place}/{name}": tensor for name, tensor in tensors.items()}


def seeded() -> torch.Generator:
    """A new generator with the seed that every check uses."""
    return torch.Generator().manual_seed(SEED)


def copied(tensor: Tensor) -> Tensor:
    """A copy of the numbers, because the function's next call may overwrite them."""
    return tensor.detach().cpu().clone().contiguous() if _can_be_recorded(tensor) else tensor


def type_name(result: Any) -> str:
    """ "Tensor" for every tensor, otherwise the name of the class."""
    return "Tensor" if isinstance(result, Tensor) else type(result).__name__[:LONGEST_NAME]


def dtype_name(tensor: Tensor) -> str:
    """As in "float32"."""
    return str(tensor.dtype).removeprefix("torch.")


def _can_be_recorded(tensor: Tensor) -> bool:
    return tensor.dtype in DTYPES and tensor.numel() <= LARGEST
