"""Wrong answers to stage 5."""

from __future__ import annotations

import torch

from grading.stages.known_answers import wrong

PAINT = "strokes.paint"
LOSS = "strokes.faithfulness_loss"
START = "strokes.sdedit_start"
X0 = "strokes.x0_estimate"
BURST = "strokes.burst"
BIAS = "strokes.region_bias"
COMPOSE = "strokes.compose_scores"


def _weights(side, sigma):
    """Of every pixel of a row or column for every other, (side, side), as they should be."""
    place = torch.arange(side)
    return (-0.5 * ((place[:, None] - place) / sigma).square()).softmax(dim=1)


def _blurred(images, rows, columns):
    """With a sigma in pixels for each axis."""
    height, width = images.shape[-2:]
    return _weights(height, rows) @ images @ _weights(width, columns).T


@wrong(PAINT, "the width is taken as pixels; it is a part of the shorter side.")
def paint_in_pixels(images, width):
    return _blurred(images, width, width)


@wrong(PAINT, "sigma follows the longer side; take the shorter one.")
def paint_by_the_longer_side(images, width):
    sigma = width * max(images.shape[-2:])
    return _blurred(images, sigma, sigma)


@wrong(PAINT, "sigma follows the height, whichever side is the shorter one.")
def paint_by_the_height(images, width):
    sigma = width * images.shape[-2]
    return _blurred(images, sigma, sigma)


@wrong(PAINT, "each axis has a sigma of its own side: round strokes become oval.")
def paint_oval(images, width):
    height, across = images.shape[-2:]
    return _blurred(images, width * height, width * across)


def _noised(x0, eps, alpha_bar):
    return alpha_bar.sqrt() * x0 + (1 - alpha_bar).sqrt() * eps


def _level(t, alphas_cumprod):
    """alpha_bar, which is 1 at t = -1."""
    return alphas_cumprod[t] if t >= 0 else torch.ones(())


def _taken(strength, timesteps):
    """How many steps of the way."""
    return round(strength * (len(timesteps) - 1))


@wrong(START, "strength is turned round: 1 keeps the painting and 0 forgets it.")
def start_inverted(x0_src, eps, strength, timesteps, alphas_cumprod):
    alpha_bar = alphas_cumprod[timesteps[_taken(strength, timesteps)]]
    return _noised(x0_src, eps, alpha_bar)


@wrong(START, "no noise is added, so the first step takes detail of the painting for noise.")
def start_without_noise(x0_src, eps, strength, timesteps, alphas_cumprod):
    return x0_src.clone()


def _optimised(loss_of, x0, grad_steps, learning_rate, sign=1):
    with torch.enable_grad():
        latents = x0.detach().clone().requires_grad_()
        optimiser = torch.optim.Adam([latents], lr=learning_rate)
        for _ in range(grad_steps):
            optimiser.zero_grad()
            (sign * loss_of(latents).sum()).backward()
            optimiser.step()
    return latents.detach()


@wrong(BURST, "the sign is turned round: each step raises the loss.")
def burst_uphill(loss_of, x0, eps, timesteps, index, alphas_cumprod, grad_steps, learning_rate):
    latents = _optimised(loss_of, x0, grad_steps, learning_rate, sign=-1)
    return _noised(latents, eps, _level(timesteps[index + 1], alphas_cumprod))


@wrong(BURST, "no noise is added: what does not fit the model stays in the picture.")
def burst_without_noise(
    loss_of, x0, eps, timesteps, index, alphas_cumprod, grad_steps, learning_rate
):
    return _optimised(loss_of, x0, grad_steps, learning_rate)
