"""What the command lines of all kinds of run share. Nothing here loads torch before it must."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from distillery.runs.engine import Extras
    from distillery.runs.kind import Kind

EXTRAS = ("verbose", "make_video", "video_size", "fps", "tensorboard")


def add_run_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags that are no settings: where the files go, and which there are."""
    parser.add_argument(
        "--set", action="append", type=_assignment, metavar="NAME=VALUE", help="any setting"
    )
    parser.add_argument(
        "-c",
        "--config",
        type=Path,
        metavar="YAML",
        help="settings, such as the run.yaml of a run to repeat; flags prevail over it",
    )
    parser.add_argument(
        "--out", type=Path, default=Path("outputs"), help="folder of the files (default: outputs)"
    )
    parser.add_argument("-mv", "--make_video", action="store_true", help="also as an MP4")
    parser.add_argument("--video_size", type=pair, metavar="H,W", help="default: the picture's")
    parser.add_argument("--fps", type=float, help="of GIF and MP4 (default: 12)")
    parser.add_argument("--tensorboard", action="store_true", help="write scalars for TensorBoard")


def pair(text: str) -> tuple[int, int]:
    """Height and width from a flag's text, such as "32,48"."""
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


def extras_from(flags: dict[str, Any]) -> Extras:
    """Take the extras out of the flags.

    Raises:
        CourseError: one of them is out of its range.
    """
    from distillery.runs.engine import Extras

    return Extras(**{name: flags.pop(name) for name in EXTRAS if name in flags})


def settings_from(kind: Kind, flags: dict[str, Any]) -> Any:
    """The settings of the flags, on top of those of `--config`; the device is the one found.

    Raises:
        CourseError: one of them is unknown or unfit.
    """
    from distillery.core.errors import CourseError
    from distillery.models.presets import pick_device

    wanted = {name: value for name, value in flags.items() if name not in ("config", "set")}
    wanted.update(flags.get("set", []))
    known = kind.SETTINGS.__dataclass_fields__
    for name in wanted:
        if name not in known:
            raise CourseError(f"there is no setting {name!r}; the settings are {', '.join(known)}.")
    config, make = flags.get("config"), kind.SETTINGS
    settings = make(**wanted) if config is None else make.load(config, **wanted)
    return replace(settings, device=str(pick_device(settings.device)))
