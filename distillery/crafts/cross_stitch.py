"""Prints a cross-stitch chart: preview, list of DMC threads, and symbols on a grid of ten."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from distillery.core.counting import counted
from distillery.crafts.cross_stitch_plan import (
    CrossStitchPlan,
    Thread,
    Tile,
    plan_cross_stitch,
)
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

GUTTER = 8.0  # mm for the row numbers
CHART_TOP = 34.0
CHART_END = 28.0  # above the lower edge: the key and the number of the page
LARGEST_CELL = 7.0
OTHER_COUNTS = (11, 14, 16, 18)


def write_cross_stitch(
    path: Path,
    indices: Any,
    palette: Any,
    *,
    title: str = "Cross-stitch",
    cloth_count: int = 14,
    strands: int = 2,
    paper: Paper = A4,
) -> CrossStitchPlan:
    """Write the chart as a PDF and return its plan; the file is complete or not written.

    It is read back before it is there.

    Args:
        path: of the PDF.
        indices: int64 (H, W), -1 where the cloth stays empty.
        palette: float32 (K, 3), sRGB in [0, 1].
        title: printed on every page.
        cloth_count: holes per inch of the cloth, 5 to 40.
        strands: how many of the six strands of a skein are used at once, 1 to 6.
        paper: to print on.

    Raises:
        CourseError: the grid, the cloth or the strands are invalid, or the file cannot be written.
    """
    grid = as_grid(indices, palette)
    plan = plan_cross_stitch(grid, cloth_count=cloth_count, strands=strands, paper=paper)
    pdf = Document(title, plan.pages, paper)
    _cover(pdf, grid, plan)
    for first in range(0, len(plan.threads), paper.rows_of_list):
        _thread_list(pdf, grid, plan, first, paper.rows_of_list)
    _charts(pdf, grid, plan)
    shown = {_stamp(thread): _times_shown(grid, plan, thread.index) for thread in plan.threads}
    write_checked(path, pdf.finish(), lambda data: pdf_fault(data, plan.pages, shown))
    return plan


def _times_shown(grid: Grid, plan: CrossStitchPlan, index: int) -> int:
    """How many cells of a colour all charts have, those that are repeated included."""
    return sum(int((_cells(grid, tile) == index).sum()) for tile in plan.tiles)


def _cells(grid: Grid, tile: Tile) -> np.ndarray:
    """The cells on one page, with those repeated from the page before."""
    row, column = tile.rows[0] - tile.repeated[1], tile.columns[0] - tile.repeated[0]
    return grid.indices[row : tile.rows[1], column : tile.columns[1]]


def _cover(pdf: Document, grid: Grid, plan: CrossStitchPlan) -> None:
    pdf.new_page()
    pdf.text(MARGIN, 24, pdf.title, size=22, bold=True, width=pdf.width - 2 * MARGIN)
    pdf.text(MARGIN, 31, "Counted cross-stitch chart", size=10, colour=QUIET)
    room = (pdf.width - 2 * MARGIN, pdf.height - 147)
    width, height = fitted(grid.width, grid.height, room)
    left, top = (pdf.width - width) / 2, 38 + (room[1] - height) / 2
    pdf.picture(preview(grid, _thread_colours(grid, plan)), left, top, width, height)
    pdf.box(left, top, width, height, edge=QUIET, edge_width=0.2)
    (wide, high), (wide_inch, high_inch) = plan.size_cm, plan.size_inches
    spools = sum(thread.skeins for thread in plan.threads)
    facts = [
        ("Stitches", f"{plan.width} wide × {plan.height} high, {plan.total:,} in all"),
        (
            "Finished size",
            f"{wide:.1f} × {high:.1f} cm ({wide_inch:.1f} × {high_inch:.1f} in) "
            f"on {plan.cloth_count}-count cloth",
        ),
        (
            "Cloth to cut",
            f"{wide + 10:.0f} × {high + 10:.0f} cm "
            f"({wide_inch + 4:.0f} × {high_inch + 4:.0f} in), for 5 cm on every side",
        ),
        ("Thread", f"DMC stranded cotton, {len(plan.threads)} colours, {counted(spools, 'skein')}"),
        ("Stitch", f"full cross, {counted(plan.strands, 'strand')}, over one square"),
        ("Charts", _pages_of_charts(plan)),
    ]
    y = pdf.height - 98
    for name, words in facts:
        pdf.text(MARGIN, y, name, size=9, bold=True)
        pdf.text(MARGIN + 32, y, words, size=9)
        y += 6.2
    _other_sizes(pdf, plan, y + 4)
    if len(plan.tiles) > 1:
        _page_map(pdf, grid, plan, (pdf.width - MARGIN - 46, y - 2), (46, 44), None)


def _thread_colours(grid: Grid, plan: CrossStitchPlan) -> np.ndarray:
    """The palette with each colour replaced by its thread's colour."""
    colours = np.ones_like(grid.palette)
    for thread in plan.threads:
        colours[thread.index] = thread.shade.rgb
    return colours


