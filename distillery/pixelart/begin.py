"""Pixel art: from settings to a run. `python main.py pixelart`.

The picture is indexed with exactly the palette. Its folder has large.png, soft.png, palette.hex,
layers/, agreement.json, start.png and what the ControlNets saw.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import torch
from PIL import Image
from torch import Tensor

from distillery.core.errors import CourseError
from distillery.core.images import Picture, enlarged, read_any, to_png_bytes, to_rgb
from distillery.models.exact import GaussianMixturePrior
from distillery.models.load import load_controlnets, load_lora, load_prior
from distillery.models.presets import find_preset
from distillery.models.prior import Control, Prior
from distillery.models.stable_diffusion import StableDiffusionPrior
from distillery.palettes import to_hex
from distillery.pixelart import debug_pictures, initial_grid
from distillery.pixelart.canvas import PaletteCanvas
from distillery.pixelart.caption import described
from distillery.pixelart.clip_choice import favourite, moments
from distillery.pixelart.indexed_png import indexed, layers
from distillery.pixelart.initial_grid import Start, controls_for
from distillery.pixelart.kept_picture import misfit
from distillery.pixelart.method import PixelMethod
from distillery.pixelart.moments import Moments
from distillery.pixelart.settings import PixelSettings
from distillery.runs.optimise import CanvasStep, LossFunction, distill
from distillery.runs.run import PICTURE, Checkpoint, Run, code_of

SOURCE_FIELDS = ("input_image",)


class PixelArt(Run):
    """The distillation of one grid of palette colours.

    At the end of the steps the canvas is as it was at the moment that CLIP likes best, where the
    settings leave it a choice.

    Args:
        start: where the run begins, with the palette.
        controls: what the ControlNets are shown.
        canvas: the logits that are optimised.
        loss: `loss(logits, index)` of one step, a scalar.
        code: bytes of the method's code.
        effort: the share of the steps that are computed; see `distill`.
    """

    may_make: ClassVar[Sequence[str]] = ("layers/*.png", "control_*.png", "start.png")

    def __init__(
        self,
        start: Start,
        controls: Sequence[Control],
        canvas: PaletteCanvas,
        loss: LossFunction,
        *,
        prior: Prior,
        settings: PixelSettings,
        generator: torch.Generator,
        code: bytes = b"",
        effort: float = 1.0,
    ) -> None:
        self.start, self.controls, self.canvas = start, list(controls), canvas
        self.settings, self.total = settings, settings.steps
        self.moments = Moments(canvas, moments(settings))
        self._loss, self._prior, self._generator, self._effort = loss, prior, generator, effort
        parts = (start.logits, start.palette, start.clear)
        self.ingredients = [
            code,
            *(part.cpu().numpy().tobytes() for part in parts if part is not None),
        ]

    def steps(self, resume: Checkpoint | None = None) -> Iterator[CanvasStep]:
        if resume is not None:
            self.moments.logits = resume.state["moments"].to(self.moments.logits.device)
        for step in distill(
            self.canvas,
            self._loss,
            prior=self._prior,
            settings=self.settings,
            generator=self._generator,
            resume=resume,
            picture=self.picture,
            effort=self._effort,
        ):
            self.moments.keep(self.canvas, step.index)
            yield replace(step, state=partial(self._state, step))
        if self.moments.indices:
            grids = [self._indexed(logits.argmax(dim=0)) for logits in self.moments.logits]
            chosen = favourite(grids, self.settings, device=self._prior.device)
            self.moments.take(self.canvas, chosen)

    def _state(self, step: CanvasStep) -> dict[str, Any]:
        return {**step.state(), "moments": self.moments.logits}

    def picture(self) -> Image.Image:
        """The grid as it is now, indexed with the palette; it carries the prompt."""
        picture = self._indexed(self.canvas.indices()[0])
        picture.info["prompt"] = self.settings.title
        return picture

    def images(self) -> Tensor:
        """The chosen colours as they are now, (B, 3, h, w) in [-1, 1]; transparent cells white."""
        images = 2 * self.start.palette[self.canvas.indices()].movedim(3, 1) - 1
        return images if self.start.clear is None else images.masked_fill(self.start.clear, 1.0)

    def film(self, frames: Sequence[Image.Image]) -> list[Image.Image]:
        """The frames, and the result where it is of an earlier moment."""
        result = self._indexed(self.canvas.indices()[0])
        same = result.tobytes() == frames[-1].tobytes()
        return [*frames] if same else [*frames, result]

    def enlarged(self, frame: Image.Image) -> Image.Image:
        return enlarged(frame)

    def debug_pictures(self, index: int) -> Mapping[str, Picture]:
        return debug_pictures.pictures(self.canvas, self.start, self.controls, self.settings, index)

    def scalars(self) -> Mapping[str, float]:
        """The mean entropy, and how far soft and hard picture agree."""
        return {
            "entropy": self.canvas.entropy().mean().item(),
            "agreement": self.canvas.agreement(),
        }

    def products(self) -> dict[str, bytes]:
        taken = self.total - 1 if self.moments.taken is None else self.moments.taken
        ends = {"soft_and_hard": self.canvas.agreement(), "steps_to_result": taken + 1}
        codes = "".join(f"{code[1:]}\n" for code in to_hex(self.start.palette))
        return {
            **{name: to_png_bytes(picture) for name, picture in self._pictures().items()},
            "palette.hex": codes.encode(),
            "agreement.json": json.dumps(ends).encode(),
            PICTURE: to_png_bytes(self.picture(), self.settings.title),
        }

    def _pictures(self) -> dict[str, Picture]:
        """What is kept of the canvas and of what it began from, by file name."""
        start, weights = self.start, self.canvas.render().detach().softmax(dim=1)[0]
        soft = 2 * torch.einsum("khw,kc->chw", weights, start.palette) - 1
        if start.clear is not None:
            weights, soft = weights.masked_fill(start.clear, 0), soft.masked_fill(start.clear, 1)
        hard = self._indexed(self.canvas.indices()[0])
        pictures: dict[str, Picture] = {"large.png": enlarged(hard), "soft.png": soft}
        for number, layer in enumerate(layers(weights, start.palette)):
            pictures[f"layers/{number:03d}.png"] = layer
        for control in self.controls:
            pictures[f"control_{control.kind}.png"] = 2 * control.image - 1
        if start.picture is not None:
            pictures["start.png"] = start.picture
        return pictures

    def _indexed(self, indices: Tensor) -> Image.Image:
        return indexed(indices, self.start.palette, self.start.clear)


def module_name(settings: PixelSettings) -> str:
    """The module of the eight functions."""
    return f"{settings.implementation}.pixelart"


def check(settings: PixelSettings) -> None:
    """Read the palette and the picture that the settings name, before any model is loaded.

    Raises:
        CourseError: one of them cannot be used.
    """
    initial_grid.check(settings)


def completed(settings: PixelSettings) -> PixelSettings:
    """The settings with a caption of the input image where there is no prompt.

    A warning says the caption, or that there is none to be believed. Then the run has no prompt,
    and keeps to the picture.

    Raises:
        CourseError: no caption was found, and without one there is nothing to start from.
    """
    if settings.prompt.strip():
        return settings
    name, starts = settings.input_image, settings.start in ("image", "painted")
    words, believed = described(to_rgb(read_any(Path(name))), find_preset(settings.model))
    if words and believed:
        warnings.warn(
            f'the caption of {name} is "{words}", and the run steers to it; --prompt says '
            "something else.",
            stacklevel=2,
        )
        return replace(settings, prompt=words)
    if not words or not starts:
        raise CourseError(f"no caption was found for {name}; say in the prompt what to draw.")
    warnings.warn(
        f"{name} is no drawing of the toybox, which the embedded models alone know (they call it "
        f'"{words}"); the run keeps to the picture, and --prompt steers it to words.',
        stacklevel=2,
    )
    return replace(settings, prompt="")


def load(settings: PixelSettings) -> Prior:
    """The prior that the settings ask for, with its autoencoder, ControlNets and LoRA.

    Raises:
        CourseError: a part of it cannot be loaded.
    """
    prior = load_prior(settings.model, device=settings.device, vae=settings.vae or None)
    if isinstance(prior, GaussianMixturePrior) and prior.image_size != settings.canvas:
        raise CourseError(
            f"{settings.model} draws only pictures of {prior.image_size[0]} x "
            f"{prior.image_size[1]} pixels, not {settings.canvas[0]} x {settings.canvas[1]}; "
            "choose tiny-sdxl or another diffusion model."
        )
    scales = {"canny": settings.canny, "depth": settings.depth}
    if settings.start != "noise" and settings.prompt:
        load_controlnets(prior, settings.model, [kind for kind, scale in scales.items() if scale])
    if settings.lora:
        load_lora(prior, settings.lora, scale=settings.lora_scale)
    return prior


def begin(
    prior: Prior, method: PixelMethod, settings: PixelSettings, *, out: Path | None = None
) -> PixelArt:
    """The run as it is before its first step.

    Args:
        method: `reference.pixelart` or `guidance.pixelart`.
        out: plays no part; a run reads the files that its settings name.

    Raises:
        CourseError: the input image or the palette cannot be used.
    """
    generator = torch.Generator(prior.device).manual_seed(settings.seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # `check` has said how the picture does not fit
        start = initial_grid.begin(prior, method, settings, generator=generator)
    return begin_from(prior, method, settings, start, generator=generator)


def begin_from(
    prior: Prior,
    method: PixelMethod,
    settings: PixelSettings,
    start: Start,
    *,
    generator: torch.Generator | None = None,
    effort: float = 1.0,
) -> PixelArt:
    """The run from a start of one's own.

    Args:
        start: its logits are multiplied by the settings' sureness.
        generator: by default one of the settings' seed, on the prior's device.
        effort: the share of the steps that are computed; see `distill`.
    """
    generator = generator or torch.Generator(prior.device).manual_seed(settings.seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        controls = controls_for(start.picture, settings)
    canvas = PaletteCanvas(settings.sureness * start.logits, clip_norm=settings.clip_norm)
    loss = _loss(prior, method, settings, start, controls, generator)
    return PixelArt(
        start,
        controls,
        canvas,
        loss,
        prior=prior,
        settings=settings,
        generator=generator,
        code=code_of(method),
        effort=effort,
    )


def _loss(
    prior: Prior,
    method: PixelMethod,
    settings: PixelSettings,
    start: Start,
    controls: Sequence[Control],
    generator: torch.Generator,
) -> LossFunction:
    """The loss of a step; without words it is how far the cells are from the picture."""
    if not settings.prompt and start.picture is not None:
        far = misfit(start.picture, start.palette, settings.size)
        return lambda logits, index: (logits.softmax(dim=1) * far).sum(dim=1).mean()
    text = prior.embed([settings.prompt])
    uncond = prior.embed([settings.negative_prompt])
    if isinstance(prior, StableDiffusionPrior):
        prior.rest_text_encoders()

    def loss(logits: Tensor, index: int) -> Tensor:
        return method.loss(
            prior,
            logits,
            palette=start.palette,
            text=text,
            uncond=uncond,
            controls=controls,
            step=index,
            settings=settings,
            generator=generator,
            clear=start.clear,
        )

    return loss
