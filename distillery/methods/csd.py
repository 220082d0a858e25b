"""CSD, classifier score distillation: the guidance alone is enough.

Yu et al. 2023, arXiv 2310.19415. The gradient of SDS is a sum of two terms: the predicted noise
minus the noise that was added, and the guidance, which is s times the difference that the prompt
makes to the prediction. At the large s that SDS needs, the second term is much the larger; CSD
keeps it alone. By Bayes' rule it is the score of a classifier, log p(prompt | xt), which needs no
training.

Latents are float32 (B, C, h, w), timesteps int64 (B,).
"""

from __future__ import annotations

import torch
from torch import Tensor

from distillery.methods.gradient_loss import with_gradient
from distillery.methods.settings import Settings
from distillery.models.prior import Condition, Prior


@torch.no_grad()
def csd_grad(
    prior: Prior, x0: Tensor, t: Tensor, eps: Tensor, text: Condition, uncond: Condition
) -> Tensor:
    """The classifier's score with respect to x0, (B, C, h, w), without a graph.

    arXiv 2310.19415, where the gradient of L_CSD is defined:

        grad = w(t) (eps_hat(xt; y) - eps_hat(xt)),        w(t) = 1 - alpha_bar(t).

    It is the slope of the SDS gradient in the guidance scale. `uncond` may be the condition of a
    negative prompt; the classifier then tells the two prompts apart.

    Args:
        x0: latents (B, C, h, w).
        t: timesteps, int64 (B,).
        eps: the noise to put in, (B, C, h, w).
        text: the condition of the B prompts.
        uncond: the condition without a prompt, or of a negative one.
    """
    alpha_bar = prior.alpha_bar(t)
    xt = alpha_bar.sqrt() * x0 + (1 - alpha_bar).sqrt() * eps
    eps_uncond, eps_text = prior.predict_noise(xt, t, uncond, text)
    return (1 - alpha_bar) * (eps_text - eps_uncond)


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
    """One step of CSD: one call of the network, on a batch of 2 B.

    `settings.guidance_scale` has no part in it: it could only multiply the whole gradient, and Adam
    divides a constant factor out again.
    """
    t = torch.randint(
        settings.t_min, settings.t_max + 1, (len(x0),), generator=generator, device=x0.device
    )
    eps = torch.randn(x0.shape, generator=generator, device=x0.device)
    return with_gradient(x0, csd_grad(prior, x0, t, eps, text, uncond))
