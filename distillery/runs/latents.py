"""Score distillation on latents: from settings to a run. `main.py` without the name of a kind.

The picture's folder has particles/ if there are several, source.png for an edit, the latents, and
the LoRA of VSD; sources that were drawn because none was given lie in outputs/sources/.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor

from distillery.core.errors import CourseError
from distillery.core.images import from_pil, to_png_bytes
from distillery.core.notes import warnings_in_a_line
from distillery.methods.registry import METHODS
from distillery.methods.settings import Settings
from distillery.methods.source_image import Source, drawn_source, load_source
from distillery.models.load import load_prior
from distillery.models.lora import WEIGHTS, LoraDenoiser
from distillery.models.presets import suits
from distillery.models.prior import Prior
from distillery.runs.canvas import Canvas, LatentCanvas
from distillery.runs.latents_file import LATENTS, latents_file
from distillery.runs.optimise import (
    CanvasStep,
    Companion,
    LossFunction,
    distill,
    images_of,
    objective,
)
from distillery.runs.run import PICTURE, Checkpoint, Run, code_of

SOURCE_FIELDS = ("src_img_path",)


class LatentMethod(Protocol):
    """The module of a method: `loss`, or the function that `METHODS` names as its chain.

    It is called as `loss(prior, x0, *, text, uncond, step, settings, generator)`, for an edit with
    `source` and for VSD with `lora` too, and gives a scalar.
    """

    __file__: str | None

    def loss(self, *args: Any, **given: Any) -> Tensor: ...


class Distillation(Run):
    """The distillation of pictures on one canvas.

    Args:
        loss: of one step, as `distill` calls it.
        kept: name -> bytes of files written at the start, an edit's source.
        ingredients: bytes of the method's code and of the source.
    """

    may_make: ClassVar[Sequence[str]] = ("particles/*.png",)

    def __init__(
        self,
        canvas: Canvas,
        loss: LossFunction,
        *,
        prior: Prior,
        settings: Settings,
        generator: torch.Generator,
        companion: Companion | None = None,
        kept: dict[str, bytes] | None = None,
        ingredients: Sequence[bytes] = (),
    ) -> None:
        self.total, self.ingredients = settings.steps, ingredients
        self.canvas, self._loss, self._prior = canvas, loss, prior
        self._settings, self._generator, self._companion = settings, generator, companion
        self._kept = kept or {}

    def steps(self, resume: Checkpoint | None = None) -> Iterator[CanvasStep]:
        return distill(
            self.canvas,
            self._loss,
            prior=self._prior,
            settings=self._settings,
            generator=self._generator,
            companion=self._companion,
            resume=resume,
        )

    def images(self) -> Tensor:
        return images_of(self.canvas, self._prior)

    def products(self) -> dict[str, bytes]:
        """The source of an edit, each of several particles, latents and LoRA, and the picture."""
        title = self._settings.title
        pictures = [to_png_bytes(image, title) for image in self.images()]
        names = [f"particles/{number + 1:03d}.png" for number in range(len(pictures))]
        # A single one has its place already.
        particles = dict(zip(names, pictures, strict=True)) if len(pictures) > 1 else {}
        return {**self._kept, **particles, **self._for_others(), PICTURE: pictures[0]}

    def _for_others(self) -> dict[str, bytes]:
        """The latents and VSD's LoRA, as other programs read them."""
        settings, files = self._settings, {}
        if self.canvas.space == "latents":
            x0 = self.canvas.render()
            files[LATENTS] = latents_file(x0, model=settings.model, prompt=settings.title)
        lora = None if self._companion is None else self._companion.model
        if isinstance(lora, LoraDenoiser):
            files[WEIGHTS] = lora.saved()
        return files


def module_name(settings: Settings) -> str:
    """The module of the settings' method, "reference.sds" for one."""
    return METHODS[settings.loss_type].module_name(settings.implementation)


def check(settings: Settings) -> None:
    """Refuse an edit that lacks its prompt, and a drawing that is given one or a source picture.

    Raises:
        CourseError: says which.
    """
    if not METHODS[settings.loss_type].edits:
        if settings.edit_prompt or settings.src_img_path:
            editing = [name for name, method in METHODS.items() if method.edits]
            raise CourseError(
                f"{settings.loss_type} draws from noise and edits nothing; leave the edit prompt "
                f"and the source picture out, or choose {' or '.join(editing)}."
            )
        return
    if not settings.edit_prompt.strip():
        raise CourseError(
            f"{settings.loss_type} edits a picture: give the prompt of the source and the edit "
            "prompt, and the path of the source picture unless the model should draw it."
        )
    if settings.edit_prompt.strip() == settings.prompt.strip():
        raise CourseError(
            "the edit prompt is the same as the prompt, so there is nothing to change; say in the "
            "edit prompt what the picture should show."
        )
    if settings.particles != 1:
        raise CourseError(
            f"an edit changes one picture; particles must be 1, not {settings.particles}."
        )


