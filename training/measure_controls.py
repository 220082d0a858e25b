"""The figures of tiny-depth and tiny-caption, on large drawings that were not used in training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
import transformers
from torch import Tensor

from distillery.core.images import to_pil
from distillery.models.annotators import depths
from distillery.toybox import Drawing, all_factors, draw, held_out
from training.data import to_images
from training.degrade import on_cells
from training.measure_sd import CHUNK, FRESH, report
from training.tiny_depth import correlations

COUNT, SIZE = 256, (128, 128)
CPU = torch.device("cpu")


def noisy(images: Tensor) -> Tensor:
    """With Gaussian noise of a standard deviation of 0.15, of a range of 2."""
    g = torch.Generator().manual_seed(FRESH)
    return (images + 0.15 * torch.randn(images.shape, generator=g)).clamp(-1, 1)


def tinted(images: Tensor) -> Tensor:
    """Redder and less blue, as under a lamp."""
    return (images + torch.tensor([0.1, 0.0, -0.1]).view(3, 1, 1)).clamp(-1, 1)


WEAR: dict[str, Callable[[Tensor], Tensor]] = {
    "as drawn": lambda images: images,
    "blurred": lambda images: on_cells(images, 48, smooth=True),
    "noisy": noisy,
    "tinted": tinted,
    "in 32×32 squares": lambda images: on_cells(images, 32, smooth=False),
    "in 32×32, enlarged": lambda images: on_cells(images, 32, smooth=True),
}


def measure_controls(*, models: Path) -> None:
    """Print every figure that the two model cards quote."""
    measure_depth(models=models)
    measure_caption(models=models)


def measure_depth(*, models: Path) -> None:
    """Print how well tiny-depth's maps follow the true depth."""
    for name, wanted in (("trained", False), ("held-out", True)):
        images, drawings = fresh_large_drawings(held_out_ones=wanted)
        truth = torch.from_numpy(np.stack([drawing.depth for drawing in drawings]))
        for wear, worn in WEAR.items():
            some = COUNT if wear == "as drawn" else COUNT // 4  # one after another is slow
            near = depths(worn(images[:some]), model=models / "tiny-depth")[:, 0]
            score = correlations(near, truth[:some])
            what = f"tiny-depth, mean correlation, {name}, {wear}"
            print(f"{what:<64}{score.mean():8.3f} (least {score.min():.3f})", flush=True)


def measure_caption(*, models: Path) -> None:
    """Print how often tiny-caption's sentence names thing, colour and scene."""
    for name, wanted in (("trained", False), ("held-out", True)):
        images, drawings = fresh_large_drawings(held_out_ones=wanted)
        truth = [str(drawing.factors[0]) for drawing in drawings]
        for wear, worn in WEAR.items():
            told = captions(worn(images), models / "tiny-caption")
            right = sum(a == b for a, b in zip(told, truth, strict=True)) / len(truth)
            report(f"tiny-caption, all facts named, {name}, {wear}", right)


def fresh_large_drawings(
    *, held_out_ones: bool, count: int = COUNT
) -> tuple[Tensor, Sequence[Drawing]]:
    """Drawings as images (N, 3, 128, 128) in [-1, 1], and with their truth."""
    combinations = [f for f in all_factors() if held_out(f) is held_out_ones]
    # 97 has no factor in common with the number of combinations, 692 or 76, so all take turns.
    drawings = [
        draw(combinations[97 * k % len(combinations)], FRESH + k, size=SIZE) for k in range(count)
    ]
    return to_images(np.stack([drawing.image for drawing in drawings]), CPU), drawings


def captions(images: Tensor, folder: Path) -> list[str]:
    """The captions of images (B, 3, H, W) in [-1, 1], by transformers' own pipeline."""
    pipeline = transformers.pipeline("image-text-to-text", model=str(folder), dtype=torch.float32)
    told = []
    for chunk in images.split(CHUNK):
        answers = pipeline(to_pil(chunk), text=[""] * len(chunk))
        told += [answer["generated_text"].strip() for answer in answers]
    return told
