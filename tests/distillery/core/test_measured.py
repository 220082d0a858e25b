"""A benchmark's record: what stands in it, and that less never replaces more."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from distillery.core.errors import CourseError
from distillery.core.measured import (
    Figure,
    Record,
    less_than_kept,
    mean,
    read_measured,
    record,
    share,
    weights_hash,
    write_measured,
)


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["/usr/bin/python3", "-m", "benchmarks.edits", "--count", "4", "--record"]
    monkeypatch.setattr(sys, "orig_argv", words)


def kept(**other: object) -> Record:
    figures = {"right": Figure(0.5, 0.1), "seconds": Figure(3.0)}
    made = Record("python -m x", "2026-11-30", "2 cores", 4, "edits", [1, 2], "none", figures)
    return replace(made, **other)


def test_a_record_says_what_was_typed_how_many_and_with_which_weights(
    typed: None, tmp_path: Path
) -> None:
    figures = {"right": share(0.75, 4), "change": Figure(0.1)}
    record("edits", figures, n=4, of="edits", seeds=[11], models=("judge",), folder=tmp_path)
    found = read_measured(tmp_path / "edits.yaml")
    assert found.command == "python -m benchmarks.edits --count 4"
    assert (found.n, found.of, found.seeds) == (4, "edits", [11])
    assert found.figures["change"] == Figure(0.1)
    assert found.figures["right"].spread == pytest.approx(math.sqrt(0.75 * 0.25 / 4), rel=1e-5)
    assert list(found.models) == ["judge"]
    assert "CPU cores" in found.machine
    assert not found.carried_over


def test_a_model_that_does_not_come_with_the_course_has_no_hash(
    typed: None, tmp_path: Path
) -> None:
    record("x", {"a": Figure(1.0)}, n=1, of="runs", seeds=[], models=("sdxl",), folder=tmp_path)
    assert read_measured(tmp_path / "x.yaml").models == {}


@pytest.mark.parametrize(
    ("figures", "n", "said"),
    [
        ({"right": Figure(0.9), "seconds": Figure(1.0)}, 3, "it is of 4 edits"),
        ({"right": Figure(0.9)}, 4, "no figure of seconds"),
    ],
)
def test_a_run_that_measured_less_replaces_nothing(
    figures: dict[str, Figure],
    n: int,
    said: str,
    typed: None,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "edits.yaml"
    write_measured(path, kept())
    before = path.read_bytes()
    record("edits", figures, n=n, of="edits", seeds=[], folder=tmp_path)
    assert path.read_bytes() == before
    told = capsys.readouterr().out
    assert said in told
    assert "Delete it first" in told


def test_a_run_that_measured_as_much_replaces_the_record(typed: None, tmp_path: Path) -> None:
    write_measured(tmp_path / "edits.yaml", kept())
    new = {"right": Figure(0.9), "seconds": Figure(1.0), "more": Figure(0.0)}
    record("edits", new, n=4, of="edits", seeds=[], folder=tmp_path)
    assert read_measured(tmp_path / "edits.yaml").figures == new


def test_more_is_not_less_than_what_is_kept() -> None:
    assert less_than_kept(kept(n=5), kept()) == ""


@pytest.mark.parametrize("other", [{}, {"busy": 0.0, "seconds": 7.0, "carried_over": True}])
def test_a_record_is_read_as_it_was_written(other: dict[str, object], tmp_path: Path) -> None:
    write_measured(tmp_path / "x.yaml", kept(**other))
    assert read_measured(tmp_path / "x.yaml") == kept(**other)
    assert ("carried_over" in (tmp_path / "x.yaml").read_text()) is ("carried_over" in other)


@pytest.mark.parametrize("text", ["", "figures: 3", "n: [", "command: x\nfigures: {}"])
def test_a_damaged_record_is_said_to_be_one(text: str, tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(CourseError, match=r"x\.yaml is no record of a benchmark"):
        read_measured(tmp_path / "x.yaml")


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_what_is_not_a_number_is_no_figure(number: float) -> None:
    with pytest.raises(CourseError, match="finite"):
        Figure(number)
    with pytest.raises(CourseError, match="finite"):
        Figure(0.5, number)


def test_the_spread_of_a_mean_is_its_standard_error() -> None:
    # Sample standard deviation of 1, 2, 3 is 1.
    assert mean([1.0, 2.0, 3.0]).value == 2
    assert mean([1.0, 2.0, 3.0]).spread == pytest.approx(1 / math.sqrt(3))
    assert mean([2.0]) == Figure(2.0)


def test_other_weights_have_another_hash(tmp_path: Path) -> None:
    file = tmp_path / "unet" / "model.safetensors"
    file.parent.mkdir()
    file.write_bytes(b"one")
    first = weights_hash(tmp_path)
    assert weights_hash(tmp_path) == first
    file.write_bytes(b"two")
    assert weights_hash(tmp_path) != first
    with pytest.raises(CourseError, match="no weights"):
        weights_hash(tmp_path / "none")
