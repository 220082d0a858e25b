"""A linear map from latents to colours: what a picture looks like, without the decoder.

Each colour at a place of the latents is a weighted sum of the latents there and around, plus a
constant, fitted by least squares. It sees layout and colours and no detail finer than the latents,
and its gradient costs nearly nothing, where that of the decoder is most of a guided step.

Of the variance of the colours of 200 fresh drawings, averaged to the latents' resolution, it
explains (R^2, fitted by `latent_rgb`):

    latents seen    tiny-sd    tiny-sdxl
    1 x 1           0.768      0.762
    3 x 3           0.919      0.915
    5 x 5           0.925      0.923

The 3 x 3 map is the smallest that is good; `SIDE` says so.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, conv2d, interpolate, pad, unfold

from distillery.core.errors import CourseError
from distillery.core.images import from_pil
from distillery.models.prior import Prior
from distillery.toybox import COLOURS, SCENES, THINGS, Factors, draw

SIDE = 3  # latents that the map sees, across and down
POSITIONS = 8192  # of latents, for a fit by `latent_rgb`
SEED = 710_000_000  # of its drawings, above those of all training


@dataclass(frozen=True)
class LatentRGB:
    """The map, `(B, C, h, w)` to images `(B, 3, H, W)`, about [-1, 1], with a graph.

    weight: (3, C, k, k), k odd.
    bias:   (3,).
    factor: pixels of the picture for one latent, H / h and W / w.
    """

    weight: Tensor
    bias: Tensor
    factor: int

    def __call__(self, latents: Tensor) -> Tensor:
        """The images of latents of any size, smoothly enlarged to the size of the picture."""
        colours = conv2d(_bordered(latents, self.weight.shape[-1]), self.weight, self.bias)
        return interpolate(colours, scale_factor=self.factor, mode="bicubic", align_corners=False)


def fit_latent_rgb(latents: Tensor, images: Tensor, *, side: int = SIDE) -> LatentRGB:
    """The map whose colours are nearest to the images', in least squares.

    Args:
        latents: `(B, C, h, w)`, at best of many different pictures.
        images: what they are the latents of, `(B, 3, H, W)` in [-1, 1]; their means over the
            squares that the latents stand for are fitted.
        side: latents that the map sees, across and down, odd.

    Raises:
        CourseError: H and W are not the same multiple of h and w.
    """
    (high, wide), (h, w) = images.shape[-2:], latents.shape[-2:]
    factor = high // h
    if (high, wide) != (factor * h, factor * w):
        raise CourseError(
            f"images must be a whole number of times as large as their latents, {h} x {w}, in both "
            f"directions; they are {high} x {wide}."
        )
    # In double precision on the CPU, where latents that are constant or double do no harm.
    seen = unfold(_bordered(latents.detach().double().cpu(), side), side).mT.flatten(0, 1)
    asked = torch.cat([seen, torch.ones_like(seen[:, :1])], dim=1)
    colours = adaptive_avg_pool2d(images.double().cpu(), (h, w)).flatten(2).mT.flatten(0, 1)
    solution = torch.linalg.lstsq(asked, colours, driver="gelsd").solution.to(latents)
    weight = solution[:-1].T.reshape(3, latents.shape[1], side, side)
    return LatentRGB(weight.contiguous(), solution[-1], factor)


@torch.no_grad()
def latent_rgb(prior: Prior) -> LatentRGB:
    """The map of a prior's latents, fitted on drawings of the toybox at the prior's own size.

    They are enough for `POSITIONS` latents, and at least one drawing of each scene and colour.
    """
    h, w = prior.latent_size
    count = max(len(SCENES), math.ceil(POSITIONS / (h * w)))
    images = torch.cat(list(_drawings(count, prior.image_size))).to(prior.device)
    latents = torch.cat([prior.encode(image) for image in images[:, None]])
    return fit_latent_rgb(latents.float(), images)


def _drawings(count: int, size: tuple[int, int]) -> Iterator[Tensor]:
    for k in range(count):
        shift = k // len(SCENES)
        colour = COLOURS[(k + shift) % len(COLOURS)]
        factors = Factors(THINGS[k % len(THINGS)], colour, SCENES[k % len(SCENES)])
        yield from_pil(Image.fromarray(draw(factors, SEED + k, size=size).image))


def _bordered(latents: Tensor, side: int) -> Tensor:
    """The latents with those at the border repeated, so that a map of `side` keeps the size."""
    return pad(latents, (side // 2,) * 4, mode="replicate")
