"""VSD's companion: a LoRA that learns, step by step, what the canvas's pictures look like."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from distillery.methods.settings import Settings
from distillery.models.lora import LoraDenoiser
from distillery.models.prior import Prior
from distillery.runs.optimise import Closure, Companion


class LoraMethod(Protocol):
    """What VSD's module has in addition to its loss."""

    def loss_of_lora(self, *args: Any, **given: Any) -> Tensor:
        """`loss_of_lora(lora, x0, *, text, generator)`: what the LoRA learns by, a scalar."""
        ...

    def alternating_step(
        self,
        particle_loss: Closure,
        lora_loss: Closure,
        particle_optimiser: torch.optim.Optimizer,
        lora_optimiser: torch.optim.Optimizer,
    ) -> Tensor:
        """One step of both; returns the particles' loss."""
        ...


def lora_optimiser(lora: nn.Module, learning_rate: float) -> torch.optim.Optimizer:
    """AdamW for the adapters: many small tensors, stepped by one kernel and not one by one."""
    return torch.optim.AdamW(lora.parameters(), learning_rate, fused=True)


def lora_companion(
    method: object,
    prior: Prior,
    *,
    prompts: Sequence[str],
    settings: Settings,
    generator: torch.Generator,
) -> Companion:
    """A LoRA of `prior`, and how `method` trains it together with the canvas.

    Args:
        method: a `LoraMethod`, VSD's module of `guidance` or `reference`.

    Raises:
        CourseError: the prior has no UNet, or `settings.lora_rank` does not fit it.
    """
    module = cast(LoraMethod, method)
    lora = LoraDenoiser(prior, rank=settings.lora_rank, generator=generator)
    text = prior.embed(prompts)
    optimiser = lora_optimiser(lora, settings.lora_learning_rate)

    def loss(x0: Tensor, index: int) -> Tensor:
        return module.loss_of_lora(lora, x0, text=text, generator=generator)

    return Companion(lora, optimiser, loss, module.alternating_step)
