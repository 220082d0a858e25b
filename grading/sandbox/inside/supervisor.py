"""The supervisor: one process for each job, which shuts the job in, feeds it, bounds it, and reports.

The fork server sees nothing of a job, neither what goes in nor what comes out, so that no later job
can find it in the memory that it is forked from. The supervisor sees it, and ends with the job.
"""

from __future__ import annotations

import os
import selectors
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from resource import struct_rusage
from typing import Any, NoReturn

from . import isolation, limits

OUT_OF_MEMORY = 99  # exit status of a job that could still say so
REPLY = 3  # the descriptor that a job answers through
FAULT = 4  # and the one that says that it could not be shut in; closed before the job's own code
CHUNK = 1 << 16


@dataclass(frozen=True)
class Order:
    """One job, as its supervisor knows it.

    settings:  of the sandbox; see grading/sandbox/bubblewrap_backend.py.
    bounds:    the fields of grading.sandbox.jobs.Limits.
    work:      done by the job's process, shut in; gets the descriptor of the reply.
    processes: whether it may start others.
    """

    settings: dict[str, Any]
    bounds: dict[str, Any]
    work: Callable[[int], None]
    processes: bool = False


@dataclass(frozen=True)
class End:
    """What became of a job. ending: "ended", or one of grading.sandbox.jobs.Ending."""

    ending: str
    reply: bytes
    printed: str
    status: int


@dataclass
class Stream:
    """What a job writes, up to a number of bytes; the rest is read, counted and dropped."""

    most: int
    count: int = 0
    kept: bytearray = field(default_factory=bytearray)

    def add(self, part: bytes) -> None:
        self.count += len(part)
        self.kept += part[: max(0, self.most - len(self.kept))]


def supervise(order: Order, folder: str, taken: int | None) -> End:
    """Fork the job, and stay until it is gone.

    folder: what `isolation.prepare` gave.
    taken:  bytes of address space in use before it.

    Raises:
        OSError: the job could not be shut in; nothing of it has run.
    """
    pipes = [os.pipe() for _ in range(3)]
    printed_in, reply_in, fault_in = (ends[1] for ends in pipes)
    job = os.fork()
    if job == 0:
        _be_the_job(order, folder, taken, (printed_in, reply_in, fault_in))
    for _, write_end in pipes:
        os.close(write_end)
    printed = Stream(order.bounds["printed_bytes"])
    reply = Stream(order.bounds["reply_bytes"])
    deadline = time.monotonic() + order.bounds["wall_s"]
    left = None
    try:
        _raise_fault(pipes[2][0])
        _pump({pipes[0][0]: printed, pipes[1][0]: reply}, reply, deadline)
        if reply.count <= reply.most:
            left = _wait(job, deadline)
    finally:
        status, used = left or _kill(job)
    ending = _ending(status, used, reply, order.bounds, in_time=left is not None)
    text = bytes(printed.kept).decode("utf-8", "replace")
    return End(ending, bytes(reply.kept), text, status)


def _be_the_job(
    order: Order, folder: str, taken: int | None, pipes: tuple[int, int, int]
) -> NoReturn:
    """Shut oneself in, say so if that fails, and only then do the work."""
    try:
        isolation.die_with_parent()
        isolation.keep_only(*pipes)
        limits.set_limits(order.bounds, taken, processes=order.processes)
        isolation.shut(order.settings, folder, processes=order.processes)
    except BaseException as error:
        os.write(FAULT, f"{type(error).__name__}: {error}".encode())
        os._exit(1)
    os.close(FAULT)
    try:
        order.work(REPLY)
        os._exit(0)
    except MemoryError:
        os._exit(OUT_OF_MEMORY)
    finally:
        os._exit(1)


def _raise_fault(fault: int) -> None:
    said = os.read(fault, CHUNK).decode("utf-8", "replace")
    os.close(fault)
    if said:
        raise OSError(said)


def _pump(streams: dict[int, Stream], reply: Stream, deadline: float) -> None:
    """Read until the job holds neither pipe any more, or too much came, or time is over."""
    with selectors.DefaultSelector() as selector:
        for fd in streams:
            selector.register(fd, selectors.EVENT_READ)
        while selector.get_map() and reply.count <= reply.most:
            left = deadline - time.monotonic()
            if left <= 0:
                return
            for key, _ in selector.select(left):
                part = os.read(key.fd, CHUNK)
                streams[key.fd].add(part)
                if not part:
                    selector.unregister(key.fd)


def _wait(job: int, deadline: float) -> tuple[int, struct_rusage] | None:
    """How the job ended, and what it had used; None when it goes on beyond the deadline."""
    pause = 0.0002
    while True:
        gone, status, used = os.wait4(job, os.WNOHANG)
        if gone:
            return status, used
        if time.monotonic() > deadline:
            return None
        time.sleep(pause)
        pause = min(2 * pause, 0.02)


def _kill(job: int) -> tuple[int, struct_rusage]:
    """It, and with it everything in its namespace of processes."""
    os.kill(job, signal.SIGKILL)
    return os.wait4(job, 0)[1:]


def _ending(
    status: int, used: struct_rusage, reply: Stream, bounds: dict[str, Any], *, in_time: bool
) -> str:
    if reply.count > reply.most:
        return "too much"
    if not in_time:
        return "timed out"
    if os.WIFEXITED(status):
        return {0: "ended", OUT_OF_MEMORY: "out of memory"}.get(os.WEXITSTATUS(status), "died")
    if used.ru_utime + used.ru_stime >= bounds["cpu_s"]:
        return "timed out"
    # A job can kill nobody, itself included; so it was the kernel, for want of memory.
    return "out of memory" if os.WTERMSIG(status) == signal.SIGKILL else "died"


def tidy(order: Order, folder: str) -> None:
    """Remove a scratch that does not vanish by itself with the job's mounts."""
    if order.settings["cell"] != "namespaces":
        shutil.rmtree(folder, ignore_errors=True)
