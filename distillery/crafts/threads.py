"""Embroidery cotton: which DMC threads a palette needs, and how much of each."""

from __future__ import annotations

import math

import numpy as np

from distillery.crafts.colour_match import Shade, load_shades, nearest

MM_PER_INCH = 25.4
SKEIN_METRES = 8.0  # of a DMC stranded cotton, article 117
SKEIN_STRANDS = 6
WASTE = 1.3  # what is lost to beginnings, ends and the way between stitches


def dmc_threads(colours: np.ndarray) -> list[Shade]:
    """For each sRGB colour `(N, 3)` in [0, 1] a DMC thread of its own that looks like it."""
    return nearest(colours, load_shades("dmc"), distinct=True)


def thread_metres(stitches: int, cloth_count: int) -> float:
    """Length that so many crosses take on cloth of `cloth_count` holes an inch, in metres.

    A cross is two diagonals of its square in front and two sides behind; waste comes on top.
    """
    side = MM_PER_INCH / cloth_count
    return stitches * side * (2 * math.sqrt(2) + 2) * WASTE / 1000


def skeins(metres: float, strands: int) -> int:
    """Skeins to buy when `strands` of the six in a skein are stitched with at once."""
    return max(1, math.ceil(metres * strands / (SKEIN_METRES * SKEIN_STRANDS)))
