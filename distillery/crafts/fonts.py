"""Which font of a page has which letters: DejaVu's, else one of this machine's."""

from __future__ import annotations

from functools import cache
from itertools import groupby
from pathlib import Path

from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFError, TTFont

from distillery.core import lettering

NAMES = ("DejaVuSans", "DejaVuSans-Bold")  # embedded as subsets, as all others are
Run = tuple[str, str]  # a font's name, and letters that it has


def runs(words: str, *, bold: bool) -> list[Run]:
    """The words in pieces of one font each; letters that no font has are left out."""
    known, own = _letters()[bold], NAMES[bold]
    if known.issuperset(words):
        return [(own, words)]
    fonts = [(own if letter in known else _other_font(letter), letter) for letter in words]
    pieces = groupby(((font, letter) for font, letter in fonts if font), key=lambda pair: pair[0])
    return [(font, "".join(letter for _, letter in piece)) for font, piece in pieces]


def width_of(words: str, size: float, *, bold: bool) -> float:
    """Of one line, in points."""
    return sum(pdfmetrics.stringWidth(text, font, size) for font, text in runs(words, bold=bold))


def without_font(words: str) -> list[str]:
    """The letters that no font here has, each once."""
    unknown = lettering.missing(words, _letters()[False])
    return [letter for letter in unknown if not _other_font(letter)]


@cache
def _letters() -> tuple[frozenset[str], frozenset[str]]:
    """Those of the plain font and of the bold one, which are registered."""
    plain, bold = (_registered(name, lettering.dejavu(name)) for name in NAMES)
    return plain, bold


def _registered(name: str, path: Path) -> frozenset[str]:
    font = TTFont(name, str(path))
    pdfmetrics.registerFont(font)
    return frozenset(map(chr, font.face.charToGlyph))


@cache
def _other_font(letter: str) -> str:
    """The name of a font of this machine that has a letter, or nothing."""
    for number, path in enumerate(lettering.machine_fonts()):
        if letter in lettering.letters_of(path):
            try:
                _registered(f"Other{number}", path)
            except TTFError:  # it may not be embedded, or is of a kind that cannot be
                continue
            return f"Other{number}"
    return ""
