"""What the shape of a wrong result says, and whether its numbers are the right ones."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import permutations

import torch
from torch import Tensor

from distillery.core.counting import counted
from distillery.course.case import Case
from distillery.course.observe import Observation
from distillery.course.probes.views import listed

MOST_AXES = 5


def right_numbers(wanted: Observation, came: Observation) -> Iterator[str]:
    """All numbers are right, and something else is not."""
    if came.value is None or wanted.value is None or came.facts == wanted.facts:
        return
    if came.near(wanted) and (came.loss is None or _same(came.loss, wanted.loss)):
        other = "" if came.facts.get("finite", True) else "other "
        yield f"The {other}numbers are right."


def misshapen(case: Case, wanted: Observation, came: Observation) -> Iterator[str]:
    """Which axes are lost, added, or in another order; where the numbers show it, what was done."""
    asked, its = wanted.facts.get("shape"), came.facts.get("shape")
    if asked is None or its is None or asked == its:
        return
    right, wrong = wanted.value, came.value
    if right is not None and wrong is not None and list(right.shape) == asked:
        told = list(_from_numbers(right, wrong))
        if told:
            yield told[0]
            return
    yield from _from_shape(case, asked, its)


def _from_numbers(right: Tensor, wrong: Tensor) -> Iterator[str]:
    if right.dim() > MOST_AXES or not wrong.numel():
        return
    for order in permutations(range(right.dim())):
        if list(order) != sorted(order) and _same(right.permute(order), wrong):
            axes = listed([str(axis) for axis in order])
            yield f"It holds the right numbers with the axes in another order: {axes}."
    if _same(right.squeeze(), wrong.squeeze()):
        yield "It holds the right numbers; only axes of length 1 are too many or missing."
    if right.numel() == wrong.numel() and _same(right.flatten(), wrong.flatten()):
        yield "It holds the right numbers in the right order; only the shape is another."
    for axis in range(right.dim()):
        length = right.shape[axis]
        if length > 1:
            yield from _reduced(right, wrong, axis)
    if right.dim() == wrong.dim() and all(
        one % other == 0 for one, other in zip(wrong.shape, right.shape, strict=True)
    ):
        times = [one // other for one, other in zip(wrong.shape, right.shape, strict=True)]
        if _same(right.repeat(times), wrong):
            yield f"It holds the right numbers, {math.prod(times)} times over."


def _reduced(right: Tensor, wrong: Tensor, axis: int) -> Iterator[str]:
    for what, made in (("sum", right.sum(dim=axis)), ("mean", right.mean(dim=axis))):
        if _same(made.squeeze(), wrong.squeeze()):
            yield f"It is the {what} of what is wanted along axis {axis}."
    for index in range(right.shape[axis]):
        if _same(right.select(axis, index).squeeze(), wrong.squeeze()):
            yield f"It is only index {index} of what is wanted along axis {axis}."


def _from_shape(case: Case, asked: Sequence[int], its: Sequence[int]) -> Iterator[str]:
    batch = _batch(case)
    lost = [axis for axis in range(len(asked)) if list(its) == [*asked[:axis], *asked[axis + 1 :]]]
    if len(lost) == 1:
        yield f"Axis {lost[0]}, which should be {asked[lost[0]]} long, is lost."
    elif not asked and list(its) == [batch]:
        yield "There is a number for each picture; their sum or mean is still to be taken."
    elif not asked and its:
        yield f"A single number is wanted, and {math.prod(its)} are left."
    elif not its:
        yield "A single number is left of all of them."
    elif sorted(its) == sorted(asked):
        yield "The axes have the right lengths in another order."
    elif [one for one in its if one != 1] == [one for one in asked if one != 1]:
        yield "Only axes of length 1 are too many or missing."
    elif math.prod(its) == math.prod(asked):
        yield f"There are as many numbers as there should be, {math.prod(its)}."
    elif len(its) == len(asked):
        wrong = [axis for axis, pair in enumerate(zip(its, asked, strict=True)) if len({*pair}) > 1]
        lengths = [f"axis {axis} is {its[axis]} long, not {asked[axis]}" for axis in wrong]
        yield f"{listed(lengths).capitalize()}."
    else:
        axes = counted(len(its), "axis", "axes")
        yield f"It has {axes}, where {len(asked)} are wanted."


def _batch(case: Case) -> int:
    return next((len(one) for one in case.tensors.values() if one.dim() == 4), 0)


def _same(one: Tensor, other: Tensor | None, tolerance: float = 1e-4) -> bool:
    if other is None or one.shape != other.shape or not one.numel():
        return False
    largest = float(torch.maximum(one.abs().max(), other.abs().max()))
    return largest > 0 and bool((one - other).abs().max() <= tolerance * largest)
