"""A picture of any size from a model that was trained for one. `python main.py elastic`.

The frames show the estimate of the finished picture. The folder has pictures/ where there are
several pictures, and frames.png where a sheet of the steps is asked for.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from functools import partial
from math import ceil
from pathlib import Path
from typing import ClassVar, cast

from PIL import Image
from torch import Tensor

from distillery.core.errors import CourseError
from distillery.core.images import to_png_bytes
from distillery.core.notes import warnings_in_a_line
from distillery.methods import elastic_methods
from distillery.methods.any_size import ElasticFunctions, Wanted
from distillery.methods.guided_ddim import level, steered
from distillery.methods.published_weight import of_a_cell
from distillery.models.exact import GaussianMixturePrior
from distillery.models.load import load_prior
from distillery.models.prior import Prior
from distillery.runs.elastic_settings import ElasticSettings
from distillery.runs.frame_sheet import sheet
from distillery.runs.run import PICTURE, Checkpoint, Run, Step, code_of
from distillery.runs.strokes import say_replaced_scheduler

SOURCE_FIELDS = ()
UNIT = 8  # pixels; every model here draws sides of this many times a whole number
OF_THE_STUDENT = ("elastic", "multidiffusion")  # the methods that call the student's functions


class ElasticRun(Run):
    """The steps of one method.

    Args:
        functions: the module of the student's functions, which some methods do not need.
        seeds: one for each picture.

    Raises:
        CourseError: the settings do not fit the prior.
    """

    may_make: ClassVar[Sequence[str]] = ("pictures/*.png", "frames.png")

    def __init__(
        self,
        prior: Prior,
        functions: ElasticFunctions | None,
        settings: ElasticSettings,
        *,
        seeds: Sequence[int],
    ) -> None:
        self._prior, self._settings = prior, settings
        self.ingredients = [code_of(functions)]
        self._timesteps = prior.timesteps(settings.steps)
        self._drawn = drawn_size(prior, settings)
        wanted = Wanted(
            prior.latent_size_of(self._drawn),
            text=prior.embed([settings.prompt] * len(seeds)),
            uncond=prior.embed([settings.negative_prompt] * len(seeds)),
            guidance_scale=settings.guidance_scale,
            view_batch_size=settings.view_batch_size,
        )
        task = elastic_methods.Task(
            prior,
            prior,
            cast(ElasticFunctions, functions),
            wanted,
            settings.knobs(rrg_weight=rrg_weight(prior, settings, wanted.size)),
            self._timesteps,
            tuple(seeds),
        )
        self._beginning = elastic_methods.begin(settings.method, task)
        self.total = settings.steps - self._beginning.start
        self.latents = self._beginning.xt
        self._film: list[Image.Image] = []

    def steps(self, resume: Checkpoint | None = None) -> Iterator[Step]:
        first = self._beginning.start
        start = first if resume is None else first + resume.index + 1
        if resume is not None:
            self.latents = resume.state["xt"].to(self._prior.device)
        for step in steered(
            self._beginning.predict,
            self.latents,
            timesteps=self._timesteps,
            alphas_cumprod=self._prior.alphas_cumprod,
            start=start,
            change=self._beginning.change,
        ):
            done = step.index - first
            self.latents = step.xt if done == self.total - 1 else step.x0
            yield Step(done, self.total, self.images, state=partial(dict, xt=step.xt))

    def images(self) -> Tensor:
        """The estimates of the finished pictures, (B, 3, H, W); after the last step, these."""
        images = self._prior.decode(self.latents)
        top, left = (
            (drawn - wanted) // 2
            for drawn, wanted in zip(images.shape[-2:], self._size, strict=True)
        )
        return images[..., top : top + self._size[0], left : left + self._size[1]]

    @property
    def _size(self) -> tuple[int, int]:
        return self._settings.height, self._settings.width

    def film(self, frames: Sequence[Image.Image]) -> list[Image.Image]:
        self._film = list(frames)
        return self._film

    def products(self) -> dict[str, bytes]:
        pictures = [to_png_bytes(image, self._settings.prompt) for image in self.images()]
        files: dict[str, bytes] = {}
        if len(pictures) > 1:
            files |= {f"pictures/{k + 1:03d}.png": content for k, content in enumerate(pictures)}
        if self._settings.frames:
            files["frames.png"] = to_png_bytes(sheet(self._film, self.total))
        return {**files, PICTURE: pictures[0]}


def drawn_size(prior: Prior, settings: ElasticSettings) -> tuple[int, int]:
    """(H, W) of the picture before it is cropped, in whole cells of the prior.

    Raises:
        CourseError: the prior draws only pictures of one size.
    """
    size = settings.height, settings.width
    if isinstance(prior, GaussianMixturePrior):
        if size != prior.image_size:
            high, wide = prior.image_size
            raise CourseError(
                f"the exact prior draws only pictures of {high} x {wide} pixels; leave the size "
                "out, or choose another model."
            )
        return size
    high, wide = (ceil(side / UNIT) * UNIT for side in size)
    return high, wide


def rrg_weight(prior: Prior, settings: ElasticSettings, size: tuple[int, int]) -> float:
    """The weight of a cell, for latents of `size`; a warning says what a published one became."""
    if settings.rrg_weight is not None:
        return settings.rrg_weight
    assert settings.rrg_init_weight is not None
    alpha_bar_next = level(prior.alphas_cumprod, prior.timesteps(settings.steps)[1])
    weight = of_a_cell(
        settings.rrg_init_weight, (prior.latent_channels, *size), float(alpha_bar_next)
    )
    became = f"rrg_init_weight {settings.rrg_init_weight:g} is an rrg_weight of {weight:.3g} here"
    if weight > 1:
        became += ", which is more than all of the way; 1 is taken"
    warnings.warn(f"{became}.", stacklevel=2)
    return min(1.0, weight)


def module_name(settings: ElasticSettings) -> str:
    """The module of the seven functions; nothing where the method calls none of them."""
    return f"{settings.implementation}.elastic" if settings.method in OF_THE_STUDENT else ""


def check(settings: ElasticSettings) -> None:
    """Everything that fits its range can be drawn."""


def completed(settings: ElasticSettings) -> ElasticSettings:
    """The settings unchanged; nothing has to be filled in."""
    return settings


def load(settings: ElasticSettings) -> Prior:
    """The prior of the settings' model; it is sampled by DDIM whatever it came with.

    Raises:
        CourseError: it cannot be loaded.
    """
    prior = load_prior(settings.model, device=settings.device)
    with warnings_in_a_line():
        say_replaced_scheduler(prior)
    return prior


def begin(
    prior: Prior,
    method: ElasticFunctions | None,
    settings: ElasticSettings,
    *,
    out: Path | None = None,
) -> ElasticRun:
    """The run before its first step.

    Raises:
        CourseError: settings and prior do not fit together.
    """
    with warnings_in_a_line():
        return ElasticRun(
            prior,
            method,
            settings,
            seeds=range(settings.seed, settings.seed + settings.count),
        )
