"""`python -m distillery.palettes`: list palettes, ours or those named, and draw them on a sheet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from distillery.core.cli import Arguments, exit_status
from distillery.core.errors import CourseError
from distillery.core.files import written
from distillery.core.folders import files_of
from distillery.core.images import to_png_bytes
from distillery.core.notes import warnings_in_a_line
from distillery.core.program import run_program
from distillery.palettes import load_palette, palette_names, sheet, to_hex
from distillery.palettes.files import READERS


def arguments(prog: str = "python -m distillery.palettes") -> Arguments:
    """The parser; `main.py palettes` has the same."""
    parser = Arguments(prog=prog, description="List palettes, and draw them on a sheet.")
    parser.add_argument("palettes", nargs="*", help="names or files (default: our own, all)")
    parser.add_argument(
        "--hex_dir",
        type=Path,
        metavar="FOLDER",
        help="all palettes of a folder, on a sheet (default: outputs/palettes.png)",
    )
    parser.add_argument("--sheet", type=Path, metavar="FILE", help="write a picture of them, PNG")
    parser.add_argument(
        "--overwrite", action="store_true", help="write over another picture of that name"
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status: 0, 2 for bad input, 130 for Ctrl-C."""
    options = vars(arguments().parse_args(argv))
    return exit_status(lambda: list_palettes(**options))


def list_palettes(
    palettes: list[str], hex_dir: Path | None, sheet: Path | None, *, overwrite: bool
) -> None:
    """Print the palettes that the flags ask for, and draw them where they say.

    Raises:
        CourseError: the folder has none, or as `show`.
    """
    if hex_dir is not None:
        there = hex_dir.iterdir() if hex_dir.is_dir() else ()
        found = files_of(there, READERS, under=hex_dir)
        if not found:
            raise CourseError(
                f"{hex_dir} is no folder with palettes; name one with {', '.join(READERS)} files."
            )
        palettes, sheet = [*palettes, *map(str, found)], sheet or Path("outputs", "palettes.png")
    show(palettes, sheet, overwrite=overwrite)


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
