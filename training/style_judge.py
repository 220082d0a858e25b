"""The style judge: ordinary drawing, pixel art or sticker?

It is to judge pictures that a model drew. So most of what it sees went through an autoencoder,
with a little noise on the latents: tiny-sd's own, or the one of tiny-sd-pixel. Pixel art that
tiny-sd's own decoder drew has no cells any more, so it counts as a drawing.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from distillery.core.files import atomic_write
from distillery.metrics.style_judge import KINDS, StyleNet
from distillery.models.load import load_prior
from distillery.models.prior import Prior
from distillery.models.style import load_decoder
from training import loop
from training.data import to_images
from training.export import save_half
from training.style_pictures import CPU, decoded, encoded, load_pictures
from training.tiny_sd_pixel_decoder import FILE

STEPS, BATCH, SEED, COUNT = 500, 48, 73, 800
NOISE = 0.15  # on latents of unit variance, at most


def train(*, build: Path, models: Path) -> None:
    """Train the style judge and write `models/style-judge`; it needs the pixel decoder."""
    torch.manual_seed(SEED)
    pools = as_seen(build / "style_judge", models=models)
    net = StyleNet()

    def loss_of(step: int) -> dict[str, Tensor]:
        g = torch.Generator().manual_seed(SEED * 10**6 + step)
        picked = torch.randint(COUNT, (len(KINDS), BATCH // len(KINDS)), generator=g)
        which = torch.randint(10**6, picked.shape, generator=g)
        images = [
            pools[kind][int(w) % len(pools[kind])][int(k)]
            for kind, row, ways in zip(KINDS, picked, which, strict=True)
            for k, w in zip(row, ways, strict=True)
        ]
        labels = torch.arange(len(KINDS)).repeat_interleave(BATCH // len(KINDS))
        seen = torch.stack(images)
        seen = seen + 0.04 * torch.rand(len(seen), 1, 1, 1, generator=g) * torch.randn(
            seen.shape, generator=g
        )
        logits = net(seen.flip(3) if step % 2 else seen)
        return {
            "loss": F.cross_entropy(logits, labels, label_smoothing=0.02),
            "right": (logits.argmax(1) == labels).float().mean(),
        }

    best = loop.train(
        "style_judge", net, loss_of, folder=build, steps=STEPS, learning_rate=3e-3, seed=SEED
    )
    folder = models / "style-judge"
    save_half(best.state_dict(), folder / "model.safetensors")
    atomic_write(folder / "config.json", json.dumps({"width": net.width}) + "\n")


def priors(models: Path) -> dict[str, Prior]:
    """tiny-sd with its own decoder and with that of tiny-sd-pixel."""
    base, pixel = (load_prior(models / "tiny-sd", device="cpu") for _ in range(2))
    load_decoder(pixel, models / "tiny-sd-pixel" / FILE)
    return {"base": base, "pixel": pixel}


def as_seen(folder: Path, *, models: Path) -> dict[str, list[Tensor]]:
    """For each kind, sets of images (N, 3, 64, 64): as drawn, and through the autoencoders."""
    through = priors(models)
    pools: dict[str, list[Tensor]] = {kind: [] for kind in KINDS}
    for kind in KINDS:
        images = load_pictures(folder, kind, COUNT, seed=SEED)
        latents = noisy(encoded(through["base"], images), seed=SEED)
        pools[kind] += [to_images(images, CPU), decoded(through["pixel"], latents)]
        pools["drawing" if kind == "pixel" else kind].append(decoded(through["base"], latents))
    return pools


def noisy(latents: Tensor, *, seed: int) -> Tensor:
    """Latents as a UNet might give them: each picture with noise of its own strength."""
    g = torch.Generator().manual_seed(seed)
    strength = NOISE * torch.rand(len(latents), 1, 1, 1, generator=g).square()
    return latents + strength * torch.randn(latents.shape, generator=g)
