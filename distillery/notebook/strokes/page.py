"""A page of its own: the studio with the course's models and a painting to begin with."""

from __future__ import annotations

import json

from PIL import Image

from distillery.core.files import REPOSITORY
from distillery.core.images import read_any
from distillery.methods.strokes import StrokeFunctions
from distillery.models.load import load_lora, load_prior
from distillery.notebook.strokes.canvas import StrokeCanvas
from distillery.notebook.strokes.drawing import drawn_by
from distillery.notebook.strokes.request import Request
from distillery.notebook.strokes.studio import StrokeStudio
from distillery.toybox import Factors, draw, draw_two
from distillery.toybox.paintings import coarse_painting
from distillery.toybox.sample_paintings import label_picture

TWO_THINGS = REPOSITORY / "data" / "models" / "tiny-sd-two-things"
SAMPLES = REPOSITORY / "data" / "strokes" / "strokes.json"
SEED = 3


def page(functions: StrokeFunctions, *, size: tuple[int, int] = (64, 64)) -> StrokeStudio:
    """The studio on tiny-sd; pictures with regions are drawn with its adapter for two things.

    Args:
        functions: the module of the seven functions of stage 5.
        size: (H, W) of the canvas, multiples of 8.
    """
    bound = load_prior("tiny-sd")
    load_lora(bound, str(TWO_THINGS))
    first = one_thing(size)
    return StrokeStudio(
        drawn_by(load_prior("tiny-sd"), functions, bound=bound),
        canvas=StrokeCanvas(size, painting=first.painting),
        prompt=first.prompt,
        examples=(first, two_things(size), *samples(size)),
    )


def one_thing(size: tuple[int, int]) -> Request:
    """A boat on ice, painted as coarsely as can be."""
    drawing = draw(Factors("boat", "red", "on a frozen river"), SEED, size=size)
    painting = Image.fromarray(coarse_painting(drawing, SEED))
    return Request(painting, "a red boat on a frozen river")


def two_things(size: tuple[int, int]) -> Request:
    """Two things likewise, each with its region."""
    boat, house = (Factors(*its, "on the grass") for its in (("boat", "red"), ("house", "blue")))
    drawing = draw_two(boat, house, SEED, size=size)
    painting = Image.fromarray(coarse_painting(drawing, SEED))
    words = ("red boat", "blue house")
    return Request(painting, drawing.caption, labels=label_picture(drawing), words=words)


def samples(size: tuple[int, int]) -> list[Request]:
    """The paintings of data/strokes that have this size."""
    made = []
    for sample in json.loads(SAMPLES.read_text("utf-8")):
        painting = read_any(REPOSITORY / sample["painting"])
        if painting.size != size[::-1]:
            continue
        labels = None
        if sample["labels"]:
            with Image.open(REPOSITORY / sample["labels"]) as picture:
                labels = picture.copy()
        words = tuple(sample["words"])
        made.append(Request(painting, sample["prompt"], labels=labels, words=words))
    return made
