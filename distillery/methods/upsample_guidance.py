"""Upsample Guidance (Hwang, Park and Jo 2024, arXiv 2404.01709): low frequencies from a reference.

The noise of a large picture has the low frequencies that the model predicts in a small one: what is
where comes from the size that it was trained for, and details from the large picture itself.

The paper makes the small picture by means of m x m cells, which needs a whole number m and leaves
blocks. Here it is made of the lowest frequencies of a cosine transform. That transform is
orthonormal, so white noise stays white at any factor, and no cell has a border.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from distillery.methods.guided_ddim import Predict

FULL = 0.5  # of the reference's frequencies, the part that is replaced in full; then it fades


def upsample_guidance(
    predict: Predict,
    predict_small: Predict,
    *,
    size: tuple[int, int],
    reference: tuple[int, int],
    alphas_cumprod: Tensor,
) -> Predict:
    """The noise to follow at `size`, (h, w), with the low frequencies of the `reference`, (a, b).

    The paper's guidance term with weight 1, for noise that is guided towards the prompt already.

    Args:
        predict: the noise of the large latents (B, C, h, w).
        predict_small: that of latents (B, C, a, b), asked at the timestep of their own noise.
        reference: no side larger than the picture's.
    """
    device = alphas_cumprod.device
    rows, columns = (Lowest(*sides, device=device) for sides in zip(size, reference, strict=True))
    area = size[0] * size[1] / (reference[0] * reference[1])

    def smaller(x: Tensor) -> Tensor:
        return rows.down @ x @ columns.down.T

    def guided(xt: Tensor, t: Tensor) -> Tensor:
        alpha_bar = alphas_cumprod[t[0]]
        # An orthonormal transform to a smaller size leaves noise as it is, and makes x0 larger by
        # the root of the factor of the areas.
        power = alpha_bar * area + 1 - alpha_bar
        own_t = (alphas_cumprod - alpha_bar * area / power).abs().argmin()
        eps_small = predict_small(smaller(xt) / power.sqrt(), own_t.expand(len(xt)))
        eps = predict(xt, t)  # last, for who listens to what is said of the large picture
        return eps + rows.up @ (eps_small - smaller(eps)) @ columns.up.T

    return guided


class Lowest:
    """The lowest frequencies of a side, as two matrices.

    down: (small, side), from the values along a side to those of a shorter one.
    up:   (side, small), back, with the higher half of the frequencies fading out.
    """

    def __init__(self, side: int, small: int, *, device: torch.device | str = "cpu") -> None:
        whole, short = cosines(side)[:small], cosines(small)
        weight = fading(small) if small < side else torch.ones(small, dtype=torch.float64)
        self.down = (short.T @ whole).float().to(device)
        self.up = (whole.T * weight @ short).float().to(device)


def cosines(side: int) -> Tensor:
    """The orthonormal cosine transform (DCT-II) of `side` values, (side, side); rows are waves."""
    k, place = torch.arange(side, dtype=torch.float64)[:, None], torch.arange(side)
    waves = torch.cos(math.pi * k * (place + 0.5) / side) * math.sqrt(2 / side)
    waves[0] /= math.sqrt(2)
    return waves


def fading(count: int) -> Tensor:
    """The weight of each of `count` frequencies, (count,), from 1 down towards 0."""
    part = torch.arange(count, dtype=torch.float64) / count
    late = ((part - FULL) / (1 - FULL)).clamp(min=0)
    return torch.cos(late * math.pi / 2).square()
