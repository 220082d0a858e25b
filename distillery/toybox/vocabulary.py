"""The words for things, colours and scenes, and the captions made from them."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

THINGS = (
    "house",
    "castle",
    "boat",
    "car",
    "tree",
    "mushroom",
    "fish",
    "rocket",
    "flower",
    "cup",
    "cat",
    "balloon",
)
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "white")
SCENES = (
    "on the grass",
    "in the desert",
    "on a frozen river",
    "beside a waterfall",
    "in the night sky",
    "in the snow",
    "on the beach",
    "in the forest",
)


@dataclass(frozen=True, order=True)
class Factors:
    """The three facts of a drawing; each is a word of `THINGS`, `COLOURS` or `SCENES`."""

    thing: str
    colour: str
    scene: str

    @property
    def indices(self) -> tuple[int, int, int]:
        """Positions in `THINGS`, `COLOURS` and `SCENES`, as a classifier's labels."""
        return THINGS.index(self.thing), COLOURS.index(self.colour), SCENES.index(self.scene)

    def __str__(self) -> str:
        return f"{article(self.colour)} {self.colour} {self.thing} {self.scene}"


def article(word: str) -> str:
    """The indefinite article that goes before `word`."""
    return "an" if word[0] in "aeiou" else "a"


def all_factors() -> list[Factors]:
    """Every combination, thing by thing, in a fixed order."""
    return [Factors(*words) for words in itertools.product(THINGS, COLOURS, SCENES)]


def held_out(factors: Factors) -> bool:
    """Whether the combination is left out of all training.

    A tenth of the combinations, spread like a Latin square: every pair of facts is still seen in
    training, so a model that fails on these only remembers pictures and does not compose them.
    """
    thing, colour, scene = factors.indices
    return (thing + 3 * colour + 7 * scene) % 10 == 5


def caption(factors: Factors, generator: np.random.Generator) -> str:
    """One of the many sentences that are true of a drawing.

    About half of them name all three facts; the others leave the colour, the scene or both open,
    as captions of real photographs do.
    """
    thing, colour, scene = factors.thing, factors.colour, factors.scene
    tell_colour, tell_scene = [(True, True), (True, False), (False, True), (False, False)][
        generator.choice(4, p=[0.55, 0.2, 0.15, 0.1])
    ]
    noun = f"{colour} {thing}" if tell_colour else thing
    noun = f"{article(noun)} {noun}"
    frame = generator.choice(["{}", "a picture of {}", "a drawing of {}"], p=[0.7, 0.15, 0.15])
    noun = str(frame).format(noun)
    if not tell_scene:
        return noun
    if frame == "{}" and generator.random() < 0.2:
        return f"{scene}, {noun}"
    return f"{noun} {scene}"
