"""The command line of stroke paintings: `python main.py strokes`."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from distillery.core.cli import Arguments
from distillery.core.program import MAIN
from distillery.core.settings import declared
from distillery.runs.cli import run_arguments
from distillery.runs.registry import KINDS
from distillery.runs.stroke_settings import StrokeSettings

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
EXAMPLE = (
    '--img_path PAINTING.png --prompt "a red boat on a frozen river"; data/strokes has paintings'
)


def arguments() -> Arguments:
    """The parser of `strokes`."""
    parser = run_arguments(
        f"{MAIN} strokes", KINDS["strokes"].summary, StrokeSettings, list(declared(StrokeSettings))
    )
    parser.add_argument(
        "--output_img", type=Path, metavar="FILE", help="also write the picture there, a new file"
    )
    return parser


def flags_from(argv: Sequence[str]) -> dict[str, Any]:
    """The parsed flags; what is misspelt ends the program."""
    parser = arguments()
    flags = vars(parser.parse_args(argv))
    if not {"prompt", "config"} & set(flags):
        parser.error(f"say what to draw and from which painting: {EXAMPLE}")
    return flags


def check_output(path: Path, *, overwrite: bool = False) -> None:
    """Refuse a file that the result cannot be written to.

    Raises:
        CourseError: it is there already, is of another kind than PNG and JPEG, or lies where
            nothing can be written.
    """
    from distillery.core.errors import CourseError

    if path.suffix.lower() not in FORMATS:
        raise CourseError(f"output_img must end in .png or .jpg; it is {str(path)!r}.")
    if os.path.lexists(path) and not overwrite:
        raise CourseError(
            f"{path} is there already and is not overwritten; name another file, or write over it "
            "by --overwrite."
        )
    # Missing folders are made, in the nearest one that is there.
    there = next(folder for folder in path.absolute().parents if os.path.lexists(folder))
    if not os.path.isdir(there) or not os.access(there, os.W_OK | os.X_OK):
        raise CourseError(
            f"output_img cannot be {path}, because {there} is no folder that can be written; name "
            "a file elsewhere."
        )


def write_output(picture: Path, path: Path, *, overwrite: bool = False) -> None:
    """Write the picture of a run to another file too, in the format that its name says.

    Raises:
        CourseError: it is there by now, or cannot be written.
    """
    from PIL import Image

    from distillery.core.files import atomic_write

    check_output(path, overwrite=overwrite)
    kind = FORMATS[path.suffix.lower()]
    if kind == "PNG":
        return atomic_write(path, picture.read_bytes())
    buffer = io.BytesIO()
    with Image.open(picture) as image:
        image.convert("RGB").save(buffer, format=kind, quality=95)
    atomic_write(path, buffer.getvalue())


def unused(flags: Mapping[str, Any]) -> str:
    """Which of the given flags change nothing beside the others, in a sentence, or nothing."""
    from distillery.methods.stroke_methods import KNOBS, NEED_DECODER

    method = flags.get("method", "gradop+")
    if method not in KNOBS or "config" in flags:
        return ""
    its = set(KNOBS[method])
    if method in NEED_DECODER:
        its |= {"guide", "operator", "width"}
    all_knobs = {"guide", "operator", *(name for names in KNOBS.values() for name in names)}
    useless = sorted((all_knobs - its) & set(flags))
    sentences = [f"{method} has no use for {', '.join(useless)}."] if useless else []
    unbound = sorted({"region_control", "region_strength"} & set(flags))
    if unbound and not flags.get("regions"):
        sentences.append(f"without regions there is no use for {', '.join(unbound)}.")
    return " ".join(sentences)
