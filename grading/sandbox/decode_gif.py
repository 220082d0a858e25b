"""Decode GIFs that must not be trusted, in a separate process with limits.

`decode_gif` starts this file as a program, as `grading.sandbox.decode_png` does for PNGs. The
course's own reader reads the container there, and Pillow each frame's pixels.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from distillery.core.gif import Film

MOST_PIXELS = 2**24  # of all frames of a GIF together
MEMORY = 1 << 30  # bytes of address space, libraries included
SECONDS = 30
LONGEST_HEADER = 2**16  # bytes
CANNOT = "it cannot be decoded within the limits"


def decode_gif(content: bytes) -> Film | str:
    """What a GIF shows, or why it cannot be used, such as "it is not a GIF"; it never raises."""
    from grading.sandbox.decode_png import answer_of

    most = 3 * MOST_PIXELS + LONGEST_HEADER
    answered = answer_of(__file__, [content], most=most, seconds=SECONDS)
    return _film(answered)


def _film(answered: bytes) -> Film | str:
    """What the program answered: a line of JSON, and the pixels."""
    import numpy as np

    from distillery.core.gif import Film

    end = answered.find(b"\n", 0, LONGEST_HEADER)
    try:
        header: Any = json.loads(answered[:end])
        if "refused" in header:
            return str(header["refused"])[:200]
        count, height, width = (int(side) for side in header["shape"])
        durations = tuple(int(ticks) for ticks in header["durations"])
        numbers = [int(header[name]) for name in ("plays", "colours", "palettes")]
        if min(count, height, width) < 1 or len(durations) != count:
            return CANNOT
        pixels = np.frombuffer(answered, np.uint8, offset=end + 1)
        return Film(pixels.reshape(count, height, width, 3), durations, *numbers)
    except (ValueError, TypeError, KeyError, RecursionError):
        return CANNOT


def main() -> None:
    """The program: reads a GIF from stdin and writes what it shows to stdout."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # the buffers of each thread count as memory
    import numpy as np
    from PIL import Image

    from distillery.core import gif

    # Imports everything that Pillow loads late, before the limits.
    Image.new("P", (1, 1)).save(io.BytesIO(), format="GIF")
    _limit()
    header, pixels = _shown(sys.stdin.buffer.read(), gif)
    sys.stdout.buffer.write(json.dumps(header).encode() + b"\n")
    sys.stdout.buffer.write(np.ascontiguousarray(pixels).data)
    sys.stdout.buffer.flush()


def _limit() -> None:
    with contextlib.suppress(ImportError):  # Windows has no such module
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _shown(content: bytes, gif: Any) -> tuple[dict[str, Any], Any]:
    """What is said of a GIF, and its pixels."""
    from distillery.core.errors import CourseError

    if content[:4] != b"GIF8":
        return {"refused": "it is not a GIF"}, b""
    try:
        read = gif.parsed(content, "it", most_pixels=MOST_PIXELS)
        film = gif.film_of(read)
    except CourseError as error:
        return {"refused": str(error).partition("; ")[0]}, b""
    except MemoryError:
        return {"refused": CANNOT}, b""
    header = {
        "shape": film.frames.shape[:3],
        "durations": film.durations,
        "plays": film.plays,
        "colours": film.colours,
        "palettes": film.palettes,
    }
    return header, film.frames


if __name__ == "__main__":
    main()
