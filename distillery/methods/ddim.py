"""DDIM (Song et al. 2021, arXiv 2010.02502): from noise to a picture, and back to its noise."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from distillery.core.errors import CourseError
from distillery.models.parameterization import ddim
from distillery.models.prior import Condition, Control, Prior, guided_noise


@dataclass(frozen=True)
class DDIMStep:
    """One step done.

    index: of the step, from 0.
    xt:    the latents `(B, C, h, w)` after this step, at `timesteps[index + 1]`.
    x0:    the estimate of the finished latents `(B, C, h, w)` that this step followed.
    """

    index: int
    xt: Tensor
    x0: Tensor


def checked(step: DDIMStep, timesteps: Tensor) -> DDIMStep:
    """The step, if it can be gone on from.

    Args:
        timesteps: int64 `(steps + 1,)` of the whole way.

    Raises:
        CourseError: it ends in numbers that are not finite.
    """
    if not step.xt.isfinite().all():
        raise CourseError(
            f"after step {step.index + 1} of {len(timesteps) - 1} the latents are no longer finite "
            "numbers; lower the guidance scale, the scale of a LoRA, or a method's learning rate "
            "or weight."
        )
    return step


def sample(
    prior: Prior,
    xt: Tensor,
    *,
    text: Condition,
    uncond: Condition,
    guidance_scale: float,
    timesteps: Tensor,
    start: int = 0,
    controls: Sequence[Control] = (),
) -> Iterator[DDIMStep]:
    """Deterministic DDIM, equation 12 with sigma = 0, one step at a time.

    `prior.timesteps(steps)` are a whole way from noise; the last `xt` is then what `prior.sample`
    gives. Each step depends on its index and `xt` alone: to resume after a step, or to go on from
    latents that were changed, call it again with `xt` and with `start` one above the step's index.

    Args:
        xt: latents `(B, C, h, w)` at `timesteps[start]`, of any size that the prior can draw.
        text: the condition of the B prompts.
        uncond: the condition without a prompt, or of a negative one.
        guidance_scale: s in eps_uncond + s * (eps_text - eps_uncond).
        timesteps: int64 `(steps + 1,)`, from the noisiest on; -1 at the end is no noise.
        start: index of the first step to take.
        controls: pictures that ControlNets hold the drawing to.

    Raises:
        CourseError: `start` is below 0 or above the number of steps; or a step ends in numbers
            that are not finite.
    """
    if not 0 <= start < len(timesteps):
        raise CourseError(
            f"start must be from 0 to {len(timesteps) - 1}, the number of steps; it is {start}."
        )

    predict = guided_noise(
        prior, text=text, uncond=uncond, guidance_scale=guidance_scale, controls=controls
    )
    left = timesteps[start:, None].expand(-1, len(xt))
    steps = ddim(xt, left, alpha_bar=prior.alpha_bar, predict=predict)
    done = (DDIMStep(index, *latents) for index, latents in enumerate(steps, start))
    return (checked(step, timesteps) for step in done)


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
    timesteps = torch.arange(steps + 1, device=t.device)[:, None] * t // steps  # (steps + 1, B)
    *_, (xt, _) = ddim(x0, timesteps, alpha_bar=prior.alpha_bar, predict=predict)
    return xt
