"""GIFs with one palette for all frames, and every frame.

Pillow merges frames that are equal and gives frames palettes of their own (its issues 2314 and
8397), so only the pixels of single frames go through it. `distillery.core.gif` reads GIFs.
"""

from __future__ import annotations

import io
import struct

import numpy as np
from PIL import Image

from distillery.core.gif import (
    APPLICATION,
    CLEAR,
    CONTROL,
    END,
    GREYS,
    IMAGE,
    KEEP,
    LOOPS,
    Levels,
    blocks,
    parsed,
    past,
    read_animation,
)
from distillery.pixelart.animation import Animation

__all__ = ["gif_bytes", "parsed", "read_animation"]


def gif_bytes(animation: Animation) -> bytes:
    """A GIF89a with every frame, also where it equals its neighbour, and no palette but one.

    A frame's hundredths of a second are spread so that the whole length is right.
    """
    colours = animation.rows
    bits = max(1, (len(colours) - 1).bit_length())
    filled = np.concatenate([colours, colours[:1].repeat(2**bits - len(colours), axis=0)])
    height, width = (animation.factor * side for side in animation.indices.shape[1:])
    parts = [
        b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80 | bits - 1 << 4 | bits - 1, 0, 0),
        filled.tobytes(),
        _repeats(animation.plays),
    ]
    for grid, ticks in zip(animation.grids, animation.ticks(100), strict=True):
        parts += [
            _control(ticks, animation.clear_row),
            struct.pack("<BHHHHB", IMAGE, 0, 0, width, height, 0),
            _compressed(grid.repeat(animation.factor, 0).repeat(animation.factor, 1)),
        ]
    return b"".join([*parts, bytes([END])])


def _repeats(plays: int) -> bytes:
    """The extension counts what comes after the first time; without it a GIF plays once."""
    if plays == 1:
        return b""
    return struct.pack(">H", APPLICATION) + struct.pack(
        "<B11sBBHB", 11, LOOPS, 3, 1, max(plays - 1, 0), 0
    )


def _control(ticks: int, clear: int | None) -> bytes:
    # A cleared frame leaves no ghost where the next one is transparent.
    flags = KEEP << 2 if clear is None else CLEAR << 2 | 1
    return struct.pack(">H", CONTROL) + struct.pack("<BBHBB", 4, flags, ticks, clear or 0, 0)


def _compressed(grid: Levels) -> bytes:
    """The LZW code size and blocks of rows (H, W), by Pillow."""
    picture = Image.fromarray(grid, mode="P")
    picture.putpalette(GREYS)
    buffer = io.BytesIO()
    picture.save(buffer, format="GIF", optimize=False, interlace=0)
    data = buffer.getvalue()
    start = next(at for kind, at in blocks(data) if kind == IMAGE)
    return data[start + 9 : past(data, start + 10)]