def _pages_of_charts(plan: CrossStitchPlan) -> str:
    first, last = plan.tiles[0].page, plan.tiles[-1].page
    if first == last:
        return f"page {first}"
    return f"pages {first} to {last}; grey cells are repeated from the page before"


def _other_sizes(pdf: Document, plan: CrossStitchPlan, y: float) -> None:
    pdf.text(MARGIN, y, "On other cloth", size=9, bold=True)
    for count in OTHER_COUNTS:
        y += 5.4
        wide, high = plan.width / count, plan.height / count
        words = f"{wide * 2.54:.1f} × {high * 2.54:.1f} cm  ({wide:.1f} × {high:.1f} in)"
        pdf.text(MARGIN, y, f"{count}-count", size=8.5, colour=QUIET)
        pdf.text(MARGIN + 32, y, words, size=8.5, colour=QUIET)


def _thread_list(pdf: Document, grid: Grid, plan: CrossStitchPlan, first: int, rows: int) -> None:
    pdf.new_page(
        "Threads",
        f"DMC stranded cotton; lengths are for {counted(plan.strands, 'strand')} on "
        f"{plan.cloth_count}-count cloth, with a third more for beginnings and ends.",
    )
    left = MARGIN
    columns = {
        "": left, "Thread": left + 8, "Picture": left + 22, "DMC": left + 39, "Name": left + 54,
    }  # fmt: skip
    ends = {"Stitches": left + 136, "Length": left + 158, "Skeins": left + 182}
    for name, x in columns.items():
        pdf.text(x, 31, name, size=8, bold=True)
    for name, x in ends.items():
        pdf.text(x, 31, name, size=8, bold=True, align="right")
    pdf.line(left, 32.6, pdf.width - MARGIN, 32.6, width=0.25)
    y = 39.0
    for thread in plan.threads[first : first + rows]:
        _thread_row(pdf, grid, thread, y, columns, ends)
        y += 6.0
    if first + rows >= len(plan.threads):
        pdf.line(left, y - 4, pdf.width - MARGIN, y - 4, width=0.25)
        metres = sum(thread.metres for thread in plan.threads)
        spools = sum(thread.skeins for thread in plan.threads)
        for name, words in zip(ends, (f"{plan.total:,}", f"{metres:.1f} m", spools), strict=True):
            pdf.text(ends[name], y, str(words), size=9, bold=True, align="right")
        warning = (
            "Screens and printers only approximate a thread's colour: compare with a shade card."
        )
        pdf.text(left, y + 8, warning, size=8, colour=QUIET)


