"""The small pictures that the checks are made of."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from grading.stages.inputs.random_inputs import EARLY, LATE, SINGLE, RandomInputs

COLOURS = {
    ".": (0.1, 0.5, 0.85),  # sky
    "~": (-0.7, -0.2, 0.4),  # water
    "#": (0.8, -0.5, -0.6),  # red
    "/": (0.95, 0.95, 0.9),  # sail
    "o": (-0.1, -0.5, -0.75),  # wood
}
BOAT = """
..............
......o.......
....../o......
.....//o/.....
....///o//....
...////o///...
.......o......
..oooooooooo..
~~~oooooooo~~~
~~~~~~~~~~~~~~
"""
HEART = """
..............
...##....##...
..####..####..
..##########..
..##########..
...########...
....######....
.....####.....
......##......
..............
"""
GUIDANCE_SCALE = 7.5
DETAIL = 0.2  # of the contrast of a picture
NAMES = ["a boat", "a heart"]
Bands = tuple[tuple[float, float], ...]


def picture(rows: str) -> Tensor:
    """A picture (3, h, w) in [-1, 1] from rows of the letters of COLOURS."""
    pixels = [[COLOURS[letter] for letter in row] for row in rows.split()]
    return torch.tensor(pixels).permute(2, 0, 1).contiguous()


def pictures(inputs: RandomInputs, count: int = 2) -> Tensor:
    """A boat and a heart, or `count` patches of strong colour that are drawn: (N, C, h, w)."""
    if inputs.drawn:
        return (2.5 * inputs.smooth(100, count, inputs.channels)).tanh()
    return torch.stack([picture(BOAT), picture(HEART)])


def levels(inputs: RandomInputs) -> Tensor:
    """alpha_bar, (B, 1, 1, 1), different for the latents.

    The ordinary ones are far from 0, 1 and a half, where mistakes would hide.
    """
    ordinary: Bands = ((0.75, 0.88), (0.25, 0.4))
    bands: dict[str, Bands] = {
        SINGLE: ((0.1, 0.9),),
        EARLY: ((0.97, 0.998),),
        LATE: ((0.005, 0.03),),
    }
    drawn = inputs.numbers([0.85, 0.35], *inputs.of_kind(bands, ordinary))
    return torch.tensor(drawn).view(-1, 1, 1, 1)


def timesteps(inputs: RandomInputs) -> Tensor:
    """t, int64 (B,), different for the latents; both ends of the schedule are among them."""
    ordinary = ((280, 420), (620, 780))
    bands: dict[str, tuple[tuple[int, int], ...]] = {
        SINGLE: ((100, 900),),
        EARLY: ((0, 0), (20, 40)),
        LATE: ((930, 965), (999, 999)),
    }
    return torch.tensor(inputs.wholes([350, 700], *inputs.of_kind(bands, ordinary)))


def guidance_scale(inputs: RandomInputs) -> float:
    scales = {SINGLE: (1.0, 1.0), EARLY: (0.0, 0.0), LATE: (100.0, 100.0)}
    return inputs.number(GUIDANCE_SCALE, inputs.of_kind(scales, (5.0, 11.0)))


def asked(inputs: RandomInputs) -> list[int]:
    """Which of the two pictures each latent is asked for; both are."""
    return inputs.wholes([0, 1], (0, 0), (1, 1))


def mixed(means: Tensor, first: list[int], shares: list[float]) -> Tensor:
    """Latents (B, C, h, w), each so much of one of the two means and the rest of the other."""
    both = zip(first, shares, strict=True)
    return torch.stack([share * means[i] + (1 - share) * means[1 - i] for i, share in both])


def detailed(inputs: RandomInputs, seed: int, latents: Tensor) -> Tensor:
    """With faint details of their own, so that they are no mixtures of what a prior knows.

    The noises that networks predict are then independent of each other and of the noise put in,
    and it can be told how much of each a result holds.
    """
    return latents + DETAIL * latents.std() * inputs.noise(seed, latents)


def prompts(which: list[int], names: list[str] = NAMES) -> list[str]:
    return [names[i] for i in which]


def mixture_of(means: Tensor, names: list[str] = NAMES) -> dict[str, Any]:
    """The exact prior that knows both pictures: what a case calls its mixture."""
    return {"means": means, "std": 0.3, "names": {name: [i] for i, name in enumerate(names)}}
