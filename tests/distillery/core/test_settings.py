"""The base of all settings: what a class of fields can do without code of its own."""

from __future__ import annotations

import argparse
import dataclasses
import math
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from distillery.core.cli import Arguments
from distillery.core.errors import CourseError
from distillery.core.settings import (
    REQUIRED,
    Choice,
    Declared,
    Real,
    Size,
    Switch,
    Text,
    Truth,
    Whole,
    add_flags,
    by_model,
    declared,
    setting,
)


@dataclass(frozen=True)
class Brush(Declared):
    """Every kind of field once; `early` has a bound that is declared after it."""

    name: str = setting(REQUIRED, Text(), "what it is called, 100% free")
    early: int = setting(0, Whole(0, "late"), "first step", short="-e")
    late: int = setting(9, Whole(0, 99), "last step")
    hardness: float = setting(0.5, Real(low=0, high=1), "how hard it is")
    width: float = by_model(Real(above=0), "how wide it is")
    shape: str = setting("round", Choice(("round", "flat")), "round or flat", short="-s")
    wet: bool = setting(False, Truth(), "whether it is wet")
    length: int = setting(
        None, Whole(0, 10_000), "how long", by_default="ten times late", follows="late"
    )

    def __post_init__(self) -> None:
        self.fill_in(width=3.0)
        if isinstance(self.late, int):
            self.fill_in(length=10 * self.late)
        self.check()


def sentence(**changes: Any) -> str:
    with pytest.raises(CourseError) as caught:
        Brush(**{"name": "fan", **changes})
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith(".")
    return str(caught.value)


def parsed(*flags: str) -> dict[str, Any]:
    parser = Arguments(prog="paint")
    add_flags(parser, Brush, [field.name for field in dataclasses.fields(Brush)])
    return vars(parser.parse_args(flags))


# Checks


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"name": 3}, "name must be text; it is 3."),
        ({"name": "x" * 1001}, "name may have 1000 characters; it has 1001, shorten it."),
        ({"name": "\udcff"}, "name is not valid text in UTF-8; type it again."),
        ({"late": 100}, "late must be a whole number from 0 to 99; it is 100."),
        ({"late": -1}, "late must be a whole number from 0 to 99; it is -1."),
        ({"late": 5.0}, "late must be a whole number from 0 to 99; it is 5.0."),
        ({"late": True}, "late must be a whole number from 0 to 99; it is True."),
        ({"early": 4, "late": 3}, "early must be a whole number from 0 to 3; it is 4."),
        ({"hardness": 1.01}, "hardness must be a finite number from 0 up to 1; it is 1.01."),
        ({"hardness": -0.01}, "hardness must be a finite number from 0 up to 1; it is -0.01."),
        ({"hardness": True}, "hardness must be a finite number from 0 up to 1; it is True."),
        ({"hardness": math.nan}, "hardness must be a finite number from 0 up to 1; it is nan."),
        ({"width": 0}, "width must be a finite number above 0; it is 0."),
        ({"width": math.inf}, "width must be a finite number above 0; it is inf."),
        ({"shape": "oval"}, "shape must be one of round, flat; it is 'oval'."),
        ({"shape": ["flat"]}, "shape must be one of round, flat; it is ['flat']."),
        ({"wet": 1}, "wet must be true or false; it is 1."),
    ],
)
def test_an_unfit_value_is_refused_in_a_sentence(changes: dict[str, Any], expected: str) -> None:
    assert sentence(**changes) == expected


def test_a_whole_number_that_no_float_can_hold_is_not_finite() -> None:
    assert sentence(width=10**400).startswith("width must be a finite number above 0; it is 1000")


def test_the_ends_of_a_range_belong_to_it() -> None:
    for late, early, hardness in ((0, 0, 0), (99, 99, 1), (99, 0, 1.0)):
        brush = Brush("fan", early=early, late=late, hardness=hardness)

        assert (brush.early, brush.late, brush.hardness) == (early, late, hardness)
    assert Brush("x" * 1000, width=5e-324).width == 5e-324


