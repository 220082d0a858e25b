"""What a cross-stitch chart says: stitches, threads, sizes, and which cells are on which page."""

from __future__ import annotations

import math
from dataclasses import dataclass

from distillery.core.errors import CourseError
from distillery.crafts.colour_match import Shade
from distillery.crafts.grid import Grid
from distillery.crafts.paper import A4, Paper
from distillery.crafts.symbols import Symbol, symbol
from distillery.crafts.threads import MM_PER_INCH, dmc_threads, skeins, thread_metres

MOST_COLUMNS, MOST_ROWS = 50, 70  # new cells on one page
OVERLAP = 2  # cells of the page before that are shown again


@dataclass(frozen=True)
class Thread:
    """One colour of the picture and its thread.

    index: in the palette.
    stitches: crosses in this colour.
    metres: length of the thread, with all strands used at once.
    """

    index: int
    symbol: Symbol
    shade: Shade
    stitches: int
    metres: float
    skeins: int


@dataclass(frozen=True)
class Tile:
    """The part of the chart on one page: cells `[first, end)`, and how many are repeated before."""

    columns: tuple[int, int]
    rows: tuple[int, int]
    repeated: tuple[int, int]
    page: int


@dataclass(frozen=True)
class CrossStitchPlan:
    """The content of a chart: sizes in cm (width, height), threads with most stitches first."""

    width: int
    height: int
    total: int
    cloth_count: int
    strands: int
    size_cm: tuple[float, float]
    threads: tuple[Thread, ...]
    tiles: tuple[Tile, ...]
    pages: int

    @property
    def size_inches(self) -> tuple[float, float]:
        return self.width / self.cloth_count, self.height / self.cloth_count


def plan_cross_stitch(
    grid: Grid, *, cloth_count: int, strands: int, paper: Paper = A4
) -> CrossStitchPlan:
    """Count stitches, choose threads and lay out pages.

    Args:
        grid: the picture.
        cloth_count: holes per inch of the cloth, 5 to 40.
        strands: how many of the six strands of a skein are used at once, 1 to 6.
        paper: to print on.

    Raises:
        CourseError: cloth_count or strands is out of range.
    """
    if not 5 <= cloth_count <= 40:
        raise CourseError(f"cloth has 5 to 40 holes per inch, often 14; it is {cloth_count}.")
    if not 1 <= strands <= 6:
        raise CourseError(f"a skein has 6 strands, so choose 1 to 6 of them; it is {strands}.")
    counts = grid.counts()
    shades = dmc_threads(grid.palette[list(counts)])
    threads = []
    for number, ((index, stitches), shade) in enumerate(zip(counts.items(), shades, strict=True)):
        metres = thread_metres(stitches, cloth_count)
        threads.append(
            Thread(index, symbol(number), shade, stitches, metres, skeins(metres, strands))
        )
    first_chart = 2 + math.ceil(len(threads) / paper.rows_of_list)
    tiles = _tiles(grid.width, grid.height, first_chart)
    centimetres = MM_PER_INCH / cloth_count / 10
    return CrossStitchPlan(
        width=grid.width,
        height=grid.height,
        total=grid.total,
        cloth_count=cloth_count,
        strands=strands,
        size_cm=(grid.width * centimetres, grid.height * centimetres),
        threads=tuple(threads),
        tiles=tuple(tiles),
        pages=first_chart - 1 + len(tiles),
    )


def _tiles(width: int, height: int, first_page: int) -> list[Tile]:
    tiles: list[Tile] = []
    for rows in _spans(height, MOST_ROWS):
        for columns in _spans(width, MOST_COLUMNS):
            repeated = (OVERLAP if columns[0] else 0, OVERLAP if rows[0] else 0)
            tiles.append(Tile(columns, rows, repeated, first_page + len(tiles)))
    return tiles


def _spans(cells: int, most: int) -> list[tuple[int, int]]:
    """Cut a side into pages of nearly equal length that start at multiples of ten."""
    pages, tens = math.ceil(cells / most), math.ceil(cells / 10)
    starts = [10 * math.ceil(page * tens / pages) for page in range(pages)]
    return list(zip(starts, [*starts[1:], cells], strict=True))
