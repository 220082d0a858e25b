"""nbgrader's Validate button: it runs a notebook from top to bottom and reads its graded cells.

It knows only a cell that earns all its points, one that earns some, of which it says "passed some
but not all of the tests", and one that raises, of which it shows the exception. It gives up on a
cell after 30 seconds, and nothing else in JupyterLab answers while it runs.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterable

from distillery.core.counting import counted
from distillery.core.errors import CourseError


class Points(float):
    """What a graded cell earns. nbgrader reads the number as plain text; people read the words.

    worth: what it can earn.
    """

    worth: float

    def __new__(cls, earned: float, worth: float) -> Points:
        made = super().__new__(cls, earned)
        made.worth = worth
        return made

    def __repr__(self) -> str:
        return f"{float(self):g}"

    def _repr_html_(self) -> str:
        """IPython's hook; a page shows it in the place of the bare number."""
        return f"<small>{self!r} of {counted(self.worth, 'point')}</small>"


COUNTS = re.compile(r"^(%%todo\b|(check|hand_in)\()", re.MULTILINE)


def is_validating() -> bool:
    """Whether this notebook is run by Validate: nbgrader sets a variable for as long."""
    return "NBGRADER_VALIDATING" in os.environ


def without_what_earns_nothing(cell: list[str]) -> list[str]:
    """The lines of a cell that answers a task or is graded; none of any other.

    A transformer of IPython's input, for Validate: no graded cell needs another, and many others
    draw for minutes.
    """
    return cell if COUNTS.search("".join(cell)) else []


def fail_in_validate(lines: Iterable[str]) -> None:
    """Let Validate say these lines of a graded cell that does not earn all its points.

    Raises:
        CourseError: with the lines, in Validate; nothing is raised elsewhere.
    """
    if is_validating():
        raise CourseError("\n".join(lines))


def no_stderr_in_validate() -> contextlib.AbstractContextManager[object]:
    """Within it, warnings and progress bars go to stdout: Validate takes stderr for an error."""
    return contextlib.redirect_stderr(sys.stdout) if is_validating() else contextlib.nullcontext()
