"""SDEdit (Meng et al. 2021, arXiv 2108.01073): noise a picture part of the way, and sample back."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from distillery.core.errors import CourseError
from distillery.methods.ddim import sample
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
