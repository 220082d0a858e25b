"""How much of their long runs the notebooks compute."""

from __future__ import annotations

import os

from distillery.core.errors import CourseError


def effort() -> float:
    """The environment variable EFFORT: the share of a run's steps to compute, 1 by default.

    `make test` takes a fiftieth, to see that every cell works; the pictures are then unfinished.

    Raises:
        CourseError: it is not a number above 0 and at most 1.
    """
    given = os.environ.get("EFFORT") or "1"
    try:
        share = float(given)
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise CourseError(
            f"EFFORT is {given!r}; it must be a number above 0 and at most 1: leave it out to take "
            "every step."
        )
    return share
