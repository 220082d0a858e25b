"""Numbers with what they count: one point, two points."""

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
