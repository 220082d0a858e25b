"""A finished run is kept: one of other settings gets the next free name, and says so."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from distillery.core.settings import REQUIRED, Declared, FileName, Text, Whole, setting
from distillery.runs.place import (
    Place,
    claimed,
    fingerprint,
    kept_sentence,
    make_room,
    own_place,
    place_for,
    save_settings,
    set_aside,
)


@dataclass(frozen=True)
class Drawn(Declared):
    prompt: str = setting(REQUIRED, Text(), "what to draw")
    photograph: str = setting("", FileName(folders=True), "a file or a folder")
    palette: str = setting("", FileName(), "a name or a file")
    method: str = setting("sds", Text(), "a word")
    seed: int = setting(0, Whole(0, 9), "of the noise")

    @property
    def title(self) -> str:
        return self.prompt


BOAT = Drawn("a boat")


def finish(settings: Drawn, out: Path, *, overwrite: bool = False) -> Place:
    sources = fingerprint(settings)
    place = place_for(settings, out, sources=sources, overwrite=overwrite)
    save_settings(settings, place.folder, sources)
    place.picture.write_text(str(settings))
    return place


def test_other_settings_get_the_next_free_name_and_the_same_ones_their_own(tmp_path: Path) -> None:
    runs = [replace(BOAT, seed=seed) for seed in range(3)]

    names = [finish(run, tmp_path).picture.name for run in [*runs, *reversed(runs)]]

    first, second, third = "a_boat.png", "a_boat~2.png", "a_boat~3.png"
    assert names == [first, second, third, third, second, first]


def test_to_overwrite_is_to_take_the_first_name(tmp_path: Path) -> None:
    finish(BOAT, tmp_path)
    other = replace(BOAT, seed=1)

    assert finish(other, tmp_path, overwrite=True).number == 1
    assert finish(other, tmp_path).number == 1
    assert finish(BOAT, tmp_path).number == 2


def test_what_nobody_knows_the_settings_of_is_kept(tmp_path: Path) -> None:
    (tmp_path / "a_boat.png").write_text("drawn by hand")
    assert finish(BOAT, tmp_path).number == 2

    (tmp_path / "a_tree").mkdir()
    assert finish(Drawn("a tree"), tmp_path).number == 2


def test_a_name_that_was_given_up_is_free_again(tmp_path: Path) -> None:
    places = [finish(replace(BOAT, seed=seed), tmp_path) for seed in range(3)]
    places[1].picture.unlink()
    (places[1].folder / "run.yaml").unlink()
    places[1].folder.rmdir()

    assert finish(replace(BOAT, seed=2), tmp_path).number == 3
    assert finish(replace(BOAT, seed=5), tmp_path).number == 2


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("a boat", "A Boat"),
        ("a café", unicodedata.normalize("NFD", "a café")),
        ("straße", "STRASSE"),
        ("a boat.png", "a boat"),
    ],
    ids=["capitals", "NFD", "sharp s", "a folder like a picture"],
)
def test_prompts_that_some_system_takes_for_one_name_do_not_meet(
    first: str, second: str, tmp_path: Path
) -> None:
    finish(Drawn(first), tmp_path)
    place = finish(Drawn(second), tmp_path)

    assert place.number == 2
    assert own_place(Drawn(first), tmp_path) == Place(tmp_path, first)


def test_another_photograph_of_the_same_name_is_another_result(tmp_path: Path) -> None:
    photograph, out = tmp_path / "photo.jpg", tmp_path / "out"
    settings = replace(BOAT, photograph=str(photograph))
    photograph.write_bytes(b"one")
    assert finish(settings, out).number == 1
    assert finish(settings, out).number == 1

    photograph.write_bytes(b"two")
    assert finish(settings, out).number == 2

    photograph.write_bytes(b"one")
    assert finish(settings, out).number == 1
    assert Drawn.load(out / "a_boat" / "run.yaml") == settings


def test_a_model_that_was_trained_again_is_another_model(tmp_path: Path) -> None:
    model = tmp_path / "model"
    (model / "unet").mkdir(parents=True)
    settings = replace(BOAT, photograph=str(model))
    prints = []
    for weights in (b"old", b"new", b"old"):
        (model / "unet" / "weights").write_bytes(weights)
        prints.append(fingerprint(settings))

    assert prints[0] == prints[2] != prints[1]
    assert fingerprint(BOAT) == ""


@pytest.mark.parametrize(
    ("name", "word"), [("method", "sds"), ("palette", "dusk"), ("photograph", "tiny-sd")]
)
def test_a_folder_of_results_named_as_a_method_a_palette_or_a_model_is_no_source(
    name: str, word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = replace(BOAT, **{name: word})

    numbers = [finish(settings, Path(word)).number for _ in range(3)]

    assert numbers == [1, 1, 1]


def test_a_photograph_named_from_home_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "photo.jpg").write_bytes(b"one")

    assert fingerprint(replace(BOAT, photograph="~/photo.jpg"))


def test_the_sentence_names_what_another_run_is_just_making(tmp_path: Path) -> None:
    with claimed(place_for(BOAT, tmp_path), BOAT):
        other = replace(BOAT, seed=1)
        sentence = kept_sentence(place_for(other, tmp_path), other)

    assert re.search(r"note: \S*a_boat.png is being made by another run; .*a_boat~2.png", sentence)


def test_the_sentence_says_what_is_kept_why_and_where_the_new_one_is(tmp_path: Path) -> None:
    finish(BOAT, tmp_path)
    other = replace(BOAT, seed=1)

    sentence = kept_sentence(place_for(other, tmp_path), other)

    assert "a_boat.png is kept" in sentence
    assert "seed 0, this run has 1" in sentence
    assert "a_boat~2.png" in sentence
    assert "--overwrite" in sentence
    assert "\n" not in sentence
    assert kept_sentence(place_for(BOAT, tmp_path), BOAT) == ""


def test_two_runs_that_begin_together_do_not_meet(tmp_path: Path) -> None:
    other = replace(BOAT, seed=1)
    with claimed(place_for(BOAT, tmp_path), BOAT):
        assert place_for(other, tmp_path).number == 2
        assert place_for(BOAT, tmp_path).number == 1


def test_nothing_stays_of_a_run_that_cannot_begin(tmp_path: Path) -> None:
    out = tmp_path / "new" / "out"
    with pytest.raises(NotImplementedError), claimed(place_for(BOAT, out), BOAT):
        raise NotImplementedError

    assert list(tmp_path.iterdir()) == []


def test_a_stopped_run_is_found_under_its_number(tmp_path: Path) -> None:
    finish(BOAT, tmp_path)
    other = replace(BOAT, seed=1)
    save_settings(other, place_for(other, tmp_path).unfinished)

    assert place_for(other, tmp_path).number == 2
    assert own_place(other, tmp_path, stopped=True) == Place(tmp_path, "a boat", 2)
    assert own_place(BOAT, tmp_path, stopped=True) is None
    assert place_for(replace(BOAT, seed=2), tmp_path).number == 3


def test_who_overwrites_gives_up_a_stopped_run_of_other_settings_alone(tmp_path: Path) -> None:
    place = place_for(BOAT, tmp_path)
    save_settings(BOAT, place.unfinished)

    make_room(place, BOAT)
    assert place.unfinished.exists()
    make_room(place, replace(BOAT, seed=1))
    assert not place.unfinished.exists()


def test_where_the_name_is_fixed_the_earlier_result_is_moved_aside(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed in (1, 2):
        finish(replace(BOAT, seed=seed), tmp_path)
        set_aside(BOAT, tmp_path)
        assert not (tmp_path / "a_boat.png").exists()
    finish(BOAT, tmp_path)
    set_aside(BOAT, tmp_path)

    assert (tmp_path / "a_boat.png").exists()
    aside = sorted(path.name for path in (tmp_path / "earlier").iterdir())
    assert aside == ["a_boat", "a_boat.png", "a_boat~2", "a_boat~2.png"]
    assert len(capsys.readouterr().err.splitlines()) == 2
