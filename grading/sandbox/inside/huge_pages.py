"""Fewer and larger pages of memory: a fork copies the table of pages, and each job is a fork.

Once loaded, Python and torch have about 70,000 small pages, and copying them takes longer than most
jobs.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from . import kernel

LARGE = 2**21  # bytes of a large page; small ones have 4096
HEAP = "[heap]"


def into_large_pages() -> None:
    """Ask the kernel to put this process's own memory into large pages; it does what it can."""
    with suppress(OSError):
        for line in Path("/proc/self/maps").read_text().splitlines():
            addresses, rights, _, _, _, *name = line.split()
            if rights.startswith("rw") and (not name or name == [HEAP]):
                start, end = (int(address, 16) for address in addresses.split("-"))
                _collapse(-(-start // LARGE) * LARGE, end // LARGE * LARGE)


def _collapse(start: int, end: int) -> None:
    # Linux before 6.1 cannot do this, and some memory may not be movable.
    with suppress(OSError):
        if end > start:
            kernel.madvise(start, end - start, kernel.MADV_COLLAPSE)
