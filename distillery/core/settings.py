"""Settings that are declared once: checks, error sentences, YAML and flags follow from the fields.

A class of settings is a frozen dataclass whose fields are made by `setting`:

    @dataclass(frozen=True)
    class Drawing(Declared):
        prompt: str = setting(REQUIRED, Text(), "what to draw")
        steps: int = setting(100, Whole(1, 1000), "number of steps")
        warmup: int = setting(10, Whole(0, "steps"), "steps until the full learning rate")

`Drawing("a boat", steps=0)` then raises "steps must be a whole number from 1 to 1000; it is 0.",
`Drawing.load(path, steps=5)` reads YAML, and `add_flags(parser, Drawing, ["prompt", "steps"])` adds
`--prompt` and `--steps`. Importing this module is quick: it does not import torch.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import yaml

from distillery.core.cli import pair, truth
from distillery.core.errors import CourseError
from distillery.core.files import atomic_write, decoded
from distillery.core.names import meant
from distillery.core.yaml_text import values_of

LONGEST_TEXT = 1000  # characters
LARGEST_SEED = 2**63 - 1  # of a torch.Generator
REQUIRED: Any = dataclasses.MISSING  # as a default: the setting must be given

Bound = float | str  # a number, or the name of the setting that holds it
Self = TypeVar("Self", bound="Declared")


# Types of values


class ValueType:
    """What values a setting may have.

    flag_type: what argparse makes of the text after a flag.
    metavar:   what the help shows in place of that text, by default the name in capitals.
    """

    flag_type: ClassVar[Callable[[str], Any]] = str
    metavar: ClassVar[str | None] = None

    def check(self, name: str, value: Any, among: object = None) -> Any:
        """The value as it is stored; `among` are the settings that named bounds are read from.

        Raises:
            CourseError: the value does not fit.
        """
        raise NotImplementedError

    @property
    def bounds(self) -> tuple[Bound, ...]:
        """The limits of the value; those that are names must be checked before it."""
        return ()


@dataclass(frozen=True)
class Text(ValueType):
    """Text of at most 1000 characters."""

    def check(self, name: str, value: Any, among: object = None) -> str:
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
        return value


@dataclass(frozen=True)
class FileName(Text):
    """Text that may name a file, whose content then counts as the settings do.

    folders: whether it may name a folder as well.
    """

    folders: bool = False


@dataclass(frozen=True)
class Choice(ValueType):
    """One of a few words."""

    known: tuple[str, ...]

    def check(self, name: str, value: Any, among: object = None) -> str:
        if value not in self.known:
            near = meant(value, self.known) if isinstance(value, str) else ""
            raise CourseError(
                f"{name} must be one of {', '.join(self.known)}; it is {value!r}{near}."
            )
        return str(value)


@dataclass(frozen=True)
class Truth(ValueType):
    """True or false; its flag takes no value and means true."""

    def check(self, name: str, value: Any, among: object = None) -> bool:
        if not isinstance(value, bool):
            raise CourseError(f"{name} must be true or false; it is {value!r}.")
        return value


@dataclass(frozen=True)
class Switch(Truth):
    """True or false; its flag alone means true, and may be followed by true or false."""

    flag_type: ClassVar[Callable[[str], Any]] = staticmethod(truth)
    metavar: ClassVar[str] = "true|false"


@dataclass(frozen=True)
class Whole(ValueType):
    """A whole number from `low` to `high`, both included."""

    low: int | str
    high: int | str
    flag_type: ClassVar[Callable[[str], Any]] = int

    def check(self, name: str, value: Any, among: object = None) -> int:
        low, high = _number(self.low, among), _number(self.high, among)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise CourseError(
                f"{name} must be a whole number from {low} to {high}; it is {value!r}."
            )
        return value

    @property
    def bounds(self) -> tuple[Bound, ...]:
        return self.low, self.high


@dataclass(frozen=True)
class Real(ValueType):
    """A finite number above `above`, or from `low` to `high`, both included."""

    above: Bound = -math.inf
    low: Bound = -math.inf
    high: Bound = math.inf
    flag_type: ClassVar[Callable[[str], Any]] = float

    def check(self, name: str, value: Any, among: object = None) -> float:
        above, low, high = (_number(bound, among) for bound in self.bounds)
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        # A whole number too long for a float would make `math.isfinite` fail.
        finite = number and abs(value) <= sys.float_info.max
        if finite and above < value and low <= value <= high:
            return value
        limits = [
            f"above {above:g}" if above > -math.inf else "",
            f"from {low:g}" if low > -math.inf else "",
            f"up to {high:g}" if high < math.inf else "",
        ]
        wanted = " ".join(["a finite number", *filter(None, limits)])
        raise CourseError(f"{name} must be {wanted}; it is {value!r}.")

    @property
    def bounds(self) -> tuple[Bound, ...]:
        return self.above, self.low, self.high


@dataclass(frozen=True)
class Size(ValueType):
    """Height and width in pixels, stored as a tuple; None where the program has a default.

    what: has this size, such as "the picture".
    low:  of both sides, included, as is `high`; each is a multiple of `unit`.
    """

    what: str
    low: int
    high: int
    unit: int = 1
    flag_type: ClassVar[Callable[[str], Any]] = staticmethod(pair)
    metavar: ClassVar[str] = "H,W"

    def check(self, name: str, value: Any, among: object = None) -> tuple[int, int] | None:
        if value is None:
            return None
        sides = list(value) if isinstance(value, (list, tuple)) else []
        fit = [type(side) is int and self.low <= side <= self.high for side in sides]
        if len(sides) != 2 or not all(fit) or any(side % self.unit for side in sides):
            multiple = f"a multiple of {self.unit} " if self.unit > 1 else ""
            raise CourseError(
                f"{name} must be height and width of {self.what}, each {multiple}from {self.low} "
                f"to {self.high} pixels; it is {value!r}."
            )
        return sides[0], sides[1]


def _number(bound: Bound, among: object) -> float:
    return getattr(among, bound) if isinstance(bound, str) else bound


# Fields


@dataclass(frozen=True)
class Setting:
    """What a field says of itself.

    values:     which values it may have.
    help:       what it is, in one line; the comment in YAML and the help of the flag.
    short:      short name of the flag, such as "-d".
    by_default: what is used where it is not given, in words, if its default does not say that.
    follows:    the settings that it is computed from, unless it is given: `load` with another
                value for one of them computes it again.
    """

    values: ValueType
    help: str
    short: str = ""
    by_default: str = ""
    follows: tuple[str, ...] = ()


def setting(
    default: Any,
    values: ValueType,
    help: str,
    *,
    short: str = "",
    by_default: str = "",
    follows: str | tuple[str, ...] = (),
) -> Any:
    """A field of a settings dataclass; see `Setting`.

    Args:
        default: the value, `REQUIRED`, `dict` for an empty mapping, or None where the class fills
            it in from other settings.
    """
    those = (follows,) if isinstance(follows, str) else follows
    metadata = {"setting": Setting(values, help, short, by_default, those)}
    if default is dict:
        return dataclasses.field(default_factory=dict, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def by_model(values: ValueType, help: str) -> Any:
    """A field whose default depends on the model; its class fills it in."""
    return setting(None, values, help, by_default="depends on the model")


class Declared:
    """Base of frozen dataclasses whose every field is made by `setting`.

    A subclass with defaults that depend on other settings, or with rules between settings, has a
    `__post_init__` of its own, which calls `fill_in` and then `check`.
    """

    def __post_init__(self) -> None:
        self.check()

    def fill_in(self, **values: Any) -> dict[str, Any]:
        """Set those settings that are None; returns them. What was given stays."""
        missing = {name: value for name, value in values.items() if getattr(self, name) is None}
        for name, value in missing.items():
            object.__setattr__(self, name, value)
        return missing

    def check(self, *names: str) -> None:
        """Check the settings of these names, by default all of them.

        Raises:
            CourseError: a value is of the wrong type or out of its range.
        """
        chosen = {name: one.values for name, one in declared(type(self)).items()}
        chosen = {name: chosen[name] for name in names} if names else chosen
        # A bound that is another setting must be known to be a number before it is compared with.
        for name in sorted(chosen, key=lambda name: _has_names(chosen[name].bounds)):
            value = chosen[name].check(name, getattr(self, name), among=self)
            object.__setattr__(self, name, value)

    def to_yaml(self) -> str:
        """The settings as YAML, each under a comment that says what it is."""
        lines = [
            f"# {one.help}\n{name}: {_in_yaml(getattr(self, name))}\n"
            for name, one in declared(type(self)).items()
        ]
        return "\n".join(lines)

    def save(self, path: Path) -> None:
        """Write the settings as YAML; raises `CourseError` if that is impossible."""
        atomic_write(path, self.to_yaml())

    @classmethod
    def own_names(cls, values: dict[Any, Any]) -> dict[Any, Any]:
        """What a file says, in the names of the fields; a class may know those of other programs.

        Raises:
            CourseError: another program's value has no counterpart.
        """
        return values

    @classmethod
    def load(cls: type[Self], path: Path | None, **changes: Any) -> Self:
        """Read the settings of a file, all or some of them, and change some.

        Args:
            path: the YAML file; without one, the settings are `changes` and the defaults.

        Raises:
            CourseError: the file is missing, is not YAML, or holds an unknown or unfit setting; or
                a change is unknown or unfit.
        """
        known = declared(cls)
        for name in changes:
            if name not in known:
                raise CourseError(
                    f"there is no setting {name!r}; the settings are {', '.join(known)}"
                    f"{meant(name, known)}."
                )
        values = _read(path, cls) if path is not None else {}
        kept = {
            name: value
            for name, value in values.items()
            if changes.keys().isdisjoint(known[name].follows)
        }
        return cls(**{**kept, **changes})


def declared(cls: type[Declared]) -> Mapping[str, Setting]:
    """Name -> what its field says of itself, in the order of the class."""
    return {field.name: field.metadata["setting"] for field in _fields(cls)}


def _fields(cls: type[Declared]) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(cls)  # type: ignore[arg-type]  # every subclass is a dataclass


def _has_names(bounds: Iterable[Bound]) -> bool:
    return any(isinstance(bound, str) for bound in bounds)


def _in_yaml(value: Any) -> str:
    value = list(value) if isinstance(value, tuple) else value
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10**6)
    return text.removesuffix("...\n").strip()


def _read(path: Path, cls: type[Declared]) -> dict[str, Any]:
    """The settings of a YAML file by name, not yet checked."""
    try:
        values = values_of(decoded(Path(path).read_bytes()))
    # A date that does not exist, such as 2001-99-99, is a ValueError; so is text not in UTF-8.
    except (OSError, ValueError, yaml.YAMLError) as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", "") or ""
        wrong = problem if "a second time" in problem else "is not YAML"
        what = f"line {mark.line + 1} {wrong}" if mark else "it is missing or not YAML"
        raise CourseError(
            f"cannot read settings from {path}: {what}; correct it, or name another file."
        ) from error
    values = cls.own_names(values) if isinstance(values, dict) else values
    known = [field.name for field in _fields(cls)]
    needed = [
        field.name
        for field in _fields(cls)
        if field.default is REQUIRED and field.default_factory is dataclasses.MISSING
    ]
    if not isinstance(values, dict) or not set(needed) <= set(values):
        among = f", among them {' and '.join(needed)}" if needed else ""
        raise CourseError(f"{path} must hold settings, one 'name: value' on each line{among}.")
    unknown = [str(name) for name in values if name not in known]
    if unknown:
        raise CourseError(
            f"{path} has the unknown setting {', '.join(unknown)}; the known ones are "
            f"{', '.join(known)}{meant(unknown[0], known)}."
        )
    return values


# Flags


def add_flags(parser: argparse.ArgumentParser, cls: type[Declared], names: Iterable[str]) -> None:
    """Add a flag for each of these settings, in this order.

    A flag that is not given leaves no trace in the parsed arguments, so that what is parsed can be
    passed to `Declared.load` as changes.

    Raises:
        KeyError: the class has no such setting.
    """
    fields = {field.name: field for field in _fields(cls)}
    for name in names:
        one: Setting = fields[name].metadata["setting"]
        flags = [one.short, f"--{name}"] if one.short else [f"--{name}"]
        help = _flag_help(one, fields[name].default)
        if isinstance(one.values, Switch):
            parser.add_argument(
                *flags,
                nargs="?",
                const=True,
                type=type(one.values).flag_type,
                metavar=one.values.metavar,
                default=argparse.SUPPRESS,
                help=help,
            )
        elif isinstance(one.values, Truth):
            parser.add_argument(*flags, action="store_true", default=argparse.SUPPRESS, help=help)
        else:
            parser.add_argument(
                *flags,
                type=type(one.values).flag_type,
                metavar=one.values.metavar,
                default=argparse.SUPPRESS,
                help=help,
            )


def _flag_help(one: Setting, default: Any) -> str:
    stated = default not in (None, "") and default is not False and default is not REQUIRED
    default = one.by_default or (str(default) if stated else "")
    text = f"{one.help} (default: {default})" if default else one.help
    return text.replace("%", "%%")
