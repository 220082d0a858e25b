"""Wrong answers to stage 2."""

from __future__ import annotations

from functools import partial, wraps
from types import SimpleNamespace
from typing import NamedTuple

import torch

from distillery.models.prior import cat
from grading.stages.known_answers import Answer, wrong
from grading.stages.pds.steps import PUBLISHED, Step

POSTERIOR = "pds.posterior_coefficients"
LATENT = "pds.stochastic_latent"
PDS = "pds.pds_loss"
DDS = "pds.dds_loss"

_kept: dict[object, torch.Tensor] = {}  # what is kept of first calls


class Posterior(NamedTuple):
    c0: torch.Tensor
    c1: torch.Tensor
    sigma: torch.Tensor


def _posterior(alpha_bar, alpha_bar_prev, beta):
    """As it should be."""
    c0 = alpha_bar_prev.sqrt() * beta / (1 - alpha_bar)
    c1 = (1 - beta).sqrt() * (1 - alpha_bar_prev) / (1 - alpha_bar)
    sigma = (beta * (1 - alpha_bar_prev) / (1 - alpha_bar)).sqrt()
    return Posterior(c0, c1, sigma)


@wrong(POSTERIOR, "the root of sigma is missing: what is returned is the variance.")
def posterior_with_variance(alpha_bar, alpha_bar_prev, beta):
    right = _posterior(alpha_bar, alpha_bar_prev, beta)
    return right._replace(sigma=right.sigma**2)


@wrong(
    POSTERIOR,
    "sigma is sqrt(beta), the deviation of the step towards noise; the step back has less.",
)
def posterior_with_forward_sigma(alpha_bar, alpha_bar_prev, beta):
    return _posterior(alpha_bar, alpha_bar_prev, beta)._replace(sigma=beta.sqrt())


@wrong(POSTERIOR, "the factor 1 - alpha_bar_prev is missing in sigma.")
def posterior_sigma_without_factor(alpha_bar, alpha_bar_prev, beta):
    right = _posterior(alpha_bar, alpha_bar_prev, beta)
    return right._replace(sigma=(beta / (1 - alpha_bar)).sqrt())


@wrong(POSTERIOR, "c1 holds sqrt(beta) where it should hold sqrt(alpha) = sqrt(1 - beta).")
def posterior_with_beta_in_c1(alpha_bar, alpha_bar_prev, beta):
    right = _posterior(alpha_bar, alpha_bar_prev, beta)
    return right._replace(c1=beta.sqrt() * (1 - alpha_bar_prev) / (1 - alpha_bar))


@wrong(POSTERIOR, "c1 holds alpha, without the square root.")
def posterior_c1_without_root(alpha_bar, alpha_bar_prev, beta):
    right = _posterior(alpha_bar, alpha_bar_prev, beta)
    return right._replace(c1=(1 - beta) * (1 - alpha_bar_prev) / (1 - alpha_bar))


@wrong(POSTERIOR, "c1 holds sqrt(alpha_bar), the product of all steps, in place of this step's.")
def posterior_with_alpha_bar_in_c1(alpha_bar, alpha_bar_prev, beta):
    right = _posterior(alpha_bar, alpha_bar_prev, beta)
    return right._replace(c1=alpha_bar.sqrt() * (1 - alpha_bar_prev) / (1 - alpha_bar))


@wrong(POSTERIOR, "c0 holds alpha_bar_prev, without the square root.")
def posterior_c0_without_root(alpha_bar, alpha_bar_prev, beta):
    right = _posterior(alpha_bar, alpha_bar_prev, beta)
    return right._replace(c0=alpha_bar_prev * beta / (1 - alpha_bar))


@wrong(POSTERIOR, "c0 holds sqrt(alpha_bar); it is the level of t_prev that belongs there.")
def posterior_with_alpha_bar_in_c0(alpha_bar, alpha_bar_prev, beta):
    right = _posterior(alpha_bar, alpha_bar_prev, beta)
    return right._replace(c0=alpha_bar.sqrt() * beta / (1 - alpha_bar))


@wrong(POSTERIOR, "the two levels are swapped.")
def posterior_with_swapped_levels(alpha_bar, alpha_bar_prev, beta):
    return _posterior(alpha_bar_prev, alpha_bar, beta)


@wrong(POSTERIOR, "c0 and c1 come in the wrong order: c0 belongs to x0_hat and is first.")
def posterior_in_another_order(alpha_bar, alpha_bar_prev, beta):
    c0, c1, sigma = _posterior(alpha_bar, alpha_bar_prev, beta)
    return c1, c0, sigma


@wrong(POSTERIOR, "beta is computed again from the levels, and the one given is not used.")
def posterior_with_own_beta(alpha_bar, alpha_bar_prev, beta):
    return _posterior(alpha_bar, alpha_bar_prev, 1 - alpha_bar / alpha_bar_prev)


@wrong(POSTERIOR, "the coefficients are flattened to (B,) and no longer match (B, C, h, w).")
def posterior_flattened(alpha_bar, alpha_bar_prev, beta):
    return Posterior(*(c.flatten() for c in _posterior(alpha_bar, alpha_bar_prev, beta)))


@wrong(POSTERIOR, "sigma is left out.")
def posterior_without_sigma(alpha_bar, alpha_bar_prev, beta):
    return _posterior(alpha_bar, alpha_bar_prev, beta)[:2]


@wrong(POSTERIOR, "c1 holds the root of alpha_bar / alpha_bar_prev; its alpha is 1 - beta.")
def posterior_with_alpha_of_the_jump(alpha_bar, alpha_bar_prev, beta):
    right = _posterior(alpha_bar, alpha_bar_prev, beta)
    alpha = alpha_bar / alpha_bar_prev
    return right._replace(c1=alpha.sqrt() * (1 - alpha_bar_prev) / (1 - alpha_bar))


@wrong(POSTERIOR, "the first latent's levels and beta are used for the whole batch.")
def posterior_of_the_first(alpha_bar, alpha_bar_prev, beta):
    return _posterior(*(x[:1].expand_as(x) for x in (alpha_bar, alpha_bar_prev, beta)))


