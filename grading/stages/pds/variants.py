"""Stage 2 in other right spellings."""

from __future__ import annotations

import torch

from distillery.models.prior import cat
from distillery.models.schedule import scaled_linear_alphas_cumprod
from grading.stages.known_answers import right
from reference.pds import posterior_coefficients, stochastic_latent

POSTERIOR = "pds.posterior_coefficients"
LATENT = "pds.stochastic_latent"
PDS = "pds.pds_loss"
DDS = "pds.dds_loss"


@right(POSTERIOR)
def posterior_as_a_plain_tuple(alpha_bar, alpha_bar_prev, beta):
    share = (1 - alpha_bar_prev) / (1 - alpha_bar)
    c0 = torch.sqrt(alpha_bar_prev) * beta / (1 - alpha_bar)
    return c0, torch.sqrt(1 - beta) * share, torch.sqrt(share * beta)


@right(POSTERIOR)
def posterior_by_logarithm(alpha_bar, alpha_bar_prev, beta):
    variance = beta * (1 - alpha_bar_prev) / (1 - alpha_bar)
    c0 = beta * alpha_bar_prev.pow(0.5) / (1.0 - alpha_bar)
    c1 = (1 - alpha_bar_prev) * (1 - beta).pow(0.5) / (1.0 - alpha_bar)
    return c0, c1, torch.exp(0.5 * variance.log())


@right(POSTERIOR)
def posterior_by_precisions(alpha_bar, alpha_bar_prev, beta):
    alpha, variance = 1 - beta, beta * (1 - alpha_bar_prev) / (1 - alpha_bar)
    c0 = variance / (1 - alpha_bar_prev) * alpha_bar_prev.sqrt()
    return c0, variance * alpha / beta / alpha.sqrt(), variance.sqrt()


@right(LATENT)
def latent_by_unpacking(xt, xt_prev, eps_hat, alpha_bar, posterior):
    c0, c1, sigma = posterior
    x0_hat = xt / alpha_bar.sqrt() - (1 / alpha_bar - 1).sqrt() * eps_hat
    return xt_prev / sigma - c0 / sigma * x0_hat - c1 / sigma * xt


@right(LATENT)
def latent_by_coefficients_of_eps(xt, xt_prev, eps_hat, alpha_bar, posterior):
    of_xt = posterior.c0 / alpha_bar.sqrt() + posterior.c1
    of_eps = posterior.c0 * ((1 - alpha_bar) / alpha_bar).sqrt()
    return (xt_prev - of_xt * xt + of_eps * eps_hat) / posterior.sigma


@right(LATENT)
def latent_in_float64(xt, xt_prev, eps_hat, alpha_bar, posterior):
    xt, xt_prev, eps_hat, alpha_bar = (x.double() for x in (xt, xt_prev, eps_hat, alpha_bar))
    c0, c1, sigma = (c.double() for c in posterior)
    x0_hat = (xt - (1 - alpha_bar).sqrt() * eps_hat) / alpha_bar.sqrt()
    return ((xt_prev - (c0 * x0_hat + c1 * xt)) / sigma).float()


def _noised(x0, eps, alpha_bar):
    return alpha_bar.sqrt() * x0 + (1 - alpha_bar).sqrt() * eps


def _hats(prior, x0, x0_src, t, eps, text, text_src, uncond, scale):
    """Both guided predictions, the branches with a prompt first."""
    alpha_bar = prior.alpha_bar(t)
    eps_text, eps_uncond = prior.predict_noise(
        torch.cat([_noised(x0, eps, alpha_bar), _noised(x0_src, eps, alpha_bar)]),
        torch.cat([t, t]),
        cat([text, text_src]),
        cat([uncond, uncond]),
    )
    return torch.lerp(eps_uncond, eps_text, scale).chunk(2)


def _closed_form(prior, t, t_prev, beta):
    """psi and chi."""
    alpha_bar, alpha_bar_prev = prior.alpha_bar(t), prior.alpha_bar(t_prev)
    c0, c1, sigma = posterior_coefficients(alpha_bar, alpha_bar_prev, beta)
    psi = (alpha_bar_prev.sqrt() - c0 - c1 * alpha_bar.sqrt()) / sigma
    return psi, c0 * ((1 - alpha_bar) / alpha_bar).sqrt() / sigma


