"""Tables of colours that can be bought, and the nearest of them by CIEDE2000."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from coloraide import Color

from distillery.core.files import REPOSITORY

TABLES = REPOSITORY / "data" / "crafts"


@dataclass(frozen=True)
class Shade:
    """One colour of a maker's range; `rgb` is an approximate sRGB in [0, 1]."""

    code: str
    name: str
    rgb: tuple[float, float, float]


@cache
def load_shades(table: str) -> tuple[Shade, ...]:
    """The shades of `data/crafts/<table>.csv`: "dmc", "perler" or "ldraw"."""
    with open(TABLES / f"{table}.csv", encoding="utf-8", newline="") as file:
        return tuple(
            Shade(row["code"], row["name"], _from_hex(row["hex"])) for row in csv.DictReader(file)
        )


def _from_hex(text: str) -> tuple[float, float, float]:
    red, green, blue = bytes.fromhex(text.removeprefix("#"))
    return red / 255, green / 255, blue / 255


def distances(colours: np.ndarray, shades: Sequence[Shade]) -> np.ndarray:
    """How different each of N colours looks from each of M shades: CIEDE2000, float64 `(N, M)`.

    1 is just visible; black and white are 100 apart. CIEDE2000 is the standard of the textile
    industry.
    """
    wanted = [_in_lab(colour) for colour in colours]
    offered = [_in_lab(shade.rgb) for shade in shades]
    apart = [[one.delta_e(other, method="2000") for other in offered] for one in wanted]
    return np.array(apart).reshape(len(wanted), len(offered))


def _in_lab(rgb: Iterable[float]) -> Color:
    return Color("srgb", [float(level) for level in rgb]).convert("lab-d65")


def nearest(colours: np.ndarray, shades: Sequence[Shade], *, distinct: bool = False) -> list[Shade]:
    """For each of N sRGB colours `(N, 3)` the nearest shade.

    Args:
        colours: sRGB in [0, 1].
        shades: the shades to choose from.
        distinct: every colour gets a different shade, with the smallest possible sum of squared
            distances. If there are more colours than shades, each gets its nearest.
    """
    apart = distances(colours, shades)
    if not distinct or len(colours) > len(shades):
        return [shades[index] for index in apart.argmin(axis=1)]
    return [shades[index] for index in assignment(apart**2)]


def assignment(cost: np.ndarray) -> list[int]:
    """For each row a different column, so that the sum of the costs is as small as possible.

    Args:
        cost: float64 (N, M), N <= M.

    The Hungarian method (Kuhn 1955) with one shortest augmenting path per row (Jonker and Volgenant
    1987).
    """
    rows, columns = cost.shape
    row_price, column_price = np.zeros(rows), np.zeros(columns)
    owner = np.full(columns, -1)
    for row in range(rows):
        reach, came_from = np.full(columns, np.inf), np.full(columns, -1)
        done = np.zeros(columns, dtype=bool)
        here, at, so_far = row, -1, 0.0
        while here >= 0:
            way = so_far + cost[here] - row_price[here] - column_price
            shorter = ~done & (way < reach)
            reach[shorter], came_from[shorter] = way[shorter], at
            at = int(np.where(done, np.inf, reach).argmin())
            so_far, done[at], here = float(reach[at]), True, int(owner[at])
        visited = np.flatnonzero(done & (owner >= 0))
        row_price[row] += so_far
        row_price[owner[visited]] += so_far - reach[visited]
        column_price[visited] -= so_far - reach[visited]
        while at >= 0:
            before = int(came_from[at])
            owner[at] = row if before < 0 else owner[before]
            at = before
    place = {int(row): column for column, row in enumerate(owner) if row >= 0}
    return [place[row] for row in range(rows)]
