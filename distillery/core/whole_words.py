"""Whole words in a text."""

from __future__ import annotations

import re


def places(words: str, text: str) -> list[tuple[int, int]]:
    """Where the words stand in the text, each time from their beginning to their end.

    Capitals do not matter. "boat" does not stand in "boathouse", and no words stand nowhere.
    """
    pattern = rf"(?<!\w){re.escape(words.strip())}(?!\w)"
    found = re.finditer(pattern, text, re.IGNORECASE) if words.strip() else ()
    return [match.span() for match in found]
