"""`python -m distillery.palettes`: list palettes, ours or those named, and draw them on a sheet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from distillery.core.cli import Arguments, exit_status
from distillery.core.files import written
from distillery.core.images import to_png_bytes
from distillery.core.notes import warnings_in_a_line
from distillery.core.program import run_program
from distillery.palettes import load_palette, palette_names, sheet, to_hex


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status: 0, 2 for bad input, 130 for Ctrl-C."""
    parser = Arguments(prog="python -m distillery.palettes", description=__doc__)
    parser.add_argument("palettes", nargs="*", help="names or files (default: our own, all)")
    parser.add_argument("--sheet", type=Path, metavar="FILE", help="write a picture of them, PNG")
    parser.add_argument(
        "--overwrite", action="store_true", help="write over another picture of that name"
    )
    options = parser.parse_args(argv)
    return exit_status(lambda: show(options.palettes, options.sheet, overwrite=options.overwrite))


def show(palettes: list[str], sheet_file: Path | None, *, overwrite: bool = False) -> None:
    """Print these palettes, or all of the course, and draw them into a PNG.

    Raises:
        CourseError: a palette cannot be read, or the picture cannot be written.
    """
    names = palettes or sorted(palette_names(), key=lambda name: -len(load_palette(name)))
    with warnings_in_a_line():
        colours_of = {name: load_palette(name) for name in names}
    for name, colours in colours_of.items():
        print(f"{name:12} {len(colours):5,}  {' '.join(to_hex(colours))}")
    if sheet_file:
        with warnings_in_a_line():
            picture = sheet(colours_of)
        print(written(sheet_file, to_png_bytes(picture), overwrite=overwrite))


if __name__ == "__main__":
    run_program(main)
