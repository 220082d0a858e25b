"""Wrong answers to stage 1."""

from __future__ import annotations

import torch

from grading.stages.known_answers import wrong

SAMPLE = "sds.sample_timesteps"
GRAD = "sds.sds_grad"
LOSS = "sds.sds_loss"


@wrong(SAMPLE, "t_max is left out: the upper end of torch.randint is exclusive.")
def t_without_upper_end(batch, step, steps, *, t_min, t_max, generator):
    return torch.randint(t_min, t_max, (batch,), generator=generator)


@wrong(SAMPLE, "t_min is left out.")
def t_without_lower_end(batch, step, steps, *, t_min, t_max, generator):
    return torch.randint(t_min + 1, t_max + 1, (batch,), generator=generator)


@wrong(SAMPLE, "timesteps are drawn from all 1000; t_min and t_max are not used.")
def t_from_everywhere(batch, step, steps, *, t_min, t_max, generator):
    return torch.randint(0, 1000, (batch,), generator=generator)


@wrong(SAMPLE, "t_min is added to a draw that already runs up to t_max.")
def t_shifted(batch, step, steps, *, t_min, t_max, generator):
    return t_min + torch.randint(0, t_max + 1, (batch,), generator=generator)


@wrong(SAMPLE, "one timestep is drawn and repeated for the whole batch.")
def t_shared_by_the_batch(batch, step, steps, *, t_min, t_max, generator):
    return torch.randint(t_min, t_max + 1, (1,), generator=generator).repeat(batch)


@wrong(SAMPLE, "a single timestep is returned instead of one for each latent.")
def t_single(batch, step, steps, *, t_min, t_max, generator):
    return torch.randint(t_min, t_max + 1, (1,), generator=generator)


@wrong(SAMPLE, "t is a Python number; the model needs a tensor with one timestep for each latent.")
def t_number(batch, step, steps, *, t_min, t_max, generator):
    return int(torch.randint(t_min, t_max + 1, (1,), generator=generator))


@wrong(SAMPLE, "t is drawn as a real number: timesteps index a table, so they are int64.")
def t_real(batch, step, steps, *, t_min, t_max, generator):
    return t_min + (t_max - t_min) * torch.rand(batch, generator=generator)


@wrong(SAMPLE, "t is scaled to 0..1; the model counts its timesteps in whole numbers up to 999.")
def t_normalised(batch, step, steps, *, t_min, t_max, generator):
    return torch.rand(batch, generator=generator)


@wrong(SAMPLE, "the generator is not passed on, so a seed no longer repeats a run.")
def t_without_generator(batch, step, steps, *, t_min, t_max, generator):
    return torch.randint(t_min, t_max + 1, (batch,))


@wrong(SAMPLE, "the generator is seeded again inside, so every step sees the same noise levels.")
def t_seeded_inside(batch, step, steps, *, t_min, t_max, generator):
    return torch.randint(t_min, t_max + 1, (batch,), generator=generator.manual_seed(0))


