"""A folder of pictures into pixels: `python main.py morph --pixelate FOLDER`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distillery.core.cli import Arguments
from distillery.core.errors import CourseError
from distillery.core.notes import warnings_in_a_line
from distillery.core.program import MAIN
from distillery.core.settings import (
    REQUIRED,
    Choice,
    Declared,
    Text,
    Whole,
    add_flags,
    declared,
    setting,
)
from distillery.methods.settings import IMPLEMENTATIONS
from distillery.morph.settings import DITHERINGS, palette_named


@dataclass(frozen=True)
class PixelateSettings(Declared):
    """How a folder of pictures is brought into pixels; the numbers are Pixel Giffusion's.

    Raises:
        CourseError: a value is of the wrong kind or out of its range.
    """

    pixelate: str = setting(REQUIRED, Text(), "the folder of pictures")
    factor: int = setting(6, Whole(1, 64), "pixels of a picture that become one")
    upscale: int = setting(6, Whole(1, 64), "pixels of a side that a pixel becomes then")
    palette: str = setting(
        "10", Text(), "one for all pictures: a name, rgb-N, a file, or how many colours to find"
    )
    depth: int = setting(1, Whole(1, 4), "in how many stages a picture is reduced")
    dithering: str = setting("none", Choice(DITHERINGS), "none, or bayer: a pattern that stays")
    implementation: str = setting(
        "guidance",
        Choice(IMPLEMENTATIONS),
        "guidance: your code; reference: the course's",
        by_default="guidance; reference while yours is still to do and the course's is there",
    )


def flags_from(argv: Sequence[str]) -> dict[str, Any]:
    """The parsed flags; what is misspelt ends the program."""
    parser = Arguments(
        prog=f"{MAIN} morph --pixelate",
        description="Bring a folder of pictures into pixels of one palette.",
    )
    add_flags(parser, PixelateSettings, declared(PixelateSettings))
    parser.add_argument(
        "--out", type=Path, help="another folder (default: outputs/pixelated/ and its name)"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="write over pictures that are there already"
    )
    return vars(parser.parse_args(argv))


def module_name(settings: PixelateSettings) -> str:
    """The module that finds the palette."""
    return f"{settings.implementation}.morph"


def pixelated(
    settings: PixelateSettings, functions: Any, out: Path | None, *, overwrite: bool = False
) -> list[Path]:
    """Write the pictures of the folder in pixels, and return their files.

    Raises:
        CourseError: the folder or a picture cannot be used, or a file is there already.
    """
    from distillery.pixelart.pixelate import pixelate_folder

    folder = Path(settings.pixelate)
    out = out or Path("outputs", "pixelated", folder.resolve().name)
    there = sorted(out.glob("*.png")) if out.is_dir() else []
    if there and not overwrite:
        raise CourseError(
            f"{there[0]} is there already and is not overwritten; name another folder by --out, "
            "or write over it by --overwrite."
        )
    with warnings_in_a_line():
        return pixelate_folder(
            folder,
            out,
            functions,
            factor=settings.factor,
            upscale=settings.upscale,
            palette=palette_named(settings.palette),
            depth=settings.depth,
            dithering="bayer" if settings.dithering == "bayer" else "none",
        )
