"""What a process may use, enforced by the kernel for this process and all that it starts."""

from __future__ import annotations

import os
import resource
from pathlib import Path
from typing import Any

THREADS = 64  # of one job; beyond that it only wants to exhaust the machine
PROCESSES = 256  # and threads, of a whole program with its kernels
FILES = 64
PROGRAM_FILES = 512
MEBIBYTE = 2**20


def address_space() -> int | None:
    """Bytes of address space that this process takes already; None where nothing tells it."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def set_limits(limits: dict[str, Any], taken: int | None, *, processes: bool) -> None:
    """Bound this process for good.

    limits: the fields of grading.sandbox.jobs.Limits.
    taken: the address space that is not the job's own doing; None leaves memory unbounded.
    processes: allow as many as a program with its kernels needs.
    """
    # SIGXCPU at the first figure can be ignored, SIGKILL at the second cannot.
    _limit(resource.RLIMIT_CPU, limits["cpu_s"], limits["cpu_s"] + 1)
    _limit(resource.RLIMIT_CORE, 0)  # no core dump with what the memory held
    _limit(resource.RLIMIT_FSIZE, limits["scratch_mb"] * MEBIBYTE)  # no single file beyond scratch
    _limit(resource.RLIMIT_NOFILE, PROGRAM_FILES if processes else FILES)
    _limit(resource.RLIMIT_NPROC, PROCESSES if processes else THREADS)  # against fork bombs
    if taken is not None:
        _limit(resource.RLIMIT_AS, taken + limits["memory_mb"] * MEBIBYTE)  # against memory hogs


def _limit(which: int, soft: int, hard: int | None = None) -> None:
    """Both the limit and how far it can ever be raised, never above what is in force already."""
    most = resource.getrlimit(which)[1]
    hard = soft if hard is None else hard
    if most != resource.RLIM_INFINITY:
        soft, hard = min(soft, most), min(hard, most)
    resource.setrlimit(which, (soft, hard))
