"""Stage 1, score distillation sampling: draw with a model that was only trained to remove noise.

The method of DreamFusion (arXiv 2209.14988). One step noises the picture x0 to a random level, lets
the frozen model predict the noise, and moves x0 by the difference between the noise predicted and
the noise put in. If the model sees only the noise that was put in, the picture already fits the
prompt.

Latents are float32 (B, C, h, w), timesteps int64 (B,).
"""

from __future__ import annotations

import torch

from distillery.methods.settings import Settings
from distillery.models.prior import Condition, Prior


def sample_timesteps(
    batch: int, step: int, steps: int, *, t_min: int, t_max: int, generator: torch.Generator
) -> torch.Tensor:
    """Draw the noise levels of one step, t ~ U{t_min, ..., t_max}, both ends included.

    DreamFusion leaves out the two ends of the schedule, where there is almost no noise or almost
    only noise, and uses 20 to 980 of 1000. Each latent of the batch has its own timestep, drawn
    independently of the others: two may be equal by chance, and none says anything about another.

    Args:
        batch: B, how many to draw.
        step: the step of the run, 0 to `steps` - 1. Uniform sampling ignores it; schedules that
            fall during the run use it.
        steps: the length of the run.
        t_min: the smallest timestep, 0 or more.
        t_max: the largest, `t_min` or more.
        generator: the only source of randomness. The same state gives the same timesteps, and the
            draw moves it on, so that the next call gives others.

    Returns:
        t, int64 (B,), on the generator's device.
    """
    ### BEGIN SOLUTION
    return torch.randint(t_min, t_max + 1, (batch,), generator=generator, device=generator.device)
    ### END SOLUTION


def sds_grad(
    prior: Prior,
    x0: torch.Tensor,
    t: torch.Tensor,
    eps: torch.Tensor,
    text: Condition,
    uncond: Condition,
    guidance_scale: float,
) -> torch.Tensor:
    """The score distillation gradient with respect to x0.

    DreamFusion, arXiv 2209.14988, equation 3, without its last factor (autograd supplies
    dx0/dtheta):

        grad = w(t) (eps_hat(xt; y, t) - eps),        w(t) = 1 - alpha_bar(t),

    where xt is x0 noised by `eps` to the level alpha_bar(t), and eps_hat is the prediction after
    classifier-free guidance. The network's own Jacobian is left out on purpose: nothing here is
    differentiated. Nothing else is done to the gradient: it is not scaled, clipped or averaged.

    Args:
        prior: gives `prior.alpha_bar(t)`, (B, 1, 1, 1), and
            `prior.predict_noise(xt, t, first, second)`, a pair of eps (B, C, h, w) in the order of
            the conditions, without a graph. Predict both branches in one call: it is the expensive
            part. (A batch of 2 B latents under one condition, joined by
            `distillery.models.prior.cat`, is one call too.)
        x0: latents (B, C, h, w), scaled as the network wants them and in no fixed range. They may
            arrive with a graph.
        t: timesteps, int64 (B,), from 0 to 999.
        eps: the noise to put in, (B, C, h, w).
        text: the condition of the B prompts.
        uncond: the condition of the empty prompt, or of a negative prompt, B times.
        guidance_scale: s in eps_uncond + s * (eps_text - eps_uncond), 0 or more.

    Returns:
        grad, float32 (B, C, h, w), with `requires_grad` False; `torch.no_grad`, `detach` and
        `torch.inference_mode` are all right. The arguments do not change.
    """
    ### BEGIN SOLUTION
    with torch.no_grad():
        alpha_bar = prior.alpha_bar(t)
        xt = alpha_bar.sqrt() * x0 + (1 - alpha_bar).sqrt() * eps
        eps_uncond, eps_text = prior.predict_noise(xt, t, uncond, text)
        eps_hat = eps_uncond + guidance_scale * (eps_text - eps_uncond)
        return (1 - alpha_bar) * (eps_hat - eps)
    ### END SOLUTION


def sds_loss(x0: torch.Tensor, grad: torch.Tensor) -> torch.Tensor:
    """A scalar whose gradient with respect to x0 is `grad`, up to float32 rounding.

    We know no loss whose derivative is the equation of `sds_grad`, but an optimiser needs one to
    call `backward` on. Half the squared distance from x0 to a target works, if the target is a
    constant:

        loss = 1/2 || x0 - target ||^2,    d loss / d x0 = x0 - target.

    Choose the target so that the right side is `grad`. Only the gradient matters; the value of the
    loss is free.

    Args:
        x0: latents (B, C, h, w) with a graph.
        grad: (B, C, h, w), small or large, a constant without a graph.

    Returns:
        The loss, float32 (), with a graph to x0; the caller calls `backward` on it. The arguments
        do not change.
    """
    ### BEGIN SOLUTION
    target = (x0 - grad).detach()
    return 0.5 * (x0 - target).square().sum()
    ### END SOLUTION


def loss(
    prior: Prior,
    x0: torch.Tensor,
    *,
    text: Condition,
    uncond: Condition,
    step: int,
    settings: Settings,
    generator: torch.Generator,
) -> torch.Tensor:
    """One step of score distillation: draw t and eps, and chain the three functions above (given).

    `generator` is on the device of `x0`, (B, C, h, w). The result is a scalar.
    """
    t = sample_timesteps(
        len(x0),
        step,
        settings.steps,
        t_min=settings.t_min,
        t_max=settings.t_max,
        generator=generator,
    )
    eps = torch.randn(x0.shape, generator=generator, device=x0.device)
    grad = sds_grad(prior, x0, t, eps, text, uncond, settings.guidance_scale)
    # Autograd does not save what `inference_mode` made, but a copy of it.
    return sds_loss(x0, grad.clone())
