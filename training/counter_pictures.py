"""What the counter learns from: pictures with a number for each thing in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from distillery.models.prior import Prior
from distillery.toybox import Factors, draw, draw_several
from distillery.toybox.brush import Paper
from distillery.toybox.drawing import Place, put
from distillery.toybox.scenes import PAINT
from distillery.toybox.vocabulary import SCENES
from training.data import to_images, trained_factors

SIZES = ((64, 64), (64, 128), (128, 64), (128, 128), (192, 192))
DECODED = 0.4  # the share of pictures that has been through an autoencoder
CHUNK = 20
MOST = 8  # things in a picture
CPU = torch.device("cpu")

Numbered = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Pictures:
    """`images` (N, H, W, 3) uint8 and `labels` (N, h, w) uint8, a thing's number for each cell."""

    images: np.ndarray
    labels: np.ndarray

    def batch(self, size: int, *, seed: int) -> tuple[Tensor, Tensor]:
        """Images (B, 3, H, W) in [-1, 1] and labels (B, h, w), half of the batches mirrored."""
        g = np.random.default_rng(seed)
        picked = g.integers(len(self.images), size=size)
        images, labels = self.images[picked], self.labels[picked]
        if g.random() < 0.5:
            images, labels = images[:, :, ::-1].copy(), labels[:, :, ::-1].copy()
        return to_images(images, CPU), torch.from_numpy(labels)


def load_pictures(
    folder: Path, prior: Prior, *, size: tuple[int, int], count: int, seed: int
) -> Pictures:
    """Draw `count` pictures of a size, a part of them decoded, or read those drawn before."""
    path = folder / f"{size[0]}x{size[1]}.npz"
    if not path.exists():
        drawn = list(tqdm(drawings(count, size=size, seed=seed), desc=path.stem, total=count))
        images = np.stack([image for image, _ in drawn])
        decoded = int(DECODED * count)
        images[:decoded] = through(prior, images[:decoded])
        cell = 2 if min(size) <= 64 else 4
        labels = np.stack([on_cells(labels, cell) for _, labels in drawn])
        folder.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial.npz")
        np.savez(partial, images=images, labels=labels)
        partial.rename(path)
    stored = np.load(path)
    return Pictures(stored["images"], stored["labels"])


def drawings(count: int, *, size: tuple[int, int], seed: int) -> Iterator[Numbered]:
    """Images and labels: one thing, up to three side by side, or things strewn about."""
    pool = trained_factors()
    for k in range(count):
        number = seed * 1_000_000 + k
        g = np.random.default_rng(number)
        one = pool[g.integers(len(pool))]
        kind = g.random()
        if kind < 0.3:
            drawing = draw(one, number, size=size)
        elif kind < 0.6:
            some = [f for f in pool if f.scene == one.scene]
            more = [some[g.integers(len(some))] for _ in range(g.integers(1, 4))]
            if g.random() < 0.3:
                more = [one] * len(more)
            drawing = draw_several(more, number, size=size)
        else:
            yield strewn(pool, g, size=size)
            continue
        yield drawing.image, drawing.labels


def strewn(pool: list[Factors], g: np.random.Generator, *, size: tuple[int, int]) -> Numbered:
    """Things at any height of a scene, or of two scenes one above the other, as in pictures that
    are larger than a model knows."""
    height, width = size
    paper, one = Paper(height, width), pool[g.integers(len(pool))]
    horizon = PAINT[one.scene](paper, g)
    if height > 64 and g.random() < 0.6:
        _stack(paper, one.scene, g)
    places: list[Place] = []
    low = 7 if min(size) == 64 else 11
    high = min(24, 0.45 * min(size) if min(size) == 64 else 40)
    wanted = int(g.integers(0, MOST + 1)) if min(size) > 64 else int(g.integers(0, 5))
    for _ in range(12 * wanted):
        scale = g.uniform(low, high)
        cx, cy = g.uniform(scale, max(scale + 1, width - scale)), g.uniform(scale, height - scale)
        place = Place(cx / height, (cy + scale) / height, scale / height)
        if len(places) < wanted and all(_apart(place, other) for other in places):
            places.append(place)
    same = g.random() < 0.6
    labels = np.zeros(size, np.uint8)
    for k, place in enumerate(sorted(places, key=lambda p: p.foot)):
        factors = one if same else pool[g.integers(len(pool))]
        labels[put(paper, factors, place, horizon=horizon, g=g)] = k + 1
    image = (np.clip(paper.rgb, 0, 1) * 255 + 0.5).astype(np.uint8)
    return image, labels


def _stack(paper: Paper, scene: str, g: np.random.Generator) -> None:
    height, width = paper.mask.shape
    count = height // 64
    rows = np.linspace(0, height, count + 1).astype(int)
    for top, bottom in pairwise(rows):
        part = Paper(bottom - top, width)
        PAINT[scene if g.random() < 0.9 else SCENES[g.integers(len(SCENES))]](part, g)
        seam = np.clip(np.arange(bottom - top) / g.uniform(1, 12), 0, 1)[:, None, None]
        below = paper.rgb[top:bottom]
        below += (part.rgb - below) * (seam if top else 1.0)


def _apart(a: Place, b: Place) -> bool:
    reach = a.scale + b.scale
    return abs(a.cx - b.cx) > 0.8 * reach or abs(a.cy - b.cy) > 0.95 * reach


def through(prior: Prior, images: np.ndarray) -> np.ndarray:
    """Images (N, H, W, 3) uint8 encoded and decoded."""
    out = np.empty_like(images)
    for start in range(0, len(images), CHUNK):
        with torch.no_grad():
            x = to_images(images[start : start + CHUNK], CPU)
            decoded = prior.decode(prior.encode(x)).clamp(-1, 1)
        pixels = ((decoded + 1) * 127.5).round().permute(0, 2, 3, 1)
        out[start : start + CHUNK] = pixels.numpy().astype(np.uint8)
    return out


def on_cells(labels: np.ndarray, cell: int) -> np.ndarray:
    """What fills most of each cell of `cell` × `cell` pixels, (H/cell, W/cell) uint8."""
    height, width = labels.shape
    cut = labels.reshape(height // cell, cell, width // cell, cell)
    shares = np.stack([(cut == k).sum((1, 3)) for k in range(int(labels.max()) + 1)])
    return shares.argmax(0).astype(np.uint8)
