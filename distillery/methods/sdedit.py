"""SDEdit (Meng et al. 2021, arXiv 2108.01073): noise a picture part of the way, and sample back.

`sdedit` does it for edits of a whole picture; `started` and what stands below it for paintings,
which may leave a part of the picture to the model.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from distillery.core.errors import CourseError
from distillery.methods.ddim import sample
from distillery.methods.guided_ddim import BEGINNING, Change, Noise, Prediction, level
from distillery.methods.strokes import Painting, StrokeFunctions
from distillery.models.parameterization import add_noise, even_timesteps
from distillery.models.prior import Prior


@torch.no_grad()
def sdedit(
    prior: Prior,
    x0_src: Tensor,
    prompts: Sequence[str],
    *,
    strength: float,
    guidance_scale: float,
    steps: int = 30,
    generator: torch.Generator,
    negative: str = "",
) -> Tensor:
    """Latents `(B, C, h, w)` that begin as `x0_src` under noise and end as the prompts say.

    Deterministic DDIM (Song et al. 2021, equation 12 with sigma = 0) over the last part of the way.

    Args:
        x0_src: the sources' latents `(B, C, h, w)`.
        prompts: what each of the B should become.
        strength: how far up the schedule to begin, above 0 and up to 1; 1 forgets the source.
        steps: of a whole way from pure noise; fewer are taken for a smaller strength.

    Raises:
        CourseError: `strength` is outside its range.
    """
    if not 0 < strength <= 1:
        raise CourseError(f"strength must be above 0 and at most 1; it is {strength!r}.")
    text, uncond = prior.embed(prompts), prior.embed([negative] * len(prompts))
    last = round(strength * (len(prior.alphas_cumprod) - 1))
    count = max(1, round(strength * steps))
    timesteps = even_timesteps(last, count, device=prior.device)
    eps = torch.randn(x0_src.shape, generator=generator, device=prior.device)
    xt = add_noise(x0_src, eps, prior.alpha_bar(timesteps[:1]))
    for step in sample(
        prior, xt, text=text, uncond=uncond, guidance_scale=guidance_scale, timesteps=timesteps
    ):
        x0 = step.x0
    return x0


def started(
    functions: StrokeFunctions,
    painting: Painting,
    first: int,
    *,
    timesteps: Tensor,
    alphas_cumprod: Tensor,
    noise: Noise,
) -> tuple[Tensor, int, Change]:
    """The latents to begin with, the index of the first step, and what is changed on the way.

    A painting that leaves nothing open begins at the step `first`, under the noise of its level.
    Otherwise the way begins with pure noise; down to that level the painted part is the painting
    under noise, and the model draws the rest from the prompt (as in blended latent diffusion,
    Avrahami et al. 2022, arXiv 2206.02779). From there on all of the picture is the model's.
    """
    steps = len(timesteps) - 1
    eps = noise(BEGINNING)

    def noised(index: int) -> Tensor:
        strength = (steps - index) / steps
        return functions.sdedit_start(painting.latents, eps, strength, timesteps, alphas_cumprod)

    def change(its: Prediction) -> Tensor:
        if its.index + 1 > first:
            return its.xt_next
        return painting.where_painted(noised(its.index + 1), its.xt_next)

    start = first if bool(painting.latent_mask.all()) else 0
    return painting.where_painted(noised(start), eps), start, change


def stochastic(
    first: int,
    end: int,
    *,
    timesteps: Tensor,
    alphas_cumprod: Tensor,
    noise: Noise,
) -> Change:
    """Fresh noise after every step from `first` to the one before `end`; the others are plain DDIM.

    All of the noise is new: DDIM's equation 12 with the largest sigma, sqrt(1 - alpha_bar) of the
    next level. The paper's SDE is random too, but keeps a part of the noise from step to step.
    """

    def change(its: Prediction) -> Tensor:
        if not first <= its.index < end:
            return its.xt_next
        return add_noise(its.x0, noise(its.index), level(alphas_cumprod, timesteps[its.index + 1]))

    return change
