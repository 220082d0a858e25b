"""The counter finds the things of drawings it has not seen, at every size, and names them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from distillery.core.errors import CourseError
from distillery.metrics.contents import MARGIN, crop, named, square_round
from distillery.metrics.counter import Counter, Thing
from distillery.metrics.judge import Judge
from distillery.toybox import SCENES, Factors, draw_scene, draw_several
from training.counter_pictures import SIZES, on_cells
from training.data import to_images

CPU = torch.device("cpu")
SEED = 940_000_000  # no training and no measurement uses it
CATS = [Factors("cat", colour, "on the beach") for colour in ("red", "blue", "white")]
MIXED = [Factors(thing, "green", "in the snow") for thing in ("house", "fish", "balloon")]


@pytest.fixture(scope="module")
def counter() -> Counter:
    return Counter.load()


@pytest.fixture(scope="module")
def judge() -> Judge:
    return Judge.load()


def pictures(factors: list[Factors], size: tuple[int, int], count: int = 4) -> torch.Tensor:
    drawn = [draw_several(factors, SEED + k, size=size).image for k in range(count)]
    return to_images(np.stack(drawn), CPU)


@pytest.mark.parametrize("size", [*SIZES, (72, 104)], ids=str)
@pytest.mark.parametrize("things", [CATS, MIXED], ids=["cats", "mixed"])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_things_are_counted(counter, size, things, number):
    found = counter.things(pictures(things[:number], size))
    assert sum(len(one) == number for one in found) >= 3


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_empty_scenes_have_no_things(counter, size):
    scenes = np.stack([draw_scene(scene, SEED, size=size).image for scene in SCENES])
    assert sum(len(one) > 0 for one in counter.things(to_images(scenes, CPU))) <= 1


@pytest.mark.parametrize("size", [(64, 64), (64, 128), (192, 192)], ids=str)
def test_masks_and_boxes_are_where_the_things_are(counter, size):
    drawing = draw_several(MIXED[:2], SEED, size=size)
    (found,) = counter.things(to_images(drawing.image[None], CPU))
    assert len(found) == 2
    for thing in found:
        assert thing.mask.shape == size
        overlaps = []
        for number in (1, 2):
            true = torch.from_numpy(drawing.labels == number)
            overlaps.append(float((true & thing.mask).sum() / (true | thing.mask).sum()))
        assert max(overlaps) > 0.75
        top, left, bottom, right = thing.box
        assert thing.mask[top:bottom, left:right].sum() == thing.mask.sum()
        assert thing.mask[top].any()
        assert thing.mask[:, right - 1].any()
    assert found[0].box[1] < found[1].box[1]  # from left to right


@pytest.mark.parametrize("size", [(64, 128), (128, 128), (40, 56)], ids=str)
def test_a_batch_is_read_as_its_pictures_are(counter, size):
    images = pictures(MIXED, size)
    together = counter.things(images)
    alone = [counter.things(image[None])[0] for image in images]
    assert [[t.box for t in one] for one in together] == [[t.box for t in one] for one in alone]


@pytest.mark.parametrize(
    "shape", [(3, 64, 64), (1, 4, 16, 16), (1, 3, 60, 64), (1, 3, 64, 0), (1, 64, 64, 3)], ids=str
)
def test_other_shapes_are_refused_in_one_sentence(counter, shape):
    with pytest.raises(CourseError, match=r"wants images \(B, 3, H, W\)") as caught:
        counter.things(torch.zeros(shape))
    assert str(shape) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("size", [(64, 64), (128, 64), (64, 128), (128, 128)], ids=str)
def test_contents_say_what_a_benchmark_asks(counter, judge, size):
    one = named(pictures(CATS[:1], size), counter=counter, judge=judge)
    two = named(pictures([CATS[0], CATS[0]], size), counter=counter, judge=judge)
    red, blue, house = CATS[0], CATS[1], Factors("house", "red", "in the snow")

    assert sum(c.one_right(red) for c in one) >= 3
    assert not any(c.one_right(blue) or c.one_of_the_kind(house) for c in one)
    assert sum(c.one_of_the_kind(blue) for c in one) >= 3
    assert sum(c.twice(red) for c in one) <= 1

    assert sum(c.twice(red) for c in two) >= 3
    assert not any(c.one_right(red) or c.twice(house) for c in two if len(c.things) == 2)

    assert sum(c.scene_right(red) for c in one + two) >= 7
    assert not any(c.scene_right(house) for c in one + two)


def test_an_empty_picture_has_contents_too(counter, judge):
    empty = to_images(draw_scene("in the snow", SEED, size=(64, 128)).image[None], CPU)
    (contents,) = named(empty, counter=counter, judge=judge)
    assert contents.names == ()
    assert contents.scene == "in the snow"
    assert not contents.one_right(CATS[0])
    assert not contents.twice(CATS[0])


@pytest.mark.parametrize(
    ("box", "square"),
    [
        ((20, 20, 30, 40), (9, 14, 41, 46)),  # in the middle, as wide as the longer side asks
        ((0, 0, 10, 10), (0, 0, 16, 16)),  # moved in from the corner
        ((54, 90, 64, 100), (48, 84, 64, 100)),
        ((0, 10, 60, 90), (0, 18, 64, 82)),  # no larger than the picture is high
    ],
)
def test_the_square_round_a_thing_lies_in_the_picture(box, square):
    assert MARGIN == 1.6
    assert square_round(box, (64, 100)) == square


def test_the_other_things_are_covered_in_a_crop():
    """What is left is all red, so a blue neighbour becomes red; the thing itself is kept."""
    image = torch.zeros(3, 32, 48)
    image[0] = 1.0
    left, right = torch.zeros(2, 32, 48, dtype=torch.bool)
    left[10:22, 10:20], right[10:22, 22:30] = True, True
    image[:, right] = torch.tensor([0.0, 0.0, 1.0])[:, None]
    part = crop(image, [Thing(left), Thing(right)], 0)
    assert part.shape[-1] == part.shape[-2]
    assert torch.allclose(part, torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1).expand_as(part))
    assert crop(image, [Thing(left), Thing(right)], 1)[0, 2].max() == 1.0
    image[1, 9, 12] = 1.0  # what is beside the thing itself is kept too
    assert crop(image, [Thing(left), Thing(right)], 0)[0, 1].max() == 1.0


def test_a_cell_gets_the_number_that_fills_most_of_it():
    labels = np.array([[1, 1, 0, 0], [1, 0, 0, 2], [2, 2, 0, 0], [2, 2, 0, 0]], np.uint8)
    assert on_cells(labels, 2).tolist() == [[1, 0], [2, 0]]
