"""The VAE of tiny-sd: 64×64 pictures to 16×16×4 latents and back."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from torch import Tensor

from training import loop
from training.data import Drawings, to_images
from training.export import save_network

STEPS, BATCH, SEED = 2200, 20, 12
KL_WEIGHT = 1e-6


def new_vae() -> AutoencoderKL:
    """Stable Diffusion's autoencoder, one down-sampling shorter, narrow, without attention."""
    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(32, 64, 96),
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=8,
        sample_size=64,
        mid_block_add_attention=False,
    )


def edge_error(images: Tensor, wanted: Tensor) -> Tensor:
    """Mean error of the differences of neighbouring pixels, across plus down."""
    across, down = (F.l1_loss(images.diff(dim=dim), wanted.diff(dim=dim)) for dim in (-1, -2))
    return across + down


def train(drawings: Drawings, *, build: Path, models: Path) -> AutoencoderKL:
    """Train the VAE, measure the scale of its latents, and write `models/tiny-sd/vae`."""
    device = loop.device()
    torch.manual_seed(SEED)
    vae = new_vae().to(device, memory_format=torch.channels_last)

    def loss_of(step: int) -> dict[str, Tensor]:
        images, _ = drawings.batch(BATCH, seed=SEED * 10**6 + step, device=device)
        if step % 2:
            images = images.flip(3)
        images = images.contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, dtype=torch.bfloat16):
            posterior = vae.encode(images).latent_dist
            decoded = vae.decode(posterior.sample()).sample
        decoded, kl = decoded.float(), posterior.kl().float().mean()
        squared = F.mse_loss(decoded, images)
        edges = edge_error(decoded, images)
        loss = squared + 0.1 * F.l1_loss(decoded, images) + 0.1 * edges + KL_WEIGHT * kl
        return {"loss": loss, "psnr": 10 * torch.log10(4 / squared.detach()), "kl": kl.detach()}

    best = loop.train("vae", vae, loss_of, folder=build, steps=STEPS, learning_rate=2e-3, seed=SEED)
    best.register_to_config(scaling_factor=1.0 / float(latents_of(best, drawings, 512).std()))
    save_network(best, models / "tiny-sd" / "vae")
    return best


@torch.no_grad()
def latents_of(vae: AutoencoderKL, drawings: Drawings, count: int) -> Tensor:
    """Posterior means of the first `count` drawings, (N, 4, 16, 16), unscaled, on the CPU."""
    device, means = next(vae.parameters()).device, []
    for start in range(0, count, 100):
        images = to_images(drawings.images[start : min(start + 100, count)], device)
        with torch.autocast(device.type, dtype=torch.bfloat16):
            means.append(vae.encode(images).latent_dist.mean.float().cpu())
    return torch.cat(means)
