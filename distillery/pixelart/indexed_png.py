"""Output files of pixel art: indexed PNGs, layers, recolouring.

An indexed picture (PIL's mode "P") holds palette rows, not colours, so nothing can come between.
Index pictures are int64 (h, w), palettes float32 (K, 3) in [0, 1].
"""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from distillery.core.counting import counted
from distillery.core.errors import CourseError


def indexed(indices: Tensor, palette: Tensor, clear: Tensor | None = None) -> Image.Image:
    """The picture with exactly this palette; cells of `clear` (h, w) are transparent.

    Transparent cells have a row of their own behind the palette's, so K + 1 may be 256 at most.

    Raises:
        CourseError: there are more colours than an indexed PNG can hold.
    """
    check_rows(palette, clear)
    grid = indices.cpu().to(torch.uint8)
    if clear is not None:
        grid = grid.masked_fill(clear.cpu(), len(palette))
    picture = Image.fromarray(grid.numpy(), mode="P")
    levels = (palette.cpu() * 255).round().to(torch.uint8).flatten().tolist()
    picture.putpalette(levels + [255, 255, 255] * (clear is not None))
    if clear is not None:
        picture.info["transparency"] = len(palette)
    return picture


def check_rows(palette: Tensor, clear: Tensor | None) -> None:
    """Refuse what an indexed PNG cannot hold.

    Raises:
        CourseError: there are more than 256 colours, the transparent one included.
    """
    rows = len(palette) + (clear is not None)
    if rows > 256:
        among = ", one of them for what is transparent" if clear is not None else ""
        raise CourseError(
            f"an indexed PNG holds 256 colours; this palette needs {rows}{among}: name a smaller "
            "palette."
        )


def layers(weights: Tensor, palette: Tensor) -> list[Image.Image]:
    """For each colour an RGBA picture of it alone; its alpha is its weight, weights (K, h, w)."""
    levels = (palette.cpu() * 255).round().to(torch.uint8).numpy()
    alphas = (weights.detach().cpu().clamp(0, 1) * 255).round().to(torch.uint8).numpy()
    pictures = []
    for colour, alpha in zip(levels, alphas, strict=True):
        flat = np.broadcast_to(colour, (*alpha.shape, 3))
        pictures.append(Image.fromarray(np.dstack([flat, alpha])))
    return pictures


def recoloured(picture: Image.Image, palette: Tensor) -> Image.Image:
    """The same indexed picture in another palette of as many colours, row for row.

    Raises:
        CourseError: the picture is not indexed, or the palettes differ in length.
    """
    if picture.mode != "P":
        raise CourseError(
            f"only an indexed picture can be recoloured; this one is {picture.mode}: take the PNG "
            "that pixelart wrote."
        )
    row = picture.info.get("transparency")
    if not (row is None or isinstance(row, int)):
        raise CourseError(
            "the picture has half-transparent colours, which no recolouring keeps; take the PNG "
            "that pixelart wrote."
        )
    held = len(picture.getpalette() or []) // 3 - (row is not None)
    if held != len(palette):
        raise CourseError(
            f"the picture has {counted(held, 'colour')} and the new palette {len(palette)}; "
            "give one of the same length."
        )
    indices = torch.from_numpy(np.array(picture)).long()
    if row is None:
        return indexed(indices, palette)
    # The transparent row may stand anywhere in a picture that another program saved.
    return indexed(indices - (indices > row).long(), palette, indices == row)
