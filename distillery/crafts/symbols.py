"""Signs that distinguish colours in print, as outlines.

They are taken from the DejaVu Sans of matplotlib and scaled to one size, so that a chart needs no
font for them and looks the same everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

# Filled and open shapes first, then signs, letters and digits that are hard to mix up.
SIGNS = "●■▲◆★♥▼○□△◇☆♡▽×+◐◧◩⊕⊗⊞⊠◉◈♣♠▣♪☀☂✈✿#%&@?=÷∞§Σ$€~<>∴↑→↓←"
LETTERS = "ABEFHKLMNPRTVYZaghk24567"
PLAIN = SIGNS + LETTERS
STYLES = ("plain", "inverse", "boxed", "underlined")


@dataclass(frozen=True, eq=False)
class Symbol:
    """One sign; `outlines` are polygons `(n, 2)` in a unit square, y up, for non-zero winding."""

    sign: str
    style: str
    outlines: tuple[np.ndarray, ...]


def symbol(number: int) -> Symbol:
    """The sign of colour `number`, from 0; the first 77 are plain, and 308 are different."""
    style, sign = divmod(number, len(PLAIN))
    return Symbol(PLAIN[sign], STYLES[style], _outlines(PLAIN[sign]))


@cache
def _outlines(sign: str) -> tuple[np.ndarray, ...]:
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    path = TextPath((0, 0), sign, size=100, prop=FontProperties(family="DejaVu Sans"))
    polygons = [np.asarray(polygon) for polygon in path.to_polygons(closed_only=True)]
    corners = np.concatenate(polygons)
    low, high = corners.min(axis=0), corners.max(axis=0)
    middle, extent = (low + high) / 2, (high - low).max()
    return tuple((polygon - middle) / extent + 0.5 for polygon in polygons)
