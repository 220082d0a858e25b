"""One picture of a run's frames, in reading order, each under the number of its step."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw

from distillery.core.images import enlarged, grid
from distillery.runs.film import frame_indices

SIDE, HEAD = 128, 12  # pixels of a frame's longer side, about, and of the line above it


def sheet(frames: Sequence[Image.Image], steps: int) -> Image.Image:
    """The frames that `film.keep_frames` kept of a run of so many steps."""
    numbered = zip(frames, frame_indices(steps), strict=True)
    return grid([_tile(frame, f"step {index + 1}") for frame, index in numbered])


def _tile(frame: Image.Image, text: str) -> Image.Image:
    picture = enlarged(frame.convert("RGB"), SIDE)
    tile = Image.new("RGB", (picture.width, picture.height + HEAD), "white")
    tile.paste(picture, (0, HEAD))
    ImageDraw.Draw(tile).text((2, 0), text, fill="black")
    return tile
