"""Lists of palettes, ours or those named, and sheets of them: `main.py palettes`."""

from __future__ import annotations

from pathlib import Path

from distillery.core.errors import CourseError
from distillery.core.files import written
from distillery.core.folders import files_of
from distillery.core.images import to_png_bytes
from distillery.core.notes import warnings_in_a_line
from distillery.palettes import load_palette, palette_names, sheet, to_hex
from distillery.palettes.files import READERS


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
