"""Frames brought onto the grid of pixel art: one colour for each cell, the same way in all frames.

Frames are float32 (F, 3, H, W) in [-1, 1]; on the grid they are (F, 3, h, w).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, get_args

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from distillery.core.errors import CourseError
from distillery.core.gif import MOST_FRAMES
from distillery.core.images import from_pil, to_rgb

Reduction = Literal["auto", "centre", "mean", "common"]
REDUCTIONS: tuple[Reduction, ...] = get_args(Reduction)
FLAT = (
    0.03  # root mean square deviation within a cell, of a range of 1, up to which it is one colour
)
ALIKE, SHIFTS = 0.25, 4  # of mean shift: the kernel's width, of a range of 2, and its steps


def as_frames(frames: Tensor | Sequence[Image.Image]) -> Tensor:
    """Frames as (F, 3, H, W) in [-1, 1], from a tensor or from pictures of one size.

    Raises:
        CourseError: there are none or more than 1,000, or they are no pictures of one size.
    """
    if not 1 <= len(frames) <= MOST_FRAMES:
        raise CourseError(
            f"an animation has 1 to {MOST_FRAMES:,} frames; {len(frames):,} came: "
            "make fewer, or several animations."
        )
    if not isinstance(frames, Tensor):
        sizes = {frame.size for frame in frames}
        if len(sizes) > 1:
            seen = " and ".join(f"{width} x {height}" for width, height in sorted(sizes)[:2])
            raise CourseError(f"frames must be of one size; there are {seen}: scale them first.")
        frames = torch.cat([from_pil(to_rgb(frame)) for frame in frames])
    if frames.ndim != 4 or frames.shape[1] != 3 or 0 in frames.shape:
        raise CourseError(f"frames must be (F, 3, H, W); these are {tuple(frames.shape)}.")
    return frames.detach().float().clamp(-1, 1)


def on_grid(
    frames: Tensor | Sequence[Image.Image], size: tuple[int, int], *, reduction: Reduction = "auto"
) -> Tensor:
    """Frames (F, 3, h, w) of a grid of `size` (h, w), cropped about the centre to its proportions.

    Args:
        frames: (F, 3, H, W) in [-1, 1], or pictures of one size.
        size: of the grid, at most that of the frames.
        reduction: how a cell gets its colour: "centre" takes the pixel at its centre, "mean" the
            mean of its pixels, and "common" the colour around which most of them lie, which keeps
            outlines. "auto" is "mean" where cells are flat already, as in pictures of a
            pixel-art style, or of at most 2 x 2 pixels, and "common" elsewhere.

    Raises:
        CourseError: the grid is empty or finer than the frames, or there is no such reduction.
    """
    if reduction not in REDUCTIONS:
        raise CourseError(f"a reduction is one of {', '.join(REDUCTIONS)}; it was {reduction!r}.")
    frames = as_frames(frames)
    height, width = size
    if min(size) < 1 or height > frames.shape[2] or width > frames.shape[3]:
        raise CourseError(
            f"a grid has 1 x 1 to as many cells as the frames have pixels, {frames.shape[2]} x "
            f"{frames.shape[3]}; it was {height} x {width}: choose a smaller one or larger frames."
        )
    frames = cropped(frames, size)
    if reduction == "centre":
        return functional.interpolate(frames, size, mode="nearest-exact")
    means = functional.interpolate(frames, size, mode="area")
    few = frames.shape[2] <= 2 * height and frames.shape[3] <= 2 * width  # nothing is common there
    if reduction == "mean" or (reduction == "auto" and (few or deviation(frames, means) <= FLAT)):
        return means
    return _common(frames, means)


def deviation(frames: Tensor, means: Tensor) -> float:
    """Root mean square distance of the pixels to their cells' colours, in a range of 1."""
    whole = functional.interpolate(means, frames.shape[-2:], mode="nearest-exact")
    return float((frames - whole).square().mean().sqrt()) / 2


def cell_side(frames: Tensor, *, largest: int = 16) -> int:
    """The side in pixels of the cells that frames (F, 3, H, W) consist of; 1 where there are none.

    It is the largest that divides both sides and leaves cells of one colour, nearly.
    """
    height, width = frames.shape[-2:]
    for side in range(min(largest, height, width), 1, -1):
        if height % side == 0 and width % side == 0:
            means = functional.avg_pool2d(frames, side)
            if deviation(frames, means) <= FLAT:
                return side
    return 1


def cropped(frames: Tensor, size: tuple[int, int]) -> Tensor:
    """The largest part about the centre with the proportions of `size`."""
    (height, width), (H, W) = size, frames.shape[-2:]
    kept_h = min(H, max(height, round(W * height / width)))
    kept_w = min(W, max(width, round(H * width / height)))
    top, left = (H - kept_h) // 2, (W - kept_w) // 2
    return frames[..., top : top + kept_h, left : left + kept_w]


def _common(frames: Tensor, means: Tensor) -> Tensor:
    """Where most of a cell's pixels lie: mean shift (Fukunaga and Hostetler 1975) from the mean.

    It moves smoothly with the pixels. The most frequent colour itself jumps between two that are
    nearly as frequent, and what jumps flickers.
    """
    height, width = means.shape[-2:]
    down, across = math.ceil(frames.shape[2] / height), math.ceil(frames.shape[3] / width)
    even = functional.interpolate(frames, (height * down, width * across), mode="nearest-exact")
    pixels = even.unfold(2, down, down).unfold(3, across, across).flatten(4)  # (F, 3, h, w, n)
    colours = means[..., None]
    for _ in range(SHIFTS):
        near = (pixels - colours).square().sum(dim=1, keepdim=True)
        weights = torch.exp(-near / (2 * ALIKE**2)) + 1e-6
        colours = (weights * pixels).sum(dim=-1, keepdim=True) / weights.sum(dim=-1, keepdim=True)
    return colours[..., 0]
