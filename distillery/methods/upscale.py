"""Draw small, enlarge, and let the model draw over it: what users call "hires fix".

SDEdit (Meng et al. 2021, arXiv 2108.01073) of an enlarged picture of the model's own.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from distillery.methods.any_size import pixels_per_cell
from distillery.methods.guided_ddim import level
from distillery.models.parameterization import add_noise
from distillery.models.prior import Prior


@torch.no_grad()
def enlarged(prior: Prior, latents: Tensor, size: tuple[int, int]) -> Tensor:
    """Latents (B, C, h, w) of the picture of smaller latents, enlarged by bicubic interpolation.

    Args:
        latents: (B, C, hr, wr).
        size: (h, w).
    """
    down, across = pixels_per_cell(prior)
    picture = prior.decode(latents).clamp(-1, 1)
    large = interpolate(picture, (size[0] * down, size[1] * across), mode="bicubic")
    return prior.encode(large.clamp(-1, 1))


def noised(
    x0: Tensor, eps: Tensor, index: int, *, timesteps: Tensor, alphas_cumprod: Tensor
) -> Tensor:
    """xt (B, C, h, w) as the step of that index expects it."""
    return add_noise(x0, eps, level(alphas_cumprod, timesteps[index]))
