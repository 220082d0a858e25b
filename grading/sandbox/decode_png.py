"""Decode pictures that must not be trusted, in a separate process with limits.

`decode` starts this file as a program, which gets bytes and returns plain RGB. A file that attacks
the decoder can only reach that process.
"""

from __future__ import annotations

import contextlib
import io
import json
import struct
import subprocess
import sys
import threading
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from PIL import Image

LONGEST_SIDE = 1024  # pixels
MEMORY = 1 << 30  # bytes of address space, libraries included
SECONDS = 20
LENGTH = struct.Struct("!I")
LONGEST_HEADER = 200  # bytes
TOO_LARGE = {"refused": f"it is larger than {LONGEST_SIDE} pixels a side"}


def decode(files: Mapping[str, bytes]) -> tuple[dict[str, Image.Image], dict[str, str]]:
    """Pictures by name, and for each file that cannot be used a reason, such as "it is not a PNG".

    Only PNGs are read; of an animated PNG, the first frame. Pictures are RGB; "indexed" in their
    `info` is True for indexed PNGs. The contents of a file never make it raise.
    """
    pictures: dict[str, Image.Image] = {}
    refused: dict[str, str] = {}
    waiting = list(files)
    while waiting:
        answers = _ask([files[name] for name in waiting])
        for name, answer in zip(waiting, answers, strict=False):
            if isinstance(answer, str):
                refused[name] = answer
            else:
                pictures[name] = answer
        waiting = waiting[len(answers) :]
        if waiting:  # this one killed the process
            refused[waiting.pop(0)] = "it cannot be decoded within the limits"
    return pictures, refused


def _ask(contents: list[bytes]) -> list[Image.Image | str]:
    """Answers to the first contents, as many as the process gave."""
    sent = (LENGTH.pack(len(content)) + content for content in contents)
    most = len(contents) * (3 * LONGEST_SIDE**2 + LONGEST_HEADER + LENGTH.size)
    answered = io.BytesIO(answer_of(__file__, sent, most=most, seconds=SECONDS))
    found: list[Image.Image | str] = []
    while (answer := _answer(answered)) is not None and len(found) < len(contents):
        found.append(answer)
    return found


def answer_of(program: str, sent: Iterable[bytes], *, most: int, seconds: float) -> bytes:
    """The first `most` bytes that a Python file answers to what it is sent; then it is killed."""
    # Isolated: neither the environment nor the working directory decides what is imported.
    child = subprocess.Popen(
        [sys.executable, "-I", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={},
        cwd="/",
    )
    assert child.stdin is not None
    assert child.stdout is not None
    timer = threading.Timer(seconds, child.kill)
    timer.start()
    try:
        with contextlib.suppress(BrokenPipeError):
            for part in sent:
                child.stdin.write(part)
            child.stdin.close()
        return child.stdout.read(most)
    finally:
        timer.cancel()
        child.kill()
        child.wait()
        child.stdout.close()


def _answer(stream: BinaryIO) -> Image.Image | str | None:
    """The next answer, or None if it is incomplete or malformed."""
    from PIL import Image

    try:
        header: Any = json.loads(_exactly(stream, LENGTH.unpack(_exactly(stream, LENGTH.size))[0]))
        if "refused" in header:
            return str(header["refused"])[:LONGEST_HEADER]
        width, height = int(header["width"]), int(header["height"])
        if not (0 < width <= LONGEST_SIDE and 0 < height <= LONGEST_SIDE):
            return None
        picture = Image.frombytes("RGB", (width, height), _exactly(stream, 3 * width * height))
        picture.info["indexed"] = header["indexed"] is True
    except (EOFError, ValueError, TypeError, KeyError, struct.error):
        return None
    return picture


def _exactly(stream: BinaryIO, count: int) -> bytes:
    content = stream.read(count)
    if len(content) < count:
        raise EOFError
    return content


def main() -> None:
    """The program: reads pictures from stdin and writes answers to stdout."""
    from PIL import Image, PngImagePlugin

    PngImagePlugin.MAX_TEXT_MEMORY = PngImagePlugin.MAX_TEXT_CHUNK
    Image.new("RGB", (1, 1)).convert(
        "L"
    )  # imports everything that Pillow loads late, before the limits
    _limit()
    contents = []
    while head := sys.stdin.buffer.read(LENGTH.size):
        contents.append(sys.stdin.buffer.read(LENGTH.unpack(head)[0]))
    for content in contents:
        header, pixels = _decoded(content)
        head = json.dumps(header).encode()
        sys.stdout.buffer.write(LENGTH.pack(len(head)) + head + pixels)
        sys.stdout.buffer.flush()


def _limit() -> None:
    with contextlib.suppress(ImportError):  # Windows has no such module
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _decoded(content: bytes) -> tuple[dict[str, Any], bytes]:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
            width, height = image.size
            if max(width, height) > LONGEST_SIDE:
                return TOO_LARGE, b""
            indexed = image.mode == "P"
            pixels = image.convert("RGB").tobytes()
    except Image.UnidentifiedImageError:
        return {"refused": "it is not a PNG"}, b""
    except Image.DecompressionBombError:
        return TOO_LARGE, b""
    # A damaged PNG fails in any of a dozen ways.
    except Exception:
        return {"refused": "it is cut short or damaged"}, b""
    return {"width": width, "height": height, "indexed": indexed}, pixels


if __name__ == "__main__":
    main()
