"""The card of a LoRA that was fine-tuned: what it learned from, how, and how it is loaded."""

from __future__ import annotations

import textwrap
from pathlib import Path

from distillery.core.counting import counted
from distillery.core.program import TYPED
from distillery.models.lora import WEIGHTS
from distillery.runs.finetune_settings import FinetuneSettings


def card(settings: FinetuneSettings, *, pictures: int, size: int) -> str:
    """A README in Markdown.

    Args:
        pictures: number of pictures it learned from.
        size: of the file of weights, in bytes.
    """
    prompts = "; ".join(settings.validation_prompts)
    layers = "attention" if settings.layers == "attention" else "attention and convolutional"
    paragraphs = [
        f"A LoRA for `{settings.model}`: rank {settings.rank} in the {layers} layers of the UNet, "
        f"half precision, {size / 1e6:.1f} MB.",
        f"**Data.** {_data(settings, pictures)}",
        f"**Recipe.** {_recipe(settings)} Curve: `loss.png`.",
        f'**Use.** `{TYPED} sample --prompt "{settings.validation_prompts[0]}" --model '
        f"{settings.model} --lora FOLDER`, or with diffusers "
        f'`pipeline.load_lora_weights("FOLDER", weight_name="{WEIGHTS}")`.',
        "**Figures.** The sheet beside this folder shows, above without and below with the LoRA: "
        f"{prompts}.",
        "**Limits.** Nobody has measured this LoRA. It knows only pictures like those that it "
        "learned from.",
    ]
    filled = [
        textwrap.fill(text, 100, break_long_words=False, break_on_hyphens=False)
        for text in paragraphs
    ]
    return "\n\n".join([f"# {settings.title}", *filled]) + "\n"


def _data(settings: FinetuneSettings, pictures: int) -> str:
    height, width = settings.size
    mirrored = ", half of them mirrored" if settings.flip else ""
    told = (
        f"{pictures} pictures with captions from `{Path(settings.folder).resolve().name}`, as "
        f"{height}×{width} pixels{mirrored}."
    )
    if settings.prior_weight:
        told += (
            f" Beside them, {settings.prior_pictures} pictures that the model drew before of the "
            f"same captions, their loss weighted {settings.prior_weight:g} (DreamBooth)."
        )
    return told


def _recipe(settings: FinetuneSettings) -> str:
    began = f", from the LoRA `{Path(settings.start).name}` on" if settings.start else ""
    return (
        f"`{TYPED} finetune --config run.yaml`: {counted(settings.steps, 'step')} of "
        f"{counted(settings.batch_size, 'picture')}, AdamW {settings.learning_rate:g} with cosine "
        f"decay, gradients cut to a length of 1, {100 * settings.caption_dropout:g} % of the "
        f"captions left out, seed {settings.seed}{began}."
    )
