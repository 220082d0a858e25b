"""The canvas of pixel art: how much each colour is wanted in each pixel."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from distillery.canvas import Canvas


class PaletteCanvas(Canvas):
    """Logits (B, K, h, w) over K colours; what becomes of them is the method's business."""

    space = "logits"

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits.detach().float().clone())

    def render(self) -> Tensor:
        return self.logits

    @torch.no_grad()
    def indices(self) -> Tensor:
        """The colour of each pixel, int64 (B, h, w)."""
        return self.logits.argmax(dim=1)
