"""A plan for fuse beads: which bead goes where on boards, printed at true size."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from distillery.crafts.bead_board import COMMON, BeadBoard
from distillery.crafts.colour_match import Shade, load_shades, nearest
from distillery.crafts.grid import EMPTY, Grid, as_grid, preview, to_hex
from distillery.crafts.paper import A4, Paper
from distillery.crafts.pdf import (
    INK,
    LINE,
    MARGIN,
    QUIET,
    Document,
    fitted,
    tint,
)
from distillery.crafts.pdf_read import pdf_fault
from distillery.crafts.read_back import write_checked
from distillery.crafts.symbols import Symbol, symbol

BOARD_TOP = 38.0
BOARD_GUTTER = 6.0  # mm for the numbers on each side of a board
COUNTS_HEIGHT = 60.0  # mm that are kept for the counts under a board
NUMBERED_FROM = 3.5  # mm between pegs; closer ones have a number every five only


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
    """What lies on one board, at (`row`, `column`) in the grid of boards.

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
    """Beads, colours and boards; `size_cm` is (width, height). Empty boards are left out.

    board: how many pegs each board has, and for which beads.
    """

    width: int
    height: int
    total: int
    size_cm: tuple[float, float]
    colours: tuple[BeadColour, ...]
    across: int
    down: int
    boards: tuple[Board, ...]
    pages: int
    board: BeadBoard


def _plan(grid: Grid, board: BeadBoard, paper: Paper) -> BeadPlan:
    counts = grid.counts()
    shades = nearest(grid.palette[list(counts)], load_shades("perler"), distinct=True)
    colours = tuple(
        BeadColour(index, symbol(number), to_hex(grid.palette[index]), shade, beads)
        for number, ((index, beads), shade) in enumerate(zip(counts.items(), shades, strict=True))
    )
    across, down = math.ceil(grid.width / board.across), math.ceil(grid.height / board.down)
    boards = []
    for row in range(down):
        for column in range(across):
            part = Grid(_cells(grid, board, row, column), grid.palette)
            if part.total:
                boards.append(Board(_name(row, column), row, column, part.counts()))
    return BeadPlan(
        width=grid.width,
        height=grid.height,
        total=grid.total,
        size_cm=(grid.width * board.bead_mm / 10, grid.height * board.bead_mm / 10),
        colours=colours,
        across=across,
        down=down,
        boards=tuple(boards),
        pages=1 + math.ceil(len(colours) / paper.rows_of_list) + len(boards),
        board=board,
    )


def _name(row: int, column: int) -> str:
    """A1, A2, ..., B1, ..., Z1, AA1, ..."""
    letters = chr(ord("A") + row % 26)
    return f"{chr(ord('A') + row // 26 - 1) if row >= 26 else ''}{letters}{column + 1}"


def _cells(grid: Grid, board: BeadBoard, row: int, column: int) -> np.ndarray:
    top, left = row * board.down, column * board.across
    return grid.indices[top : top + board.down, left : left + board.across]


def write_beads(
    path: Path,
    indices: Any,
    palette: Any,
    *,
    title: str = "Fuse beads",
    board: BeadBoard = COMMON,
    paper: Paper = A4,
) -> BeadPlan:
    """Write the plan as a PDF and return it; the file is complete or not written.

    It is read back before it is there.

    Args:
        path: of the PDF.
        indices: int64 (H, W), -1 where a peg stays empty.
        palette: float32 (K, 3), sRGB in [0, 1].
        title: printed on every page.
        board: the boards that are laid side by side, see `bead_board.find_board`.
        paper: to print on. A board that is too large for it is drawn smaller, and the page says so.

    Raises:
        CourseError: the grid is invalid, or the file cannot be written.
    """
    grid = as_grid(indices, palette)
    plan = _plan(grid, board, paper)
    pdf = Document(title, plan.pages, paper)
    _cover(pdf, grid, plan)
    for first in range(0, len(plan.colours), paper.rows_of_list):
        _bead_list(pdf, plan, first, paper.rows_of_list)
    for colour in plan.colours:
        rgb = tuple(grid.palette[colour.index].tolist())
        pdf.define_stamp(
            _stamp(colour.index), colour.symbol, _peg_mm(pdf, board), fill=tint(rgb),
            round_edge=True,
        )  # fmt: skip
    for part in plan.boards:
        _board(pdf, grid, plan, part)
    drawn = {_stamp(colour.index): colour.beads for colour in plan.colours}
    write_checked(path, pdf.finish(), lambda data: pdf_fault(data, plan.pages, drawn))
    return plan


