"""Moments of a run whose pictures are kept until the end, where one of them becomes the result."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from distillery.pixelart.canvas import PaletteCanvas


class Moments:
    """The logits of a canvas after some of its steps.

    Args:
        indices: of these steps. A moment that has not come holds the logits of the start.

    Attributes:
        logits: (M, K, h, w), one for each moment.
        taken: the step that was brought back, or None.
    """

    logits: Tensor

    def __init__(self, canvas: PaletteCanvas, indices: Sequence[int]) -> None:
        self.indices = list(indices)
        self.logits = canvas.logits.detach()[:1].repeat(len(self.indices), 1, 1, 1)
        self.taken: int | None = None

    def keep(self, canvas: PaletteCanvas, index: int) -> None:
        """Keep the first picture's logits as they are after this step, if it is a moment."""
        if index in self.indices:
            self.logits[self.indices.index(index)] = canvas.logits.detach()[0]

    @torch.no_grad()
    def take(self, canvas: PaletteCanvas, number: int) -> None:
        """Bring back what was kept at the moment of that number."""
        self.taken = self.indices[number]
        canvas.logits.copy_(self.logits[number : number + 1])
