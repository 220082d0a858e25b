"""How much a picture of any size asks of the network, in closed form and counted.

The unit is a *sample*: one picture of the trained size, asked about once. Plain guidance asks for
two in a step, one without and one with the prompt. A larger or smaller picture counts by its area.
That of a large picture in one call is a little less than it takes, because attention grows faster.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

from torch import Tensor

from distillery.methods.elastic import ElasticKnobs, shifts, window_of
from distillery.methods.elastic_methods import Knobs
from distillery.methods.guided_ddim import first_step
from distillery.methods.multidiffusion import starts, stride_of
from distillery.methods.reference_cells import reference_of, reference_size, small_size
from distillery.models.prior import Condition, Control, Prior

Size = tuple[int, int]


def network_samples(
    prior: Prior, method: str, size: Size, knobs: Knobs, *, steps: int
) -> dict[str, float]:
    """What is asked for, and how many samples of it one picture takes in all its steps.

    Args:
        size: (h, w) of the picture's latents.

    Raises:
        KeyError: there is no such method.
    """
    trained = prior.latent_size
    area = _area(size, trained)
    if method == "direct":
        return {"the whole picture": 2 * steps * area}
    if method == "upscale":
        return {
            "the small picture": 2 * steps * _area(small_size(prior, size), trained),
            "the enlarged picture": 2 * round(knobs.strength * steps) * area,
        }
    if method == "upsample-guidance":
        return _upsample_guidance(prior, size, knobs.strength, steps)
    if method == "multidiffusion":
        view = min(size[0], trained[0]), min(size[1], trained[1])
        stride = stride_of(prior, knobs.views)
        views = len(starts(size[0], view[0], stride)) * len(starts(size[1], view[1], stride))
        return {"views": 2 * steps * views * _area(view, trained)}
    return {"elastic": _elastic}[method](prior, size, knobs.elastic, steps)


def _upsample_guidance(prior: Prior, size: Size, strength: float, steps: int) -> dict[str, float]:
    trained, reference = prior.latent_size, reference_size(prior, size)
    area = _area(size, trained)
    if reference == size:
        return {"the whole picture": 2 * steps * area}
    left = round(strength * steps)
    return {
        "the small picture": 2 * steps * _area(small_size(prior, size), trained),
        "the reference": 2 * left * _area(reference, trained),
        "the enlarged picture": 2 * left * area,
    }


def _elastic(prior: Prior, size: Size, knobs: ElasticKnobs, steps: int) -> dict[str, float]:
    trained = prior.latent_size
    padded = knobs.reference == "padded"
    reference = reference_of(prior, size, padded=padded)
    if reference == size:
        return {"the whole picture": 2 * steps * (1.0 if padded else _area(size, trained))}
    small = 2 * (1.0 if padded else _area(reference, trained))
    read = min(size[0], trained[0]), min(size[1], trained[1])
    first = first_step(steps, knobs.strength)
    left = steps - first
    views = _windows(size, trained, window_of(prior, knobs), knobs, range(first, steps))
    branches = 2 if knobs.own_details else 1
    windows = [branches * _area(read, trained) * count for count in views]
    parts = {
        "the reference": small * left,
        "its other rounds": small * left * knobs.resampling_steps,
        "windows": sum(windows),
    }
    if knobs.repaint_sampling and knobs.resampling_steps:
        parts["steps taken again"] = small * (left - 1) + sum(windows[:-1])
    if knobs.strength < 1:
        parts["the small picture"] = 2 * steps * _area(small_size(prior, size), trained)
    return parts


def _windows(
    size: Size, trained: Size, window: Size, knobs: ElasticKnobs, indices: range
) -> list[int]:
    """How many there are at each step."""
    moved = (shifts(index, window) if knobs.moving_windows else (0, 0) for index in indices)
    return [prod(map(_along, size, trained, window, shift)) for shift in moved]


def _along(side: int, read: int, window: int, shift: int) -> int:
    """How many windows `reference.elastic.cover` puts along a side."""
    return 1 if side <= read else 1 + len(range(shift or window, side, window))


def _area(size: Sequence[int], trained: Sequence[int]) -> float:
    return size[0] * size[1] / (trained[0] * trained[1])


class CountedPrior:
    """A prior that counts what it is asked for, and remembers its last answer.

    samples: asked for so far, for all pictures together.
    answer:  the noise of the last call, one for each condition.
    """

    def __init__(self, prior: Prior) -> None:
        self._prior = prior
        self.samples = 0.0
        self.answer: tuple[Tensor, ...] = ()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._prior, name)

    def predict_noise(
        self, xt: Tensor, t: Tensor, *conditions: Condition, controls: Sequence[Control] = ()
    ) -> tuple[Tensor, ...]:
        """As the prior's own."""
        area = _area(xt.shape[-2:], self._prior.latent_size)
        self.samples += len(xt) * len(conditions) * area
        self.answer = self._prior.predict_noise(xt, t, *conditions, controls=controls)
        return self.answer


def table(parts: Mapping[str, float], *, steps: int) -> str:
    """The parts, of a step and of a picture, and their sum beside plain guidance."""
    rows = [*parts.items(), ("together", sum(parts.values())), ("plain guidance", 2.0 * steps)]
    wide = max(len(name) for name, _ in rows)
    lines = [f"{'network samples':{wide}}  a step  a picture"]
    lines += [f"{name:{wide}}  {n / steps:6.1f}  {n:9.0f}" for name, n in rows]
    return "\n".join(lines)
