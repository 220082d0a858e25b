"""GradOP+ (Singh, Gould and Zheng 2023, arXiv 2211.17084): bursts of optimisation on the way down.

A few steps of the sampler are each followed by a burst: latents are optimised until their picture,
painted coarsely, looks like the painting, and noised for the next step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from distillery.methods.guided_ddim import Change, Noise, Prediction
from distillery.methods.strokes import Decode, Paint, Painting, StrokeFunctions


@dataclass(frozen=True)
class Bursts:
    """When bursts happen, and how long each is.

    first: the step after which the first one comes.
    count: of bursts; after the last step of the way there is none.
    """

    first: int
    count: int
    grad_steps: int
    learning_rate: float


def as_released(its: Prediction) -> Tensor:
    """What the published code optimises: the noisy latents, which it decodes as they are."""
    return its.xt_next


def on_x0(its: Prediction) -> Tensor:
    """The estimate of the finished latents, which is what the decoder knows."""
    return its.x0


def with_bursts(
    functions: StrokeFunctions,
    painting: Painting,
    loss_of: Callable[[Tensor], Tensor],
    bursts: Bursts,
    start_of: Callable[[Prediction], Tensor],
    *,
    timesteps: Tensor,
    alphas_cumprod: Tensor,
    noise: Noise,
) -> Change:
    """Bursts after some of the steps; the others are plain DDIM.

    Args:
        loss_of: gives the loss (B,) of latents (B, C, h, w), with a graph: `loss_on`.
        start_of: the latents that a burst begins with, `as_released` or `on_x0`.
        noise: what a burst adds after the step of that index.
    """
    last = min(bursts.first + bursts.count, len(timesteps) - 2)

    def change(its: Prediction) -> Tensor:
        if not bursts.first <= its.index < last:
            return its.xt_next
        pulled = functions.burst(
            loss_of,
            start_of(its),
            noise(its.index),
            timesteps,
            its.index,
            alphas_cumprod,
            bursts.grad_steps,
            bursts.learning_rate,
        )
        # Adam takes steps of one size however small a gradient is, also where nothing is painted.
        return painting.where_painted(pulled, its.xt_next)

    return change


def loss_on(
    functions: StrokeFunctions, painting: Painting, *, decode: Decode, paint: Paint
) -> Callable[[Tensor], Tensor]:
    """The faithfulness loss (B,) of latents."""

    def loss_of(latents: Tensor) -> Tensor:
        return functions.faithfulness_loss(paint, decode(latents), painting.image, painting.mask)

    return loss_of