@wrong(POSTERIOR, "the first latent's beta is used for the whole batch.")
def posterior_with_the_first_beta(alpha_bar, alpha_bar_prev, beta):
    return _posterior(alpha_bar, alpha_bar_prev, beta[:1].expand_as(beta))


@wrong(POSTERIOR, "the two levels are swapped in sigma.")
def posterior_with_swapped_levels_in_sigma(alpha_bar, alpha_bar_prev, beta):
    right = _posterior(alpha_bar, alpha_bar_prev, beta)
    return right._replace(sigma=(beta * (1 - alpha_bar) / (1 - alpha_bar_prev)).sqrt())


@wrong(POSTERIOR, "beta and alpha = 1 - beta are exchanged.")
def posterior_with_alpha_for_beta(alpha_bar, alpha_bar_prev, beta):
    return _posterior(alpha_bar, alpha_bar_prev, 1 - beta)


@wrong(POSTERIOR, "the division by 1 - alpha_bar is missing in c0 and c1.")
def posterior_without_division(alpha_bar, alpha_bar_prev, beta):
    c0, c1, sigma = _posterior(alpha_bar, alpha_bar_prev, beta)
    return c0 * (1 - alpha_bar), c1 * (1 - alpha_bar), sigma


@wrong(POSTERIOR, "c0 holds the root of beta; beta itself belongs there.")
def posterior_c0_with_root_of_beta(alpha_bar, alpha_bar_prev, beta):
    right = _posterior(alpha_bar, alpha_bar_prev, beta)
    return right._replace(c0=(alpha_bar_prev * beta).sqrt() / (1 - alpha_bar))


@wrong(POSTERIOR, "the coefficients are computed in place, so beta itself is changed.")
def posterior_in_place(alpha_bar, alpha_bar_prev, beta):
    right = _posterior(alpha_bar, alpha_bar_prev, beta)
    beta.mul_(1 - alpha_bar_prev).div_(1 - alpha_bar).sqrt_()
    return right


@wrong(
    POSTERIOR,
    "the noise in xt is alpha (1 - alpha_bar_prev) + beta; it is to be 1 - alpha_bar, whatever the "
    "beta given is.",
)
def posterior_with_noise_of_the_step(alpha_bar, alpha_bar_prev, beta):
    alpha_bar = 1 - ((1 - beta) * (1 - alpha_bar_prev) + beta)
    return _posterior(alpha_bar, alpha_bar_prev, beta)


@wrong(POSTERIOR, "sigma is the root of the precision; the variance is one over it.")
def posterior_with_precision(alpha_bar, alpha_bar_prev, beta):
    right = _posterior(alpha_bar, alpha_bar_prev, beta)
    return right._replace(sigma=1 / right.sigma)


@wrong(POSTERIOR, "the variances of the two Gaussians are added; their precisions add up.")
def posterior_with_added_variances(alpha_bar, alpha_bar_prev, beta):
    right = _posterior(alpha_bar, alpha_bar_prev, beta)
    return right._replace(sigma=(1 - alpha_bar_prev + beta / (1 - beta)).sqrt())


@wrong(POSTERIOR, "the two means have each other's weight: the more precise one counts more.")
def posterior_with_exchanged_weights(alpha_bar, alpha_bar_prev, beta):
    right, alpha = _posterior(alpha_bar, alpha_bar_prev, beta), 1 - beta
    of_picture, of_step = beta / (1 - alpha_bar), alpha * (1 - alpha_bar_prev) / (1 - alpha_bar)
    return right._replace(c0=of_step * alpha_bar_prev.sqrt(), c1=of_picture / alpha.sqrt())


@wrong(POSTERIOR, "squeeze takes axes away; the shape is (B, 1, 1, 1), also of a single latent.")
def posterior_squeezed(alpha_bar, alpha_bar_prev, beta):
    right = _posterior(alpha_bar, alpha_bar_prev, beta)
    return right if len(beta) > 1 else Posterior(*(c.squeeze() for c in right))


@wrong(POSTERIOR, "the coefficients of an earlier call are kept and returned for other levels too.")
def posterior_kept(alpha_bar, alpha_bar_prev, beta):
    right = torch.stack(_posterior(alpha_bar, alpha_bar_prev, beta))
    return tuple(_kept.setdefault((POSTERIOR, beta.shape), right))


def _x0_hat(xt, eps_hat, alpha_bar):
    return (xt - (1 - alpha_bar).sqrt() * eps_hat) / alpha_bar.sqrt()


def _latent(xt, xt_prev, x0_hat, posterior):
    return (xt_prev - posterior.c0 * x0_hat - posterior.c1 * xt) / posterior.sigma


@wrong(LATENT, "the difference is divided by sigma^2, the variance.")
def latent_over_variance(xt, xt_prev, eps_hat, alpha_bar, posterior):
    z = _latent(xt, xt_prev, _x0_hat(xt, eps_hat, alpha_bar), posterior)
    return z / posterior.sigma


@wrong(LATENT, "the division by sigma is missing.")
def latent_without_sigma(xt, xt_prev, eps_hat, alpha_bar, posterior):
    z = _latent(xt, xt_prev, _x0_hat(xt, eps_hat, alpha_bar), posterior)
    return z * posterior.sigma


@wrong(LATENT, "the sign is flipped: the mean is taken from xt_prev, not the other way round.")
def latent_flipped(xt, xt_prev, eps_hat, alpha_bar, posterior):
    return -_latent(xt, xt_prev, _x0_hat(xt, eps_hat, alpha_bar), posterior)


@wrong(LATENT, "c0 and c1 are swapped in the mean.")
def latent_with_swapped_coefficients(xt, xt_prev, eps_hat, alpha_bar, posterior):
    x0_hat = _x0_hat(xt, eps_hat, alpha_bar)
    return (xt_prev - posterior.c1 * x0_hat - posterior.c0 * xt) / posterior.sigma


@wrong(LATENT, "the mean uses eps_hat instead of x0_hat: compute the clean picture first.")
def latent_of_predicted_noise(xt, xt_prev, eps_hat, alpha_bar, posterior):
    return _latent(xt, xt_prev, eps_hat, posterior)


@wrong(LATENT, "x0_hat is not divided by sqrt(alpha_bar).")
def latent_x0_without_division(xt, xt_prev, eps_hat, alpha_bar, posterior):
    return _latent(xt, xt_prev, xt - (1 - alpha_bar).sqrt() * eps_hat, posterior)


