"""Stroke paintings: coarse, of the drawing's layout and colours, and the same for one seed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from distillery.core.files import REPOSITORY
from distillery.toybox import Drawing, Factors, draw, draw_two, held_out
from distillery.toybox.paintings import (
    coarse_painting,
    dabbed,
    few_colours,
    hatched,
    scribbles,
)
from distillery.toybox.sample_paintings import SAMPLES, WIDE, label_picture, write

BOAT = Factors("boat", "red", "on the beach")
CAT = Factors("cat", "orange", "on the beach")
SIZES = [(64, 64), (40, 72), (96, 48)]


def colours(painting: np.ndarray) -> int:
    return len(np.unique(painting.reshape(-1, painting.shape[-1]), axis=0))


@pytest.fixture(params=[*SIZES, WIDE], ids=str)
def drawing(request: pytest.FixtureRequest) -> Drawing:
    if request.param == WIDE:
        return draw_two(BOAT, CAT, 3, size=WIDE)
    return draw(BOAT, 3, size=request.param)


def test_a_coarse_painting_is_one_ellipse_a_thing_on_three_bands(drawing: Drawing) -> None:
    painting = coarse_painting(drawing, 0)
    assert painting.shape == drawing.image.shape
    assert painting.dtype == np.uint8
    assert colours(painting) == 3 + len(drawing.factors)
    for label in range(1, len(drawing.factors) + 1):
        seen = drawing.labels == label
        median = np.median(drawing.image[seen], axis=0).astype(np.uint8)
        painted = (painting == median).all(axis=-1)
        assert (painted & seen).sum() > 0.6 * max(painted.sum(), seen.sum())


def test_the_bands_have_the_colours_of_the_scene_and_not_of_the_thing() -> None:
    """Whatever the thing's colour, the scene around it is painted alike."""
    red, blue = (draw(Factors("castle", c, "in the snow"), 5) for c in ("red", "blue"))
    same = (coarse_painting(red, 1) == coarse_painting(blue, 1)).all(axis=-1)
    things = ~same
    assert 0.5 < things.sum() / (red.labels == 1).sum() < 1.5
    assert things[red.labels == 1].mean() > 0.7


def test_a_scene_of_three_flat_bands_is_painted_exactly_but_for_a_shift() -> None:
    image = np.zeros((60, 80, 3), np.uint8)
    image[24:45], image[45:] = (200, 30, 30), (30, 30, 200)
    labels = np.zeros(image.shape[:2], np.uint8)
    nothing = np.zeros(image.shape[:2], np.float32)
    painting = coarse_painting(Drawing(image, nothing, labels, nothing, (BOAT,), "a boat"), 2)
    assert (painting == image).all(axis=-1).mean() > 0.93
    assert colours(painting) == 3


@pytest.mark.parametrize("painter", [coarse_painting, scribbles, hatched, dabbed])
def test_a_seed_paints_the_same_and_another_a_little_off(painter) -> None:
    drawing = draw(BOAT, 3, size=(48, 64))
    first, again, other = painter(drawing, 4), painter(drawing, 4), painter(drawing, 5)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("painter", [coarse_painting, scribbles])
def test_a_larger_drawing_gets_the_same_painting_larger(painter) -> None:
    small, other = (painter(draw(BOAT, 3), seed).astype(float) for seed in (1, 2))
    large = painter(draw(BOAT, 3, size=(256, 256)), 1)
    shrunk = large.reshape(64, 4, 64, 4, -1).mean(axis=(1, 3))
    assert np.abs(shrunk - small).mean() < 0.6 * np.abs(shrunk - other).mean()


def test_few_colours_keep_the_layout_in_a_small_palette(drawing: Drawing) -> None:
    painting = few_colours(drawing)
    assert painting.shape == drawing.image.shape
    assert 4 <= colours(painting) <= 6
    assert colours(few_colours(drawing, colours=3)) <= 3
    off = np.abs(painting.astype(float) - drawing.image).mean()
    coarse = np.abs(coarse_painting(drawing, 0).astype(float) - drawing.image).mean()
    assert off < coarse


