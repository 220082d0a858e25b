"""Makes untrusted text safe for a page, a table or a file."""

from __future__ import annotations

import re

from distillery.core.counting import counted

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
    """The text without terminal and browser control characters, and not too long.

    Escape codes and control characters are removed; tabs and line ends stay. Marks that change the
    direction of writing are spelt out, because they can make code look like other code. Lone
    surrogates are not valid UTF-8 and become U+FFFD.
    """
    text = str(text)
    left_out = max(0, len(text) - longest)
    text = ESCAPES.sub("", text[:longest]).replace("\r\n", "\n").replace("\r", "\n")
    text = SURROGATES.sub("\ufffd", text)
    text = DIRECTIONS.sub(lambda mark: f"[U+{ord(mark[0]):04X}]", text)
    return CONTROLS.sub("", text) + (
        f" ... ({counted(left_out, 'more character')})" if left_out else ""
    )


def one_line(text: object, longest: int = 200) -> str:
    """The same on a single line."""
    return " ".join(plain(text, longest).split())