def completed(settings: Settings) -> Settings:
    """The settings unchanged; nothing has to be filled in."""
    return settings


def load(settings: Settings) -> Prior:
    """The prior of the settings' model.

    Raises:
        CourseError: it cannot be loaded.
    """
    return load_prior(settings.model, device=settings.device)


def begin(prior: Prior, method: LatentMethod, settings: Settings, *, out: Path) -> Distillation:
    """The run as it is before its first step.

    Args:
        method: the module of `settings.loss_type`, from `guidance`, `reference` or the course.
        out: a source that must be drawn lies in its folder `sources`.

    Raises:
        CourseError: the source of an edit cannot be used.
    """
    how = METHODS[settings.loss_type]
    generator = torch.Generator(prior.device).manual_seed(settings.seed)
    code = code_of(method)
    with warnings_in_a_line():
        if not how.edits:
            return from_noise(
                prior,
                method,
                [settings.title] * settings.particles,
                settings,
                generator=generator,
                ingredients=[code],
            )
        source, kept = _source(prior, settings, out)
        return from_source(
            prior,
            method,
            source,
            [settings.title],
            settings,
            generator=generator,
            kept=kept,
            ingredients=[code, *kept.values()],
        )


def from_noise(
    prior: Prior,
    method: LatentMethod,
    prompts: Sequence[str],
    settings: Settings,
    *,
    generator: torch.Generator,
    ingredients: Sequence[bytes] = (),
) -> Distillation:
    """The distillation of one picture for each prompt, from noise.

    Args:
        generator: draws the noise and then every step's; on the prior's device.
    """
    shape = (len(prompts), prior.latent_channels, *prior.latent_size)
    canvas, how = LatentCanvas(*shape, generator=generator), METHODS[settings.loss_type]
    companion, given = None, dict[str, Any]()
    if how.learns:
        from distillery.runs.companion import lora_companion  # peft takes seconds

        companion = lora_companion(
            method, prior, prompts=prompts, settings=settings, generator=generator
        )
        given["lora"] = companion.model
    loss = objective(
        getattr(method, how.chain),
        prior,
        prompts=prompts,
        settings=settings,
        generator=generator,
        **given,
    )
    return Distillation(
        canvas,
        loss,
        prior=prior,
        settings=settings,
        generator=generator,
        companion=companion,
        ingredients=ingredients,
    )


def from_source(
    prior: Prior,
    method: LatentMethod,
    source: Source,
    prompts: Sequence[str],
    settings: Settings,
    *,
    generator: torch.Generator,
    kept: dict[str, bytes] | None = None,
    ingredients: Sequence[bytes] = (),
) -> Distillation:
    """The distillation of sources into what the prompts say, one prompt for each.

    A method that edits is given the `source` too; another one only begins there.
    """
    how = METHODS[settings.loss_type]
    loss = objective(
        getattr(method, how.chain),
        prior,
        prompts=prompts,
        settings=settings,
        generator=generator,
        **({"source": source} if how.edits else {}),
    )
    return Distillation(
        LatentCanvas.starting_at(source.x0),
        loss,
        prior=prior,
        settings=settings,
        generator=generator,
        kept=kept,
        ingredients=ingredients,
    )


def _source(prior: Prior, settings: Settings, out: Path) -> tuple[Source, dict[str, bytes]]:
    """The source of an edit, as the model sees it, and as it is saved with the result."""
    path = Path(settings.src_img_path) if settings.src_img_path else _drawn(prior, settings, out)
    picture = load_source(path, prior.image_size)
    kept = {"source.png": to_png_bytes(picture, settings.prompt)}
    mask = path.with_name(f"{path.stem}_mask.png")  # as the toybox's sources have one
    if mask.is_file():
        kept["source_mask.png"] = to_png_bytes(load_source(mask, prior.image_size))
    with torch.no_grad():
        x0 = prior.encode(from_pil(picture).to(prior.device))
    return Source(x0, prior.embed([settings.prompt])), kept


def _drawn(prior: Prior, settings: Settings, out: Path) -> Path:
    """The source of an edit that was given none."""
    return drawn_source(
        prior,
        settings.prompt,
        model=settings.model,
        guidance_scale=suits(settings.model, "sample")["guidance_scale"],
        cache=out / "sources",
        seed=settings.seed,
    )
