"""Decode GIFs that must not be trusted, in a separate process with limits.

As `grading.sandbox.decode_png`, of which it takes the limits. The container is read by the
course's own reader; each frame's pixels go through Pillow.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import struct
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

if __name__ == "__main__":  # isolated, so nothing else says where the course is
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # each thread's buffers count towards the limit
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from grading.sandbox.decode_png import LENGTH, exactly, limit

if TYPE_CHECKING:
    from distillery.core.gif import Film

MOST_PIXELS = 2**24  # of all frames of a GIF together
SECONDS = 30
LONGEST_HEADER = 2**16  # bytes
CANNOT = "it cannot be decoded within the limits"


def decode_gif(content: bytes) -> Film | str:
    """What a GIF shows, or why it cannot be used, such as "it is not a GIF"; it never raises."""
    child = subprocess.Popen(
        [sys.executable, "-I", __file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={},
        cwd="/",
    )
    assert child.stdin is not None
    assert child.stdout is not None
    timer = threading.Timer(SECONDS, child.kill)
    timer.start()
    try:
        with contextlib.suppress(BrokenPipeError):
            child.stdin.write(content)
            child.stdin.close()
        answered = child.stdout.read(3 * MOST_PIXELS + LONGEST_HEADER + LENGTH.size)
    finally:
        timer.cancel()
        child.kill()
        child.wait()
        child.stdout.close()
    return _answer(io.BytesIO(answered))


def _answer(stream: BinaryIO) -> Film | str:
    import numpy as np

    from distillery.core.gif import Film

    try:
        length = min(LENGTH.unpack(exactly(stream, LENGTH.size))[0], LONGEST_HEADER)
        header: Any = json.loads(exactly(stream, length))
        if "refused" in header:
            return str(header["refused"])[:200]
        count, height, width = (int(side) for side in header["shape"])
        durations = tuple(int(ticks) for ticks in header["durations"])
        if min(count, height, width) < 1 or count * height * width > MOST_PIXELS:
            return CANNOT
        pixels = np.frombuffer(exactly(stream, 3 * count * height * width), np.uint8)
        if len(durations) != count:
            return CANNOT
        numbers = (int(header[name]) for name in ("plays", "colours", "palettes"))
        return Film(pixels.reshape(count, height, width, 3), durations, *numbers)
    except (EOFError, ValueError, TypeError, KeyError, struct.error, RecursionError):
        return CANNOT


def main() -> None:
    """The program: reads a GIF from stdin and writes what it shows to stdout."""
    import numpy as np
    from PIL import Image

    from distillery.core import gif

    # Imports everything that Pillow loads late, before the limits.
    Image.frombytes("L", (1, 1), b"\0").convert("RGB").save(io.BytesIO(), format="GIF")
    limit()
    content = sys.stdin.buffer.read()
    header, pixels = _decoded(content, gif, np)
    head = json.dumps(header).encode()
    sys.stdout.buffer.write(LENGTH.pack(len(head)) + head + pixels)
    sys.stdout.buffer.flush()


def _decoded(content: bytes, gif: Any, np: Any) -> tuple[dict[str, Any], bytes]:
    from distillery.core.errors import CourseError

    if content[:4] != b"GIF8":
        return {"refused": "it is not a GIF"}, b""
    try:
        read = gif.parsed(content, "it")
        if len(read.frames) * read.size[0] * read.size[1] > MOST_PIXELS:
            most = f"{MOST_PIXELS / 1e6:.0f} million pixels"
            return {"refused": f"its frames have more than {most} together"}, b""
        film = gif.film_of(read)
    except CourseError:
        return {"refused": "it is cut short or damaged"}, b""
    except MemoryError:
        return {"refused": CANNOT}, b""
    return {
        "shape": film.frames.shape[:3],
        "durations": film.durations,
        "plays": film.plays,
        "colours": film.colours,
        "palettes": film.palettes,
    }, np.ascontiguousarray(film.frames).tobytes()


if __name__ == "__main__":
    main()
