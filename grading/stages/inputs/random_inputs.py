"""Draws the inputs of hidden cases."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor

Some = TypeVar("Some")
VISIBLE = 0
LATENTS = 4  # of a hidden case; no axis of channels, colours, rows or columns is as long


class RandomInputs:
    """The numbers and sizes of a case. Seed 0 is the visible case; every other seed a hidden one.

    Each method gets the value of the visible case, which is returned for seed 0, and the limits
    between which a hidden case draws.

    Args:
        size: height and width of the visible pictures.
        heights, widths: limits, both included, of those of hidden ones, which are never square.
    """

    def __init__(
        self,
        seed: int,
        size: tuple[int, int] = (10, 14),
        heights: tuple[int, int] = (7, 11),
        widths: tuple[int, int] = (12, 15),
    ) -> None:
        self.seed = seed
        self.hidden = seed != VISIBLE
        self._random = random.Random(seed)
        self.batch = LATENTS if self.hidden else 2
        height, width = self.whole(size[0], heights), self.whole(size[1], widths)
        # Hidden pictures are upright as often as not.
        self.size = (width, height) if self.hidden and self.whole(0, (0, 1)) else (height, width)

    def whole(self, visible: int, limits: tuple[int, int]) -> int:
        return self._random.randint(*limits) if self.hidden else visible

    def number(self, visible: float, limits: tuple[float, float]) -> float:
        """Rounded to three digits, so that a message can show it."""
        return round(self._random.uniform(*limits), 3) if self.hidden else visible

    def numbers(self, visible: Sequence[float], *bands: tuple[float, float]) -> list[float]:
        """One for each latent, taken from the bands in turn and shuffled."""
        if not self.hidden:
            return list(visible)
        drawn = [self.number(0, bands[latent % len(bands)]) for latent in range(self.batch)]
        return self.shuffled(drawn)

    def wholes(self, visible: Sequence[int], *bands: tuple[int, int]) -> list[int]:
        """One for each latent, taken from the bands in turn and shuffled."""
        if not self.hidden:
            return list(visible)
        drawn = [self.whole(0, bands[latent % len(bands)]) for latent in range(self.batch)]
        return self.shuffled(drawn)

    def one_of(self, visible: Some, others: Sequence[Some]) -> Some:
        return self._random.choice(others) if self.hidden else visible

    def shuffled(self, visible: Sequence[Some]) -> list[Some]:
        """The same in another order."""
        return self._random.sample(visible, len(visible)) if self.hidden else list(visible)

    def signs(self, count: int) -> list[int]:
        """1 or -1; in the visible case 1."""
        return [self.one_of(1, (-1, 1)) for _ in range(count)]

    def noise(self, seed: int, like: Tensor) -> Tensor:
        """Standard normal noise of the shape of `like`; another `seed`, other noise."""
        return self._normal(seed, like.shape)

    def smooth(self, seed: int, count: int, channels: int) -> Tensor:
        """Patches of low frequency (count, channels, h, w), about as far from 0 as noise."""
        rough = self._normal(seed, (count, channels, 4, 4))
        return torch.nn.functional.interpolate(
            rough, self.size, mode="bilinear", align_corners=False
        )

    def _normal(self, seed: int, shape: Sequence[int]) -> Tensor:
        generator = torch.Generator().manual_seed((self.seed + seed) % 2**63)
        return torch.randn(tuple(shape), generator=generator)