@pytest.mark.parametrize(
    "value",
    [(16, 17), (14, 64), (64, 66), (16,), (16, 16, 16), 16, "16,16", (16.0, 16), [True, 16]],
)
def test_a_size_is_two_multiples_within_its_range(value: Any) -> None:
    sides = Size("the paper", 16, 64, unit=2)
    assert sides.check("size", [16, 64]) == (16, 64)
    wanted = "size must be height and width of the paper, each a multiple of 2 from 16 to 64 pixels"
    with pytest.raises(CourseError, match=wanted):
        sides.check("size", value)


def test_an_unfit_bound_is_named_rather_than_what_it_bounds() -> None:
    assert sentence(late="soon") == "late must be a whole number from 0 to 99; it is 'soon'."


def test_what_is_given_stays_and_what_is_not_is_filled_in() -> None:
    assert (Brush("fan").width, Brush("fan", late=7).length) == (3.0, 70)
    assert (Brush("fan", width=1.5).width, Brush("fan", length=0).length) == (1.5, 0)


# YAML


def test_settings_survive_the_file(tmp_path: Path) -> None:
    original = Brush("凍った: 'a' \"b\" # 1 " + "long " * 60, early=2, shape="flat", wet=True)

    original.save(tmp_path / "brush.yaml")

    assert Brush.load(tmp_path / "brush.yaml") == original


def test_the_file_says_above_each_setting_what_it_is() -> None:
    blocks = Brush("fan").to_yaml().rstrip("\n").split("\n\n")
    long = Brush("long " * 60 + "凍").to_yaml().splitlines()

    assert blocks[:2] == ["# what it is called, 100% free\nname: fan", "# first step\nearly: 0"]
    assert len(blocks) == len(dataclasses.fields(Brush))
    assert long[1] == "name: " + "long " * 60 + "凍"
    assert yaml.safe_load(Brush("fan").to_yaml()) == dataclasses.asdict(Brush("fan"))


def test_a_partial_file_takes_the_defaults_for_the_rest_and_changes_prevail(tmp_path: Path) -> None:
    (tmp_path / "brush.yaml").write_text("name: fan\nlate: 7\nlength: 5\n")

    assert Brush.load(tmp_path / "brush.yaml") == Brush("fan", late=7, length=5)
    assert Brush.load(tmp_path / "brush.yaml", wet=True, name="rake") == Brush(
        "rake", late=7, length=5, wet=True
    )


def test_a_change_computes_again_what_follows_it_unless_that_is_given_too(tmp_path: Path) -> None:
    Brush("fan", late=7, length=5).save(tmp_path / "brush.yaml")

    assert Brush.load(tmp_path / "brush.yaml", late=8).length == 80
    assert Brush.load(tmp_path / "brush.yaml", late=8, length=6).length == 6
    assert Brush.load(tmp_path / "brush.yaml", early=2).length == 5


def test_without_a_file_the_changes_and_the_defaults_are_used() -> None:
    assert Brush.load(None, name="fan", late=3) == Brush("fan", late=3)


def test_an_unknown_name_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    (tmp_path / "brush.yaml").write_text("name: fan\ncolor: red\n")

    with pytest.raises(CourseError, match="unknown setting color; the known ones are name, early"):
        Brush.load(tmp_path / "brush.yaml")
    with pytest.raises(CourseError, match="no setting 'color'; the settings are name, early"):
        Brush.load(None, name="fan", color="red")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "a boat",
            "brush.yaml must hold settings, one 'name: value' on each line, among them name.",
        ),
        (
            "late: 3",
            "brush.yaml must hold settings, one 'name: value' on each line, among them name.",
        ),
        ("name: fan\nname: fat", "brush.yaml: line 2 has name a second time; correct it"),
        ("[" * 5000, "brush.yaml: it is missing or not YAML"),
        ("name: fan\nlate: [", "brush.yaml: line 2 is not YAML; correct it, or name another"),
        ("name: 2001-99-99", "brush.yaml: it is missing or not YAML; correct it"),
    ],
)
def test_a_file_without_settings_is_named(tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "brush.yaml").write_text(text)

    with pytest.raises(CourseError) as caught:
        Brush.load(tmp_path / "brush.yaml")

    assert expected in str(caught.value)


