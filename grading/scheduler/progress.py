"""How far the grading of a class is: a bar on a terminal, else a line for each submission."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import TextIO

from tqdm import tqdm


class Progress:
    """Counts finished submissions, and shows the counts and the remaining time.

    Args:
        title: what is graded, such as "01_sds".
        total: number of submissions.
        stream: stderr by default.
        clock: in seconds.
    """

    def __init__(
        self,
        title: str,
        total: int,
        *,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.title, self.total = title, total
        self.counts: Counter[str] = Counter()
        self._stream = sys.stderr if stream is None else stream
        self._clock, self._began = clock, clock()
        self._bar = tqdm(
            desc=title,
            total=total,
            unit="submission",
            file=self._stream,
            smoothing=0,  # the mean of the whole run, because submissions take different times
            dynamic_ncols=True,
            disable=not self._stream.isatty(),
        )

    def ended(self, student: str, status: str) -> None:
        """Count a submission that is "graded" or "rejected", or ended as a "grader error"."""
        self.counts[status] += 1
        if self._bar.disable:
            print(self._line(student, status), file=self._stream, flush=True)
        else:
            counts = (f"{count} {status}" for status, count in self.counts.items())
            self._bar.set_postfix_str(", ".join(counts), refresh=False)
            self._bar.update()

    def refresh(self) -> None:
        """Show the time that has passed, also while no submission ends."""
        self._bar.refresh()

    def close(self) -> None:
        self._bar.close()

    def _line(self, student: str, status: str) -> str:
        done = self.counts.total()
        seconds = max(self._clock() - self._began, 1e-9)
        left = tqdm.format_interval(seconds / done * (self.total - done))
        rate = f"{60 * done / seconds:.0f} a minute"
        return f"{self.title}: {done} of {self.total}, {rate}, {left} to go: {student} {status}"
