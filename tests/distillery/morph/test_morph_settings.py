"""What a morph is decided by."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from distillery.core.errors import CourseError
from distillery.models.exact import demonstration_mixture
from distillery.morph.begin import drawn_size
from distillery.morph.settings import MorphSettings

TWO = ("a boat", "a cat")


def test_defaults_fit_model_and_prompts() -> None:
    tiny, real = MorphSettings(TWO), MorphSettings((*TWO, "a hat"), model="sd15")

    assert (tiny.seeds, real.seeds) == ((0, 1), (0, 1, 2))
    assert (tiny.size, tiny.steps, tiny.frames_a_call) == ((32, 32), 30, 8)
    assert (real.size, real.steps, real.frames_a_call) == ((64, 64), 50, 2)
    assert 32 * tiny.scale == 512


def test_a_film_that_is_too_large_to_enlarge_much_is_enlarged_less() -> None:
    assert MorphSettings(TWO, frames=500, size=(64, 48)).scale == 6


def test_what_makes_motion_calmer_leaves_the_pace_even(tmp_path: Path) -> None:
    assert MorphSettings(TWO).spacing == "even"
    MorphSettings(TWO).save(tmp_path / "a.yaml")
    assert MorphSettings.load(tmp_path / "a.yaml", smoothing=2.0).spacing == "uniform"
    assert MorphSettings.load(tmp_path / "a.yaml", strength=0.5).spacing == "uniform"
    for both in ({"smoothing": 2.0}, {"strength": 0.5}):
        with pytest.raises(CourseError, match="choose the spacing uniform"):
            MorphSettings(TWO, spacing="even", **both)
    with pytest.raises(CourseError, match="leave one of them out"):
        MorphSettings(TWO, smoothing=2.0, strength=0.5)


def test_settings_survive_their_file(tmp_path: Path) -> None:
    settings = MorphSettings(TWO, seeds=(5, 5), holds=(2, 0), fps=7.5, size=(24, 40), loop=True)
    settings.save(tmp_path / "run.yaml")

    assert MorphSettings.load(tmp_path / "run.yaml") == settings


def test_other_prompts_than_a_files_have_seeds_of_their_own(tmp_path: Path) -> None:
    MorphSettings(TWO).save(tmp_path / "run.yaml")

    three = MorphSettings.load(tmp_path / "run.yaml", prompts=(*TWO, "a hat"))

    assert three.seeds == (0, 1, 2)


@pytest.mark.filterwarnings("ignore:a grid of 48 x 48 does not divide")
@pytest.mark.parametrize(
    ("size", "drawn"),
    [((32, 32), (64, 64)), ((48, 48), (64, 64)), ((64, 64), (64, 64)), ((24, 48), (48, 96))],
)
def test_pictures_have_the_aspect_of_the_grid_and_the_area_of_the_model(
    size: tuple[int, int], drawn: tuple[int, int]
) -> None:
    settings = MorphSettings(TWO, size=size)

    high, wide = drawn_size(object(), settings)  # type: ignore[arg-type]

    assert abs(high - drawn[0]) <= 8
    assert abs(wide - drawn[1]) <= 8


@pytest.mark.parametrize(
    ("model", "size", "better"),
    [("tiny-sd", (48, 48), "64,64 and 32,32"), ("sd15", (250, 250), "512,512 and 256,256")],
)
def test_a_grid_that_blurs_cells_is_named_beside_those_that_do_not(
    model: str, size: tuple[int, int], better: str
) -> None:
    with pytest.warns(UserWarning, match=f"sizes that do: {better}"):
        drawn_size(object(), MorphSettings(TWO, model=model, size=size))  # type: ignore[arg-type]


@pytest.mark.parametrize(("model", "size"), [("tiny-sd", (16, 32)), ("sd15", (100, 100))])
def test_cells_of_whole_pixels_or_of_many_need_no_word(model: str, size: tuple[int, int]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn_size(object(), MorphSettings(TWO, model=model, size=size))  # type: ignore[arg-type]


def test_a_grid_finer_than_the_pictures_is_refused() -> None:
    with pytest.raises(CourseError, match="a grid of 96 x 96 is finer than the pictures"):
        drawn_size(object(), MorphSettings(TWO, size=(96, 96)))  # type: ignore[arg-type]
    with pytest.raises(CourseError, match="16 x 16 pixels; give a smaller size"):
        drawn_size(
            demonstration_mixture(), MorphSettings(("red", "blue"), model="exact", size=(17, 16))
        )
