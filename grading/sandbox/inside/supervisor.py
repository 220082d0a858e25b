"""The supervisor: one process for each job, which isolates, limits and feeds it, and reports.

The fork server never sees the input or the output of a job, so a later job cannot find them in the
memory that it is forked from. Only the supervisor sees them, and it ends with the job.
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

OUT_OF_MEMORY = 99  # exit status of a job that ran out of memory and could still report it
REPLY = 3  # the descriptor to which a job writes its answer
FAULT = 4  # the descriptor for a failed isolation; closed before the student's code runs
CHUNK = 1 << 16


@dataclass(frozen=True)
class Order:
    """One job, as its supervisor sees it.

    settings:  of the sandbox; see grading/sandbox/bubblewrap_backend.py.
    bounds:    the fields of grading.sandbox.jobs.Limits.
    work:      runs in the isolated process; gets the descriptor of the reply.
    processes: whether it may start other processes.
    """

    settings: dict[str, Any]
    bounds: dict[str, Any]
    work: Callable[[int], None]
    processes: bool = False


@dataclass(frozen=True)
class End:
    """The result of a job. ending: "ended", or one of grading.sandbox.jobs.Ending."""

    ending: str
    reply: bytes
    printed: str
    status: int


@dataclass
class Stream:
    """What a job writes, up to `most` bytes; the rest is counted and dropped."""

    most: int
    count: int = 0
    kept: bytearray = field(default_factory=bytearray)

    def add(self, part: bytes) -> None:
        self.count += len(part)
        self.kept += part[: max(0, self.most - len(self.kept))]


def supervise(order: Order, folder: str, taken: int | None) -> End:
    """Fork the job, and wait until it has ended.

    folder: what `isolation.prepare` gave.
    taken:  bytes of address space in use before it.

    Raises:
        OSError: the job could not be isolated; none of its code has run.
    """
    pipes = [os.pipe() for _ in range(3)]
    printed_in, reply_in, fault_in = (ends[1] for ends in pipes)
    job = os.fork()
    if job == 0:
        _be_job(order, folder, taken, (printed_in, reply_in, fault_in))
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


def _be_job(order: Order, folder: str, taken: int | None, pipes: tuple[int, int, int]) -> NoReturn:
    """Isolate this process, report a failure, and only then do the work."""
    try:
        isolation.die_with_parent()
        isolation.keep_only(*pipes)
        limits.set_limits(order.bounds, taken, processes=order.processes)
        isolation.isolate(order.settings, folder, processes=order.processes)
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
    """Read until the job has closed both pipes, or has written too much, or time is over."""
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
    """How the job ended and what it used; None if it still runs at the deadline."""
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
    """Kill it, and with it everything in its namespace of processes."""
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
    # A job cannot send SIGKILL, not even to itself, so the kernel did it because memory was full.
    return "out of memory" if os.WTERMSIG(status) == signal.SIGKILL else "died"


def tidy(order: Order, folder: str) -> None:
    """Remove a scratch folder that does not disappear with the job's mounts."""
    if order.settings["isolation"] != "namespaces":
        shutil.rmtree(folder, ignore_errors=True)