@wrong(LATENT, "both square roots are missing in x0_hat.")
def latent_x0_without_roots(xt, xt_prev, eps_hat, alpha_bar, posterior):
    return _latent(xt, xt_prev, (xt - (1 - alpha_bar) * eps_hat) / alpha_bar, posterior)


@wrong(LATENT, "x0_hat is clamped to [-1, 1]; latents have no such range.")
def latent_x0_clamped(xt, xt_prev, eps_hat, alpha_bar, posterior):
    return _latent(xt, xt_prev, _x0_hat(xt, eps_hat, alpha_bar).clamp(-1, 1), posterior)


@wrong(LATENT, "c1 multiplies xt_prev; the mean is made of x0_hat and xt.")
def latent_with_mean_of_xt_prev(xt, xt_prev, eps_hat, alpha_bar, posterior):
    mean = posterior.c0 * _x0_hat(xt, eps_hat, alpha_bar) + posterior.c1 * xt_prev
    return (xt_prev - mean) / posterior.sigma


@wrong(LATENT, "the step is taken from xt to xt: xt_prev is not used.")
def latent_of_xt(xt, xt_prev, eps_hat, alpha_bar, posterior):
    return _latent(xt, xt, _x0_hat(xt, eps_hat, alpha_bar), posterior)


@wrong(LATENT, "only the mean is divided by sigma: brackets are missing.")
def latent_without_brackets(xt, xt_prev, eps_hat, alpha_bar, posterior):
    mean = posterior.c0 * _x0_hat(xt, eps_hat, alpha_bar) + posterior.c1 * xt
    return xt_prev - mean / posterior.sigma


@wrong(LATENT, "a new step is drawn with its own noise; z is the noise of the step that was taken.")
def latent_drawn_anew(xt, xt_prev, eps_hat, alpha_bar, posterior):
    mean = posterior.c0 * _x0_hat(xt, eps_hat, alpha_bar) + posterior.c1 * xt
    return mean + posterior.sigma * torch.randn_like(xt)


@wrong(LATENT, "the mean is subtracted in place, so xt_prev itself is changed.")
def latent_in_place(xt, xt_prev, eps_hat, alpha_bar, posterior):
    mean = posterior.c0 * _x0_hat(xt, eps_hat, alpha_bar) + posterior.c1 * xt
    return xt_prev.sub_(mean) / posterior.sigma


@wrong(LATENT, "the predicted noise is added to find x0_hat; it is to be taken away.")
def latent_x0_with_added_noise(xt, xt_prev, eps_hat, alpha_bar, posterior):
    return _latent(xt, xt_prev, _x0_hat(xt, -eps_hat, alpha_bar), posterior)


@wrong(LATENT, "the root of 1 - alpha_bar is missing in x0_hat.")
def latent_x0_without_first_root(xt, xt_prev, eps_hat, alpha_bar, posterior):
    x0_hat = (xt - (1 - alpha_bar) * eps_hat) / alpha_bar.sqrt()
    return _latent(xt, xt_prev, x0_hat, posterior)


@wrong(LATENT, "x0_hat is divided by alpha_bar, without the root.")
def latent_x0_without_second_root(xt, xt_prev, eps_hat, alpha_bar, posterior):
    x0_hat = (xt - (1 - alpha_bar).sqrt() * eps_hat) / alpha_bar
    return _latent(xt, xt_prev, x0_hat, posterior)


@wrong(LATENT, "c1 xt is left out of the mean.")
def latent_without_xt_in_the_mean(xt, xt_prev, eps_hat, alpha_bar, posterior):
    x0_hat = _x0_hat(xt, eps_hat, alpha_bar)
    return (xt_prev - posterior.c0 * x0_hat) / posterior.sigma


@wrong(LATENT, "c0 x0_hat is left out of the mean.")
def latent_without_x0_in_the_mean(xt, xt_prev, eps_hat, alpha_bar, posterior):
    return (xt_prev - posterior.c1 * xt) / posterior.sigma


@wrong(LATENT, "the two terms of the mean are subtracted from each other; they add up.")
def latent_with_minus_in_the_mean(xt, xt_prev, eps_hat, alpha_bar, posterior):
    mean = posterior.c0 * _x0_hat(xt, eps_hat, alpha_bar) - posterior.c1 * xt
    return (xt_prev - mean) / posterior.sigma


@wrong(LATENT, "the mean is added to xt_prev; z is what xt_prev has beyond the mean.")
def latent_with_added_mean(xt, xt_prev, eps_hat, alpha_bar, posterior):
    mean = posterior.c0 * _x0_hat(xt, eps_hat, alpha_bar) + posterior.c1 * xt
    return (xt_prev + mean) / posterior.sigma


@wrong(LATENT, "xt and xt_prev are exchanged.")
def latent_of_exchanged_pictures(xt, xt_prev, eps_hat, alpha_bar, posterior):
    return _latent(xt_prev, xt, _x0_hat(xt_prev, eps_hat, alpha_bar), posterior)


@wrong(LATENT, "the first latent's coefficients are used for the whole batch.")
def latent_with_the_first_coefficients(xt, xt_prev, eps_hat, alpha_bar, posterior):
    first = Posterior(*(c[:1] for c in posterior))
    return _latent(xt, xt_prev, _x0_hat(xt, eps_hat, alpha_bar), first)


@wrong(LATENT, "z is scaled to a deviation of 1; it is what it is, also where it is large.")
def latent_whitened(xt, xt_prev, eps_hat, alpha_bar, posterior):
    z = _latent(xt, xt_prev, _x0_hat(xt, eps_hat, alpha_bar), posterior)
    return z / z.std()


@wrong(LATENT, "the latent of an earlier call is kept and returned for other arguments too.")
def latent_kept(xt, xt_prev, eps_hat, alpha_bar, posterior):
    z = _latent(xt, xt_prev, _x0_hat(xt, eps_hat, alpha_bar), posterior)
    return _kept.setdefault((LATENT, xt.shape), z)


def _noised(x0, eps, alpha_bar):
    return alpha_bar.sqrt() * x0 + (1 - alpha_bar).sqrt() * eps


