"""Wrong answers to stage 0."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from grading.stages.known_answers import both, wrong

ADD_NOISE = "tour.add_noise"
PREDICT_X0 = "tour.predict_x0"
GUIDANCE = "tour.classifier_free_guidance"

_kept: dict[str, Tensor] = {}  # results of first calls, by task


@wrong(ADD_NOISE, "both square roots are missing: 1 - alpha_bar is a variance, not a deviation.")
def noise_without_roots(x0, eps, alpha_bar):
    return alpha_bar * x0 + (1 - alpha_bar) * eps


@wrong(ADD_NOISE, "the two factors are swapped: alpha_bar belongs to the signal.")
def noise_with_swapped_factors(x0, eps, alpha_bar):
    return (1 - alpha_bar).sqrt() * x0 + alpha_bar.sqrt() * eps


@wrong(ADD_NOISE, "the noise is scaled by its variance, without the square root.")
def noise_root_missing_on_noise(x0, eps, alpha_bar):
    return alpha_bar.sqrt() * x0 + (1 - alpha_bar) * eps


@wrong(ADD_NOISE, "the picture is scaled by alpha_bar, without the square root.")
def noise_root_missing_on_signal(x0, eps, alpha_bar):
    return alpha_bar * x0 + (1 - alpha_bar).sqrt() * eps


@wrong(ADD_NOISE, "the noise gets 1 - sqrt(alpha_bar) instead of sqrt(1 - alpha_bar).")
def noise_one_minus_root(x0, eps, alpha_bar):
    return alpha_bar.sqrt() * x0 + (1 - alpha_bar.sqrt()) * eps


@wrong(ADD_NOISE, "the picture is not scaled down while the noise is added.")
def noise_on_unscaled_signal(x0, eps, alpha_bar):
    return x0 + (1 - alpha_bar).sqrt() * eps


@wrong(
    ADD_NOISE,
    "the noise is added in the variance-exploding form, as in EDM; this model needs DDPM's.",
)
def noise_exploding(x0, eps, alpha_bar):
    return x0 + ((1 - alpha_bar) / alpha_bar).sqrt() * eps


@wrong(ADD_NOISE, "the noise is subtracted.")
def noise_subtracted(x0, eps, alpha_bar):
    return alpha_bar.sqrt() * x0 - (1 - alpha_bar).sqrt() * eps


@wrong(ADD_NOISE, "the first latent's alpha_bar is used for the whole batch.")
def noise_level_of_the_first(x0, eps, alpha_bar):
    return alpha_bar[0].sqrt() * x0 + (1 - alpha_bar[0]).sqrt() * eps


@wrong(ADD_NOISE, "new noise is drawn inside and eps is not used.")
def noise_drawn_inside(x0, eps, alpha_bar):
    return alpha_bar.sqrt() * x0 + (1 - alpha_bar).sqrt() * torch.randn_like(x0)


@wrong(ADD_NOISE, "x0 itself is overwritten (+=, *=, mul_): make a new tensor, or copy it first.")
def noise_in_place(x0, eps, alpha_bar):
    x0 *= alpha_bar.sqrt()
    x0 += (1 - alpha_bar).sqrt() * eps
    return x0


@wrong(ADD_NOISE, "the result of the first call is kept and returned for other arguments too.")
def noise_kept(x0, eps, alpha_bar):
    xt = alpha_bar.sqrt() * x0 + (1 - alpha_bar).sqrt() * eps
    return _kept.setdefault(ADD_NOISE, xt)


@wrong(
    ADD_NOISE,
    "results are kept by tensor (functools.cache), and a tensor may hold other numbers later.",
)
@cache
def noise_cached(x0, eps, alpha_bar):
    return alpha_bar.sqrt() * x0 + (1 - alpha_bar).sqrt() * eps


@both(noise_without_roots, noise_with_swapped_factors)
def noise_without_roots_and_swapped(x0, eps, alpha_bar):
    return (1 - alpha_bar) * x0 + alpha_bar * eps


@both(noise_level_of_the_first, noise_without_roots)
def noise_level_of_the_first_without_roots(x0, eps, alpha_bar):
    return alpha_bar[0] * x0 + (1 - alpha_bar[0]) * eps


@both(noise_level_of_the_first, noise_root_missing_on_noise)
def noise_level_of_the_first_root_missing(x0, eps, alpha_bar):
    return alpha_bar[0].sqrt() * x0 + (1 - alpha_bar[0]) * eps


@both(noise_subtracted, noise_root_missing_on_noise)
def noise_subtracted_root_missing(x0, eps, alpha_bar):
    return alpha_bar.sqrt() * x0 - (1 - alpha_bar) * eps


@wrong(PREDICT_X0, "the division by sqrt(alpha_bar) is missing.")
def x0_without_division(xt, eps, alpha_bar):
    return xt - (1 - alpha_bar).sqrt() * eps


@wrong(PREDICT_X0, "it is multiplied by sqrt(alpha_bar) where it should be divided.")
def x0_multiplied(xt, eps, alpha_bar):
    return (xt - (1 - alpha_bar).sqrt() * eps) * alpha_bar.sqrt()


@wrong(PREDICT_X0, "it is divided by alpha_bar, without the square root.")
def x0_divided_without_root(xt, eps, alpha_bar):
    return (xt - (1 - alpha_bar).sqrt() * eps) / alpha_bar


@wrong(PREDICT_X0, "the noise is scaled by its variance, without the square root.")
def x0_root_missing_on_noise(xt, eps, alpha_bar):
    return (xt - (1 - alpha_bar) * eps) / alpha_bar.sqrt()


@wrong(PREDICT_X0, "both square roots are missing.")
def x0_without_roots(xt, eps, alpha_bar):
    return (xt - (1 - alpha_bar) * eps) / alpha_bar


@wrong(PREDICT_X0, "the noise is added again instead of removed.")
def x0_with_noise_added(xt, eps, alpha_bar):
    return (xt + (1 - alpha_bar).sqrt() * eps) / alpha_bar.sqrt()


@wrong(PREDICT_X0, "the two factors are swapped: alpha_bar belongs to the signal.")
def x0_with_swapped_factors(xt, eps, alpha_bar):
    return (xt - alpha_bar.sqrt() * eps) / (1 - alpha_bar).sqrt()


@wrong(PREDICT_X0, "only xt is divided by sqrt(alpha_bar): brackets are missing.")
def x0_without_brackets(xt, eps, alpha_bar):
    return xt / alpha_bar.sqrt() - (1 - alpha_bar).sqrt() * eps


@wrong(PREDICT_X0, "the noise is subtracted at full strength, without its factor.")
def x0_with_unscaled_noise(xt, eps, alpha_bar):
    return (xt - eps) / alpha_bar.sqrt()


@wrong(PREDICT_X0, "the guess is clamped to [-1, 1]; latents have no such range.")
def x0_clamped(xt, eps, alpha_bar):
    return ((xt - (1 - alpha_bar).sqrt() * eps) / alpha_bar.sqrt()).clamp(-1, 1)


@wrong(PREDICT_X0, "the first latent's alpha_bar is used for the whole batch.")
def x0_level_of_the_first(xt, eps, alpha_bar):
    return (xt - (1 - alpha_bar[0]).sqrt() * eps) / alpha_bar[0].sqrt()


@wrong(PREDICT_X0, "the mean of all alpha_bar is used; each latent has its own.")
def x0_of_the_mean_level(xt, eps, alpha_bar):
    level = alpha_bar.mean()
    return (xt - (1 - level).sqrt() * eps) / level.sqrt()


@wrong(
    PREDICT_X0, "xt or eps itself is overwritten (-=, mul_): make a new tensor, or copy it first."
)
def x0_in_place(xt, eps, alpha_bar):
    xt -= (1 - alpha_bar).sqrt() * eps
    xt /= alpha_bar.sqrt()
    return xt


@wrong(PREDICT_X0, "the result of the first call is kept and returned for other arguments too.")
def x0_kept(xt, eps, alpha_bar):
    x0 = (xt - (1 - alpha_bar).sqrt() * eps) / alpha_bar.sqrt()
    return _kept.setdefault(PREDICT_X0, x0)


@wrong(
    PREDICT_X0,
    "results are kept by tensor (functools.cache), and a tensor may hold other numbers later.",
)
@cache
def x0_cached(xt, eps, alpha_bar):
    return (xt - (1 - alpha_bar).sqrt() * eps) / alpha_bar.sqrt()


@both(x0_with_noise_added, x0_root_missing_on_noise)
def x0_with_noise_added_root_missing(xt, eps, alpha_bar):
    return (xt + (1 - alpha_bar) * eps) / alpha_bar.sqrt()


@both(x0_root_missing_on_noise, x0_without_division)
def x0_root_missing_without_division(xt, eps, alpha_bar):
    return xt - (1 - alpha_bar) * eps


@wrong(GUIDANCE, "the branches are swapped: it starts at the prompt and moves away from it.")
def guidance_swapped(eps_uncond, eps_text, guidance_scale):
    return eps_text + guidance_scale * (eps_uncond - eps_text)


@wrong(GUIDANCE, "guidance starts from eps_text: the paper's w, one step stronger than our scale.")
def guidance_from_text(eps_uncond, eps_text, guidance_scale):
    return eps_text + guidance_scale * (eps_text - eps_uncond)


@wrong(GUIDANCE, "the scale multiplies only eps_text; it belongs to the difference.")
def guidance_of_text_alone(eps_uncond, eps_text, guidance_scale):
    return eps_uncond + guidance_scale * eps_text


@wrong(GUIDANCE, "the difference is taken the wrong way round.")
def guidance_away_from_text(eps_uncond, eps_text, guidance_scale):
    return eps_uncond - guidance_scale * (eps_text - eps_uncond)


@wrong(GUIDANCE, "only the scaled difference is returned, and it is not added to eps_uncond.")
def guidance_difference_alone(eps_uncond, eps_text, guidance_scale):
    return guidance_scale * (eps_text - eps_uncond)


@wrong(GUIDANCE, "brackets are missing, so the scale multiplies only one of the two.")
def guidance_without_brackets(eps_uncond, eps_text, guidance_scale):
    return eps_uncond + guidance_scale * eps_text - eps_uncond


@wrong(GUIDANCE, "the scale is not used.")
def guidance_without_scale(eps_uncond, eps_text, guidance_scale):
    return eps_uncond + (eps_text - eps_uncond)


@wrong(
    GUIDANCE, "the scale is lowered by one, as the paper's w is; the formula here wants s itself."
)
def guidance_one_weaker(eps_uncond, eps_text, guidance_scale):
    return eps_uncond + (guidance_scale - 1) * (eps_text - eps_uncond)


@wrong(
    GUIDANCE,
    "eps_text is returned for every s up to 1; but s = 0 gives eps_uncond, and 0.5 lies half way.",
)
def guidance_off_below_one(eps_uncond, eps_text, guidance_scale):
    if guidance_scale <= 1:
        return eps_text
    return eps_uncond + guidance_scale * (eps_text - eps_uncond)


@wrong(GUIDANCE, "s = 0 is taken for a scale that was not given, and a default replaces it.")
def guidance_by_default(eps_uncond, eps_text, guidance_scale):
    return eps_uncond + (guidance_scale or 7.5) * (eps_text - eps_uncond)


@wrong(GUIDANCE, "the scale is cut to a whole number.")
def guidance_in_whole_steps(eps_uncond, eps_text, guidance_scale):
    return eps_uncond + int(guidance_scale) * (eps_text - eps_uncond)


@wrong(GUIDANCE, "the result is scaled back to the size of eps_text (guidance rescale).")
def guidance_rescaled(eps_uncond, eps_text, guidance_scale):
    eps_hat = eps_uncond + guidance_scale * (eps_text - eps_uncond)
    axes = (1, 2, 3)
    return eps_hat * eps_text.std(axes, keepdim=True) / eps_hat.std(axes, keepdim=True)


@wrong(GUIDANCE, "eps_text itself is overwritten (-=): make a new tensor, or copy it first.")
def guidance_in_place(eps_uncond, eps_text, guidance_scale):
    eps_text -= eps_uncond
    return eps_uncond + guidance_scale * eps_text


@wrong(GUIDANCE, "the result of the first call is kept and returned for other arguments too.")
def guidance_kept(eps_uncond, eps_text, guidance_scale):
    eps_hat = eps_uncond + guidance_scale * (eps_text - eps_uncond)
    return _kept.setdefault(GUIDANCE, eps_hat)


@wrong(
    GUIDANCE,
    "results are kept by tensor (functools.cache), and a tensor may hold other numbers later.",
)
@cache
def guidance_cached(eps_uncond, eps_text, guidance_scale):
    return eps_uncond + guidance_scale * (eps_text - eps_uncond)


@both(guidance_swapped, guidance_difference_alone)
def guidance_swapped_difference_alone(eps_uncond, eps_text, guidance_scale):
    return guidance_scale * (eps_uncond - eps_text)


@both(guidance_of_text_alone, guidance_one_weaker)
def guidance_of_text_alone_one_weaker(eps_uncond, eps_text, guidance_scale):
    return eps_uncond + (guidance_scale - 1) * eps_text
