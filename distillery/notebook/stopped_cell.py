"""What a cell says that somebody stopped: a sentence, and not where in the libraries it was."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


class StoppedCell(KeyboardInterrupt):
    """An interrupt that IPython shows as its text alone."""

    def _render_traceback_(self) -> list[str]:
        """IPython's hook for the lines of a traceback."""
        return [str(self)]


@contextlib.contextmanager
def stopped_in_a_line(sentence: str) -> Iterator[None]:
    """Within it, an interrupt is shown as the sentence. Cells below are not run then, as ever.

    Raises:
        StoppedCell: somebody stopped the cell.
    """
    try:
        yield
    except StoppedCell:
        raise
    except KeyboardInterrupt:
        raise StoppedCell(sentence) from None
