"""Runs one whole program, such as a notebook with its kernel, in its own isolation.

The program may start processes and use its own loopback; otherwise it is isolated like a job.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import stat
import struct
from functools import partial
from pathlib import Path
from typing import Any

from . import isolation
from .frames import FRAME, read_exactly, read_header, write_frame
from .supervisor import Order, supervise

SIOCSIFFLAGS, IFF_UP, IFF_RUNNING = 0x8914, 0x1, 0x40
LENGTH = struct.Struct("!I")
CANNOT_START = 127

Files = dict[str, bytes]


def main(settings: dict[str, Any]) -> None:
    """Run the one program that the first frame asks for, and report with one frame."""
    isolation.become(settings["user"])
    isolation.die_with_parent()
    came_in, goes_out = os.dup(0), os.dup(1)
    header, length = read_header(came_in)
    files = unpack_files(read_exactly(came_in, length))
    order = Order(settings, header["limits"], partial(_become_program, header["argv"]), True)
    try:
        folder = isolation.prepare(settings, order.bounds)
        _loopback_up()
        _put(files, Path(folder))
        end = supervise(order, folder, 0)
    except OSError as error:
        write_frame(goes_out, {"nonce": header["nonce"], "ending": "fault", "why": str(error)})
        return
    made, everything = _changed(files, Path(folder), order.bounds["reply_bytes"])
    ending = "returned" if os.WIFEXITED(end.status) else end.ending
    report = {
        "nonce": header["nonce"],
        "ending": ending if everything else "too much",
        "status": os.waitstatus_to_exitcode(end.status),
        "printed": end.printed,
    }
    write_frame(goes_out, report, pack_files(made))


def _become_program(argv: list[str], reply: int) -> None:
    os.close(reply)  # a program's result is the files it leaves
    try:
        os.execvp(argv[0], argv)
    except OSError as error:
        os.write(2, f"{argv[0]}: {error.strerror}\n".encode())
        os._exit(CANNOT_START)


def _loopback_up() -> None:
    """Start the loopback of its own network; a notebook needs it to talk to its kernel."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh", b"lo", IFF_UP | IFF_RUNNING))


def _put(files: Files, folder: Path) -> None:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def _changed(before: Files, folder: Path, most: int) -> tuple[Files, bool]:
    """New and changed regular files, and whether these are all; links are not followed."""
    found: Files = {}
    for above, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            data = _read(os.path.join(above, name), most)
            place = os.path.relpath(os.path.join(above, name), folder)
            if data is None or before.get(place) == data:
                continue
            most -= len(data) + len(place) + FRAME.size
            if most < 0:
                return found, False
            found[place] = data
    return found, True


def _read(path: str, most: int) -> bytes | None:
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            return file.read(most + 1) if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else None
    except OSError:
        return None


def pack_files(files: Files) -> bytes:
    """Names and sizes as JSON, then the contents one after the other."""
    index = json.dumps([[name, len(data)] for name, data in files.items()]).encode()
    return b"".join([LENGTH.pack(len(index)), index, *files.values()])


def unpack_files(body: bytes) -> Files:
    """
    Raises:
        ValueError: the body is not of that form.
    """
    try:
        place = LENGTH.size + LENGTH.unpack_from(body)[0]
        files = {}
        for name, size in json.loads(body[LENGTH.size : place]):
            files[str(name)] = body[place : place + int(size)]
            place += int(size)
    except (struct.error, TypeError, RecursionError) as error:
        raise ValueError("not an index of files") from error
    if place != len(body):
        raise ValueError("not as many bytes as the index says")
    return files
