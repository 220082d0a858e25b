"""The steps of a fine-tuning: a LoRA learns from pictures with captions.

Every step draws its pictures, timesteps and noise from its own number, so a run that goes on from a
checkpoint ends with the same bytes. The frames are validation sheets: above what the model drew
before, below what it draws with the LoRA, from the same noise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from PIL import Image
from torch import Tensor

from distillery.core.errors import CourseError
from distillery.core.files import shown
from distillery.core.images import enlarged, grid, to_pil, to_png_bytes
from distillery.core.program import TYPED
from distillery.models.lora import ALL_LAYERS, ATTENTION, WEIGHTS, LoraDenoiser
from distillery.models.parameterization import ddim
from distillery.models.prior import Condition
from distillery.models.stable_diffusion import StableDiffusionPrior
from distillery.runs.finetune_card import card
from distillery.runs.finetune_settings import FinetuneSettings
from distillery.runs.place import Place, own_place
from distillery.runs.run import PICTURE, Checkpoint, Run, Step
from distillery.runs.training import TrainingStep, train_steps

SHEET_STEPS = 15  # of DDIM, for a picture of the sheet
DRAWN_AT_ONCE = 8
WEIGHT_DECAY = 1e-2
LAYERS = {"attention": ATTENTION, "all": ALL_LAYERS}


class FinetuneMethod(Protocol):
    """What stage 7's module of `guidance` or `reference` gives."""

    finetune_loss: Callable[..., Tensor]
    """`finetune_loss(denoiser, x0, text, t, eps, preserved, prior_weight)`, a scalar."""


@dataclass(frozen=True)
class Lessons:
    """What there is to learn from, encoded.

    style:      latents of the pictures (N, V, C, h, w), V = 2 where each is also mirrored.
    preserved:  latents of pictures that the model drew before (M, 1, C, h, w); M may be 0.
    text:       the condition of the N captions, of the M prompts, and of no caption.
    """

    style: Tensor
    preserved: Tensor
    text: Condition


@dataclass(frozen=True)
class Sheet:
    """What the validation sheet is drawn from: noise (B, C, h, w) and the conditions of B."""

    noise: Tensor
    text: Condition
    uncond: Condition


