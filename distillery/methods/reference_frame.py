"""The frame of a padded reference, as ElasticDiffusion (arXiv 2311.18822) published it.

A reference inside the trained size leaves a band on two sides. One colour fills it, encoded once,
and noised anew at every step, the same in all calls of the step.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor
from torch.nn.functional import pad

from distillery.methods.any_size import pixels_per_cell, resized
from distillery.methods.guided_ddim import Noise
from distillery.models.parameterization import add_noise
from distillery.models.prior import Control, Prior


@dataclass(frozen=True)
class Frame:
    """What is around a reference.

    size:   (hr, wr) of the reference, no side larger than that of the frame.
    colour: latents (B, C, a, b) of one colour each, of the size of the frame.
    noise:  noise (B, C, a, b) of each step's index.
    """

    size: tuple[int, int]
    colour: Tensor
    noise: Noise

    @property
    def corner(self) -> tuple[int, int]:
        """The first row and the first column of the reference, which is in the middle."""
        high, wide = self.colour.shape[-2:]
        return (high - self.size[0]) // 2, (wide - self.size[1]) // 2

    def around(self, references: Tensor, alpha_bar: Tensor, index: int) -> Tensor:
        """References (R, B, C, hr, wr) in the middle of the colour, (R, B, C, a, b)."""
        framed = add_noise(self.colour, self.noise(index), alpha_bar)
        framed = framed.expand(len(references), -1, -1, -1, -1).clone()
        self.inside(framed)[:] = references
        return framed

    def inside(self, framed: Tensor) -> Tensor:
        """The reference's part (..., hr, wr) of what has the size of the frame."""
        (top, left), (high, wide) = self.corner, self.size
        return framed[..., top : top + high, left : left + wide]

    def control(self, control: Control, prior: Prior) -> Control:
        """A control of the whole picture, where the reference is; nothing is around it."""
        (top, left), (high, wide), (a, b) = self.corner, self.size, self.colour.shape[-2:]
        down, across = pixels_per_cell(prior)
        small = resized(control, (high * down, wide * across))
        columns = (left * across, (b - left - wide) * across)
        rows = (top * down, (a - top - high) * down)
        return replace(small, image=pad(small.image, (*columns, *rows)))
