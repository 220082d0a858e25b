"""Stage 5 in other right spellings."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from grading.stages.known_answers import right

PAINT = "strokes.paint"
LOSS = "strokes.faithfulness_loss"
START = "strokes.sdedit_start"
X0 = "strokes.x0_estimate"
BURST = "strokes.burst"
BIAS = "strokes.region_bias"
COMPOSE = "strokes.compose_scores"


@right(PAINT)
def paint_by_convolution(images, width):
    """The border is mended: what the kernel misses beyond it is divided away."""
    sigma = width * min(images.shape[-2:])
    radius = int(4 * sigma + 0.5)
    kernel = torch.exp(-0.5 * (torch.arange(-radius, radius + 1) / sigma) ** 2)

    def blurred(its):
        flat = its.reshape(-1, 1, *its.shape[-2:])
        flat = F.conv2d(flat, kernel.view(1, 1, -1, 1), padding=(radius, 0))
        flat = F.conv2d(flat, kernel.view(1, 1, 1, -1), padding=(0, radius))
        return flat.view(its.shape)

    return blurred(images) / blurred(torch.ones_like(images))


@right(PAINT)
def paint_by_a_round_kernel(images, width):
    sigma = width * min(images.shape[-2:])
    radius = math.ceil(4 * sigma)
    y, x = torch.meshgrid(*[torch.arange(-radius, radius + 1.0)] * 2, indexing="ij")
    kernel = torch.exp(-(x**2 + y**2) / (2 * sigma**2))
    kernel = torch.where(kernel >= math.exp(-8), kernel, 0)
    channels = images.shape[1]
    kernels = kernel.repeat(channels, 1, 1, 1)
    sums = F.conv2d(images, kernels, padding=radius, groups=channels)
    return sums / F.conv2d(torch.ones_like(images), kernels, padding=radius, groups=channels)


@right(PAINT)
def paint_by_einsum_over_all_pairs(images, width):
    height, across = images.shape[-2:]
    sigma = width * min(height, across)
    place = torch.cartesian_prod(torch.arange(height), torch.arange(across)).double()
    weights = torch.exp(-torch.cdist(place, place).square() / (2 * sigma**2))
    weights = weights / weights.sum(1, keepdim=True)
    flat = torch.einsum("pq,bcq->bcp", weights, images.flatten(2).double())
    return flat.unflatten(2, (height, across)).float()


@right(PAINT)
def paint_by_loops(images, width):
    sigma = width * min(images.shape[-2:])
    for axis in (2, 3):
        side = images.shape[axis]
        lines = []
        for place in range(side):
            weights = [math.exp(-((place - other) ** 2) / (2 * sigma**2)) for other in range(side)]
            pairs = zip(weights, images.unbind(axis), strict=True)
            lines.append(sum(weight * line for weight, line in pairs) / sum(weights))
        images = torch.stack(lines, dim=axis)
    return images


@right(LOSS)
def loss_in_one_call(paint, images, painting, mask):
    """f is linear."""
    squares = paint((images - painting) * mask) ** 2
    pixels = mask.expand_as(images).sum(dim=(1, 2, 3))
    return squares.sum(dim=(1, 2, 3)) / torch.where(pixels > 0, pixels, 1.0)


@right(LOSS)
def loss_picture_by_picture(paint, images, painting, mask):
    losses = []
    for x, y, m in zip(images, painting, mask, strict=True):
        if not m.any():
            losses.append(0 * x.sum())
            continue
        squares = F.mse_loss(paint((m * x)[None]), paint((m * y)[None]), reduction="sum")
        losses.append(squares / (len(x) * m.sum()))
    return torch.stack(losses)


@right(LOSS)
def loss_by_einsum(paint, images, painting, mask):
    away = paint(torch.cat([mask * images, mask * painting]))
    away = away[: len(images)] - away[len(images) :]
    share = mask.mean((1, 2, 3))
    means = torch.einsum("bchw,bchw->b", away, away) / away[0].numel()
    return means / share.masked_fill(share == 0, 1)


@right(START)
def start_from_the_end(x0_src, eps, strength, timesteps, alphas_cumprod):
    taken = math.floor(strength * (len(timesteps) - 1) + 0.5)
    t = timesteps[-1 - taken]
    return torch.sqrt(alphas_cumprod[t]) * x0_src + torch.sqrt(1 - alphas_cumprod[t]) * eps


@right(START)
def start_by_angles(x0_src, eps, strength, timesteps, alphas_cumprod):
    count = timesteps.shape[0] - 1
    t = timesteps[count - max(1, int(torch.tensor(strength * count).round()))].item()
    angle = math.acos(math.sqrt(alphas_cumprod[t].item()))
    return math.cos(angle) * x0_src + math.sin(angle) * eps


@right(START)
def start_in_place_on_a_copy(x0_src, eps, strength, timesteps, alphas_cumprod):
    levels = alphas_cumprod.double()[timesteps[:-1]].flip(0)  # of the last step first
    alpha_bar = levels[round(strength * len(levels)) - 1].float()
    return x0_src.clone().mul_(alpha_bar.sqrt()).add_(eps * (1 - alpha_bar).sqrt())


@right(START)
def start_by_gather(x0_src, eps, strength, timesteps, alphas_cumprod):
    """As published code looks levels up. No index may be below 0."""
    taken = round(strength * (len(timesteps) - 1))
    t = timesteps[-1 - taken].repeat(len(x0_src))
    alpha_bar = alphas_cumprod.gather(0, t).view(-1, 1, 1, 1)
    return alpha_bar**0.5 * x0_src + (1 - alpha_bar) ** 0.5 * eps


@right(X0)
def estimate_by_addcmul(xt, eps, alpha_bar):
    return torch.addcmul(xt, eps.detach(), (1 - alpha_bar).sqrt(), value=-1) / alpha_bar.sqrt()


@right(X0)
def estimate_by_signal_to_noise(xt, eps, alpha_bar):
    with torch.no_grad():
        noise = (1 / alpha_bar - 1).sqrt() * eps
    return xt * alpha_bar.rsqrt() - noise


@right(X0)
def estimate_picture_by_picture(xt, eps, alpha_bar):
    each = zip(xt, eps.data, alpha_bar.flatten().tolist(), strict=True)
    return torch.stack([(x - (1 - a) ** 0.5 * e) / a**0.5 for x, e, a in each])


def _ended(latents, eps, t, alphas_cumprod):
    if t < 0:
        return latents.detach()
    return (
        torch.sqrt(alphas_cumprod[t]) * latents.detach() + torch.sqrt(1 - alphas_cumprod[t]) * eps
    )


@right(BURST)
def burst_by_hand(loss_of, x0, eps, timesteps, index, alphas_cumprod, grad_steps, learning_rate):
    """Adam without its class."""
    latents = x0.detach().clone()
    mean, square = torch.zeros_like(latents), torch.zeros_like(latents)
    for step in range(1, grad_steps + 1):
        with torch.enable_grad():
            free = latents.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(loss_of(free).sum(), free)
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient**2
        root = (square / (1 - 0.999**step)).sqrt() + 1e-8
        latents = latents - learning_rate * (mean / (1 - 0.9**step)) / root
    return _ended(latents, eps, int(timesteps[index + 1]), alphas_cumprod)


@right(BURST)
def burst_by_closure(loss_of, x0, eps, timesteps, index, alphas_cumprod, grad_steps, learning_rate):
    latents = torch.nn.Parameter(x0.clone())
    optimiser = torch.optim.Adam([latents], lr=learning_rate, foreach=True)

    def closure():
        optimiser.zero_grad(set_to_none=False)
        loss = loss_of(latents).mean()  # a factor is nothing to Adam
        loss.backward()
        return loss

    for _ in range(grad_steps):
        optimiser.step(closure)
    return _ended(latents, eps, timesteps[index + 1].item(), alphas_cumprod)


@right(BURST)
def burst_by_torch_func(
    loss_of, x0, eps, timesteps, index, alphas_cumprod, grad_steps, learning_rate
):
    latents = x0.clone()
    optimiser = torch.optim.Adam([latents], lr=learning_rate)
    slope = torch.func.grad(lambda its: loss_of(its).sum())
    for _ in range(grad_steps):
        latents.grad = slope(latents)
        optimiser.step()
    return _ended(latents, eps, timesteps.tolist()[index + 1], alphas_cumprod)


@right(BURST)
def burst_by_maximising(
    loss_of, x0, eps, timesteps, index, alphas_cumprod, grad_steps, learning_rate
):
    latents = x0.clone().requires_grad_(True)
    optimiser = torch.optim.Adam([latents], lr=learning_rate, maximize=True)
    while grad_steps > 0:
        losses = loss_of(latents)
        losses.backward(-torch.ones_like(losses))
        optimiser.step()
        latents.grad = None
        grad_steps -= 1
    levels = torch.cat([alphas_cumprod, alphas_cumprod.new_ones(1)])  # -1 is no noise
    alpha_bar = levels[timesteps[index + 1]]
    with torch.no_grad():
        return alpha_bar.sqrt() * latents + (1 - alpha_bar).sqrt() * eps


@right(BIAS)
def bias_by_lerp(masks, tokens, count, inside, outside):
    bias = torch.zeros(count, *masks.shape[1:])
    for token in range(count):
        mine = [k for k in range(len(masks)) if token in tokens[k]]
        if mine:
            mask = masks[mine].max(dim=0).values
            bias[token] = torch.lerp(torch.full_like(mask, outside), torch.tensor(inside), mask)
    return bias.unsqueeze(0)


@right(BIAS)
def bias_region_by_region(masks, tokens, count, inside, outside):
    bias = torch.full((1, count, *masks.shape[-2:]), -math.inf)
    for mask, region in zip(masks, tokens, strict=True):
        for token in region:
            bias[:, token] = torch.maximum(bias[:, token], mask)
    return torch.where(bias.isfinite(), inside * bias + outside * (1 - bias), 0.0)


@right(BIAS)
def bias_by_one_hot(masks, tokens, count, inside, outside):
    of = torch.zeros(len(masks), count)
    for k, region in enumerate(tokens):
        of[k, list(region)] = 1
    mask = torch.einsum("kl,khw->klhw", of, masks).amax(dim=0, keepdim=True)
    bound = of.amax(dim=0).view(1, -1, 1, 1)
    return bound * (mask * (inside - outside) + outside)


@right(COMPOSE)
def composed_by_einsum(eps_uncond, eps_whole, eps_parts, masks, guidance_scale):
    rest = (1 - masks.sum(0, keepdim=True)).relu()
    weights = torch.cat([rest, masks])
    weights = weights / weights.sum(0)
    every = torch.cat([eps_whole[None], eps_parts]) - eps_uncond
    return eps_uncond + guidance_scale * torch.einsum("kohw,kbchw->bchw", weights, every)


@right(COMPOSE)
def composed_in_loops(eps_uncond, eps_whole, eps_parts, masks, guidance_scale):
    total = torch.maximum(masks.sum(0), torch.tensor(1.0))
    eps, left = eps_uncond.clone(), torch.ones_like(total)
    for mask, part in zip(masks, eps_parts, strict=True):
        eps.addcmul_(guidance_scale * mask / total, part - eps_uncond)
        left -= mask / total
    return eps.addcmul_(guidance_scale * left, eps_whole - eps_uncond)


@right(COMPOSE)
def composed_by_lerp(eps_uncond, eps_whole, eps_parts, masks, guidance_scale):
    sums = masks.sum(dim=0)
    shares = torch.where(sums > 1, masks / sums, masks)
    eps_text = eps_whole + (shares.unsqueeze(1) * (eps_parts - eps_whole)).sum(dim=0)
    return torch.lerp(eps_uncond, eps_text, guidance_scale)
