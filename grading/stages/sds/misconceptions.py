"""Wrong answers to stage 1."""

from __future__ import annotations

from functools import cache

import torch

from distillery.models.prior import Condition, cat
from grading.stages.known_answers import both, wrong

SAMPLE = "sds.sample_timesteps"
GRAD = "sds.sds_grad"
LOSS = "sds.sds_loss"

_kept: dict[object, torch.Tensor] = {}  # what is kept of first calls


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


@wrong(
    SAMPLE,
    "a generator is seeded inside, this one or a new one, so calls see the same noise levels; draw "
    "with this one as it comes.",
)
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


@wrong(SAMPLE, "draws from all 1000 are folded into the range by %, so some t come twice as often.")
def t_folded(batch, step, steps, *, t_min, t_max, generator):
    return torch.randint(0, 1000, (batch,), generator=generator) % (t_max - t_min + 1) + t_min


@wrong(SAMPLE, "the timesteps have the wrong integer type; int64 is torch.randint's own.")
def t_short(batch, step, steps, *, t_min, t_max, generator):
    return torch.randint(t_min, t_max + 1, (batch,), generator=generator, dtype=torch.int32)


@wrong(SAMPLE, "squeeze takes the batch away where it has a single latent.")
def t_squeezed(batch, step, steps, *, t_min, t_max, generator):
    return torch.randint(t_min, t_max + 1, (batch, 1), generator=generator).squeeze()


@wrong(SAMPLE, "the range shrinks as the run goes on; uniform sampling ignores the step.")
def t_under_a_falling_end(batch, step, steps, *, t_min, t_max, generator):
    high = t_max - (t_max - t_min) * step // (2 * steps)
    return torch.randint(t_min, high + 1, (batch,), generator=generator)


@wrong(
    SAMPLE,
    "the timesteps of a batch are sorted, mirrored or otherwise arranged; draw each by itself.",
)
def t_sorted(batch, step, steps, *, t_min, t_max, generator):
    return torch.randint(t_min, t_max + 1, (batch,), generator=generator).sort().values


def _strata(batch, order, t_min, t_max, generator):
    """One draw in each of `batch` parts of the range, in some order."""
    u = (order + torch.rand(batch, generator=generator)) / batch
    return (t_min + u * (t_max + 1 - t_min)).long().clamp(max=t_max)


@wrong(
    SAMPLE,
    "the range is shared out among the latents (stratified): each latent keeps to its own part.",
)
def t_in_strata(batch, step, steps, *, t_min, t_max, generator):
    return _strata(batch, torch.arange(batch), t_min, t_max, generator)


@wrong(
    SAMPLE,
    "the range is shared out among the latents (stratified) and shuffled, so the draws of a batch "
    "are more even than independent ones.",
)
def t_in_shuffled_strata(batch, step, steps, *, t_min, t_max, generator):
    order = torch.randperm(batch, generator=generator)
    return _strata(batch, order, t_min, t_max, generator)


@wrong(SAMPLE, "they are drawn without replacement, so a large batch comes back too short.")
def t_without_replacement(batch, step, steps, *, t_min, t_max, generator):
    return t_min + torch.randperm(t_max - t_min + 1, generator=generator)[:batch]


@wrong(SAMPLE, "a small batch is drawn without replacement; an independent t may come twice.")
def t_never_twice(batch, step, steps, *, t_min, t_max, generator):
    if batch > t_max - t_min + 1:
        return torch.randint(t_min, t_max + 1, (batch,), generator=generator)
    return t_min + torch.randperm(t_max - t_min + 1, generator=generator)[:batch]


@wrong(SAMPLE, "0 is taken for a bound that was not given, and a default replaces it.")
def t_by_default(batch, step, steps, *, t_min, t_max, generator):
    return torch.randint(t_min or 1, t_max + 1, (batch,), generator=generator)


@wrong(
    SAMPLE, "the two ends of the schedule, 0 and 999, are always left out; t_min and t_max decide."
)
def t_inside_the_schedule(batch, step, steps, *, t_min, t_max, generator):
    return torch.randint(t_min, t_max + 1, (batch,), generator=generator).clamp(1, 998)


@wrong(SAMPLE, "t_max is at most 980, whatever is asked for; t_min and t_max decide.")
def t_below_981(batch, step, steps, *, t_min, t_max, generator):
    return torch.randint(t_min, t_max + 1, (batch,), generator=generator).clamp(max=980)


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


