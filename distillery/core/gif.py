"""Reads GIFs that came from anywhere, block by block. It needs no torch.

W3C, "Graphics Interchange Format, Version 89a" (1990),
https://www.w3.org/Graphics/GIF/spec-gif89a.txt. Only the pixels of single frames go through Pillow,
which composes frames and their palettes in its own way.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from distillery.core.errors import CourseError

Levels = npt.NDArray[np.uint8]

MOST_BYTES = 2**25
MOST_FRAMES = 1000
MOST_PIXELS = 2**26  # of all frames of a file together
LONGEST_SIDE = 4096

IMAGE, EXTENSION, END = 0x2C, 0x21, 0x3B
CONTROL, APPLICATION = 0x21F9, 0x21FF  # extensions, their label behind what begins them
LOOPS = b"NETSCAPE2.0"
KEEP, CLEAR, RESTORE = 1, 2, 3  # what becomes of a frame before the next is drawn
GREYS = bytes(level for level in range(256) for _ in range(3))


class _DamagedError(Exception):
    """What is wrong with a file, in a few words."""


@dataclass(frozen=True)
class GifFrame:
    """A frame as it stands in the file.

    indices:  uint8 (h, w), rows of its palette, or of the file's where it has none.
    corner:   (top, left), where it is drawn.
    palette:  uint8 (K, 3) of this frame alone, or None.
    duration: hundredths of a second.
    disposal: 0 or 1 the frame stays, 2 it is cleared, 3 what was there before comes back.
    clear:    the index that is transparent, or None.
    """

    indices: Levels
    corner: tuple[int, int] = (0, 0)
    palette: Levels | None = None
    duration: int = 0
    disposal: int = 0
    clear: int | None = None


@dataclass(frozen=True)
class GifFile:
    """What a GIF holds.

    size:    (H, W) in pixels.
    palette: uint8 (K, 3) of all frames, with what fills it up to a power of two, or None.
    frames:  each as it stands in the file.
    plays:   how many times it plays; 0 is for ever.
    """

    size: tuple[int, int]
    palette: Levels | None
    frames: tuple[GifFrame, ...]
    plays: int

    def pictures(self) -> Iterator[Levels]:
        """The frames as they are seen, one after the other: uint8 (H, W, 4), red to alpha.

        Raises:
            CourseError: a frame has no palette, or an index beyond it.
        """
        canvas = np.zeros((*self.size, 4), np.uint8)
        for number, frame in enumerate(self.frames, start=1):
            before = canvas.copy()
            top, left = frame.corner
            height, width = frame.indices.shape
            place = canvas[top : top + height, left : left + width]
            place[:] = np.where(
                (frame.indices == frame.clear)[..., None] if frame.clear is not None else False,
                place,
                self._colours(frame, number),
            )
            yield canvas.copy()
            if frame.disposal == CLEAR:
                place[:] = 0
            if frame.disposal == RESTORE:
                canvas = before

    def _colours(self, frame: GifFrame, number: int) -> Levels:
        palette = self.palette if frame.palette is None else frame.palette
        seen = frame.indices[frame.indices != frame.clear]
        if palette is None or (seen.size and seen.max() >= len(palette)):
            raise CourseError(f"frame {number} of the GIF uses colours that no palette of it has.")
        opaque = np.full((len(palette), 1), 255, np.uint8)
        rows = np.concatenate([palette, opaque], axis=1)
        return rows[np.minimum(frame.indices, len(rows) - 1)]


@dataclass(frozen=True)
class Film:
    """A GIF as it is seen, and what of its file decides how it is seen.

    frames:    uint8 (F, H, W, 3), white where it is transparent.
    durations: of the frames, in hundredths of a second.
    plays:     how many times it plays; 0 is for ever.
    colours:   different colours in the palette of all frames; 0 where there is none.
    palettes:  frames that have a palette of their own.
    """

    frames: Levels
    durations: tuple[int, ...]
    plays: int
    colours: int
    palettes: int


def film_of(gif: GifFile) -> Film:
    """A GIF's frames one by one.

    Raises:
        CourseError: a frame has no palette, or an index beyond it.
    """
    frames = np.empty((len(gif.frames), *gif.size, 3), np.uint8)
    for frame, seen in zip(frames, gif.pictures(), strict=True):
        frame[:] = np.where(seen[..., 3:] > 0, seen[..., :3], 255)
    return Film(
        frames,
        tuple(frame.duration for frame in gif.frames),
        gif.plays,
        0 if gif.palette is None else len(np.unique(gif.palette, axis=0)),
        sum(frame.palette is not None for frame in gif.frames),
    )


def read_animation(path: Path) -> GifFile:
    """Read a GIF that came from anywhere.

    Raises:
        CourseError: there is none, it is damaged or of another kind, or it has more than 32 MiB,
            1,000 frames, 4,096 pixels a side or 64 million pixels in all frames.
    """
    path = Path(path)
    try:
        if path.stat().st_size > MOST_BYTES:
            raise CourseError(
                f"{path} has more than {MOST_BYTES // 2**20} MiB; make a smaller or shorter GIF."
            )
        data = path.read_bytes()
    # A path with a null character is a ValueError.
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise CourseError(f"cannot read {path}: {reason}; give the path of a GIF.") from error
    return parsed(data, str(path))


def parsed(data: bytes, name: str, *, most_pixels: int = MOST_PIXELS) -> GifFile:
    """What the bytes of a GIF hold; `name` is what a sentence calls it.

    Args:
        most_pixels: of all frames together.

    Raises:
        CourseError: see `read_animation`.
    """
    try:
        return _parsed(data[:MOST_BYTES], most_pixels)
    except _DamagedError as error:
        raise CourseError(f"{name} cannot be read as a GIF: {error}; make it again.") from error
    except (struct.error, IndexError) as error:
        raise CourseError(f"{name} is a GIF that is cut short; make it again.") from error


def _parsed(data: bytes, most_pixels: int) -> GifFile:
    if data[:6] not in (b"GIF89a", b"GIF87a"):
        raise _DamagedError("it does not begin as one")
    width, height = struct.unpack_from("<HH", data, 6)
    if not (1 <= width <= LONGEST_SIDE and 1 <= height <= LONGEST_SIDE):
        raise _DamagedError(
            f"it has {height} x {width} pixels, and 1 to {LONGEST_SIDE} a side can be"
        )
    palette, _ = _table(data, 10, 13)
    frames: list[GifFrame] = []
    plays, next_one, pixels = 1, GifFrame(np.zeros((0, 0), np.uint8)), 0
    for kind, at in blocks(data):
        if kind == CONTROL:
            next_one = _controlled(data, at)
        elif kind == APPLICATION and data[at + 1 : at + 12] == LOOPS and data[at + 13] == 1:
            (after_the_first,) = struct.unpack_from("<H", data, at + 14)
            plays = after_the_first + 1 if after_the_first else 0
        elif kind == IMAGE:
            frame = _frame(data, at, (height, width), next_one)
            pixels += height * width
            if len(frames) == MOST_FRAMES or pixels > most_pixels:
                raise _DamagedError(
                    f"it has more than {MOST_FRAMES:,} frames, or {most_pixels / 1e6:.0f} million "
                    "pixels in all of them"
                )
            frames.append(frame)
            next_one = GifFrame(np.zeros((0, 0), np.uint8))
    if not frames:
        raise _DamagedError("it has no frames")
    return GifFile((height, width), palette, tuple(frames), plays)


def blocks(data: bytes) -> Iterator[tuple[int, int]]:
    """Each block's kind, such as `IMAGE` or `CONTROL`, and where its content begins."""
    _, at = _table(data, 10, 13)
    while data[at] != END:
        if data[at] == EXTENSION:
            yield EXTENSION << 8 | data[at + 1], at + 2
            at = past(data, at + 2)
        elif data[at] == IMAGE:
            yield IMAGE, at + 1
            _, start = _table(data, at + 9, at + 10)
            at = past(data, start + 1)
        else:
            raise _DamagedError(f"byte {at} is of no kind of block")