def test_scribbles_leave_much_unpainted_and_are_thick_on_the_things(drawing: Drawing) -> None:
    painting = scribbles(drawing, 0)
    assert painting.shape == (*drawing.image.shape[:2], 4)
    alpha = painting[..., 3]
    assert 0.2 < (alpha == 0).mean() < 0.8
    for label in range(1, len(drawing.factors) + 1):
        seen = drawing.labels == label
        assert (alpha[seen] > 127).mean() > 0.5
        off = np.abs(painting[..., :3][seen] - np.median(drawing.image[seen], axis=0))
        assert np.median(off) < 12


@pytest.mark.parametrize("painter", [hatched, dabbed])
def test_what_looks_drawn_by_hand_has_the_layout_and_the_colours(painter, drawing: Drawing) -> None:
    painting = painter(drawing, 0)
    assert painting.shape == (*drawing.image.shape[:2], 4)
    assert (painting[..., 3] > 127).mean() > 0.85
    away = np.abs(painting[..., :3].astype(float) - drawing.image).mean()
    elsewhere = np.abs(painting[..., :3].astype(float) - drawing.image[:, ::-1]).mean()
    assert away < 35
    assert away < elsewhere
    assert colours(painting) > 200  # pressure and shade change


@pytest.mark.parametrize("painter", [coarse_painting, scribbles, hatched, dabbed])
def test_a_thing_of_which_nothing_is_seen_is_not_painted(painter) -> None:
    drawing = draw(BOAT, 3, size=(40, 56))
    alone = np.zeros_like(drawing.labels)
    bare = Drawing(drawing.image, drawing.mask, alone, drawing.depth, drawing.factors, "a beach")
    assert painter(bare, 0).shape[:2] == (40, 56)


@pytest.mark.parametrize("size", [WIDE, (64, 64)])  # where they stand close together
def test_labels_hold_the_number_of_each_word_around_its_thing(size: tuple[int, int]) -> None:
    drawing = draw_two(BOAT, CAT, 7, size=size)
    labels = np.asarray(label_picture(drawing))
    seen = drawing.labels > 0
    assert (labels[seen] == drawing.labels[seen]).all()
    assert set(np.unique(labels)) == {0, 1, 2}
    assert 1.1 < (labels > 0).sum() / seen.sum() < 2


def test_the_committed_samples_are_what_the_painter_writes(tmp_path: Path) -> None:
    """To a level of 8 bits or so: sines differ in the last digit between machines."""
    written = write(tmp_path)
    committed = REPOSITORY / "data" / "strokes"
    assert written.read_text() == (committed / "strokes.json").read_text()
    files = sorted(path.name for path in committed.glob("*.png"))
    assert files == sorted(path.name for path in written.parent.glob("*.png"))
    for name in files:
        first, second = Image.open(written.with_name(name)), Image.open(committed / name)
        assert first.info == second.info
        assert first.mode == second.mode
        off = np.abs(np.asarray(first).astype(float) - np.asarray(second))
        assert off.mean() < 0.5, name


def test_every_sample_has_a_prompt_and_two_things_have_a_word_for_each_label() -> None:
    samples = json.loads((REPOSITORY / "data" / "strokes" / "strokes.json").read_text())
    assert len(samples) == len(SAMPLES) >= 14
    assert not any(held_out(thing) for _, _, things in SAMPLES for thing in things)
    for sample in samples:
        painting = Image.open(REPOSITORY / sample["painting"])
        assert painting.info["prompt"] == sample["prompt"]
        assert all(word in sample["prompt"] for word in sample["words"])
        if sample["labels"]:
            labels = np.asarray(Image.open(REPOSITORY / sample["labels"]))
            assert labels.shape == painting.size[::-1] == WIDE
            assert set(np.unique(labels)) == {0, *range(1, len(sample["words"]) + 1)}
