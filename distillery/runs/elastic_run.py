"""The run of a picture of any size: its steps, what it costs, and what is kept of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, cast

import torch
from PIL import Image
from torch import Tensor

from distillery.core.images import to_png_bytes
from distillery.methods import elastic_methods
from distillery.methods.any_size import ElasticFunctions, Wanted, pixels_per_cell
from distillery.methods.guided_ddim import steered
from distillery.methods.network_samples import CountedPrior, network_samples, table
from distillery.methods.tiled_decode import decode_in_tiles
from distillery.models.prior import Control, Prior
from distillery.runs import cost
from distillery.runs.control_picture import controls_for
from distillery.runs.cost import duration, seconds_a_sample
from distillery.runs.elastic_fit import (
    OF_ITS_OWN,
    call_once,
    cell_weight,
    check_fit,
    drawn_size,
    is_whole,
)
from distillery.runs.elastic_settings import ElasticSettings
from distillery.runs.frame_sheet import sheet
from distillery.runs.run import PICTURE, Checkpoint, Run, Step, code_of
from distillery.runs.score_pictures import HeardFunctions, Scores

DIFFERS = 0.01  # of the network samples, from which on it is said that they were more or fewer


class ElasticRun(Run):
    """The steps of one method.

    Args:
        local: what windows ask, the model with an adapter for parts of pictures or without.
        functions: the module of the student's functions, which some methods do not need.
        condition: the picture that a ControlNet holds the drawing to.
        seeds: one for each picture.

    Raises:
        CourseError: the settings do not fit the prior.
    """

    may_make: ClassVar[Sequence[str]] = (
        "pictures/*.png",
        "control_*.png",
        "frames.png",
        "pca.png",
        "pca/*.png",
    )

    def __init__(
        self,
        prior: Prior,
        functions: ElasticFunctions | None,
        settings: ElasticSettings,
        condition: Image.Image | None = None,
        *,
        local: Prior,
        seeds: Sequence[int],
    ) -> None:
        self._prior, self._settings = prior, settings
        drawn = drawn_size(prior, settings)
        size = prior.latent_size_of(drawn)
        check_fit(prior, settings, size)
        call_once(cast(ElasticFunctions, functions), settings)
        controls = controls_for(prior, settings, condition, drawn)
        self._kept = {
            f"control_{one.kind}.png": to_png_bytes(2 * one.image - 1) for one in controls
        }
        self.ingredients = [code_of(functions), *self._kept.values()]
        whole = is_whole(prior, settings, size)
        if whole:
            local = prior  # what is no larger than trained is itself a small picture
        self._asked = CountedPrior(prior)
        self._asked_local = self._asked if local is prior else CountedPrior(local)
        heard = HeardFunctions(cast(ElasticFunctions, functions))
        self._scores = Scores(heard if settings.method == "elastic" else self._asked_local)
        self._task = elastic_methods.Task(
            prior=cast(Prior, self._asked),
            local=cast(Prior, self._asked_local),
            functions=cast(ElasticFunctions, heard),
            wanted=Wanted(
                size,
                text=prior.embed([settings.prompt] * len(seeds)),
                uncond=prior.embed([settings.negative_prompt] * len(seeds)),
                guidance_scale=settings.guidance_scale,
                controls=[_for_each(one, len(seeds)) for one in controls],
                view_batch_size=settings.view_batch_size,
            ),
            knobs=settings.knobs(rrg_weight=cell_weight(prior, settings, size)),
            timesteps=prior.timesteps(settings.steps),
            seeds=tuple(seeds),
        )
        from_noise = whole and settings.method in OF_ITS_OWN  # whatever the strength
        self.total = settings.steps - (0 if from_noise else settings.first_step)
        self.latents = torch.empty(0)  # those of the latest step
        self._film: list[Image.Image] = []
        self._is_counted = True

    def steps(self, resume: Checkpoint | None = None) -> Iterator[Step]:
        task = self._task
        beginning = elastic_methods.begin(self._settings.method, task)
        start, self.latents = beginning.start, beginning.xt
        if resume is not None:
            start += resume.index + 1
            self.latents = resume.state["xt"].to(self._prior.device)
            self._scores.go_on(resume.state["scores"])
            self._is_counted = False
        for step in steered(
            beginning.predict,
            self.latents,
            timesteps=task.timesteps,
            alphas_cumprod=self._prior.alphas_cumprod,
            start=start,
            change=beginning.change,
        ):
            done = step.index - beginning.start
            self.latents = step.xt if done == self.total - 1 else step.x0
            if self._settings.pca:
                self._scores.keep()
            yield Step(done, self.total, self.images, state=partial(self._state, step.xt))

    def _state(self, xt: Tensor) -> dict[str, Any]:
        return {"xt": xt, "scores": self._scores.state()}

    def images(self) -> Tensor:
        """The estimates of the finished pictures, (B, 3, H, W); after the last step, these."""
        if self._settings.tiled_decoder:
            images = decode_in_tiles(self._prior, self.latents)
        else:
            images = self._prior.decode(self.latents)
        high, wide = self._settings.height, self._settings.width
        top, left = (images.shape[-2] - high) // 2, (images.shape[-1] - wide) // 2
        return images[..., top : top + high, left : left + wide]

    def foreword(self) -> str:
        """Of a long run, the network samples part by part, and about how long it takes."""
        parts, count = self._parts(), len(self._task.seeds)
        a_sample = self._seconds_a_sample()
        seconds = a_sample * sum(parts.values()) * count
        if seconds < cost.LONG:
            return ""
        words = f"{count} pictures take" if count > 1 else "the picture takes"
        return (
            f"{table(parts, steps=self._settings.steps)}\n{words} about {duration(seconds)}, at "
            f"{duration(a_sample)} a sample"
        )

    def afterword(self) -> str:
        """Nothing, unless more or fewer network samples were taken than the formula says."""
        said = sum(self._parts().values())
        counted = self.samples / len(self._task.seeds)
        if not self._is_counted or abs(counted - said) <= DIFFERS * said:
            return ""
        return (
            f"note: the network was asked for {counted:.0f} samples a picture, and by the formula "
            f"it is {said:.0f}."
        )

    @property
    def samples(self) -> float:
        """How many network samples were taken so far, for all pictures together."""
        same = self._asked_local is self._asked
        return self._asked.samples + (0.0 if same else self._asked_local.samples)

    def _parts(self) -> dict[str, float]:
        task = self._task
        return network_samples(
            self._prior,
            self._settings.method,
            task.wanted.size,
            task.knobs,
            steps=self._settings.steps,
        )

    def _seconds_a_sample(self) -> float:
        task = self._task
        return seconds_a_sample(
            self._prior, task.wanted.text, task.wanted.uncond, task.timesteps[:1]
        )

    def film(self, frames: Sequence[Image.Image]) -> list[Image.Image]:
        self._film = list(frames)
        return self._film

    def products(self) -> dict[str, bytes]:
        pictures = [to_png_bytes(image, self._settings.prompt) for image in self.images()]
        files = dict(self._kept)
        if len(pictures) > 1:
            files |= {f"pictures/{k + 1:03d}.png": content for k, content in enumerate(pictures)}
        if self._settings.frames:
            files["frames.png"] = to_png_bytes(sheet(self._film, self.total))
        if self._settings.pca:
            pixels, _ = pixels_per_cell(self._prior)
            files |= self._scores.files(self._film, pixels)
        return {**files, PICTURE: pictures[0]}


def _for_each(control: Control, count: int) -> Control:
    """A control of one picture, for so many."""
    return replace(control, image=control.image.expand(count, -1, -1, -1))
