"""The protocol between outside and inside: frames of bytes over pipes, without pickle.

A frame is 4 bytes (length of the header), 8 bytes (length of the body), a JSON header and a body.
"""

from __future__ import annotations

import json
import os
import struct
from typing import Any

FRAME = struct.Struct("!IQ")
LONGEST_HEADER = 1 << 20


def write_frame(fd: int, header: dict[str, Any], body: bytes = b"") -> None:
    head = json.dumps(header).encode()
    write_all(fd, FRAME.pack(len(head), len(body)) + head + body)


def read_header(fd: int) -> tuple[dict[str, Any], int]:
    """The header of the next frame and the length of its body, which is still to be read.

    Raises:
        EOFError: the other side is gone.
    """
    head, body = FRAME.unpack(read_exactly(fd, FRAME.size))
    if head > LONGEST_HEADER:
        raise EOFError("this is not the start of a frame")
    return json.loads(read_exactly(fd, head)), body


def read_exactly(fd: int, count: int) -> bytes:
    """Exactly that many bytes: another process may read what follows.

    Raises:
        EOFError: the pipe ends earlier.
    """
    parts = []
    while count:
        part = os.read(fd, min(count, 1 << 20))
        if not part:
            raise EOFError("the other side is gone")
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
