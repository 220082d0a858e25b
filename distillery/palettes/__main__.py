"""`python -m distillery.palettes`: list palettes, ours or those named, and draw them on a sheet."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from distillery.core.errors import CourseError
from distillery.core.images import save_png
from distillery.palettes import load_palette, palette_names, sheet, to_hex


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status: 0, or 2 for bad input."""
    parser = argparse.ArgumentParser(prog="python -m distillery.palettes", description=__doc__)
    parser.add_argument("palettes", nargs="*", help="names or files (default: our own, all)")
    parser.add_argument("--sheet", type=Path, metavar="FILE", help="write a picture of them, PNG")
    options = parser.parse_args(argv)
    try:
        names = options.palettes or sorted(
            palette_names(), key=lambda name: -len(load_palette(name))
        )
        palettes = {name: load_palette(name) for name in names}
        for name, colours in palettes.items():
            print(f"{name:12} {len(colours):5,}  {' '.join(to_hex(colours))}")
        if options.sheet:
            save_png(options.sheet, sheet(palettes))
            print(options.sheet)
    except CourseError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
