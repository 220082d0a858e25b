"""A grader that a service starts for each submission: its memory, its time, its one result.

Imports nothing large, so that too little memory can be said.
"""

from __future__ import annotations

import json
import signal
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distillery.core.counting import counted
from distillery.core.files import atomic_write

CGROUPS = ("sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory/memory.limit_in_bytes")
ASK = "Ask your instructor; your submission is kept, and can be graded again."
STOPPED = (
    "the grader was stopped before it was done, as happens where memory or time is short: choose "
    "more of both."
)

Result = dict[str, Any]


class TimeIsUpError(BaseException):
    """The time for one submission is over. No handler of ordinary errors may catch it."""


@dataclass(frozen=True)
class Host:
    """A service that starts the grader for each submission.

    not_graded:  a result without a grade, of a sentence that says why.
    more_memory: what to do for more memory, such as "choose at least 3 GB in the settings".
    more_time:   what to do for more time.
    """

    not_graded: Callable[[str], Result]
    more_memory: str
    more_time: str


def memory_mb(root: Path = Path("/")) -> float | None:
    """MB that this machine or container may use; None where nothing says so.

    Args:
        root: under which the machine's own files are.
    """
    found = []
    for name in CGROUPS:
        try:
            found.append(int((root / name).read_text()) / 1e6)
        except (OSError, ValueError):
            continue  # not there, or "max"
    try:
        line = (root / "proc/meminfo").read_text().splitlines()[0]
        found.append(int(line.split()[1]) * 1024 / 1e6)
    except (OSError, ValueError, IndexError):
        pass
    return min(found, default=None)


def lacking_memory(needed_mb: float, there_mb: float | None) -> str:
    """Why the memory does not suffice; "" if it does, or if nothing says how much there is."""
    if there_mb is None or there_mb >= 0.95 * needed_mb:  # 3 GB may be 3000 MB or a little less
        return ""
    there, needed = there_mb / 1000, needed_mb / 1000
    return f"this autograder has {there:.1f} GB of memory and needs {needed:g}"


def result_within(
    host: Host,
    work: Callable[[], Result],
    *,
    needed_mb: float,
    seconds: int,
    root: Path = Path("/"),
) -> Result:
    """The result of `work`, or one that says that memory or time is short.

    Args:
        work: imports what is large; it is not called where the memory does not suffice.
        root: under which the machine's own files are.
    """
    lacking = lacking_memory(needed_mb, memory_mb(root))
    if lacking:
        return host.not_graded(f"{lacking}: {host.more_memory}.")
    try:
        with _alarm(seconds):
            return work()
    except TimeIsUpError:
        return host.not_graded(f"it took more than {counted(seconds, 'second')}: {host.more_time}.")
    except MemoryError:
        return host.not_graded(f"the memory was not enough: {host.more_memory}.")


@contextmanager
def _alarm(seconds: int) -> Iterator[None]:
    """Raise TimeIsUpError after this time."""

    def stop(number: int, frame: object) -> None:
        raise TimeIsUpError

    earlier = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, earlier)


def leave_result(
    file: Path, work: Callable[[], Result], not_graded: Callable[[str], Result]
) -> None:
    """Write the result of `work` to `file`, and another that says why where it fails.

    What went wrong is also printed: services show it to instructors alone.
    """
    _write(file, not_graded(STOPPED))  # stands if the system kills the grader
    try:
        content = work()
    except Exception:
        traceback.print_exc()
        content = not_graded("the grader itself failed; its output says why.")
    _write(file, content)


def _write(file: Path, content: Result) -> None:
    atomic_write(file, json.dumps(content))
