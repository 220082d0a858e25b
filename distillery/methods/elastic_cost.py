"""How often the network is asked for a picture of any size, in closed form.

One sample is one picture, or one view of it, in one branch. Samples differ in size, so that what a
picture costs is told by units too: a unit is a sample of the trained size.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, prod

from distillery.methods.elastic import shifts, window_of
from distillery.methods.elastic_methods import Knobs, first_step
from distillery.methods.multidiffusion import starts, stride_of
from distillery.methods.reference_cells import inside_trained, reference_size
from distillery.models.prior import Prior

Size = tuple[int, int]


@dataclass(frozen=True)
class Cost:
    """What one picture costs.

    samples: of the network.
    cells:   of latents, in all of them.
    """

    samples: int = 0
    cells: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.samples + other.samples, self.cells + other.cells)

    def units(self, trained: Size) -> float:
        """How many samples of the trained size (h, w) have as many cells."""
        return self.cells / prod(trained)


def asked(size: Size, times: int) -> Cost:
    """So many samples of latents of `size`."""
    return Cost(times, times * prod(size))


def cost(name: str, prior: Prior, size: Size, knobs: Knobs, steps: int) -> Cost:
    """What the network is asked by a method for one picture of `size`, (h, w) in cells.

    The two branches of guidance are two samples. The decoder and the encoder are left out.

    Args:
        name: one of `elastic_methods.METHODS`.
        steps: of a whole way from noise.
    """
    if name == "direct":
        return asked(size, 2 * steps)
    if name == "upscale":
        left = steps - first_step(knobs.strength, steps)
        return asked(reference_size(prior, size), 2 * steps) + asked(size, 2 * left)
    if name == "multidiffusion":
        stride = stride_of(prior, knobs.views)
        trained = prior.latent_size
        view = min(size[0], trained[0]), min(size[1], trained[1])
        across = (len(starts(s, v, stride)) for s, v in zip(size, view, strict=True))
        return asked(view, 2 * steps * prod(across))
    return _elastic(prior, size, knobs, steps)


def _elastic(prior: Prior, size: Size, knobs: Knobs, steps: int) -> Cost:
    its, trained = knobs.elastic, prior.latent_size
    if its.reference == "padded":
        inside, small = inside_trained(size, trained), trained
    else:
        inside = small = reference_size(prior, size)
    if inside == size:
        return asked(small, 2 * steps)
    view = min(size[0], trained[0]), min(size[1], trained[1])
    window = window_of(prior, its)
    total = asked(small, 2 * (its.resampling_steps + 1) * steps)
    for index in range(steps):
        moved = shifts(index, window) if its.moving_windows else (0, 0)
        views = prod(map(windows, size, trained, window, moved))
        again = its.repaint_sampling and its.resampling_steps > 0 and index < steps - 1
        total += asked(view, views * (1 + again)) + asked(small, 2 * again)
    return total


def windows(side: int, read: int, window: int, shift: int) -> int:
    """How many windows `reference.elastic.cover` puts along a side."""
    if side <= read:
        return 1
    return 1 + ceil((side - (shift if shift > 0 else window)) / window)


def published_samples(size: Size, trained: Size, *, rounds: int, repaint: bool, steps: int) -> int:
    """What the published ElasticDiffusion asks for one picture, all samples of the trained size.

    2 (R + 1) + V each step, R rounds of resampling and V windows of half the trained side; and
    2 + V more where a step is repainted. Its presets have 50 steps, R = 7 at 1:2 and 10 at twice
    the size, and repaint.

    Args:
        size: (h, w) in cells.
        rounds: R.
        repaint: whether steps are taken twice.
    """
    window = max(1, min(trained) // 2)
    views = prod(windows(side, read, window, 0) for side, read in zip(size, trained, strict=True))
    return steps * (2 * (rounds + 1) + views) + (2 + views) * repaint * (steps - 1)
