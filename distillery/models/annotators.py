"""Edges, depths and captions extracted from an image.

Edges and depths are what ControlNets are shown. A model is loaded for one call and freed after it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from distillery.core.errors import CourseError, in_short
from distillery.core.files import REPOSITORY
from distillery.core.images import Picture, to_pil

EMBEDDED = {  # folders of the repository
    "tiny-depth": "data/models/tiny-depth",
    "tiny-caption": "data/models/tiny-caption",
}
HUB_IDS = {
    "dpt-hybrid": "Intel/dpt-hybrid-midas",
    "dpt-large": "Intel/dpt-large",
    "blip": "Salesforce/blip-image-captioning-base",
    "blip-large": "Salesforce/blip-image-captioning-large",
}
CAPTION_TOKENS = 40
FLAT = 1e-3  # a smaller range of depths, relative to the largest, is only rounding


def edges(images: Tensor, *, low: float = 100.0, high: float = 200.0, blur: float = 1.0) -> Tensor:
    """Edges by Canny (1986), white on black and one pixel wide.

    Everything is in pixels of the picture as it is, so find the edges at the size at which the
    ControlNet is shown them: enlarged pictures have soft borders, which fall below the thresholds.

    Args:
        images: (B, 3, H, W) in [-1, 1]; a border counts in whichever channel it is strongest.
        low: gradient, of 8-bit levels a pixel by Sobel's operator, at which an edge may go on.
        high: gradient from which an edge begins.
        blur: standard deviation of the Gaussian blur before it, in pixels; 0 for none.

    Returns:
        (B, 3, H, W) float32, 0 or 1, on the images' device.

    Raises:
        CourseError: `low` is above `high`, or one of the numbers is negative.
    """
    if not 0 <= low <= high:
        raise CourseError(
            f"Canny's thresholds must be 0 <= low <= high, got low {low:g} and high {high:g}; "
            "100 and 200 are usual."
        )
    if not 0 <= blur < math.inf:
        raise CourseError(f"the blur must be 0 pixels or more, got {blur:g}; 1 is usual.")
    found = [_canny(np.asarray(picture), low, high, blur) for picture in to_pil(images)]
    maps = torch.from_numpy(np.stack(found)).to(images.device).float() / 255
    return maps[:, None].repeat(1, 3, 1, 1)


def _canny(pixels: np.ndarray, low: float, high: float, blur: float) -> np.ndarray:
    """One picture (H, W, 3) uint8 to its edges (H, W) uint8, 0 or 255."""
    if blur:
        pixels = cv2.GaussianBlur(pixels, (0, 0), blur, borderType=cv2.BORDER_REPLICATE)
    return cv2.Canny(pixels, low, high)


@torch.no_grad()
def depths(images: Tensor, *, model: str | Path = "tiny-depth") -> Tensor:
    """How near every pixel is: 1 the nearest of its picture, 0 the farthest, as MiDaS sees it.

    What such networks give is relative, so every picture is stretched to the whole range (Ranftl
    et al. 2020, "Towards Robust Monocular Depth Estimation"). One that is flat stays black.

    Args:
        images: (B, 3, H, W) in [-1, 1]; the model runs on their device.
        model: a name of `EMBEDDED` or `HUB_IDS`, a folder that transformers saved, or a hub id of a
            depth estimator.

    Returns:
        (B, 3, H, W) float32 in [0, 1], on the images' device.

    Raises:
        CourseError: the model is unknown or cannot be loaded.
    """
    from transformers import AutoImageProcessor, AutoModelForDepthEstimation

    size, device = images.shape[-2:], images.device
    processor, network = _load(model, AutoImageProcessor, AutoModelForDepthEstimation, device)
    maps = []
    for picture in to_pil(images):  # one after another: the real networks are large
        inputs = processor(images=picture, return_tensors="pt").to(device)
        (near,) = processor.post_process_depth_estimation(network(**inputs), [tuple(size)])
        maps.append(near["predicted_depth"].reshape(1, 1, *size))
    return stretched(torch.cat(maps)).repeat(1, 3, 1, 1)


def stretched(maps: Tensor) -> Tensor:
    """Each of the maps (B, 1, H, W) with its least value at 0 and its greatest at 1, or all 0."""
    least, greatest = maps.amin((2, 3), keepdim=True), maps.amax((2, 3), keepdim=True)
    span = greatest - least
    flat = span <= FLAT * torch.maximum(least.abs(), greatest.abs())
    return torch.where(flat, 0.0, (maps - least) / span)


@torch.no_grad()
def caption(image: Picture, *, model: str | Path = "tiny-caption") -> str:
    """One sentence on what a picture shows, such as "a red boat on a frozen river".

    Args:
        image: a PIL image, or (1, 3, H, W) in [-1, 1]; the model runs on its device.
        model: a name of `EMBEDDED` or `HUB_IDS`, a folder that transformers saved, or a hub id of
            an image-to-text model such as BLIP (Li et al. 2022).

    Raises:
        CourseError: the model is unknown or cannot be loaded, or there is more than one image.
    """
    from transformers import AutoModelForImageTextToText, AutoProcessor

    device = image.device if isinstance(image, Tensor) else torch.device("cpu")
    pictures = to_pil(image) if isinstance(image, Tensor) else [image.convert("RGB")]
    if len(pictures) != 1:
        raise CourseError(f"a caption is of one picture, got {len(pictures)}; take one at a time.")
    processor, network = _load(model, AutoProcessor, AutoModelForImageTextToText, device)
    inputs = processor(images=pictures[0], return_tensors="pt").to(device)
    tokens = network.generate(**inputs, max_new_tokens=CAPTION_TOKENS, do_sample=False)
    return processor.batch_decode(tokens, skip_special_tokens=True)[0].strip()


def _load(
    model: str | Path, processors: Any, networks: Any, device: torch.device
) -> tuple[Any, Any]:
    """The processor, and the network in float32 on `device`."""
    name = str(model)
    source, local = _find(name)
    try:
        with _no_loading_bars():
            # The network first: what transformers says of a lost connection is clearer here.
            network = networks.from_pretrained(source, local_files_only=local, dtype=torch.float32)
            processor = processors.from_pretrained(source, local_files_only=local)
        return processor, network.to(device).eval()
    # Hub, safetensors and transformers raise many kinds of errors.
    except Exception as error:
        remedy = (
            "fetch the repository's files again, or make the model with `make train`"
            if name in EMBEDDED
            else "connect to the internet, or give the folder of a model of this kind"
        )
        raise CourseError(f"cannot load {name} ({in_short(error)}); {remedy}.") from error


def _find(name: str) -> tuple[str, bool]:
    """A folder or a hub id, and whether it is a folder."""
    if name in EMBEDDED:
        return str(REPOSITORY / EMBEDDED[name]), True
    if name and Path(name).is_dir():
        return str(Path(name).resolve()), True
    hub_id = HUB_IDS.get(name, name)
    if hub_id.count("/") != 1:
        raise CourseError(
            f"unknown model {name!r}: choose {', '.join([*EMBEDDED, *HUB_IDS])}, a folder that "
            "transformers saved, or a hub id such as Intel/dpt-large."
        )
    return hub_id, False


@contextmanager
def _no_loading_bars() -> Iterator[None]:
    """Hide the bars for files on the disk; the hub still shows its downloads."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.enable_progress_bar()