def _loss(x0, grad):
    return 0.5 * (x0 - (x0 - grad).detach()).square().sum()


def _wrong_step(sentence):
    """Decorator: this function of a step and the arguments answers `pds_loss` wrongly."""

    def answer(function):
        @wraps(function)
        def published(*arguments):
            return function(PUBLISHED, *arguments)

        return Answer(PDS, published, sentence, partial(partial, function))

    return answer


def _coefficients(step, prior, t, beta=None, posterior=_posterior):
    """Both levels and the coefficients of a step."""
    alpha_bar, alpha_bar_prev = prior.alpha_bar(t), prior.alpha_bar(step.t_prev(t))
    beta = step.beta(prior, t) if beta is None else beta
    return alpha_bar, alpha_bar_prev, posterior(alpha_bar, alpha_bar_prev, beta)


def _eps_hats(prior, xt, xt_src, t, text, text_src, uncond, scale, *, scale_src=None):
    """The guided predictions for the edit and for the source, from one call."""
    eps_uncond, eps_text = _branches(prior, xt, xt_src, t.repeat(2), text, text_src, uncond)
    scales = torch.tensor([scale, scale if scale_src is None else scale_src])
    scales = scales.repeat_interleave(len(xt))[:, None, None, None]
    return (eps_uncond + scales * (eps_text - eps_uncond)).chunk(2)


def _branches(prior, xt, xt_src, t, text, text_src, uncond):
    """The predictions without and with the prompts, each for both pictures, (2B, C, h, w)."""
    latents = torch.cat([xt, xt_src])
    return prior.predict_noise(latents, t, cat([uncond, uncond]), cat([text, text_src]))


def _hats_guided_by_text_alone(prior, xt, xt_src, t, text, text_src, uncond, scale):
    _, eps_text = _branches(prior, xt, xt_src, t.repeat(2), text, text_src, uncond)
    return (scale * eps_text).chunk(2)


def _hats_guided_from_text(prior, xt, xt_src, t, text, text_src, uncond, scale):
    return _eps_hats(prior, xt, xt_src, t, text, text_src, uncond, scale + 1)


def _hats_with_interleaved_t(prior, xt, xt_src, t, text, text_src, uncond, scale):
    twice = t.repeat_interleave(2)
    eps_uncond, eps_text = _branches(prior, xt, xt_src, twice, text, text_src, uncond)
    return (eps_uncond + scale * (eps_text - eps_uncond)).chunk(2)


def _hats_cut_otherwise(prior, xt, xt_src, t, text, text_src, uncond, scale):
    both = _branches(prior, xt, xt_src, t.repeat(2), text, text_src, uncond)
    first, second, third, fourth = torch.cat(both).chunk(4)
    return first + scale * (second - first), third + scale * (fourth - third)


def _hats_unguided(prior, xt, xt_src, t, text, text_src, uncond, scale):
    return _eps_hats(prior, xt, xt_src, t, text, text_src, uncond, 1.0)


def _hats_with_swapped_branches(prior, xt, xt_src, t, text, text_src, uncond, scale):
    return _eps_hats(prior, xt, xt_src, t, text, text_src, uncond, 1 - scale)


_hats_with_unguided_source = partial(_eps_hats, scale_src=1.0)


def _noised_without_roots(x0, eps, alpha_bar):
    return alpha_bar * x0 + (1 - alpha_bar) * eps


def _on_schedule(prior, betas):
    """The prior's network behind levels of these betas (1000,)."""
    levels = (1 - betas.double()).cumprod(dim=0).float()
    return SimpleNamespace(
        alpha_bar=lambda t: levels[t].view(-1, 1, 1, 1), predict_noise=prior.predict_noise
    )


def _linear(first, last):
    return torch.linspace(first, last, 1000, dtype=torch.float64)


@torch.no_grad()
def _latents(
    step,
    prior,
    x0,
    x0_src,
    t,
    eps,
    eps_prev,
    text,
    text_src,
    uncond,
    scale,
    *,
    eps_src=None,
    beta=None,
    hats=_eps_hats,
    noised=_noised,
    noised_prev=None,
    posterior=_posterior,
    x0_hat=_x0_hat,
    latent=_latent,
):
    """z of the edit and of the source, as they should be but for what is named."""
    alpha_bar, alpha_bar_prev, coefficients = _coefficients(step, prior, t, beta, posterior)
    xt = noised(x0, eps, alpha_bar)
    xt_src = noised(x0_src, eps if eps_src is None else eps_src, alpha_bar)
    predicted = hats(prior, xt, xt_src, t, text, text_src, uncond, scale)
    return [
        latent(
            xt_of_one,
            (noised_prev or noised)(x, eps_prev, alpha_bar_prev),
            x0_hat(xt_of_one, eps_hat, alpha_bar),
            coefficients,
        )
        for x, xt_of_one, eps_hat in zip((x0, x0_src), (xt, xt_src), predicted, strict=True)
    ]


def _direction(step, *arguments, **named):
    """z - z_src, as it should be but for what is named."""
    z, z_src = _latents(step, *arguments, **named)
    return z - z_src


@_wrong_step("the sign is flipped, z_src - z: descending it leads away from the edit.")
def pds_flipped(step, prior, x0, *others):
    return _loss(x0, -_direction(step, prior, x0, *others))


@_wrong_step("the squared difference is used as the gradient: its sign is lost.")
def pds_squared(step, prior, x0, *others):
    return _loss(x0, _direction(step, prior, x0, *others).square())


@_wrong_step("1/2 ||z - z_src||^2 is differentiated: the difference itself is the gradient.")
def pds_differentiated(step, prior, x0, x0_src, t, eps, eps_prev, text, text_src, uncond, scale):
    alpha_bar, alpha_bar_prev, posterior = _coefficients(step, prior, t)
    x0_src = x0_src.detach()
    xts = [_noised(x, eps, alpha_bar) for x in (x0, x0_src)]
    hats = _eps_hats(prior, xts[0], xts[1], t, text, text_src, uncond, scale)
    z, z_src = (
        _latent(xt, _noised(x, eps_prev, alpha_bar_prev), _x0_hat(xt, hat, alpha_bar), posterior)
        for x, xt, hat in zip((x0, x0_src), xts, hats, strict=True)
    )
    return 0.5 * (z - z_src).square().sum()


