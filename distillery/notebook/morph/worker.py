"""One piece of work in a thread of its own, so that the page stays alive meanwhile."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

from distillery.core.errors import CourseError, in_short

IsStopped = Callable[[], bool]


class Worker:
    """One piece of work at a time.

    Where no event loop runs, as in a script, `start` works before it returns.

    Args:
        ended: called after the work, with what went wrong in a sentence, or None.
    """

    def __init__(self, ended: Callable[[str | None], None]) -> None:
        self._ended = ended
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self.thread: threading.Thread | None = None
        self.running = False

    def start(self, work: Callable[[IsStopped], None]) -> bool:
        """Begin to work, unless there is work under way; says whether it has begun.

        Args:
            work: asks now and then whether it is stopped, and then comes to an end.
        """
        with self._lock:
            if self.running:
                return False
            self.running = True
        self._stop.clear()
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            self._do(work)
            return True
        self.thread = threading.Thread(target=self._do, args=(work,), daemon=True)
        self.thread.start()
        return True

    def stop(self) -> bool:
        """Ask the work under way to come to an end; says whether there is any."""
        if self.running:
            self._stop.set()
        return self.running

    @property
    def stopping(self) -> bool:
        return self.running and self._stop.is_set()

    def _do(self, work: Callable[[IsStopped], None]) -> None:
        said = None
        try:
            work(self._stop.is_set)
        except (CourseError, NotImplementedError) as error:
            said = str(error)
        # It may be the student's own code that fails, in any way.
        except Exception as error:
            said = f"{type(error).__name__}: {in_short(error)}"
        self.running = False
        self._ended(said)
