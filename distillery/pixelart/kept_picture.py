"""What keeps a grid to its picture: a run without words is led by this alone.

A grid's cell should look like the mean of its pixels, and also like each of them: the mean of a
stripe of black and white is grey, and no pixel is.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from distillery.palettes import oklab_to_srgb, srgb_to_oklab

PIXELS = 0.3  # how much the pixels of a cell count beside their mean
ROUNDS, MEDIAN_STEPS = 15, 20
NEAREST = 1e-4  # a distance in OKLab that nobody sees; nearer points weigh no more


def misfit(picture: Tensor, palette: Tensor, size: tuple[int, int]) -> Tensor:
    """How far each colour is from each cell, in OKLab: (1, K, h, w).

    Args:
        picture: (1, 3, H, W) in [-1, 1].
        palette: (K, 3), sRGB in [0, 1].
        size: (h, w) of the grid.
    """
    pixels, colours = _lab(picture), srgb_to_oklab(palette)
    cells = _lab(F.interpolate(picture, size, mode="area"))
    # One colour after another: all at once would be as many pictures of the canvas's size.
    maps = [
        (cells - colour).norm(dim=1, keepdim=True)
        + PIXELS * F.interpolate((pixels - colour).norm(dim=1, keepdim=True), size, mode="area")
        for colour in colours.view(-1, 3, 1, 1)
    ]
    return torch.cat(maps, dim=1)


def refined(
    picture: Tensor, palette: Tensor, size: tuple[int, int], clear: Tensor | None = None
) -> Tensor:
    """The palette, each colour moved to where its cells are nearest to it: K-medians in OKLab.

    The means that `palette` may be of have the least squared distances; the medians (Weiszfeld
    1937) have the least distances. Colours stay distinct and exact in 8 bits.

    Args:
        picture: (1, 3, H, W) in [-1, 1].
        palette: (K, 3), sRGB in [0, 1].
        size: (h, w) of the grid.
        clear: bool (h, w), the cells that nobody sees.
    """
    pixels = _lab(picture).movedim(1, 3).reshape(-1, 3)
    cells = _lab(F.interpolate(picture, size, mode="area")).movedim(1, 3).reshape(-1, 3)
    seen = torch.ones(size, dtype=torch.bool, device=picture.device) if clear is None else ~clear
    weight = PIXELS * len(cells) / len(pixels)
    moved = palette
    for _ in range(ROUNDS):
        rows = misfit(picture, moved, size).argmin(dim=1)[0].masked_fill(~seen, -1)
        of_pixels = F.interpolate(rows[None, None].float(), picture.shape[-2:], mode="nearest")
        rows, of_pixels = rows.flatten(), of_pixels.flatten().long()
        middles = []
        for number, start in enumerate(srgb_to_oklab(moved)):
            own, its = cells[rows == number], pixels[of_pixels == number]
            weights = torch.cat([own.new_ones(len(own)), own.new_full((len(its),), weight)])
            middles.append(_median(torch.cat([own, its]), weights, start) if len(own) else start)
        moved = oklab_to_srgb(torch.stack(middles)).clamp(0, 1)
    levels = (255 * moved).round()
    if len(levels.unique(dim=0)) < len(palette):
        return palette
    moved = levels / 255
    return moved[srgb_to_oklab(moved)[:, 0].argsort()]


def _lab(picture: Tensor) -> Tensor:
    """(1, 3, H, W) in [-1, 1] to OKLab, (1, 3, H, W)."""
    return srgb_to_oklab((picture.movedim(1, 3) + 1) / 2).movedim(3, 1)


def _median(points: Tensor, weights: Tensor, start: Tensor) -> Tensor:
    """The point of the least weighted distances to points (N, 3), from a start (3,)."""
    middle = start
    for _ in range(MEDIAN_STEPS):
        pulls = (weights / (points - middle).norm(dim=1).clamp(min=NEAREST))[:, None]
        middle = (pulls * points).sum(dim=0) / pulls.sum()
    return middle
