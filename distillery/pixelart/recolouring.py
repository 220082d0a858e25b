"""Pixel art in another palette: row for row where it is indexed, by lightness where it is not."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from distillery.core.cells import LOSSY, enlarged_cells
from distillery.core.errors import CourseError
from distillery.core.images import read_any, read_indexed
from distillery.palettes import srgb_to_oklab
from distillery.pixelart.indexed_png import indexed

MOST = 256  # colours of a picture that is not indexed


def read_for_recolouring(path: Path, palette: Tensor) -> tuple[Image.Image, Tensor]:
    """A picture in mode P, and the colours (K, 3) that its rows get.

    They are the palette itself where the file is indexed. Of another picture of few colours the
    darkest gets the palette's darkest colour, and so on; a warning says so, and another one if the
    picture was enlarged, of which only the cells are taken.

    Raises:
        CourseError: it cannot be read, or has too many colours.
    """
    picture = read_indexed(path)
    if picture is None:
        whole = read_any(path)
        taken = _cells(whole, path)
        if whole.format in LOSSY or taken.getcolors(MOST + 1) is None:
            raise CourseError(
                f"{path} is not indexed and has too many colours to be recoloured; take the PNG "
                f"that pixelart wrote, or pixel art of at most {MOST} colours."
            )
        warnings.warn(
            f"{path} is not indexed: its colours get those of the palette from dark to light.",
            stacklevel=2,
        )
        return _by_lightness(taken), palette[srgb_to_oklab(palette)[:, 0].argsort(stable=True)]
    return _cells(picture, path), palette


def _cells(picture: Image.Image, path: Path) -> Image.Image:
    art = enlarged_cells(picture)
    if art is None:
        return picture
    warnings.warn(f"{art.words(path)}: the new picture has one pixel for each.", stacklevel=3)
    return art.picture


def _by_lightness(picture: Image.Image) -> Image.Image:
    """Indexed, the rows from dark to light; what is transparent has the last one."""
    levels = np.asarray(picture.convert("RGBA"))
    alpha = levels[..., 3]
    if not np.isin(alpha, (0, 255)).all():
        raise CourseError(
            "the picture has half-transparent colours, which no recolouring keeps; make each pixel "
            "opaque or transparent."
        )
    colours = np.unique(levels[alpha == 255][:, :3], axis=0)
    lightness = srgb_to_oklab(torch.from_numpy(colours / 255))[:, 0]
    colours = colours[lightness.argsort(stable=True).numpy()]
    packed, keys = (part.astype(np.int64) @ [65536, 256, 1] for part in (levels[..., :3], colours))
    order = np.argsort(keys)
    rows = order[np.searchsorted(keys[order], np.where(alpha == 255, packed, keys[0]))]
    clear = torch.from_numpy(alpha == 0)
    made = indexed(
        torch.from_numpy(rows),
        torch.from_numpy(colours / 255).float(),
        clear if clear.any() else None,
    )
    made.info["prompt"] = picture.info.get("prompt")
    return made
