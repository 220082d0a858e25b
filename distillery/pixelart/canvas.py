"""The canvas of pixel art: how much each colour is wanted in each pixel."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from distillery.runs.canvas import Canvas


class PaletteCanvas(Canvas):
    """Logits (B, K, h, w) over K colours; what becomes of them is the method's business.

    Where `clip_norm` is not 0, a gradient of the logits that is longer is shortened to it. After
    the steps `moments`, `keep` keeps the logits, and `take` brings one of them back. A moment that
    has not come holds the logits of the start.
    """

    space = "logits"
    kept: Tensor  # (M, K, h, w)

    def __init__(
        self, logits: Tensor, *, clip_norm: float = 0.0, moments: Sequence[int] = ()
    ) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits.detach().float().clone())
        self.moments = list(moments)
        self.taken: int | None = None  # the moment brought back
        start = self.logits.detach()[:1]
        self.register_buffer("kept", start.repeat(len(self.moments), 1, 1, 1))
        if clip_norm:
            self.logits.register_hook(
                lambda grad: grad * (clip_norm / grad.norm().clamp(min=clip_norm))
            )

    def render(self) -> Tensor:
        return self.logits

    @torch.no_grad()
    def keep(self, index: int) -> None:
        """Keep the first picture's logits as they are after this step, if it is a moment."""
        if index in self.moments:
            self.kept[self.moments.index(index)] = self.logits[0]

    @torch.no_grad()
    def take(self, number: int) -> None:
        """Bring back what was kept at the moment of that number."""
        self.taken = self.moments[number]
        self.logits.copy_(self.kept[number : number + 1])

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
