"""The files of a finished animation."""

from __future__ import annotations

import torch
from torch import Tensor

from distillery.morph.settings import MorphSettings, palette_named
from distillery.palettes import to_hex
from distillery.pixelart.animation import Animation, background
from distillery.pixelart.animation_files import (
    Segment,
    apng_bytes,
    contact_sheet_bytes,
    sprite_sheet,
)
from distillery.pixelart.gif_file import gif_bytes
from distillery.pixelart.sequence import PixelSequence
from distillery.runs.run import PICTURE

SPRITES = "sprites"


def animation_of(sequence: PixelSequence, settings: MorphSettings) -> Animation:
    """The frames as they are played for ever.

    Raises:
        CourseError: the files would be too large.
    """
    clear = background(sequence.indices) if settings.transparent else None
    return Animation(
        sequence.indices, sequence.palette, settings.fps, clear=clear, factor=settings.scale
    )


def check_files(settings: MorphSettings) -> None:
    """Refuse what no file can hold, before anything is drawn.

    Raises:
        CourseError: the palette cannot be used, or the files would be too large.
    """
    palette = palette_named(settings.palette)
    colours = palette if isinstance(palette, int) else len(palette)
    nothing = torch.zeros(1, 1, 1, dtype=torch.long).expand(settings.frames, *settings.size)
    clear = nothing.bool() if settings.transparent else None
    Animation(nothing, torch.zeros(colours, 3), settings.fps, clear=clear, factor=settings.scale)


def files_of(animation: Animation, segments: list[Segment]) -> dict[str, bytes]:
    """Name -> content of all files but the video that show the animation in pixels."""
    sheet, places = sprite_sheet(animation, name=SPRITES, segments=segments)
    codes = "".join(f"{code[1:]}\n" for code in to_hex(animation.palette))
    return {
        "morph.gif": gif_bytes(animation),
        "morph.png": apng_bytes(animation),
        f"{SPRITES}.png": sheet,
        f"{SPRITES}.json": places.encode(),
        "palette.hex": codes.encode(),
        PICTURE: contact_sheet_bytes(animation),
    }


def segments_of(places: Tensor, settings: MorphSettings) -> list[Segment]:
    """The frames from each keyframe to the next; an open path ends with a keyframe alone.

    Args:
        places: float32 (F,), the position of every frame.
    """
    after = [*settings.prompts[1:], settings.prompts[0]]
    names = [" to ".join(pair) for pair in zip(settings.prompts, after, strict=True)]
    if not settings.loop:
        names[-1] = settings.prompts[-1]
    found = []
    for keyframe, name in enumerate(names):
        at = (places.floor() == keyframe).nonzero().flatten()
        found.append(Segment(name, int(at[0]), int(at[-1])))
    return found
