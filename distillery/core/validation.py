"""Values that come from a file or a command line: each of its kind and in its range, or a sentence.

Every function raises `CourseError` with the name of what is wrong.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from distillery.core.errors import CourseError

LONGEST_TEXT = 1000  # characters


def check_text(name: str, value: Any) -> None:
    if not isinstance(value, str):
        raise CourseError(f"{name} must be text; it is {value!r}.")
    if len(value) > LONGEST_TEXT:
        raise CourseError(
            f"{name} may have {LONGEST_TEXT} characters; it has {len(value)}, shorten it."
        )
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise CourseError(f"{name} is not valid text in UTF-8; type it again.") from error


def check_choice(name: str, value: Any, known: Sequence[str]) -> None:
    if value not in known:
        raise CourseError(f"{name} must be one of {', '.join(known)}; it is {value!r}.")


def check_truth(name: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise CourseError(f"{name} must be true or false; it is {value!r}.")


def check_whole(name: str, value: Any, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise CourseError(f"{name} must be a whole number from {low} to {high}; it is {value!r}.")


def check_real(
    name: str,
    value: Any,
    *,
    above: float = -math.inf,
    low: float = -math.inf,
    high: float = math.inf,
) -> None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    # A whole number too long for a float would make `math.isfinite` fail.
    finite = number and abs(value) <= sys.float_info.max
    if finite and above < value and low <= value <= high:
        return
    bounds = [
        f"above {above:g}" if above > -math.inf else "",
        f"from {low:g}" if low > -math.inf else "",
        f"up to {high:g}" if high < math.inf else "",
    ]
    wanted = " ".join(["a finite number", *filter(None, bounds)])
    raise CourseError(f"{name} must be {wanted}; it is {value!r}.")


def read_settings(
    path: Path, known: Sequence[str], *, needed: Sequence[str] = ()
) -> dict[str, Any]:
    """The settings of a YAML file by name, not yet checked."""
    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    # A date that is none, as 2001-99-99, is a ValueError; so is text that is not UTF-8.
    except (OSError, ValueError, yaml.YAMLError) as error:
        mark = getattr(error, "problem_mark", None)
        what = f"line {mark.line + 1} is not YAML" if mark else "it is missing or not YAML"
        raise CourseError(
            f"cannot read settings from {path}: {what}; put it right, or name another file."
        ) from error
    if not isinstance(values, dict) or not set(needed) <= set(values):
        among = f", among them a {' and a '.join(needed)}" if needed else ""
        raise CourseError(f"{path} must hold settings, one 'name: value' a line{among}.")
    unknown = [str(name) for name in values if name not in known]
    if unknown:
        raise CourseError(
            f"{path} has the unknown setting {', '.join(unknown)}; the known ones are "
            f"{', '.join(known)}."
        )
    return values
