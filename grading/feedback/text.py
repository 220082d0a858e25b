"""Text that somebody else wrote, made fit for a page, a table or a file."""

from __future__ import annotations

import re

LONGEST = 20_000  # characters
ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # colours and cursor movements
    r"|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?"  # window titles, links and the like
    r"|\x1b[ -/]*[0-~]?"
)
DIRECTIONS = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
SURROGATES = re.compile("[\ud800-\udfff]")


def plain(text: object, longest: int = LONGEST) -> str:
    """The text without what a terminal or a browser would obey, and not too long.

    Escape codes and control characters go, tabs and line ends stay. Marks that turn the direction
    of writing are spelt out, because code that they turn around reads as other code. Lone
    surrogates, which are no UTF-8, become U+FFFD.
    """
    text = str(text)
    left_out = max(0, len(text) - longest)
    text = ESCAPES.sub("", text[:longest]).replace("\r\n", "\n").replace("\r", "\n")
    text = SURROGATES.sub("\ufffd", text)
    text = DIRECTIONS.sub(lambda mark: f"[U+{ord(mark[0]):04X}]", text)
    return CONTROLS.sub("", text) + (f" ... ({left_out} more characters)" if left_out else "")


def one_line(text: object, longest: int = 200) -> str:
    """The same on a single line."""
    return " ".join(plain(text, longest).split())
