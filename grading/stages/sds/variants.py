"""Stage 1 in other right spellings."""

from __future__ import annotations

import torch

from grading.stages.known_answers import right

SAMPLE = "sds.sample_timesteps"
GRAD = "sds.sds_grad"
LOSS = "sds.sds_loss"


@right(SAMPLE)
def t_shifted_from_zero(batch, step, steps, *, t_min, t_max, generator):
    return t_min + torch.randint(t_max - t_min + 1, size=(batch,), generator=generator)


@right(SAMPLE)
def t_floored(batch, step, steps, *, t_min, t_max, generator):
    u = torch.rand(batch, generator=generator, device=generator.device)
    return (t_min + u * (t_max + 1 - t_min)).floor().long().clamp(max=t_max)


@right(SAMPLE)
def t_in_place(batch, step, steps, *, t_min, t_max, generator):
    return torch.empty(batch, dtype=torch.long).random_(t_min, t_max + 1, generator=generator)


@right(SAMPLE)
def t_by_multinomial(batch, step, steps, *, t_min, t_max, generator):
    weights = torch.ones(t_max - t_min + 1)
    return t_min + torch.multinomial(weights, batch, replacement=True, generator=generator)


@right(GRAD)
def grad_with_the_text_branch_first(prior, x0, t, eps, text, uncond, guidance_scale):
    alpha_bar = prior.alpha_bar(t)
    xt = alpha_bar.sqrt() * x0.detach() + (1 - alpha_bar).sqrt() * eps
    eps_text, eps_uncond = prior.predict_noise(xt, t, text, uncond)
    return (1 - alpha_bar) * (torch.lerp(eps_uncond, eps_text, guidance_scale) - eps)


@right(GRAD)
@torch.no_grad()
def grad_of_distances(prior, x0, t, eps, text, uncond, guidance_scale):
    alpha_bar = prior.alphas_cumprod[t][:, None, None, None]
    sigma = (1 - alpha_bar) ** 0.5
    xt = torch.addcmul(alpha_bar**0.5 * x0, sigma, eps)
    eps_uncond, eps_text = prior.predict_noise(xt, t, uncond, text)
    away = eps_uncond - eps
    return sigma**2 * away + sigma**2 * guidance_scale * (eps_text - eps_uncond)


@right(GRAD)
@torch.no_grad()
def grad_in_place_on_copies(prior, x0, t, eps, text, uncond, guidance_scale):
    alpha_bar = prior.alpha_bar(t)
    xt = x0.clone().mul_(alpha_bar.sqrt()).add_(eps * (1 - alpha_bar).sqrt())
    eps_uncond, eps_text = prior.predict_noise(xt, t, uncond, text)
    return (
        eps_text.sub_(eps_uncond)
        .mul_(guidance_scale)
        .add_(eps_uncond)
        .sub_(eps)
        .mul_(1 - alpha_bar)
    )


@right(GRAD)
@torch.no_grad()
def grad_in_float64(prior, x0, t, eps, text, uncond, guidance_scale):
    alpha_bar = prior.alpha_bar(t).double()
    xt = alpha_bar.sqrt() * x0 + (1 - alpha_bar).sqrt() * eps
    eps_uncond, eps_text = (e.double() for e in prior.predict_noise(xt.float(), t, uncond, text))
    eps_hat = (1 - guidance_scale) * eps_uncond + guidance_scale * eps_text
    return ((1 - alpha_bar) * (eps_hat - eps)).float()


@right(GRAD)
@torch.no_grad()
def grad_through_x0_hat(prior, x0, t, eps, text, uncond, guidance_scale):
    alpha_bar = prior.alpha_bar(t)
    xt = alpha_bar.sqrt() * x0 + (1 - alpha_bar).sqrt() * eps
    eps_uncond, eps_text = prior.predict_noise(xt, t, uncond, text)
    eps_hat = eps_uncond + guidance_scale * (eps_text - eps_uncond)
    x0_hat = (xt - (1 - alpha_bar).sqrt() * eps_hat) / alpha_bar.sqrt()
    return (alpha_bar * (1 - alpha_bar)).sqrt() * (x0 - x0_hat)


@right(LOSS)
def loss_by_mse(x0, grad):
    target = (x0 - grad).detach()
    return 0.5 * torch.nn.functional.mse_loss(x0, target, reduction="sum")


@right(LOSS)
def loss_as_a_dot_product(x0, grad):
    return (x0 * grad.detach()).sum()


@right(LOSS)
def loss_by_einsum(x0, grad):
    with torch.no_grad():
        target = x0 - grad
    return 0.5 * torch.einsum("bchw,bchw->", x0 - target, x0 - target)


class _Prescribed(torch.autograd.Function):
    """A loss whose backward is whatever it was given."""

    @staticmethod
    def forward(ctx, x0, grad):
        ctx.save_for_backward(grad)
        return 0.5 * grad.square().sum()

    @staticmethod
    def backward(ctx, scale):
        (grad,) = ctx.saved_tensors
        return scale * grad, None


@right(LOSS)
def loss_with_its_own_backward(x0, grad):
    return _Prescribed.apply(x0, grad)


@right(LOSS)
def loss_by_vector_norm(x0, grad):
    distance = torch.linalg.vector_norm(x0 - (x0 - grad).detach())
    return distance**2 / 2
