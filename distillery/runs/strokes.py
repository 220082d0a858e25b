"""A picture from a stroke painting and a prompt. `python main.py strokes`.

The frames show the estimate of the finished picture. The folder has painting.png as the model sees
it, labels.png where there are regions, pictures/ where there are several pictures, and frames.png
where a sheet of the steps is asked for.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar, cast

from PIL import Image
from torch import Tensor

from distillery.core.errors import CourseError
from distillery.core.images import to_png_bytes
from distillery.core.notes import warnings_in_a_line
from distillery.methods import stroke_methods
from distillery.methods.guided_ddim import Predict, fresh_noise, steered
from distillery.methods.painting_operators import operator
from distillery.methods.region_control import Way, region_predict
from distillery.methods.strokes import Paint, Painting, StrokeFunctions
from distillery.models.latent_rgb import latent_rgb
from distillery.models.load import load_lora, load_prior
from distillery.models.prior import Prior, guided_noise
from distillery.runs import painting_file, region_labels
from distillery.runs.frame_sheet import sheet
from distillery.runs.region_labels import Labels
from distillery.runs.run import PICTURE, Checkpoint, Run, Step, code_of
from distillery.runs.stroke_settings import NO_LORA, StrokeSettings, words_of

SOURCE_FIELDS = ("img_path", "regions")
ADVICE = "name one by --img_path, for example one of data/strokes"


class StrokeRun(Run):
    """The steps of one method on one painting.

    Args:
        functions: the module of the student's functions.
        painting: RGBA, of the picture's size.
        labels: of the same size, or None.
        seeds: one for each picture.

    Raises:
        CourseError: the settings do not fit the prior, or a region is too small for it.
    """

    may_make: ClassVar[Sequence[str]] = ("pictures/*.png", "labels.png", "frames.png")

    def __init__(
        self,
        prior: Prior,
        functions: StrokeFunctions,
        settings: StrokeSettings,
        painting: Image.Image,
        labels: Labels | None = None,
        *,
        seeds: Sequence[int],
    ) -> None:
        self._prior, self._settings = prior, settings
        self._kept = {"painting.png": to_png_bytes(painting, settings.prompt)}
        if labels is not None:
            self._kept["labels.png"] = to_png_bytes(region_labels.picture_of(labels))
        self.ingredients = [code_of(functions), *self._kept.values()]
        self._timesteps = prior.timesteps(settings.steps)
        self._predict = _prediction(prior, functions, settings, labels, count=len(seeds))
        given = painting_file.for_model(prior, painting, count=len(seeds))
        self._beginning = _beginning(prior, functions, settings, given, self._timesteps, seeds)
        self.total = settings.steps - self._beginning.start
        self.latents = self._beginning.xt
        self._film: list[Image.Image] = []

    def steps(self, resume: Checkpoint | None = None) -> Iterator[Step]:
        first = self._beginning.start
        start = first if resume is None else first + resume.index + 1
        if resume is not None:
            self.latents = resume.state["xt"].to(self._prior.device)
        for step in steered(
            self._predict,
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
        return self._prior.decode(self.latents)

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
        return {**files, PICTURE: pictures[0]}


def _prediction(
    prior: Prior,
    functions: StrokeFunctions,
    settings: StrokeSettings,
    labels: Labels | None,
    *,
    count: int,
) -> Predict:
    """The noise to follow, with words bound to regions where there are labels."""
    if labels is None:
        return guided_noise(
            prior,
            text=prior.embed([settings.prompt] * count),
            uncond=prior.embed([settings.negative_prompt] * count),
            guidance_scale=settings.guidance_scale,
        )
    words = words_of(settings.words)
    return region_predict(
        prior,
        functions,
        prompt=settings.prompt,
        words=words,
        masks=region_labels.masks_of(labels, words, prior),
        way=cast(Way, settings.region_control),
        guidance_scale=settings.guidance_scale,
        strength=settings.region_strength,
        negative_prompt=settings.negative_prompt,
    )


def _beginning(
    prior: Prior,
    functions: StrokeFunctions,
    settings: StrokeSettings,
    painting: Painting,
    timesteps: Tensor,
    seeds: Sequence[int],
) -> stroke_methods.Beginning:
    """The method at its beginning, once all functions that it will call are known to be written."""
    paint = operator(settings.operator, functions, painting, settings.width)
    _call_once(functions, settings, painting, paint, timesteps, prior.alphas_cumprod)
    # The map is fitted on drawings, which takes a moment; only these methods ask for it.
    linear = settings.guide == "linear" and settings.method in stroke_methods.NEED_DECODER
    return stroke_methods.begin(
        settings.method,
        functions,
        painting,
        settings.knobs(),
        timesteps=timesteps,
        alphas_cumprod=prior.alphas_cumprod,
        noise=fresh_noise(tuple(painting.latents.shape[1:]), seeds, device=prior.device),
        decode=latent_rgb(prior) if linear else prior.decode_with_grad,
        paint=paint,
    )


def _call_once(
    functions: StrokeFunctions,
    settings: StrokeSettings,
    painting: Painting,
    paint: Paint,
    timesteps: Tensor,
    alphas_cumprod: Tensor,
) -> None:
    """Call what the method will call later on, so that a stub speaks before any step is taken."""
    latents = painting.latents
    if settings.method == "low-frequencies":
        functions.paint(latents, settings.width)
    if settings.method in stroke_methods.NEED_DECODER:
        functions.faithfulness_loss(paint, painting.image, painting.image, painting.mask)
    if settings.method == "x0-guidance":
        functions.x0_estimate(latents, latents, alphas_cumprod[timesteps[:1]].view(1, 1, 1, 1))
    if settings.method.startswith("gradop+"):
        functions.burst(
            lambda x0: x0.sum((1, 2, 3)), latents, latents, timesteps, 0, alphas_cumprod, 0, 0.1
        )


def module_name(settings: StrokeSettings) -> str:
    """The module of the seven functions."""
    return f"{settings.implementation}.strokes"


def check(settings: StrokeSettings) -> None:
    """Read the painting and the labels, before any model is loaded.

    Raises:
        CourseError: one of them cannot be used.
    """
    _read(settings)


def _read(settings: StrokeSettings) -> tuple[Image.Image, Labels | None]:
    """The painting and the labels as they are."""
    if not settings.img_path:
        raise CourseError(f"there is no painting; {ADVICE}.")
    painting = painting_file.read_painting(Path(settings.img_path))
    if not settings.regions:
        return painting, None
    words = words_of(settings.words)
    return painting, region_labels.read_labels(Path(settings.regions), words, painting.size)


def completed(settings: StrokeSettings) -> StrokeSettings:
    """The settings unchanged; nothing has to be filled in."""
    return settings


def load(settings: StrokeSettings) -> Prior:
    """The prior of the settings' model, with its LoRA; it is sampled by DDIM whatever it came with.

    Raises:
        CourseError: a part of it cannot be loaded.
    """
    prior = load_prior(settings.model, device=settings.device)
    if settings.lora not in ("", NO_LORA):
        load_lora(prior, settings.lora)
    with warnings_in_a_line():
        say_replaced_scheduler(prior)
    return prior


def say_replaced_scheduler(prior: Prior) -> None:
    """Warn that a model saved with another scheduler is sampled by DDIM."""
    saved = getattr(prior, "saved_scheduler", "DDIMScheduler")
    if saved != "DDIMScheduler":
        warnings.warn(
            f"the model's {saved} is replaced by DDIM, which has no memory of earlier steps that "
            "a change on the way would make wrong.",
            stacklevel=2,
        )


def begin(
    prior: Prior, method: StrokeFunctions, settings: StrokeSettings, *, out: Path | None = None
) -> StrokeRun:
    """The run before its first step.

    Raises:
        CourseError: painting, labels and prior do not fit together.
    """
    painting, labels = _read(settings)
    with warnings_in_a_line():
        return of_painting(
            prior,
            method,
            settings,
            painting,
            labels,
            seeds=range(settings.seed, settings.seed + settings.count),
        )


def of_painting(
    prior: Prior,
    functions: StrokeFunctions,
    settings: StrokeSettings,
    painting: Image.Image,
    labels: Labels | None = None,
    *,
    seeds: Sequence[int],
) -> StrokeRun:
    """The run on a painting (RGBA) and its labels of any size, which are fitted to the model."""
    frame = painting_file.frame_for(prior, painting.size, settings.size)
    if labels is not None:
        labels = region_labels.fitted_labels(labels, frame)
        warnings.warn(region_labels.where(labels, words_of(settings.words)), stacklevel=2)
    painting = painting_file.fitted(painting, frame)
    return StrokeRun(prior, functions, settings, painting, labels, seeds=seeds)
