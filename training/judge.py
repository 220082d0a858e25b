"""The judge: which thing, colour and scene does a picture show?"""

from __future__ import annotations

import json
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from distillery.core.files import atomic_write
from distillery.metrics.judge import JudgeNet
from training import loop
from training.data import Drawings
from training.export import save_half

STEPS, BATCH, SEED = 1200, 64, 11


def worn(images: Tensor, *, seed: int) -> Tensor:
    """Pictures as a decoder might give them: blurred, noisy, or slightly changed in tone."""
    g = torch.Generator(images.device).manual_seed(seed)
    batch = len(images)

    def uniform(low: float, high: float) -> Tensor:
        draw = torch.rand(batch, 1, 1, 1, generator=g, device=images.device)
        return low + (high - low) * draw

    blurred = F.avg_pool2d(F.pad(images, (1, 1, 1, 1), mode="replicate"), 3, 1)
    images = torch.lerp(images, blurred, uniform(0, 1))
    noise = torch.randn(images.shape, generator=g, device=images.device)
    return images * uniform(0.8, 1.1) + uniform(-0.1, 0.1) + noise * uniform(0, 0.12)


def train(drawings: Drawings, *, build: Path, models: Path) -> None:
    """Train the judge and write `models/judge`."""
    device = loop.device()
    torch.manual_seed(SEED)
    net = JudgeNet().to(device)

    def loss_of(step: int) -> dict[str, Tensor]:
        images, labels = drawings.batch(BATCH, seed=SEED * 10**6 + step, device=device)
        logits = net(worn(images, seed=step))
        losses = [F.cross_entropy(head, labels[:, k]) for k, head in enumerate(logits)]
        right = [(head.argmax(1) == labels[:, k]) for k, head in enumerate(logits)]
        return {
            "loss": torch.stack(losses).sum(),
            "all_right": torch.stack(right).all(0).float().mean(),
        }

    best = loop.train(
        "judge", net, loss_of, folder=build, steps=STEPS, learning_rate=3e-3, seed=SEED
    )
    folder = models / "judge"
    save_half(best.state_dict(), folder / "model.safetensors")
    atomic_write(folder / "config.json", json.dumps({"width": net.width}, indent=2) + "\n")
