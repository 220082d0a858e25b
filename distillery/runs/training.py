"""Training a network, one step after another: what `training/` and a fine-tuning share.

Every step draws its randomness from its own number, so a training that was stopped and resumed goes
the way of one that was not, and its state holds no random state.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

Network = TypeVar("Network", bound=nn.Module)


def warmup_cosine(
    index: int, *, steps: int, warmup: int, peak: float = 1.0, floor: float = 0.0
) -> float:
    """A learning rate that rises in a line to `peak`, then falls as half a cosine towards `floor`.

    Args:
        index: of the step, from 0; the peak is reached at `warmup`, the floor at `steps`.
    """
    if index < warmup:
        return peak * (index + 1) / warmup
    progress = (index - warmup) / max(1, steps - warmup)
    return floor + (peak - floor) * 0.5 * (1 + math.cos(math.pi * progress))


class Ema(Generic[Network]):
    """An exponential moving average of a module's weights; `module` is the averaged copy."""

    def __init__(self, module: Network, decay: float) -> None:
        self.module = deepcopy(module).eval().requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        """Move towards `module`; early steps have more weight, so the start is soon forgotten."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for average, weight in zip(self.module.parameters(), module.parameters(), strict=True):
            average.lerp_(weight, 1 - decay)
        for kept, current in zip(self.module.buffers(), module.buffers(), strict=True):
            kept.copy_(current)


@dataclass(frozen=True)
class TrainingStep:
    """One step done.

    index:   from 0.
    figures: the loss under "loss", and further scalars; they stay on their device.
    state:   gives what the training needs to go on after this step.
    """

    index: int
    figures: Mapping[str, Tensor]
    state: Callable[[], dict[str, Any]]


def train_steps(
    network: nn.Module,
    loss_of: Callable[[int], dict[str, Tensor]],
    *,
    steps: int,
    learning_rate: float,
    warmup: int,
    seed: int,
    weight_decay: float,
    ema: Ema[Any] | None = None,
    resume: Mapping[str, Any] | None = None,
) -> Iterator[TrainingStep]:
    """Train the parameters of `network` with AdamW, one step at a time.

    The learning rate warms up, then falls to a hundredth; gradients are clipped to a length of 1.

    Args:
        loss_of: gives the loss of a step under "loss", and further figures by name. It may draw
            from torch's own generator, which is seeded for each step.
        ema: averages the weights after every step.
        resume: what a step's `state` gave; the same weights follow as without the stop.
    """
    parameters = list(network.parameters())
    optimiser = torch.optim.AdamW(
        parameters, lr=learning_rate, weight_decay=weight_decay, betas=(0.9, 0.99)
    )
    first = 0
    if resume is not None:
        network.load_state_dict(resume["modules"])
        optimiser.load_state_dict(resume["optimiser"])
        if ema is not None:
            ema.module.load_state_dict(resume["ema"])
        first = resume["step"]

    def state() -> dict[str, Any]:
        averages = {} if ema is None else {"ema": ema.module.state_dict()}
        return {
            "modules": network.state_dict(),
            "optimiser": optimiser.state_dict(),
            "step": index + 1,
            **averages,
        }

    network.train()
    for index in range(first, steps):
        torch.manual_seed(seed * 1_000_003 + index)
        for group in optimiser.param_groups:
            group["lr"] = learning_rate * warmup_cosine(
                index, steps=steps, warmup=warmup, floor=0.01
            )
        figures = loss_of(index)
        optimiser.zero_grad(set_to_none=True)
        figures["loss"].backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        if ema is not None:
            ema.update(network, index)
        yield TrainingStep(index, {k: v.detach() for k, v in figures.items()}, state)
