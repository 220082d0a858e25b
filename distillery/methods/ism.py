"""ISM, interval score matching: compare two neighbours on one path, not a picture with noise.

Liang et al. 2023, "LucidDreamer", arXiv 2311.11284. Fresh noise in every step pulls x0 towards
another picture each time, and their average is smooth. ISM draws no noise: it walks from x0 up to
xs along the model's own path without a prompt, one more interval to xt, and asks what the prompt
would have changed in between.

Latents are float32 (B, C, h, w), timesteps int64 (B,).
"""

from __future__ import annotations

import torch
from torch import Tensor

from distillery.methods.ddim import invert
from distillery.methods.gradient_loss import with_gradient
from distillery.methods.settings import Settings
from distillery.models.parameterization import ddim_step
from distillery.models.prior import Condition, Prior

DELTA_T = 50  # the interval of most of the authors' configurations
INVERSION_STEPS = 2  # they climb in strides of 200, at most 5 of them


@torch.no_grad()
def ism_grad(
    prior: Prior,
    x0: Tensor,
    s: Tensor,
    t: Tensor,
    text: Condition,
    uncond: Condition,
    guidance_scale: float,
) -> Tensor:
    """The difference of the predictions at the two ends of an interval; (B, C, h, w), no graph.

    arXiv 2311.11284, section 3.2, where the gradient of L_ISM is defined:

        grad = w(t) (eps_hat(xt; y) - eps_hat(xs)),        w(t) = 1 - alpha_bar(t),

    with xs from inverting DDIM without a prompt, and xt one more such step further.

    Args:
        x0: latents (B, C, h, w).
        s: timesteps where the interval begins, int64 (B,).
        t: timesteps where it ends, int64 (B,), not below s.
        text: the condition of the B prompts.
        uncond: the condition without a prompt, or of a negative one.
        guidance_scale: that of eps_hat(xt; y), the multiple of eps_text - eps_uncond as everywhere.
    """

    def predict(xt: Tensor, t: Tensor) -> Tensor:
        return prior.predict_noise(xt, t, uncond)[0]

    alpha_bar = prior.alpha_bar(t)
    xs = invert(prior, x0, s, steps=INVERSION_STEPS, predict=predict)
    eps_s = predict(xs, s)
    xt, _ = ddim_step(xs, eps_s, prior.alpha_bar(s), alpha_bar)
    eps_uncond, eps_text = prior.predict_noise(xt, t, uncond, text)
    eps_hat = eps_uncond + guidance_scale * (eps_text - eps_uncond)
    return (1 - alpha_bar) * (eps_hat - eps_s)


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
    """One step of ISM: `INVERSION_STEPS` + 1 calls of the network on a batch of B, one on 2 B.

    Only the timesteps are drawn from `generator`, one for each latent.
    """
    t = torch.randint(
        settings.t_min, settings.t_max + 1, (len(x0),), generator=generator, device=x0.device
    )
    s = (t - DELTA_T).clamp(min=0)
    grad = ism_grad(prior, x0, s, t, text, uncond, settings.guidance_scale)
    return with_gradient(x0, grad)
