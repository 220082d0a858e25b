"""The counter: which pixels of a picture are on things, and where is the middle of each thing?"""

from __future__ import annotations

import json
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from distillery.core.files import atomic_write
from distillery.metrics.counter import FAR, CounterNet, as_seen
from distillery.models.load import load_prior
from training import loop
from training.counter_pictures import SIZES, load_pictures
from training.export import save_half
from training.judge import worn

STEPS, SEED, COUNT = 3000, 61, 1200
CELLS = 24 * 1024  # of a batch
SHARPNESS = 1.3  # of the spot in a thing's middle, its standard deviation in cells


def train(*, build: Path, models: Path) -> None:
    """Train the counter and write `models/counter`; it needs `models/tiny-sd`."""
    torch.manual_seed(SEED)
    net = CounterNet().to(memory_format=torch.channels_last)
    prior = load_prior(models / "tiny-sd", device="cpu")
    pictures = [
        load_pictures(build / "counter", prior, size=size, count=COUNT, seed=SEED + k)
        for k, size in enumerate(SIZES)
    ]

    def loss_of(step: int) -> dict[str, Tensor]:
        some = pictures[step % len(pictures)]
        count = CELLS // some.labels[0].size
        images, labels = some.batch(count, seed=SEED * 10**6 + step)
        if step // len(pictures) % 4:
            images = worn(images, seed=step)
        images = as_seen(images).contiguous(memory_format=torch.channels_last)
        return losses(net(images), labels)

    best = loop.train(
        "counter", net, loss_of, folder=build, steps=STEPS, learning_rate=4e-3, seed=SEED
    )
    folder = models / "counter"
    save_half(best.state_dict(), folder / "model.safetensors")
    atomic_write(folder / "config.json", json.dumps({"widths": net.widths}) + "\n")


def losses(told: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """The loss and its parts, of what the network told and the labels (B, h, w) of the cells."""
    on, spots, arrows = targets(labels)
    told = told[..., : labels.shape[1], : labels.shape[2]]
    mask = F.binary_cross_entropy_with_logits(told[:, 0], on)
    middle = F.binary_cross_entropy_with_logits(told[:, 1], spots, reduction="none")
    middle = (middle * (1 + 8 * spots)).mean()
    off = ((told[:, 2:] - arrows).abs().sum(1) * on).sum() / on.sum().clamp(min=1)
    p = told[:, 0].sigmoid()
    dice = 1 - (2 * (p * on).sum() + 1) / (p.sum() + on.sum() + 1)
    return {
        "loss": mask + dice + 2 * middle + 0.5 * off,
        "mask": mask,
        "middle": middle,
        "arrows": off,
    }


def targets(labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Whether each cell is on a thing (B, h, w), spots in the middles (B, h, w), and arrows to
    them (B, 2, h, w)."""
    batch, height, width = labels.shape
    down = torch.arange(height).view(1, -1, 1).float()
    right = torch.arange(width).view(1, 1, -1).float()
    spots = torch.zeros(batch, height, width)
    arrows = torch.zeros(batch, 2, height, width)
    for k in range(1, int(labels.max()) + 1):
        here = (labels == k).float()
        area = here.sum((1, 2), keepdim=True)
        y, x = ((here * at).sum((1, 2), keepdim=True) / area.clamp(min=1) for at in (down, right))
        spot = torch.exp(-((down - y) ** 2 + (right - x) ** 2) / (2 * SHARPNESS**2))
        spots = torch.maximum(spots, spot * (area > 0))
        arrows[:, 0] += here * (y - down) / FAR
        arrows[:, 1] += here * (x - right) / FAR
    return (labels > 0).float(), spots, arrows