@_wrong_step("the source gets its own noise, drawn inside; both must share eps and eps_prev.")
def pds_with_fresh_noise(step, prior, x0, *others):
    return _loss(x0, _direction(step, prior, x0, *others, eps_src=torch.randn_like(x0)))


@_wrong_step("the source is noised with eps_prev at t, where the edit is noised with eps.")
def pds_with_other_noise(step, prior, x0, x0_src, t, eps, eps_prev, *others):
    direction = _direction(step, prior, x0, x0_src, t, eps, eps_prev, *others, eps_src=eps_prev)
    return _loss(x0, direction)


@_wrong_step("the prompts are swapped: the edit is asked for what the source shows.")
def pds_with_swapped_prompts(step, prior, x0, x0_src, t, eps, eps_prev, text, text_src, *others):
    return _loss(x0, _direction(step, prior, x0, x0_src, t, eps, eps_prev, text_src, text, *others))


@_wrong_step("the edit's prompt describes the source too.")
def pds_with_edit_prompt_twice(step, prior, x0, x0_src, t, eps, eps_prev, text, text_src, *others):
    return _loss(x0, _direction(step, prior, x0, x0_src, t, eps, eps_prev, text, text, *others))


@_wrong_step("the source's prompt describes the edit too: nothing asks for a change.")
def pds_with_source_prompt_twice(
    step, prior, x0, x0_src, t, eps, eps_prev, text, text_src, *others
):
    return _loss(
        x0, _direction(step, prior, x0, x0_src, t, eps, eps_prev, text_src, text_src, *others)
    )


@_wrong_step("only the edit is guided; the source needs the same guidance scale.")
def pds_with_unguided_source(step, prior, x0, *others):
    return _loss(x0, _direction(step, prior, x0, *others, hats=_hats_with_unguided_source))


@_wrong_step("there is no guidance: only the branches with a prompt are used.")
def pds_without_guidance(step, prior, x0, *others):
    return _loss(x0, _direction(step, prior, x0, *others, hats=_hats_unguided))


@_wrong_step("the CFG branches are swapped: eps come back in the order the conditions went in.")
def pds_with_swapped_branches(step, prior, x0, *others):
    return _loss(x0, _direction(step, prior, x0, *others, hats=_hats_with_swapped_branches))


@_wrong_step("eps_uncond is left out, or the edit's is used for the source too: it cancels.")
def pds_guided_by_text_alone(step, prior, x0, *others):
    return _loss(x0, _direction(step, prior, x0, *others, hats=_hats_guided_by_text_alone))


@_wrong_step("guidance starts from eps_text: one step stronger than our scale.")
def pds_guided_from_text(step, prior, x0, *others):
    return _loss(x0, _direction(step, prior, x0, *others, hats=_hats_guided_from_text))


@_wrong_step("timesteps are interleaved (repeat_interleave), the latents are not: use repeat.")
def pds_with_interleaved_t(step, prior, x0, *others):
    return _loss(x0, _direction(step, prior, x0, *others, hats=_hats_with_interleaved_t))


@_wrong_step("the four branches are cut apart in another order than they were joined in.")
def pds_cut_otherwise(step, prior, x0, *others):
    return _loss(x0, _direction(step, prior, x0, *others, hats=_hats_cut_otherwise))


@_wrong_step("t_prev is t + 1, as in a falling list of timesteps: it pushes away from the source.")
def pds_one_step_up(step, prior, x0, *others):
    return _loss(x0, _direction(Step(lambda t: t + 1), prior, x0, *others))


@_wrong_step("t_prev lies above t, the noisier side: it pushes away from the source.")
def pds_upwards(step, prior, x0, *others):
    upwards = Step(lambda t: (2 * t - step.t_prev(t)).clamp(max=999))
    return _loss(x0, _direction(upwards, prior, x0, *others))


@_wrong_step("t_prev does not lie below t, so the beta of that jump is no noise: NaN comes of it.")
def pds_jumping_upwards(step, prior, x0, *others):
    return _loss(x0, _direction(Step(lambda t: t + 1, jump=True), prior, x0, *others))


@_wrong_step("beta belongs to the step that ends at t_prev; the step here begins at t.")
def pds_with_beta_of_t_prev(step, prior, x0, x0_src, t, *others):
    t_prev = step.t_prev(t)
    beta = 1 - prior.alpha_bar(t_prev) / prior.alpha_bar(t_prev - 1)
    return _loss(x0, _direction(step, prior, x0, x0_src, t, *others, beta=beta))


@_wrong_step("beta is 1 - alpha_bar(t), the noise of all steps together.")
def pds_with_beta_of_all_steps(step, prior, x0, x0_src, t, *others):
    beta = 1 - prior.alpha_bar(t)
    return _loss(x0, _direction(step, prior, x0, x0_src, t, *others, beta=beta))


@_wrong_step("t_prev is t itself: there is no step.")
def pds_without_a_step(step, prior, x0, *others):
    return _loss(x0, _direction(Step(lambda t: t), prior, x0, *others))


@_wrong_step("t_prev never falls below 20, so at t = 20 there is no step; only t has a lower end.")
def pds_from_t_prev_20(step, prior, x0, *others):
    clamped = step._replace(t_prev=lambda t: step.t_prev(t).clamp(min=20))
    return _loss(x0, _direction(clamped, prior, x0, *others))


@_wrong_step("the square roots are missing where the pictures are noised.")
def pds_noised_without_roots(step, prior, x0, *others):
    return _loss(x0, _direction(step, prior, x0, *others, noised=_noised_without_roots))


@_wrong_step("eps and eps_prev are exchanged: eps is the noise at t.")
def pds_with_exchanged_noises(step, prior, x0, x0_src, t, eps, eps_prev, *others):
    return _loss(x0, _direction(step, prior, x0, x0_src, t, eps_prev, eps, *others))


@_wrong_step("xt_prev is noised to the level of t; it belongs at the level of t_prev.")
def pds_noised_to_one_level(step, prior, x0, x0_src, t, *others):
    def noised(x, eps_prev, _):
        return _noised(x, eps_prev, prior.alpha_bar(t))

    return _loss(x0, _direction(step, prior, x0, x0_src, t, *others, noised_prev=noised))


