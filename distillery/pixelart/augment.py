"""Random views of the canvas, the same for the picture and for the ControlNets' inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from distillery.models.prior import Control

if TYPE_CHECKING:
    from distillery.pixelart.settings import PixelSettings

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
CORNERS = ((-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0))


def augment(
    image: Tensor,
    controls: Sequence[Control],
    *,
    settings: PixelSettings,
    generator: torch.Generator,
) -> tuple[Tensor, list[Control]]:
    """Mirror, tilt and grey the picture (B, 3, H, W) by chance; the controls mirror and tilt along.

    Everything is drawn and done on the generator's device in one resampling. A tilt moves corners
    inward, so nothing from outside the picture is ever seen.
    """
    batch, device = len(image), image.device
    mirrored = _chance(batch, settings.mirror, generator)
    grey = _chance(batch, settings.grayscale, generator)
    tilted = _chance(batch, settings.perspective, generator)
    shifts = torch.rand(batch, 4, 2, generator=generator, device=device)
    if settings.mirror or settings.perspective:
        corners = torch.tensor(CORNERS, device=device)
        inward = shifts * settings.perspective_scale * tilted[:, None, None]
        grid = _view(corners * (1 - inward), image.shape[-2:])
        sign = 1 - 2 * mirrored
        grid = grid * torch.stack([sign, torch.ones_like(sign)], dim=1)[:, None, None]
        pictures = [image, *(control.image for control in controls)]
        image, *maps = _resample(pictures, grid)
        controls = [replace(c, image=m) for c, m in zip(controls, maps, strict=True)]
    if settings.grayscale:
        luma = torch.einsum("bchw,c->bhw", image, torch.tensor(LUMA, device=device))[:, None]
        image = torch.lerp(image, luma.expand_as(image), grey[:, None, None, None])
    return image, list(controls)


def _chance(batch: int, probability: float, generator: torch.Generator) -> Tensor:
    """1.0 with that probability, else 0.0; (B,)."""
    draw = torch.rand(batch, generator=generator, device=generator.device)
    return (draw < probability).float()


def _view(corners: Tensor, size: Sequence[int]) -> Tensor:
    """Where a view whose corners lie at `corners` (B, 4, 2) reads from, (B, H, W, 2).

    A projective map (x, y, 1) -> (a x + b y + c, d x + e y + f) / (g x + h y + 1) from the square's
    corners to these; each corner gives two linear equations for the eight numbers.
    """
    batch, (height, width) = len(corners), size
    rows, right = [], []
    for k, (x, y) in enumerate(CORNERS):
        u, v = corners[:, k, 0], corners[:, k, 1]
        one, zero = torch.ones_like(u), torch.zeros_like(u)
        rows += [
            torch.stack([x * one, y * one, one, zero, zero, zero, -x * u, -y * u], dim=1),
            torch.stack([zero, zero, zero, x * one, y * one, one, -x * v, -y * v], dim=1),
        ]
        right += [u, v]
    numbers = torch.linalg.solve(torch.stack(rows, dim=1), torch.stack(right, dim=1))
    matrix = torch.cat([numbers, torch.ones_like(numbers[:, :1])], dim=1).view(batch, 3, 3)
    down = (torch.arange(height, device=corners.device) + 0.5) * 2 / height - 1
    across = (torch.arange(width, device=corners.device) + 0.5) * 2 / width - 1
    grid_y, grid_x = torch.meshgrid(down, across, indexing="ij")
    points = torch.stack([grid_x, grid_y, torch.ones_like(grid_x)], dim=-1)
    mapped = torch.einsum("bij,hwj->bhwi", matrix, points)
    return mapped[..., :2] / mapped[..., 2:]


def _resample(pictures: Sequence[Tensor], grid: Tensor) -> list[Tensor]:
    """All pictures, of one size, read through one grid at once."""
    batch, channels = len(pictures[0]), [picture.shape[1] for picture in pictures]
    whole = torch.cat([picture.expand(batch, -1, -1, -1) for picture in pictures], dim=1)
    seen = F.grid_sample(whole, grid, padding_mode="border", align_corners=False)
    return list(seen.split(channels, dim=1))
