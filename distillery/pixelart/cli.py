"""The command line of pixel art: `python main.py pixelart` and `python main.py recolour`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from distillery.core.cli import Arguments
from distillery.core.settings import add_flags
from distillery.pixelart.settings import PixelSettings
from distillery.runs.cli import run_arguments
from distillery.runs.extras import Extras

FLAGS = (
    "prompt",
    "negative_prompt",
    "input_image",
    "size",
    "palette",
    "colours",
    "start",
    "model",
    "steps",
    "seed",
    "memory",
    "device",
    "implementation",
)


def arguments() -> Arguments:
    """The parser of `pixelart`."""
    parser = run_arguments(
        "main.py pixelart",
        "Make a picture whose every pixel is one of K palette colours.",
        PixelSettings,
        FLAGS,
    )
    add_flags(parser, Extras, ["verbose"])
    return parser


def recolour_arguments() -> Arguments:
    """The parser of `recolour`."""
    parser = Arguments(
        prog="main.py recolour",
        description="The same picture in another palette of as many colours.",
    )
    parser.add_argument(
        "picture", type=Path, help="a PNG that pixelart wrote, or other pixel art of few colours"
    )
    parser.add_argument("--palette", required=True, help="a name, rgb-N or a file")
    parser.add_argument("--out", type=Path, required=True, help="the PNG to write")
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="write over what is there; without it that is kept, and the PNG gets the next free "
        "name",
    )
    return parser


def recolour(flags: dict[str, Any]) -> Path:
    """Write an indexed picture in another palette; returns the new file.

    Raises:
        CourseError: one of the files cannot be used, or the palette has another length.
    """
    from distillery.core.errors import CourseError
    from distillery.core.files import written
    from distillery.core.images import to_png_bytes
    from distillery.core.notes import warnings_in_a_line
    from distillery.palettes import load_palette
    from distillery.pixelart.indexed_png import recoloured
    from distillery.pixelart.recolouring import read_for_recolouring

    if flags["out"].suffix.lower() != ".png":
        raise CourseError(f"an indexed picture is saved as .png; --out was {flags['out']}.")
    with warnings_in_a_line():
        palette = load_palette(flags["palette"])
        picture, rows = read_for_recolouring(flags["picture"], palette)
    made, prompt = recoloured(picture, rows), picture.info.get("prompt")
    png = to_png_bytes(made, prompt if isinstance(prompt, str) else None)
    return written(flags["out"], png, overwrite=flags["overwrite"])