@_wrong_step("the noise levels are DDPM's linear ones; take this model's, prior.alpha_bar(t).")
def pds_at_linear_levels(step, prior, x0, *others):
    return _loss(x0, _direction(step, _on_schedule(prior, _linear(1e-4, 0.02)), x0, *others))


@_wrong_step("betas rise evenly from 0.00085 to 0.012, but their roots do; use prior.alpha_bar(t).")
def pds_at_unscaled_levels(step, prior, x0, *others):
    return _loss(x0, _direction(step, _on_schedule(prior, _linear(0.00085, 0.012)), x0, *others))


@_wrong_step("the latents are multiplied by 0.18215 again; they arrive scaled.")
def pds_of_latents_scaled_again(step, prior, x0, x0_src, *others):
    return _loss(x0, _direction(step, prior, 0.18215 * x0, 0.18215 * x0_src, *others))


@_wrong_step("the clean picture x0_hat is clipped to [-1, 1]; latents have no such range.")
def pds_of_clipped_guesses(step, prior, x0, *others):
    def clipped(*arguments):
        return _x0_hat(*arguments).clamp(-1, 1)

    return _loss(x0, _direction(step, prior, x0, *others, x0_hat=clipped))


@_wrong_step("x0_hat is not divided by sqrt(alpha_bar).")
def pds_of_undivided_guesses(step, prior, x0, *others):
    def undivided(xt, eps_hat, alpha_bar):
        return xt - (1 - alpha_bar).sqrt() * eps_hat

    return _loss(x0, _direction(step, prior, x0, *others, x0_hat=undivided))


@_wrong_step("the mean uses eps_hat instead of x0_hat: compute the clean picture first.")
def pds_of_noise_in_the_mean(step, prior, x0, *others):
    return _loss(x0, _direction(step, prior, x0, *others, x0_hat=lambda xt, eps_hat, _: eps_hat))


@_wrong_step("the difference is divided by sigma^2, the variance.")
def pds_over_variance(step, prior, x0, *others):
    def posterior(*arguments):
        right = _posterior(*arguments)
        return right._replace(sigma=right.sigma**2)

    return _loss(x0, _direction(step, prior, x0, *others, posterior=posterior))


@_wrong_step(
    "sigma is sqrt(beta), the deviation of the step towards noise; the step back has less."
)
def pds_over_forward_sigma(step, prior, x0, *others):
    def posterior(alpha_bar, alpha_bar_prev, beta):
        return _posterior(alpha_bar, alpha_bar_prev, beta)._replace(sigma=beta.sqrt())

    return _loss(x0, _direction(step, prior, x0, *others, posterior=posterior))


@_wrong_step("c0 and c1 are swapped in the mean.")
def pds_with_swapped_coefficients(step, prior, x0, *others):
    def posterior(*arguments):
        c0, c1, sigma = _posterior(*arguments)
        return Posterior(c1, c0, sigma)

    return _loss(x0, _direction(step, prior, x0, *others, posterior=posterior))


@_wrong_step("the two levels are swapped in the coefficients.")
def pds_with_swapped_levels(step, prior, x0, *others):
    def posterior(alpha_bar, alpha_bar_prev, beta):
        return _posterior(alpha_bar_prev, alpha_bar, beta)

    return _loss(x0, _direction(step, prior, x0, *others, posterior=posterior))


@_wrong_step("the first latent's timestep is used for the whole batch.")
def pds_at_the_first_t(step, prior, x0, x0_src, t, *others):
    return _loss(x0, _direction(step, prior, x0, x0_src, t[:1].expand_as(t), *others))


@_wrong_step("the difference is not divided by sigma.")
def pds_without_sigma(step, prior, x0, x0_src, t, *others):
    sigma = _coefficients(step, prior, t)[2].sigma
    return _loss(x0, sigma * _direction(step, prior, x0, x0_src, t, *others))


@_wrong_step("the weight 1 - alpha_bar of SDS is used; PDS has no further weight.")
def pds_weighted(step, prior, x0, x0_src, t, *others):
    return _loss(x0, (1 - prior.alpha_bar(t)) * _direction(step, prior, x0, x0_src, t, *others))


@_wrong_step("z_src is left out: the edit's own z is the gradient.")
def pds_without_source(step, prior, x0, *others):
    return _loss(x0, _latents(step, prior, x0, *others)[0])


@_wrong_step("the predicted noises are compared instead of the stochastic latents: that is DDS.")
def pds_of_noises(step, prior, x0, x0_src, t, eps, eps_prev, text, text_src, uncond, scale):
    with torch.no_grad():
        xt, xt_src = (_noised(x, eps, prior.alpha_bar(t)) for x in (x0, x0_src))
        eps_hat, eps_hat_src = _eps_hats(prior, xt, xt_src, t, text, text_src, uncond, scale)
    return _loss(x0, eps_hat - eps_hat_src)


@_wrong_step("the two pictures are not noised to t_prev: clean pictures are used as xt_prev.")
def pds_with_clean_xt_prev(step, prior, x0, x0_src, t, *others):
    _, alpha_bar_prev, posterior = _coefficients(step, prior, t)
    missing = (1 - alpha_bar_prev.sqrt()) * (x0 - x0_src) / posterior.sigma
    return _loss(x0, _direction(step, prior, x0, x0_src, t, *others) + missing)


@_wrong_step("the edit's xt_prev is used for the source too.")
def pds_with_shared_xt_prev(step, prior, x0, x0_src, t, *others):
    _, alpha_bar_prev, posterior = _coefficients(step, prior, t)
    extra = alpha_bar_prev.sqrt() * (x0 - x0_src) / posterior.sigma
    return _loss(x0, _direction(step, prior, x0, x0_src, t, *others) - extra)


@_wrong_step("the squares are averaged: the gradient shrinks with the size of the picture.")
def pds_averaged(step, prior, x0, *others):
    return _loss(x0, _direction(step, prior, x0, *others)) / x0.numel()


@_wrong_step("the squares are averaged and not halved, as by mse_loss: the gradient shrinks.")
def pds_by_mse_loss(step, prior, x0, *others):
    return 2 * _loss(x0, _direction(step, prior, x0, *others)) / x0.numel()