def _peg_mm(pdf: Document, board: BeadBoard) -> float:
    """Distance of two pegs on the page: the true one, or less where the board is too large."""
    wide = pdf.width - 2 * (MARGIN + BOARD_GUTTER)
    high = pdf.height - BOARD_TOP - COUNTS_HEIGHT - 24
    return min(board.bead_mm, wide / board.across, high / board.down)


def _stamp(index: int) -> str:
    return f"bead{index}"


def _cover(pdf: Document, grid: Grid, plan: BeadPlan) -> None:
    pdf.new_page()
    pdf.text(MARGIN, 24, pdf.title, size=22, bold=True, width=pdf.width - 2 * MARGIN)
    pdf.text(MARGIN, 31, "Fuse bead plan", size=10, colour=QUIET)
    room = (pdf.width - 2 * MARGIN, pdf.height - 132)
    width, height = fitted(grid.width, grid.height, room)
    left, top = (pdf.width - width) / 2, 38 + (room[1] - height) / 2
    pdf.picture(preview(grid, grid.palette), left, top, width, height)
    _board_map(pdf, plan, left, top, width / grid.width)
    wide, high = plan.size_cm
    facts = [
        ("Beads", f"{plan.width} wide × {plan.height} high, {plan.total:,} in all"),
        ("Finished size", f"{wide:.1f} × {high:.1f} cm ({wide / 2.54:.1f} × {high / 2.54:.1f} in)"),
        ("Beads to use", f"{plan.board.bead_mm:g} mm, {len(plan.colours)} colours"),
        (
            "Boards",
            f"{len(plan.boards)} of {plan.board.across} × {plan.board.down} pegs, in {plan.down} "
            f"rows of {plan.across}",
        ),
        ("Printing", _printing(_peg_mm(pdf, plan.board) / plan.board.bead_mm)),
    ]
    y = pdf.height - 83
    for name, words in facts:
        pdf.text(MARGIN, y, name, size=9, bold=True)
        pdf.text(MARGIN + 32, y, words, size=9)
        y += 6.2


def _printing(scale: float) -> str:
    if scale == 1:
        return "at 100 %: boards are drawn at true size; put the page under a clear board"
    return (
        f"boards are drawn at {100 * scale:.0f} % of their size, as they are larger than the page"
    )


def _board_map(pdf: Document, plan: BeadPlan, left: float, top: float, scale: float) -> None:
    """Edges and names of the boards, drawn over the preview."""
    right, bottom = left + plan.width * scale, top + plan.height * scale
    wide, high = plan.board.across * scale, plan.board.down * scale
    for board in plan.boards:
        x, y = left + board.column * wide, top + board.row * high
        x1, y1 = min(x + wide, right), min(y + high, bottom)
        pdf.box(x, y, x1 - x, y1 - y, edge=INK, edge_width=0.35)
        size = min(9.0, (x1 - x) * 0.9, (y1 - y) * 0.9)
        tag = size * 0.36
        pdf.box(x, y, tag * (1 + 0.75 * len(board.name)), tag * 1.5, fill="#ffffff", edge=INK)
        pdf.text(x + tag * 0.4, y + tag * 1.12, board.name, size=size, bold=True)


