"""Restarts: a part of the way is taken several times, each time under fresh noise.

A sampler's errors add up, and fresh noise covers them; so going down from one level to another,
back up and down again ends nearer to what the model would draw (Xu et al. 2023, arXiv 2306.14878,
algorithm 1). A flat painting is an error of that kind. The paper adds noise to the latents at the
lower level, which keeps most of what is in them. Here x0 is noised afresh, which keeps only what
the noise of the upper level does not hide.
"""

from __future__ import annotations

import torch
from torch import Tensor

from distillery.methods.guided_ddim import Change, Noise, Prediction, level
from distillery.models.parameterization import add_noise


def way(timesteps: Tensor, first: int, end: int, rounds: int) -> Tensor:
    """The timesteps with those from the index `first` to the one before `end` `rounds` times."""
    return torch.cat([timesteps[:first], *[timesteps[first:end]] * rounds, timesteps[end:]])


def noised_again(timesteps: Tensor, alphas_cumprod: Tensor, *, noise: Noise) -> Change:
    """Fresh noise on x0 wherever the next level of `timesteps` is not below this one."""

    def change(its: Prediction) -> Tensor:
        t, t_next = timesteps[its.index], timesteps[its.index + 1]
        if t_next < t:
            return its.xt_next
        return add_noise(its.x0, noise(its.index), level(alphas_cumprod, t_next))

    return change
