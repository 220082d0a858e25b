"""Stage 3, variational score distillation: the distribution, not the mode.

The method of ProlificDreamer (VSD, arXiv 2305.16213). SDS compares the prior's noise with the noise
that was put in, as if this picture were the only possible one. VSD compares it with the prediction
of a second denoiser, the prior with a LoRA, which learns what the pictures look like while they
change. If both predict the same, the pictures are distributed like the prior's.

Latents, here called particles, are float32 (B, C, h, w), timesteps int64 (B,).
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from distillery.methods.gradient_loss import with_gradient
from distillery.methods.settings import Settings
from distillery.models.lora import LoraDenoiser
from distillery.models.prior import Condition, Prior


def vsd_grad(
    prior: Prior,
    lora: LoraDenoiser,
    x0: torch.Tensor,
    t: torch.Tensor,
    eps: torch.Tensor,
    text: Condition,
    uncond: Condition,
    guidance_scale: float,
) -> torch.Tensor:
    """The variational score distillation gradient with respect to the particles.

    ProlificDreamer, arXiv 2305.16213, equation 9, without its last factor:

        grad = w(t) (eps_prior(xt; y, t) - eps_lora(xt; y, t)),        w(t) = 1 - alpha_bar(t),

    where xt is x0 noised by `eps` to the level alpha_bar(t). The prior is guided; the LoRA is not:
    its prediction for `text` is taken as it is (a guidance scale of 1). The result has no graph,
    neither to the particles nor to the LoRA's weights.

    Args:
        prior: gives `prior.alpha_bar(t)`, (B, 1, 1, 1), and
            `prior.predict_noise(xt, t, first, second)`, a pair of eps (B, C, h, w) in the order of
            the conditions, from one call.
        lora: the second denoiser. `lora.predict_noise(xt, t, text)` gives a tuple of one eps.
        x0: particles (B, C, h, w).
        t: timesteps, int64 (B,).
        eps: the noise to put in, (B, C, h, w).
        text: the condition of the B prompts.
        uncond: the condition of the empty prompt, or of a negative prompt.
        guidance_scale: s in eps_uncond + s * (eps_text - eps_uncond), only for the prior.

    Returns:
        grad, float32 (B, C, h, w), with `requires_grad` False. The arguments do not change.
    """
    # your code here
    raise NotImplementedError("vsd.vsd_grad is still to do: notebooks/03_vsd/03_vsd.ipynb, task 1.")


def lora_loss(
    lora: LoraDenoiser,
    x0: torch.Tensor,
    t: torch.Tensor,
    eps: torch.Tensor,
    text: Condition,
) -> torch.Tensor:
    """The LoRA's training loss: how badly it denoises the particles.

    ProlificDreamer, arXiv 2305.16213, equation 8, which is the training loss of any diffusion
    model (Ho et al. 2020, equation 14):

        loss = mean || prediction(xt; y, t) - target ||^2

    over all B C h w values. For the LoRA the particles are data: no gradient may reach x0.

    Args:
        lora: gives `lora.alpha_bar(t)`, (B, 1, 1, 1); `lora.predict(xt, t, text)`, (B, C, h, w),
            with a graph to its weights; and `lora.target(x0, eps, t)`, what it should predict: eps,
            or v if the model predicts v. x0: particles (B, C, h, w), which may have a graph.
        t: timesteps, int64 (B,).
        eps: the noise to put in, (B, C, h, w).
        text: the condition of the B prompts.

    Returns:
        The loss, float32 (). The arguments do not change.
    """
    # your code here
    raise NotImplementedError(
        "vsd.lora_loss is still to do: notebooks/03_vsd/03_vsd.ipynb, task 2."
    )


def alternating_step(
    particle_loss: Callable[[], torch.Tensor],
    lora_loss: Callable[[], torch.Tensor],
    particle_optimiser: torch.optim.Optimizer,
    lora_optimiser: torch.optim.Optimizer,
) -> torch.Tensor:
    """One step of the particles against the LoRA as it is, then one step of the LoRA.

    ProlificDreamer, arXiv 2305.16213, algorithm 1. Each step starts by clearing the gradients of
    the one before, because PyTorch adds each new gradient to the old one.

    Args:
        particle_loss: computes the particles' loss, a scalar, in their current state.
        lora_loss: computes the LoRA's loss, in the current state of both.
        particle_optimiser: steps the particles.
        lora_optimiser: steps the LoRA's weights.

    Returns:
        The particles' loss before their step, without a graph, for the curve.
    """
    # your code here
    raise NotImplementedError(
        "vsd.alternating_step is still to do: notebooks/03_vsd/03_vsd.ipynb, task 3."
    )


def loss(
    prior: Prior,
    x0: torch.Tensor,
    *,
    text: Condition,
    uncond: Condition,
    step: int,
    settings: Settings,
    generator: torch.Generator,
    lora: LoraDenoiser,
) -> torch.Tensor:
    """The particles' loss of one step: draw t and eps, and pass on the gradient (given)."""
    t = torch.randint(
        settings.t_min, settings.t_max + 1, (len(x0),), generator=generator, device=x0.device
    )
    eps = torch.randn(x0.shape, generator=generator, device=x0.device)
    grad = vsd_grad(prior, lora, x0, t, eps, text, uncond, settings.guidance_scale)
    return with_gradient(x0, grad)


def loss_of_lora(
    lora: LoraDenoiser, x0: torch.Tensor, *, text: Condition, generator: torch.Generator
) -> torch.Tensor:
    """The LoRA's loss of one step, with its own levels and noise (given).

    It must know the particles at every level, so its t is drawn from the whole schedule.
    """
    t = torch.randint(0, 1000, (len(x0),), generator=generator, device=x0.device)
    eps = torch.randn(x0.shape, generator=generator, device=x0.device)
    return lora_loss(lora, x0, t, eps, text)
