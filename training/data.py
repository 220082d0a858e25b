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


@dataclass(frozen=True)
class LargeDrawings:
    """`images` (N, 128, 128, 3) uint8 with `depths` (N, 128, 128) uint8, 255 nearest; the rest as
    in `Drawings`."""

    images: np.ndarray
    depths: np.ndarray
    labels: Tensor
    factors: list[Factors]

    def batch(self, size: int, *, seed: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """Images (B, 3, 128, 128) in [-1, 1] and depths (B, 1, 128, 128) in [0, 1]."""
        picked = np.random.default_rng(seed).integers(len(self.images), size=size)
        return self.some(picked.tolist(), device=device)

    def some(self, picked: list[int], *, device: torch.device) -> tuple[Tensor, Tensor]:
        """The images and depths at the given places."""
        depths = torch.from_numpy(self.depths[picked]).to(device)[:, None].float() / 255
        return to_images(self.images[picked], device), depths


def to_images(pixels: np.ndarray, device: torch.device) -> Tensor:
    """(B, H, W, 3) uint8 to (B, 3, H, W) float32 in [-1, 1]."""
    return torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1


def trained_factors() -> list[Factors]:
    """The combinations that models may see in training."""
    return [factors for factors in all_factors() if not held_out(factors)]


def load_drawings(
    folder: Path, *, count: int, seed: int, size: tuple[int, int] = (64, 64)
) -> Drawings:
    """Draw `count` scenes of the trained combinations, or read those drawn before."""
    shards = _drawn(folder, count, seed, size)
    images = np.concatenate([np.load(path)["images"] for path in shards])[:count]
    factors = _factors_of(count, seed)
    return Drawings(images, _labels(factors), factors)


def load_large_drawings(folder: Path, *, count: int, seed: int) -> LargeDrawings:
    """The same at 128 pixels a side, with their depths."""
    shards = [np.load(path) for path in _drawn(folder, count, seed, (128, 128))]
    images, depths = (
        np.concatenate([shard[name] for shard in shards])[:count] for name in ("images", "depths")
    )
    factors = _factors_of(count, seed)
    return LargeDrawings(images, depths, _labels(factors), factors)


def captions_for(factors: list[Factors], *, seed: int) -> list[str]:
    """A fresh caption for each drawing."""
    g = np.random.default_rng(seed)
    return [caption(f, g) for f in factors]


def _drawn(folder: Path, count: int, seed: int, size: tuple[int, int]) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{k:03d}.npz" for k in range(-(-count // SHARD))]
    missing = [(path, k) for k, path in enumerate(paths) if not path.exists()]
    with ProcessPoolExecutor() as pool:
        jobs = [pool.submit(_draw_shard, path, k, seed, size) for path, k in missing]
        for job in tqdm(jobs, desc=folder.name, unit="k", disable=not missing):
            job.result()
    return paths


def _draw_shard(path: Path, shard: int, seed: int, size: tuple[int, int]) -> None:
    first = seed * 1_000_000 + shard * SHARD
    scenes = [draw(f, first + k, size=size) for k, f in enumerate(_shard_factors(shard, seed))]
    images = np.stack([scene.image for scene in scenes])
    depths = np.stack([(scene.depth * 255 + 0.5).astype(np.uint8) for scene in scenes])
    partial = path.with_suffix(".partial.npz")
    np.savez(partial, images=images, depths=depths)
    partial.rename(path)


def _shard_factors(shard: int, seed: int) -> list[Factors]:
    pool = trained_factors()
    picked = np.random.default_rng((seed, shard)).integers(len(pool), size=SHARD)
    return [pool[k] for k in picked]


def _factors_of(count: int, seed: int) -> list[Factors]:
    return [f for k in range(-(-count // SHARD)) for f in _shard_factors(k, seed)][:count]


def _labels(factors: list[Factors]) -> Tensor:
    return torch.tensor([f.indices for f in factors])
