"""`python -m distillery.toybox`: draw a contact sheet, every thing in every scene."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from distillery.toybox import COLOURS, SCENES, THINGS, Factors, draw


def contact_sheet(*, seed: int, cell: int) -> Image.Image:
    """Things across, scenes down, the colours in turn; each drawing `cell` pixels wide."""
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


def main() -> None:
    """Parse the command line and save the sheet."""
    parser = argparse.ArgumentParser(prog="python -m distillery.toybox", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("contact_sheet.png"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cell", type=int, default=96, help="pixels per drawing")
    args = parser.parse_args()
    contact_sheet(seed=args.seed, cell=args.cell).save(args.out)
    print(args.out)


if __name__ == "__main__":
    main()
