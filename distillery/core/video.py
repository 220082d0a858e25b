"""Writes the frames of a run as an MP4."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from distillery.core.errors import CourseError, in_short
from distillery.core.files import atomic_write


def save_mp4(path: Path, frames: Sequence[Image.Image], fps: float) -> None:
    """Write H.264 that every browser plays, whole or not at all; frames of one size, even sides.

    Raises:
        CourseError: a side is odd, ffmpeg fails, or the file cannot be written.
    """
    atomic_write(path, mp4_bytes(frames, fps, name=str(path)))


def mp4_bytes(frames: Sequence[Image.Image], fps: float, *, name: str = "the video") -> bytes:
    """The same as bytes; `name` is what a sentence calls it.

    Raises:
        CourseError: a side is odd, or ffmpeg fails.
    """
    import imageio_ffmpeg

    width, height = frames[0].size
    if width % 2 or height % 2:
        raise CourseError(f"a video needs even sides; these are {width} x {height} pixels.")
    with tempfile.TemporaryDirectory() as folder:
        partial = Path(folder) / "making.mp4"
        try:
            writer = imageio_ffmpeg.write_frames(
                str(partial),
                (width, height),
                fps=fps,
                codec="libx264",
                macro_block_size=2,
                ffmpeg_log_level="quiet",
            )
            with contextlib.closing(writer):
                writer.send(None)
                for frame in frames:
                    writer.send(np.ascontiguousarray(frame.convert("RGB")))
        # imageio-ffmpeg has a RuntimeError for a machine without ffmpeg.
        except (OSError, RuntimeError) as error:
            raise CourseError(
                f"ffmpeg could not write {name} ({in_short(error)}); make the picture without its "
                "video."
            ) from error
        if not _is_whole(partial, len(frames)):
            raise CourseError(
                f"ffmpeg could not write all of {name} into {tempfile.gettempdir()}; free some "
                "space there, or make the picture without its video."
            )
        return partial.read_bytes()


def _is_whole(file: Path, count: int) -> bool:
    """Whether ffmpeg finds all frames in its own file; imageio-ffmpeg hides that it failed."""
    import imageio_ffmpeg

    try:
        found, _ = imageio_ffmpeg.count_frames_and_secs(str(file))
    except (OSError, RuntimeError):
        return False
    return found == count
