"""Painting operators besides the Gaussian one that students write: what makes a picture coarse.

Each is for pictures (B, 3, H, W) of any size, square or not, is sized as a part of the picture's
shorter side, and gives a gradient, so that it can stand in the faithfulness loss of GradOP+ (Singh,
Gould and Zheng 2023, arXiv 2211.17084). Its authors call the median with a small palette the more
faithful one; they used the Gaussian.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, interpolate, pad, unfold

from distillery.core.errors import CourseError
from distillery.core.images import to_pil
from distillery.methods.strokes import Paint, Painting, StrokeFunctions

OPERATORS = ("gaussian", "area", "median")
COLOURS = 6
MEDIAN = 3  # cells across the median's window


def operator(name: str, functions: StrokeFunctions, painting: Painting, width: float) -> Paint:
    """The painting operator of that name for the pictures of one painting each.

    Args:
        name: one of `OPERATORS`.
        functions: the student's module, whose `paint` is the Gaussian one.
        width: sigma of the Gaussian, the side of the squares or of the median's window, as a part
            of the picture's shorter side.

    Raises:
        CourseError: there is no such operator.
    """
    if name not in OPERATORS:
        raise CourseError(f"unknown painting operator {name!r}: choose {', '.join(OPERATORS)}.")
    if name == "gaussian":
        return partial(functions.paint, width=width)
    if name == "area":
        return partial(area, width=width)
    return partial(median_in_palette, width=width, palettes=palettes_of(painting.image))


def area(images: Tensor, *, width: float) -> Tensor:
    """Means over squares, each drawn as one colour; linear.

    The squares' sides are `width` of the shorter side, or a little off, so that they fill H and W.
    """
    return interpolate(_cells(images, width), images.shape[-2:], mode="nearest-exact")


def median_in_palette(images: Tensor, *, width: float, palettes: Tensor) -> Tensor:
    """Medians over a window, in the nearest colours of a palette; not linear.

    The median of each colour channel takes 3 x 3 cells, as wide as the window together, so its cost
    does not grow with the picture. It hands its gradient to the cell that is the median. The choice
    of a colour has no gradient; it is passed straight through (Bengio et al. 2013, arXiv
    1308.3432), as if the colour were the median itself.

    Args:
        width: of the window.
        palettes: the colours of each picture, (B, K, 3) or (1, K, 3).
    """
    cells = _cells(images, width / MEDIAN)
    batch, channels, height, across = cells.shape
    windows = unfold(pad(cells, (MEDIAN // 2,) * 4, mode="replicate"), MEDIAN)
    medians = windows.view(batch, channels, MEDIAN**2, height, across).median(dim=2).values
    colours = nearest(medians.detach(), palettes)
    painted = medians + (colours - medians.detach())
    return interpolate(painted, images.shape[-2:], mode="nearest-exact")


def nearest(images: Tensor, palettes: Tensor) -> Tensor:
    """Each pixel's nearest colour of its picture's palette; (B, 3, H, W)."""
    pixels = images.permute(0, 2, 3, 1).flatten(1, 2)
    palettes = palettes.expand(len(images), -1, -1)
    choice = torch.cdist(pixels, palettes).argmin(2)
    chosen = palettes.gather(1, choice[:, :, None].expand(-1, -1, 3))
    return chosen.mT.reshape(images.shape)


def palettes_of(images: Tensor, colours: int = COLOURS) -> Tensor:
    """The main colours of each picture by median cut, (B, colours, 3).

    A picture of fewer colours has some of them more than once.
    """
    found = []
    for picture in to_pil(images.detach().clamp(-1, 1)):
        few = picture.quantize(colours, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
        used = np.unique(np.asarray(few.convert("RGB")).reshape(-1, 3), axis=0)
        found.append(np.resize(used, (colours, 3)))
    return torch.from_numpy(np.stack(found)).to(images) / 127.5 - 1


def _cells(images: Tensor, width: float) -> Tensor:
    """Means over cells, `width` of the shorter side, at least one pixel."""
    height, across = images.shape[-2:]
    side = max(1.0, width * min(height, across))
    return adaptive_avg_pool2d(images, (max(1, round(height / side)), max(1, round(across / side))))
