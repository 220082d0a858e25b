"""A picture that ControlNets hold a drawing of any size to."""

from __future__ import annotations

import math
import warnings
from pathlib import Path

from PIL import Image
from torch import Tensor

from distillery.core.images import from_pil, read_any, to_rgb
from distillery.models.presets import find_preset
from distillery.models.prior import Control, Prior
from distillery.runs.elastic_settings import ElasticSettings
from distillery.runs.painting_file import MOST_PIXELS

ALIKE = math.log(1.05)  # of two aspects, as the logarithm of their ratio; nobody misses less


def read_picture(settings: ElasticSettings) -> Image.Image | None:
    """The settings' condition image in RGB, or None where there is none.

    Raises:
        CourseError: it cannot be read, is animated, or is too large.
    """
    if not settings.condition_image:
        return None
    path = Path(settings.condition_image)
    return to_rgb(read_any(path, most=MOST_PIXELS))


def controls_for(
    prior: Prior, settings: ElasticSettings, picture: Image.Image | None, size: tuple[int, int]
) -> list[Control]:
    """What the ControlNet is shown of a picture at `size` (H, W); nothing where there is none.

    A picture of another aspect is not stretched: its middle is used, and a warning says so.

    Raises:
        CourseError: the network that sees depths cannot be loaded.
    """
    if picture is None:
        return []
    _say_what_is_cut(picture, size)
    image = from_pil(picture, size).to(prior.device)
    return [
        Control(settings.control, _seen(image, settings), settings.controlnet_conditioning_scale)
    ]


def _seen(image: Tensor, settings: ElasticSettings) -> Tensor:
    """Edges or depths of (1, 3, H, W)."""
    from distillery.models.annotators import depths, edges  # OpenCV and transformers take seconds

    if settings.control == "canny":
        return edges(image)
    return depths(image, model=find_preset(settings.model).depth_estimator)


def _say_what_is_cut(picture: Image.Image, size: tuple[int, int]) -> None:
    ratio = math.log(picture.width / picture.height * size[0] / size[1])
    if abs(ratio) <= ALIKE:
        return
    sides = "left and right" if ratio > 0 else "above and below"
    warnings.warn(
        f"condition_image is {picture.height} x {picture.width} pixels and the picture {size[0]} x "
        f"{size[1]}, another aspect: {1 - math.exp(-abs(ratio)):.0%} of it, {sides}, is cut off.",
        stacklevel=3,
    )
