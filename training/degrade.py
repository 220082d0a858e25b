"""Degrades large drawings as a decoder or a pixel canvas would."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

CELLS = (24, 32, 48, 64)


def worn_large(images: Tensor, *, seed: int, tint: float = 0.1) -> Tensor:
    """Images (B, 3, H, W) in [-1, 1], a third of them pixelated, most a little blurred and noisy.

    How much of each is drawn for every picture; `tint` is how far a colour channel may go up or
    down, as a factor and as an offset.
    """
    g = torch.Generator(images.device).manual_seed(seed)

    def uniform(low: float, high: float, channels: int = 1) -> Tensor:
        draw = torch.rand(len(images), channels, 1, 1, generator=g, device=images.device)
        return low + (high - low) * draw

    cells, squares = divmod(int(torch.randint(2 * len(CELLS), (), generator=g)), 2)
    coarse = on_cells(images, CELLS[cells], smooth=not squares)
    images = torch.where(uniform(0, 1) < 0.33, coarse, images)
    blurred = on_cells(images, images.shape[-1] // 2, smooth=True)
    images = torch.lerp(images, blurred, uniform(0, 1))
    noise = torch.randn(images.shape, generator=g, device=images.device)
    images = images * uniform(1 - tint, 1 + tint, 3) + uniform(-tint, tint, 3)
    return images * uniform(0.8, 1.1) + noise * uniform(0, 0.12)


def on_cells(images: Tensor, cells: int, *, smooth: bool) -> Tensor:
    """The images averaged on `cells` × `cells` cells and enlarged again, smoothly or to squares."""
    small = F.interpolate(images, (cells, cells), mode="area")
    if smooth:
        return F.interpolate(small, images.shape[-2:], mode="bilinear", align_corners=False)
    return F.interpolate(small, images.shape[-2:], mode="nearest")


def shifted(images: Tensor, *, seed: int, reach: int) -> Tensor:
    """Each image moved by up to `reach` pixels across and down, its border repeated."""
    g = torch.Generator().manual_seed(seed)
    height, width = images.shape[-2:]
    padded = F.pad(images, (reach,) * 4, mode="replicate")
    places = torch.randint(2 * reach + 1, (len(images), 2), generator=g).tolist()
    moved = [
        image[:, down : down + height, across : across + width]
        for image, (down, across) in zip(padded, places, strict=True)
    ]
    return torch.stack(moved)
