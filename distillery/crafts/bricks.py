"""A brick mosaic as an LDraw model, and the list of its parts.

The plates lie flat, studs up, on 32 × 32 baseplates; from above the picture is upright.
Format: LDraw File Format 1.0.2, https://www.ldraw.org/article/218.html
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distillery.crafts.colour_match import Shade, load_shades, nearest
from distillery.crafts.grid import EMPTY, Grid, as_grid
from distillery.crafts.read_back import write_checked

STUD = 20  # LDraw units, LDU; one is about 0.4 mm
PLATE = 8
STUD_MM = 8.0
PLATES = {8: "3460", 6: "3666", 4: "3710", 3: "3623", 2: "3023", 1: "3024"}  # by length
BASEPLATE, BASEPLATE_STUDS, BASEPLATE_COLOUR = "3811", 32, "71"
UPRIGHT = "1 0 0 0 1 0 0 0 1"


@dataclass(frozen=True)
class Brick:
    """A plate of 1 × `length` whose left stud is at (`row`, `column`)."""

    row: int
    column: int
    length: int
    colour: Shade

    @property
    def part(self) -> str:
        return PLATES[self.length]


@dataclass(frozen=True)
class BrickPlan:
    """What is built, row by row; `size_cm` is (width, height), `baseplates` (across, down)."""

    width: int
    height: int
    bricks: tuple[Brick, ...]
    shades: dict[int, Shade]
    baseplates: tuple[int, int]

    @property
    def size_cm(self) -> tuple[float, float]:
        return self.width * STUD_MM / 10, self.height * STUD_MM / 10

    def parts(self) -> Counter[tuple[str, str, str]]:
        """How many of each (part, colour code, colour name), baseplates included."""
        counts = Counter((b.part, b.colour.code, b.colour.name) for b in self.bricks)
        grey = next(shade for shade in load_shades("ldraw") if shade.code == BASEPLATE_COLOUR)
        counts[BASEPLATE, grey.code, grey.name] += self.baseplates[0] * self.baseplates[1]
        return counts


def plan_bricks(indices: Any, palette: Any) -> BrickPlan:
    """Choose the nearest brick colour for each palette colour, and cover every row with plates.

    Two palette colours may get the same brick colour; see `shades`.

    Args:
        indices: int64 (H, W), -1 where the baseplate shows.
        palette: float32 (K, 3), sRGB in [0, 1].

    Raises:
        CourseError: the grid is invalid.
    """
    grid = as_grid(indices, palette)
    used = list(grid.counts())
    shades = dict(zip(used, nearest(grid.palette[used], load_shades("ldraw")), strict=True))
    return BrickPlan(
        grid.width,
        grid.height,
        tuple(_bricks(grid, shades)),
        shades,
        (-(-grid.width // BASEPLATE_STUDS), -(-grid.height // BASEPLATE_STUDS)),
    )


def _bricks(grid: Grid, shades: dict[int, Shade]) -> list[Brick]:
    bricks = []
    for row in range(grid.height):
        colours = [None if cell == EMPTY else shades[int(cell)] for cell in grid.indices[row]]
        column = 0
        while column < grid.width:
            colour, end = colours[column], column + 1
            while end < grid.width and colours[end] == colour:
                end += 1
            if colour is not None:
                for length in plates_for(end - column):
                    bricks.append(Brick(row, column, length, colour))
                    column += length
            column = end
    return bricks


def plates_for(run: int) -> list[int]:
    """Lengths of plates that cover a run of so many studs, the longest first."""
    lengths = []
    for length in PLATES:
        lengths += [length] * (run // length)
        run %= length
    return lengths


def write_bricks(
    path: Path, indices: Any, palette: Any, *, title: str = "Mosaic", author: str = ""
) -> BrickPlan:
    """Write the mosaic as an LDraw model with one step per row; complete or not at all.

    It is read back before it is there.

    Args:
        path: of the `.ldr` file.
        indices: int64 (H, W), -1 where the baseplate shows.
        palette: float32 (K, 3), sRGB in [0, 1].
        title: its first line.
        author: the name in its header.

    Raises:
        CourseError: the grid is invalid, or the file cannot be written.
    """
    plan = plan_bricks(indices, palette)
    model = _model(plan, Path(path).name, title, author).encode()
    write_checked(path, model, lambda data: _model_fault(data, plan))
    return plan


def write_parts(path: Path, plan: BrickPlan) -> None:
    """Write the parts list as CSV: part, name, colour code, colour, count.

    Raises:
        CourseError: the file cannot be written.
    """
    names = {part: f"Plate 1 x {length}" for length, part in PLATES.items()}
    names[BASEPLATE] = f"Baseplate {BASEPLATE_STUDS} x {BASEPLATE_STUDS}"
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["part", "name", "ldraw_colour", "colour", "count"])
    for (part, code, colour), count in sorted(
        plan.parts().items(), key=lambda item: (item[0][2], int(item[0][0]))
    ):
        writer.writerow([part, names[part], code, colour, count])
    wanted = {(part, code): count for (part, code, _), count in plan.parts().items()}
    write_checked(path, table.getvalue().encode(), lambda data: _parts_fault(data, wanted))


def _model(plan: BrickPlan, name: str, title: str, author: str) -> str:
    lines = [
        f"0 FILE {name}",
        f"0 {' '.join(title.split()) or 'Mosaic'}",
        f"0 Name: {name}",
        f"0 Author: {' '.join(author.split()) or 'Score Distillery'}",
        "0 !LDRAW_ORG Unofficial_Model",
        "0 BFC CERTIFY CCW",
        "",
        *_baseplates(plan),
        "0 STEP",
    ]
    row = 0
    for brick in plan.bricks:
        if brick.row != row:
            lines.append("0 STEP")
            row = brick.row
        lines.append(_placed(brick.colour.code, _position(brick), brick.part))
    # The specification ends lines with carriage return and line feed.
    return "\r\n".join([*lines, "0 STEP", "0 NOFILE", ""])


def _model_fault(data: bytes, plan: BrickPlan) -> str:
    """What a viewer would find otherwise than planned in a model; "" for nothing."""
    wanted = Counter((b.colour.code, *_position(b), b.part) for b in plan.bricks)
    found: Counter[tuple[str, int, int, int, str]] = Counter()
    for line in data.decode().split("\r\n"):
        words = line.split()
        if words[:1] == ["1"] and words[-1] != f"{BASEPLATE}.dat":
            x, y, z = map(int, words[2:5])
            found[words[1], x, y, z, words[-1].removesuffix(".dat")] += 1
    return "" if found == wanted else f"{found.total()} plates read back, of {wanted.total()}"


def _parts_fault(data: bytes, wanted: dict[tuple[str, str], int]) -> str:
    rows = csv.DictReader(io.StringIO(data.decode()))
    found = {(row["part"], row["ldraw_colour"]): int(row["count"]) for row in rows}
    return "" if found == wanted else f"{len(found)} parts read back, of {len(wanted)}"


def _position(brick: Brick) -> tuple[int, int, int]:
    """The middle of a plate's top face. Y points down, Z away from the viewer."""
    x = STUD * brick.column + STUD * brick.length // 2
    return x, 0, -STUD * brick.row - STUD // 2


def _baseplates(plan: BrickPlan) -> list[str]:
    side = STUD * BASEPLATE_STUDS
    return [
        _placed(BASEPLATE_COLOUR, (column * side + side // 2, PLATE, -row * side - side // 2),
                BASEPLATE)
        for row in range(plan.baseplates[1])
        for column in range(plan.baseplates[0])
    ]  # fmt: skip


def _placed(colour: str, position: tuple[int, int, int], part: str) -> str:
    x, y, z = position
    return f"1 {colour} {x} {y} {z} {UPRIGHT} {part}.dat"
