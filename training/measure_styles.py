"""The figures of the pixel decoder and of the style judge, on pictures not used in training.

`python -m training.measure_styles` prints them alone; `python -m training measure` prints them with
the figures of all models.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from distillery.core.files import REPOSITORY
from distillery.metrics.style_judge import KINDS, StyleJudge
from distillery.models.prior import Prior
from distillery.toybox import all_factors, draw
from distillery.toybox.styles import styled
from training.data import to_images
from training.measure_sd import FRESH
from training.style_judge import noisy, priors
from training.style_pictures import CPU, decoded, encoded
from training.tiny_sd_pixel_decoder import within_cells

COUNT = 64
SIZES = ((64, 64), (64, 128), (128, 64))


def measure_styles(*, models: Path, count: int = COUNT) -> None:
    """Print what each autoencoder gives back of each style, and what the style judge says of it."""
    through, judge = priors(models), StyleJudge.load(models / "style-judge")
    for size in SIZES:
        for kind in KINDS:
            images = fresh_pictures(kind, count, size=size)
            print(f"{kind}, {size[0]}x{size[1]}, as drawn: {told(judge, images)}", flush=True)
            for name, prior in through.items():
                given = given_back(prior, images)
                ratio, error = mean_and_error(psnr(given, images))
                cells = mean_and_error(deviation(given))[0]
                print(
                    f"{kind}, {size[0]}x{size[1]}, {name} decoder: {ratio:.2f} +- {error:.2f} dB, "
                    f"within cells {cells:.4f}; {told(judge, given)}",
                    flush=True,
                )


def fresh_pictures(kind: str, count: int, *, size: tuple[int, int] = (64, 64)) -> np.ndarray:
    """New pictures in a style, (N, H, W, 3) uint8, of all combinations, held-out ones too."""
    pool = all_factors()
    # 97 has no factor in common with the number of combinations, 768, so all facts take turns.
    factors = [pool[97 * k % len(pool)] for k in range(count)]
    drawings = [draw(its, FRESH + 90_000 + k, size=size) for k, its in enumerate(factors)]
    return np.stack([d.image if kind == "drawing" else styled(d, kind).image for d in drawings])


def given_back(prior: Prior, images: np.ndarray, *, noise_seed: int | None = None) -> Tensor:
    """Images (N, 3, H, W) after encoding and decoding, in between with noise if a seed is given."""
    latents = encoded(prior, images)
    return decoded(prior, latents if noise_seed is None else noisy(latents, seed=noise_seed))


def psnr(given: Tensor, images: np.ndarray) -> Tensor:
    """Peak signal-to-noise ratio of each picture in dB, (N,)."""
    squared = (given - to_images(images, CPU)).square().mean((1, 2, 3))
    return 10 * torch.log10(4 / squared)


def deviation(given: Tensor) -> Tensor:
    """The root mean square deviation inside cells of each picture, (N,), of values in [0, 1]."""
    return torch.stack([within_cells(one[None]).sqrt() / 2 for one in given])


def mean_and_error(values: Tensor) -> tuple[float, float]:
    """The mean and its standard error."""
    return float(values.mean()), float(values.std() / len(values) ** 0.5)


def told(judge: StyleJudge, images: np.ndarray | Tensor) -> str:
    """How often the judge says what."""
    seen = judge.styles(images if isinstance(images, Tensor) else to_images(images, CPU))
    return ", ".join(f"{kind} {100 * seen.count(kind) / len(seen):.1f} %" for kind in KINDS)


def main() -> None:
    """Parse the command line and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m training.measure_styles", description=__doc__)
    parser.add_argument("--models", type=Path, default=REPOSITORY / "data" / "models")
    parser.add_argument("--count", type=int, default=COUNT, help="pictures of each style and size")
    options = parser.parse_args()
    measure_styles(models=options.models, count=options.count)


if __name__ == "__main__":
    main()
