"""The other files of an animation: APNG, MP4, a sprite sheet, and a sheet of all frames to look at.

Each function gives bytes; `distillery.core.files.atomic_write` writes them whole or not at all.
"""

from __future__ import annotations

import io
import json
import math
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from distillery.core.images import enlarged, grid, to_png_bytes
from distillery.core.video import mp4_bytes
from distillery.pixelart.animation import Animation

SIGNATURE = b"\x89PNG\r\n\x1a\n"
TILE, HEAD = 96, 12  # pixels of a frame on the sheet to look at, about, and of the line above it


@dataclass(frozen=True)
class Segment:
    """A part of an animation with a name: frames `first` to `last`, both within, from 0."""

    name: str
    first: int
    last: int


def apng_bytes(animation: Animation) -> bytes:
    """An animated PNG in the palette's colours, with every frame for exactly 1 / fps seconds.

    W3C, "Portable Network Graphics (PNG) Specification (Third Edition)" (2025). Pillow compresses
    each frame; it would merge those that are equal.
    """
    frames = [_chunks(_png(animation, cells, animation.factor)) for cells in animation.grids]
    first, height, width = frames[0], *(animation.factor * s for s in animation.indices.shape[1:])
    duration = Fraction(1 / Fraction(animation.fps)).limit_denominator(65535)
    parts = [SIGNATURE, _chunk(b"IHDR", first[b"IHDR"])]
    parts.append(_chunk(b"acTL", struct.pack(">II", len(frames), animation.plays)))
    parts += [_chunk(kind, first[kind]) for kind in (b"PLTE", b"tRNS") if kind in first]
    number = 0  # of control and data chunks together, but for the first data
    for index, frame in enumerate(frames):
        delay = (duration.numerator, duration.denominator)
        control = struct.pack(">IIIIIHHBB", number, width, height, 0, 0, *delay, 0, 0)
        parts.append(_chunk(b"fcTL", control))
        if index == 0:
            parts.append(_chunk(b"IDAT", frame[b"IDAT"]))
        else:
            parts.append(_chunk(b"fdAT", struct.pack(">I", number + 1) + frame[b"IDAT"]))
        number += 1 if index == 0 else 2
    return b"".join([*parts, _chunk(b"IEND", b"")])


def _png(animation: Animation, cells: Any, factor: int) -> bytes:
    buffer = io.BytesIO()
    picture = animation.picture(cells, factor)
    picture.save(buffer, format="PNG", transparency=animation.clear_row)
    return buffer.getvalue()


def _chunks(png: bytes) -> dict[bytes, bytes]:
    """Kind -> content; of several of a kind, one after the other."""
    found: dict[bytes, bytes] = {}
    at = len(SIGNATURE)
    while at < len(png):
        length, kind = struct.unpack_from(">I4s", png, at)
        found[kind] = found.get(kind, b"") + png[at + 8 : at + 8 + length]
        at += 12 + length
    return found


def _chunk(kind: bytes, content: bytes) -> bytes:
    check = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)


def video_bytes(animation: Animation) -> bytes:
    """An MP4, played once, on white where it is transparent; an odd side is enlarged once more.

    Raises:
        CourseError: ffmpeg fails.
    """
    factor = animation.factor
    if any(factor * side % 2 for side in animation.indices.shape[1:]):
        factor += 1
    pictures = [animation.on_white(cells, factor) for cells in animation.grids]
    return mp4_bytes(pictures, animation.fps)


def sprite_sheet(
    animation: Animation, *, name: str, segments: Sequence[Segment] = ()
) -> tuple[bytes, str]:
    """All frames in one indexed PNG, at the grid's own size, and where each is, as JSON.

    The JSON is what Aseprite exports (https://www.aseprite.org/docs/cli/#data), which game engines
    read: "frames" by name with their places and milliseconds, and in "meta" a tag for each segment.

    Args:
        name: stem of the PNG's file.
        segments: parts of the animation, which become tags.
    """
    count, height, width = animation.indices.shape
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    places = [divmod(index, columns) for index in range(count)]
    unused = animation.clear_row or 0
    sheet = np.full((rows * height, columns * width), unused, np.uint8)
    for cells, (row, column) in zip(animation.grids, places, strict=True):
        sheet[row * height :, column * width :][:height, :width] = cells
    frames = {
        f"{name} {index}.png": {
            "frame": {"x": column * width, "y": row * height, "w": width, "h": height},
            "rotated": False,
            "trimmed": False,
            "spriteSourceSize": {"x": 0, "y": 0, "w": width, "h": height},
            "sourceSize": {"w": width, "h": height},
            "duration": ticks,
        }
        for index, ((row, column), ticks) in enumerate(
            zip(places, animation.ticks(1000), strict=True)
        )
    }
    meta = {
        "app": "Score Distillery",
        "version": "1.0",
        "image": f"{name}.png",
        "format": "I8",
        "size": {"w": columns * width, "h": rows * height},
        "scale": "1",
        "frameTags": [
            {"name": its.name, "from": its.first, "to": its.last, "direction": "forward"}
            for its in segments
        ],
    }
    text = json.dumps({"frames": frames, "meta": meta}, indent=1, ensure_ascii=False) + "\n"
    return _png(animation, sheet, 1), text


def contact_sheet_bytes(animation: Animation) -> bytes:
    """A PNG of all frames in reading order, each under its number, from 1."""
    return to_png_bytes(grid(list(_tiles(animation))))


def _tiles(animation: Animation) -> Iterator[Image.Image]:
    for number, cells in enumerate(animation.grids, start=1):
        picture = enlarged(animation.on_white(cells, 1), TILE)
        tile = Image.new("RGB", (picture.width, picture.height + HEAD), "white")
        tile.paste(picture, (0, HEAD))
        ImageDraw.Draw(tile).text((2, 0), str(number), fill="black")
        yield tile
