"""Stage 0 in other right spellings."""

from __future__ import annotations

import torch

from grading.stages.known_answers import right

ADD_NOISE = "tour.add_noise"
PREDICT_X0 = "tour.predict_x0"
GUIDANCE = "tour.classifier_free_guidance"


@right(ADD_NOISE)
def noise_by_addcmul(x0, eps, alpha_bar):
    return torch.addcmul(alpha_bar.sqrt() * x0, (1 - alpha_bar).sqrt(), eps)


@right(ADD_NOISE)
def noise_in_place_on_a_copy(x0, eps, alpha_bar):
    xt = x0.clone()
    xt *= alpha_bar**0.5
    xt += (1 - alpha_bar) ** 0.5 * eps
    return xt


@right(ADD_NOISE)
def noise_by_einsum(x0, eps, alpha_bar):
    level = alpha_bar.flatten()
    signal = torch.einsum("b,bchw->bchw", level.sqrt(), x0)
    return signal + torch.einsum("b,bchw->bchw", (1 - level).sqrt(), eps)


@right(ADD_NOISE)
def noise_in_float64(x0, eps, alpha_bar):
    x0, eps, alpha_bar = x0.double(), eps.double(), alpha_bar.double()
    return (alpha_bar.sqrt() * x0 + (1 - alpha_bar).sqrt() * eps).float()


@right(ADD_NOISE)
def noise_as_a_rotation(x0, eps, alpha_bar):
    angle = torch.acos(alpha_bar.sqrt())
    return torch.cos(angle) * x0 + torch.sin(angle) * eps


@right(PREDICT_X0)
def x0_term_by_term(xt, eps, alpha_bar):
    return xt / alpha_bar.sqrt() - (1 / alpha_bar - 1).sqrt() * eps


@right(PREDICT_X0)
def x0_by_reciprocal_root(xt, eps, alpha_bar):
    return alpha_bar.rsqrt() * torch.sub(xt, torch.sqrt(1 - alpha_bar) * eps)


@right(PREDICT_X0)
def x0_one_latent_at_a_time(xt, eps, alpha_bar):
    levels = alpha_bar.flatten().tolist()
    guesses = [
        (latent - (1 - level) ** 0.5 * noise) / level**0.5
        for latent, noise, level in zip(xt, eps, levels, strict=True)
    ]
    return torch.stack(guesses)


@right(GUIDANCE)
def guidance_by_lerp(eps_uncond, eps_text, guidance_scale):
    return torch.lerp(eps_uncond, eps_text, guidance_scale)


@right(GUIDANCE)
def guidance_as_a_weighted_sum(eps_uncond, eps_text, guidance_scale):
    return guidance_scale * eps_text + (1 - guidance_scale) * eps_uncond


@right(GUIDANCE)
def guidance_from_the_text_branch(eps_uncond, eps_text, guidance_scale):
    w = guidance_scale - 1
    return eps_text + w * (eps_text - eps_uncond)


@right(GUIDANCE)
def guidance_by_stacking(eps_uncond, eps_text, guidance_scale):
    weights = torch.tensor([1 - guidance_scale, guidance_scale])
    return torch.einsum("k,kbchw->bchw", weights, torch.stack([eps_uncond, eps_text]))
