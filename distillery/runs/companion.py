"""VSD's companion: a LoRA that learns beside the canvas what the canvas's pictures look like."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType

import torch
from torch import Tensor, nn

from distillery.methods.settings import Settings
from distillery.models.lora import LoraDenoiser
from distillery.models.prior import Prior
from distillery.runs.optimise import Companion


def lora_optimiser(lora: nn.Module, learning_rate: float) -> torch.optim.Optimizer:
    """AdamW for the adapters: many small tensors, stepped by one kernel and not one by one."""
    return torch.optim.AdamW(lora.parameters(), learning_rate, fused=True)


def lora_companion(
    method: ModuleType,
    prior: Prior,
    *,
    prompts: Sequence[str],
    settings: Settings,
    generator: torch.Generator,
) -> Companion:
    """A LoRA of `prior`, and how `method` (a stage's vsd module) trains it beside the canvas.

    Raises:
        CourseError: the prior has no UNet, or `settings.lora_rank` does not fit it.
    """
    lora = LoraDenoiser(prior, rank=settings.lora_rank, generator=generator)
    text = prior.embed(prompts)
    optimiser = lora_optimiser(lora, settings.lora_learning_rate)

    def loss(x0: Tensor, index: int) -> Tensor:
        return method.loss_of_lora(lora, x0, text=text, generator=generator)

    return Companion(lora, optimiser, loss, method.alternating_step)
