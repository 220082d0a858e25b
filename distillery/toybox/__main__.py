"""`python -m distillery.toybox`: draw a contact sheet, every thing in every scene."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from distillery.core.cli import exit_status
from distillery.toybox import COLOURS, SCENES, THINGS, Factors, draw


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
    parser = argparse.ArgumentParser(prog="python -m distillery.toybox", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("contact_sheet.png"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cell", type=int, default=96, help="pixels per drawing")
    options = parser.parse_args(argv)

    def work() -> None:
        contact_sheet(seed=options.seed, cell=options.cell).save(options.out)
        print(options.out)

    return exit_status(work)


if __name__ == "__main__":
    sys.exit(main())
