"""tiny-sd-pixel's decoder: tiny-sd's own, taught to draw the cells of pixel art as well.

tiny-sd's decoder has seen drawings alone, and makes smooth outlines of the cells of pixel art. So
no LoRA on the UNet can show a grid through it. Here the decoder learns both; the encoder, and so
what latents mean, stays as it is.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from torch import Tensor, nn

from distillery.models.load import load_prior
from distillery.models.stable_diffusion import StableDiffusionPrior
from distillery.toybox.styles import CELL
from training import loop
from training.data import to_images
from training.export import save_half
from training.style_pictures import KINDS, encoded, load_pictures
from training.tiny_sd_vae import edge_error

STEPS, SEED = 2800, 71
COUNTS = {"drawing": 4000, "pixel": 5000, "sticker": 1000}
BATCH = {"drawing": 7, "pixel": 8, "sticker": 1}
NOISE = 0.1  # at most, beside latents of unit variance: those of a UNet are not exact
FILE = "vae_decoder.safetensors"


class Decoder(nn.Module):
    """The half of an autoencoder that draws, under diffusers' names; the rest stays where it is."""

    def __init__(self, vae: AutoencoderKL) -> None:
        super().__init__()
        self.post_quant_conv, self.decoder = vae.post_quant_conv, vae.decoder

    def forward(self, latents: Tensor) -> Tensor:
        """Images (B, 3, 4h, 4w) of unscaled latents (B, 4, h, w)."""
        images: Tensor = self.decoder(self.post_quant_conv(latents))
        return images


def within_cells(images: Tensor) -> Tensor:
    """The variance of images (B, 3, H, W) inside cells of pixel art, its mean, a scalar."""
    blocks = F.pixel_unshuffle(images, CELL).unflatten(1, (3, CELL**2))
    return blocks.var(2, correction=0).mean()


def train(*, build: Path, models: Path) -> None:
    """Train the decoder and write `models/tiny-sd-pixel`; it needs `models/tiny-sd`."""
    torch.manual_seed(SEED)
    prior = load_prior(models / "tiny-sd", device="cpu")
    assert isinstance(prior, StableDiffusionPrior)
    data = {
        kind: load_pictures(build / "style_pictures", kind, count, seed=SEED)
        for kind, count in COUNTS.items()
    }
    scale = prior.vae.config.scaling_factor
    latents = {kind: encoded(prior, images) / scale for kind, images in data.items()}
    net = Decoder(prior.vae).requires_grad_(True).to(memory_format=torch.channels_last)

    def loss_of(step: int) -> dict[str, Tensor]:
        g = torch.Generator().manual_seed(SEED * 10**6 + step)
        picked = {k: torch.randint(len(data[k]), (n,), generator=g) for k, n in BATCH.items()}
        seen = torch.cat([latents[kind][picked[kind]] for kind in KINDS])
        images = torch.cat(
            [to_images(data[k][picked[k].numpy()], torch.device("cpu")) for k in KINDS]
        )
        spread = NOISE * torch.rand(len(seen), 1, 1, 1, generator=g).square()
        noisy = seen + spread * torch.randn(seen.shape, generator=g)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            drawn = net(noisy.contiguous(memory_format=torch.channels_last))
        return losses(drawn.float(), images)

    best = loop.train(
        "tiny_sd_pixel_decoder",
        net,
        loss_of,
        folder=build,
        steps=STEPS,
        learning_rate=6e-4,
        seed=SEED,
    )
    save_half(best.state_dict(), models / "tiny-sd-pixel" / FILE)


def losses(drawn: Tensor, images: Tensor) -> dict[str, Tensor]:
    """The loss of a batch that holds `BATCH` pictures of each kind, and its figures."""
    parts = dict(zip(KINDS, (drawn - images).square().split(list(BATCH.values())), strict=True))
    spread = within_cells(drawn.split(list(BATCH.values()))[KINDS.index("pixel")])
    loss = F.mse_loss(drawn, images) + 0.1 * F.l1_loss(drawn, images)
    loss = loss + 0.1 * edge_error(drawn, images) + spread
    psnr = {k: 10 * torch.log10(4 / part.detach().mean()) for k, part in parts.items()}
    return {"loss": loss, **psnr, "within cells": spread.detach().sqrt() / 2}
