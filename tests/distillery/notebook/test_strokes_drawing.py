"""From the canvas to a picture: what is asked of the methods of stage 5."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from distillery.core.errors import CourseError
from distillery.methods.stroke_methods import METHODS, check
from distillery.models.load import load_prior
from distillery.models.prior import Prior
from distillery.notebook.strokes.drawing import (
    STEPS,
    drawn_by,
    knobs_for,
    painting_for,
    regions_of,
)
from distillery.notebook.strokes.request import Request, finished
from reference import strokes

PAINTING = Image.new("RGBA", (32, 16), (200, 40, 40, 255))
ASKED = Request(PAINTING, "a red boat", method="sdedit", strength=0.2)
LABELS = Image.fromarray(np.repeat([[1, 2]], 16, axis=0).repeat(16, axis=1).astype(np.uint8))


@pytest.fixture(scope="module")
def tiny_sd() -> Prior:
    return load_prior("tiny-sd", device="cpu")


def levels(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture).astype(int)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_draws_from_a_painting_that_is_not_square(tiny_sd, method):
    steps = list(drawn_by(tiny_sd, strokes)(replace(ASKED, method=method)))
    assert [step.index for step in steps] == list(range(steps[0].total))
    assert steps[-1].picture().shape == (1, 3, 16, 32)
    assert torch.isfinite(steps[-1].picture()).all()


def test_the_same_seed_gives_the_same_picture_and_another_seed_another(tiny_sd):
    begin = drawn_by(tiny_sd, strokes)
    first, again, other = (finished(begin, replace(ASKED, seed=seed)) for seed in (3, 3, 4))
    assert first.tobytes() == again.tobytes() != other.tobytes()


def test_a_low_strength_stays_nearer_to_the_painting(tiny_sd):
    begin = drawn_by(tiny_sd, strokes)
    near, far = (finished(begin, replace(ASKED, strength=its)) for its in (0.1, 0.9))
    wanted = levels(PAINTING.convert("RGB"))
    assert np.abs(levels(near) - wanted).mean() < 0.5 * np.abs(levels(far) - wanted).mean()


def test_words_are_bound_by_the_model_for_regions_and_by_no_other(tiny_sd):
    asked = replace(ASKED, prompt="a red boat and a blue house", labels=LABELS)
    begin = drawn_by(None, strokes, bound=tiny_sd)
    one_way, other_way = (
        finished(begin, replace(asked, words=words))
        for words in (("a red boat", "a blue house"), ("a blue house", "a red boat"))
    )
    assert one_way.tobytes() != other_way.tobytes()


def test_what_is_not_painted_is_masked_and_goes_on_in_the_colours_nearby(tiny_sd):
    picture = PAINTING.copy()
    picture.paste((9, 9, 9, 0), (16, 0, 32, 16))
    painting = painting_for(tiny_sd, picture)
    assert painting.mask[0, 0, :, :16].all()
    assert not painting.mask[0, 0, :, 16:].any()
    red = torch.tensor([200, 40, 40]) / 127.5 - 1
    assert torch.allclose(painting.image[0, :, 3, 20], red, atol=1e-6)
    assert painting.latents.shape[2:] == (4, 8)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("strength", [0.1, 0.15, 0.5, 1.0])
def test_the_slider_leaves_every_method_a_step_to_act_in(method, strength):
    knobs = knobs_for(method, strength)
    check(method, knobs, steps=STEPS)
    assert 1 <= knobs.num_iterative_steps < max(2, round(strength * STEPS))


def test_regions_go_by_their_words_and_one_with_neither_word_nor_cell_by_none():
    labels = Image.fromarray(np.array([[0, 1, 3]], np.uint8))
    places = regions_of(replace(ASKED, labels=labels, words=("cat", "", "car")))
    assert {word: place.tolist() for word, place in places.items()} == {
        "cat": [[0, 1, 0]],
        "car": [[0, 0, 1]],
    }
    assert regions_of(ASKED) == {}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("cat",), "region 2 has no word"),
        (("", "cat"), "region 1 has no word"),
        (("cat", "cat"), "two regions have the word 'cat'"),
        (("red boat", "car"), "'car' of a region is not in the prompt"),
        (("red boat", "oat"), "'oat' of a region is not in the prompt"),
        (("red boat", "boat", "car"), r"region 3 \('car'\) has no cell yet"),
    ],
)
def test_words_that_do_not_fit_the_regions_are_refused(tiny_sd, words, said):
    with pytest.raises(CourseError, match=said):
        finished(drawn_by(tiny_sd, strokes), replace(ASKED, labels=LABELS, words=words))


def test_a_region_counts_by_the_words_of_its_name_not_by_blanks_and_capitals(tiny_sd):
    begin = drawn_by(tiny_sd, strokes)
    asked = replace(ASKED, prompt="A red  boat, blue house", labels=LABELS)
    first, again = (
        finished(begin, replace(asked, words=words))
        for words in (("red boat", "blue house"), ("Red  boat ", "blue house"))
    )
    assert first.tobytes() == again.tobytes()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"prompt": "  "}, "the prompt is empty"),
        ({"labels": Image.new("L", (32, 16)), "words": ("boat",)}, "no region is painted yet"),
    ],
)
def test_what_is_missing_is_said(tiny_sd, change, said):
    with pytest.raises(CourseError, match=said):
        finished(drawn_by(tiny_sd, strokes), replace(ASKED, **change))


@pytest.mark.parametrize(
    ("picture", "said"),
    [
        (Image.new("RGBA", (32, 16)), "there is no paint"),
        (Image.new("RGBA", (20, 16), "red"), r"make one of 16 x 16"),
        (Image.new("RGBA", (1, 1), "red"), r"make one of 8 x 8"),
    ],
)
def test_a_canvas_from_which_nothing_can_be_drawn_is_refused(tiny_sd, picture, said):
    with pytest.raises(CourseError, match=said):
        finished(drawn_by(tiny_sd, strokes), replace(ASKED, painting=picture))
