"""The files of a finished animation."""

from __future__ import annotations

import io

from PIL import Image

from distillery.core.images import grid, to_png_bytes
from distillery.morph.settings import MorphSettings
from distillery.palettes import to_hex
from distillery.pixelart.indexed_png import indexed
from distillery.pixelart.sequence import PixelSequence
from distillery.runs.run import PICTURE

TILE = 96  # pixels, about, of a frame's longer side in the contact sheet


def files_of(sequence: PixelSequence, settings: MorphSettings) -> dict[str, bytes]:
    """Name -> content of all files that show the animation in pixels."""
    frames = [indexed(indices, sequence.palette) for indices in sequence.indices]
    codes = "".join(f"{code[1:]}\n" for code in to_hex(sequence.palette))
    return {
        "morph.gif": _gif(frames, settings),
        "palette.hex": codes.encode(),
        PICTURE: to_png_bytes(contact_sheet(frames), settings.title),
    }


def contact_sheet(frames: list[Image.Image]) -> Image.Image:
    """All frames in reading order, every pixel as a square of whole pixels."""
    return grid([larger(frame.convert("RGB"), max(1, TILE // max(frame.size))) for frame in frames])


def larger(frame: Image.Image, factor: int) -> Image.Image:
    size = (factor * frame.width, factor * frame.height)
    return frame.resize(size, Image.Resampling.NEAREST)


def _gif(frames: list[Image.Image], settings: MorphSettings) -> bytes:
    first, *rest = [larger(frame, settings.scale) for frame in frames]
    buffer = io.BytesIO()
    first.save(
        buffer,
        format="GIF",
        save_all=True,
        append_images=rest,
        duration=round(1000 / settings.fps),
        loop=0,
    )
    return buffer.getvalue()
