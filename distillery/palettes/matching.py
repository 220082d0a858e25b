"""Pictures in a palette's colours, as int64 indices `(B, H, W)` of its rows."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from distillery.core.errors import CourseError
from distillery.core.images import to_pil
from distillery.palettes.colours import checked, srgb_to_oklab

Space = Literal["srgb", "oklab"]
SPACES: tuple[Space, ...] = get_args(Space)
AT_ONCE = 2**18  # distances; what fits into a processor's cache


@torch.no_grad()
def nearest(image: Tensor, palette: Tensor, *, space: Space = "srgb") -> Tensor:
    """The nearest colour of `palette` `(K, 3)` for each pixel of `image` `(B, 3, H, W)`.

    Distances are Euclidean in sRGB, or in OKLab where they are as large as they look. The result
    is int64 `(B, H, W)` on the image's device.

    Raises:
        CourseError: there is no such space.
    """
    if space not in SPACES:
        raise CourseError(f"colours are compared in {' or '.join(SPACES)}; it was {space!r}.")
    pixels, colours = (image.movedim(1, -1).float() + 1) / 2, palette.to(image.device).float()
    if space == "oklab":
        pixels, colours = srgb_to_oklab(pixels), srgb_to_oklab(colours)
    pieces = pixels.reshape(-1, 3).split(max(1, AT_ONCE // len(colours)))
    indices = [squared_distances(piece, colours).argmin(dim=1) for piece in pieces]
    return torch.cat(indices).reshape(pixels.shape[:-1])


def squared_distances(points: Tensor, colours: Tensor) -> Tensor:
    """Between points `(N, 3)` and colours `(K, 3)`: `(N, K)`."""
    # By differences, since a matrix product keeps 10 bits under autocast or TF32.
    red, green, blue = ((points[:, None, i] - colours[:, i]).square_() for i in range(3))
    return red.add_(green).add_(blue)


def dither(image: Tensor, palette: Tensor) -> Tensor:
    """Floyd and Steinberg's error diffusion (1976), by PIL, of `image` `(B, 3, H, W)`.

    PIL compares in sRGB, and in steps of 4 levels: it may take one of two closer colours for the
    other. The result is int64 `(B, H, W)` on the image's device.

    Raises:
        CourseError: the palette has more than 256 colours, PIL's limit, or is none.
    """
    palette = checked(palette)
    if len(palette) > 256:
        raise CourseError(
            f"dithering takes at most 256 colours; the palette has {len(palette):,}: "
            "take a smaller one, or the nearest colours."
        )
    guide = Image.new("P", (1, 1))
    guide.putpalette((palette * 255).round().byte().numpy().tobytes())
    indices = [
        np.asarray(picture.quantize(palette=guide, dither=Image.Dither.FLOYDSTEINBERG))
        for picture in to_pil(image)
    ]
    return torch.from_numpy(np.stack(indices)).long().to(image.device)


def distinct_colours(image: Tensor) -> Tensor:
    """The 8-bit colours that `image` `(B, 3, H, W)` in [-1, 1] has: int64 `(N, 3)`, 0 to 255."""
    levels = ((image.cpu().float().clamp(-1, 1) + 1) * 127.5).round().to(torch.int32)
    red, green, blue = levels.unbind(dim=1)
    codes = (red * 65536 + green * 256 + blue).flatten().unique()
    return torch.stack([codes >> 16, codes >> 8 & 255, codes & 255], dim=1).long()


def distinct_in_8_bits(centres: Tensor, distinct: Tensor) -> Tensor:
    """Colours `(K, 3)` in [0, 1], rounded to 8 bits and still all different.

    Where two fall together, the farthest from all others of the picture's `distinct` colours, int64
    `(N, 3)` with N at least K, takes the place of one.
    """
    levels = (centres.clamp(0, 1) * 255).round().long().unique(dim=0)
    while len(levels) < len(centres):
        gap = squared_distances(distinct.float(), levels.float()).min(dim=1).values
        levels = torch.cat([levels, distinct[gap.argmax()][None]])
    return levels.float() / 255