@wrong(SAMPLE, "t falls with the step; that is annealing. Uniform sampling ignores the step.")
def t_annealed(batch, step, steps, *, t_min, t_max, generator):
    return torch.full((batch,), t_max - (t_max - t_min) * step // (steps - 1))


@wrong(SAMPLE, "t is always the middle of the range.")
def t_always_the_middle(batch, step, steps, *, t_min, t_max, generator):
    return torch.full((batch,), (t_min + t_max) // 2)


@wrong(SAMPLE, "real numbers are rounded, so the two ends come half as often.")
def t_rounded(batch, step, steps, *, t_min, t_max, generator):
    return (t_min + (t_max - t_min) * torch.rand(batch, generator=generator)).round().long()


def _noised(prior, x0, t, eps):
    alpha_bar = prior.alpha_bar(t)
    return alpha_bar.sqrt() * x0 + (1 - alpha_bar).sqrt() * eps


def _eps_hat(prior, xt, t, text, uncond, guidance_scale):
    eps_uncond, eps_text = prior.predict_noise(xt, t, uncond, text)
    return eps_uncond + guidance_scale * (eps_text - eps_uncond)


def _direction(prior, x0, t, eps, text, uncond, guidance_scale):
    """eps_hat - eps, as it should be."""
    return _eps_hat(prior, _noised(prior, x0, t, eps), t, text, uncond, guidance_scale) - eps


@wrong(GRAD, "the CFG branches are swapped: eps come back in the order the conditions went in.")
@torch.no_grad()
def grad_with_swapped_branches(prior, x0, t, eps, text, uncond, guidance_scale):
    eps_text, eps_uncond = prior.predict_noise(_noised(prior, x0, t, eps), t, uncond, text)
    eps_hat = eps_uncond + guidance_scale * (eps_text - eps_uncond)
    return (1 - prior.alpha_bar(t)) * (eps_hat - eps)


@wrong(GRAD, "guidance starts from eps_text: one step stronger than our scale.")
@torch.no_grad()
def grad_guided_from_text(prior, x0, t, eps, text, uncond, guidance_scale):
    return (1 - prior.alpha_bar(t)) * _direction(
        prior, x0, t, eps, text, uncond, guidance_scale + 1
    )


@wrong(GRAD, "the scale multiplies only eps_text; it belongs to the difference of the branches.")
@torch.no_grad()
def grad_guided_by_text_alone(prior, x0, t, eps, text, uncond, guidance_scale):
    eps_uncond, eps_text = prior.predict_noise(_noised(prior, x0, t, eps), t, uncond, text)
    return (1 - prior.alpha_bar(t)) * (eps_uncond + guidance_scale * eps_text - eps)


@wrong(GRAD, "there is no guidance: only the prompt's branch is used.")
@torch.no_grad()
def grad_without_guidance(prior, x0, t, eps, text, uncond, guidance_scale):
    return (1 - prior.alpha_bar(t)) * _direction(prior, x0, t, eps, text, uncond, 1.0)


@wrong(GRAD, "eps is not subtracted: the whole predicted noise is used as the gradient.")
@torch.no_grad()
def grad_without_eps(prior, x0, t, eps, text, uncond, guidance_scale):
    xt = _noised(prior, x0, t, eps)
    return (1 - prior.alpha_bar(t)) * _eps_hat(prior, xt, t, text, uncond, guidance_scale)


@wrong(GRAD, "the sign is flipped: it climbs away from the prompt.")
@torch.no_grad()
def grad_flipped(prior, x0, t, eps, text, uncond, guidance_scale):
    return -(1 - prior.alpha_bar(t)) * _direction(prior, x0, t, eps, text, uncond, guidance_scale)


@wrong(GRAD, "the weight w(t) is missing.")
@torch.no_grad()
def grad_without_weight(prior, x0, t, eps, text, uncond, guidance_scale):
    return _direction(prior, x0, t, eps, text, uncond, guidance_scale)


@wrong(GRAD, "w(t) is alpha_bar where it should be 1 - alpha_bar.")
@torch.no_grad()
def grad_weighted_by_signal(prior, x0, t, eps, text, uncond, guidance_scale):
    return prior.alpha_bar(t) * _direction(prior, x0, t, eps, text, uncond, guidance_scale)


@wrong(GRAD, "w(t) is sqrt(1 - alpha_bar): the weight is the variance, without a root.")
@torch.no_grad()
def grad_weighted_by_root(prior, x0, t, eps, text, uncond, guidance_scale):
    weight = (1 - prior.alpha_bar(t)).sqrt()
    return weight * _direction(prior, x0, t, eps, text, uncond, guidance_scale)


@wrong(GRAD, "dxt/dx0 = sqrt(alpha_bar) is multiplied again; w(t) already contains it.")
@torch.no_grad()
def grad_with_chain_rule(prior, x0, t, eps, text, uncond, guidance_scale):
    alpha_bar = prior.alpha_bar(t)
    direction = _direction(prior, x0, t, eps, text, uncond, guidance_scale)
    return alpha_bar.sqrt() * (1 - alpha_bar) * direction


@wrong(GRAD, "the first latent's noise level weights the whole batch.")
@torch.no_grad()
def grad_weighted_by_the_first(prior, x0, t, eps, text, uncond, guidance_scale):
    weight = 1 - prior.alpha_bar(t)[0]
    return weight * _direction(prior, x0, t, eps, text, uncond, guidance_scale)


@wrong(GRAD, "the noise is predicted at x0; the model must be asked at xt.")
@torch.no_grad()
def grad_predicted_at_x0(prior, x0, t, eps, text, uncond, guidance_scale):
    eps_hat = _eps_hat(prior, x0, t, text, uncond, guidance_scale)
    return (1 - prior.alpha_bar(t)) * (eps_hat - eps)


@wrong(GRAD, "the noise that is subtracted is not the noise in xt.")
@torch.no_grad()
def grad_against_fresh_noise(prior, x0, t, eps, text, uncond, guidance_scale):
    eps_hat = _eps_hat(prior, _noised(prior, x0, t, eps), t, text, uncond, guidance_scale)
    return (1 - prior.alpha_bar(t)) * (eps_hat - torch.randn_like(eps))


@wrong(GRAD, "alpha of the single step is used instead of the product alpha_bar: hardly any noise.")
@torch.no_grad()
def grad_with_alpha_of_one_step(prior, x0, t, eps, text, uncond, guidance_scale):
    alpha = (prior.alphas_cumprod[t] / prior.alphas_cumprod[t - 1]).view(-1, 1, 1, 1)
    xt = alpha.sqrt() * x0 + (1 - alpha).sqrt() * eps
    return (1 - alpha) * (_eps_hat(prior, xt, t, text, uncond, guidance_scale) - eps)


@wrong(GRAD, "the square roots are missing where x0 is noised.")
@torch.no_grad()
def grad_noised_without_roots(prior, x0, t, eps, text, uncond, guidance_scale):
    alpha_bar = prior.alpha_bar(t)
    xt = alpha_bar * x0 + (1 - alpha_bar) * eps
    return (1 - alpha_bar) * (_eps_hat(prior, xt, t, text, uncond, guidance_scale) - eps)


@wrong(GRAD, "the two factors are swapped where x0 is noised.")
@torch.no_grad()
def grad_noised_with_swapped_factors(prior, x0, t, eps, text, uncond, guidance_scale):
    alpha_bar = prior.alpha_bar(t)
    xt = (1 - alpha_bar).sqrt() * x0 + alpha_bar.sqrt() * eps
    return (1 - alpha_bar) * (_eps_hat(prior, xt, t, text, uncond, guidance_scale) - eps)


@wrong(GRAD, "eps_hat - eps is squared: a loss has a square, its gradient has a sign.")
@torch.no_grad()
def grad_squared(prior, x0, t, eps, text, uncond, guidance_scale):
    direction = _direction(prior, x0, t, eps, text, uncond, guidance_scale)
    return (1 - prior.alpha_bar(t)) * direction.square()


@wrong(GRAD, "the gradient is divided by the number of values, as a mean would do.")
@torch.no_grad()
def grad_averaged(prior, x0, t, eps, text, uncond, guidance_scale):
    direction = _direction(prior, x0, t, eps, text, uncond, guidance_scale)
    return (1 - prior.alpha_bar(t)) * direction / x0.numel()


@wrong(
    GRAD, "a single number is returned: the gradient has the shape of x0, and the loss comes later."
)
@torch.no_grad()
def grad_as_a_number(prior, x0, t, eps, text, uncond, guidance_scale):
    direction = _direction(prior, x0, t, eps, text, uncond, guidance_scale)
    return ((1 - prior.alpha_bar(t)) * direction.square()).mean()


@wrong(
    GRAD, "the branches are predicted one after the other; pass both conditions to a single call."
)
@torch.no_grad()
def grad_in_two_calls(prior, x0, t, eps, text, uncond, guidance_scale):
    xt = _noised(prior, x0, t, eps)
    (eps_uncond,) = prior.predict_noise(xt, t, uncond)
    (eps_text,) = prior.predict_noise(xt, t, text)
    eps_hat = eps_uncond + guidance_scale * (eps_text - eps_uncond)
    return (1 - prior.alpha_bar(t)) * (eps_hat - eps)


@wrong(GRAD, "it is computed through x0 with the graph on; put it under torch.no_grad().")
def grad_with_graph(prior, x0, t, eps, text, uncond, guidance_scale):
    alpha_bar = prior.alpha_bar(t)
    xt = _noised(prior, x0, t, eps)
    eps_hat = _eps_hat(prior, xt, t, text, uncond, guidance_scale)
    x0_hat = (xt - (1 - alpha_bar).sqrt() * eps_hat) / alpha_bar.sqrt()
    return (alpha_bar * (1 - alpha_bar)).sqrt() * (x0 - x0_hat)


@wrong(GRAD, "xt is written over x0: the picture itself gets noise.")
@torch.no_grad()
def grad_noised_in_place(prior, x0, t, eps, text, uncond, guidance_scale):
    alpha_bar = prior.alpha_bar(t)
    xt = x0.mul_(alpha_bar.sqrt()).add_((1 - alpha_bar).sqrt() * eps)
    return (1 - alpha_bar) * (_eps_hat(prior, xt, t, text, uncond, guidance_scale) - eps)


@wrong(LOSS, "the half is missing: the derivative of a square brings a 2.")
def loss_without_half(x0, grad):
    return (x0 - (x0 - grad).detach()).square().sum()


@wrong(
    LOSS, "the squares are averaged (the default of mse_loss): the gradient shrinks with the size."
)
def loss_averaged(x0, grad):
    return torch.nn.functional.mse_loss(x0, (x0 - grad).detach())


@wrong(LOSS, "half the mean is used instead of half the sum.")
def loss_half_averaged(x0, grad):
    return 0.5 * torch.nn.functional.mse_loss(x0, (x0 - grad).detach())


@wrong(LOSS, "it is divided by the batch size: the more pictures, the less each moves.")
def loss_averaged_over_batch(x0, grad):
    return 0.5 * (x0 - (x0 - grad).detach()).square().sum() / len(x0)


@wrong(LOSS, "the target is on the wrong side, x0 + grad: the sign is flipped.")
def loss_flipped(x0, grad):
    return 0.5 * (x0 - (x0 + grad).detach()).square().sum()


@wrong(LOSS, "the target is not detached: it moves along with x0, and the gradient is zero.")
def loss_with_moving_target(x0, grad):
    return 0.5 * (x0 - (x0 - grad)).square().sum()


@wrong(LOSS, "x0 is detached together with the target, so nothing is left to differentiate.")
def loss_detached(x0, grad):
    return 0.5 * (x0 - (x0 - grad)).detach().square().sum()


@wrong(LOSS, "grad itself is the target, instead of x0 - grad.")
def loss_towards_grad(x0, grad):
    return 0.5 * (x0 - grad.detach()).square().sum()


@wrong(LOSS, "the distance is not squared: its gradient always has length 1.")
def loss_unsquared(x0, grad):
    return (x0 - (x0 - grad).detach()).norm()


@wrong(LOSS, "the squares are not summed: backward needs a single number.")
def loss_not_summed(x0, grad):
    return 0.5 * (x0 - (x0 - grad).detach()).square()


@wrong(LOSS, "the loss is a Python number, and the graph is lost with .item().")
def loss_as_number(x0, grad):
    return (0.5 * (x0 - (x0 - grad).detach()).square().sum()).item()
