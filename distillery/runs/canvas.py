"""What is optimised."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn


class Canvas(nn.Module):
    """A module whose parameters are optimised; `space` says what `render` gives.

    "latents": `(B, C, h, w)`, taken as x0 itself.
    "images": `(B, 3, H, W)` in [-1, 1], which the prior encodes first.
    "logits": `(B, K, h, w)` of palette colours, which the loss makes a picture of.
    """

    space: Literal["latents", "images", "logits"]

    def render(self) -> Tensor:
        raise NotImplementedError


class LatentCanvas(Canvas):
    """The latents `(batch, channels, height, width)` themselves, at first noise of `init_scale`.

    It lives on the generator's device.
    """

    space = "latents"

    def __init__(
        self,
        batch: int,
        channels: int,
        height: int,
        width: int,
        *,
        generator: torch.Generator,
        init_scale: float = 1.0,
    ) -> None:
        super().__init__()
        noise = _noise((batch, channels, height, width), generator)
        self.latents = nn.Parameter(init_scale * noise)

    @classmethod
    def starting_at(cls, latents: Tensor) -> LatentCanvas:
        """A canvas that begins as a copy of `latents`, as edits do."""
        canvas = cls.__new__(cls)
        nn.Module.__init__(canvas)
        canvas.latents = nn.Parameter(latents.detach().float().clone())
        return canvas

    def render(self) -> Tensor:
        return self.latents


class PixelCanvas(Canvas):
    """The pixels `(batch, 3, height, width)`, kept inside [-1, 1] by tanh.

    They begin as faint noise on grey, of standard deviation `init_scale` before tanh, and live on
    the generator's device.
    """

    space = "images"

    def __init__(
        self,
        batch: int,
        height: int,
        width: int,
        *,
        generator: torch.Generator,
        init_scale: float = 0.1,
    ) -> None:
        super().__init__()
        self.logits = nn.Parameter(init_scale * _noise((batch, 3, height, width), generator))

    def render(self) -> Tensor:
        return self.logits.tanh()


def _noise(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.randn(shape, generator=generator, device=generator.device)
