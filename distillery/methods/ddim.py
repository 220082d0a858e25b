"""DDIM run backwards: the noise that a picture came from, according to the model."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

from distillery.models.prior import Prior


def ddim_step(xt: Tensor, eps_hat: Tensor, alpha_bar: Tensor, alpha_bar_next: Tensor) -> Tensor:
    """Along the predicted noise from one level to another, which may be the higher one.

    Song et al. 2021, arXiv 2010.02502, equation 12 with sigma = 0; levels are (B, 1, 1, 1).
    """
    x0_hat = (xt - (1 - alpha_bar).sqrt() * eps_hat) / alpha_bar.sqrt()
    return alpha_bar_next.sqrt() * x0_hat + (1 - alpha_bar_next).sqrt() * eps_hat


@torch.no_grad()
def invert(
    prior: Prior,
    x0: Tensor,
    t: Tensor,
    *,
    steps: int,
    predict: Callable[[Tensor, Tensor], Tensor],
) -> Tensor:
    """The xt (B, C, h, w) from which DDIM would draw x0, in `steps` even steps up from timestep 0.

    Every latent climbs to its own t, int64 (B,). `predict(xt, t)` gives the eps to follow, and is
    asked `steps` times.
    """
    rungs = torch.arange(steps + 1, device=t.device)[:, None] * t // steps  # (steps + 1, B)
    xt = x0
    for here, above in pairwise(rungs):
        xt = ddim_step(xt, predict(xt, here), prior.alpha_bar(here), prior.alpha_bar(above))
    return xt