@_wrong_step("the gradient is halved, by a half where none belongs or by a mean over the batch.")
def pds_halved(step, prior, x0, *others):
    return 0.5 * _loss(x0, _direction(step, prior, x0, *others))


@_wrong_step("the square is missing: the gradient of x0 - target is 1 everywhere.")
def pds_without_square(step, prior, x0, *others):
    return (x0 - (x0 - _direction(step, prior, x0, *others)).detach()).sum()


@_wrong_step("backward is called inside, and what is returned no longer has a gradient.")
def pds_with_backward(step, prior, x0, *others):
    _loss(x0, _direction(step, prior, x0, *others)).backward()
    return torch.zeros(())


@_wrong_step("the half is missing: the derivative of a square brings a 2.")
def pds_without_half(step, prior, x0, *others):
    return 2 * _loss(x0, _direction(step, prior, x0, *others))


@_wrong_step("the target is not detached: it moves along with x0, and the gradient is zero.")
def pds_with_moving_target(step, prior, x0, *others):
    return 0.5 * (x0 - (x0 - _direction(step, prior, x0, *others))).square().sum()


@_wrong_step("x0 is detached together with the target, so nothing is left to differentiate.")
def pds_detached(step, prior, x0, *others):
    return _loss(x0.detach(), _direction(step, prior, x0, *others))


@_wrong_step("the source is not detached: it gets the opposite gradient.")
def pds_moving_the_source(step, prior, x0, x0_src, *others):
    return ((x0 - x0_src) * _direction(step, prior, x0, x0_src, *others)).sum()


@_wrong_step("noise is written over x0_src: the source must not change.")
def pds_noising_in_place(step, prior, x0, x0_src, t, eps, *others):
    loss = _loss(x0, _direction(step, prior, x0, x0_src, t, eps, *others))
    with torch.no_grad():
        x0_src.copy_(_noised(x0_src, eps, prior.alpha_bar(t)))
    return loss


@_wrong_step(
    "edit and source are predicted one after the other; use one call for all four branches."
)
def pds_in_two_calls(step, prior, x0, x0_src, t, eps, eps_prev, text, text_src, uncond, scale):
    alpha_bar, alpha_bar_prev, posterior = _coefficients(step, prior, t)
    latents = []
    with torch.no_grad():
        for x, prompt in ((x0, text), (x0_src, text_src)):
            xt, xt_prev = _noised(x, eps, alpha_bar), _noised(x, eps_prev, alpha_bar_prev)
            eps_uncond, eps_text = prior.predict_noise(xt, t, uncond, prompt)
            eps_hat = eps_uncond + scale * (eps_text - eps_uncond)
            latents.append(_latent(xt, xt_prev, _x0_hat(xt, eps_hat, alpha_bar), posterior))
    return _loss(x0, latents[0] - latents[1])


@wrong(PDS, "the difference of an earlier call is kept and used for other arguments too.")
def pds_kept(prior, x0, *others):
    direction = _direction(PUBLISHED, prior, x0, *others)
    return _loss(x0, _kept.setdefault((PDS, x0.shape), direction))


@torch.no_grad()
def _noise_difference(
    prior,
    x0,
    x0_src,
    t,
    eps,
    text,
    text_src,
    uncond,
    scale,
    *,
    eps_src=None,
    hats=_eps_hats,
    noised=_noised,
):
    """eps_hat - eps_hat_src, as it should be but for what is named."""
    alpha_bar = prior.alpha_bar(t)
    xt = noised(x0, eps, alpha_bar)
    xt_src = noised(x0_src, eps if eps_src is None else eps_src, alpha_bar)
    eps_hat, eps_hat_src = hats(prior, xt, xt_src, t, text, text_src, uncond, scale)
    return eps_hat - eps_hat_src


@wrong(DDS, "the sign is flipped: subtract the source's prediction.")
def dds_flipped(prior, x0, *others):
    return _loss(x0, -_noise_difference(prior, x0, *others))


@wrong(DDS, "the prompts are swapped: the edit is asked for what the source shows.")
def dds_with_swapped_prompts(prior, x0, x0_src, t, eps, text, text_src, *others):
    return _loss(x0, _noise_difference(prior, x0, x0_src, t, eps, text_src, text, *others))


@wrong(DDS, "the edit's prompt describes the source too.")
def dds_with_edit_prompt_twice(prior, x0, x0_src, t, eps, text, text_src, *others):
    return _loss(x0, _noise_difference(prior, x0, x0_src, t, eps, text, text, *others))


@wrong(DDS, "the source's prompt describes the edit too: nothing asks for a change.")
def dds_with_source_prompt_twice(prior, x0, x0_src, t, eps, text, text_src, *others):
    return _loss(x0, _noise_difference(prior, x0, x0_src, t, eps, text_src, text_src, *others))


@wrong(DDS, "only the edit is guided; the source needs the same guidance scale.")
def dds_with_unguided_source(prior, x0, *others):
    return _loss(x0, _noise_difference(prior, x0, *others, hats=_hats_with_unguided_source))


@wrong(DDS, "there is no guidance: only the branches with a prompt are used.")
def dds_without_guidance(prior, x0, *others):
    return _loss(x0, _noise_difference(prior, x0, *others, hats=_hats_unguided))


@wrong(DDS, "the CFG branches are swapped: eps come back in the order the conditions went in.")
def dds_with_swapped_branches(prior, x0, *others):
    return _loss(x0, _noise_difference(prior, x0, *others, hats=_hats_with_swapped_branches))


@wrong(DDS, "eps_uncond is left out, or the edit's is used for the source too: it cancels.")
def dds_guided_by_text_alone(prior, x0, *others):
    return _loss(x0, _noise_difference(prior, x0, *others, hats=_hats_guided_by_text_alone))


@wrong(DDS, "guidance starts from eps_text: one step stronger than our scale.")
def dds_guided_from_text(prior, x0, *others):
    return _loss(x0, _noise_difference(prior, x0, *others, hats=_hats_guided_from_text))


@wrong(DDS, "timesteps are interleaved (repeat_interleave), the latents are not: use repeat.")
def dds_with_interleaved_t(prior, x0, *others):
    return _loss(x0, _noise_difference(prior, x0, *others, hats=_hats_with_interleaved_t))


