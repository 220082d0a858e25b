"""The command line of pixel art: `python main.py pixelart` and `python main.py recolour`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import yaml

from distillery.core.cli import Arguments

if TYPE_CHECKING:
    from distillery.pixelart.settings import PixelSettings
    from distillery.runs.engine import Place


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
    parser.add_argument("--size", type=_pair, metavar="H,W", help="the grid (default: the model's)")
    parser.add_argument("--palette", help="a name, rgb-N or a file (default: found by k-means)")
    parser.add_argument("-knc", "--colours", type=int, help="how many to find (default: 8)")
    parser.add_argument("--start", help="generated, image, painted or noise")
    parser.add_argument("--model", help="a preset or a diffusers folder (default: tiny-sdxl)")
    parser.add_argument("--steps", type=int, help="default: what suits the model")
    parser.add_argument("-d", "--seed", type=int, help="default: 0")
    parser.add_argument("--memory", type=int, help="GB of the accelerator: 8, 12, 16 or 24")
    parser.add_argument("--device", help="auto, cpu, cuda or mps")
    parser.add_argument("--implementation", help="guidance (your code) or reference (the course's)")
    parser.add_argument(
        "--set", action="append", type=_assignment, metavar="NAME=VALUE", help="any setting"
    )
    parser.add_argument("-c", "--config", type=Path, help="settings; flags beside it prevail")
    parser.add_argument("--out", type=Path, default=Path("outputs"), help="default: outputs")
    parser.add_argument("--verbose", action="store_true", help="keep pictures of the inside")
    parser.add_argument("-mv", "--make_video", action="store_true", help="also as an MP4")
    parser.add_argument("--video_size", type=_pair, metavar="H,W", help="default: the picture's")
    parser.add_argument("--fps", type=float, help="of GIF and MP4 (default: 12)")
    parser.add_argument("--tensorboard", action="store_true", help="write scalars for TensorBoard")
    return parser


def _pair(text: str) -> tuple[int, int]:
    try:
        height, width = (int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"write height and width as H,W, for example 32,48, not {text!r}"
        ) from None
    return height, width


def _assignment(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"write NAME=VALUE, not {text!r}")
    try:
        return name.strip(), yaml.safe_load(value)
    except (ValueError, yaml.YAMLError):
        raise argparse.ArgumentTypeError(f"{value!r} cannot be read as a value") from None


EXTRAS = ("verbose", "make_video", "video_size", "fps", "tensorboard")


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


def pixelart(
    flags: dict[str, Any],
    method_named: Callable[[str], ModuleType],
    instead: Callable[[NotImplementedError], ModuleType],
) -> Place:
    """Make the picture of these flags, and return where its files lie.

    Args:
        method_named: gives the module of an implementation.
        instead: gives the reference where a function of the student's is still to do, or raises.

    Raises:
        CourseError: what is asked for cannot be done.
        NotImplementedError: a function of the student's is still to do.
    """
    from distillery.pixelart import initial_grid, run
    from distillery.runs.engine import warnings_in_a_line

    extras = run.Extras(**{name: flags.pop(name) for name in EXTRAS if name in flags})
    out = flags.pop("out")
    with warnings_in_a_line():
        settings = settings_from(flags)
        initial_grid.check(settings)
    method = method_named(settings.implementation)
    settings = run.with_prompt(settings)
    prior = run.load(settings)
    try:
        return run.draw(prior, method, settings, out=out, extras=extras)
    except NotImplementedError as error:
        method = instead(error)
    settings = replace(settings, implementation="reference")
    return run.draw(prior, method, settings, out=out, extras=extras)


def settings_from(flags: dict[str, Any]) -> PixelSettings:
    """The settings of the flags, on top of those of `--config`; the device is the one found.

    Raises:
        CourseError: one of them is unknown or unfit.
    """
    from distillery.core.errors import CourseError
    from distillery.models.load import pick_device
    from distillery.pixelart.settings import PixelSettings

    config = flags.pop("config", None)
    wanted = {**flags, **dict(flags.get("set", []))}
    wanted.pop("set", None)
    known = PixelSettings.__dataclass_fields__
    for name in wanted:
        if name not in known:
            raise CourseError(f"there is no setting {name!r}; the settings are {', '.join(known)}.")
    settings = PixelSettings(**wanted) if config is None else PixelSettings.load(config, **wanted)
    # A picture given beside a config is meant to be used, even where the config draws its own.
    if "input_image" in wanted and "start" not in wanted and settings.start != "painted":
        settings = replace(settings, start="image")
    return replace(settings, device=str(pick_device(settings.device)))


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
