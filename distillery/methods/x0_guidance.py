"""Guidance inside the step: the noise to follow is bent so that its x0 looks like the painting.

Classifier guidance (Dhariwal and Nichol 2021, arXiv 2105.05233, equation 14) with a loss of the
estimated x0 in the classifier's place, as in DPS (Chung et al. 2022, arXiv 2209.14687) and
Universal Guidance (Bansal et al. 2023, arXiv 2302.07121). The network is a constant in the gradient
here, so it costs one pass through the decoder a step.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from distillery.methods.guided_ddim import Change, Prediction, level
from distillery.methods.strokes import Painting, StrokeFunctions
from distillery.models.parameterization import ddim_step


def guided(
    functions: StrokeFunctions,
    painting: Painting,
    loss_of: Callable[[Tensor], Tensor],
    weight_of: Callable[[int], float],
    *,
    timesteps: Tensor,
    alphas_cumprod: Tensor,
) -> Change:
    """eps + weight * sqrt(1 - alpha_bar) * gradient, with the loss's sum over the latents' numbers.

    Args:
        weight_of: of each step's index; without a weight the step is plain DDIM.
    """
    numbers = painting.latents[0].numel()  # the loss is a mean, whatever the picture's size

    def change(its: Prediction) -> Tensor:
        weight = weight_of(its.index)
        if weight == 0:
            return its.xt_next
        alpha_bar = level(alphas_cumprod, timesteps[its.index])
        with torch.enable_grad():
            xt = its.xt.detach().requires_grad_()
            x0 = functions.x0_estimate(xt, its.eps, alpha_bar.expand(len(xt), 1, 1, 1))
            (gradient,) = torch.autograd.grad(numbers * loss_of(x0).sum(), xt)
        eps = its.eps + weight * (1 - alpha_bar).sqrt() * gradient
        alpha_bar_next = level(alphas_cumprod, timesteps[its.index + 1])
        xt_next, _ = ddim_step(its.xt, eps, alpha_bar, alpha_bar_next)
        return painting.where_painted(xt_next, its.xt_next)

    return change
