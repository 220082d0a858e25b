"""How outside and inside talk: frames of bytes over pipes, and no pickle anywhere.

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
        raise EOFError("no frame begins like this")
    return json.loads(read_exactly(fd, head)), body


def read_exactly(fd: int, count: int) -> bytes:
    """That many bytes, and none beyond them: another process may go on reading behind.

    Raises:
        EOFError: the pipe ends before.
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