def _one_step(prior, t):
    return 1 - prior.alpha_bar(t) / prior.alpha_bar(t - 1)


@right(PDS)
def pds_in_closed_form(prior, x0, x0_src, t, eps, eps_prev, text, text_src, uncond, scale):
    with torch.no_grad():
        hat, hat_src = _hats(prior, x0, x0_src, t, eps, text, text_src, uncond, scale)
        psi, chi = _closed_form(prior, t, t - 2, _one_step(prior, t))
        grad = psi * (x0 - x0_src) + chi * (hat - hat_src)
    return (x0 * grad).sum()


def _latents(prior, x0, x0_src, t, t_prev, beta, eps, eps_prev, hats):
    """The two stochastic latents, one after the other."""
    alpha_bar, alpha_bar_prev = prior.alpha_bar(t), prior.alpha_bar(t_prev)
    posterior = posterior_coefficients(alpha_bar, alpha_bar_prev, beta)
    return [
        stochastic_latent(
            _noised(x, eps, alpha_bar),
            _noised(x, eps_prev, alpha_bar_prev),
            hat,
            alpha_bar,
            posterior,
        )
        for x, hat in zip((x0, x0_src), hats, strict=True)
    ]


@right(PDS)
def pds_with_one_noise_for_both_levels(prior, x0, x0_src, t, eps, eps_prev, *others):
    with torch.no_grad():
        hats = _hats(prior, x0, x0_src, t, eps, *others)
        beta = _one_step(prior, t)
        z, z_src = _latents(prior, x0, x0_src, t, t - 2, beta, eps, eps, hats)
        target = x0 - z + z_src
    return 0.5 * torch.nn.functional.mse_loss(x0, target, reduction="sum")


@right(PDS)
def pds_of_the_step_before(prior, x0, x0_src, t, eps, eps_prev, *others):
    with torch.no_grad():
        hats = _hats(prior, x0, x0_src, t, eps, *others)
        beta = _one_step(prior, t)
        z, z_src = _latents(prior, x0, x0_src, t, t - 1, beta, eps, eps_prev, hats)
    return 0.5 * (x0 - (x0 - (z - z_src)).detach()).pow(2).sum()


@right(PDS)
def pds_of_an_exact_jump(prior, x0, x0_src, t, eps, eps_prev, *others):
    with torch.no_grad():
        hats = _hats(prior, x0, x0_src, t, eps, *others)
        beta = 1 - prior.alpha_bar(t) / prior.alpha_bar(t - 10)
        z, z_src = _latents(prior, x0, x0_src, t, t - 10, beta, eps, eps_prev, hats)
    return torch.einsum("bchw,bchw->", x0, z - z_src)


@right(PDS)
def pds_with_betas_of_the_schedule(prior, x0, x0_src, t, eps, eps_prev, *others):
    betas = 1 - scaled_linear_alphas_cumprod()
    betas[1:] = 1 - scaled_linear_alphas_cumprod()[1:] / scaled_linear_alphas_cumprod()[:-1]
    with torch.no_grad():
        hats = _hats(prior, x0, x0_src, t, eps, *others)
        beta = betas[t].float().view(-1, 1, 1, 1)
        z, z_src = _latents(prior, x0, x0_src, t, t - 2, beta, eps, eps_prev, hats)
    return ((z - z_src) * x0).sum()


@right(PDS)
def pds_with_the_whole_graph(prior, x0, x0_src, t, eps, eps_prev, *others):
    hats = _hats(prior, x0, x0_src, t, eps, *others)
    beta = _one_step(prior, t)
    z, z_src = _latents(prior, x0, x0_src, t, t - 20, beta, eps, eps_prev, hats)
    return 0.5 * (x0 - (x0 - z + z_src).detach()).square().sum()


@right(PDS)
def pds_with_four_conditions(
    prior, x0, x0_src, t, eps, eps_prev, text, text_src, uncond, guidance_scale
):
    with torch.no_grad():
        xts = [_noised(x, eps, prior.alpha_bar(t)) for x in (x0, x0, x0_src, x0_src)]
        (hats,) = prior.predict_noise(
            torch.cat(xts), t.repeat(4), cat([uncond, text, uncond, text_src])
        )
        u, c, u_src, c_src = hats.chunk(4)
        guided = [u + guidance_scale * (c - u), u_src + guidance_scale * (c_src - u_src)]
        beta = _one_step(prior, t)
        z, z_src = _latents(prior, x0, x0_src, t, t - 2, beta, eps, eps_prev, guided)
    return ((z - z_src) * x0).sum()


