"""What is compared: a right and a wrong tensor, and how their axes and numbers are put in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from distillery.course.case import Case
from distillery.course.observe import Observation

NEGLIGIBLE = 1e-6  # of numbers that a claim would divide by
PICTURES = ("picture", "channel", "row", "column")
WHOLE, GRADIENT, LOSS = "Yours", "The gradient", "The loss"  # labels of results
LONGEST = 158  # characters of a sentence, so that a line with its indent has at most 160
MOST_NAMED = 4  # indices along an axis that a sentence lists


@dataclass(frozen=True)
class View:
    """One right and one wrong tensor of one shape: a whole value, or a part that has a name.

    label:     how a sentence about it begins, as in "Yours" or "The gradient".
    axes:      the name of each axis, as "picture", or "" for one without.
    tolerance: the largest difference of equal numbers, as a part of the largest of them.
    """

    label: str
    wanted: Tensor
    came: Tensor
    axes: tuple[str, ...]
    tolerance: float

    @property
    def right(self) -> bool:
        return self.same(self.came, self.wanted)

    def same(self, one: Tensor, other: Tensor) -> bool:
        """Whether both are equal within the tolerance. Tensors of zeros are equal to nothing."""
        if one.shape != other.shape or not one.numel():
            return False
        largest = float(torch.maximum(one.abs().max(), other.abs().max()))
        return largest > NEGLIGIBLE and bool((one - other).abs().max() <= self.tolerance * largest)

    def explains(self, fit: Tensor) -> bool:
        """Whether it gives the wrong numbers, and the difference from the right ones with it."""
        left = (self.came - fit).abs().max()
        gap = (self.came - self.wanted).abs().max()
        return self.same(fit, self.came) and bool(left <= 0.02 * gap)

    @property
    def pictures(self) -> int:
        """B, or 0 where the first axis is none of pictures."""
        return len(self.wanted) if self.axes[:1] == ("picture",) else 0

    @property
    def numbers_each(self) -> int:
        """How many numbers a picture has."""
        return self.wanted[0].numel() if self.wanted.dim() else 1


def views(case: Case, wanted: Observation, came: Observation) -> list[View]:
    """The parts that can be compared each for itself; none where there is nothing to compare."""
    right, wrong = wanted.value, came.value
    if right is None or wrong is None or right.shape != wrong.shape:
        return []
    if case.parts and case.kind == "value":
        # A part may be a single number, such as a loss: then it has no axis.
        axes = ("picture", *[""] * (right.dim() - 2)) if right.dim() > 1 else ()
        parts = zip(case.parts, right, wrong, strict=True)
        return [View(name, one, other, axes, came.tolerance) for name, one, other in parts]
    axes = _axes(case, right)
    if case.kind == "passage":
        half = len(right) // 2
        labels = ("The value", GRADIENT)
        # Both are made equally deep with channels of zeros.
        depths = wanted.facts["shape"][1], case.tensors[case.arguments[0]].shape[1]
        halves = zip(labels, right.split(half), wrong.split(half), depths, strict=True)
        pairs = [(name, one[:, :depth], its[:, :depth]) for name, one, its, depth in halves]
        return [View(label, one, other, axes, came.tolerance) for label, one, other in pairs]
    label = GRADIENT if case.kind in ("gradient", "losses") else WHOLE
    of_loss = [
        View(LOSS, one, other, ("picture",) * one.dim(), came.tolerance)
        for one, other in [(wanted.loss, came.loss)]
        if one is not None and other is not None
    ]
    return [View(label, right, wrong, axes, came.tolerance), *of_loss]


def _axes(case: Case, value: Tensor) -> tuple[str, ...]:
    if case.kind == "frames" and value.dim() in (3, 4):
        return ("frame", *PICTURES[5 - value.dim() :])
    if value.dim() == 2:
        return "row", "column"
    if value.dim() != 4:
        return ("",) * value.dim()
    first = "prompt" if getattr(case, "learns", "") == "lora" else PICTURES[0]
    of_colours = "logits" in case.tensors or list(case.arguments) == ["image", "palette"]
    return first, "colour" if of_colours else PICTURES[1], *PICTURES[2:]


def number(value: float | Tensor) -> str:
    """With three digits that count, or more where it is nearly 1."""
    text = f"{float(value):.3g}"
    if text in ("1", "-1"):
        text = f"{float(value):.5g}"
    return text.replace("e+0", "e").replace("e-0", "e-")


def listed(words: Sequence[str]) -> str:
    """ "a, b and c" """
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else "".join(words)


def numbers(values: Tensor) -> str:
    """All of them, or the smallest and the largest of many."""
    flat = values.flatten()
    if len(flat) <= MOST_NAMED:
        return listed([number(one) for one in flat])
    return f"{number(flat.min())} to {number(flat.max())}"


def places(axis: str, indices: Sequence[int]) -> str:
    """ "picture 2" or "channels 1 and 3", counted from 1."""
    counted = [str(index + 1) for index in indices]
    return f"{axis}{'s' * (len(counted) > 1)} {listed(counted)}"