def _thread_row(
    pdf: Document,
    grid: Grid,
    thread: Thread,
    y: float,
    columns: dict[str, float],
    ends: dict[str, float],
) -> None:
    left = columns[""]
    pdf.box(left, y - 3.9, 5, 5, fill=tint(thread.shade.rgb), edge=LINE)
    pdf.sign(thread.symbol, left, y - 3.9, 5)
    pdf.box(columns["Thread"], y - 3.9, 10, 5, fill=thread.shade.rgb, edge=LINE)
    pdf.box(columns["Picture"], y - 3.9, 10, 5, fill=to_hex(grid.palette[thread.index]), edge=LINE)
    pdf.text(columns["DMC"], y, thread.shade.code, size=9, bold=True)
    pdf.text(columns["Name"], y, thread.shade.name, size=9, width=64)
    pdf.text(ends["Stitches"], y, f"{thread.stitches:,}", size=9, align="right")
    pdf.text(ends["Length"], y, f"{thread.metres:.1f} m", size=9, align="right")
    pdf.text(ends["Skeins"], y, str(thread.skeins), size=9, align="right")


def _charts(pdf: Document, grid: Grid, plan: CrossStitchPlan) -> None:
    side = _cell_side(pdf, plan)
    for thread in plan.threads:
        pdf.define_stamp(_stamp(thread), thread.symbol, side, fill=tint(thread.shade.rgb))
    for tile in plan.tiles:
        _chart(pdf, grid, plan, tile, side)


def _stamp(thread: Thread) -> str:
    return f"cell{thread.index}"


def _cell_side(pdf: Document, plan: CrossStitchPlan) -> float:
    """The side of a cell in mm, the same for all charts, so that pages fit side by side."""
    columns = max(tile.columns[1] - tile.columns[0] + tile.repeated[0] for tile in plan.tiles)
    rows = max(tile.rows[1] - tile.rows[0] + tile.repeated[1] for tile in plan.tiles)
    wide, high = pdf.width - 2 * MARGIN - GUTTER, pdf.height - CHART_TOP - CHART_END
    return min(wide / columns, high / rows, LARGEST_CELL)


def _chart(pdf: Document, grid: Grid, plan: CrossStitchPlan, tile: Tile, side: float) -> None:
    first_column, first_row = (
        tile.columns[0] - tile.repeated[0],
        tile.rows[0] - tile.repeated[1],
    )
    pdf.new_page(
        "Chart" if len(plan.tiles) == 1 else f"Chart {plan.tiles.index(tile) + 1}",
        f"columns {tile.columns[0] + 1} to {tile.columns[1]}, "
        f"rows {tile.rows[0] + 1} to {tile.rows[1]}",
    )
    if len(plan.tiles) > 1:
        _page_map(pdf, grid, plan, (pdf.width - MARGIN - 30, 8), (30, 19), tile)
    cells = _cells(grid, tile)
    left, top = MARGIN + GUTTER, CHART_TOP
    stamps = {thread.index: _stamp(thread) for thread in plan.threads}
    for row, column in np.argwhere(cells != EMPTY):
        name = stamps[int(cells[row, column])]
        pdf.stamp(name, left + column * side, top + row * side, side)
    _veils(pdf, tile, left, top, side, cells.shape)
    _lines(pdf, (first_column, first_row), cells.shape, (plan.width, plan.height), side)
    _centre_marks(pdf, (first_column, first_row), cells.shape, plan, side)
    _key(pdf, [thread for thread in plan.threads if (cells == thread.index).any()])


def _veils(
    pdf: Document, tile: Tile, left: float, top: float, side: float, shape: tuple[int, ...]
) -> None:
    (columns, rows), (height, width) = tile.repeated, shape
    if rows:
        pdf.veil(left, top, width * side, rows * side)
    if columns:
        pdf.veil(left, top + rows * side, columns * side, (height - rows) * side)


