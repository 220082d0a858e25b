"""The counter: which things are in a toybox picture of any size. It measures the course."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from distillery.core.errors import CourseError
from distillery.core.files import REPOSITORY

UNIT = 16  # the network halves a picture four times
SMALL = 64  # pictures whose shorter side is longer are seen at half their size
FAR = 8.0  # an arrow of length 1 reaches so many cells
CERTAIN = 0.35  # how high the spot in a middle must be
LEAST = 6  # cells of a thing


class CounterNet(nn.Module):
    """A U-Net on cells of 2 × 2 pixels, from (B, 3, H, W) in [-1, 1] to (B, 4, H/2, W/2).

    For every cell: logits for being on a thing and for being in a thing's middle, and an arrow
    (down, right) to the middle of its thing, in units of `FAR` cells. H and W are multiples of
    `UNIT`.
    """

    def __init__(self, widths: Sequence[int] = (24, 40, 56, 64)) -> None:
        super().__init__()
        self.widths = tuple(widths)
        first, *deeper = self.widths
        self.first = nn.Sequential(_block(12, first), _block(first, first))
        self.down = nn.ModuleList()
        self.up = nn.ModuleList()
        channels = first
        for number, width in enumerate(deeper):
            last = number == len(deeper) - 1
            self.down.append(_block(channels, width, stride=2, again=not last))
            self.up.append(_block(channels + width, channels, again=number == 0))
            channels = width
        self.head = nn.Conv2d(first, 4, 1)

    def forward(self, images: Tensor) -> Tensor:
        """What is above, of each cell."""
        maps = [self.first(F.pixel_unshuffle(images, 2))]
        for down in self.down:
            maps.append(down(maps[-1]))
        x = maps.pop()
        for up in reversed(self.up):
            x = F.interpolate(x, scale_factor=2.0, mode="nearest")
            x = up(torch.cat([x, maps.pop()], dim=1))
        return self.head(x)


def _block(channels: int, out: int, *, stride: int = 1, again: bool = False) -> nn.Sequential:
    layers: list[nn.Module] = []
    for step in (stride, 1) if again else (stride,):
        layers += [nn.Conv2d(channels, out, 3, step, 1), nn.GroupNorm(8, out), nn.SiLU()]
        channels = out
    return nn.Sequential(*layers)


def cell_of(size: Sequence[int]) -> int:
    """How wide a cell is in a picture of `size` (H, W), in pixels: 2, or 4 in large pictures."""
    return 2 if min(size) <= SMALL else 4


def as_seen(images: Tensor) -> Tensor:
    """The pictures as the network takes them: at half their size if large, and padded."""
    if cell_of(images.shape[-2:]) == 4:
        images = F.avg_pool2d(images, 2)
    height, width = images.shape[-2:]
    return F.pad(images, (0, -width % UNIT, 0, -height % UNIT), mode="replicate")


@dataclass(frozen=True)
class Thing:
    """A thing that was found: `mask` (H, W) bool, on its cells."""

    mask: Tensor

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Top, left, bottom and right of the mask in pixels; bottom and right are beyond it."""
        rows, columns = torch.nonzero(self.mask, as_tuple=True)
        low, high = (rows.min(), columns.min()), (rows.max(), columns.max())
        return int(low[0]), int(low[1]), int(high[0]) + 1, int(high[1]) + 1


class Counter:
    """Finds the things in pictures of any size; load it with `Counter.load()`.

    The network says which cells are on a thing, which are in a thing's middle, and where the middle
    of each cell's thing is. There are as many things as middles; a cell belongs to the middle that
    its arrow comes nearest to. The idea is Panoptic-DeepLab's (Cheng et al. 2020,
    https://arxiv.org/abs/1911.10194), without classes.
    """

    def __init__(self, net: CounterNet) -> None:
        self.net = net.eval().requires_grad_(False)

    @classmethod
    def load(cls, folder: Path | None = None) -> Counter:
        """The counter that ships with the course, or one from another folder."""
        folder = folder or REPOSITORY / "data" / "models" / "counter"
        net = CounterNet(**json.loads((folder / "config.json").read_text("utf-8")))
        weights = load_file(folder / "model.safetensors")
        net.load_state_dict({name: weight.float() for name, weight in weights.items()})
        return cls(net)

    @torch.no_grad()
    def things(self, images: Tensor) -> list[list[Thing]]:
        """The things in each of the images (B, 3, H, W) in [-1, 1], the leftmost first.

        Raises:
            CourseError: not images of this shape, with sides that are multiples of 8.
        """
        shape = tuple(images.shape)
        if len(shape) != 4 or shape[1] != 3 or 0 in shape or shape[2] % 8 or shape[3] % 8:
            raise CourseError(
                "the counter wants images (B, 3, H, W), H and W multiples of 8, "
                f"but got the shape {shape}; crop or enlarge them."
            )
        cell = cell_of(shape[-2:])
        told = self.net(as_seen(images.float()))
        told = told[..., : shape[2] // cell, : shape[3] // cell]
        return [_things(one, cell) for one in told]


def _things(told: Tensor, cell: int) -> list[Thing]:
    """The things in what the network told of one picture, (4, h, w)."""
    on, spots = told[:2].sigmoid()
    rows, columns = torch.nonzero(on > 0.5, as_tuple=True)
    aims = torch.stack([rows, columns], 1) + FAR * told[2:, rows, columns].T
    middles, owner = _shared(aims, _middles(spots))
    found = []
    for k in middles[:, 1].argsort().tolist():
        mask = torch.zeros_like(on, dtype=torch.bool)
        mask[rows[owner == k], columns[owner == k]] = True
        found.append(Thing(mask.repeat_interleave(cell, 0).repeat_interleave(cell, 1)))
    return found


def _middles(spots: Tensor) -> Tensor:
    """Where spots (h, w) is highest among its neighbours and high enough, (N, 2)."""
    highest = F.max_pool2d(spots[None, None], 5, 1, 2)[0, 0]
    return torch.nonzero((spots == highest) & (spots > CERTAIN))


def _shared(aims: Tensor, middles: Tensor) -> tuple[Tensor, Tensor]:
    """Middles (N, 2) that have cells enough, and for each aim (C, 2) the number of its own."""
    while True:
        if not len(middles):
            return middles, torch.full((len(aims),), -1)
        owner = torch.cdist(aims, middles.float()).argmin(1)
        enough = torch.bincount(owner, minlength=len(middles)) >= LEAST
        if enough.all():
            return middles, owner
        middles = middles[enough]
