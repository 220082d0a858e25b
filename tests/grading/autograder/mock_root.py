"""A fresh root in which a grader runs, as in a container of its own, and the memory it takes."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil
from attack import SECRET

SYSTEM = ("/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/alternatives", "/etc/ssl")


def run_inside(
    command: str, binds: Mapping[str, Path], environment: str, *, timeout: float = 600
) -> subprocess.CompletedProcess[str]:
    """Run a program in a root that has only the system's libraries, Python and what is bound.

    Args:
        command: path of the program inside; it runs in the folder that is bound first.
        binds: path inside -> folder, which the program may write to.
        environment: path inside of the Python environment; that of the tests stands there for the
            one that the grader's own recipe installs.
    """
    base, own = Path(sys.base_prefix).resolve(), Path(sys.prefix)
    words = ["bwrap", "--unshare-all", "--die-with-parent", "--proc", "/proc", "--dev", "/dev"]
    words += ["--tmpfs", "/tmp", "--clearenv", "--setenv", "PATH", "/usr/bin:/bin"]
    words += ["--setenv", "SECRET", SECRET]
    for path in SYSTEM:
        if Path(path).exists():
            words += ["--ro-bind", path, path]
    words += ["--ro-bind", str(base), str(base)]
    for inside, folder in binds.items():
        words += ["--bind", str(folder), inside]
    words += ["--ro-bind", str(own), environment, "--chdir", next(iter(binds))]
    return subprocess.run(
        [*words, command], capture_output=True, text=True, timeout=timeout, check=False
    )


class Cost:
    """Seconds, and MB at the peak of all processes together; a page that is shared counts once.

    Of what other programs of this machine share too, such as the same libraries, only a part
    counts: in an environment of its own a grader shows some 250 MB more.
    """

    def __init__(self) -> None:
        self.seconds, self.peak_mb = 0.0, 0.0

    def __str__(self) -> str:
        return f"{self.seconds:.1f} s, {self.peak_mb:.0f} MB at the peak, all processes together"


@contextmanager
def measured() -> Iterator[Cost]:
    """What the processes that are started below this one cost."""
    cost, done, began = Cost(), threading.Event(), time.monotonic()
    watcher = threading.Thread(target=_watch, args=(cost, done))
    watcher.start()
    try:
        yield cost
    finally:
        done.set()
        watcher.join()
        cost.seconds = time.monotonic() - began


def _watch(cost: Cost, done: threading.Event) -> None:
    while not done.wait(0.1):
        total = 0
        for one in psutil.Process().children(recursive=True):
            try:
                total += one.memory_full_info().pss
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        cost.peak_mb = max(cost.peak_mb, total / 1e6)
