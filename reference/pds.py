"""Stage 2, posterior distillation sampling: change what the prompt says, keep the rest.

The method of Posterior Distillation Sampling (PDS, arXiv 2311.13831), and delta denoising score
(DDS, arXiv 2304.07090), the case it contains. A picture and its edit are noised with the same
noise. A denoising step from t to t_prev < t draws

    x_{t_prev} ~ N(c0 x0_hat + c1 xt, sigma^2 I),

and the *stochastic latent* z of a picture is the noise that this step would have to draw to land
on the picture's own x_{t_prev}. PDS moves the edit until its z equals the source's.

Latents are float32 (B, C, h, w), timesteps int64 (B,), noise levels and coefficients (B, 1, 1, 1).
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from distillery.methods.settings import Settings
from distillery.methods.source_image import Source, zero_noise_prior
from distillery.models.prior import Condition, Prior, cat


class Posterior(NamedTuple):
    """The step x_{t_prev} ~ N(c0 x0_hat + c1 xt, sigma^2 I), each (B, 1, 1, 1)."""

    c0: torch.Tensor
    c1: torch.Tensor
    sigma: torch.Tensor


def posterior_coefficients(
    alpha_bar: torch.Tensor, alpha_bar_prev: torch.Tensor, beta: torch.Tensor
) -> Posterior:
    """The mean's two coefficients and the standard deviation of one denoising step.

    Bayes' rule for two Gaussians (Ho et al. 2020, arXiv 2006.11239, equations 6 and 7), with
    alpha = 1 - beta. Of x_{t_prev} two things are known,

        from the picture:  it is around sqrt(alpha_bar_prev) x0_hat, with variance
                           1 - alpha_bar_prev,
        from the step:     it is around xt / sqrt(alpha), with variance beta / alpha,

    and together they are a Gaussian whose precision (one over the variance) is the sum of the two,
    and whose mean is theirs, weighted by precision. The noise in xt, alpha (1 - alpha_bar_prev) +
    beta, is written 1 - alpha_bar, also where the arguments do not fit together.

    Args:
        alpha_bar: the level at t, (B, 1, 1, 1).
        alpha_bar_prev: the level at t_prev < t, so larger.
        beta: the variance of the noise that the step removes, in (0, 1). For the jump from t_prev
            to t it is 1 - alpha_bar / alpha_bar_prev, but the caller decides.

    Returns:
        (c0, c1, sigma), each (B, 1, 1, 1). The arguments do not change.
    """
    ### BEGIN SOLUTION
    c0 = alpha_bar_prev.sqrt() * beta / (1 - alpha_bar)
    c1 = (1 - beta).sqrt() * (1 - alpha_bar_prev) / (1 - alpha_bar)
    sigma = (beta * (1 - alpha_bar_prev) / (1 - alpha_bar)).sqrt()
    return Posterior(c0, c1, sigma)
    ### END SOLUTION


def stochastic_latent(
    xt: torch.Tensor,
    xt_prev: torch.Tensor,
    eps_hat: torch.Tensor,
    alpha_bar: torch.Tensor,
    posterior: Posterior,
) -> torch.Tensor:
    """The noise z that takes the denoising step from xt exactly to xt_prev.

    PDS, arXiv 2311.13831, equation 8 (after Huberman-Spiegelglas et al. 2023):

        z = (xt_prev - (c0 x0_hat + c1 xt)) / sigma

    where x0_hat is the clean picture that the predicted noise leaves of xt.

    Args:
        xt: noisy latents (B, C, h, w) at the level `alpha_bar`.
        xt_prev: the same picture at the level of t_prev, (B, C, h, w).
        eps_hat: the noise predicted in xt, (B, C, h, w).
        alpha_bar: the level at t, (B, 1, 1, 1).
        posterior: (c0, c1, sigma) of the step.

    Returns:
        z, (B, C, h, w). The arguments do not change.
    """
    ### BEGIN SOLUTION
    x0_hat = (xt - (1 - alpha_bar).sqrt() * eps_hat) / alpha_bar.sqrt()
    mean = posterior.c0 * x0_hat + posterior.c1 * xt
    return (xt_prev - mean) / posterior.sigma
    ### END SOLUTION


def pds_loss(
    prior: Prior,
    x0: torch.Tensor,
    x0_src: torch.Tensor,
    t: torch.Tensor,
    eps: torch.Tensor,
    eps_prev: torch.Tensor,
    text: Condition,
    text_src: Condition,
    uncond: Condition,
    guidance_scale: float,
) -> torch.Tensor:
    """A scalar whose gradient with respect to x0 is the difference of the stochastic latents.

    PDS, arXiv 2311.13831, equation 11, without its last factor:

        grad = z(x0; text) - z(x0_src; text_src).

    Both pictures share `eps` at t and `eps_prev` at t_prev. The published code takes t_prev = t - 2
    with the beta of the single step from t - 1 to t. You may take any t_prev from 0 to t - 1 for
    each picture, with that beta or with the beta of the jump from t_prev to t. Only x0 receives a
    gradient, and only this one: half the squared distance from x0 to a constant target has the
    gradient x0 - target.

    Args:
        prior: gives `prior.alpha_bar(t)`, (B, 1, 1, 1), and
            `prior.predict_noise(xt, t, first, second)`, a pair of eps in the order of the
            conditions. Predict all four branches in one call: latents, timesteps and conditions
            may be joined along the batch, conditions by `cat` of `distillery.models.prior`.
        x0: the edit's latents (B, C, h, w), with a graph.
        x0_src: the source's latents, (B, C, h, w), a constant.
        t: timesteps, int64 (B,), from 20 to 999.
        eps: the noise of both at t, (B, C, h, w).
        eps_prev: the noise of both at t_prev, (B, C, h, w).
        text: the condition that describes the edit.
        text_src: the condition that describes the source.
        uncond: the condition of the empty prompt, or of a negative prompt, for both.
        guidance_scale: s in eps_uncond + s * (eps_text - eps_uncond), for both.

    Returns:
        The loss, float32 (). The arguments do not change.
    """
    ### BEGIN SOLUTION
    with torch.no_grad():
        alpha_bar, alpha_bar_prev = prior.alpha_bar(t), prior.alpha_bar(t - 2)
        beta = 1 - alpha_bar / prior.alpha_bar(t - 1)
        posterior = posterior_coefficients(alpha_bar, alpha_bar_prev, beta)

        both = torch.stack([x0, x0_src])
        xt = alpha_bar.sqrt() * both + (1 - alpha_bar).sqrt() * eps
        xt_prev = alpha_bar_prev.sqrt() * both + (1 - alpha_bar_prev).sqrt() * eps_prev
        eps_uncond, eps_text = prior.predict_noise(
            xt.flatten(0, 1), t.repeat(2), cat([uncond, uncond]), cat([text, text_src])
        )
        eps_hat = (eps_uncond + guidance_scale * (eps_text - eps_uncond)).view_as(both)
        z, z_src = stochastic_latent(xt, xt_prev, eps_hat, alpha_bar, posterior)
        target = x0 - (z - z_src)
    return 0.5 * (x0 - target).square().sum()
    ### END SOLUTION


def dds_loss(
    prior: Prior,
    x0: torch.Tensor,
    x0_src: torch.Tensor,
    t: torch.Tensor,
    eps: torch.Tensor,
    text: Condition,
    text_src: Condition,
    uncond: Condition,
    guidance_scale: float,
) -> torch.Tensor:
    """A scalar whose gradient with respect to x0 is the difference of the predicted noises.

    DDS, arXiv 2304.07090, equation 3, with the weight 1 of its code:

        grad = eps_hat(xt; text) - eps_hat(xt_src; text_src),

    both guided, both with the same `eps` in them. It is what PDS becomes, up to a weight chi(t),
    when the pull towards the source is zero. Arguments and result are those of `pds_loss`, without
    the step to t_prev.
    """
    ### BEGIN SOLUTION
    with torch.no_grad():
        alpha_bar = prior.alpha_bar(t)
        xt = alpha_bar.sqrt() * torch.stack([x0, x0_src]) + (1 - alpha_bar).sqrt() * eps
        eps_uncond, eps_text = prior.predict_noise(
            xt.flatten(0, 1), t.repeat(2), cat([uncond, uncond]), cat([text, text_src])
        )
        eps_hat, eps_hat_src = (eps_uncond + guidance_scale * (eps_text - eps_uncond)).chunk(2)
        target = x0 - (eps_hat - eps_hat_src)
    return 0.5 * (x0 - target).square().sum()
    ### END SOLUTION


def identity_pull(prior: Prior, x0: torch.Tensor, source: Source, t: torch.Tensor) -> torch.Tensor:
    """A scalar whose gradient is psi(t) (x0 - x0_src), the pull to the source (given).

    With shared noises the two latents differ by

        z - z_src = psi(t) (x0 - x0_src) + chi(t) (eps_hat - eps_hat_src),
        psi = (sqrt(alpha_bar_prev) - c0 - c1 sqrt(alpha_bar)) / sigma,
        chi = c0 sqrt((1 - alpha_bar) / alpha_bar) / sigma,

    which follows from writing out `stochastic_latent`. psi is zero if beta belongs to the jump from
    t_prev to t; in the published code, t_prev = t - 2 with a single step's beta, it is not.

    psi depends on the step that `pds_loss` takes, so `pds_loss` itself is called to find it. With a
    prior that always predicts zero noise only psi (x0 - x0_src) is left, and for pictures that
    differ by 1 that is psi. No network is called.
    """
    one, zero = torch.ones_like(x0, requires_grad=True), torch.zeros_like(x0)
    conditions = (source.text, source.text, source.text)  # without effect
    pds = pds_loss(zero_noise_prior(prior), one, zero, t, zero, zero, *conditions, 1.0)
    (psi,) = torch.autograd.grad(pds, one)
    return 0.5 * (psi * (x0 - source.x0).square()).sum()


def loss(
    prior: Prior,
    x0: torch.Tensor,
    *,
    text: Condition,
    uncond: Condition,
    step: int,
    settings: Settings,
    generator: torch.Generator,
    source: Source,
) -> torch.Tensor:
    """One step of PDS: draw t and both noises, and turn the identity knob (given).

    `settings.identity` scales the pull towards the source in `pds_loss`: 1 does not change it, 0
    removes it. If the step of `pds_loss` has no pull, such as t - 1 with its own beta, there is
    nothing to scale.
    """
    t, eps = _drawn(x0, settings, generator)
    eps_prev = torch.randn(x0.shape, generator=generator, device=x0.device)
    pds = pds_loss(
        prior, x0, source.x0, t, eps, eps_prev, text, source.text, uncond, settings.guidance_scale
    )
    if settings.identity == 1:
        return pds
    return pds + (settings.identity - 1) * identity_pull(prior, x0, source, t)


def dds(
    prior: Prior,
    x0: torch.Tensor,
    *,
    text: Condition,
    uncond: Condition,
    step: int,
    settings: Settings,
    generator: torch.Generator,
    source: Source,
) -> torch.Tensor:
    """One step of DDS: draw t and eps (given)."""
    t, eps = _drawn(x0, settings, generator)
    return dds_loss(
        prior, x0, source.x0, t, eps, text, source.text, uncond, settings.guidance_scale
    )


def _drawn(
    x0: torch.Tensor, settings: Settings, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    t = torch.randint(
        settings.t_min, settings.t_max + 1, (len(x0),), generator=generator, device=x0.device
    )
    return t, torch.randn(x0.shape, generator=generator, device=x0.device)
