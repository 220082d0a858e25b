"""Pictures, palettes and controls that the cases of stage 4 are made of."""

from __future__ import annotations

from itertools import product
from typing import Any

import torch
from torch import Tensor

from grading.stages.inputs import random_inputs
from grading.stages.inputs.random_inputs import EARLY

# All four are equally far, in L1, from mid-grey: that pixel cannot be told which is nearest.
COLOURS = {
    ".": (0.25, 0.5, 1.0),  # sky
    "#": (0.875, 0.25, 0.375),  # red
    "o": (0.875, 0.75, 0.625),  # cream
    "~": (0.25, 0.75, 0.25),  # grass
}
MUSHROOM = """
.#####.
##o##o#
..ooo..
..ooo..
~~~~~~~
"""
HOUSE = """
...#...
.#####.
.ooooo.
.oo.oo.
~~~.~~~
"""
NAMES = ["a mushroom", "a house"]


class RandomInputs(random_inputs.RandomInputs):
    """As for the other stages, with pictures of another size and a palette of K colours."""

    def __init__(self, seed: int, kind: str) -> None:
        super().__init__(seed, kind, size=(5, 7), heights=(5, 7), widths=(8, 10))
        # Not 4 again: half of it is its root.
        self.colours = self.whole(4, (5, 6))


def palette(inputs: RandomInputs) -> Tensor:
    """(K, 3) in [0, 1]"""
    return torch.tensor(inputs.one_of(list(COLOURS.values()), [_colours(inputs)]))


def _colours(inputs: RandomInputs) -> list[list[float]]:
    """Some of all the colours in steps of 1/8 that are as far from mid-grey as those above."""
    steps = range(-4, 5)
    far = [rgb for rgb in product(steps, repeat=3) if sum(map(abs, rgb)) == 6 and 0 not in rgb]
    chosen: list[tuple[int, ...]] = []
    for rgb in inputs.shuffled(far):
        apart = all(
            sum(abs(a - b) for a, b in zip(rgb, other, strict=True)) >= 5 for other in chosen
        )
        if apart and len(chosen) < inputs.colours:
            chosen.append(rgb)
    return [[0.5 + step / 8 for step in rgb] for rgb in chosen]


def chosen(inputs: RandomInputs, count: int | None = None) -> Tensor:
    """One-hot weights of the two drawings, (2, 4, 5, 7), or of B hidden ones."""
    if inputs.drawn:
        indices = inputs.smooth(100, count or inputs.batch, inputs.colours).argmax(dim=1)
    else:
        letters = list(COLOURS)
        drawings = [
            [[letters.index(letter) for letter in row] for row in rows.split()]
            for rows in (MUSHROOM, HOUSE)
        ]
        indices = torch.tensor(drawings)
    return torch.nn.functional.one_hot(indices, inputs.colours).movedim(-1, 1).float()


def drawings(inputs: RandomInputs, count: int | None = None) -> Tensor:
    """(B, 3, h, w) in [-1, 1], by default as many as a case has latents."""
    return painted(chosen(inputs, count), palette(inputs))


def painted(weights: Tensor, colours: Tensor) -> Tensor:
    return 2 * torch.einsum("bkhw,kc->bchw", weights, colours) - 1


def logits(inputs: RandomInputs, seed: int) -> Tensor:
    """The drawings, not yet sure of themselves."""
    return 2 * chosen(inputs) + inputs.noise(seed, chosen(inputs))


def any_colours(inputs: RandomInputs, seed: int, count: int) -> Tensor:
    """(K, 3) in [0, 1], in steps of 1/64: float32 adds and compares these without rounding."""
    return in_steps(inputs.noise(seed, torch.empty(count, 3)).sigmoid(), 64)


def any_picture(inputs: RandomInputs, count: int) -> Tensor:
    """(B, 3, h, w) in [-1, 1], in steps of 1/32."""
    return in_steps(inputs.noise(14, torch.empty(count, 3, *inputs.size)).clamp(-1, 1), 32)


def in_steps(numbers: Tensor, steps: int) -> Tensor:
    """Rounded to so many steps between two whole numbers."""
    return (steps * numbers).round() / steps


def either(inputs: RandomInputs) -> Tensor:
    """One picture of 0 and 1, (1, h, w)."""
    return (inputs.noise(11, torch.empty(1, *inputs.size)) > 0).long()


def spots(inputs: RandomInputs, seed: int, count: int) -> Tensor:
    """(N, 3) in steps of 1/8, so that what is equally near is so in float32 too."""
    return in_steps(inputs.noise(seed, torch.empty(count, 3)), 8)


def means_of(inputs: RandomInputs) -> Tensor:
    """Two drawings, with something in the fourth channel where there is one."""
    means = drawings(inputs, 2)
    others = inputs.smooth(18, 2, 1).tanh()
    return torch.cat([means, others], dim=1)[:, : inputs.channels]


def edges_and_depths(
    inputs: RandomInputs, picture: Tensor
) -> tuple[list[dict[str, Any]], dict[str, Tensor]]:
    """Edges and depths, or none; what is said of them, and their pictures."""
    edge, depth = inputs.number(0.5, (0.4, 0.7)), inputs.number(0.3, (0.2, 0.4))
    if inputs.kind == EARLY:
        return [], {}
    depths = torch.linspace(0, 1, picture.shape[-1]).expand_as(picture)
    said = [
        {"kind": "canny", "scale": edge, "window": [0.0, 1.0]},
        {"kind": "depth", "scale": depth, "window": [0.5, 1.0]},
    ]
    return said, {"controls": torch.stack([(picture > 0).float(), depths])}
