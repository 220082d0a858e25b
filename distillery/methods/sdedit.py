"""SDEdit (Meng et al. 2021, arXiv 2108.01073): noise a picture part of the way, and sample back."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from distillery.core.errors import CourseError
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
        prompts: what each of the B shall become.
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
    levels = torch.linspace(last, 0, count + 1, device=prior.device).round().long()
    eps = torch.randn(x0_src.shape, generator=generator, device=prior.device)
    alpha_bar = prior.alpha_bar(levels[:1])
    xt = alpha_bar.sqrt() * x0_src + (1 - alpha_bar).sqrt() * eps
    for t, t_next in zip(levels[:-1].split(1), levels[1:].split(1), strict=True):
        eps_uncond, eps_text = prior.predict_noise(xt, t.expand(len(xt)), uncond, text)
        eps = eps_uncond + guidance_scale * (eps_text - eps_uncond)
        alpha_bar, alpha_bar_next = prior.alpha_bar(t), prior.alpha_bar(t_next)
        x0 = (xt - (1 - alpha_bar).sqrt() * eps) / alpha_bar.sqrt()
        xt = alpha_bar_next.sqrt() * x0 + (1 - alpha_bar_next).sqrt() * eps
    return x0
