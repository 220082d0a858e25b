"""How well the embedded autoencoders give back the border of a picture, beside its interior.

Convolutions that pad with zeros see something else at the border than inside, so a decoder has to
learn the border on its own. `python -m training.measure_border` prints both errors for every
embedded decoder, of drawings that were not used in training, and what samples show there. Compared
are calm places alone, because outlines, where errors are large, are rarer at the border.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from distillery.core.files import REPOSITORY
from distillery.models.load import load_prior
from distillery.models.prior import Prior
from distillery.models.style import load_decoder
from distillery.toybox import all_factors
from training.data import to_images
from training.measure_sd import sample, spread
from training.measure_styles import fresh_pictures
from training.style_pictures import CPU, decoded, encoded
from training.tiny_sd_pixel_decoder import FILE

COUNT = 96
FAR = 8  # pixels from the border; nearer ones are neither border nor interior
LEVELS = 127.5  # of 8 bits, in one unit of a picture in [-1, 1]
AROUND, CALM = 4, 25.0  # a calm place: its colours differ by less than so many levels, so near


@dataclass(frozen=True)
class BorderError:
    """Mean absolute and signed errors, in levels of 255, where the wanted pictures are calm.

    border, corner, interior: of the outermost pixels, of the four in the corners, of those inside.
    `signed` ones are below zero where a picture is too dark.
    """

    border: float
    corner: float
    interior: float
    border_signed: float
    corner_signed: float
    interior_signed: float


def border_error(given: Tensor, wanted: Tensor) -> BorderError:
    """Compare images (N, 3, H, W) in [-1, 1], larger than 16 pixels a side."""
    error, size = LEVELS * (given - wanted), (given.shape[-2], given.shape[-1])
    quiet = calm(wanted).expand_as(error)
    parts = [error[quiet & part] for part in (ring(size), corners(size), interior(size))]
    absolute, signed = [p.abs().mean().item() for p in parts], [p.mean().item() for p in parts]
    return BorderError(*absolute, *signed)


def calm(images: Tensor) -> Tensor:
    """Where images (N, 3, H, W) have nearly one colour around a pixel, (N, 1, H, W) bool."""
    side = 2 * AROUND + 1
    highest, lowest = (sign * F.max_pool2d(sign * images, side, 1, AROUND) for sign in (1, -1))
    return LEVELS * (highest - lowest).amax(1, keepdim=True) < CALM


def ring(size: tuple[int, int], *, at: int = 0) -> Tensor:
    """The pixels that are `at` pixels from the border, (H, W) bool."""
    return _depth(size) == at


def corners(size: tuple[int, int]) -> Tensor:
    """The four pixels in the corners, (H, W) bool."""
    marked = torch.zeros(*size, dtype=torch.bool)
    marked[:: size[0] - 1, :: size[1] - 1] = True
    return marked


def interior(size: tuple[int, int]) -> Tensor:
    """The pixels that are at least `FAR` pixels from the border, (H, W) bool."""
    return _depth(size) >= FAR


def _depth(size: tuple[int, int]) -> Tensor:
    down, across = (torch.minimum(torch.arange(n), torch.arange(n).flip(0)) for n in size)
    return torch.minimum(down[:, None], across)


def border_steps(images: Tensor) -> tuple[float, float]:
    """How much darker (below zero) border and corners are than 3 pixels further in, in levels."""
    size = (images.shape[-2], images.shape[-1])
    outer, inner = (images[..., ring(size, at=at)].mean() for at in (0, 3))
    within = images[..., 3:-3, 3:-3]
    inside = within[..., corners((size[0] - 6, size[1] - 6))].mean()
    corner = images[..., corners(size)].mean()
    return LEVELS * float(outer - inner), LEVELS * float(corner - inside)


def decoders(models: Path) -> dict[str, tuple[Prior, str]]:
    """Every embedded model that decodes, and the style of the pictures that it is for."""
    pixel = load_prior(models / "tiny-sd", device="cpu")
    load_decoder(pixel, models / "tiny-sd-pixel" / FILE)
    return {
        "tiny-sd": (load_prior(models / "tiny-sd", device="cpu"), "drawing"),
        "tiny-sd-pixel": (pixel, "pixel"),
        "tiny-sdxl": (load_prior(models / "tiny-sdxl", device="cpu"), "drawing"),
    }


def measured(prior: Prior, kind: str, *, count: int) -> BorderError:
    """The errors of one decoder, of fresh pictures of a style at the model's own size."""
    pictures = fresh_pictures(kind, count, size=prior.image_size)
    return border_error(decoded(prior, encoded(prior, pictures)), to_images(pictures, CPU))


def measure_border(*, models: Path, count: int = COUNT) -> None:
    """Print the errors of every decoder, and how the border of its samples differs."""
    for name, (prior, kind) in decoders(models).items():
        its = measured(prior, kind, count=count)
        print(
            f"{name}, {kind}, error in levels of 255: border {its.border:.2f} "
            f"({its.border_signed:+.2f}), corner {its.corner:.2f} ({its.corner_signed:+.2f}), "
            f"interior {its.interior:.2f} ({its.interior_signed:+.2f})",
            flush=True,
        )
    for name in ("tiny-sd", "tiny-sdxl"):
        prior = load_prior(models / name, device="cpu")
        prompts = [str(f) for f in spread(all_factors(), count)]
        drawn = sample(prior, prompts, guidance_scale=3.0)
        real = to_images(fresh_pictures("drawing", count, size=prior.image_size), CPU)
        steps = (*border_steps(drawn), *border_steps(real))
        print(
            "{}, levels from 3 pixels further in: samples' border {:+.2f}, corner {:+.2f}; "
            "drawings' {:+.2f}, {:+.2f}".format(name, *steps),
            flush=True,
        )


def main() -> None:
    """Parse the command line and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m training.measure_border", description=__doc__)
    parser.add_argument("--models", type=Path, default=REPOSITORY / "data" / "models")
    parser.add_argument("--count", type=int, default=COUNT, help="pictures of each")
    options = parser.parse_args()
    measure_border(models=options.models, count=options.count)


if __name__ == "__main__":
    main()
