"""Tasks that leave a choice open: every value that an answer may give, whatever it chooses.

`pds_loss` may take any step from t to t_prev. Each picture has a step of its own, and its value is
a sum of a few directions that do not depend on the step; the weights of the sum do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from distillery.course.observe import close
from distillery.course.record import Tensors, under

PUBLISHED = "t_prev = t - 2"
PULL = "it pulls towards the source"
PARALLEL = 1 - 1e-7  # of a cosine; float32 lets it differ from 1 by less
NO_PULL = "psi is zero, so nothing pulls towards the source; DDS weighted by chi(t)"


@dataclass(frozen=True)
class Accepted:
    """One of several right values. The sentence completes "right, with"."""

    sentence: str
    value: Tensor


@dataclass(frozen=True)
class WeightedSums:
    """Values (B, C, h, w) that are sums of the same directions, with weights to choose from.

    weights:    of each picture (N, D), a row for each choice; N may differ between pictures.
    directions: (D, B, C, h, w).
    usual:      the rows of the choice that the reference makes, one for each picture.
    """

    weights: tuple[Tensor, ...]
    directions: Tensor
    usual: tuple[int, ...]

    def chosen(self, value: Tensor, tolerance: float) -> tuple[list[int], Tensor] | None:
        """The rows of the weights that give this value, one for each picture, and their sum."""
        if value.shape != self.directions.shape[1:]:
            return None
        pairs = enumerate(zip(self.weights, value, strict=True))
        rows = [_nearest(its, self.directions[:, i], wanted) for i, (its, wanted) in pairs]
        total = self.total(rows)
        return (rows, total) if close(value, total, tolerance) else None

    def along(self, value: Tensor) -> Tensor | None:
        """The sum whose pictures are this value's up to a factor each, the usual one if it is."""
        if value.shape != self.directions.shape[1:]:
            return None
        pairs = enumerate(zip(self.weights, value, self.usual, strict=True))
        rows = [_parallel(its, self.directions[:, i], one, usual) for i, (its, one, usual) in pairs]
        found = [row for row in rows if row is not None]
        return self.total(found) if len(found) == len(rows) else None

    def total(self, rows: Sequence[int]) -> Tensor:
        """The sum (B, C, h, w) with these rows of the weights, one for each picture."""
        chosen = [its[row] for its, row in zip(self.weights, rows, strict=True)]
        return torch.einsum("bd,dbchw->bchw", torch.stack(chosen), self.directions)

    def stored(self) -> Tensors:
        """Its tensors, as data/checks holds them."""
        weights = {f"weights/{i}": its for i, its in enumerate(self.weights)}
        directions = {f"directions/{i}": its for i, its in enumerate(self.directions)}
        return weights | directions | {"usual": torch.tensor(self.usual)}

    @classmethod
    def restored(cls, tensors: Tensors) -> Self | None:
        """Those that `stored` made these tensors of; None where there are none."""
        if "usual" not in tensors:
            return None
        directions = torch.stack(_in_order("directions/", tensors))
        usual = tuple(tensors["usual"].tolist())
        return cls(_in_order("weights/", tensors), directions, usual)


def _in_order(prefix: str, tensors: Tensors) -> tuple[Tensor, ...]:
    """Those called prefix0, prefix1 and so on."""
    found = under(prefix, tensors)
    return tuple(found[f"{i}"] for i in range(len(found)))


def _nearest(weights: Tensor, directions: Tensor, value: Tensor) -> int:
    """The row of the weights (N, D) whose sum is nearest to the value (C, h, w)."""
    basis, factors = torch.linalg.qr(directions.flatten(1).double().T)
    inside = basis.T @ value.flatten().double()
    return int((weights.double() @ factors.T - inside).square().sum(dim=1).argmin())


def _parallel(weights: Tensor, directions: Tensor, value: Tensor, usual: int) -> int | None:
    """The row of the weights (N, D) whose sum is parallel to the value (C, h, w), if one is."""
    sums = weights.double() @ directions.flatten(1).double()
    cosines = torch.nn.functional.cosine_similarity(sums, value.flatten().double(), dim=1).abs()
    row = usual if cosines[usual] > PARALLEL else int(cosines.argmax())
    return row if cosines[row] > PARALLEL else None


@dataclass(frozen=True)
class AcceptedSteps(WeightedSums):
    """The right values of `pds_loss`, for every step from t to a t_prev of 0, ..., t - 1.

    Row 2 t_prev of a picture's weights is that of the step with the beta of the single step from
    t - 1 to t, row 2 t_prev + 1 that of the step with the beta of the jump from t_prev to t.
    """

    def matching(self, value: Tensor, tolerance: float) -> Accepted | None:
        """The right value that equals this one within the tolerance of `close`, if one does."""
        found = self.chosen(value, tolerance)
        return Accepted(self._sentence(found[0]), found[1]) if found else None

    def _sentence(self, rows: Sequence[int]) -> str:
        times = [len(its) // 2 for its in self.weights]
        steps = [(t, *divmod(row, 2)) for t, row in zip(times, rows, strict=True)]
        # From t - 1 to t, the beta of the jump is that of a single step.
        jumps = {bool(jump) for t, t_prev, jump in steps if t - t_prev > 1}
        levels = _levels([(t, t_prev) for t, t_prev, _ in steps])
        if not jumps:
            return f"{levels}: {NO_PULL}."
        if jumps == {True}:
            return f"{levels} and the beta of that jump: {NO_PULL}."
        if jumps == {True, False}:
            return f"{levels} and the beta of a single step for some, of the jump for others."
        code = "the published code's; " if levels == PUBLISHED else ""
        return f"{levels} and the beta of a single step ({code}{PULL})."


def _levels(steps: Sequence[tuple[int, int]]) -> str:
    """In words, for pairs of t and t_prev."""
    strides = {t - t_prev for t, t_prev in steps}
    if len(strides) == 1:
        return f"t_prev = t - {strides.pop()}"
    if all(t_prev == t // 2 for t, t_prev in steps):
        return "t_prev = t // 2"
    return ", ".join(f"t_prev = {t_prev} for t = {t}" for t, t_prev in steps)
