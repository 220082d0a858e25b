"""Fonts for words in any script: those that come with matplotlib, else one of this machine's."""

from __future__ import annotations

import unicodedata
import warnings
from collections.abc import Container
from functools import cache
from pathlib import Path

from PIL import ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def lettering(words: str, size: float) -> tuple[Font, str]:
    """A font of PIL that has the letters of a line, and the line without those that none has.

    A warning says which letters are left out. Plain words are drawn in PIL's own font.
    """
    if words.isascii():
        return ImageFont.load_default(size), words
    paths = (dejavu("DejaVuSans"), *machine_fonts())
    whole = next((path for path in paths if not missing(words, letters_of(path))), None)
    if whole is not None:
        return ImageFont.truetype(str(whole), size), words
    lacking = missing(words, letters_of(paths[0]))
    warnings.warn(
        f"no font here has the letters {' '.join(lacking)} of {words!r}; they are left out.",
        stacklevel=3,
    )
    kept = "".join(letter for letter in words if letter not in lacking)
    return ImageFont.truetype(str(paths[0]), size), kept


def missing(words: str, known: Container[str]) -> list[str]:
    """The letters that are not known, each once; signs that have no shape do not count."""
    return [
        letter
        for letter in dict.fromkeys(words)
        if letter not in known and unicodedata.category(letter) not in ("Cf", "Mn", "Cc")
    ]


def dejavu(name: str) -> Path:
    """The file of a font that has most alphabets, such as "DejaVuSans"."""
    import matplotlib

    return Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{name}.ttf"


@cache
def machine_fonts() -> tuple[Path, ...]:
    """The files of the fonts that are installed here."""
    from matplotlib.font_manager import findSystemFonts

    return tuple(sorted(Path(path) for path in findSystemFonts()))


@cache
def letters_of(path: Path) -> frozenset[str]:
    """The letters that a font has as outlines; none of one in colours, which are pictures."""
    from fontTools.ttLib import TTFont, TTLibError

    try:
        with TTFont(path, fontNumber=0, lazy=True) as font:
            outlines = font.getBestCmap() if "glyf" in font else None
    except (TTLibError, OSError, ValueError, KeyError, AssertionError):
        return frozenset()
    return frozenset(map(chr, outlines or {}))
