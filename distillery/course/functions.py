"""Functions that a case hands over as arguments, named in data/checks with their settings.

Only what `FUNCTIONS` lists can be named, so that data never runs code of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from distillery.core.errors import CourseError

OfTensor = Callable[[Tensor], Tensor]


def area_means(rows: int, columns: int) -> OfTensor:
    """Pictures (B, C, H, W) in so many flat tiles, each the mean of what is below it. Linear."""

    def paint(images: Tensor) -> Tensor:
        tiles = F.adaptive_avg_pool2d(images, (rows, columns))
        return F.interpolate(tiles, images.shape[-2:], mode="nearest")

    return paint


def smear(weights: Sequence[float]) -> OfTensor:
    """Each pixel with so much of the pixels left of it; beyond the left border is nothing. Linear.

    Args:
        weights: of the pixel itself, of its neighbour, of the next one and so on.
    """

    def paint(images: Tensor) -> Tensor:
        width = images.shape[-1]
        parts = (
            weight * F.pad(images, (distance, 0))[..., :width]
            for distance, weight in enumerate(weights)
        )
        return torch.stack(tuple(parts)).sum(0)

    return paint


def valleys(centres: Sequence[float], curvatures: Sequence[float], kink: float) -> OfTensor:
    """A loss (B,) of latents (B, C, h, w) with a centre and a curvature for each of the batch.

    Columns on the right are steeper than those on the left, by a factor of 3. The kink is a ridge
    at 0, whose slope hardly depends on the distance. So Adam's steps are no mere signs. Its top is
    round, so that no rounding decides on which side of 0 a number is.
    """

    def loss_of(latents: Tensor) -> Tensor:
        each = (-1, 1, 1, 1)
        slopes = torch.linspace(0.5, 1.5, latents.shape[-1])
        away = latents - torch.tensor(centres).view(each)
        bowls = torch.tensor(curvatures).view(each) * slopes * away.square()
        return (bowls + kink * (latents.square() + 0.01).sqrt()).sum((1, 2, 3))

    return loss_of


def looks_around(slope: float, growth: float, answers: int = 1) -> OfTensor:
    """Noise that a network might predict in views (K, B, C, a, b), as (K, B, answers * C, a, b).

    That of a cell depends on its neighbours in the view, on its place there and on the number of
    its view, so that each of them is seen if it is wrong.

    Args:
        slope: how much more a place adds than the one before it.
        growth: by what part of its size the answer grows from view to view.
        answers: how many are given, one after the other along the channels.

    Raises:
        CourseError: from the answer, if the views have another number of axes.
    """

    def predict(views: Tensor) -> Tensor:
        if views.dim() != 5:
            raise CourseError(
                "predict is asked about views (K, B, C, a, b), five axes; these have the shape "
                f"{tuple(views.shape)}."
            )
        left = F.pad(views, (1, 0))[..., :-1]
        below = F.pad(views, (0, 0, 0, 1))[..., 1:, :]
        down, across = (torch.arange(side, dtype=views.dtype) for side in views.shape[-2:])
        place = slope * (down[:, None] - 2 * across)
        number = torch.arange(len(views)).view(-1, 1, 1, 1, 1)
        parts = [
            0.5 * views + 0.3 * (1 + part) * left - 0.2 * below + place for part in range(answers)
        ]
        return (1 + growth * number) * torch.cat(parts, dim=2)

    return predict


FUNCTIONS: dict[str, Callable[..., OfTensor]] = {
    "area means": area_means,
    "smear": smear,
    "valleys": valleys,
    "looks around": looks_around,
}


class Counted:
    """A function that counts its calls."""

    def __init__(self, function: OfTensor) -> None:
        self._function = function
        self.calls = 0

    def __call__(self, given: Tensor) -> Tensor:
        self.calls += 1
        return self._function(given)


def named(settings: dict[str, Any]) -> Counted:
    """The function of these settings: "function" is its name, the rest are its arguments.

    Raises:
        CourseError: no function has that name.
    """
    name = settings["function"]
    if name not in FUNCTIONS:
        raise CourseError(f"a case has the functions {', '.join(FUNCTIONS)}, not {name!r}.")
    return Counted(
        FUNCTIONS[name](**{key: its for key, its in settings.items() if key != "function"})
    )
