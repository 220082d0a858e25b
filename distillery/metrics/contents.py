"""What is in a picture of any size: its things, with the judge's name for each, and its scene."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from distillery.metrics.counter import Counter, Thing
from distillery.metrics.judge import SIZE, Judge
from distillery.toybox import Factors

MARGIN = 1.6  # how much wider than a thing the square is that the judge sees
GROWN = 5  # pixels; how wide a line round another thing still belongs to it, twice and one more


@dataclass(frozen=True)
class Contents:
    """`things` from left to right, `names`, what the judge says of each, and `scene`, its word."""

    things: tuple[Thing, ...]
    names: tuple[Factors, ...]
    scene: str

    def one_right(self, wanted: Factors) -> bool:
        """Exactly one thing, of the wanted kind and colour."""
        kinds = [(name.thing, name.colour) for name in self.names]
        return kinds == [(wanted.thing, wanted.colour)]

    def one_of_the_kind(self, wanted: Factors) -> bool:
        """Exactly one thing, of the wanted kind in any colour."""
        return [name.thing for name in self.names] == [wanted.thing]

    def twice(self, wanted: Factors) -> bool:
        """The wanted thing, in any colour, more than once."""
        return [name.thing for name in self.names].count(wanted.thing) > 1

    def scene_right(self, wanted: Factors) -> bool:
        """The scene is the wanted one."""
        return self.scene == wanted.scene


def named(images: Tensor, *, counter: Counter, judge: Judge) -> list[Contents]:
    """What is in each of the images (B, 3, H, W) in [-1, 1].

    The judge knows square pictures with one thing. So it is shown a square round each thing, the
    others covered in the mean colour of what is left, and for the scene the whole picture, squeezed
    into a square.

    Raises:
        CourseError: as `Counter.things`.
    """
    found = counter.things(images)
    scenes = [factors.scene for factors in judge.factors(as_judged(images))]
    crops = [
        as_judged(crop(image, things, number))
        for image, things in zip(images, found, strict=True)
        for number in range(len(things))
    ]
    names = iter(judge.factors(torch.cat(crops)) if crops else ())
    return [
        Contents(tuple(things), tuple(next(names) for _ in things), scene)
        for things, scene in zip(found, scenes, strict=True)
    ]


def crop(image: Tensor, things: list[Thing], number: int) -> Tensor:
    """A square of an image (3, H, W) round one of its things, the others covered; (1, 3, s, s)."""
    top, left, bottom, right = square_round(things[number].box, tuple(image.shape[1:]))
    part = image[None, :, top:bottom, left:right]
    others = torch.zeros(1, 1, *image.shape[1:])
    for k, thing in enumerate(things):
        if k != number:
            others += thing.mask
    others = F.max_pool2d(others, GROWN, 1, GROWN // 2) > 0
    covered = (others & ~things[number].mask)[..., top:bottom, left:right]
    seen = ~covered
    mean = (part * seen).sum((2, 3), keepdim=True) / seen.sum().clamp(min=1)
    return torch.where(covered, mean, part)


def square_round(
    box: tuple[int, int, int, int], size: tuple[int, ...]
) -> tuple[int, int, int, int]:
    """The square `MARGIN` times as wide as a box, moved and made smaller to fit into the picture.

    Args:
        box: top, left, bottom, right in pixels.
        size: of the picture, (H, W).
    """
    top, left, bottom, right = box
    side = min(round(MARGIN * max(bottom - top, right - left)), *size)
    corner = [
        min(max(0, round((low + high - side) / 2)), length - side)
        for low, high, length in ((top, bottom, size[0]), (left, right, size[1]))
    ]
    return corner[0], corner[1], corner[0] + side, corner[1] + side


def as_judged(images: Tensor) -> Tensor:
    """Images of any size as the judge takes them, (B, 3, 64, 64), smoothly resized."""
    return F.interpolate(images, (SIZE, SIZE), mode="bilinear", antialias=True, align_corners=False)
