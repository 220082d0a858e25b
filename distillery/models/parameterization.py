"""The formulas of diffusion that relate x0, xt, eps and v, and DDIM's step between two levels.

Latents are `(B, C, h, w)`. A noise level is `alpha_bar` `(B, 1, 1, 1)`, and

    xt = sqrt(alpha_bar) x0 + sqrt(1 - alpha_bar) eps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

import torch
from torch import Tensor


def add_noise(x0: Tensor, eps: Tensor, alpha_bar: Tensor) -> Tensor:
    """xt, which is x0 noised by eps (Ho et al. 2020, equation 4)."""
    signal, noise = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()
    return signal * x0 + noise * eps


def x0_from_eps(xt: Tensor, eps: Tensor, alpha_bar: Tensor) -> Tensor:
    """The x0 that eps implies (Ho et al. 2020, equation 15)."""
    signal, noise = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()
    return (xt - noise * eps) / signal


def eps_from_v(xt: Tensor, v: Tensor, alpha_bar: Tensor) -> Tensor:
    """The eps that v implies (Salimans and Ho 2022, appendix D)."""
    return alpha_bar.sqrt() * v + (1 - alpha_bar).sqrt() * xt


def v_from_eps(x0: Tensor, eps: Tensor, alpha_bar: Tensor) -> Tensor:
    """v = sqrt(alpha_bar) eps - sqrt(1 - alpha_bar) x0 (Salimans and Ho 2022, appendix D)."""
    return alpha_bar.sqrt() * eps - (1 - alpha_bar).sqrt() * x0


def even_timesteps(first: int, steps: int, *, device: torch.device) -> Tensor:
    """`steps` even steps from timestep `first` down to 0, int64 `(steps + 1,)`."""
    return torch.linspace(first, 0, steps + 1, device=device).round().long()


def ddim_step(
    xt: Tensor, eps: Tensor, alpha_bar: Tensor, alpha_bar_next: Tensor
) -> tuple[Tensor, Tensor]:
    """Follow eps from one noise level to another, which may be the higher one.

    Song et al. 2021, arXiv 2010.02502, equation 12 with sigma = 0.

    Returns:
        The latents at the next level, and the estimate of x0 on the way.
    """
    x0 = x0_from_eps(xt, eps, alpha_bar)
    return add_noise(x0, eps, alpha_bar_next), x0


def ddim(
    xt: Tensor,
    timesteps: Tensor,
    *,
    alpha_bar: Callable[[Tensor], Tensor],
    predict: Callable[[Tensor, Tensor], Tensor],
) -> Iterator[tuple[Tensor, Tensor]]:
    """DDIM through the given timesteps, down as a sampler or up as an inversion.

    Args:
        xt: latents at `timesteps[0]`.
        timesteps: int64 `(steps + 1, B)`; -1 in the last row is the level without noise.
        alpha_bar: the noise level `(B, 1, 1, 1)` of timesteps `(B,)`.
        predict: `predict(xt, t)` gives the eps `(B, C, h, w)` to follow; asked once a step.

    Yields:
        After each step the latents at the next timestep, and the estimate of x0.
    """
    for t, t_next in pairwise(timesteps):
        clean = (t_next < 0).view(-1, 1, 1, 1)
        alpha_bar_next = alpha_bar(t_next.clamp(min=0)).masked_fill(clean, 1.0)
        xt, x0 = ddim_step(xt, predict(xt, t), alpha_bar(t), alpha_bar_next)
        yield xt, x0