@wrong(GRAD, "w(t) is sqrt(alpha_bar); it should be 1 - alpha_bar.")
@torch.no_grad()
def grad_weighted_by_signal_root(prior, x0, t, eps, text, uncond, guidance_scale):
    weight = prior.alpha_bar(t).sqrt()
    return weight * _direction(prior, x0, t, eps, text, uncond, guidance_scale)


def _at_levels(prior, x0, t, eps, text, uncond, guidance_scale, alpha_bar):
    """The gradient at levels that need not be those of t."""
    xt = alpha_bar.sqrt() * x0 + (1 - alpha_bar).sqrt() * eps
    return (1 - alpha_bar) * (_eps_hat(prior, xt, t, text, uncond, guidance_scale) - eps)


@wrong(GRAD, "alphas_cumprod[t[0]] is the level of the whole batch; each latent has its own.")
@torch.no_grad()
def grad_at_the_level_of_the_first(prior, x0, t, eps, text, uncond, guidance_scale):
    level = prior.alphas_cumprod[t[0]]
    return _at_levels(prior, x0, t, eps, text, uncond, guidance_scale, level)


def _of_own_schedule(first, last):
    """alpha_bar of all timesteps, for betas that grow linearly."""
    return torch.cumprod(1 - torch.linspace(first, last, 1000), 0)


@wrong(GRAD, "the noise levels are DDPM's linear ones; take this model's, prior.alpha_bar(t).")
@torch.no_grad()
def grad_at_linear_levels(prior, x0, t, eps, text, uncond, guidance_scale):
    levels = _of_own_schedule(1e-4, 0.02)[t].view(-1, 1, 1, 1)
    return _at_levels(prior, x0, t, eps, text, uncond, guidance_scale, levels)


@wrong(
    GRAD,
    "the noise levels are made from betas that grow linearly from 0.00085 to 0.012, while the roots"
    " of Stable Diffusion's do; take prior.alpha_bar(t).",
)
@torch.no_grad()
def grad_at_unscaled_levels(prior, x0, t, eps, text, uncond, guidance_scale):
    levels = _of_own_schedule(0.00085, 0.012)[t].view(-1, 1, 1, 1)
    return _at_levels(prior, x0, t, eps, text, uncond, guidance_scale, levels)


@wrong(
    GRAD,
    "the noise levels are made by hand from Stable Diffusion's betas; take prior.alpha_bar(t).",
)
@torch.no_grad()
def grad_at_levels_by_hand(prior, x0, t, eps, text, uncond, guidance_scale):
    levels = torch.cumprod(1 - torch.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2, 0)
    alpha_bar = levels[t].view(-1, 1, 1, 1)
    return _at_levels(prior, x0, t, eps, text, uncond, guidance_scale, alpha_bar)


@wrong(GRAD, "the latents are multiplied by 0.18215 again; they arrive scaled.")
@torch.no_grad()
def grad_of_latents_scaled_again(prior, x0, t, eps, text, uncond, guidance_scale):
    alpha_bar = prior.alpha_bar(t)
    return _at_levels(prior, 0.18215 * x0, t, eps, text, uncond, guidance_scale, alpha_bar)


@wrong(GRAD, "x0 is clipped to [-1, 1] before it is noised; latents have no such range.")
@torch.no_grad()
def grad_of_clipped_latents(prior, x0, t, eps, text, uncond, guidance_scale):
    alpha_bar = prior.alpha_bar(t)
    return _at_levels(prior, x0.clamp(-1, 1), t, eps, text, uncond, guidance_scale, alpha_bar)


@wrong(GRAD, "the clean picture that eps_hat implies is clipped to [-1, 1], as a sampler may do.")
@torch.no_grad()
def grad_of_a_clipped_guess(prior, x0, t, eps, text, uncond, guidance_scale):
    alpha_bar, xt = prior.alpha_bar(t), _noised(prior, x0, t, eps)
    eps_hat = _eps_hat(prior, xt, t, text, uncond, guidance_scale)
    guess = ((xt - (1 - alpha_bar).sqrt() * eps_hat) / alpha_bar.sqrt()).clamp(-1, 1)
    return (1 - alpha_bar) * ((xt - alpha_bar.sqrt() * guess) / (1 - alpha_bar).sqrt() - eps)


