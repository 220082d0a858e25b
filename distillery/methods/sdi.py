"""SDI, score distillation via inversion: the noise is not drawn, it is found.

Lukoianov et al. 2024, "Score Distillation via Reparametrized DDIM", arXiv 2405.15891. Follow the
one-step estimate of x0 while DDIM samples, and its equation of motion is that of SDS, except that
the noise is not fresh in every step: it is the one that DDIM itself would have arrived with. SDI
finds this noise by running DDIM backwards from x0, and lets t fall as it does in sampling.

Latents are float32 (B, C, h, w), timesteps int64 (B,).
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from distillery.methods.ddim import invert
from distillery.methods.gradient_loss import with_gradient
from distillery.methods.settings import Settings
from distillery.models.prior import Condition, Prior

INVERSION_STEPS = 4  # 10 in the authors' code; they are nearly all of a step's cost


def falling_timesteps(
    batch: int, step: int, steps: int, *, t_min: int, t_max: int, device: torch.device
) -> Tensor:
    """The same t for every latent, int64 (B,), on a straight line from t_max down to t_min."""
    progress = step / max(1, steps - 1)
    return torch.full((batch,), round(t_max + progress * (t_min - t_max)), device=device)


@torch.no_grad()
def sdi_grad(
    prior: Prior, x0: Tensor, t: Tensor, text: Condition, uncond: Condition, guidance_scale: float
) -> Tensor:
    """SDS with the inverted noise kappa in the place of a drawn one; (B, C, h, w), without a graph.

    arXiv 2405.15891:

        grad = w(t) (eps_hat(xt; y) - kappa),        w(t) = 1 - alpha_bar(t),
        xt   = sqrt(alpha_bar) x0 + sqrt(1 - alpha_bar) kappa.

    Up to its weight this is x0 less the picture that a single step from xt arrives at. kappa comes
    from inverting DDIM with the guidance turned round: where the authors draw with 7.5, they invert
    with -7.5.

    Args:
        x0: latents (B, C, h, w).
        t: timesteps, int64 (B,).
        text: the condition of the B prompts.
        uncond: the condition without a prompt, or of a negative one.
        guidance_scale: s in eps_uncond + s * (eps_text - eps_uncond), for eps_hat(xt; y).
    """

    def predict(scale: float, xt: Tensor, t: Tensor) -> Tensor:
        eps_uncond, eps_text = prior.predict_noise(xt, t, uncond, text)
        return eps_uncond + scale * (eps_text - eps_uncond)

    alpha_bar = prior.alpha_bar(t)
    turned = partial(predict, -guidance_scale)
    xt = invert(prior, x0, t, steps=INVERSION_STEPS, predict=turned)
    kappa = (xt - alpha_bar.sqrt() * x0) / (1 - alpha_bar).sqrt()
    return (1 - alpha_bar) * (predict(guidance_scale, xt, t) - kappa)


def loss(
    prior: Prior,
    x0: Tensor,
    *,
    text: Condition,
    uncond: Condition,
    step: int,
    settings: Settings,
    generator: torch.Generator,
) -> Tensor:
    """One step of SDI: `INVERSION_STEPS` + 1 calls of the network, each on a batch of 2 B.

    Nothing is drawn from `generator`: all the chance there is lies in the canvas's first noise.
    """
    t = falling_timesteps(
        len(x0),
        step,
        settings.steps,
        t_min=settings.t_min,
        t_max=settings.t_max,
        device=x0.device,
    )
    grad = sdi_grad(prior, x0, t, text, uncond, settings.guidance_scale)
    return with_gradient(x0, grad)
