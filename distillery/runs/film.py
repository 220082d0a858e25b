"""The frames of a run: which are kept, where, and how a video shows them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image, ImageOps

from distillery.core.files import atomic_write

FRAMES = 40
GIF_FPS = 50  # a GIF counts in hundredths of a second, and browsers slow down those of one


def frame_indices(steps: int) -> list[int]:
    """The steps after which a frame is kept: about `FRAMES`, evenly spaced, the last among them."""
    every = math.ceil(steps / FRAMES)
    return [*range(every - 1, steps - 1, every), steps - 1]


def frame_path(folder: Path, index: int) -> Path:
    """The file of the frame after the step `index`."""
    return folder / "frames" / f"{index + 1:05d}.png"


def keep_frames(unfinished: Path, folder: Path, steps: int) -> list[Image.Image]:
    """Copy the frames of a finished run to where they stay, and remove those of earlier runs."""
    indices = frame_indices(steps)
    kept = [frame_path(folder, index) for index in indices]
    for index, path in zip(indices, kept, strict=True):
        atomic_write(path, frame_path(unfinished, index).read_bytes())
    for other in set((folder / "frames").glob("*.png")).difference(kept):
        other.unlink()
    return [Image.open(path) for path in kept]


def video_frames(
    frames: Sequence[Image.Image],
    size: tuple[int, int] | None,
    enlarged: Callable[[Image.Image], Image.Image],
) -> list[Image.Image]:
    """Frames for a video of `size` (H, W): enlarged by a whole number, centred on white.

    Where there is no size it is that of the `enlarged` frame, made even.
    """
    if size is None:
        width, height = enlarged(frames[0]).size
        size = (height + height % 2, width + width % 2)
    height, width = size
    sheets = []
    for frame in frames:
        sheet = Image.new("RGB", (width, height), "white")
        picture = frame.convert("RGB")
        factor = min(width // frame.width, height // frame.height)
        if factor:
            large = (factor * frame.width, factor * frame.height)
            picture = picture.resize(large, Image.Resampling.NEAREST)
        else:  # the frame is finer than the video
            picture = ImageOps.contain(picture, (width, height), Image.Resampling.BOX)
        sheet.paste(picture, ((width - picture.width) // 2, (height - picture.height) // 2))
        sheets.append(sheet)
    return sheets