def _lines(
    pdf: Document,
    first: tuple[int, int],
    shape: tuple[int, ...],
    whole: tuple[int, int],
    side: float,
) -> None:
    """The grid, a thick line and a number every ten, and the edge of the picture."""
    left, top = MARGIN + GUTTER, CHART_TOP
    right, bottom = left + shape[1] * side, top + shape[0] * side
    # Thin lines first, so that they do not cut through thick ones.
    for thick in (False, True):
        for column in range(shape[1] + 1):
            number = first[0] + column
            if (number % 10 == 0 or number == whole[0]) == thick:
                x = left + column * side
                pdf.line(x, top, x, bottom, **_pen(thick))
                if thick and number:
                    pdf.text(x, top - 1.2, str(number), size=6.5, align="centre")
        for row in range(shape[0] + 1):
            number = first[1] + row
            if (number % 10 == 0 or number == whole[1]) == thick:
                y = top + row * side
                pdf.line(left, y, right, y, **_pen(thick))
                if thick and number:
                    pdf.text(left - 1.2, y + 0.8, str(number), size=6.5, align="right")


def _pen(thick: bool) -> dict[str, Any]:
    return {"width": 0.35, "colour": INK} if thick else {"width": 0.08, "colour": "#8a8a8a"}


def _centre_marks(
    pdf: Document,
    first: tuple[int, int],
    shape: tuple[int, ...],
    plan: CrossStitchPlan,
    side: float,
) -> None:
    """Arrows at the edges of the chart that point along the middle column and row."""
    left, top = MARGIN + GUTTER, CHART_TOP
    right, bottom = left + shape[1] * side, top + shape[0] * side
    column, row = plan.width / 2 - first[0], plan.height / 2 - first[1]
    red = "#c01818"
    if 0 <= column <= shape[1]:
        x = left + column * side
        pdf.triangle([(x - 1.3, top - 6), (x + 1.3, top - 6), (x, top - 3.6)], red)
        pdf.triangle([(x - 1.3, bottom + 3), (x + 1.3, bottom + 3), (x, bottom + 0.6)], red)
    if 0 <= row <= shape[0]:
        y = top + row * side
        pdf.triangle([(left - 8, y - 1.3), (left - 8, y + 1.3), (left - 5.6, y)], red)
        pdf.triangle([(right + 3, y - 1.3), (right + 3, y + 1.3), (right + 0.6, y)], red)


def _key(pdf: Document, threads: list[Thread]) -> None:
    """Symbols and DMC numbers under the chart, as many as two lines hold."""
    across, room = 11, 22
    for place, thread in enumerate(threads[:room]):
        row, column = divmod(place, across)
        x, y = MARGIN + column * 16.5, pdf.height - 19.4 + row * 4.6
        pdf.box(x, y - 3, 3.6, 3.6, fill=tint(thread.shade.rgb), edge=LINE)
        pdf.sign(thread.symbol, x, y - 3, 3.6)
        pdf.text(x + 4.4, y - 0.2, thread.shade.code, size=6.5)
    if len(threads) > room:
        more = f"{len(threads) - room} more in the list of threads"
        x, y = pdf.width - MARGIN, pdf.height - 23.6
        pdf.text(x, y, more, size=6.5, colour=QUIET, align="right")


def _page_map(
    pdf: Document,
    grid: Grid,
    plan: CrossStitchPlan,
    corner: tuple[float, float],
    room: tuple[float, float],
    here: Tile | None,
) -> None:
    """A small map of the charts, each with its page number."""
    width, _ = fitted(grid.width, grid.height, room)
    scale = width / grid.width
    left, top = corner[0] + room[0] - width, corner[1]
    for tile in plan.tiles:
        x, y = left + tile.columns[0] * scale, top + tile.rows[0] * scale
        wide = (tile.columns[1] - tile.columns[0]) * scale
        high = (tile.rows[1] - tile.rows[0]) * scale
        pdf.box(x, y, wide, high, fill=LINE if tile is here else "#ffffff", edge=QUIET)
        size = min(7.0, 1.9 * min(wide, high))
        pdf.text(x + wide / 2, y + high / 2 + size * 0.13, str(tile.page), size=size,
                   align="centre")  # fmt: skip
