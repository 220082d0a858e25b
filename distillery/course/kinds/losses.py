"""A function that returns a loss for each picture: the losses and their gradient both count."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from distillery.course.kinds.gradient import GradientCase


@dataclass(frozen=True)
class LossesCase(GradientCase):
    """The gradient is that of a sum in which the second loss counts twice, the third thrice..."""

    kind = "losses"

    loss_counts: bool = True

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.tensors[self.learner]),)

    def scalar(self, result: Tensor) -> Tensor:
        return (torch.arange(1, len(result) + 1) * result).sum()


KIND = LossesCase
