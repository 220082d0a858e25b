"""The loop that all trainings share: one step after another, resumable at any of them.

Every step draws its randomness from its own number, so a run that was killed and resumed goes the
way of one that was not, and a checkpoint needs no random state.
"""

from __future__ import annotations

import io
import json
import math
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn
from tqdm import tqdm

from distillery.core.files import atomic_write

CHECKPOINT_SECONDS = 60
LOG_EVERY = 25


Network = TypeVar("Network", bound=nn.Module)


class Ema(Generic[Network]):
    """A running mean of a module's weights; `module` is the averaged copy."""

    def __init__(self, module: Network, decay: float) -> None:
        self.module = deepcopy(module).eval().requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        """Move towards `module`; early steps weigh more, so that the start is soon forgotten."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for average, weight in zip(self.module.parameters(), module.parameters(), strict=True):
            average.lerp_(weight, 1 - decay)
        for kept, current in zip(self.module.buffers(), module.buffers(), strict=True):
            kept.copy_(current)


def cosine(step: int, steps: int, *, warmup: int) -> float:
    """Learning rate factor: linear warm-up, then a half cosine down to 1 %."""
    if step < warmup:
        return (step + 1) / warmup
    t = (step - warmup) / max(1, steps - warmup)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * t))


def train(
    name: str,
    modules: Network,
    loss_of: Callable[[int], dict[str, Tensor]],
    *,
    folder: Path,
    steps: int,
    learning_rate: float,
    seed: int,
    ema_decay: float = 0.998,
    weight_decay: float = 1e-2,
    warmup: int = 100,
) -> Network:
    """Train `modules` and return their averaged copy.

    `loss_of(step)` gives the loss under "loss" and further figures to log beside it. Progress goes
    to `folder/name.jsonl`, the state to `folder/name.pt` once a minute.
    """
    optimiser = torch.optim.AdamW(
        modules.parameters(), lr=learning_rate, weight_decay=weight_decay, betas=(0.9, 0.99)
    )
    ema, first, log = Ema(modules, ema_decay), 0, []
    checkpoint = folder / f"{name}.pt"
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True, map_location="cpu")
        modules.load_state_dict(state["modules"])
        ema.module.load_state_dict(state["ema"])
        optimiser.load_state_dict(state["optimiser"])
        first, log = state["step"], [json.loads(line) for line in state["log"]]

    def save(step: int) -> None:
        buffer = io.BytesIO()
        state = {
            "modules": modules.state_dict(),
            "ema": ema.module.state_dict(),
            "optimiser": optimiser.state_dict(),
            "step": step,
            "log": [json.dumps(row) for row in log],
        }
        torch.save(state, buffer)
        atomic_write(checkpoint, buffer.getvalue())
        atomic_write(folder / f"{name}.jsonl", "".join(json.dumps(row) + "\n" for row in log))

    saved, modules = time.monotonic(), modules.train()
    for step in progress(name, first, steps):
        torch.manual_seed(seed * 1_000_003 + step)
        for group in optimiser.param_groups:
            group["lr"] = learning_rate * cosine(step, steps, warmup=warmup)
        figures = loss_of(step)
        optimiser.zero_grad(set_to_none=True)
        figures["loss"].backward()
        nn.utils.clip_grad_norm_(modules.parameters(), 1.0)
        optimiser.step()
        ema.update(modules, step)
        if step % LOG_EVERY == 0:
            log.append({"step": step, **{key: value.item() for key, value in figures.items()}})
        if time.monotonic() - saved > CHECKPOINT_SECONDS:
            save(step + 1)
            saved = time.monotonic()
    if first < steps:
        save(steps)
    return ema.module


def progress(name: str, first: int, steps: int) -> Iterator[int]:
    """The steps still to do, with a bar."""
    return iter(tqdm(range(first, steps), initial=first, total=steps, desc=name, mininterval=2))


def device() -> torch.device:
    """The fastest device there is."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
