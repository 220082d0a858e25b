"""The card of a LoRA that was fine-tuned: what it learned from, how, and how it is loaded."""

from __future__ import annotations

from pathlib import Path

from distillery.models.lora import WEIGHTS
from distillery.runs.finetune_settings import FinetuneSettings


def card(settings: FinetuneSettings, *, pictures: int, size: int) -> str:
    """A README in Markdown.

    Args:
        pictures: number of pictures it learned from.
        size: of the file of weights, in bytes.
    """
    preserved = (
        f" Beside them, {settings.prior_pictures} pictures that the model drew before of the same "
        f"captions, their loss weighted {settings.prior_weight:g} (DreamBooth)."
        if settings.prior_weight
        else ""
    )
    began = f", from the LoRA `{Path(settings.start).name}` on" if settings.start else ""
    mirrored = ", half of them mirrored" if settings.flip else ""
    height, width = settings.size
    layers = "attention" if settings.layers == "attention" else "attention and convolutional"
    prompts = "; ".join(settings.validation_prompts)
    return f"""# {settings.title}

A LoRA for `{settings.model}`: rank {settings.rank} in the {layers} layers of the UNet, half
precision, {size / 1e6:.1f} MB.

**Data.** {pictures} pictures with captions from `{Path(settings.folder).resolve().name}`, as
{height}×{width} pixels{mirrored}.{preserved}

**Recipe.** `python main.py finetune --config run.yaml`: {settings.steps} steps of
{settings.batch_size} pictures, AdamW {settings.learning_rate:g} with cosine decay, gradients cut
to a length of 1, {100 * settings.caption_dropout:g} % of the captions left out, seed
{settings.seed}{began}. Curve: `loss.png`.

**Use.** `python main.py sample --prompt "{settings.validation_prompts[0]}" --model
{settings.model} --lora FOLDER`, or with diffusers:

    pipeline.load_lora_weights("FOLDER", weight_name="{WEIGHTS}")

**Figures.** The sheet beside this folder shows, above without and below with the LoRA: {prompts}.

**Limits.** Nobody has measured this LoRA. It knows only pictures like those that it learned from.
"""
