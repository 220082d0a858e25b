"""The figures of tiny-sd-any-size: the noise it finds in windows of large drawings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from distillery.models.load import load_lora, load_prior
from distillery.models.parameterization import add_noise
from distillery.models.prior import Prior
from distillery.toybox import all_factors, draw
from training.data import to_images
from training.measure_sd import FRESH, spread
from training.tiny_sd_any_size import windows

TIMESTEPS = (100, 300, 500, 700, 900)
PICTURES = ((128, 128), (192, 192), (64, 128), (128, 64))
COUNT = 48


def measure_any_size(*, models: Path) -> None:
    """Print the error of the noise in windows, of the base and with the adapter."""
    base, adapted = (load_prior(models / "tiny-sd", device="cpu") for _ in range(2))
    load_lora(adapted, str(models / "tiny-sd-any-size"))
    for size in PICTURES:
        x0 = fresh_windows(base, size, COUNT)
        for t in TIMESTEPS:
            before, after = (noise_error(prior, x0, t) for prior in (base, adapted))
            change = 100 * (after / before - 1).mean()
            print(
                f"windows of {size[0]}x{size[1]}, t {t}: {before.mean():.4f} to "
                f"{after.mean():.4f}, {change:+.1f} % (better in {(after < before).sum()} of "
                f"{len(x0)})",
                flush=True,
            )


@torch.no_grad()
def fresh_windows(prior: Prior, size: tuple[int, int], count: int) -> Tensor:
    """A window each of `count` new drawings, (count, C, h, w) of the trained size.

    Args:
        size: of the drawings in pixels.
    """
    factors = spread(all_factors(), count)
    drawings = [draw(its, FRESH + 7000 + k, size=size) for k, its in enumerate(factors)]
    latents = [prior.encode(to_images(d.image[None], torch.device(prior.device))) for d in drawings]
    return windows(torch.cat(latents), prior.latent_size, np.random.default_rng(0))


@torch.no_grad()
def noise_error(prior: Prior, x0: Tensor, t: int) -> np.ndarray:
    """Mean squared error of the unconditional noise of each of x0 (N, C, h, w), at timestep t."""
    eps = torch.randn(x0.shape, generator=torch.Generator().manual_seed(t))
    at = torch.full((len(x0),), t)
    xt = add_noise(x0, eps, prior.alpha_bar(at))
    (predicted,) = prior.predict_noise(xt, at, prior.embed([""] * len(x0)))
    return (predicted - eps).square().mean((1, 2, 3)).numpy()
