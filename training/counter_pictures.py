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

from distillery.metrics.counter import cell_of
from distillery.models.prior import Prior
from distillery.toybox import SCENES, Factors, draw, draw_several
from distillery.toybox.brush import Paper
from distillery.toybox.drawing import Place, put
from distillery.toybox.scenes import PAINT
from training.data import to_images, trained_factors

SIZES = ((64, 64), (64, 128), (128, 64), (128, 128), (192, 192))
DECODED = 0.4  # the share of pictures that has been through an autoencoder
ONE, SEVERAL = 0.3, 0.3  # the shares of the kinds of drawings; the rest is strewn
STACKED, ALIKE = 0.6, 0.6  # the shares of strewn ones on several scenes, and of things of one kind
CHUNK = 20
CPU = torch.device("cpu")

Numbered = tuple[np.ndarray, np.ndarray]  # image (H, W, 3), and labels (H, W), both uint8


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
    """Draw `count` pictures of a size, or read those drawn before.

    A part of them goes through the autoencoder of `prior`.
    """
    path = folder / f"{size[0]}x{size[1]}.npz"
    if not path.exists():
        drawn = list(drawings(count, size=size, seed=seed))
        images = np.stack([image for image, _ in drawn])
        labels = np.stack([on_cells(labels, cell_of(size)) for _, labels in drawn])
        decoded = int(DECODED * count)
        images[:decoded] = through(prior, images[:decoded])
        folder.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial.npz")
        np.savez(partial, images=images, labels=labels)
        partial.rename(path)
    stored = np.load(path)
    return Pictures(stored["images"], stored["labels"])


def drawings(count: int, *, size: tuple[int, int], seed: int) -> Iterator[Numbered]:
    """One thing, up to three side by side, or things strewn about, of trained combinations."""
    pool = trained_factors()
    for number in range(seed * 1_000_000, seed * 1_000_000 + count):
        g = np.random.default_rng(number)
        one, kind = pool[g.integers(len(pool))], g.random()
        if kind < ONE:
            drawing = draw(one, number, size=size)
        elif kind < ONE + SEVERAL:
            mates = [f for f in pool if f.scene == one.scene]
            some = [mates[g.integers(len(mates))] for _ in range(g.integers(1, 4))]
            if g.random() < 0.3:
                some = [one] * len(some)
            drawing = draw_several(some, number, size=size)
        else:
            yield strewn(pool, g, size=size)
            continue
        yield drawing.image, drawing.labels


def strewn(pool: list[Factors], g: np.random.Generator, *, size: tuple[int, int]) -> Numbered:
    """Things at any height of a scene, or of scenes one above the other, as models draw that were
    asked for more pixels than they know; or none at all."""
    paper, one = Paper(*size), pool[g.integers(len(pool))]
    horizon = PAINT[one.scene](paper, g)
    if size[0] > 64 and g.random() < STACKED:
        _stack(paper, one.scene, g)
    places = sorted(_strewn_places(size, g), key=lambda place: place.foot)
    alike = g.random() < ALIKE
    labels = np.zeros(size, np.uint8)
    for k, place in enumerate(places):
        factors = one if alike else pool[g.integers(len(pool))]
        labels[put(paper, factors, place, horizon=horizon, g=g)] = k + 1
    return (np.clip(paper.rgb, 0, 1) * 255 + 0.5).astype(np.uint8), labels


def _strewn_places(size: tuple[int, int], g: np.random.Generator) -> list[Place]:
    height, width = size
    low, high, most = (7, 24.0, 4) if min(size) == 64 else (11, 24.0, 8)  # half heights, pixels
    wanted = int(g.integers(0, most + 1))
    places: list[Place] = []
    for _ in range(12 * wanted):
        scale = g.uniform(low, high)
        x, y = g.uniform(scale, max(scale + 1, width - scale)), g.uniform(scale, height - scale)
        place = Place(x / height, (y + scale) / height, scale / height)
        if len(places) < wanted and all(_apart(place, other) for other in places):
            places.append(place)
    return places


def _apart(a: Place, b: Place) -> bool:
    reach = a.scale + b.scale
    return abs(a.cx - b.cx) > 0.8 * reach or abs(a.cy - b.cy) > 0.95 * reach


def _stack(paper: Paper, scene: str, g: np.random.Generator) -> None:
    """Paint scenes 64 pixels high, one above the other, over the paper."""
    height, width = paper.mask.shape
    for top, bottom in pairwise(range(0, height + 1, 64)):
        part = Paper(bottom - top, width)
        other = g.random() >= 0.9
        PAINT[SCENES[g.integers(len(SCENES))] if other else scene](part, g)
        seam = np.clip(np.arange(bottom - top) / g.uniform(1, 12), 0, 1)[:, None, None]
        below = paper.rgb[top:bottom]
        below += (part.rgb - below) * (seam if top else 1.0)


def through(prior: Prior, images: np.ndarray) -> np.ndarray:
    """Images (N, H, W, 3) uint8 encoded and decoded."""
    out = np.empty_like(images)
    for start in tqdm(range(0, len(images), CHUNK), desc=f"{images.shape[1]}x{images.shape[2]}"):
        with torch.no_grad():
            latents = prior.encode(to_images(images[start : start + CHUNK], CPU))
            decoded = prior.decode(latents).clamp(-1, 1)
        pixels = ((decoded + 1) * 127.5).round().permute(0, 2, 3, 1)
        out[start : start + CHUNK] = pixels.numpy().astype(np.uint8)
    return out


def on_cells(labels: np.ndarray, cell: int) -> np.ndarray:
    """What fills most of each cell of `cell` × `cell` pixels, (H/cell, W/cell) uint8."""
    height, width = labels.shape
    cut = labels.reshape(height // cell, cell, width // cell, cell)
    shares = np.stack([(cut == k).sum((1, 3)) for k in range(int(labels.max()) + 1)])
    return shares.argmax(0).astype(np.uint8)