def test_a_missing_file_and_one_that_is_not_text_are_named(tmp_path: Path) -> None:
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\xff")

    for name in ("none.yaml", "picture.png"):
        with pytest.raises(CourseError, match=f"cannot read settings from .*{name}"):
            Brush.load(tmp_path / name)


# Flags


def test_a_flag_has_the_type_of_its_field_and_leaves_no_trace_if_it_is_not_given() -> None:
    assert parsed() == {}
    assert parsed("--late", "7", "--hardness", "1", "--name", "3", "-s", "flat", "--wet") == {
        "late": 7,
        "hardness": 1.0,
        "name": "3",
        "shape": "flat",
        "wet": True,
    }
    assert parsed("-e", "2") == parsed("--early", "2") == {"early": 2}


def test_a_switch_may_be_followed_by_true_or_false() -> None:
    @dataclasses.dataclass(frozen=True)
    class Lamp(Declared):
        on: bool = setting(True, Switch(), "whether it shines")
        hot: bool = setting(False, Switch(), "whether it burns")

    parser = argparse.ArgumentParser()
    add_flags(parser, Lamp, ["on", "hot"])

    assert vars(parser.parse_args(["--on", "False", "--hot"])) == {"on": False, "hot": True}
    assert vars(parser.parse_args([])) == {}


def test_an_unfit_flag_is_refused_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        parsed("--late", "soon")

    assert stopped.value.code == 2
    shown = capsys.readouterr().err
    assert shown.startswith("error: argument --late: invalid int value: 'soon'")
    assert shown.count("\n") == 1


def test_the_help_of_a_flag_says_what_its_field_says_and_the_default() -> None:
    parser = argparse.ArgumentParser()
    add_flags(parser, Brush, [field.name for field in dataclasses.fields(Brush)])
    shown = " ".join(parser.format_help().split())

    assert "--name NAME what it is called, 100% free -e" in shown
    assert "-e EARLY, --early EARLY first step (default: 0)" in shown
    assert "--width WIDTH how wide it is (default: depends on the model)" in shown
    assert "--length LENGTH how long (default: ten times late)" in shown
    assert "--wet whether it is wet" in shown
    assert "whether it is wet (default" not in shown


def test_only_the_flags_that_are_named_are_added() -> None:
    parser = Arguments(prog="paint")
    add_flags(parser, Brush, ["late"])

    assert vars(parser.parse_args(["--late", "3"])) == {"late": 3}
    with pytest.raises(SystemExit):
        parser.parse_args(["--early", "3"])
    with pytest.raises(KeyError):
        add_flags(parser, Brush, ["color"])


# The classes of the course


def test_a_command_line_can_be_built_without_waiting_for_torch() -> None:
    names = "distillery.core.cli, distillery.methods.settings, distillery.pixelart.settings"

    told = subprocess.run(
        [sys.executable, "-c", f"import {names}, sys; print('torch' in sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[3],
    )

    assert told.stdout == "False\n"


def test_the_help_of_a_choice_names_every_word_that_can_be_chosen() -> None:
    from distillery.methods.settings import Settings
    from distillery.pixelart.settings import PixelSettings
    from grading.core.rules import Rules

    for cls in (Settings, PixelSettings, Rules):
        for name, one in declared(cls).items():
            assert one.help, name
            known = one.values.known if isinstance(one.values, Choice) else ()
            assert [word for word in known if word not in one.help] == []
