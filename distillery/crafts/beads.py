"""A plan for fuse beads: which bead goes where on square boards, printed at true size."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from distillery.core.files import atomic_write
from distillery.crafts.colour_match import Shade, load_shades, nearest
from distillery.crafts.grid import EMPTY, Grid, as_grid, preview, to_hex
from distillery.crafts.pdf import (
    HEIGHT,
    INK,
    LINE,
    MARGIN,
    QUIET,
    WIDTH,
    Document,
    fitted,
    tint,
)
from distillery.crafts.symbols import Symbol, symbol

BOARD = 29  # beads a side
BEAD_MM = 5.0
ROWS_OF_LIST = 40
BOARD_TOP = 38.0
BOARD_LEFT = (WIDTH - BOARD * BEAD_MM) / 2


@dataclass(frozen=True)
class BeadColour:
    """One colour of the picture: its index in the palette, and the nearest Perler bead."""

    index: int
    symbol: Symbol
    hex: str
    shade: Shade
    beads: int


@dataclass(frozen=True)
class Board:
    """A board of at most 29 × 29 beads, at (`row`, `column`) in the grid of boards.

    counts: beads of every colour on it, by index in the palette, the most frequent first.
    """

    name: str
    row: int
    column: int
    counts: dict[int, int]

    @property
    def beads(self) -> int:
        return sum(self.counts.values())


@dataclass(frozen=True)
class BeadPlan:
    """Beads, colours and boards; `size_cm` is (width, height). Empty boards are left out."""

    width: int
    height: int
    total: int
    size_cm: tuple[float, float]
    colours: tuple[BeadColour, ...]
    across: int
    down: int
    boards: tuple[Board, ...]
    pages: int


def _plan(grid: Grid) -> BeadPlan:
    counts = grid.counts()
    shades = nearest(grid.palette[list(counts)], load_shades("perler"), distinct=True)
    colours = tuple(
        BeadColour(index, symbol(number), to_hex(grid.palette[index]), shade, beads)
        for number, ((index, beads), shade) in enumerate(zip(counts.items(), shades, strict=True))
    )
    across, down = math.ceil(grid.width / BOARD), math.ceil(grid.height / BOARD)
    boards = []
    for row in range(down):
        for column in range(across):
            part = Grid(_cells(grid, row, column), grid.palette)
            if part.total:
                name = f"{chr(ord('A') + row)}{column + 1}"
                boards.append(Board(name, row, column, part.counts()))
    return BeadPlan(
        width=grid.width,
        height=grid.height,
        total=grid.total,
        size_cm=(grid.width * BEAD_MM / 10, grid.height * BEAD_MM / 10),
        colours=colours,
        across=across,
        down=down,
        boards=tuple(boards),
        pages=1 + math.ceil(len(colours) / ROWS_OF_LIST) + len(boards),
    )


def _cells(grid: Grid, row: int, column: int) -> np.ndarray:
    top, left = row * BOARD, column * BOARD
    return grid.indices[top : top + BOARD, left : left + BOARD]


def write_beads(path: Path, indices: Any, palette: Any, *, title: str = "Fuse beads") -> BeadPlan:
    """Write the plan as a PDF of A4 pages and return it; the file is complete or not written.

    Args:
        path: of the PDF.
        indices: int64 (H, W), -1 where a peg stays empty.
        palette: float32 (K, 3), sRGB in [0, 1].
        title: printed on every page.

    Raises:
        CourseError: the grid is invalid, or the file cannot be written.
    """
    grid = as_grid(indices, palette)
    plan = _plan(grid)
    pdf = Document(title, plan.pages)
    _cover(pdf, grid, plan)
    for first in range(0, len(plan.colours), ROWS_OF_LIST):
        _bead_list(pdf, plan, first)
    for colour in plan.colours:
        rgb = tuple(grid.palette[colour.index].tolist())
        pdf.define_stamp(
            _stamp(colour.index), colour.symbol, BEAD_MM, fill=tint(rgb), round_edge=True
        )
    for board in plan.boards:
        _board(pdf, grid, plan, board)
    atomic_write(Path(path), pdf.finish())
    return plan


def _stamp(index: int) -> str:
    return f"bead{index}"


def _cover(pdf: Document, grid: Grid, plan: BeadPlan) -> None:
    pdf.new_page()
    pdf.text(MARGIN, 24, pdf.title, size=22, bold=True, width=WIDTH - 2 * MARGIN)
    pdf.text(MARGIN, 31, "Fuse bead plan", size=10, colour=QUIET)
    room = (WIDTH - 2 * MARGIN, 165.0)
    width, height = fitted(grid.width, grid.height, room)
    left, top = (WIDTH - width) / 2, 38 + (room[1] - height) / 2
    pdf.picture(preview(grid, grid.palette), left, top, width, height)
    _board_map(pdf, plan, left, top, width / grid.width)
    wide, high = plan.size_cm
    facts = [
        ("Beads", f"{plan.width} wide × {plan.height} high, {plan.total:,} in all"),
        ("Finished size", f"{wide:.1f} × {high:.1f} cm ({wide / 2.54:.1f} × {high / 2.54:.1f} in)"),
        ("Beads to use", f"midi, {BEAD_MM:g} mm, {len(plan.colours)} colours"),
        (
            "Boards",
            f"{len(plan.boards)} of {BOARD} × {BOARD} pegs, in {plan.down} rows of {plan.across}",
        ),
        ("Printing", "at 100 %: boards are drawn at true size; put the page under a clear board"),
    ]
    y = 214.0
    for name, words in facts:
        pdf.text(MARGIN, y, name, size=9, bold=True)
        pdf.text(MARGIN + 32, y, words, size=9)
        y += 6.2


def _board_map(pdf: Document, plan: BeadPlan, left: float, top: float, scale: float) -> None:
    """Edges and names of the boards, drawn over the preview."""
    right, bottom = left + plan.width * scale, top + plan.height * scale
    for board in plan.boards:
        x, y = left + board.column * BOARD * scale, top + board.row * BOARD * scale
        x1, y1 = min(x + BOARD * scale, right), min(y + BOARD * scale, bottom)
        pdf.box(x, y, x1 - x, y1 - y, edge=INK, edge_width=0.35)
        size = min(9.0, BOARD * scale * 0.9, (x1 - x) * 0.9, (y1 - y) * 0.9)
        tag = size * 0.36
        pdf.box(x, y, tag * (1 + 0.75 * len(board.name)), tag * 1.5, fill="#ffffff", edge=INK)
        pdf.text(x + tag * 0.4, y + tag * 1.12, board.name, size=size, bold=True)


def _bead_list(pdf: Document, plan: BeadPlan, first: int) -> None:
    pdf.new_page(
        "Beads", "The last column names the nearest Perler bead, a different one for each colour."
    )
    left = MARGIN
    places = {"": left, "Colour": left + 8, "Hex": left + 24, "Perler": left + 72}
    end = left + 64
    for name, x in places.items():
        pdf.text(x, 31, name, size=8, bold=True)
    pdf.text(end, 31, "Beads", size=8, bold=True, align="right")
    pdf.line(left, 32.6, WIDTH - MARGIN, 32.6, width=0.25)
    y = 39.0
    for colour in plan.colours[first : first + ROWS_OF_LIST]:
        pdf.box(left, y - 3.9, 5, 5, fill=_tint_of(colour), edge=LINE)
        pdf.sign(colour.symbol, left, y - 3.9, 5)
        pdf.box(places["Colour"], y - 3.9, 12, 5, fill=colour.hex, edge=LINE)
        pdf.text(places["Hex"], y, colour.hex, size=9)
        pdf.text(end, y, f"{colour.beads:,}", size=9, align="right")
        pdf.box(places["Perler"], y - 3.9, 12, 5, fill=colour.shade.rgb, edge=LINE)
        pdf.text(places["Perler"] + 15, y, colour.shade.code, size=9, bold=True)
        pdf.text(places["Perler"] + 28, y, colour.shade.name, size=9)
        y += 6.0
    if first + ROWS_OF_LIST >= len(plan.colours):
        pdf.line(left, y - 4, WIDTH - MARGIN, y - 4, width=0.25)
        pdf.text(end, y, f"{plan.total:,}", size=9, bold=True, align="right")


def _tint_of(colour: BeadColour) -> tuple[float, float, float]:
    red, green, blue = bytes.fromhex(colour.hex[1:])
    return tint((red / 255, green / 255, blue / 255))


def _board(pdf: Document, grid: Grid, plan: BeadPlan, board: Board) -> None:
    cells = _cells(grid, board.row, board.column)
    first_row, first_column = board.row * BOARD + 1, board.column * BOARD + 1
    pdf.new_page(
        f"Board {board.name}",
        f"rows {first_row} to {first_row + cells.shape[0] - 1}, columns {first_column} to "
        f"{first_column + cells.shape[1] - 1}; {board.beads} beads",
    )
    _numbers(pdf)
    for row, column in np.argwhere(cells != EMPTY):
        x, y = BOARD_LEFT + column * BEAD_MM, BOARD_TOP + row * BEAD_MM
        pdf.stamp(_stamp(int(cells[row, column])), x, y, BEAD_MM)
    _counts(pdf, plan, board)


def _numbers(pdf: Document) -> None:
    side = BOARD * BEAD_MM
    pdf.box(BOARD_LEFT, BOARD_TOP, side, side, edge=QUIET, edge_width=0.3)
    for peg in range(BOARD):
        middle = (peg + 0.5) * BEAD_MM
        # Empty pegs show as points; beads cover them.
        for other in range(BOARD):
            x, y = BOARD_LEFT + middle, BOARD_TOP + (other + 0.5) * BEAD_MM
            pdf.box(x - 0.2, y - 0.2, 0.4, 0.4, fill=LINE, edge=None)
        strong = (peg + 1) % 5 == 0
        size, colour = (7.0, INK) if strong else (5.5, QUIET)
        pdf.text(BOARD_LEFT + middle, BOARD_TOP - 1.5, str(peg + 1), size=size, colour=colour,
                   align="centre")  # fmt: skip
        pdf.text(BOARD_LEFT - 1.5, BOARD_TOP + middle + 0.9, str(peg + 1), size=size,
                   colour=colour, align="right")  # fmt: skip


def _counts(pdf: Document, plan: BeadPlan, board: Board) -> None:
    """The beads of this board, in as many columns as they need."""
    top, room = BOARD_TOP + BOARD * BEAD_MM + 8, HEIGHT - 16
    rows = max(math.ceil(len(board.counts) / 4), 1)
    step = min(6.0, (room - top) / rows)
    side = 0.8 * step
    colours = {colour.index: colour for colour in plan.colours}
    for place, (index, beads) in enumerate(board.counts.items()):
        column, row = divmod(place, rows)
        x, y = MARGIN + column * 46, top + row * step
        pdf.box(x, y, side, side, fill=_tint_of(colours[index]), edge=LINE)
        pdf.sign(colours[index].symbol, x, y, side)
        size = min(8.0, step * 1.4)
        pdf.text(x + 7, y + 0.75 * side, f"{beads} × {colours[index].hex}", size=size)
        pdf.text(x + 32, y + 0.75 * side, colours[index].shade.code, size=size, colour=QUIET)
