"""Fewer and larger pages of memory: a fork copies the table of pages, and each job is a fork.

Warm, Python and torch hold some 70,000 small pages, whose copying takes longer than most jobs.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from . import kernel

LARGE = 2**21  # bytes of a large page where small ones have 4096
HEAP = "[heap]"


def into_large_pages() -> None:
    """Have the kernel put this process's own memory into large pages, as far as it can and will."""
    with suppress(OSError):
        for line in Path("/proc/self/maps").read_text().splitlines():
            addresses, rights, _, _, _, *name = line.split()
            if rights.startswith("rw") and (not name or name == [HEAP]):
                start, end = (int(address, 16) for address in addresses.split("-"))
                _collapse(-(-start // LARGE) * LARGE, end // LARGE * LARGE)


def _collapse(start: int, end: int) -> None:
    # Linux before 6.1 does not know how, and a part may not be ours to move.
    with suppress(OSError):
        if end > start:
            kernel.madvise(start, end - start, kernel.MADV_COLLAPSE)
