"""A run that a page begins and stops; its steps come between the kernel's other work."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence

from distillery.core.errors import CourseError, in_short
from distillery.notebook.widgets import PAUSE
from distillery.runs.run import Step

# The kernel may handle each widget's messages in a thread of its own. A model that is told of
# regions, and the filters of warnings, are for one run at a time.
ONE_AT_A_TIME = threading.RLock()


class Runner:
    """One run at a time; a newer one replaces the one under way.

    Where no event loop runs, as in a script, `start` takes all the steps before it returns.

    Args:
        begin: the steps of a run; what they are to be is read when it is called.
        stepped: called after each step, with the step and what was warned of so far.
        ended: called after the last one, or with what went wrong, in a sentence.
    """

    def __init__(
        self,
        begin: Callable[[], Iterable[Step]],
        *,
        stepped: Callable[[Step, Sequence[str]], None],
        ended: Callable[[str | None], None],
    ) -> None:
        self._begin, self._stepped, self._ended = begin, stepped, ended
        self.task: asyncio.Task[None] | None = None
        self.running = False
        self._number = 0

    def start(self) -> None:
        """Begin a run, in place of the one under way."""
        with ONE_AT_A_TIME:
            self._number += 1
            self.running = True
            turns = self._turns(self._number)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            for _ in turns:
                pass
            return
        self.task = loop.create_task(_between_other_work(turns))

    def stop(self) -> bool:
        """End the run under way after its step; says whether there was one."""
        with ONE_AT_A_TIME:
            was_running, self.running = self.running, False
            self._number += was_running
            return was_running

    def _turns(self, number: int) -> Iterator[None]:
        """The steps of a run; it ends without a word when another number has come up."""
        try:
            with ONE_AT_A_TIME:
                if number != self._number:
                    return
                steps = self._begin()
            yield
            warned: list[str] = []
            steps = heard(steps, warned)
            while True:
                with ONE_AT_A_TIME:
                    step = next(steps, None)
                    if step is None or number != self._number:
                        break
                    self._stepped(step, warned)
                yield
            said = None
        except (CourseError, NotImplementedError) as error:
            said = str(error)
        # It may be the student's own code that fails, in any way.
        except Exception as error:
            said = f"{type(error).__name__}: {in_short(error)}"
        with ONE_AT_A_TIME:
            if number == self._number:
                self.running = False
                self._ended(said)


async def _between_other_work(turns: Iterator[None]) -> None:
    for _ in turns:
        await asyncio.sleep(PAUSE)


def heard(steps: Iterable[Step], warned: list[str]) -> Iterator[Step]:
    """The same steps; what they warn of goes into a list, not under another cell."""
    source = iter(steps)
    while True:
        # Warnings are the whole program's: they are caught for no longer than a step takes.
        with listening(warned):
            step = next(source, None)
        if step is None:
            return
        yield step


@contextlib.contextmanager
def listening(warned: list[str]) -> Iterator[None]:
    """What is warned of meanwhile goes into a list; warnings of other kinds are passed on."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for its in caught:
        if its.category is UserWarning:
            warned.append(str(its.message))
        else:
            warnings.warn_explicit(its.message, its.category, its.filename, its.lineno)
