"""What goes with the Fourier loss: the picture that it is given, and further losses.

Each loss is a mean over the picture, so its weight does not depend on the size, and a sum over the
batch.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from distillery.pixelart.settings import PixelSettings

REACH = 3  # pixels that the bilateral loss looks away
SPACE, COLOUR = 1.0, 0.5  # its two standard deviations: in pixels, and in colours of [-1, 1]


def mirrored(image: Tensor) -> Tensor:
    """A picture (B, C, h, w) with its mirror images beside and below it, (B, C, 2h, 2w).

    A Fourier transform takes a picture for one tile of many: the bottom row of one lies on the top
    row of the next. Where these differ, as sand and sky do, a loss on high frequencies smooths
    across, and draws a line of sand above the sky. Mirrored tiles meet in equal rows.
    """
    wide = torch.cat([image, image.flip(-1)], dim=-1)
    return torch.cat([wide, wide.flip(-2)], dim=-2)


def smoothness(image: Tensor, settings: PixelSettings) -> Tensor:
    """The losses that the settings give a weight, of a picture (B, 3, h, w) in [-1, 1], summed."""
    parts = (
        (settings.tv, total_variation),
        (settings.laplacian, laplacian),
        (settings.bilateral, bilateral),
    )
    total = torch.zeros((), device=image.device)
    for weight, loss in parts:
        if weight:
            total = total + weight * loss(image)
    return total


def total_variation(image: Tensor) -> Tensor:
    """Mean absolute difference of neighbours (Rudin, Osher and Fatemi 1992, the L1 form)."""
    down = (image[..., 1:, :] - image[..., :-1, :]).abs().mean((1, 2, 3))
    across = (image[..., 1:] - image[..., :-1]).abs().mean((1, 2, 3))
    return (down + across).sum()


def laplacian(image: Tensor) -> Tensor:
    """Mean absolute difference of a pixel from the mean of its four neighbours."""
    padded = F.pad(image, (1, 1, 1, 1), mode="replicate")
    around = (
        padded[..., :-2, 1:-1]
        + padded[..., 2:, 1:-1]
        + padded[..., 1:-1, :-2]
        + padded[..., 1:-1, 2:]
    ) / 4
    return (image - around).abs().mean((1, 2, 3)).sum()


def bilateral(image: Tensor) -> Tensor:
    """Differences within `REACH` pixels that are small already, weighed by nearness.

    As in the bilateral filter (Tomasi and Manduchi 1998), an edge between two colours weighs
    little, speckle within one weighs much.
    """
    total = torch.zeros((), device=image.device)
    weights = 0.0
    height, width = image.shape[-2:]
    for down, across in itertools.product(range(REACH + 1), range(-REACH, REACH + 1)):
        if (down, across) <= (0, 0) or down >= height or abs(across) >= width:
            continue  # each pair of pixels once
        rows, left, right = height - down, max(0, -across), max(0, across)
        one = image[..., :rows, left : width - right]
        other = image[..., down:, right : width - left]
        difference = (one - other).abs()
        near = torch.exp(torch.tensor(-(down**2 + across**2) / (2 * SPACE**2))).item()
        alike = torch.exp(-difference.detach().square().sum(1, keepdim=True) / (2 * COLOUR**2))
        total = total + near * (alike * difference).mean((1, 2, 3)).sum()
        weights += near
    return total / max(weights, 1e-12)
