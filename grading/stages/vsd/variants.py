"""Stage 3 in other right spellings."""

from __future__ import annotations

import torch

from distillery.models.prior import cat
from grading.stages.known_answers import right

GRAD = "vsd.vsd_grad"
LORA = "vsd.lora_loss"
STEP = "vsd.alternating_step"


@right(GRAD)
def grad_of_vsd_with_the_lora_first(prior, lora, x0, t, eps, text, uncond, guidance_scale):
    alpha_bar = lora.alpha_bar(t)
    xt = alpha_bar.sqrt() * x0.detach() + (1 - alpha_bar).sqrt() * eps
    eps_lora = lora.predict_noise(xt, t, text)[0]
    eps_text, eps_uncond = prior.predict_noise(xt, t, text, uncond)
    eps_prior = guidance_scale * eps_text + (1 - guidance_scale) * eps_uncond
    return (1 - alpha_bar) * eps_prior - (1 - alpha_bar) * eps_lora


@right(GRAD)
@torch.no_grad()
def grad_of_vsd_by_lerp(prior, lora, x0, t, eps, text, uncond, guidance_scale):
    alpha_bar = prior.alpha_bar(t)
    xt = torch.addcmul(alpha_bar.sqrt() * x0, (1 - alpha_bar).sqrt(), eps)
    eps_uncond, eps_text = prior.predict_noise(xt, t, uncond, text)
    eps_lora = lora.predict_noise(xt, t, text)[0]
    return (torch.lerp(eps_uncond, eps_text, guidance_scale) - eps_lora) * (1 - alpha_bar)


@right(GRAD)
@torch.no_grad()
def grad_of_vsd_with_joined_branches(prior, lora, x0, t, eps, text, uncond, guidance_scale):
    alpha_bar = prior.alpha_bar(t)
    xt = alpha_bar.sqrt() * x0 + (1 - alpha_bar).sqrt() * eps
    (both,) = prior.predict_noise(torch.cat([xt, xt]), torch.cat([t, t]), cat([uncond, text]))
    eps_uncond, eps_text = both.chunk(2)
    (eps_lora,) = lora.predict_noise(xt, t, text)
    return (1 - alpha_bar) * (eps_uncond + guidance_scale * (eps_text - eps_uncond) - eps_lora)


@right(LORA)
def lora_loss_by_mse(lora, x0, t, eps, text):
    with torch.no_grad():
        alpha_bar = lora.alpha_bar(t)
        xt = alpha_bar.sqrt() * x0 + (1 - alpha_bar).sqrt() * eps
        target = lora.target(x0, eps, t)
    return torch.nn.functional.mse_loss(lora.predict(xt, t, text), target)


@right(LORA)
def lora_loss_for_each_then_averaged(lora, x0, t, eps, text):
    particles, alpha_bar = x0.detach(), lora.alpha_bar(t)
    xt = alpha_bar**0.5 * particles + (1 - alpha_bar) ** 0.5 * eps
    error = lora.target(particles, eps, t) - lora.predict(xt, t, text)
    return torch.stack([latent.pow(2).mean() for latent in error]).mean()


@right(STEP)
def step_forgetting_before_each_loss(particle_loss, lora_loss, particle_optimiser, lora_optimiser):
    particle_optimiser.zero_grad()
    loss = particle_loss()
    loss.backward()
    particle_optimiser.step()
    lora_optimiser.zero_grad(set_to_none=False)
    lora_loss().backward()
    lora_optimiser.step()
    return loss.detach()


@right(STEP)
def step_forgetting_both_each_time(particle_loss, lora_loss, particle_optimiser, lora_optimiser):
    kept = []
    for loss, optimiser in ((particle_loss, particle_optimiser), (lora_loss, lora_optimiser)):
        particle_optimiser.zero_grad()
        lora_optimiser.zero_grad()
        kept.append(loss())
        kept[-1].backward()
        optimiser.step()
    return kept[0].detach().clone()


@right(STEP)
def step_by_closures(particle_loss, lora_loss, particle_optimiser, lora_optimiser):
    def closure(loss, optimiser):
        optimiser.zero_grad()
        value = loss()
        value.backward()
        return value

    first = particle_optimiser.step(lambda: closure(particle_loss, particle_optimiser))
    lora_optimiser.step(lambda: closure(lora_loss, lora_optimiser))
    return first.detach()


@right(STEP)
def step_by_autograd(particle_loss, lora_loss, particle_optimiser, lora_optimiser):
    first = None
    for loss_of, optimiser in ((particle_loss, particle_optimiser), (lora_loss, lora_optimiser)):
        numbers = [number for group in optimiser.param_groups for number in group["params"]]
        loss = loss_of()
        for number, gradient in zip(numbers, torch.autograd.grad(loss, numbers), strict=True):
            number.grad = gradient
        optimiser.step()
        first = loss.detach().clone() if first is None else first
    return first
