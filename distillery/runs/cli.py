"""What the command lines of all kinds of run share. Nothing here loads torch before it must."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from distillery.core.cli import Arguments
from distillery.core.files import decoded
from distillery.core.settings import Declared, add_flags, declared
from distillery.core.yaml_text import values_of
from distillery.runs.extras import Extras

EXTRAS = ("make_video", "video_size", "fps", "tensorboard")  # of every kind of run


def run_arguments(
    prog: str, description: str, settings: type[Declared], names: Sequence[str]
) -> Arguments:
    """The parser of a kind of run.

    A flag that is not given leaves no trace, so that it cannot overrule --config.

    Args:
        names: the settings that have a flag of their own; the others are reached by --set.
    """
    parser = Arguments(
        prog=prog,
        description=description,
        argument_default=argparse.SUPPRESS,
        epilog="Every other setting: --set NAME=VALUE. --print-config shows them all.",
    )
    add_flags(parser, settings, names)
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
        "--print-config",
        action="store_true",
        help="print the settings as YAML, each under what it is, and draw nothing",
    )
    parser.add_argument(
        "--out", type=Path, default=Path("outputs"), help="folder of the files (default: outputs)"
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="write over an earlier result of other settings; without it that is kept, and this "
        "one gets the next free name",
    )
    add_flags(parser, Extras, [name for name in EXTRAS if name not in declared(settings)])
    return parser


def _assignment(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"write NAME=VALUE, not {text!r}")
    try:
        return name.strip(), values_of(value)
    except (ValueError, yaml.YAMLError):
        raise argparse.ArgumentTypeError(f"{value!r} cannot be read as a value") from None


def extras_from(flags: dict[str, Any], settings: type[Declared]) -> Extras:
    """Take the extras out of the flags, but for those that settings of that class have themselves.

    Raises:
        CourseError: one of them is out of its range.
    """
    names = [name for name in declared(Extras) if name not in declared(settings)]
    return Extras(**{name: flags.pop(name) for name in names if name in flags})


def settings_from(settings: type[Declared], flags: dict[str, Any]) -> Any:
    """Settings of that class by the flags, on top of those of `--config`.

    The device is the one found.

    Raises:
        CourseError: one of them is unknown or unfit.
    """
    from distillery.models.load import pick_device

    changes = {name: value for name, value in flags.items() if name not in ("config", "set")}
    changes.update(flags.get("set", []))
    made: Any = settings.load(flags.get("config"), **changes)
    return replace(made, device=str(pick_device(made.device)))


def is_named(name: str, flags: dict[str, Any]) -> bool:
    """Whether a flag, `--set` or the file of `--config` gives the setting of that name."""
    if name in flags or name in dict(flags.get("set", [])):
        return True
    if "config" not in flags:
        return False
    try:
        values = values_of(decoded(flags["config"].read_bytes()))
    # What is wrong with the file is said where it is read.
    except (OSError, ValueError, yaml.YAMLError):
        return False
    return isinstance(values, dict) and name in values
