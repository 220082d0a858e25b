"""Plain text-to-image: samples of a model by DDIM, in a style or not. `python main.py sample`.

They are the baseline that every other kind of run is compared with. The frames show the estimate of
x0. The folder has the latents, and pictures/ if there are several.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from distillery.core.errors import CourseError
from distillery.core.images import to_png_bytes
from distillery.core.notes import warnings_in_a_line
from distillery.methods import ddim
from distillery.models.exact import GaussianMixturePrior
from distillery.models.load import load_prior
from distillery.models.prior import Prior
from distillery.models.style import load_style
from distillery.runs.latents_file import LATENTS, latents_file
from distillery.runs.run import PICTURE, Checkpoint, Run, Step
from distillery.runs.sample_settings import SampleSettings

SOURCE_FIELDS = ()


class Sampling(Run):
    """Deterministic DDIM (Song et al. 2021, arXiv 2010.02502) from noise to pictures.

    Args:
        noise: latents (B, C, h, w) that the way begins with.
    """

    may_make: ClassVar[Sequence[str]] = ("pictures/*.png",)

    def __init__(self, prior: Prior, settings: SampleSettings, noise: Tensor) -> None:
        self.total = settings.steps
        self.latents = noise
        self._prior, self._settings = prior, settings
        self._text = prior.embed([settings.prompt] * len(noise))
        self._uncond = prior.embed([settings.negative_prompt] * len(noise))

    def steps(self, resume: Checkpoint | None = None) -> Iterator[Step]:
        start = 0 if resume is None else resume.index + 1
        if resume is not None:
            self.latents = resume.state["xt"].to(self._prior.device)
        for step in ddim.sample(
            self._prior,
            self.latents,
            text=self._text,
            uncond=self._uncond,
            guidance_scale=self._settings.guidance_scale,
            timesteps=self._prior.timesteps(self.total),
            start=start,
        ):
            self.latents = step.xt if step.index == self.total - 1 else step.x0
            yield Step(step.index, self.total, self.images, state=partial(dict, xt=step.xt))

    def images(self) -> Tensor:
        """The estimates of the finished pictures, (B, 3, H, W); after the last step, these."""
        return self._prior.decode(self.latents)

    def products(self) -> dict[str, bytes]:
        """Each of several pictures, the latents of all, and the first picture."""
        pictures = [to_png_bytes(image, self._settings.prompt) for image in self.images()]
        names = [f"pictures/{number + 1:03d}.png" for number in range(len(pictures))]
        several = dict(zip(names, pictures, strict=True)) if len(pictures) > 1 else {}
        told = {"model": self._settings.model, "prompt": self._settings.prompt}
        return {**several, LATENTS: latents_file(self.latents, **told), PICTURE: pictures[0]}


def module_name(settings: SampleSettings) -> str:
    """A sampler needs no functions of the course."""
    return ""


def check(settings: SampleSettings) -> None:
    """Everything that fits its range can be sampled."""


def completed(settings: SampleSettings) -> SampleSettings:
    """The settings unchanged; nothing has to be filled in."""
    return settings


def load(settings: SampleSettings) -> Prior:
    """The prior of the settings' model, in their style.

    Raises:
        CourseError: it cannot be loaded, or draws no pictures of the size.
    """
    prior = load_prior(settings.model, device=settings.device)
    if isinstance(prior, GaussianMixturePrior) and settings.size not in (None, prior.image_size):
        raise CourseError(
            f"{settings.model} draws only pictures of {prior.image_size[0]} x "
            f"{prior.image_size[1]} pixels; leave the size out, or choose another model."
        )
    if settings.lora:
        load_style(prior, settings.lora, scale=settings.lora_scale)
    return prior


def begin(
    prior: Prior, method: None, settings: SampleSettings, *, out: Path | None = None
) -> Sampling:
    """The run before its first step: noise of the settings' seed."""
    latent_size = prior.latent_size_of(settings.size or prior.image_size)
    generator = torch.Generator(prior.device).manual_seed(settings.seed)
    shape = (settings.count, prior.latent_channels, *latent_size)
    noise = torch.randn(shape, generator=generator, device=prior.device)
    with warnings_in_a_line():
        return Sampling(prior, settings, noise)