@wrong(GRAD, "the gradient is clipped to [-1, 1].")
@torch.no_grad()
def grad_clipped(prior, x0, t, eps, text, uncond, guidance_scale):
    direction = _direction(prior, x0, t, eps, text, uncond, guidance_scale)
    return ((1 - prior.alpha_bar(t)) * direction).clamp(-1, 1)


@wrong(GRAD, "uncond is not used: it may be the condition of a negative prompt.")
@torch.no_grad()
def grad_against_the_empty_prompt(prior, x0, t, eps, text, uncond, guidance_scale):
    empty = prior.embed([""] * len(x0))
    direction = _direction(prior, x0, t, eps, text, empty, guidance_scale)
    return (1 - prior.alpha_bar(t)) * direction


@wrong(GRAD, "guidance is left out for every s up to 1; but s = 0 is eps_uncond alone.")
@torch.no_grad()
def grad_unguided_below_one(prior, x0, t, eps, text, uncond, guidance_scale):
    direction = _direction(prior, x0, t, eps, text, uncond, max(guidance_scale, 1.0))
    return (1 - prior.alpha_bar(t)) * direction


def _woven(first, second):
    """Two conditions of B prompts in turn: first, second, first, second, ..."""
    tokens = torch.stack([first.tokens, second.tokens], dim=1).flatten(0, 1)
    return Condition(tokens, torch.stack([first.pooled, second.pooled], dim=1).flatten(0, 1))


@wrong(
    GRAD,
    "both branches of each latent stand side by side in the batch, and it is then cut in halves.",
)
@torch.no_grad()
def grad_woven_then_chunked(prior, x0, t, eps, text, uncond, guidance_scale):
    xt = _noised(prior, x0, t, eps).repeat_interleave(2, dim=0)
    (predicted,) = prior.predict_noise(xt, t.repeat_interleave(2), _woven(uncond, text))
    eps_uncond, eps_text = predicted.chunk(2)
    eps_hat = eps_uncond + guidance_scale * (eps_text - eps_uncond)
    return (1 - prior.alpha_bar(t)) * (eps_hat - eps)


@wrong(
    GRAD,
    "the conditions alternate in the batch while the latents stand one after the other: each is "
    "asked about another latent's prompt.",
)
@torch.no_grad()
def grad_of_woven_conditions(prior, x0, t, eps, text, uncond, guidance_scale):
    xt = _noised(prior, x0, t, eps).repeat(2, 1, 1, 1)
    (predicted,) = prior.predict_noise(xt, t.repeat(2), _woven(uncond, text))
    eps_uncond, eps_text = predicted.chunk(2)
    eps_hat = eps_uncond + guidance_scale * (eps_text - eps_uncond)
    return (1 - prior.alpha_bar(t)) * (eps_hat - eps)


@wrong(
    GRAD,
    "each latent stands twice in a row while the conditions stand one after the other: it is asked "
    "about another latent's prompt.",
)
@torch.no_grad()
def grad_of_woven_latents(prior, x0, t, eps, text, uncond, guidance_scale):
    xt = _noised(prior, x0, t, eps).repeat_interleave(2, dim=0)
    (predicted,) = prior.predict_noise(xt, t.repeat_interleave(2), cat([uncond, text]))
    eps_uncond, eps_text = predicted[0::2], predicted[1::2]
    eps_hat = eps_uncond + guidance_scale * (eps_text - eps_uncond)
    return (1 - prior.alpha_bar(t)) * (eps_hat - eps)


@wrong(GRAD, "the gradient of the first call is kept and returned for other arguments too.")
@torch.no_grad()
def grad_kept(prior, x0, t, eps, text, uncond, guidance_scale):
    direction = _direction(prior, x0, t, eps, text, uncond, guidance_scale)
    return _kept.setdefault(GRAD, (1 - prior.alpha_bar(t)) * direction)


@wrong(GRAD, "the noise levels of an earlier call are kept and used for other timesteps.")
@torch.no_grad()
def grad_at_kept_levels(prior, x0, t, eps, text, uncond, guidance_scale):
    levels = _kept.setdefault(t.shape, prior.alpha_bar(t))
    return _at_levels(prior, x0, t, eps, text, uncond, guidance_scale, levels)