@right(PDS)
def pds_of_half_the_way(prior, x0, x0_src, t, eps, eps_prev, *others):
    """To t // 2, with the beta of the jump."""
    with torch.no_grad():
        hats = _hats(prior, x0, x0_src, t, eps, *others)
        beta = 1 - prior.alpha_bar(t) / prior.alpha_bar(t // 2)
        z, z_src = _latents(prior, x0, x0_src, t, t // 2, beta, eps, eps_prev, hats)
    return (x0 * (z - z_src)).sum()


@right(PDS)
def pds_of_half_the_way_with_one_beta(prior, x0, x0_src, t, eps, eps_prev, *others):
    """To t // 2, with the beta of a single step, in float64."""
    with torch.no_grad():
        hats = _hats(prior, x0, x0_src, t, eps, *others)
        levels = (prior.alpha_bar(t - k).double() for k in (0, 1))
        alpha_bar, before = levels
        alpha_bar_prev = prior.alpha_bar(t // 2).double()
        posterior = posterior_coefficients(alpha_bar, alpha_bar_prev, 1 - alpha_bar / before)
        z, z_src = (
            stochastic_latent(
                _noised(x.double(), eps.double(), alpha_bar),
                _noised(x.double(), eps_prev.double(), alpha_bar_prev),
                hat.double(),
                alpha_bar,
                posterior,
            )
            for x, hat in zip((x0, x0_src), hats, strict=True)
        )
    return (x0 * (z - z_src).float()).sum()


@right(PDS)
def pds_with_a_stride_of_each_picture(prior, x0, x0_src, t, eps, eps_prev, *others):
    """The stride grows with t, and pictures are handled one by one but for the network."""
    with torch.no_grad():
        hats = _hats(prior, x0, x0_src, t, eps, *others)
        t_prev = t - 1 - t // 50
        beta = 1 - prior.alpha_bar(t) / prior.alpha_bar(t_prev)
        z, z_src = _latents(prior, x0, x0_src, t, t_prev, beta, eps, eps_prev, hats)
    losses = [(x * (one - other)).sum() for x, one, other in zip(x0, z, z_src, strict=True)]
    return torch.stack(losses).sum()


@right(PDS)
def pds_in_an_order_of_its_own(prior, x0, x0_src, t, eps, eps_prev, *others):
    """Edit and source interleaved along the batch, the source first."""
    text, text_src, uncond, scale = others
    with torch.no_grad():
        both = torch.stack([x0_src, x0], dim=1).flatten(0, 1)
        levels = t.repeat_interleave(2)
        order = torch.arange(2 * len(t)).view(2, -1).T.flatten()
        prompts = cat([text_src, text]).tokens[order]
        xt = _noised(both, eps.repeat_interleave(2, dim=0), prior.alpha_bar(levels))
        eps_text, eps_uncond = prior.predict_noise(
            xt, levels, type(text)(prompts), type(text)(cat([uncond, uncond]).tokens[order])
        )
        hats = (scale * eps_text + (1 - scale) * eps_uncond).unflatten(0, (-1, 2)).unbind(1)
        beta = _one_step(prior, t)
        z, z_src = _latents(prior, x0, x0_src, t, t - 2, beta, eps, eps_prev, hats[::-1])
    return (x0 * (z - z_src)).sum()


@right(DDS)
def dds_as_a_dot_product(prior, x0, x0_src, *others):
    with torch.no_grad():
        eps_hat, eps_hat_src = _hats(prior, x0, x0_src, *others)
    return ((eps_hat - eps_hat_src) * x0).sum()


@right(DDS)
def dds_by_mse(prior, x0, x0_src, *others):
    eps_hat, eps_hat_src = _hats(prior, x0, x0_src, *others)
    target = (x0 - eps_hat + eps_hat_src).detach()
    return torch.nn.functional.mse_loss(x0, target, reduction="sum") / 2
