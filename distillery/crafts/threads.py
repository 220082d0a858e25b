"""DMC threads for a palette, and how much of each is needed."""

from __future__ import annotations

import math

import numpy as np

from distillery.crafts.colour_match import Shade, load_shades, nearest

MM_PER_INCH = 25.4
SKEIN_METRES = 8.0  # of a DMC stranded cotton, article 117
SKEIN_STRANDS = 6
WASTE = 1.3  # for starts, ends and the way between stitches


def dmc_threads(colours: np.ndarray) -> list[Shade]:
    """For each sRGB colour `(N, 3)` in [0, 1] a different DMC thread that looks like it."""
    return nearest(colours, load_shades("dmc"), distinct=True)


def thread_metres(stitches: int, cloth_count: int) -> float:
    """Length of thread for so many crosses on cloth of `cloth_count` holes per inch, in metres.

    A cross is two diagonals of its square in front and two sides behind, plus waste.
    """
    side = MM_PER_INCH / cloth_count
    return stitches * side * (2 * math.sqrt(2) + 2) * WASTE / 1000


def skeins(metres: float, strands: int) -> int:
    """Skeins to buy if `strands` of the six in a skein are used at once."""
    return max(1, math.ceil(metres * strands / (SKEIN_METRES * SKEIN_STRANDS)))
