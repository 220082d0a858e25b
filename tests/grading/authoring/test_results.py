"""docs/results.md says what the records say, and every record can be measured again."""

from __future__ import annotations

import argparse
import importlib
import re
import shlex
import sys
from dataclasses import replace
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from distillery.core.errors import CourseError
from distillery.core.files import REPOSITORY
from distillery.core.measured import Figure, Record, weights_hash, write_measured
from grading.__main__ import COMMANDS
from grading.authoring import results
from grading.authoring.results import (
    PLACE,
    SOURCE,
    all_records,
    filled,
    results_texts,
    when,
)

RECORDS = all_records(REPOSITORY)
ROWS = [
    line.strip("| ").split(" | ")
    for line in (REPOSITORY / SOURCE).read_text(encoding="utf-8").split("\n")
    if line.startswith("| ") and not line.startswith("| what |")
]


def one(**other: object) -> Record:
    figures = {"right": Figure(0.9583, 0.02), "ratio": Figure(1.0349)}
    made = Record("python -m x --n 3", "2026-11-30", "2 cores", 3, "edits", [1], "none", figures)
    return replace(made, **other)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:40])
def test_every_figure_of_the_table_comes_from_a_record(row: list[str]) -> None:
    what, figure, command, measured = row
    used = {match[1] for match in PLACE.finditer(what + figure)}
    assert used
    assert not re.search(r"\d", PLACE.sub("", figure)), "a figure is typed by hand"
    assert PLACE.sub("", measured) == "", "the day is typed by hand"
    assert {match[1] for match in PLACE.finditer(measured)} == used
    assert command == "the same" or {match[1] for match in PLACE.finditer(command)} == used


def test_every_record_stands_in_the_table_or_beside_a_figure() -> None:
    text = (REPOSITORY / SOURCE).read_text(encoding="utf-8")
    used = {match[1] for match in PLACE.finditer(text)}
    assert set(RECORDS) - used <= {"edits_frontier", "morph_style", "pixelart_layout"}
    assert len(used) > 15


@pytest.mark.parametrize("name", RECORDS)
def test_the_command_of_every_record_can_still_be_typed(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path, str(REPOSITORY / "tests" / "browser")])
    parser, words = parser_of(RECORDS[name].command)
    assert parser.parse_args([*words, "--record"]).record


def parser_of(command: str) -> tuple[argparse.ArgumentParser, list[str]]:
    """The parser of a command, and the words for it."""
    python, *words = shlex.split(command)
    assert python == "python"
    if words[0] != "-m":
        spec = spec_from_file_location(Path(words[0]).stem, REPOSITORY / words[0])
        assert spec is not None
        assert spec.loader is not None
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
        return module.parser(), words[1:]
    _, name, *words = words
    if name == "grading":
        name, words = COMMANDS[words[0]][0], words[1:]
    module = importlib.import_module(name)
    if hasattr(module, "__path__"):
        module = importlib.import_module(f"{name}.__main__")
    return module.parser(), words


def test_a_command_that_no_longer_parses_is_noticed() -> None:
    parser, words = parser_of("python -m benchmarks.crash_recovery --tries 3")
    with pytest.raises(SystemExit):
        parser.parse_args(words)


def test_a_place_is_filled_with_the_rounding_that_stands_there() -> None:
    text = "{x.right:.1%} of {x.n} by {x.command}, {x.ratio:.2f}; {not a place}"
    assert filled(text, {"x": one()}, REPOSITORY) == (
        "95.8 % of 3 by `python -m x --n 3`, 1.03; {not a place}"
    )


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("{y.right:.1%}", r"there is no docs/measured/y\.yaml"),
        ("{x.wrong:.1%}", "names no figure of its record; it has right, ratio"),
        ("{x.right}", "needs its rounding"),
    ],
)
def test_a_place_that_cannot_be_filled_stops_the_build(place: str, said: str) -> None:
    with pytest.raises(CourseError, match=said):
        filled(place, {"x": one()}, REPOSITORY)


def test_the_day_says_what_was_carried_over_and_what_a_busy_machine_timed() -> None:
    records = {"x": one(busy=1.4), "y": one(busy=1.0), "z": one(carried_over=True)}
    days = filled("{x.when}; {x.timed}; {y.timed}; {z.when}", records, REPOSITORY)
    assert days == "2026-11-30; 2026-11-30, on a busy machine; 2026-11-30; carried over"


def test_a_figure_of_weights_that_changed_since_says_so(tmp_path: Path) -> None:
    file = tmp_path / "data" / "models" / "judge" / "model.safetensors"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"weights")
    now = weights_hash(file.parent)
    assert when(one(models={"judge": now}), tmp_path) == "2026-11-30"
    earlier = when(one(models={"judge": "other"}), tmp_path)
    assert earlier == "2026-11-30, with earlier weights of judge"
    gone = when(one(models={"judge": now, "gone": "other"}), tmp_path)
    assert gone == "2026-11-30, with earlier weights of gone"


def test_the_build_notices_a_record_that_changed(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / SOURCE).write_text("| x | {x.right:.0%} |\n")
    for share, shown in ((0.5, "50 %"), (0.75, "75 %")):
        path = tmp_path / results.RECORDS / "x.yaml"
        write_measured(path, one(figures={"right": Figure(share)}))
        text = results_texts(tmp_path)[results.RESULTS].decode()
        assert text.startswith(f"| x | {shown} |\n")


def test_a_model_card_repeats_the_figures_of_its_record(tmp_path: Path) -> None:
    card = tmp_path / "data" / "models" / "tiny-sdxl" / "README.md"
    card.parent.mkdir(parents=True)
    card.write_text("# card\n\n| trained combinations | 1 % | 2 % | 3 % |\nby hand: 4 %\n")
    shares = {f"sdxl_trained_cfg_{scale}": Figure(scale / 10) for scale in (1, 3, 5)}
    write_measured(tmp_path / results.RECORDS / "tiny_sdxl.yaml", one(figures=shares))
    text = results_texts(tmp_path)[Path("data/models/tiny-sdxl/README.md")].decode()
    assert text == "# card\n\n| trained combinations | 10.0 % | 30.0 % | 50.0 % |\nby hand: 4 %\n"
