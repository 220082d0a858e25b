"""The toybox, a small drawn world: scenes from code, with caption, facts, mask and depth."""

from distillery.toybox.drawing import Drawing, draw, draw_scene, draw_several, draw_two
from distillery.toybox.vocabulary import (
    COLOURS,
    SCENES,
    THINGS,
    Factors,
    all_factors,
    article,
    caption,
    held_out,
)

__all__ = [
    "COLOURS",
    "SCENES",
    "THINGS",
    "Drawing",
    "Factors",
    "all_factors",
    "article",
    "caption",
    "draw",
    "draw_scene",
    "draw_several",
    "draw_two",
    "held_out",
]
