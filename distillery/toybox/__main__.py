"""`python -m distillery.toybox`: draw a contact sheet, or a folder of pictures in a style.

python -m distillery.toybox                             every thing in every scene
python -m distillery.toybox pixel FOLDER --count 600    a style's pictures with their captions
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from distillery.core.cli import documented, exit_status, pair
from distillery.core.files import written
from distillery.core.images import to_png_bytes
from distillery.core.program import run_program
from distillery.toybox import COLOURS, SCENES, THINGS, Factors, draw
from distillery.toybox.style_folder import write_style_folder
from distillery.toybox.styles import STYLES


def contact_sheet(*, seed: int, cell: int) -> Image.Image:
    """Things across, scenes down, colours in turn; each drawing is `cell` pixels wide."""
    rows = []
    for row, scene in enumerate(SCENES):
        cells = [
            draw(
                Factors(thing, COLOURS[(column + 3 * row + seed) % len(COLOURS)], scene),
                seed * 1000 + row * len(THINGS) + column,
                size=(cell, cell),
            ).image
            for column, thing in enumerate(THINGS)
        ]
        rows.append(np.concatenate(cells, axis=1))
    return Image.fromarray(np.concatenate(rows, axis=0))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status: 0, 2 for bad input, 130 for Ctrl-C."""
    parser = documented("python -m distillery.toybox", __doc__)
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("outputs/contact_sheet.png"),
        help="the PNG of the contact sheet (default: outputs/contact_sheet.png)",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="write over another picture of that name"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cell", type=int, default=96, help="pixels per drawing")
    styles = parser.add_subparsers(dest="style", metavar="STYLE", title="a folder in a style")
    for style in STYLES:
        _add_style(styles.add_parser(style, help=f"the style {style}"))
    options = parser.parse_args(argv)

    def work() -> None:
        if options.style is None:
            sheet = to_png_bytes(contact_sheet(seed=options.seed, cell=options.cell))
            print(written(options.out, sheet, overwrite=options.overwrite))
            return
        write_style_folder(
            options.folder,
            options.style,
            count=options.count,
            seed=options.seed,
            size=options.size,
            with_held_out=options.held_out,
        )
        print(options.folder)

    return exit_status(work)


def _add_style(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, help="a new one")
    parser.add_argument("--count", type=int, default=600, help="pictures (default 600)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", type=pair, default=(64, 64), metavar="H,W")
    parser.add_argument(
        "--held-out", action="store_true", help="also combinations that no model was trained on"
    )


if __name__ == "__main__":
    run_program(main)
