"""The methods of stage 6 by name: where each begins, and what it follows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from distillery.core.errors import CourseError
from distillery.core.names import meant
from distillery.methods import upscale
from distillery.methods.any_size import ElasticFunctions, Wanted, pixels_per_cell, resized
from distillery.methods.elastic import Elastic, ElasticKnobs
from distillery.methods.guided_ddim import (
    BEGINNING,
    Change,
    Noise,
    Predict,
    first_step,
    fresh_noise,
    steered,
)
from distillery.methods.multidiffusion import ViewKnobs, multidiffusion
from distillery.methods.reference_cells import inside_trained, reference_size, small_size
from distillery.methods.reference_frame import Frame
from distillery.methods.upsample_guidance import upsample_guidance
from distillery.models.prior import Prior, guided_noise

METHODS = ("direct", "upscale", "multidiffusion", "elastic", "upsample-guidance")


@dataclass(frozen=True)
class Knobs:
    """What can be set.

    strength: of `upscale` and `upsample-guidance`, the part of the way from noise that is drawn
              over the enlarged picture.
    views:    of `multidiffusion`.
    elastic:  of `elastic`.
    """

    strength: float = 0.4
    views: ViewKnobs = field(default_factory=ViewKnobs)
    elastic: ElasticKnobs = field(default_factory=ElasticKnobs)


@dataclass(frozen=True)
class Beginning:
    """What `guided_ddim.steered` needs of a method.

    predict: the noise to follow.
    xt:      the latents (B, C, h, w) at timesteps[start].
    start:   index of the first step.
    change:  what is changed after each step, or nothing.
    """

    predict: Predict
    xt: Tensor
    start: int = 0
    change: Change | None = None


@dataclass(frozen=True)
class Task:
    """One call of `begin`.

    local:      the prior that is asked about the large picture and its windows, where there is a
                small one too, which `prior` is asked about.
    timesteps:  int64 (steps + 1,), a whole way from noise.
    seeds:      one for each of the B pictures.
    """

    prior: Prior
    local: Prior
    functions: ElasticFunctions
    wanted: Wanted
    knobs: Knobs
    timesteps: Tensor
    seeds: tuple[int, ...]

    def noise(self, size: tuple[int, int]) -> Noise:
        """Fresh noise (B, C, h, w) of an index, for latents of that size."""
        shape = (self.prior.latent_channels, *size)
        return fresh_noise(shape, self.seeds, device=self.prior.device)

    def guided(self, size: tuple[int, int], *, prior: Prior) -> Predict:
        """Plain guidance, of latents of `size`, (h, w)."""
        wanted, (down, across) = self.wanted, pixels_per_cell(prior)
        return guided_noise(
            prior,
            text=wanted.text,
            uncond=wanted.uncond,
            guidance_scale=wanted.guidance_scale,
            controls=[resized(c, (size[0] * down, size[1] * across)) for c in wanted.controls],
        )


def begin(name: str, task: Task) -> Beginning:
    """Make a method ready to run.

    Every step depends on its index and its latents alone. To go on after a step, begin anew with
    the same task, and take the saved latents and the step's index + 1.

    Raises:
        CourseError: there is no such method.
    """
    if name not in METHODS:
        raise CourseError(
            f"unknown method {name!r}: choose {', '.join(METHODS)}{meant(name, METHODS)}."
        )
    return _BEGINNINGS[name](task)


def _direct(task: Task) -> Beginning:
    predict = task.guided(task.wanted.size, prior=task.prior)
    return Beginning(predict, task.noise(task.wanted.size)(BEGINNING))


def _upscale(task: Task) -> Beginning:
    xt, start = _enlarged(task, task.knobs.strength)
    return Beginning(task.guided(task.wanted.size, prior=task.local), xt, start)


def _upsample_guidance(task: Task) -> Beginning:
    size = task.wanted.size
    reference = reference_size(task.prior, size)
    if reference == size:
        return _direct(task)
    xt, start = _enlarged(task, task.knobs.strength)
    predict = upsample_guidance(
        task.guided(size, prior=task.local),
        task.guided(reference, prior=task.prior),
        size=size,
        reference=reference,
        alphas_cumprod=task.prior.alphas_cumprod,
    )
    return Beginning(predict, xt, start)


def _enlarged(task: Task, strength: float) -> tuple[Tensor, int]:
    """The small picture, drawn here, enlarged and noised for the step whose index is beside it."""
    size = small_size(task.prior, task.wanted.size)
    timesteps, alphas_cumprod = task.timesteps, task.prior.alphas_cumprod
    small = task.noise(size)(BEGINNING)
    for step in steered(
        task.guided(size, prior=task.prior),
        small,
        timesteps=timesteps,
        alphas_cumprod=alphas_cumprod,
    ):
        small = step.xt
    start = first_step(len(task.timesteps) - 1, strength)
    x0 = upscale.enlarged(task.prior, small, task.wanted.size)
    eps = task.noise(task.wanted.size)(BEGINNING)
    xt = upscale.noised(x0, eps, start, timesteps=timesteps, alphas_cumprod=alphas_cumprod)
    return xt, start


def _multidiffusion(task: Task) -> Beginning:
    predict = multidiffusion(task.prior, task.functions, task.wanted, task.knobs.views)
    return Beginning(predict, task.noise(task.wanted.size)(BEGINNING))


def _elastic(task: Task) -> Beginning:
    noise, strength = task.noise(task.wanted.size), task.knobs.elastic.strength
    elastic = Elastic(
        task.prior,
        task.functions,
        task.wanted,
        task.knobs.elastic,
        timesteps=task.timesteps,
        noise=noise,
        frame=_frame(task) if task.knobs.elastic.reference == "padded" else None,
        local=task.local,
    )
    if strength == 1 or elastic.is_whole:
        return Beginning(elastic.predict, noise(BEGINNING), change=elastic.change)
    xt, start = _enlarged(task, strength)
    return Beginning(elastic.predict, xt, start, elastic.change)


def _frame(task: Task) -> Frame:
    """Of a colour that each picture's seed chooses."""
    prior = task.prior
    generators = [torch.Generator().manual_seed(seed) for seed in task.seeds]
    colours = torch.stack([2 * torch.rand(3, 1, 1, generator=one) - 1 for one in generators])
    images = colours.expand(-1, -1, *prior.image_size).to(prior.device)
    size = inside_trained(task.wanted.size, prior.latent_size)
    return Frame(size, prior.encode(images), task.noise(prior.latent_size))


_BEGINNINGS: Mapping[str, Callable[[Task], Beginning]] = {
    "direct": _direct,
    "upscale": _upscale,
    "multidiffusion": _multidiffusion,
    "elastic": _elastic,
    "upsample-guidance": _upsample_guidance,
}
