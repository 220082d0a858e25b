"""tiny-sd-any-size: a LoRA on tiny-sd's UNet for parts of pictures that are larger than its own.

All pictures that the base has seen are whole scenes with one thing. So a window of a larger picture
wants a whole scene of its own too. The adapter sees windows of larger scenes, mostly without a
caption, because that is how `distillery.methods.elastic` asks for them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from distillery.models.load import load_prior
from distillery.models.parameterization import add_noise
from distillery.models.stable_diffusion import StableDiffusionPrior
from distillery.toybox import COLOURS, SCENES, THINGS, Factors, draw
from training import loop
from training.data import captions_for, to_images, trained_factors
from training.tiny_sd import min_snr, weighted_error
from training.tiny_sd_two_things import new_adapter, save

STEPS, BATCH, SEED, RANK = 4000, 24, 37, 24
CAPTIONED = 0.25  # of the windows
CHUNK = 20  # pictures that are encoded at once


@dataclass(frozen=True)
class Size:
    """Of scenes in pixels, how many there are, and the share of the windows cut out of them."""

    height: int
    width: int
    scenes: int
    share: float


SIZES = (
    Size(128, 128, 4000, 0.5),
    Size(192, 192, 1200, 0.2),
    Size(64, 128, 1600, 0.15),
    Size(128, 64, 1600, 0.15),
)


@dataclass(frozen=True)
class Scenes:
    """Scenes of one size: `latents` (N, 4, h, w), and the factors of each."""

    latents: Tensor
    factors: list[Factors]


@torch.no_grad()
def load_scenes(prior: StableDiffusionPrior, size: Size, path: Path) -> Scenes:
    """Draw and encode the scenes of one size, or read those made before."""
    if not path.exists():
        g, pool = np.random.default_rng((SEED, size.height, size.width)), trained_factors()
        factors = [pool[k] for k in g.integers(len(pool), size=size.scenes)]
        latents = [
            encoded(prior, factors[start : start + CHUNK], first_seed(size) + start, size)
            for start in range(0, size.scenes, CHUNK)
        ]
        path.parent.mkdir(parents=True, exist_ok=True)
        made = {
            "latents": torch.cat(latents),
            "factors": torch.tensor([f.indices for f in factors]),
        }
        torch.save(made, path.with_suffix(".partial"))
        path.with_suffix(".partial").rename(path)
    read = torch.load(path, weights_only=True)
    factors = [
        Factors(THINGS[thing], COLOURS[colour], SCENES[scene])
        for thing, colour, scene in read["factors"].tolist()
    ]
    return Scenes(read["latents"], factors)


def first_seed(size: Size) -> int:
    """The drawing seed of the first scene of a size; the others follow."""
    return SEED * 1_000_000 + size.height * 1000 + size.width * 3010


def encoded(prior: StableDiffusionPrior, factors: list[Factors], seed: int, size: Size) -> Tensor:
    """Latents (N, 4, h, w) of new drawings; one whole picture is encoded, not its windows."""
    drawings = [
        draw(its, seed + k, size=(size.height, size.width)) for k, its in enumerate(factors)
    ]
    pixels = to_images(np.stack([d.image for d in drawings]), prior.device)
    return prior.encode(pixels).cpu()


def windows(latents: Tensor, size: tuple[int, int], g: np.random.Generator) -> Tensor:
    """One window of `size` cells out of each of the latents (N, C, h, w), anywhere in it.

    Returns:
        (N, C, *size).
    """
    (high, wide), (h, w) = size, latents.shape[-2:]
    tops = g.integers(h - high + 1, size=len(latents))
    lefts = g.integers(w - wide + 1, size=len(latents))
    cut = latents.new_empty(len(latents), latents.shape[1], *size)
    for its, whole, top, left in zip(cut, latents, tops, lefts, strict=True):
        its.copy_(whole[:, top : top + high, left : left + wide])
    return cut


def batch(
    scenes: list[Scenes], size: tuple[int, int], g: np.random.Generator
) -> tuple[Tensor, list[str]]:
    """Windows (B, 4, *size) of scenes of all sizes, and a caption of the scene or nothing."""
    counts = g.multinomial(BATCH, [its.share for its in SIZES])
    cut, texts = [], []
    for some, count in zip(scenes, counts, strict=True):
        picked = g.integers(len(some.latents), size=count)
        cut.append(windows(some.latents[picked], size, g))
        texts += captions_for([some.factors[k] for k in picked], seed=int(g.integers(2**31)))
    told = g.random(BATCH) < CAPTIONED
    return torch.cat(cut), [text if its else "" for text, its in zip(texts, told, strict=True)]


def loss_at(step: int, prior: StableDiffusionPrior, scenes: list[Scenes]) -> dict[str, Tensor]:
    """The loss on a batch of windows."""
    cut, texts = batch(scenes, prior.latent_size, np.random.default_rng((SEED, step)))
    x0 = cut.to(prior.device)
    t = torch.randint(len(prior.alphas_cumprod), (len(x0),), device=prior.device)
    eps = torch.randn_like(x0)
    xt = add_noise(x0, eps, prior.alpha_bar(t)).contiguous(memory_format=torch.channels_last)
    condition = prior.embed(texts).to(prior.device)
    with torch.autocast(prior.device.type, dtype=torch.bfloat16):
        predicted = prior.network(xt, t, condition)
    return weighted_error(predicted, eps, min_snr(prior.alphas_cumprod, t))


def train(*, build: Path, models: Path) -> None:
    """Train the adapter and write `models/tiny-sd-any-size`."""
    torch.manual_seed(SEED)
    prior = load_prior(models / "tiny-sd", device=loop.device())
    assert isinstance(prior, StableDiffusionPrior)
    scenes = [
        load_scenes(prior, size, build / f"any_size_{size.height}x{size.width}.pt")
        for size in SIZES
    ]
    factors = new_adapter(prior, rank=RANK)
    prior.unet.to(memory_format=torch.channels_last)
    best = loop.train(
        "tiny_sd_any_size",
        factors,
        lambda step: loss_at(step, prior, scenes),
        folder=build,
        steps=STEPS,
        learning_rate=1e-3,
        seed=SEED,
    )
    for factor, average in zip(factors, best, strict=True):
        factor.data.copy_(average)
    save(prior, models / "tiny-sd-any-size")
