"""A page of its own: the studio with the course's models and a painting to begin with."""

from __future__ import annotations

from PIL import Image

from distillery.core.files import REPOSITORY
from distillery.methods.strokes import StrokeFunctions
from distillery.models.load import load_lora, load_prior
from distillery.notebook.strokes.canvas import StrokeCanvas
from distillery.notebook.strokes.drawing import drawn_by
from distillery.notebook.strokes.studio import PROMPTS, StrokeStudio
from distillery.toybox import Factors, draw
from distillery.toybox.paintings import coarse_painting

TWO_THINGS = REPOSITORY / "data" / "models" / "tiny-sd-two-things"
SEED = 3


def page(functions: StrokeFunctions, *, size: tuple[int, int] = (64, 64)) -> StrokeStudio:
    """The studio on tiny-sd; pictures with regions are drawn with its adapter for two things.

    Args:
        functions: the module of the seven functions of stage 5.
        size: (H, W) of the canvas, multiples of 8.
    """
    bound = load_prior("tiny-sd")
    load_lora(bound, str(TWO_THINGS))
    drawing = draw(Factors("boat", "red", "on a frozen river"), SEED, size=size)
    painting = Image.fromarray(coarse_painting(drawing, SEED))
    return StrokeStudio(
        drawn_by(load_prior("tiny-sd"), functions, bound=bound),
        canvas=StrokeCanvas(size, painting=painting),
        prompt=PROMPTS[0],
    )
