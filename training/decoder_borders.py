"""The border of decoded pictures: every embedded decoder, trained on with a loss that looks there.

Convolutions pad with zeros. So the decoder sees something else at the border than inside, most of
all in the corners, and of the loss of its training these few pixels are hardly a part. Here they
count for much. The encoder, and so what latents mean, stays as it is; so does the network.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn

from distillery.core.files import REPOSITORY
from distillery.models.load import load_prior
from distillery.models.stable_diffusion import StableDiffusionPrior
from distillery.models.style import load_decoder
from training import loop
from training.data import load_drawings, load_large_drawings, to_images
from training.export import save_half
from training.measure_border import corners, ring
from training.style_pictures import CPU, KINDS, encoded, load_pictures
from training.tiny_sd_pixel_decoder import FILE, Decoder, within_cells
from training.tiny_sd_vae import edge_error

SEED, DRAWINGS_SEED, LARGE_SEED = 81, 1, 2
STEPS = {"tiny-sd": 520, "tiny-sd-pixel": 500, "tiny-sdxl": 500}
BATCH = {"tiny-sd": 8, "tiny-sd-pixel": 8, "tiny-sdxl": 6}
COUNT = {"tiny-sd": 3000, "tiny-sd-pixel": 3000, "tiny-sdxl": 2000}
SHARES = {"drawing": 0.4, "pixel": 0.5, "sticker": 0.1}  # of what the pixel decoder sees
# Beside latents of unit variance, at most: as much as the decoder was trained with before.
NOISE = {"tiny-sd": 0.0, "tiny-sd-pixel": 0.1, "tiny-sdxl": 0.1}
RATE = {"tiny-sd": 2e-4, "tiny-sd-pixel": 2e-4, "tiny-sdxl": 4e-4}
CORNER = {"tiny-sd": 0.3, "tiny-sd-pixel": 0.3, "tiny-sdxl": 0.1}  # weight of the corner's pixel
WEIGHTS = "diffusion_pytorch_model.safetensors"
NEAR = 4  # pixels: how far a corner reaches, along both sides


def border_loss(drawn: Tensor, images: Tensor, *, corner: float) -> Tensor:
    """Squared and a tenth of absolute error, with the border and the corners on top, a scalar."""
    error = drawn - images
    error = error.square() + 0.1 * error.abs()
    size = (error.shape[-2], error.shape[-1])
    blocks = torch.cat([error[..., :NEAR, :], error[..., -NEAR:, :]], dim=-2)
    blocks = torch.cat([blocks[..., :NEAR], blocks[..., -NEAR:]], dim=-1)
    outermost = error[..., ring(size)].mean() + 0.5 * error[..., ring(size, at=1)].mean()
    pixel = error[..., corners(size)].mean()
    return error.mean() + 0.2 * outermost + 0.1 * blocks.mean() + corner * pixel


def tune(
    name: str,
    net: nn.Module,
    decode: Callable[[Tensor], Tensor],
    images: np.ndarray,
    latents: Tensor,
    *,
    build: Path,
    cells: Tensor | None = None,
) -> nn.Module:
    """Train the decoder `net`, and return its averaged copy.

    Args:
        decode: latents as the decoder takes them to pictures, by `net`.
        images: pictures (N, H, W, 3) uint8. Whole ones: parts of them have other statistics.
        latents: theirs, (N, C, h, w).
        cells: which pictures are pixel art, (N,) bool, whose cells are to be of one colour.
    """
    net.requires_grad_(True).to(memory_format=torch.channels_last)

    def loss_of(step: int) -> dict[str, Tensor]:
        g = torch.Generator().manual_seed(SEED * 10**6 + step)
        picked = torch.randint(len(images), (BATCH[name],), generator=g)
        wanted, seen = to_images(images[picked.numpy()], CPU), latents[picked]
        spread = NOISE[name] * torch.rand(len(seen), 1, 1, 1, generator=g).square()
        seen = seen + spread * seen.std() * torch.randn(seen.shape, generator=g)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            drawn = decode(seen.contiguous(memory_format=torch.channels_last))
        drawn = drawn.float()
        loss = border_loss(drawn, wanted, corner=CORNER[name]) + 0.1 * edge_error(drawn, wanted)
        if cells is not None and bool(cells[picked].any()):
            loss = loss + within_cells(drawn[cells[picked]])
        psnr = -10 * torch.log10((drawn.detach() - wanted).square().mean() / 4)
        return {"loss": loss, "psnr": psnr}

    return loop.train(
        f"{name}_border",
        net,
        loss_of,
        folder=build,
        steps=STEPS[name],
        learning_rate=RATE[name],
        seed=SEED,
        ema_decay=0.99,
        warmup=50,
    )


def tune_tiny_sd(*, build: Path, models: Path) -> None:
    """Replace the decoder of `models/tiny-sd`."""
    name = "tiny-sd"
    prior = cast(StableDiffusionPrior, load_prior(models / name, device="cpu"))
    vae = prior.vae
    count = COUNT[name]
    images = load_drawings(build / "drawings", count=count, seed=DRAWINGS_SEED).images[:count]
    latents = encoded(prior, images) / vae.config.scaling_factor
    net = Decoder(vae)
    best = tune(name, net, net, images, latents, build=build)
    vae.load_state_dict(best.state_dict(), strict=False)
    save_half(vae.state_dict(), models / name / "vae" / WEIGHTS)


def tune_tiny_sd_pixel(*, build: Path, models: Path) -> None:
    """Replace the decoder of `models/tiny-sd-pixel`."""
    name = "tiny-sd-pixel"
    prior = cast(StableDiffusionPrior, load_prior(models / "tiny-sd", device="cpu"))
    load_decoder(prior, models / name / FILE)
    folder = build / "border_pictures"
    counts = {kind: int(SHARES[kind] * COUNT[name]) for kind in KINDS}
    data = [load_pictures(folder, kind, counts[kind], seed=SEED) for kind in KINDS]
    cells = torch.cat([torch.full((counts[kind],), kind == "pixel") for kind in KINDS])
    images = np.concatenate(data)
    latents = encoded(prior, images) / prior.vae.config.scaling_factor
    net = Decoder(cast(AutoencoderKL, prior.vae))
    best = tune(name, net, net, images, latents, build=build, cells=cells)
    save_half(best.state_dict(), models / name / FILE)


def tune_tiny_sdxl(*, build: Path, models: Path) -> None:
    """Replace the decoder of `models/tiny-sdxl`."""
    name = "tiny-sdxl"
    prior = cast(StableDiffusionPrior, load_prior(models / name, device="cpu"))
    vae, count = prior.vae, COUNT[name]
    images = load_large_drawings(build / "drawings128", count=count, seed=LARGE_SEED).images[:count]
    latents = encoded(prior, images) / vae.config.scaling_factor
    best = tune(name, vae.decoder, vae.decoder, images, latents, build=build)
    vae.decoder.load_state_dict(best.state_dict())
    save_half(vae.state_dict(), models / name / "vae" / WEIGHTS)


TUNE = {"tiny-sd": tune_tiny_sd, "tiny-sd-pixel": tune_tiny_sd_pixel, "tiny-sdxl": tune_tiny_sdxl}


def main() -> None:
    """Parse the command line and train on the decoders of the models that there are."""
    parser = argparse.ArgumentParser(prog="python -m training.decoder_borders", description=__doc__)
    parser.add_argument("names", nargs="*", default=list(TUNE), help=f"of {', '.join(TUNE)}")
    parser.add_argument("--build", type=Path, default=REPOSITORY / "build" / "training")
    parser.add_argument("--models", type=Path, default=REPOSITORY / "data" / "models")
    options = parser.parse_args()
    for name in options.names:
        TUNE[name](build=options.build, models=options.models)


if __name__ == "__main__":
    main()
