"""What the counter learns from: pictures with a number for each thing in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from distillery.methods.sdedit import sdedit
from distillery.metrics.counter import cell_of
from distillery.models.prior import Prior
from distillery.toybox import SCENES, Factors, draw, draw_several
from distillery.toybox.brush import Paper
from distillery.toybox.drawing import Place, put
from distillery.toybox.scenes import PAINT
from training.data import to_images, trained_factors

SIZES = ((64, 64), (64, 128), (128, 64), (128, 128), (192, 192))
DECODED, REDRAWN = 0.25, 0.1  # the shares of pictures that were encoded, and sampled in part
STRENGTH, GUIDANCE, STEPS = 0.2, 3.0, 15  # of the sampling; things stay what they are
ONE, SEVERAL = 0.25, 0.35  # the shares of the kinds of drawings; the rest is strewn
STACKED, ALIKE = 0.6, 0.6  # the shares of strewn ones on several scenes, and of one kind
CHUNK = 10
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Numbered:
    """`image` (H, W, 3) uint8, `labels` (H, W) uint8, a number for each thing, and a prompt."""

    image: np.ndarray
    labels: np.ndarray
    prompt: str


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
    """Draw `count` pictures of a size, some of them by way of a model, or read those drawn before.

    A part goes through the prior's autoencoder, and a part is sampled over the last steps again
    (SDEdit), so that it shows how the model draws.
    """
    path = folder / f"{size[0]}x{size[1]}.npz"
    if not path.exists():
        drawn = list(drawings(count, size=size, seed=seed))
        images = np.stack([one.image for one in drawn])
        labels = np.stack([on_cells(one.labels, cell_of(size)) for one in drawn])
        redrawn = round(REDRAWN * count)
        decoded = redrawn + round(DECODED * count)
        prompts = [one.prompt for one in drawn[:redrawn]]
        images[:redrawn] = resampled(prior, images[:redrawn], prompts, seed=seed)
        images[redrawn:decoded] = through(prior, images[redrawn:decoded])
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
        mates = [f for f in pool if f.scene == one.scene]
        if kind < ONE:
            drawing = draw(one, number, size=size)
        elif kind < ONE + SEVERAL:
            if g.random() < 0.3:
                mates = [one]
            others = [mates[g.integers(len(mates))] for _ in range(g.integers(0, 3))]
            drawing = draw_several([one, *others], number, size=size)
        else:
            yield strewn(one, mates, g, size=size)
            continue
        yield Numbered(drawing.image, drawing.labels, str(one))


def strewn(
    one: Factors, mates: list[Factors], g: np.random.Generator, *, size: tuple[int, int]
) -> Numbered:
    """Things at any height of a scene, or of scenes one above the other, as models draw that were
    asked for more pixels than they know; or none at all."""
    height, width = size
    paper = Paper(height, width)
    horizon = PAINT[one.scene](paper, g)
    if height > 64 and g.random() < STACKED:
        _stack(paper, one.scene, g)
    if g.random() < ALIKE:
        mates = [one]
    labels = np.zeros(size, np.uint8)
    for k, place in enumerate(sorted(_strewn_places(size, g), key=lambda place: place.foot)):
        factors = mates[g.integers(len(mates))]
        labels[put(paper, factors, place, horizon=horizon, g=g)] = k + 1
    image = (np.clip(paper.rgb, 0, 1) * 255 + 0.5).astype(np.uint8)
    return Numbered(image, labels, str(one))


def _strewn_places(size: tuple[int, int], g: np.random.Generator) -> list[Place]:
    height, width = size
    small = min(size) == 64
    low, high, most = (5.5, 24.0, 4) if small else (11.0, 40.0, 8)  # half heights in pixels
    wanted = int(g.integers(0, most + 1))
    places: list[Place] = []
    for _ in range(12 * wanted):
        scale = g.uniform(low, high)
        x, y = g.uniform(scale, width - scale), g.uniform(scale, height - scale)
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
        other = SCENES[g.integers(len(SCENES))]
        PAINT[scene if g.random() < 0.9 else other](part, g)
        seam = np.clip(np.arange(bottom - top) / g.uniform(1, 12), 0, 1)[:, None, None]
        below = paper.rgb[top:bottom]
        below += (part.rgb - below) * (seam if top else 1.0)


def through(prior: Prior, images: np.ndarray) -> np.ndarray:
    """Images (N, H, W, 3) uint8 encoded and decoded."""
    return _latently(prior, images, lambda latents, _: latents)


def resampled(prior: Prior, images: np.ndarray, prompts: list[str], *, seed: int) -> np.ndarray:
    """The same with noise over the latents, and sampled back with the prompts."""
    generator = torch.Generator().manual_seed(seed)

    def change(latents: Tensor, start: int) -> Tensor:
        return sdedit(
            prior,
            latents,
            prompts[start : start + len(latents)],
            strength=STRENGTH,
            guidance_scale=GUIDANCE,
            steps=STEPS,
            generator=generator,
        )

    return _latently(prior, images, change)


def _latently(
    prior: Prior, images: np.ndarray, change: Callable[[Tensor, int], Tensor]
) -> np.ndarray:
    out = np.empty_like(images)
    for start in tqdm(range(0, len(images), CHUNK), desc=f"{images.shape[1]}x{images.shape[2]}"):
        with torch.no_grad():
            latents = prior.encode(to_images(images[start : start + CHUNK], CPU))
            decoded = prior.decode(change(latents, start)).clamp(-1, 1)
        pixels = ((decoded + 1) * 127.5).round().permute(0, 2, 3, 1)
        out[start : start + CHUNK] = pixels.numpy().astype(np.uint8)
    return out


def on_cells(labels: np.ndarray, cell: int) -> np.ndarray:
    """What fills most of each cell of `cell` × `cell` pixels, (H/cell, W/cell) uint8."""
    height, width = labels.shape
    cut = labels.reshape(height // cell, cell, width // cell, cell)
    shares = np.stack([(cut == k).sum((1, 3)) for k in range(int(labels.max()) + 1)])
    return shares.argmax(0).astype(np.uint8)
