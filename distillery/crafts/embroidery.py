"""Machine embroidery: every colour filled with rows of stitches, as PES and DST."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from distillery.core.errors import CourseError
from distillery.crafts.grid import Grid, as_grid, to_hex
from distillery.crafts.read_back import write_checked
from distillery.crafts.stitch_file import (
    MOST_NAMED,
    Block,
    Points,
    dst_bytes,
    dst_fault,
    pes_bytes,
    pes_fault,
)

SMALLEST_CELL, LARGEST_CELL = 0.8, 20.0  # mm
LARGEST_DESIGN = 500.0  # mm; no machine has a larger field
SHORTEST_STITCH = 0.6  # mm; shorter ones would hit the same hole
ROWS_OFFSET = 3  # rows until the needle's holes repeat
MOST_PES_COLOURS = 64
STITCHES_PER_MINUTE = 600


@dataclass(frozen=True)
class EmbroideryPlan:
    """What the machine will do; `size_mm` is (width, height), the most frequent colour is first."""

    size_mm: tuple[float, float]
    cell_mm: float
    blocks: tuple[Block, ...]

    @property
    def stitches(self) -> int:
        return sum(block.stitches for block in self.blocks)

    @property
    def minutes(self) -> float:
        """Sewing time of a machine at 600 stitches a minute, a rough figure."""
        return self.stitches / STITCHES_PER_MINUTE


def plan_embroidery(
    indices: Any,
    palette: Any,
    *,
    cell_mm: float = 2.0,
    row_mm: float = 0.4,
    stitch_mm: float = 3.0,
    overlap_mm: float = 0.15,
) -> EmbroideryPlan:
    """Plan the stitches: horizontal rows, back and forth, through each region of one colour.

    Args:
        indices: int64 (H, W), -1 where nothing is sewn.
        palette: float32 (K, 3), sRGB in [0, 1].
        cell_mm: side of one cell.
        row_mm: distance of two rows of stitches.
        stitch_mm: longest stitch of a row.
        overlap_mm: how far a row reaches over each side of its region; stitches pull the cloth
            together, so without it gaps would open.

    Raises:
        CourseError: the grid is invalid, or a length is out of range.
    """
    grid = as_grid(indices, palette)
    _check_lengths(grid, cell_mm, row_mm, stitch_mm, overlap_mm)
    fill = _Fill(grid, cell_mm, row_mm, stitch_mm, overlap_mm)
    blocks = [
        Block(index, to_hex(grid.palette[index]), tuple(fill.runs(index)))
        for index in grid.counts()
    ]
    return EmbroideryPlan((grid.width * cell_mm, grid.height * cell_mm), cell_mm, tuple(blocks))


def _check_lengths(
    grid: Grid, cell_mm: float, row_mm: float, stitch_mm: float, overlap_mm: float
) -> None:
    if not SMALLEST_CELL <= cell_mm <= LARGEST_CELL:
        raise CourseError(
            f"a cell is {SMALLEST_CELL} to {LARGEST_CELL:g} mm wide in embroidery; not {cell_mm:g}."
        )
    widest = max(grid.width, grid.height)
    if widest * cell_mm > LARGEST_DESIGN:
        most = int(LARGEST_DESIGN / widest * 100) / 100
        advice = (
            f"cells of {most:g} mm fit"
            if most >= SMALLEST_CELL
            else f"at most {int(LARGEST_DESIGN / SMALLEST_CELL)} cells a side fit"
        )
        raise CourseError(
            f"{widest} cells of {cell_mm:g} mm are {widest * cell_mm:g} mm, and a machine sews "
            f"{LARGEST_DESIGN:g} mm at most; {advice}."
        )
    if not (0.2 <= row_mm <= 2 and 1 <= stitch_mm <= 7 and 0 <= overlap_mm <= 0.5):
        raise CourseError(
            "rows are 0.2 to 2 mm apart, stitches are 1 to 7 mm long and overlap by 0 to 0.5 mm; "
            f"not {row_mm:g}, {stitch_mm:g} and {overlap_mm:g}."
        )


@dataclass(frozen=True)
class _Piece:
    """Cells of one colour with one run per row: a shape that rows fill without a gap.

    first_row: of the grid.
    spans: (start, end) columns of each row, end excluded.
    """

    first_row: int
    spans: tuple[tuple[int, int], ...]


class _Fill:
    """The stitches of one picture, colour by colour."""

    def __init__(
        self, grid: Grid, cell_mm: float, row_mm: float, stitch_mm: float, overlap_mm: float
    ) -> None:
        self.cells, self.cell, self.stitch, self.overlap = (
            grid.indices, cell_mm, stitch_mm, overlap_mm,
        )  # fmt: skip
        self.lines_per_cell = max(1, round(cell_mm / row_mm))
        self.near = max(cell_mm, 2.0)
        self.middle = grid.width * cell_mm / 2, grid.height * cell_mm / 2

    def runs(self, index: int) -> Iterator[Points]:
        """Needle points between two cuts; the nearest piece comes next."""
        run: Points = []
        for piece, corner in self._in_order(pieces(self.cells == index)):
            points = self._rows(piece, from_bottom=corner >= 2, from_right=corner % 2 == 1)
            if run and math.dist(points[0], run[-1]) <= self.near:
                run += self._way(run[-1], points[0])[:-1]
            elif run:
                yield run
                run = []
            run += points
        yield run

    def _in_order(self, shapes: list[_Piece]) -> Iterator[tuple[_Piece, int]]:
        """Each piece once, with the corner to start from; the nearest comes next."""
        corners = np.array([self._corners(piece) for piece in shapes])
        left = np.arange(len(shapes))
        here = np.array([-self.middle[0], -self.middle[1]])
        while len(left):
            apart = np.abs(corners[left] - here).sum(axis=-1)
            place, corner = np.unravel_index(apart.argmin(), apart.shape)
            number = int(left[place])
            yield shapes[number], int(corner)
            here = corners[number][self._last_corner(shapes[number], int(corner))]
            left = np.delete(left, place)

    def _corners(self, piece: _Piece) -> list[tuple[float, float]]:
        """Top left, top right, bottom left, bottom right, in mm."""
        (a, b), (c, d) = piece.spans[0], piece.spans[-1]
        top, bottom = piece.first_row, piece.first_row + len(piece.spans)
        return [self._mm(x, y) for x, y in ((a, top), (b, top), (c, bottom), (d, bottom))]

    def _last_corner(self, piece: _Piece, corner: int) -> int:
        lines = len(piece.spans) * self.lines_per_cell
        from_bottom, from_right = corner >= 2, corner % 2 == 1
        ends_right = from_right != (lines % 2 == 1)
        return 2 * (not from_bottom) + ends_right

    def _mm(self, column: float, row: float) -> tuple[float, float]:
        return column * self.cell - self.middle[0], row * self.cell - self.middle[1]

    def _rows(self, piece: _Piece, *, from_bottom: bool, from_right: bool) -> Points:
        """Fill a piece with rows back and forth, from one of its corners."""
        lines = []
        for row, (start, end) in enumerate(piece.spans, piece.first_row):
            for line in range(self.lines_per_cell):
                left, y = self._mm(start, row + (line + 0.5) / self.lines_per_cell)
                right, _ = self._mm(end, row)
                number = row * self.lines_per_cell + line
                lines.append((left - self.overlap, right + self.overlap, y, number))
        points: Points = []
        to_left = from_right
        for left, right, y, number in reversed(lines) if from_bottom else lines:
            row_points = self._row(left, right, y, number)
            if to_left:
                row_points.reverse()
            if points:
                points += self._way(points[-1], row_points[0])[:-1]
            points += row_points
            to_left = not to_left
        return points

    def _row(self, left: float, right: float, y: float, number: int) -> Points:
        """Needle points of one row; neighbouring rows are offset, so that no seam shows."""
        offset = number % ROWS_OFFSET / ROWS_OFFSET
        first = math.floor((left + SHORTEST_STITCH) / self.stitch - offset) + 1
        last = math.ceil((right - SHORTEST_STITCH) / self.stitch - offset)
        inner = [self.stitch * (hole + offset) for hole in range(first, last)]
        return [(x, y) for x in (left, *inner, right)]

    def _way(self, start: tuple[float, float], end: tuple[float, float]) -> Points:
        """Needle points on the way to `end`, which is the last of them."""
        steps = max(1, math.ceil(math.dist(start, end) / self.stitch))
        return [
            (
                start[0] + (end[0] - start[0]) * step / steps,
                start[1] + (end[1] - start[1]) * step / steps,
            )
            for step in range(1, steps + 1)
        ]


def pieces(mask: np.ndarray) -> list[_Piece]:
    """Cut a region, bool `(H, W)`, into pieces with one run of cells in every row.

    A piece continues in the next row if its run touches exactly one run there, and that run touches
    no other.
    """
    finished: list[_Piece] = []
    growing: dict[tuple[int, int], tuple[int, list[tuple[int, int]]]] = {}
    for row in range(mask.shape[0] + 1):
        spans = _spans(mask[row]) if row < mask.shape[0] else []
        below = {old: [new for new in spans if _touch(old, new)] for old in growing}
        above = {new: [old for old in growing if _touch(old, new)] for new in spans}
        following: dict[tuple[int, int], tuple[int, list[tuple[int, int]]]] = {}
        for new in spans:
            old = above[new][0] if len(above[new]) == 1 else None
            if old is not None and below[old] == [new]:
                first, shape = growing.pop(old)
                following[new] = (first, [*shape, new])
            else:
                following[new] = (row, [new])
        finished += [_Piece(first, tuple(shape)) for first, shape in growing.values()]
        growing = following
    return finished


def _spans(row: np.ndarray) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], row.astype(np.int8), [0]])))
    return [(int(start), int(end)) for start, end in zip(edges[::2], edges[1::2], strict=True)]


def _touch(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return one[0] < other[1] and other[0] < one[1]


def write_pes(
    path: Path, indices: Any, palette: Any, *, title: str = "Picture", **lengths: float
) -> EmbroideryPlan:
    """Write a Brother PES file (version 6, with the palette's own colours), complete or not at all.

    It is read back before it is there.

    Args:
        path: of the file.
        indices: int64 (H, W), -1 where nothing is sewn.
        palette: float32 (K, 3), sRGB in [0, 1].
        title: its first eight letters are the name that the machine shows.
        lengths: of `plan_embroidery`, in mm.

    Raises:
        CourseError: the grid or a length is invalid, there are more than 64 colours, or the file
            cannot be written.
    """
    plan = plan_embroidery(indices, palette, **lengths)
    blocks = plan.blocks
    if len(blocks) > MOST_PES_COLOURS:
        raise CourseError(
            f"a PES file holds {MOST_PES_COLOURS} colours, and the picture has {len(blocks)}; "
            f"reduce its palette to {MOST_PES_COLOURS}, or write DST, which sews all and names "
            f"the first {MOST_NAMED}."
        )
    write_checked(path, pes_bytes(blocks, title), lambda data: pes_fault(data, blocks))
    return plan


def write_dst(
    path: Path, indices: Any, palette: Any, *, title: str = "Picture", **lengths: float
) -> EmbroideryPlan:
    """Write a Tajima DST file, complete or not at all, and read back before it is there.

    The number of colours has no limit. The header of 512 bytes names the first 29 of them.

    Args and errors are those of `write_pes`.
    """
    plan = plan_embroidery(indices, palette, **lengths)
    blocks = plan.blocks
    write_checked(path, dst_bytes(blocks, title), lambda data: dst_fault(data, blocks))
    return plan
