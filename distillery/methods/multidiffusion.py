"""MultiDiffusion (Bar-Tal et al. 2023, arXiv 2302.08113): overlapping views that agree.

The paper averages the latents after a step of each view. DDIM's step is linear in eps, and all
views begin from the same latents, so the mean of their noise gives the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from distillery.methods.any_size import Corner, ElasticFunctions, Wanted, predict_views
from distillery.methods.guided_ddim import Predict
from distillery.models.prior import Prior


@dataclass(frozen=True)
class ViewKnobs:
    """What can be set.

    stride: cells from one view to the next; half of the trained size if it is None.
    gaussian: weigh a view's middle more than its border; otherwise all cells alike, as published.
    """

    stride: int | None = None
    gaussian: bool = True


def stride_of(prior: Prior, knobs: ViewKnobs) -> int:
    """Cells from one view to the next."""
    return knobs.stride or max(1, min(prior.latent_size) // 2)


def starts(side: int, view: int, stride: int) -> Tensor:
    """Where views of `view` cells begin along a side, int64 (K,); the last one ends with it."""
    if side <= view:
        return torch.tensor([0])
    regular = torch.arange(0, side - view, stride)
    return torch.cat([regular, torch.tensor([side - view])])


def view_weights(size: tuple[int, int], *, gaussian: bool) -> Tensor:
    """How much each place of a view counts, (a, b).

    The Gaussian has a standard deviation of 0.15 of each side.
    """
    if not gaussian:
        return torch.ones(size)
    down, across = (
        (-0.5 * ((torch.arange(side) - (side - 1) / 2) / (0.15 * side)).square()).exp()
        for side in size
    )
    return down[:, None] * across


def multidiffusion(
    prior: Prior, functions: ElasticFunctions, wanted: Wanted, knobs: ViewKnobs
) -> Predict:
    """The weighted mean of the guided noise of all views."""
    a, b = (min(pair) for pair in zip(wanted.size, prior.latent_size, strict=True))
    stride = stride_of(prior, knobs)
    weights = view_weights((a, b), gaussian=knobs.gaussian).to(prior.device)
    corners = [
        Corner(top, left)
        for top in starts(wanted.size[0], a, stride).tolist()
        for left in starts(wanted.size[1], b, stride).tolist()
    ]
    tops = torch.tensor([corner.top for corner in corners])
    lefts = torch.tensor([corner.left for corner in corners])

    def predict(xt: Tensor, t: Tensor) -> Tensor:
        views = torch.stack([xt[..., c.top : c.top + a, c.left : c.left + b] for c in corners])
        conditions = (wanted.uncond, wanted.text)
        eps_uncond, eps_text = predict_views(prior, wanted, views, t, conditions, corners)
        eps = eps_uncond + wanted.guidance_scale * (eps_text - eps_uncond)
        return functions.merge_views(eps, tops, lefts, weights, wanted.size)

    return predict
