"""How far the grading of a class has come: a table that redraws itself, or plain lines."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TextIO

REDRAW_S = 0.2
SHOWN = 8  # submissions at work


class Progress:
    """Counts what ends, and tells `stream`.

    On a terminal the table is redrawn in place; elsewhere every submission that ends is a line.
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
        self.counts = {"graded": 0, "rejected": 0, "grader error": 0}
        self._stream = sys.stderr if stream is None else stream
        self._clock = clock
        self._began = clock()
        self._drawn_at = float("-inf")
        self._height = 0
        self._running: dict[str, float] = {}

    @property
    def done(self) -> int:
        return sum(self.counts.values())

    @property
    def left(self) -> int:
        return self.total - self.done

    @property
    def per_minute(self) -> float:
        return 60 * self.done / max(self._clock() - self._began, 1e-9)

    @property
    def eta(self) -> str:
        if self.left == 0:
            return "nothing left"
        return f"{span(60 * self.left / self.per_minute)} to go" if self.done else "unknown"

    def running(self, students: list[str]) -> None:
        """Who is being graded now."""
        now = self._clock()
        self._running = {student: self._running.get(student, now) for student in students}
        self._redraw()

    def ended(self, student: str, status: str) -> None:
        """A submission has its outcome."""
        self.counts[status] += 1
        self._running.pop(student, None)
        if not self._stream.isatty():
            line = f"{self.title}: {self.done} of {self.total}, {self.per_minute:.0f} a minute, "
            print(f"{line}{self.eta}: {student} {status}", file=self._stream, flush=True)
        self._redraw(now=self.left == 0)

    def _redraw(self, *, now: bool = False) -> None:
        if not self._stream.isatty() or not (now or self._clock() - self._drawn_at > REDRAW_S):
            return
        lines = self.table()
        up = f"\x1b[{self._height}A" if self._height else ""
        self._stream.write(up + "\x1b[J" + "".join(f"{line}\n" for line in lines))
        self._stream.flush()
        self._height, self._drawn_at = len(lines), self._clock()

    def table(self) -> list[str]:
        """The lines of the table as it is now."""
        counts = self.counts
        heads = ("graded", "rejected", "errors", "left", "a minute", "to go")
        cells = (
            f"{counts['graded']}",
            f"{counts['rejected']}",
            f"{counts['grader error']}",
            f"{self.left}",
            f"{self.per_minute:.1f}",
            self.eta.removesuffix(" to go"),
        )
        wide = max(len(self.title), 10)
        lines = [
            f"{self.title:{wide}}{_row(heads)}",
            " " * wide + _row(cells),
        ]
        now = self._clock()
        for student, since in list(self._running.items())[:SHOWN]:
            lines.append(f"  {student}, {span(now - since)}")
        if len(self._running) > SHOWN:
            lines.append(f"  and {len(self._running) - SHOWN} more")
        return lines


def _row(cells: tuple[str, ...]) -> str:
    return "".join(f"{cell:>10}" for cell in cells[:-1]) + f"  {cells[-1]}"


def span(seconds: float) -> str:
    """A length of time, as people say it."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if minutes < 10 and rest else f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"