def past(data: bytes, at: int) -> int:
    """Where the chain of blocks that begins at `at` ends; each has its length before it."""
    while data[at]:
        at += data[at] + 1
    return at + 1


def _table(data: bytes, flags: int, at: int) -> tuple[Levels | None, int]:
    """The palette that the byte at `flags` announces at `at`, and where it ends."""
    if not data[flags] & 0x80:
        return None, at
    end = at + 3 * 2 ** ((data[flags] & 7) + 1)
    if len(data) < end:
        raise IndexError
    return np.frombuffer(data[at:end], np.uint8).reshape(-1, 3), end


def _controlled(data: bytes, at: int) -> GifFrame:
    flags, duration, clear = struct.unpack_from("<BHB", data, at + 1)
    return GifFrame(
        np.zeros((0, 0), np.uint8),
        duration=duration,
        disposal=flags >> 2 & 7,
        clear=clear if flags & 1 else None,
    )


def _frame(data: bytes, at: int, size: tuple[int, int], control: GifFrame) -> GifFrame:
    left, top, width, height, flags = struct.unpack_from("<HHHHB", data, at)
    if not (width and height and top + height <= size[0] and left + width <= size[1]):
        raise _DamagedError("a frame is empty or leaves the picture")
    palette, start = _table(data, at + 8, at + 9)
    # As a picture of its own, in greys that are its indices.
    alone = b"".join(
        [
            b"GIF89a" + struct.pack("<HHBBB", width, height, 0xF7, 0, 0),
            GREYS,
            struct.pack("<BHHHHB", IMAGE, 0, 0, width, height, flags & 0x40),
            data[start : past(data, start + 1)],
            bytes([END]),
        ]
    )
    try:
        with Image.open(io.BytesIO(alone)) as picture:
            indices: npt.NDArray[np.uint8] = np.array(picture)
    # Pillow has many ways to fail on a damaged file.
    except Exception as error:
        raise _DamagedError("the pixels of a frame are damaged") from error
    return replace(control, indices=indices, corner=(top, left), palette=palette)
