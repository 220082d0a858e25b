"""Pictures of toybox scenes in every style, as the pixel decoder and the style judge learn them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from distillery.models.prior import Prior
from distillery.toybox import draw
from distillery.toybox.styles import STYLES, styled
from training.data import to_images, trained_factors

KINDS = ("drawing", *STYLES)  # "drawing" is the ordinary one
CHUNK = 50
CPU = torch.device("cpu")


def pictures(kind: str, count: int, *, seed: int) -> np.ndarray:
    """Drawings of trained combinations in a style, (N, 64, 64, 3) uint8."""
    pool = trained_factors()
    g = np.random.default_rng((seed, KINDS.index(kind)))
    first = seed * 1_000_000 + 250_000 * KINDS.index(kind)
    drawings = (draw(pool[g.integers(len(pool))], first + k) for k in range(count))
    return np.stack([d.image if kind == "drawing" else styled(d, kind).image for d in drawings])


def load_pictures(folder: Path, kind: str, count: int, *, seed: int) -> np.ndarray:
    """The same, or those drawn before."""
    path = folder / f"{kind}.npy"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        drawn = pictures(kind, count, seed=seed)
        partial = path.with_suffix(".partial.npy")
        np.save(partial, drawn)
        partial.rename(path)
    return np.load(path)[:count]


@torch.no_grad()
def encoded(prior: Prior, images: np.ndarray) -> Tensor:
    """Latents (N, 4, 16, 16) of pictures (N, 64, 64, 3) uint8."""
    chunks = range(0, len(images), CHUNK)
    return torch.cat([prior.encode(to_images(images[k : k + CHUNK], CPU)) for k in chunks])


@torch.no_grad()
def decoded(prior: Prior, latents: Tensor) -> Tensor:
    """Pictures (N, 3, 64, 64) in [-1, 1] of latents."""
    return torch.cat([prior.decode(chunk) for chunk in latents.split(CHUNK)]).clamp(-1, 1)
