"""Which font of a page has which letters: DejaVu's, else one of this machine's."""

from __future__ import annotations

import unicodedata
from functools import cache
from itertools import groupby
from pathlib import Path

from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFError, TTFont

NAMES = ("DejaVuSans", "DejaVuSans-Bold")
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
    """The letters that no font here has, each once; signs that have no shape do not count."""
    known = _letters()[False]
    return [
        letter
        for letter in dict.fromkeys(words)
        if letter not in known
        and unicodedata.category(letter) not in ("Cf", "Mn", "Cc")
        and not _other_font(letter)
    ]


@cache
def _letters() -> tuple[frozenset[str], frozenset[str]]:
    """Those of DejaVu Sans, plain and bold: it has most alphabets, and is embedded as a subset."""
    import matplotlib

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    plain, bold = (_registered(name, folder / f"{name}.ttf") for name in NAMES)
    return plain, bold


def _registered(name: str, path: Path) -> frozenset[str]:
    font = TTFont(name, str(path))
    pdfmetrics.registerFont(font)
    return frozenset(map(chr, font.face.charToGlyph))


@cache
def _other_font(letter: str) -> str:
    """The name of a font of this machine that has a letter, or nothing."""
    return next((name for name, path in _machine_fonts() if _has(name, path, letter)), "")


def _has(name: str, path: Path, letter: str) -> bool:
    from fontTools.ttLib import TTFont as Face
    from fontTools.ttLib import TTLibError

    try:
        with Face(path, fontNumber=0, lazy=True) as face:
            # Only outlines of TrueType can be embedded; emoji in colours are pictures.
            if "glyf" not in face or ord(letter) not in (face.getBestCmap() or {}):
                return False
        _registered(name, path)
    except (TTFError, TTLibError, OSError, ValueError, KeyError, AssertionError):
        return False
    return True


@cache
def _machine_fonts() -> tuple[tuple[str, Path], ...]:
    from matplotlib.font_manager import findSystemFonts

    paths = sorted(Path(path) for path in findSystemFonts())
    return tuple((f"Other{number}", path) for number, path in enumerate(paths))
