"""The input image of pixel art on its grid: cell by cell where it is pixel art already."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps
from torch import Tensor

from distillery.core.cells import LOSSY, blocks_of, enlarged_cells
from distillery.core.images import fit, from_pil, read_any, to_rgb
from distillery.methods.source_image import check_shape
from distillery.pixelart.settings import PixelSettings

OPAQUE = 0.5  # of a cell, from which on it is drawn
FEW = 256  # colours, up to which a picture is a drawing, and overshooting filters show


@dataclass(frozen=True)
class InputPicture:
    """What a run with an input image begins from.

    small:   its colours on the grid, (1, 3, h, w) in [-1, 1]; what is transparent is white.
    picture: the same at the canvas's size, (1, 3, H, W).
    clear:   (h, w) bool, the cells that stay transparent, or None.
    """

    small: Tensor
    picture: Tensor
    clear: Tensor | None


def read_input(settings: PixelSettings) -> InputPicture:
    """The input image of the settings.

    A picture that is the grid already, each cell a square of one colour, is copied cell by cell;
    so is one of which every pixel or cell fills several cells of the grid. Of all others a cell
    gets the mean of its pixels, as far as they are opaque.

    Raises:
        CourseError: it cannot be read, or is so long that hardly any of it would be seen.
    """
    path = Path(settings.input_image)
    # A JPEG decoded at twice the frame's size loses nothing that the frame could show.
    whole = read_any(path, enough=2 * max(settings.canvas))
    cells = _cells(whole, settings)
    if cells is not None:
        return _copied(cells, settings)
    check_shape(path, whole.size, settings.canvas)
    if whole.mode == "RGBA" and np.asarray(whole.getchannel("A")).min() < 255:
        return _averaged(whole, settings)
    is_drawing = whole.format not in LOSSY and whole.getcolors(FEW) is not None
    flat = to_rgb(_boxes(whole, settings.canvas) if is_drawing else fit(whole, settings.canvas))
    picture = from_pil(flat)
    return InputPicture(F.interpolate(picture, settings.size, mode="area"), picture, None)


def _cells(whole: Image.Image, settings: PixelSettings) -> Image.Image | None:
    """The picture with one pixel for each cell of the grid, if its own cells go into those."""
    found, (height, width) = enlarged_cells(whole), settings.size
    cells = blocks_of(whole, settings.size)
    art = whole if found is None else found.picture
    times = width // art.width
    if cells is None and (times * art.width, times * art.height) == (width, height):
        cells = art.resize((width, height), Image.Resampling.NEAREST)
    if found is not None:
        keeping = f"a grid of size {art.height},{art.width} would keep each; this one mixes them"
        does = keeping if cells is None else "each is copied into the grid"
        warnings.warn(f"{found.words(settings.input_image)}: {does}.", stacklevel=3)
    return cells


def _copied(cells: Image.Image, settings: PixelSettings) -> InputPicture:
    keeps = settings.transparent and cells.mode == "RGBA"
    small, clear = from_pil((cells if keeps else to_rgb(cells)).convert("RGB")), None
    if keeps:
        clear = torch.from_numpy(np.array(cells.getchannel("A")) < 255 * OPAQUE)
        small = small.masked_fill(clear, 1.0)
        clear = clear if clear.any() else None
    picture = F.interpolate(small, settings.canvas, mode="nearest-exact")
    return InputPicture(small, picture, clear)


def _averaged(whole: Image.Image, settings: PixelSettings) -> InputPicture:
    """Means of what is opaque: what is transparent has no colour that could get into them."""
    levels = np.array(_boxes(whole, settings.canvas), np.float32) / 255
    pixels = torch.from_numpy(levels).permute(2, 0, 1)[None]
    colours, alpha = 2 * pixels[:, :3] - 1, pixels[:, 3:]
    if settings.transparent:
        small, clear = opaque_means(colours, alpha, settings.size)
        fill = F.interpolate(small, settings.canvas, mode="nearest-exact")
        return InputPicture(small, alpha * colours + (1 - alpha) * fill, clear)
    return _over_white(colours, alpha, settings)


def _over_white(colours: Tensor, alpha: Tensor, settings: PixelSettings) -> InputPicture:
    """The picture over white, without white in the cells that an edge crosses.

    A cell that is covered by half or more has the colour of what covers it alone, which is mixed
    with white as far as that is half transparent itself, like glass. All other cells are white.
    """
    size, canvas = settings.size, settings.canvas
    means, _ = opaque_means(colours, alpha, size, least=0.0)
    own = F.adaptive_max_pool2d(alpha, size)  # the alpha of what covers the cell, where it does
    share = F.interpolate(alpha, size, mode="area") / own.clamp(min=1e-6)
    small = torch.where(share >= OPAQUE, own * means + (1 - own), torch.ones_like(means))
    fill, within = (F.interpolate(part, canvas, mode="nearest-exact") for part in (small, own))
    covered = (alpha / within.clamp(min=1e-6)).clamp(max=1)
    seen = within * colours + (1 - within)
    return InputPicture(small, covered * seen + (1 - covered) * fill, None)


def opaque_means(
    colours: Tensor, alpha: Tensor, size: tuple[int, int], *, least: float = OPAQUE
) -> tuple[Tensor, Tensor]:
    """The mean colours of cells, weighted by their pixels' alpha, and which cells are clear.

    Args:
        colours: (1, 3, H, W), not multiplied by alpha.
        alpha: (1, 1, H, W) in [0, 1].
        size: of the grid (h, w).
        least: mean alpha of a cell, below which it is clear.

    Returns:
        (1, 3, h, w), 1.0 in clear cells, and bool (h, w).
    """
    covered = F.interpolate(alpha, size, mode="area")
    means = F.interpolate(alpha * colours, size, mode="area") / covered.clamp(min=1e-6)
    clear = covered[0, 0] < least
    return means.masked_fill(clear, 1.0), clear


def _boxes(whole: Image.Image, canvas: tuple[int, int]) -> Image.Image:
    """Fitted into the canvas by means over boxes, which never leave the range of their pixels."""
    return ImageOps.fit(whole, canvas[::-1], Image.Resampling.BOX)
