"""The command line of pixel art: `python main.py pixelart` and `python main.py recolour`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from distillery.core.cli import Arguments
from distillery.runs.cli import add_run_flags, pair


def arguments() -> Arguments:
    """The parser; a flag that is not given leaves no trace, so that it cannot overrule --config."""
    parser = Arguments(
        prog="main.py pixelart",
        description="Make a picture whose every pixel is one of K palette colours.",
        argument_default=argparse.SUPPRESS,
        epilog="Every other setting: --set NAME=VALUE; data/configs/ holds commented ones.",
    )
    parser.add_argument("-pt", "--prompt", help="what to draw; default: the image's caption")
    parser.add_argument("-npt", "--negative_prompt", help="what to steer away from")
    parser.add_argument("--input_image", help="start from this picture")
    parser.add_argument("--size", type=pair, metavar="H,W", help="the grid (default: the model's)")
    parser.add_argument("--palette", help="a name, rgb-N or a file (default: found by k-means)")
    parser.add_argument("-knc", "--colours", type=int, help="how many to find (default: 8)")
    parser.add_argument("--start", help="generated, image, painted or noise")
    parser.add_argument("--model", help="a preset or a diffusers folder (default: tiny-sdxl)")
    parser.add_argument("--steps", type=int, help="default: what suits the model")
    parser.add_argument("-d", "--seed", type=int, help="default: 0")
    parser.add_argument("--memory", type=int, help="GB of the accelerator: 8, 12, 16 or 24")
    parser.add_argument("--device", help="auto, cpu, cuda or mps")
    parser.add_argument("--implementation", help="guidance (your code) or reference (the course's)")
    parser.add_argument("--verbose", action="store_true", help="keep pictures of the inside")
    add_run_flags(parser)
    return parser


def recolour_arguments() -> Arguments:
    """The parser of `recolour`."""
    parser = Arguments(
        prog="main.py recolour",
        description="The same indexed picture in another palette of as many colours.",
    )
    parser.add_argument("picture", type=Path, help="a PNG that pixelart wrote")
    parser.add_argument("--palette", required=True, help="a name, rgb-N or a file")
    parser.add_argument("--out", type=Path, required=True, help="the PNG to write")
    return parser


def recolour(flags: dict[str, Any]) -> Path:
    """Write an indexed picture in another palette; returns the new file.

    Raises:
        CourseError: one of the files cannot be used, or the palette has another length.
    """
    from PIL import Image

    from distillery.core.errors import CourseError
    from distillery.core.images import read_any, save_png
    from distillery.palettes import load_palette
    from distillery.pixelart.indexed_png import recoloured

    if flags["out"].suffix.lower() != ".png":
        raise CourseError(f"an indexed picture is saved as .png; --out was {flags['out']}.")
    palette = load_palette(flags["palette"])
    read_any(flags["picture"])  # says in a sentence what is wrong with a file
    with Image.open(flags["picture"]) as picture:
        made, prompt = recoloured(picture, palette), picture.info.get("prompt")
    save_png(flags["out"], made, prompt if isinstance(prompt, str) else None)
    return flags["out"]
