"""The training set: drawings and captions, in shards so that a killed run loses little."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from distillery.toybox import Factors, all_factors, caption, draw, held_out

SHARD = 1000


@dataclass(frozen=True)
class Drawings:
    """`images` (N, 64, 64, 3) uint8; `labels` (N, 3) int64; a caption each, from its factors."""

    images: np.ndarray
    labels: Tensor
    factors: list[Factors]

    def batch(self, size: int, *, seed: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """Images (B, 3, 64, 64) in [-1, 1] and labels (B, 3), chosen by `seed`."""
        picked = np.random.default_rng(seed).integers(len(self.images), size=size)
        return self.some(picked.tolist(), device=device)

    def some(self, picked: list[int], *, device: torch.device) -> tuple[Tensor, Tensor]:
        """The images and labels at the given places."""
        return to_images(self.images[picked], device), self.labels[picked].to(device)


def to_images(pixels: np.ndarray, device: torch.device) -> Tensor:
    """(B, H, W, 3) uint8 to (B, 3, H, W) float32 in [-1, 1]."""
    return torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1


def trained_factors() -> list[Factors]:
    """The combinations that models may see in training."""
    return [factors for factors in all_factors() if not held_out(factors)]


def load_drawings(folder: Path, *, count: int, seed: int) -> Drawings:
    """Draw `count` scenes of the trained combinations, or read those drawn before."""
    folder.mkdir(parents=True, exist_ok=True)
    shards = range(-(-count // SHARD))
    missing = [k for k in shards if not (folder / f"{k:03d}.npy").exists()]
    with ProcessPoolExecutor() as pool:
        jobs = pool.map(_draw_shard, [folder] * len(missing), missing, [seed] * len(missing))
        for _ in tqdm(jobs, total=len(missing), desc="drawings", unit="k", disable=not missing):
            pass
    images = np.concatenate([np.load(folder / f"{k:03d}.npy") for k in shards])[:count]
    factors = [f for k in shards for f in _shard_factors(k, seed)][:count]
    return Drawings(images, torch.tensor([f.indices for f in factors]), factors)


def captions_for(factors: list[Factors], *, seed: int) -> list[str]:
    """A fresh caption for each drawing."""
    g = np.random.default_rng(seed)
    return [caption(f, g) for f in factors]


def _shard_factors(shard: int, seed: int) -> list[Factors]:
    pool = trained_factors()
    picked = np.random.default_rng((seed, shard)).integers(len(pool), size=SHARD)
    return [pool[k] for k in picked]


def _draw_shard(folder: Path, shard: int, seed: int) -> None:
    first = seed * 1_000_000 + shard * SHARD
    scenes = [draw(f, first + k).image for k, f in enumerate(_shard_factors(shard, seed))]
    partial = folder / f"{shard:03d}.partial.npy"
    np.save(partial, np.stack(scenes))
    partial.rename(folder / f"{shard:03d}.npy")
