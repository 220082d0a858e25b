"""The edits that ship: drawn sources that say what their prompts say, and real-world pairs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from distillery.methods.source_image import load_source
from distillery.metrics.judge import Judge
from distillery.models.presets import PRESETS
from distillery.runs.edit_pairs import Pair, load_pairs
from distillery.toybox import Factors, all_factors, held_out
from distillery.toybox.pairs import EDITS, changes, write

ROOT = Path(__file__).resolve().parents[1]
FACTS = ("thing", "colour", "scene")
PAIRS = load_pairs(ROOT / "data" / "prompt_img_pairs.json")
TOYBOX = [pair for pair in PAIRS if pair.model == "tiny-sd"]
REAL = [pair for pair in PAIRS if pair.model == "sd15"]
BY_WORDS = {str(factors): factors for factors in all_factors()}


def named(pair: Pair) -> tuple[Factors, Factors]:
    return BY_WORDS[pair.prompt], BY_WORDS[pair.edit_prompt]


def test_there_are_toybox_pairs_and_the_original_s_ten() -> None:
    assert len(TOYBOX) >= 16
    assert len(REAL) == 10
    assert len(PAIRS) == len(TOYBOX) + len(REAL)
    assert {pair.model for pair in PAIRS} <= set(PRESETS)
    assert len({pair.prompt for pair in PAIRS}) == len(PAIRS)
    assert all(pair.img_path is None and not pair.changes for pair in REAL)


def test_edits_change_each_fact_alone_and_every_two_together() -> None:
    kinds = [pair.changes for pair in TOYBOX]

    assert set(kinds) == {
        *((fact,) for fact in FACTS),
        ("thing", "colour"),
        ("colour", "scene"),
        ("thing", "scene"),
    }
    assert all(kinds.count((fact,)) >= 4 for fact in FACTS)
    for pair in TOYBOX:
        source, target = named(pair)
        assert pair.changes == tuple(f for f in FACTS if getattr(source, f) != getattr(target, f))


def test_no_source_is_held_out_and_half_of_the_targets_are() -> None:
    sources, targets = zip(*(named(pair) for pair in TOYBOX), strict=True)

    assert not any(map(held_out, sources))
    assert 0.4 < np.mean([held_out(target) for target in targets]) < 0.6


@pytest.mark.parametrize("pair", TOYBOX, ids=lambda pair: pair.prompt)
def test_a_drawn_source_shows_what_its_prompt_says(pair: Pair) -> None:
    assert pair.img_path is not None

    picture = load_source(pair.img_path, (64, 64))

    assert Image.open(pair.img_path).size == (64, 64)
    assert Judge.load().pictures([picture]) == [BY_WORDS[pair.prompt]]


@pytest.mark.parametrize("pair", TOYBOX, ids=lambda pair: pair.prompt)
def test_a_mask_covers_the_thing_and_not_the_picture(pair: Pair) -> None:
    assert pair.mask_path is not None

    mask = Image.open(pair.mask_path)

    assert (mask.mode, mask.size) == ("L", (64, 64))
    assert 0.05 < np.asarray(mask).mean() / 255 < 0.5


def test_the_files_that_ship_are_those_that_the_command_makes(tmp_path: Path) -> None:
    made = json.loads(write(tmp_path).read_text())

    assert made == json.loads((ROOT / "data" / "prompt_img_pairs.json").read_text())
    fresh = {file.name: file for file in (tmp_path / "data" / "imgs").iterdir()}
    assert set(fresh) == {file.name for file in (ROOT / "data" / "imgs").iterdir()}
    for name, file in fresh.items():
        assert Image.open(file).tobytes() == Image.open(ROOT / "data/imgs" / name).tobytes()


def test_changes_are_named_in_one_order() -> None:
    first = Factors("boat", "red", "in the snow")

    assert changes(first, Factors("cat", "blue", "on the grass")) == list(FACTS)
    assert changes(first, first) == []
    assert all(changes(*edit) for edit in EDITS)