def _bead_list(pdf: Document, plan: BeadPlan, first: int, rows: int) -> None:
    pdf.new_page(
        "Beads", "The last column names the nearest Perler bead, a different one for each colour."
    )
    left = MARGIN
    places = {"": left, "Colour": left + 8, "Hex": left + 24, "Perler": left + 72}
    end = left + 64
    for name, x in places.items():
        pdf.text(x, 31, name, size=8, bold=True)
    pdf.text(end, 31, "Beads", size=8, bold=True, align="right")
    pdf.line(left, 32.6, pdf.width - MARGIN, 32.6, width=0.25)
    y = 39.0
    for colour in plan.colours[first : first + rows]:
        pdf.box(left, y - 3.9, 5, 5, fill=_tint_of(colour), edge=LINE)
        pdf.sign(colour.symbol, left, y - 3.9, 5)
        pdf.box(places["Colour"], y - 3.9, 12, 5, fill=colour.hex, edge=LINE)
        pdf.text(places["Hex"], y, colour.hex, size=9)
        pdf.text(end, y, f"{colour.beads:,}", size=9, align="right")
        pdf.box(places["Perler"], y - 3.9, 12, 5, fill=colour.shade.rgb, edge=LINE)
        pdf.text(places["Perler"] + 15, y, colour.shade.code, size=9, bold=True)
        pdf.text(places["Perler"] + 28, y, colour.shade.name, size=9)
        y += 6.0
    if first + rows >= len(plan.colours):
        pdf.line(left, y - 4, pdf.width - MARGIN, y - 4, width=0.25)
        pdf.text(end, y, f"{plan.total:,}", size=9, bold=True, align="right")


def _tint_of(colour: BeadColour) -> tuple[float, float, float]:
    red, green, blue = bytes.fromhex(colour.hex[1:])
    return tint((red / 255, green / 255, blue / 255))


def _board(pdf: Document, grid: Grid, plan: BeadPlan, board: Board) -> None:
    kind, peg = plan.board, _peg_mm(pdf, plan.board)
    cells = _cells(grid, kind, board.row, board.column)
    first_row, first_column = board.row * kind.down + 1, board.column * kind.across + 1
    pdf.new_page(
        f"Board {board.name}",
        f"rows {first_row} to {first_row + cells.shape[0] - 1}, columns {first_column} to "
        f"{first_column + cells.shape[1] - 1}; {board.beads} beads",
    )
    left = _board_left(pdf, kind)
    _numbers(pdf, kind)
    for row, column in np.argwhere(cells != EMPTY):
        x, y = left + column * peg, BOARD_TOP + row * peg
        pdf.stamp(_stamp(int(cells[row, column])), x, y, peg)
    _counts(pdf, plan, board)


def _board_left(pdf: Document, board: BeadBoard) -> float:
    return (pdf.width - board.across * _peg_mm(pdf, board)) / 2


def _numbers(pdf: Document, board: BeadBoard) -> None:
    """The edge of a board, its pegs, and their numbers."""
    step, left = _peg_mm(pdf, board), _board_left(pdf, board)
    pdf.box(
        left, BOARD_TOP, board.across * step, board.down * step, edge=QUIET, edge_width=0.3
    )  # fmt: skip
    # Empty pegs show as points; beads cover them.
    point = min(0.4, 0.08 * step)
    for row in range(board.down):
        for column in range(board.across):
            x, y = left + (column + 0.5) * step, BOARD_TOP + (row + 0.5) * step
            pdf.box(x - point / 2, y - point / 2, point, point, fill=LINE, edge=None)
    for number in range(1, board.across + 1):
        if style := _number_style(number, step):
            pdf.text(left + (number - 0.5) * step, BOARD_TOP - 1.5, str(number), align="centre",
                     **style)  # fmt: skip
    for number in range(1, board.down + 1):
        if style := _number_style(number, step):
            pdf.text(left - 1.5, BOARD_TOP + (number - 0.5) * step + 0.9, str(number),
                     align="right", **style)  # fmt: skip


def _number_style(number: int, step: float) -> dict[str, Any]:
    """Size and colour of a peg's number; nothing where there is no room for it."""
    if number % 5 == 0:
        return {"size": min(7.0, 2.2 * step), "colour": INK}
    return {"size": min(5.5, 1.1 * step), "colour": QUIET} if step >= NUMBERED_FROM else {}


def _counts(pdf: Document, plan: BeadPlan, board: Board) -> None:
    """The beads of this board, in as many columns as they need."""
    top, room = BOARD_TOP + plan.board.down * _peg_mm(pdf, plan.board) + 8, pdf.height - 16
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