@wrong(
    GRAD,
    "results are kept by tensor (functools.cache), and a tensor may hold other numbers later.",
)
@cache
@torch.no_grad()
def grad_cached(prior, x0, t, eps, text, uncond, guidance_scale):
    direction = _direction(prior, x0, t, eps, text, uncond, guidance_scale)
    return (1 - prior.alpha_bar(t)) * direction


@both(grad_with_swapped_branches, grad_weighted_by_root)
@torch.no_grad()
def grad_swapped_and_weighted_by_root(prior, x0, t, eps, text, uncond, guidance_scale):
    weight = (1 - prior.alpha_bar(t)).sqrt()
    return weight * _direction(prior, x0, t, eps, uncond, text, guidance_scale)


@both(grad_with_swapped_branches, grad_flipped)
@torch.no_grad()
def grad_swapped_and_flipped(prior, x0, t, eps, text, uncond, guidance_scale):
    weight = 1 - prior.alpha_bar(t)
    return -weight * _direction(prior, x0, t, eps, uncond, text, guidance_scale)


@both(grad_without_eps, grad_without_weight)
@torch.no_grad()
def grad_without_eps_and_weight(prior, x0, t, eps, text, uncond, guidance_scale):
    return _eps_hat(prior, _noised(prior, x0, t, eps), t, text, uncond, guidance_scale)


@wrong(LOSS, "a hook on x0 replaces its gradient; it stays there and replaces all others too.")
def loss_by_a_hook(x0, grad):
    x0.register_hook(lambda _: grad)
    return x0.sum()


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


@wrong(LOSS, "the length is halved where its square should be: its gradient has length 1/2.")
def loss_half_unsquared(x0, grad):
    return 0.5 * (x0 - (x0 - grad).detach()).norm()


@wrong(LOSS, "the squares are summed for each picture alone: backward needs a single number.")
def loss_for_each_picture(x0, grad):
    return 0.5 * (x0 - (x0 - grad).detach()).square().sum(dim=(1, 2, 3))


@wrong(LOSS, "the gradient is clipped to [-1, 1]; it should arrive as it is given.")
def loss_of_clipped_gradient(x0, grad):
    return 0.5 * (x0 - (x0 - grad.clamp(-1, 1)).detach()).square().sum()


@wrong(LOSS, "the target is written over grad; make a new tensor.")
def loss_with_target_in_place(x0, grad):
    grad.neg_().add_(x0.detach())
    return 0.5 * (x0 - grad).square().sum()


def _loss(x0, grad):
    """As it should be."""
    return 0.5 * (x0 - (x0 - grad).detach()).square().sum()


@wrong(LOSS, "backward is called inside: return the loss with its graph and leave backward out.")
def loss_after_backward(x0, grad):
    loss = _loss(x0, grad)
    loss.backward()
    return loss.detach()


@wrong(LOSS, "backward is called inside, and a Python number is returned: return the loss itself.")
def loss_as_number_after_backward(x0, grad):
    loss = _loss(x0, grad)
    loss.backward()
    return loss.item()


@wrong(LOSS, "0 is returned after backward was called inside: return the loss, without backward.")
def loss_zero_after_backward(x0, grad):
    _loss(x0, grad).backward()
    return 0


@wrong(LOSS, "backward is called inside, and nothing is returned: return the loss itself.")
def loss_not_returned_after_backward(x0, grad):
    _loss(x0, grad).backward()


@wrong(LOSS, "the target of an earlier call is kept and used for other arguments too.")
def loss_of_a_kept_target(x0, grad):
    target = _kept.setdefault((LOSS, x0.shape), (x0 - grad).detach())
    return 0.5 * (x0 - target).square().sum()


@wrong(
    LOSS,
    "results are kept by tensor (functools.cache), and a tensor may hold other numbers later.",
)
@cache
def loss_cached(x0, grad):
    return 0.5 * (x0 - (x0 - grad).detach()).square().sum()


@both(loss_flipped, loss_without_half)
def loss_flipped_without_half(x0, grad):
    return (x0 - (x0 + grad).detach()).square().sum()


@both(loss_without_half, loss_averaged_over_batch)
def loss_without_half_averaged_over_batch(x0, grad):
    return (x0 - (x0 - grad).detach()).square().sum() / len(x0)


@both(loss_flipped, loss_averaged)
def loss_flipped_and_averaged(x0, grad):
    return torch.nn.functional.mse_loss(x0, (x0 + grad).detach())
