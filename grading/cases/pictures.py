"""The small pictures, and the noise, that the checks are made of."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

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


def picture(rows: str) -> Tensor:
    """A picture (3, h, w) in [-1, 1] from rows of the letters of COLOURS."""
    pixels = [[COLOURS[letter] for letter in row] for row in rows.split()]
    return torch.tensor(pixels).permute(2, 0, 1).contiguous()


def pictures() -> Tensor:
    return torch.stack([picture(BOAT), picture(HEART)])


def noise(seed: int, like: Tensor) -> Tensor:
    return torch.randn(like.shape, generator=torch.Generator().manual_seed(seed))


def levels() -> Tensor:
    """Far from 0, 1 and a half, where mistakes would hide, and different for the two latents."""
    return torch.tensor([0.85, 0.35]).view(2, 1, 1, 1)


def boats_and_hearts() -> dict[str, Any]:
    """The exact prior that knows both pictures: what a case calls its mixture."""
    return {"means": pictures(), "std": 0.3, "names": {"a boat": [0], "a heart": [1]}}
