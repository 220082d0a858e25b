"""A training of an embedded model: its progress and its state in files, resumable at any step."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from distillery.core.files import atomic_write
from distillery.runs.training import Ema, Network, train_steps

CHECKPOINT_SECONDS = 60
LOG_EVERY = 25


def train(
    name: str,
    network: Network,
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
    """Train `network` and return its averaged copy.

    `loss_of(step)` gives the loss under "loss" and further numbers to log. Progress goes
    to `folder/name.jsonl`, the state to `folder/name.pt` once a minute.
    """
    ema, checkpoint = Ema(network, ema_decay), folder / f"{name}.pt"
    resume: dict[str, Any] | None = None
    log: list[dict[str, float]] = []
    first, saved = 0, time.monotonic()
    if checkpoint.exists():
        resume = torch.load(checkpoint, weights_only=True, map_location="cpu")
        first, log = resume["step"], [json.loads(line) for line in resume["log"]]
    stream = train_steps(
        network,
        loss_of,
        steps=steps,
        learning_rate=learning_rate,
        warmup=warmup,
        seed=seed,
        weight_decay=weight_decay,
        ema=ema,
        resume=resume,
    )
    for step in tqdm(stream, initial=first, total=steps, desc=name, mininterval=2):
        if step.index % LOG_EVERY == 0:
            figures = {key: value.item() for key, value in step.figures.items()}
            log.append({"step": step.index, **figures})
        if time.monotonic() - saved > CHECKPOINT_SECONDS or step.index == steps - 1:
            _save(checkpoint, step.state(), log)
            saved = time.monotonic()
    return ema.module


def _save(checkpoint: Path, state: dict[str, Any], log: list[dict[str, float]]) -> None:
    lines = [json.dumps(row) for row in log]
    buffer = io.BytesIO()
    torch.save({**state, "log": lines}, buffer)
    atomic_write(checkpoint, buffer.getvalue())
    atomic_write(checkpoint.with_suffix(".jsonl"), "".join(f"{line}\n" for line in lines))


def device() -> torch.device:
    """The fastest available device."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
