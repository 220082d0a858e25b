"""A stroke painting from a picture of any kind, fitted to what a model can draw.

Its aspect is kept as nearly as sides of multiples of 8 pixels allow. What is transparent in it is
not painted, and left to the model.
"""

from __future__ import annotations

import math
import warnings
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from distillery.core.errors import CourseError
from distillery.core.images import from_pil, opened, read_any
from distillery.core.program import TYPED
from distillery.methods.strokes import Painting
from distillery.models.exact import GaussianMixturePrior
from distillery.models.prior import Prior

UNIT = 8  # pixels; every model here draws sides of this many times a whole number
LONGEST = 4  # of a painting's sides, the longer by the shorter
MOST_PIXELS = 40_000_000  # 160 MB once it is read
STRETCHED = math.log(1.08)  # of an aspect, as its logarithm, at most; nobody sees less

Frame = tuple[int, int]  # height and width in pixels


def read_painting(path: Path) -> Image.Image:
    """Read a painting as RGBA, upright and in sRGB; of what is opaque, alpha is 255.

    Raises:
        CourseError: it cannot be read, is animated, is too large, or is more than 4 times as long
            one way as the other.
    """
    return as_painting(read_any(path, most=MOST_PIXELS), str(path))


def as_painting(picture: Image.Image, name: str = "the painting") -> Image.Image:
    """A picture of any mode as RGBA; `name` is what a sentence calls it.

    Raises:
        CourseError: it is damaged or animated, is more than 4 times as long one way as the other,
            or has no paint.
    """
    picture = opened(picture, name)
    width, height = picture.size
    if max(width, height) > LONGEST * min(width, height):
        raise CourseError(
            f"{name} is {width} x {height} pixels; a painting may be at most {LONGEST} times as "
            "long one way as the other: crop it."
        )
    if picture.mode == "RGBA" and not picture.getchannel("A").getbbox():
        raise CourseError(
            f"{name} has no paint, for all of it is transparent; paint something, or draw by the "
            f"prompt alone with `{TYPED} sample`."
        )
    return picture.convert("RGBA")  # with the colours also under what is half transparent


def frame_for(prior: Prior, painting: tuple[int, int], size: Frame | None) -> Frame:
    """The size in pixels of the picture that a painting becomes.

    Without a `size` it has the painting's aspect, about as many pixels as the pictures that the
    model was trained on, and sides of multiples of 8. A painting that has the model's shorter side
    already, and is up to twice as long, keeps its size.

    Args:
        painting: its width and height, as PIL gives them.
        size: that was asked for.

    Raises:
        CourseError: the prior draws only pictures of one size, and another one was asked for.
    """
    own = prior.image_size
    if isinstance(prior, GaussianMixturePrior):
        if size not in (None, own):
            raise CourseError(
                f"the exact prior draws only pictures of {own[0]} x {own[1]} pixels; leave the "
                "size out, or choose another model."
            )
        return own
    given = (painting[1], painting[0])
    fits = min(given) == min(own) and max(given) <= 2 * max(own) and max(given) % UNIT == 0
    return size or (given if fits else fitted_frame(painting, own[0] * own[1]))


def fitted_frame(painting: tuple[int, int], pixels: int) -> Frame:
    """The frame of about that many pixels whose aspect is nearest to a painting's (W, H)."""
    width, height = painting
    ideal = math.sqrt(pixels * height / width)

    def misfit(frame: Frame) -> float:
        aspect, area = frame[1] / frame[0], frame[0] * frame[1]
        return abs(math.log(aspect * height / width)) + 0.2 * abs(math.log(area / pixels))

    steps = range(max(1, math.floor(0.7 * ideal / UNIT)), math.ceil(1.4 * ideal / UNIT) + 1)
    heights = [UNIT * step for step in steps]
    widths = [max(UNIT, UNIT * round(h * width / height / UNIT)) for h in heights]
    return min(zip(heights, widths, strict=True), key=misfit)


def place_in(picture: tuple[int, int], frame: Frame) -> tuple[int, int, int, int]:
    """Left, top, width and height of a picture (W, H) in a frame, as large as it can be.

    It fills a frame of nearly its own aspect. In another one it lies in the middle, whole and not
    stretched, and leaves two strips free.
    """
    (width, height), (H, W) = picture, frame
    if abs(math.log(W / H * height / width)) <= STRETCHED:
        return 0, 0, W, H
    scale = min(W / width, H / height)
    fitted = max(1, round(scale * width)), max(1, round(scale * height))
    return (W - fitted[0]) // 2, (H - fitted[1]) // 2, *fitted


def fitted(painting: Image.Image, frame: Frame) -> Image.Image:
    """A painting (RGBA) in the frame; a warning says which strips it leaves free."""
    left, top, width, height = place_in(painting.size, frame)
    if (width, height) == painting.size == frame[::-1]:
        return painting
    resized = painting.resize((width, height), Image.Resampling.BILINEAR)
    if (width, height) == frame[::-1]:
        return resized
    sides = "left and right" if left else "above and below"
    warnings.warn(
        f"the painting is {painting.width} x {painting.height} pixels and the picture "
        f"{frame[1]} x {frame[0]}: it lies in the middle, and what is {sides} of it is left to the "
        "model.",
        stacklevel=2,
    )
    whole = Image.new("RGBA", frame[::-1])
    whole.paste(resized, (left, top))
    return whole


def for_model(prior: Prior, painting: Image.Image, *, count: int = 1) -> Painting:
    """What the methods are given of a painting (RGBA) of the picture's size, `count` times."""
    mask = torch.from_numpy(np.asarray(painting.getchannel("A"), np.float32) / 255)[None, None]
    image = from_pil(painting.convert("RGB"))
    image, mask = continued(image, mask).to(prior.device), mask.to(prior.device)
    with torch.no_grad():
        latents = prior.encode(image)
    return Painting(*(part.expand(count, -1, -1, -1) for part in (image, mask, latents)))


def continued(image: Tensor, mask: Tensor) -> Tensor:
    """The image (1, 3, H, W) with colours of the paint nearby where the mask (1, 1, H, W) is 0.

    They are means of the painted colours, each weighted by a Gaussian of its distance. Latents of a
    painting then know of no edge where the paint ends.
    """
    if bool((mask == 1).all()):
        return image
    weights = mask.double()
    # In a long strip it is wider, or no weight at the far end would be above 0.
    sigma = max(min(mask.shape[-2:]) / 8, max(mask.shape[-2:]) / 32)
    rows, columns = (
        torch.exp(-0.5 * ((place[:, None] - place) / sigma).square())
        for place in (torch.arange(side, dtype=torch.float64) for side in mask.shape[-2:])
    )
    # Far from any paint the weights are tiny, but double precision keeps their ratios.
    near = (rows @ (weights * image.double()) @ columns) / (rows @ weights @ columns)
    return (mask * image + (1 - mask) * near.float()).clamp(-1, 1)