class Finetuning(Run):
    """A LoRA that learns a style.

    Args:
        lessons: on the CPU; a batch of them goes to the prior's device.
        out: the folder of the run, for what is said at the end.
    """

    def __init__(
        self,
        prior: StableDiffusionPrior,
        method: FinetuneMethod,
        settings: FinetuneSettings,
        lessons: Lessons,
        sheet: Sheet,
        *,
        ingredients: Sequence[bytes],
        out: Path,
    ) -> None:
        self.total, self.ingredients = settings.steps, ingredients
        self._prior, self._method, self._settings = prior, method, settings
        self._lessons, self._sheet, self._out = lessons, sheet, out
        generator = torch.Generator().manual_seed(settings.seed)
        self.lora = LoraDenoiser(
            prior,
            rank=settings.rank,
            generator=generator,
            layers=LAYERS[settings.layers],
            named="rank",
        )
        if settings.start:
            self.lora.go_on_from(Path(settings.start))
            self.ingredients = [*ingredients, self.lora.saved()]
        self._before: list[Image.Image] = []

    def steps(self, resume: Checkpoint | None = None) -> Iterator[Step]:
        if resume is not None:
            self._check_fit(resume)
        for step in train_steps(
            self.lora,
            self._loss,
            steps=self.total,
            learning_rate=self._settings.learning_rate,
            warmup=max(1, self.total // 20),
            seed=self._settings.seed,
            weight_decay=WEIGHT_DECAY,
            resume=None if resume is None else resume.state,
        ):
            yield self._step(step)

    def _check_fit(self, resume: Checkpoint) -> None:
        own = {name: factor.shape for name, factor in self.lora.state_dict().items()}
        saved = resume.state.get("modules", {})
        if own != {name: factor.shape for name, factor in saved.items()}:
            raise CourseError(
                "cannot resume: the checkpoint is of another model, whose LoRA has other shapes; "
                "take the model it was made with, or remove the checkpoint to start again."
            )

    def _step(self, step: TrainingStep) -> Step:
        if not step.figures["loss"].isfinite():
            raise CourseError(
                f"after step {step.index + 1} of {self.total} the loss is no longer a finite "
                "number; lower the learning rate."
            )
        return Step(step.index, self.total, self.sheet, step.figures, step.state)

    def _loss(self, index: int) -> dict[str, Tensor]:
        """The loss of one step; the generator of torch itself was seeded for it.

        All draws are made on the CPU, so that every device learns from the same batches.
        """
        settings, lessons = self._settings, self._lessons
        count = settings.batch_size
        preserved = count if len(lessons.preserved) else 0
        x0, rows = _drawn(lessons.style, count)
        if preserved:
            kept, kept_rows = _drawn(lessons.preserved, preserved)
            x0, rows = torch.cat([x0, kept]), torch.cat([rows, len(lessons.style) + kept_rows])
        dropped = torch.rand(len(x0)) < settings.caption_dropout
        t = torch.randint(len(self._prior.alphas_cumprod), (len(x0),))
        eps = torch.randn(x0.shape)
        text = lessons.text.at(rows.masked_fill(dropped, len(lessons.text) - 1))
        device = self._prior.device
        x0, eps = (each.contiguous(memory_format=torch.channels_last) for each in (x0, eps))
        with torch.autocast(
            device.type, dtype=torch.bfloat16, enabled=settings.mixed_precision == "bf16"
        ):
            loss = self._method.finetune_loss(
                self.lora,
                x0.to(device),
                text.to(device),
                t.to(device),
                eps.to(device),
                preserved,
                settings.prior_weight,
            )
        return {"loss": loss}

    def images(self) -> Tensor:
        """The validation prompts drawn with the LoRA, (B, 3, H, W)."""
        return self._drawn_by(self.lora)

    def sheet(self) -> Image.Image:
        """Above, each validation prompt without the LoRA; below, with it."""
        if not self._before:
            self._before = to_pil(self._drawn_by(self._prior))
        return grid([*self._before, *to_pil(self.images())], columns=len(self._before))

    @torch.no_grad()
    def _drawn_by(self, denoiser: StableDiffusionPrior | LoraDenoiser) -> Tensor:
        scale = self._settings.guidance_scale
        pictures = []
        for rows in torch.arange(len(self._sheet.noise)).split(DRAWN_AT_ONCE):
            noise = self._sheet.noise[rows].to(self._prior.device)
            text, uncond = (
                each.at(rows).to(self._prior.device)
                for each in (self._sheet.text, self._sheet.uncond)
            )

            def predict(
                xt: Tensor, t: Tensor, text: Condition = text, uncond: Condition = uncond
            ) -> Tensor:
                eps_uncond, eps_text = denoiser.predict_noise(xt, t, uncond, text)
                return eps_uncond + scale * (eps_text - eps_uncond)

            timesteps = self._prior.timesteps(SHEET_STEPS)[:, None].expand(-1, len(rows))
            *_, (xt, _) = ddim(noise, timesteps, alpha_bar=self._prior.alpha_bar, predict=predict)
            pictures.append(self._prior.decode(xt))
        return torch.cat(pictures)

    def products(self) -> dict[str, bytes]:
        """The LoRA, its card, and the last sheet."""
        weights = self.lora.saved()
        told = card(self._settings, pictures=len(self._lessons.style), size=len(weights))
        return {
            WEIGHTS: weights,
            "README.md": told.encode(),
            PICTURE: to_png_bytes(self.sheet()),
        }

    def enlarged(self, frame: Image.Image) -> Image.Image:
        return enlarged(frame)

    def foreword(self) -> str:
        """How much there is to learn from, and how much learns."""
        numbers = sum(factor.numel() for factor in self.lora.parameters())
        return (
            f"{len(self._lessons.style)} pictures with captions; the LoRA has {numbers:,} numbers, "
            f"{2e-6 * numbers:.1f} MB."
        )

    def afterword(self) -> str:
        """How the LoRA is used."""
        place = own_place(self._settings, self._out) or Place(self._out, self._settings.title)
        folder = shown(place.folder)
        prompt = self._settings.validation_prompts[0]
        model = f" --model {self._settings.model}" if self._settings.model != "tiny-sd" else ""
        return f'draw with it: {TYPED} sample --prompt "{prompt}"{model} --lora {folder}'


def _drawn(bank: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """`count` of the latents (N, V, C, h, w) at random, each as one of its views; their rows."""
    rows = torch.randint(len(bank), (count,))
    views = torch.randint(bank.shape[1], (count,))
    return bank[rows, views], rows
