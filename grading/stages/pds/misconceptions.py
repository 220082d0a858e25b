"""Wrong answers to stage 2."""

from __future__ import annotations

from functools import partial, wraps
from typing import NamedTuple

import torch

from distillery.models.prior import cat
from grading.stages.known_answers import Answer, wrong
from grading.stages.pds.steps import PUBLISHED, Step

POSTERIOR = "pds.posterior_coefficients"
LATENT = "pds.stochastic_latent"
PDS = "pds.pds_loss"
DDS = "pds.dds_loss"


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


def _coefficients(step, prior, t, beta=None):
    """Both levels and the coefficients of a step."""
    alpha_bar, alpha_bar_prev = prior.alpha_bar(t), prior.alpha_bar(step.t_prev(t))
    beta = step.beta(prior, t) if beta is None else beta
    return alpha_bar, alpha_bar_prev, _posterior(alpha_bar, alpha_bar_prev, beta)


def _eps_hats(prior, xt, xt_src, t, text, text_src, uncond, scale, scale_src=None):
    """The guided predictions for the edit and for the source, from one call."""
    eps_uncond, eps_text = prior.predict_noise(
        torch.cat([xt, xt_src]), t.repeat(2), cat([uncond, uncond]), cat([text, text_src])
    )
    scales = torch.tensor([scale, scale if scale_src is None else scale_src])
    scales = scales.repeat_interleave(len(xt))[:, None, None, None]
    return (eps_uncond + scales * (eps_text - eps_uncond)).chunk(2)


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
    scale_src=None,
    beta=None,
    seen=lambda x0_hat: x0_hat,
):
    """z of the edit and of the source, as they should be but for what is named."""
    alpha_bar, alpha_bar_prev, posterior = _coefficients(step, prior, t, beta)
    xt = _noised(x0, eps, alpha_bar)
    xt_src = _noised(x0_src, eps if eps_src is None else eps_src, alpha_bar)
    hats = _eps_hats(prior, xt, xt_src, t, text, text_src, uncond, scale, scale_src)
    xt_prev, xt_prev_src = (_noised(x, eps_prev, alpha_bar_prev) for x in (x0, x0_src))
    z = _latent(xt, xt_prev, seen(_x0_hat(xt, hats[0], alpha_bar)), posterior)
    return z, _latent(xt_src, xt_prev_src, seen(_x0_hat(xt_src, hats[1], alpha_bar)), posterior)


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
    return _loss(x0, _direction(step, prior, x0, *others, scale_src=1.0))


@_wrong_step("there is no guidance: only the branches with a prompt are used.")
def pds_without_guidance(step, prior, x0, *others):
    return _loss(x0, _direction(step, prior, x0, *others[:-1], 1.0))


@_wrong_step("the CFG branches are swapped: eps come back in the order the conditions went in.")
def pds_with_swapped_branches(step, prior, x0, *others):
    return _loss(x0, _direction(step, prior, x0, *others[:-1], 1 - others[-1]))


@_wrong_step("t_prev is t + 1, as in a falling list of timesteps: it pushes away from the source.")
def pds_one_step_up(step, prior, x0, *others):
    return _loss(x0, _direction(Step(lambda t: t + 1), prior, x0, *others))


@_wrong_step("t_prev lies above t, the noisier side: it pushes away from the source.")
def pds_upwards(step, prior, x0, *others):
    upwards = Step(lambda t: (2 * t - step.t_prev(t)).clamp(max=999))
    return _loss(x0, _direction(upwards, prior, x0, *others))


@_wrong_step("t_prev lies above t: the beta of that jump is negative, and its root is no number.")
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


@torch.no_grad()
def _noise_difference(
    prior, x0, x0_src, t, eps, text, text_src, uncond, scale, *, eps_src=None, scale_src=None
):
    """eps_hat - eps_hat_src, as it should be but for what is named."""
    alpha_bar = prior.alpha_bar(t)
    xt = _noised(x0, eps, alpha_bar)
    xt_src = _noised(x0_src, eps if eps_src is None else eps_src, alpha_bar)
    eps_hat, eps_hat_src = _eps_hats(prior, xt, xt_src, t, text, text_src, uncond, scale, scale_src)
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


@wrong(DDS, "only the edit is guided; the source needs the same guidance scale.")
def dds_with_unguided_source(prior, x0, *others):
    return _loss(x0, _noise_difference(prior, x0, *others, scale_src=1.0))


@wrong(DDS, "there is no guidance: only the branches with a prompt are used.")
def dds_without_guidance(prior, x0, x0_src, t, eps, text, text_src, uncond, scale):
    return _loss(x0, _noise_difference(prior, x0, x0_src, t, eps, text, text_src, uncond, 1.0))


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
