"""Pictures for the screen: crisp pixels, captions, checkerboards.

Weights and logits are float32 (B, K, h, w), palettes float32 (K, 3), sRGB in [0, 1].
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from distillery.core.images import enlarged, to_pil
from distillery.core.lettering import lettering

TILE = 256  # pixels, about, of the longer side of one of several pictures
GAP, LINE = 8, 20  # pixels between two tiles, and of a caption
PAPER, INK = "#e9e7e2", "#23212b"
CHECK = 8  # pixels, the side of a square
CHECKS = (200, 160)  # their levels of grey


def soft_pictures(weights: Tensor, palette: Tensor) -> list[Image.Image]:
    """The pictures whose pixels are the weighted means of the colours."""
    return to_pil(2 * torch.einsum("bkhw,kc->bchw", weights.detach().cpu(), palette.cpu()) - 1)


def hard_pictures(scores: Tensor, palette: Tensor) -> list[Image.Image]:
    """The pictures of the colours that score highest, weights or logits."""
    return to_pil(2 * palette.cpu()[scores.detach().cpu().argmax(dim=1)].movedim(3, 1) - 1)


def captioned(
    pictures: Sequence[Image.Image],
    captions: Sequence[str],
    *,
    columns: int | None = None,
    side: int = TILE,
) -> Image.Image:
    """Small pictures of one size in rows of `columns`, by default one row, captions below."""
    tiles = [enlarged(picture, side) for picture in pictures]
    columns = min(columns or len(tiles), len(tiles))
    rows = -(-len(tiles) // columns)
    width, height = tiles[0].width + GAP, tiles[0].height + LINE + GAP
    sheet = Image.new("RGB", (columns * width - GAP, rows * height - GAP), PAPER)
    pen = ImageDraw.Draw(sheet)
    for number, (tile, caption) in enumerate(zip(tiles, captions, strict=True)):
        row, column = divmod(number, columns)
        sheet.paste(tile, (column * width, row * height))
        middle = (column * width + tile.width // 2, row * height + tile.height + LINE // 2 + 1)
        font, words = lettering(caption, 13)
        pen.text(middle, words, INK, font, anchor="mm")
    return sheet


def checkered(picture: Image.Image) -> Image.Image:
    """An RGBA picture over a checkerboard."""
    down, across = np.indices(picture.size[::-1]) // CHECK
    levels = np.where((down + across) % 2, *CHECKS).astype(np.uint8)
    board = Image.fromarray(levels).convert("RGBA")
    return Image.alpha_composite(board, picture.convert("RGBA")).convert("RGB")
