"""The drawn world keeps its word: what a caption, a mask and a depth map say is in the picture."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from distillery.toybox import (
    COLOURS,
    SCENES,
    THINGS,
    Factors,
    all_factors,
    caption,
    draw,
    draw_scene,
    draw_several,
    draw_two,
    held_out,
)
from distillery.toybox import shapes as sdf

BOAT = Factors("boat", "red", "on a frozen river")


def test_the_world_is_large_enough():
    assert len(THINGS) >= 12
    assert len(COLOURS) >= 8
    assert len(SCENES) >= 8
    assert len(set(all_factors())) == len(THINGS) * len(COLOURS) * len(SCENES)


def test_a_tenth_of_the_combinations_is_held_out_and_every_pair_of_facts_stays():
    kept = [f for f in all_factors() if not held_out(f)]
    assert 0.88 < len(kept) / len(all_factors()) < 0.92
    assert {(f.thing, f.colour) for f in kept} == {(t, c) for t in THINGS for c in COLOURS}
    assert {(f.thing, f.scene) for f in kept} == {(t, s) for t in THINGS for s in SCENES}
    assert {(f.colour, f.scene) for f in kept} == {(c, s) for c in COLOURS for s in SCENES}


@pytest.mark.parametrize("factors", all_factors()[::7], ids=str)
def test_every_combination_draws_at_an_odd_size(factors):
    drawing = draw(factors, 3, size=(40, 56))
    assert drawing.image.shape == (40, 56, 3)
    assert drawing.image.dtype == np.uint8
    assert drawing.mask.shape == drawing.depth.shape == (40, 56)
    assert 0.02 < drawing.mask.mean() < 0.6
    assert drawing.image.std() > 10


def test_the_same_seed_draws_the_same_and_another_does_not():
    first, again, other = draw(BOAT, 7), draw(BOAT, 7), draw(BOAT, 8)
    assert np.array_equal(first.image, again.image)
    assert first.caption == again.caption
    assert not np.array_equal(first.image, other.image)


def test_resolution_changes_the_sharpness_and_not_the_scene():
    small = draw(BOAT, 5, size=(64, 64)).image.astype(float)
    large = Image.fromarray(draw(BOAT, 5, size=(256, 256)).image).resize((64, 64), Image.BOX)
    assert np.abs(small - np.asarray(large, float)).mean() < 3.0


@pytest.mark.parametrize("colour", COLOURS)
def test_the_thing_has_the_colour_that_the_caption_says(colour):
    """Inside the mask, the median pixel lies nearer to its colour than to any other."""
    shades = {
        c: np.median(_inside(draw(Factors("castle", c, "in the desert"), 11)), axis=0)
        for c in COLOURS
    }
    for seed in (20, 21, 22):
        seen = np.median(_inside(draw(Factors("castle", colour, "in the snow"), seed)), axis=0)
        assert min(shades, key=lambda c: np.abs(shades[c] - seen).sum()) == colour


def test_outside_the_mask_the_scene_does_not_know_the_thing():
    """With one seed, two colours of one thing differ where the mask is, and nowhere else."""
    red = draw(Factors("car", "red", "on the beach"), 4, size=(48, 80))
    blue = draw(Factors("car", "blue", "on the beach"), 4, size=(48, 80))
    difference = np.abs(red.image.astype(int) - blue.image.astype(int)).max(axis=2)
    assert difference[red.mask == 0].max() == 0
    assert difference[red.mask > 0.99].mean() > 20


def test_depth_grows_towards_the_viewer_and_the_sky_is_infinitely_far():
    depth = draw(Factors("cup", "blue", "on the grass"), 2, size=(64, 96)).depth
    assert depth[0].max() == 0
    assert depth[-1].min() > 0.9
    assert depth.min() >= 0
    assert depth.max() <= 1


def test_captions_are_true_and_often_leave_something_open():
    g = np.random.default_rng(0)
    captions = [caption(BOAT, g) for _ in range(500)]
    assert all("boat" in text for text in captions)
    told = np.array([["red" in text, "frozen river" in text] for text in captions])
    full, colour, scene, neither = (
        (told == pair).all(1).mean() for pair in ([1, 1], [1, 0], [0, 1], [0, 0])
    )
    assert full > 0.45
    assert min(colour, scene, neither) > 0.05
    assert len(set(captions)) >= 8
    assert "a red boat on a frozen river" in captions


def test_articles_follow_the_vowel():
    assert str(Factors("cup", "orange", "in the snow")) == "an orange cup in the snow"


def test_two_things_share_one_scene():
    front, behind = Factors("cat", "red", "in the snow"), Factors("tree", "green", "in the snow")
    drawing = draw_two(front, behind, 3, size=(64, 96))
    assert drawing.factors == (front, behind)
    assert drawing.caption == "a red cat and a green tree in the snow"
    left, right = np.split(drawing.mask, 2, axis=1)
    assert left.mean() > 0.05
    assert right.mean() > 0.05
    with pytest.raises(ValueError, match="one scene"):
        draw_two(front, BOAT, 3)


def test_a_tall_picture_holds_all_of_a_thing():
    for number, factors in enumerate(all_factors()[::13]):
        assert not _at_the_edge(draw(factors, number, size=(64, 32)))


@pytest.mark.parametrize("size", [(64, 64), (64, 128), (128, 64), (128, 128), (192, 192)])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_several_things_are_whole_and_each_has_its_label(count, size):
    thing_by_thing = [Factors(t, "red", "on the beach") for t in (*THINGS, *THINGS)]
    for first in range(0, len(THINGS), 4):
        factors = thing_by_thing[first : first + count]
        drawing = draw_several(factors, first, size=size)
        assert drawing.image.shape == (*size, 3)
        assert drawing.factors == tuple(factors)
        assert set(np.unique(drawing.labels)) == set(range(count + 1))
        assert not _at_the_edge(drawing)
        assert np.array_equal(drawing.labels > 0, drawing.mask >= 0.5)


def test_the_labels_of_several_things_follow_their_factors():
    """With one seed, another colour of the second thing changes pixels with its label only."""
    cat, fish = Factors("cat", "white", "in the snow"), Factors("fish", "red", "in the snow")
    blue = Factors("fish", "blue", "in the snow")
    one, other = (draw_several([cat, f, cat], 5, size=(64, 96)) for f in (fish, blue))
    changed = np.abs(one.image.astype(int) - other.image.astype(int)).max(axis=2) > 40
    assert changed.sum() > 50
    assert set(np.unique(one.labels[changed & (one.mask > 0.99)])) == {2}


def test_things_of_several_scenes_are_refused():
    with pytest.raises(ValueError, match="pass things of the same scene"):
        draw_several([BOAT, Factors("cat", "red", "in the snow")], 3)
    with pytest.raises(ValueError, match="one thing or more"):
        draw_several([], 3)


@pytest.mark.parametrize("scene", SCENES)
def test_a_scene_without_things_is_what_surrounds_them(scene):
    empty, boat = draw_scene(scene, 6), draw(Factors("boat", "red", scene), 6)
    assert not empty.mask.any()
    assert not empty.labels.any()
    assert empty.factors == ()
    above = slice(0, 4)
    assert np.array_equal(empty.image[above], boat.image[above])


def test_distances_of_simple_shapes_match_geometry():
    x, y = np.meshgrid(np.linspace(-2, 2, 9), np.linspace(-1, 1, 5))
    x, y = x.astype(np.float32), y.astype(np.float32)
    assert np.allclose(sdf.circle(x, y, 0.5, 0, 1), np.hypot(x - 0.5, y) - 1)
    square = [(-1, -1), (1, -1), (1, 1), (-1, 1)]
    assert np.allclose(sdf.polygon(x, y, square), sdf.box(x, y, -1, -1, 1, 1), atol=1e-5)
    line = sdf.segment(x, y, (-1, 0), (1, 0), 0)
    assert np.allclose(line, np.hypot(np.maximum(np.abs(x) - 1, 0), y), atol=1e-5)


def test_the_contact_sheet_command_writes_a_picture(tmp_path):
    out = tmp_path / "sheet.png"
    command = [sys.executable, "-m", "distillery.toybox", "--cell", "16", "--out", str(out)]
    subprocess.run(command, check=True, capture_output=True)
    assert Image.open(out).size == (16 * len(THINGS), 16 * len(SCENES))


def _inside(drawing):
    return drawing.image[drawing.mask > 0.99].astype(float)


def _at_the_edge(drawing):
    labels = drawing.labels
    return any(side.any() for side in (labels[0], labels[-1], labels[:, 0], labels[:, -1]))
