"""Limits that the kernel enforces for this process and everything it starts."""

from __future__ import annotations

import os
import resource
from pathlib import Path
from typing import Any

THREADS = 64  # of one job; a normal job needs far fewer
PROCESSES = 256  # and threads, of a whole program with its Jupyter kernels
FILES = 64
PROGRAM_FILES = 512
MEBIBYTE = 2**20


def address_space() -> int | None:
    """Bytes of address space that this process already uses; None if the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def set_limits(limits: dict[str, Any], taken: int | None, *, processes: bool) -> None:
    """Set the limits of this process; it cannot raise them again.

    limits: the fields of grading.sandbox.jobs.Limits.
    taken: bytes of address space used before the job; None leaves memory unlimited.
    processes: allow as many as a program with its kernels needs.
    """
    # A job can ignore SIGXCPU at the first number, but not SIGKILL at the second.
    _limit(resource.RLIMIT_CPU, limits["cpu_s"], limits["cpu_s"] + 1)
    _limit(resource.RLIMIT_CORE, 0)  # no core dump with what the memory held
    _limit(
        resource.RLIMIT_FSIZE, limits["scratch_mb"] * MEBIBYTE
    )  # no file larger than the scratch
    _limit(resource.RLIMIT_NOFILE, PROGRAM_FILES if processes else FILES)
    _limit(resource.RLIMIT_NPROC, PROCESSES if processes else THREADS)  # against fork bombs
    if taken is not None:
        _limit(resource.RLIMIT_AS, taken + limits["memory_mb"] * MEBIBYTE)  # against memory hogs


def _limit(which: int, soft: int, hard: int | None = None) -> None:
    """Set the limit and its maximum, never above what is already in force."""
    most = resource.getrlimit(which)[1]
    hard = soft if hard is None else hard
    if most != resource.RLIM_INFINITY:
        soft, hard = min(soft, most), min(hard, most)
    resource.setrlimit(which, (soft, hard))
