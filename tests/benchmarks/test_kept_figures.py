"""What benchmarks keep of what they saw, under the names that docs/results.md asks for."""

from __future__ import annotations

import pytest

from benchmarks import edits, morph, morph_style
from distillery.core.files import REPOSITORY
from distillery.core.measured import FOLDER, read_measured


def film(thing: float, step: float) -> morph.Film:
    return morph.Film(
        way="any",
        prompts=("a cat", "a boat"),
        features=step,
        pixels=2 * step,
        clip=1.0,
        thing=thing,
        between=0.5,
        chroma=1.0,
        sharp=1.0,
        exact_ends=True,
        drawn=24,
        seconds=1.0,
    )


def test_of_films_the_median_step_and_the_range_of_recognisable_frames_are_kept() -> None:
    films = [film(0.25, 1.0), film(0.5, 2.0), film(1.0, 9.0)]
    kept = morph.figures({way.name: films for way in morph.WAYS})
    assert kept["ours_features"].value == 2
    assert kept["published_pixels"].value == 4
    assert kept["ours_thing"].value == pytest.approx(7 / 12)
    assert (kept["ours_thing_least"].value, kept["ours_thing_most"].value) == (0.25, 1)
    assert set(read_measured(FOLDER / "morph.yaml").figures) <= set(kept)


def test_every_point_of_the_frontier_is_kept_under_a_name_of_its_own() -> None:
    came = edits.Outcome(edited=0.5, kept=1.0, outside=0.1, inside=0.0)
    points = [(method, f"strength {k}", came) for method in edits.METHODS for k in (0.4, 0.5)]
    kept = edits._of_points(points)
    assert len(kept) == 2 * len(points)
    assert kept["sdedit_guidance_3_strength_0_4_edited"].value == 0.5
    assert kept["pds_strength_0_5_change"].value == 0.1


def test_of_styles_the_share_that_is_seen_and_the_share_that_is_right_are_kept() -> None:
    row = morph_style.Row("pixel", "scale 0.5", 64, 0.75, 0.05, 0.7, 0.9, 0.9, 0.9, 0.5)
    kept = morph_style.figures([row])
    assert kept["pixel_scale_0_5_style"].value == 0.75
    assert kept["pixel_scale_0_5_style"].spread == 0.05
    assert kept["pixel_scale_0_5_right"].value == 0.5


def test_records_lie_where_the_build_looks_for_them() -> None:
    assert FOLDER == REPOSITORY / "docs" / "measured"
    assert sorted(FOLDER.glob("*.yaml"))