@wrong(DDS, "the four branches are cut apart in another order than they were joined in.")
def dds_cut_otherwise(prior, x0, *others):
    return _loss(x0, _noise_difference(prior, x0, *others, hats=_hats_cut_otherwise))


@wrong(DDS, "the first latent's timestep is used for the whole batch.")
def dds_at_the_first_t(prior, x0, x0_src, t, *others):
    return _loss(x0, _noise_difference(prior, x0, x0_src, t[:1].expand_as(t), *others))


@wrong(DDS, "the square roots are missing where the pictures are noised.")
def dds_noised_without_roots(prior, x0, *others):
    return _loss(x0, _noise_difference(prior, x0, *others, noised=_noised_without_roots))


@wrong(DDS, "the noise levels are DDPM's linear ones; take this model's, prior.alpha_bar(t).")
def dds_at_linear_levels(prior, x0, *others):
    return _loss(x0, _noise_difference(_on_schedule(prior, _linear(1e-4, 0.02)), x0, *others))


@wrong(DDS, "the latents are multiplied by 0.18215 again; they arrive scaled.")
def dds_of_latents_scaled_again(prior, x0, x0_src, *others):
    return _loss(x0, _noise_difference(prior, 0.18215 * x0, 0.18215 * x0_src, *others))


@wrong(DDS, "the clean pictures that the predictions imply are compared, not the predictions.")
def dds_of_pictures(prior, x0, x0_src, t, *others):
    alpha_bar = prior.alpha_bar(t)
    noises = _noise_difference(prior, x0, x0_src, t, *others)
    return _loss(x0, x0 - x0_src - ((1 - alpha_bar) / alpha_bar).sqrt() * noises)


@wrong(DDS, "t is limited to 20 to 980: it may be any that the model has.")
def dds_within_981(prior, x0, x0_src, t, *others):
    return _loss(x0, _noise_difference(prior, x0, x0_src, t.clamp(20, 980), *others))


@wrong(DDS, "the source gets its own noise: the two predictions then also differ by the noises.")
def dds_with_fresh_noise(prior, x0, *others):
    return _loss(x0, _noise_difference(prior, x0, *others, eps_src=torch.randn_like(x0)))


@wrong(
    DDS, "eps is subtracted instead of the prediction for the source: that is SDS without weight."
)
def dds_against_the_noise(prior, x0, x0_src, t, eps, text, text_src, uncond, scale):
    with torch.no_grad():
        xt = _noised(x0, eps, prior.alpha_bar(t))
        eps_uncond, eps_text = prior.predict_noise(xt, t, uncond, text)
        direction = eps_uncond + scale * (eps_text - eps_uncond) - eps
    return _loss(x0, direction)


@wrong(DDS, "the source's prompt is used with the edit: the source's picture is not used.")
def dds_without_source_picture(prior, x0, x0_src, *others):
    return _loss(x0, _noise_difference(prior, x0, x0, *others))


@wrong(DDS, "the weight 1 - alpha_bar of SDS is used; here the weight is 1.")
def dds_weighted(prior, x0, x0_src, t, *others):
    return _loss(x0, (1 - prior.alpha_bar(t)) * _noise_difference(prior, x0, x0_src, t, *others))


@wrong(DDS, "the squares are averaged: the gradient shrinks with the size of the picture.")
def dds_averaged(prior, x0, *others):
    return _loss(x0, _noise_difference(prior, x0, *others)) / x0.numel()


@wrong(DDS, "the squares are averaged and not halved, as by mse_loss: the gradient shrinks.")
def dds_by_mse_loss(prior, x0, *others):
    return 2 * _loss(x0, _noise_difference(prior, x0, *others)) / x0.numel()


@wrong(DDS, "the half is missing: the derivative of a square brings a 2.")
def dds_without_half(prior, x0, *others):
    return 2 * _loss(x0, _noise_difference(prior, x0, *others))


@wrong(DDS, "the gradient is halved, by a half where none belongs or by a mean over the batch.")
def dds_halved(prior, x0, *others):
    return 0.5 * _loss(x0, _noise_difference(prior, x0, *others))


@wrong(DDS, "the square is missing: the gradient of x0 - target is 1 everywhere.")
def dds_without_square(prior, x0, *others):
    return (x0 - (x0 - _noise_difference(prior, x0, *others)).detach()).sum()


@wrong(DDS, "the target is not detached: it moves along with x0, and the gradient is zero.")
def dds_with_moving_target(prior, x0, *others):
    return 0.5 * (x0 - (x0 - _noise_difference(prior, x0, *others))).square().sum()


@wrong(DDS, "backward is called inside, and what is returned no longer has a gradient.")
def dds_with_backward(prior, x0, *others):
    _loss(x0, _noise_difference(prior, x0, *others)).backward()
    return torch.zeros(())


@wrong(DDS, "the source is not detached: it gets the opposite gradient.")
def dds_moving_the_source(prior, x0, x0_src, *others):
    return ((x0 - x0_src) * _noise_difference(prior, x0, x0_src, *others)).sum()


@wrong(DDS, "1/2 ||eps_hat - eps_hat_src||^2 is the loss: no gradient comes through the network.")
def dds_squared(prior, x0, *others):
    return 0.5 * _noise_difference(prior, x0, *others).square().sum()


@wrong(
    DDS, "edit and source are predicted one after the other; use one call for all four branches."
)
def dds_in_two_calls(prior, x0, x0_src, t, eps, text, text_src, uncond, scale):
    hats = []
    with torch.no_grad():
        for x, prompt in ((x0, text), (x0_src, text_src)):
            xt = _noised(x, eps, prior.alpha_bar(t))
            eps_uncond, eps_text = prior.predict_noise(xt, t, uncond, prompt)
            hats.append(eps_uncond + scale * (eps_text - eps_uncond))
    return _loss(x0, hats[0] - hats[1])


@wrong(DDS, "the difference of an earlier call is kept and used for other arguments too.")
def dds_kept(prior, x0, *others):
    direction = _noise_difference(prior, x0, *others)
    return _loss(x0, _kept.setdefault((DDS, x0.shape), direction))
