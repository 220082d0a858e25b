"""Draws the inputs of the trials of a task."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor

from distillery.course.case import Case

Some = TypeVar("Some")
VISIBLE = 0
LATENTS = 4  # of an ordinary hidden trial; no other axis of its tensors is as long
SMALL = (5, 6), (7, 9)  # limits of the height and width of pictures that are not the ordinary ones
SEVERAL, SINGLE, EARLY, LATE = "several", "single", "early", "late"
THREE = "three"  # of a task whose two branches, prompts or pictures need one more trial
# Each common kind in words.
KINDS = {
    SEVERAL: "",
    SINGLE: "with one picture of 4 channels",
    EARLY: "with almost no noise",
    LATE: "with almost only noise",
}
# Circumstances in words -> what draws the inputs from a seed; "" are the ordinary ones.
Draws = dict[str, Callable[[int], Case]]


class RandomInputs:
    """The numbers and sizes of one trial.

    Each method gets the value of the ordinary visible trial, which is returned there, and the
    limits between which every other trial draws. Seed 0 is that of the visible trials.

    Args:
        kind: one of `KINDS`, or other words: any two draw other numbers.
        size: height and width of the ordinary visible pictures.
        heights, widths: limits, both included, of those of others, which are never square.
    """

    def __init__(
        self,
        seed: int,
        kind: str = SEVERAL,
        *,
        size: tuple[int, int] = (10, 14),
        heights: tuple[int, int] = (7, 9),
        widths: tuple[int, int] = (12, 15),
    ) -> None:
        self.kind = kind
        self.drawn = seed != VISIBLE or kind != SEVERAL
        self._random = random.Random(seed if kind == SEVERAL else f"{kind} {seed}")
        self._noise_seed = seed if kind == SEVERAL else self._random.getrandbits(60)
        ordinary = 2 if seed == VISIBLE else LATENTS
        self.batch = {SEVERAL: ordinary, SINGLE: 1, THREE: 3}.get(kind, 2)
        self.channels = 4 if kind == SINGLE else 3
        if kind == SEVERAL:
            height, width = self.whole(size[0], heights), self.whole(size[1], widths)
            # Drawn pictures are upright as often as not.
            is_upright = self.drawn and self.whole(0, (0, 1))
        else:
            # Small, since data/checks holds them. Two kinds of trials have one shape, so
            # that a result that is kept from an earlier call is seen even if it fits.
            shared = random.Random(f"size {seed}")
            height, width = shared.randint(*SMALL[0]), shared.randint(*SMALL[1])
            is_upright = shared.randint(0, 1)
        self.size = (width, height) if is_upright else (height, width)

    def of_kind(self, limits: Mapping[str, Some], otherwise: Some) -> Some:
        """What belongs to the kind of this trial."""
        return limits.get(self.kind, otherwise)

    def whole(self, visible: int, limits: tuple[int, int]) -> int:
        return self._random.randint(*limits) if self.drawn else visible

    def number(self, visible: float, limits: tuple[float, float]) -> float:
        """Rounded to three digits, so that a message can show it."""
        return round(self._random.uniform(*limits), 3) if self.drawn else visible

    def numbers(self, visible: Sequence[float], *bands: tuple[float, float]) -> list[float]:
        """One for each latent, taken from the bands in turn and shuffled."""
        if not self.drawn:
            return list(visible)
        drawn = [self.number(0, bands[latent % len(bands)]) for latent in range(self.batch)]
        return self.shuffled(drawn)

    def wholes(self, visible: Sequence[int], *bands: tuple[int, int]) -> list[int]:
        """One for each latent, taken from the bands in turn and shuffled."""
        if not self.drawn:
            return list(visible)
        drawn = [self.whole(0, bands[latent % len(bands)]) for latent in range(self.batch)]
        return self.shuffled(drawn)

    def one_of(self, visible: Some, others: Sequence[Some]) -> Some:
        return self._random.choice(others) if self.drawn else visible

    def shuffled(self, visible: Sequence[Some]) -> list[Some]:
        """The same in another order."""
        return self._random.sample(visible, len(visible)) if self.drawn else list(visible)

    def signs(self, count: int) -> list[int]:
        """1 or -1; in the ordinary visible trial 1."""
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
        generator = torch.Generator().manual_seed((self._noise_seed + seed) % 2**63)
        return torch.randn(tuple(shape), generator=generator)


def of_kinds(
    draw: Callable[[Any], Case],
    *kinds: str,
    inputs: Callable[[int, str], RandomInputs] = RandomInputs,
) -> Draws:
    """A trial of each of these kinds; `draw` makes the case of one from its random inputs."""
    return of_words(draw, {kind: KINDS[kind] for kind in kinds}, inputs=inputs)


def of_words(
    draw: Callable[[Any], Case],
    words: Mapping[str, str],
    *,
    inputs: Callable[[int, str], RandomInputs] = RandomInputs,
) -> Draws:
    """As `of_kinds`, for a task in which a kind means something else: kind -> its words."""
    return {its: partial(_drawn, draw, inputs, kind) for kind, its in words.items()}


def _drawn(
    draw: Callable[[Any], Case], inputs: Callable[[int, str], RandomInputs], kind: str, seed: int
) -> Case:
    return draw(inputs(seed, kind))


def of_circumstances(
    ordinary: Callable[[Any], Case],
    others: Mapping[str, Callable[[Any], Case]],
    *,
    inputs: Callable[[int, str], RandomInputs] = RandomInputs,
) -> Draws:
    """The ordinary trial and others, each under circumstances in words that it alone has."""
    draws: Draws = {"": partial(_drawn, ordinary, inputs, SEVERAL)}
    for words, draw in others.items():
        draws[words] = partial(_drawn, draw, inputs, words)
    return draws
