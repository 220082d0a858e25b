"""Three principal components of a score, as colours: where it points the same way, it looks alike.

ElasticDiffusion (Haji-Ali, Balakrishnan and Ordonez 2024, arXiv 2311.18822, figure 2) shows so that
the direction of guidance is smooth over the picture, and the unconditional score is not.
"""

from __future__ import annotations

from itertools import permutations

import numpy as np
import torch
from torch import Tensor

COLOURS = 3


def principal_axes(values: Tensor, *, like: Tensor | None = None) -> Tensor:
    """The directions in which the channels vary most over the positions, the first one most.

    An axis is as good as its opposite. Without `like`, the largest entry of each is positive.

    Args:
        values: (C, h, w), finite.
        like: axes (3, C) of the step before; the new ones are put in the order and turned to the
            side that fits them best, so that colours do not jump from step to step.

    Returns:
        float64 (3, C), of length 1 and at right angles; rows of zeros where C is below 3.
    """
    channels = len(values)
    flat = values.detach().cpu().double().flatten(1)
    centred = flat - flat.mean(1, keepdim=True)
    _, found = torch.linalg.eigh(centred @ centred.T)  # columns, the least variance first
    axes = torch.zeros(COLOURS, channels, dtype=torch.float64)
    count = min(COLOURS, channels)
    axes[:count] = found.T.flip(0)[:count]
    if like is None:
        largest = axes.abs().argmax(1, keepdim=True)
        return axes * _side(axes.gather(1, largest)[:, 0])
    fits = axes @ like.T
    order = max(
        permutations(range(COLOURS)),
        key=lambda order: float(sum(fits[its, place].abs() for place, its in enumerate(order))),
    )
    axes = axes[list(order)]
    return axes * _side((axes * like).sum(1))


def _side(numbers: Tensor) -> Tensor:
    """1 or -1 for each, as a column."""
    return torch.where(numbers < 0, -1.0, 1.0).double()[:, None]


def rgb_components(values: Tensor, axes: Tensor | None = None) -> np.ndarray:
    """The first component in red, the second in green, the third in blue.

    Each is stretched from its least to its largest value over the positions. One that is the same
    everywhere is 128.

    Args:
        values: (C, h, w), finite.
        axes: (3, C); by default `principal_axes` of these values.

    Returns:
        uint8 (h, w, 3).
    """
    axes = principal_axes(values) if axes is None else axes
    flat = values.detach().cpu().double().flatten(1)
    seen = axes @ (flat - flat.mean(1, keepdim=True))
    least, range_ = (
        seen.amin(1, keepdim=True),
        seen.amax(1, keepdim=True) - seen.amin(1, keepdim=True),
    )
    # Rounding alone makes small differences.
    is_flat = range_ <= 1e-9 * flat.abs().max().clamp(min=1e-30)
    levels = torch.where(
        is_flat, 128.0, 255 * (seen - least) / range_.where(~is_flat, torch.ones_like(range_))
    )
    return levels.round().to(torch.uint8).T.reshape(*values.shape[1:], COLOURS).numpy()
