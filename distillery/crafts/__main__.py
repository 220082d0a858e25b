"""Make a picture of few colours real.

python -m distillery.crafts boat.png --cross-stitch boat.pdf --pes boat.pes --bricks boat.ldr
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from distillery.core.cli import Arguments, exit_status
from distillery.core.counting import counted
from distillery.core.errors import CourseError
from distillery.core.names import beside
from distillery.core.program import run_program
from distillery.crafts.bead_board import BOARDS, find_board
from distillery.crafts.paper import find_paper

SUFFIXES = {"cross_stitch": ".pdf", "pes": ".pes", "dst": ".dst", "beads": ".pdf", "bricks": ".ldr"}


def arguments() -> Arguments:
    parser = Arguments(
        prog="python -m distillery.crafts", description="Make a picture of few colours real."
    )
    parser.add_argument(
        "picture", type=Path, help="one pixel per cell; transparent cells stay empty"
    )
    parser.add_argument("--cross-stitch", type=Path, help="chart with DMC threads, a .pdf")
    parser.add_argument("--pes", type=Path, help="machine embroidery, a .pes")
    parser.add_argument("--dst", type=Path, help="machine embroidery, a .dst")
    parser.add_argument("--beads", type=Path, help="plan for fuse beads, a .pdf")
    parser.add_argument(
        "--bricks",
        type=Path,
        help="LDraw model, a .ldr; the list of parts goes to a .csv of the same name",
    )
    parser.add_argument("--paper", default="a4", help="a4 or letter, of the PDFs (default: a4)")
    parser.add_argument(
        "--board",
        default="hama-midi",
        help=f"for beads: {', '.join(BOARDS)}, or pegs across and down such as 29x29 "
        "(default: hama-midi)",
    )
    parser.add_argument(
        "--bead-mm", type=float, help="diameter of a bead in mm (default: that of the board)"
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="write over files that are there; without it they are kept, and the new ones get the "
        "next free names",
    )
    parser.add_argument("--title", help="default: the name of the picture")
    parser.add_argument(
        "--cloth-count", type=int, default=14, help="holes per inch of the cloth (default: 14)"
    )
    parser.add_argument(
        "--cell-mm", type=float, default=2.0, help="side of an embroidered cell (default: 2)"
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status: 0, 2 for bad input, 130 for Ctrl-C."""
    parser = arguments()
    chosen = parser.parse_args(argv)
    wanted = {name: path for name in SUFFIXES if (path := getattr(chosen, name)) is not None}
    if not wanted:
        parser.error("say what to make, for example --cross-stitch chart.pdf")
    return exit_status(
        lambda: make(chosen, wanted), interrupted="interrupted: what was written is complete."
    )


def make(chosen: argparse.Namespace, wanted: dict[str, Path]) -> None:
    """Write every requested file, and print a line about each.

    Raises:
        CourseError: a name, the picture or a number is wrong; that file is not written.
    """
    check_names(chosen.picture, wanted)
    find_paper(chosen.paper)
    find_board(chosen.board, chosen.bead_mm)
    from distillery.core.notes import warnings_in_a_line
    from distillery.crafts.grid import read_grid

    with warnings_in_a_line():
        grid = read_grid(chosen.picture)
        title = chosen.title or chosen.picture.stem.replace("_", " ")
        for name, path in wanted.items():
            file, note = beside(path, overwrite=chosen.overwrite)
            print(f"{file}: {WRITERS[name](file, grid, title, chosen)}")
            if note:
                print(note, file=sys.stderr)


def check_names(picture: Path, wanted: dict[str, Path]) -> None:
    """Refuse names with a wrong suffix, and names that would overwrite each other.

    Raises:
        CourseError: a suffix is wrong, or two files have one name.
    """
    for name, path in wanted.items():
        if path.suffix.lower() != SUFFIXES[name]:
            flag = "--" + name.replace("_", "-")
            raise CourseError(f"{flag} writes a {SUFFIXES[name]} file; give {path} that ending.")
    if len({path.resolve() for path in (picture, *wanted.values())}) <= len(wanted):
        raise CourseError("two of the files have the same name; give each its own.")


def cross_stitch(path: Path, grid: Any, title: str, chosen: argparse.Namespace) -> str:
    from distillery.crafts.cross_stitch import write_cross_stitch

    plan = write_cross_stitch(
        path,
        grid.indices,
        grid.palette,
        title=title,
        cloth_count=chosen.cloth_count,
        paper=find_paper(chosen.paper),
    )
    wide, high = plan.size_cm
    return (
        f"{counted(plan.total, 'stitch', 'stitches')}, {counted(len(plan.threads), 'thread')}, "
        f"{wide:.1f} × {high:.1f} cm on {plan.cloth_count}-count cloth, {plan.pages} pages"
    )


def embroidery(path: Path, grid: Any, title: str, chosen: argparse.Namespace) -> str:
    from distillery.crafts.embroidery import write_dst, write_pes
    from distillery.crafts.stitch_file import MOST_NAMED

    write = write_pes if path.suffix.lower() == ".pes" else write_dst
    plan = write(path, grid.indices, grid.palette, title=title, cell_mm=chosen.cell_mm)
    wide, high = plan.size_mm
    unnamed = write is write_dst and len(plan.blocks) > MOST_NAMED
    return (
        f"{counted(plan.stitches, 'stitch', 'stitches')}, {counted(len(plan.blocks), 'thread')}, "
        f"{wide:g} × {high:g} mm, about {counted(max(1, round(plan.minutes)), 'minute')}"
        + f"; a DST file has room to name the first {MOST_NAMED} threads only"
        * unnamed
    )


def beads(path: Path, grid: Any, title: str, chosen: argparse.Namespace) -> str:
    from distillery.crafts.beads import write_beads

    plan = write_beads(
        path,
        grid.indices,
        grid.palette,
        title=title,
        board=find_board(chosen.board, chosen.bead_mm),
        paper=find_paper(chosen.paper),
    )
    wide, high = plan.size_cm
    return (
        f"{counted(plan.total, 'bead')}, {counted(len(plan.colours), 'colour')}, "
        f"{counted(len(plan.boards), 'board')} of {plan.board.across} × {plan.board.down} pegs, "
        f"{wide:.1f} × {high:.1f} cm"
    )


def bricks(path: Path, grid: Any, title: str, chosen: argparse.Namespace) -> str:
    from distillery.crafts.bricks import write_bricks, write_parts

    plan = write_bricks(path, grid.indices, grid.palette, title=title)
    parts, note = beside(path.with_suffix(".csv"), overwrite=chosen.overwrite)
    write_parts(parts, plan)
    if note:
        print(note, file=sys.stderr)
    wide, high = plan.size_cm
    plates = counted(len(plan.bricks), "plate")
    return f"{plates}, {wide:.1f} × {high:.1f} cm; the parts are in {parts}"


WRITERS: dict[str, Callable[[Path, Any, str, argparse.Namespace], str]] = {
    "cross_stitch": cross_stitch,
    "pes": embroidery,
    "dst": embroidery,
    "beads": beads,
    "bricks": bricks,
}

if __name__ == "__main__":
    run_program(main)
