"""Numbers with what they count: one point, two points, an hour and twenty minutes."""

from __future__ import annotations

from numbers import Integral


def counted(count: float, noun: str, several: str = "") -> str:
    """A number and what it counts: "1 point", "0 points", "1,200 points", "2.5 points".

    Args:
        noun: the word for one.
        several: the word for others, where it is not `noun` with an s.
    """
    number = f"{count:,}" if isinstance(count, Integral) else f"{count:g}"
    return f"{number} {noun if count == 1 else several or noun + 's'}"


def in_hours(minutes: int) -> str:
    """ "50 min", "1 h 20", "2 h"."""
    hours, rest = divmod(minutes, 60)
    if not hours:
        return f"{rest} min"
    return f"{hours} h {rest:02}" if rest else f"{hours} h"
