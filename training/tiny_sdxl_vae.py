"""tiny-sdxl's autoencoder: 128×128 pictures to tiny-sd's latents and back, f8.

As TAESD is distilled from Stable Diffusion's autoencoder, this one is from tiny-sd's: its encoder
gives the latents that the other gives of the picture at half size, its decoder draws them at full
size. Encoder and decoder never meet in training.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, AutoencoderTiny
from torch import Tensor

from training import loop
from training.data import LargeDrawings
from training.export import save_network
from training.judge import worn
from training.tiny_sd_vae import edge_error

STEPS, BATCH, SEED = 1600, 12, 22


def new_vae() -> AutoencoderTiny:
    """TAESD's architecture at half its width, with fewer blocks where the maps are large."""
    return AutoencoderTiny(
        encoder_block_out_channels=(32, 32, 32, 32),
        decoder_block_out_channels=(32, 32, 32, 32),
        num_encoder_blocks=(0, 2, 3, 3),
        num_decoder_blocks=(3, 3, 2, 1),
        latent_channels=4,
    )


@torch.no_grad()
def teacher(vae: AutoencoderKL, images: Tensor) -> Tensor:
    """tiny-sd's latents (B, 4, 16, 16) of pictures (B, 3, 128, 128), of unit variance."""
    half = F.avg_pool2d(images, 2)
    with torch.autocast(images.device.type, dtype=torch.bfloat16):
        mean = vae.encode(half).latent_dist.mean
    return mean.float() * vae.config.scaling_factor


def pixelated(images: Tensor, *, seed: int) -> Tensor:
    """Every other picture as pixel art is while it is made: coarse, enlarged, perhaps speckled."""
    g = torch.Generator(images.device).manual_seed(seed)
    side = (24, 32, 48, 64)[int(torch.randint(4, (), generator=g, device=images.device))]
    some = images[::2]
    coarse = F.interpolate(some, (side, side), mode="area")
    speckle = 0.5 * torch.rand(len(some), 1, 1, 1, generator=g, device=images.device).square()
    coarse = coarse + speckle * torch.randn(coarse.shape, generator=g, device=images.device)
    mode = ("nearest", "bilinear")[seed % 2]
    images = images.clone()
    images[::2] = F.interpolate(coarse.clamp(-1, 1), images.shape[-2:], mode=mode)
    return images


def train(drawings: LargeDrawings, *, build: Path, models: Path) -> None:
    """Train the autoencoder and write `models/tiny-sdxl/vae`."""
    device = loop.device()
    torch.manual_seed(SEED)
    old = AutoencoderKL.from_pretrained(models / "tiny-sd" / "vae").to(device).requires_grad_(False)
    vae = new_vae().to(device, memory_format=torch.channels_last)

    def loss_of(step: int) -> dict[str, Tensor]:
        images, _ = drawings.batch(BATCH, seed=SEED * 10**6 + step, device=device)
        if step % 2:
            images = images.flip(3)
        images = images.contiguous(memory_format=torch.channels_last)
        shown = pixelated(worn(images, seed=step), seed=step)
        latents = teacher(old, torch.cat([images, shown]))
        clean, wanted = latents.chunk(2)
        noisy = clean + 0.1 * torch.rand(len(clean), 1, 1, 1) * torch.randn_like(clean)
        with torch.autocast(device.type, dtype=torch.bfloat16):
            encoded = vae.encoder(shown).float()
            decoded = vae.decoder(noisy).float()
        squared = F.mse_loss(decoded, images)
        edges = edge_error(decoded, images)
        far = F.mse_loss(encoded, wanted)
        loss = squared + 0.1 * F.l1_loss(decoded, images) + 0.1 * edges + far
        return {"loss": loss, "psnr": 10 * torch.log10(4 / squared.detach()), "far": far.detach()}

    best = loop.train(
        "tiny_vae", vae, loss_of, folder=build, steps=STEPS, learning_rate=2e-3, seed=SEED
    )
    save_network(best, models / "tiny-sdxl" / "vae")
