"""The canvas of pixel art: how much each colour is wanted in each pixel."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from distillery.runs.canvas import Canvas


class PaletteCanvas(Canvas):
    """Logits (B, K, h, w) over K colours; the method decides how to use them.

    Where `clip_norm` is not 0, a gradient of the logits that is longer is shortened to it.
    """

    space = "logits"

    def __init__(self, logits: Tensor, *, clip_norm: float = 0.0) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits.detach().float().clone())
        if clip_norm:
            self.logits.register_hook(
                lambda grad: grad * (clip_norm / grad.norm().clamp(min=clip_norm))
            )

    def render(self) -> Tensor:
        return self.logits

    @torch.no_grad()
    def indices(self) -> Tensor:
        """The colour of each pixel, int64 (B, h, w)."""
        return self.logits.argmax(dim=1)

    @torch.no_grad()
    def entropy(self) -> Tensor:
        """How undecided each pixel is, (B, h, w): 0 sure of its colour, 1 all the same to it."""
        p = self.logits.softmax(dim=1)
        nats = -(p * p.clamp(min=1e-12).log()).sum(dim=1)
        return nats / torch.tensor(float(p.shape[1])).log()

    def agreement(self) -> float:
        """The share of pixels where the chosen colour has more than half of the weight.

        There the soft picture shows the colour that the hard one has.
        """
        return float((self.logits.detach().softmax(dim=1).amax(dim=1) > 0.5).float().mean())
