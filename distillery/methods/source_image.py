"""The source of an edit: the picture that an editing method starts from.

Any picture may be edited. It is scaled until it fills the model's frame, and cropped about the
centre, so that its proportions never change.
"""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from PIL import Image
from torch import Tensor

from distillery.core.cells import cells_to_enlarge, fit_cells
from distillery.core.errors import CourseError
from distillery.core.files import prompt_to_filename
from distillery.core.images import read_any, save_png, to_rgb
from distillery.models.prior import Condition, Prior

SHORTEST_SIDE = 8  # pixels, one of a Stable Diffusion's latents
LEAST_SHOWN = 0.2  # of a picture; a smaller part of a long strip is no longer that picture
WORTH_SAYING_CROPPED, WORTH_SAYING_ENLARGED = 0.1, 4.0


@dataclass(frozen=True)
class Source:
    """The picture that is edited, x0 `(B, C, h, w)`, and the condition that describes it."""

    x0: Tensor
    text: Condition


def zero_noise_prior(prior: Prior) -> Prior:
    """`prior`, except that it always predicts zero noise.

    It shows what a method does without the network.
    """
    return cast("Prior", _ZeroNoisePrior(prior))


class _ZeroNoisePrior:
    def __init__(self, prior: Prior) -> None:
        self._prior = prior

    def __getattr__(self, name: str) -> Any:
        return getattr(self._prior, name)

    def predict_noise(
        self, xt: Tensor, t: Tensor, *conditions: Condition, **options: Any
    ) -> tuple[Tensor, ...]:
        return tuple(torch.zeros_like(xt) for _ in conditions)


def load_source(path: Path, size: tuple[int, int]) -> Image.Image:
    """Read any picture as RGB, upright, over white, and fitted into the frame `size` (H, W).

    Pixel art, small or enlarged, keeps its cells: each becomes a square of its colour, as far as
    they go into the frame. It warns in a sentence where more than a tenth of a side is cropped
    away, or where another picture is enlarged more than 4 times.

    Raises:
        CourseError: it cannot be read, is animated, has a side below 8 pixels, or is so long that
            the frame would show less than a fifth of it.
    """
    # A JPEG decoded at twice the frame's size loses nothing that the frame could show.
    image = read_any(path, enough=2 * max(size))
    cells = cells_to_enlarge(image, size)
    check_shape(path, (cells or image).size, size, soft=cells is None)
    return to_rgb(fit_cells(image, size))


def check_shape(
    path: Path, picture: tuple[int, int], frame: tuple[int, int], *, soft: bool = True
) -> None:
    """Refuse what cannot be fitted well, and warn of a loss.

    Args:
        picture: PIL's (width, height).
        soft: whether it is enlarged smoothly.
    """
    (width, height), (H, W) = picture, frame
    if min(width, height) < SHORTEST_SIDE:
        raise CourseError(
            f"{path} is {width} x {height} pixels; an edit needs at least {SHORTEST_SIDE} a side."
        )
    enlarged = max(H / height, W / width)
    shown = {"width": W / (width * enlarged), "height": H / (height * enlarged)}
    side = min(shown, key=lambda name: shown[name])
    if shown[side] < LEAST_SHOWN:
        raise CourseError(
            f"{path} is so long that the model's frame would show only {shown[side]:.1%} of it; "
            "crop it first to what you want to edit."
        )
    if 1 - shown[side] > WORTH_SAYING_CROPPED:
        warnings.warn(
            f"{1 - shown[side]:.0%} of the {side} of {path} is cropped away, half on either side, "
            f"to fill the model's frame of {W} x {H} pixels.",
            stacklevel=3,
        )
    if soft and enlarged > WORTH_SAYING_ENLARGED:
        warnings.warn(
            f"{path} is enlarged {enlarged:.1f} times to fill the model's frame of {W} x {H} "
            "pixels, so it will look soft.",
            stacklevel=3,
        )


def drawn_source(
    prior: Prior,
    prompt: str,
    *,
    model: str | Path,
    guidance_scale: float,
    cache: Path,
    seed: int,
    steps: int = 50,
) -> Path:
    """The file of a source picture that `prior` draws from its prompt by DDIM, once.

    It is kept as a PNG in the folder `cache`, and a warning says so. The file is named after
    prompt, model, seed, guidance, steps, frame and kind of device; where one differs, another is
    drawn.

    Args:
        model: the name that `prior` was loaded by.

    Raises:
        CourseError: the cache cannot be written.
    """
    settings = [str(model), seed, guidance_scale, steps, *prior.image_size, prior.device.type]
    digest = hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:16]
    path = cache / f"{prompt_to_filename(prompt)}~{digest}.png"
    if not os.path.exists(path):
        generator = torch.Generator(prior.device).manual_seed(seed)
        latents = prior.sample(
            [prompt], guidance_scale=guidance_scale, steps=steps, generator=generator
        )
        save_png(path, prior.decode(latents), prompt)
        warnings.warn(
            f"no source picture is given; one was drawn from the prompt and is kept as {path}.",
            stacklevel=2,
        )
    return path
