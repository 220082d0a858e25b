"""Fine-tuning a LoRA on a folder of pictures with captions. `python main.py finetune FOLDER`.

LoRA (Hu et al. 2021, arXiv 2106.09685), with prior preservation (DreamBooth, Ruiz et al. 2023,
arXiv 2208.12242) if it is asked for. The pictures are encoded once, at the beginning.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor
from tqdm import tqdm

from distillery.core.errors import CourseError
from distillery.core.notes import warnings_in_a_line
from distillery.core.settings import LONGEST_TEXT
from distillery.models.load import load_prior
from distillery.models.prior import Condition, Prior, cat
from distillery.models.stable_diffusion import StableDiffusionPrior
from distillery.runs.finetune_data import Example, check_pictures, load_pictures, read_folder
from distillery.runs.finetune_run import Finetuning, Lessons, Sheet
from distillery.runs.finetune_settings import FinetuneSettings
from distillery.runs.run import code_of

SOURCE_FIELDS = ("folder",)
SHOWN = 4  # captions on the sheet, where no prompts are given
AT_ONCE = 8  # pictures or captions that are encoded together
SOON = 1.0  # seconds; what takes less has no bar


def module_name(settings: FinetuneSettings) -> str:
    return f"{settings.implementation}.morph"


def check(settings: FinetuneSettings) -> None:
    """Refuse a folder that cannot be learned from; every picture is opened.

    They are decoded once, at the beginning of the run. One that is damaged behind its beginning is
    found then, before the first step.

    Raises:
        CourseError: says what is wrong with it.
    """
    check_pictures(read_folder(Path(settings.folder)))


def completed(settings: FinetuneSettings) -> FinetuneSettings:
    """The settings with captions of the folder for the validation sheet, if none were given."""
    if settings.validation_prompts is not None:
        return settings
    captions = sorted({one.caption[:LONGEST_TEXT] for one in read_folder(Path(settings.folder))})
    every = max(1, len(captions) // SHOWN)
    return replace(settings, validation_prompts=tuple(captions[::every][:SHOWN]))


def load(settings: FinetuneSettings) -> Prior:
    """The prior of the settings' model.

    Raises:
        CourseError: it cannot be loaded.
    """
    return load_prior(settings.model, device=settings.device)


def begin(prior: Prior, method: Any, settings: FinetuneSettings, *, out: Path) -> Finetuning:
    """The run before its first step: everything that it learns from, encoded.

    Raises:
        CourseError: the model has no UNet, the pictures cannot be used, or `out` lies among them.
    """
    if not isinstance(prior, StableDiffusionPrior):
        raise CourseError(
            f"{settings.model} has no UNet for a LoRA; choose a Stable Diffusion or SDXL model."
        )
    settings, folder = completed(settings), Path(settings.folder)
    if out.resolve().is_relative_to(folder.resolve()):
        raise CourseError(f"{out} lies in the folder of the pictures; choose another --out.")
    examples = read_folder(folder)
    with warnings_in_a_line():
        lessons = _lessons(prior, settings, examples)
        sheet = _sheet(prior, settings)
    prior.unet.to(memory_format=torch.channels_last)
    prior.rest_text_encoders()
    return Finetuning(
        prior,
        method,
        settings,
        lessons,
        sheet,
        ingredients=[code_of(method), *_digests(folder, examples)],
        out=out,
    )


def _digests(folder: Path, examples: Sequence[Example]) -> list[bytes]:
    """What tells one set of pictures and captions from another."""
    digests = []
    for example in examples:
        told = f"{example.path.relative_to(folder).as_posix()}\n{example.caption}\n".encode()
        digests.append(hashlib.sha256(told + example.path.read_bytes()).digest())
    return digests


@torch.no_grad()
def _lessons(
    prior: StableDiffusionPrior, settings: FinetuneSettings, examples: Sequence[Example]
) -> Lessons:
    captions = [example.caption for example in examples]
    count = settings.prior_pictures if settings.prior_weight else 0
    prompts = [captions[k % len(captions)] for k in range(count)]
    return Lessons(
        _encoded(prior, settings, examples),
        _drawn_before(prior, settings, prompts),
        _embedded(prior, [*captions, *prompts, ""]),
    )


def _encoded(
    prior: StableDiffusionPrior, settings: FinetuneSettings, examples: Sequence[Example]
) -> Tensor:
    """Latents (N, V, C, h, w) on the CPU; the second view is the mirrored picture's."""
    latents = []
    with _bar("pictures encoded", len(examples)) as bar:
        for start in range(0, len(examples), AT_ONCE):
            images = load_pictures(examples[start : start + AT_ONCE], settings.size)
            views = [images, images.flip(-1)] if settings.flip else [images]
            each = [prior.encode(view.to(prior.device)).cpu() for view in views]
            latents.append(torch.stack(each, dim=1))
            bar.update(len(images))
    return torch.cat(latents)


def _drawn_before(
    prior: StableDiffusionPrior, settings: FinetuneSettings, prompts: Sequence[str]
) -> Tensor:
    """What the model draws of the prompts before it learns, latents (M, 1, C, h, w) on the CPU."""
    shape = (0, 1, prior.latent_channels, *prior.latent_size_of(settings.size))
    latents = [torch.zeros(shape)]
    generator = torch.Generator(prior.device).manual_seed(settings.seed)
    with _bar("pictures drawn before", len(prompts)) as bar:
        for start in range(0, len(prompts), AT_ONCE):
            drawn = prior.sample(
                prompts[start : start + AT_ONCE],
                guidance_scale=settings.guidance_scale,
                generator=generator,
                size=settings.size,
            )
            latents.append(drawn.cpu()[:, None])
            bar.update(len(drawn))
    return torch.cat(latents)


def _bar(what: str, total: int) -> tqdm[NoReturn]:
    return tqdm(desc=what, total=total, unit="picture", delay=SOON)


def _embedded(prior: StableDiffusionPrior, texts: Sequence[str]) -> Condition:
    """The condition of the texts, on the CPU."""
    starts = range(0, len(texts), AT_ONCE)
    return cat([prior.embed(texts[k : k + AT_ONCE]).to("cpu") for k in starts])


def _sheet(prior: StableDiffusionPrior, settings: FinetuneSettings) -> Sheet:
    prompts = settings.validation_prompts
    shape = (len(prompts), prior.latent_channels, *prior.latent_size_of(settings.size))
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(settings.seed))
    return Sheet(noise, _embedded(prior, prompts), _embedded(prior, [""] * len(prompts)))
