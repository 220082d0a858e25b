"""Stage 4 in other right spellings."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F

from distillery.models.parameterization import add_noise
from distillery.models.prior import Condition, cat, guided_noise
from grading.stages.known_answers import right

PAINT = "pixelart.paint"
GUMBEL = "pixelart.gumbel_softmax"
THROUGH = "pixelart.straight_through"
START = "pixelart.logits_from_image"
KMEANS = "pixelart.kmeans_step"
FFT = "pixelart.fft_loss"
BOUNDED = "pixelart.bounded_timesteps"
GRAD = "pixelart.sdxl_grad"


@right(PAINT)
def painted_by_matmul(weights, palette):
    colours = (2 * palette - 1).expand(len(weights), -1, -1)
    rows = weights.flatten(2).mT @ colours
    return rows.mT.unflatten(2, weights.shape[2:])


@right(PAINT)
def painted_by_tensordot(weights, palette):
    palettes = palette.expand(len(weights), -1, -1)
    mixed = [torch.tensordot(p.T, w, dims=1) for p, w in zip(palettes, weights, strict=True)]
    return torch.stack(mixed) * 2 - 1


@right(PAINT)
def painted_colour_by_colour(weights, palette):
    layers = zip(weights.unbind(dim=1), palette.unbind(dim=-2), strict=True)
    mixed = sum(weight[:, None] * colour.reshape(-1, 3, 1, 1) for weight, colour in layers)
    return mixed.sub(0.5).mul(2)


@right(PAINT)
def painted_by_convolution(weights, palette):
    if palette.dim() == 2:
        return F.conv2d(weights, palette.T[:, :, None, None]).mul(2).sub(1)
    groups = palette.mT.reshape(-1, palette.shape[1], 1, 1)
    mixed = F.conv2d(weights.flatten(0, 1)[None], groups, groups=len(palette))
    return mixed[0].unflatten(0, (len(palette), 3)).mul(2).sub(1)


@right(GUMBEL)
def gumbel_of_exponentials(logits, tau, generator):
    g = -torch.empty_like(logits).exponential_(generator=generator).log()
    return F.softmax((logits + g) / tau, dim=1)


@right(GUMBEL)
def gumbel_by_its_quantiles(logits, tau, generator):
    u = torch.rand(logits.shape, generator=generator).clamp(1e-7, 1 - 1e-7)
    g = torch.distributions.Gumbel(0.0, 1.0).icdf(u)
    return F.softmax(logits / tau + g / tau, dim=1)


@right(GUMBEL)
def gumbel_of_log_weights_in_float64(logits, tau, generator):
    u = torch.rand(logits.shape, dtype=torch.float64, generator=generator) * 0.999999 + 5e-7
    shifted = logits.log_softmax(dim=1) - torch.log(-torch.log(u))
    weights = torch.exp(shifted / tau)
    return (weights / weights.sum(dim=1, keepdim=True)).float()


@right(GUMBEL)
def gumbel_as_a_race(logits, tau, generator):
    times = torch.empty_like(logits).exponential_(generator=generator).clamp(min=1e-20)
    speeds = logits.exp() / times
    return F.normalize(speeds.pow(1 / tau), p=1, dim=1)


@right(THROUGH)
def through_one_hot(logits):
    soft = logits.softmax(dim=1)
    chosen = F.one_hot(logits.argmax(dim=1), logits.shape[1]).movedim(-1, 1).to(soft.dtype)
    return chosen.detach() + (soft - soft.detach())


@right(THROUGH)
def through_log_softmax(logits):
    soft = logits.log_softmax(dim=1).exp()
    with torch.no_grad():
        numbers = torch.arange(logits.shape[1]).view(1, -1, 1, 1)
        chosen = (numbers == logits.argmax(dim=1, keepdim=True)).float()
    return chosen + (soft - soft.detach())


class _Through(torch.autograd.Function):
    """Forwards one, backwards the other."""

    @staticmethod
    def forward(ctx, logits):
        ctx.save_for_backward(logits.softmax(dim=1))
        return torch.zeros_like(logits).scatter_(1, logits.argmax(dim=1, keepdim=True), 1.0)

    @staticmethod
    def backward(ctx, pull):
        (soft,) = ctx.saved_tensors
        return soft * (pull - (soft * pull).sum(dim=1, keepdim=True))


@right(THROUGH)
def through_its_own_backward(logits):
    return _Through.apply(logits)


@right(START)
def start_by_cdist(image, palette):
    pixels = image.movedim(1, -1) / 2 + 0.5
    logits = -torch.cdist(pixels, palette.expand(len(image), 1, -1, -1), p=1).movedim(-1, 1)
    logits = logits - logits.mean(dim=1, keepdim=True)
    return F.normalize(logits, dim=1) * len(palette) ** 0.5


@right(START)
def start_in_the_range_of_pictures(image, palette):
    colours = (2 * palette - 1).view(1, *palette.shape, 1, 1)
    distances = (image.unsqueeze(1) - colours).abs().mean(dim=2)
    logits = distances.mean(dim=1, keepdim=True) - distances
    deviation = logits.std(dim=1, correction=0, keepdim=True)
    return torch.where(deviation > 1e-6, logits / deviation, 0.0)


@right(START)
def start_by_a_loop(image, palette):
    pixels = (image + 1) / 2
    distances = [(pixels - colour.view(1, 3, 1, 1)).abs().sum(dim=1) for colour in palette]
    logits = -torch.stack(distances, dim=1)
    logits = logits - logits.mean(1, True)
    length = logits.square().sum(1, True).sqrt()
    return torch.nan_to_num(logits / length) * palette.shape[0] ** 0.5


@right(KMEANS)
def kmeans_by_a_loop(pixels, centres):
    nearest = (pixels[:, None] - centres[None]).square().sum(dim=2).argmin(dim=1)
    new = centres.clone()
    for k in range(len(centres)):
        if (nearest == k).any():
            new[k] = pixels[nearest == k].mean(dim=0)
    return new


@right(KMEANS)
def kmeans_by_index_add(pixels, centres):
    nearest = torch.cdist(pixels, centres).min(dim=1).indices
    sums = torch.zeros_like(centres).index_add_(0, nearest, pixels)
    counts = torch.bincount(nearest, minlength=len(centres)).unsqueeze(1)
    return torch.where(counts == 0, centres, sums / counts.clamp(min=1))


@right(KMEANS)
def kmeans_by_products(pixels, centres):
    # |p - c|² = |p|² - 2 p·c + |c|², and |p|² is the same for every centre.
    nearest = (centres.square().sum(dim=1) - 2 * pixels @ centres.T).argmin(dim=1)
    return centres.scatter_reduce(
        0, nearest[:, None].expand(-1, 3), pixels, "mean", include_self=False
    )


@right(FFT)
def fft_shifted_both(image):
    height, width = image.shape[-2:]
    spectrum = torch.fft.fftshift(torch.fft.fft2(image, norm="ortho"), dim=(-2, -1)).abs()
    down = torch.fft.fftshift(torch.fft.fftfreq(height))
    across = torch.fft.fftshift(torch.fft.fftfreq(width))
    fine = down[:, None] ** 2 + across[None] ** 2 > 1 / 32
    return (spectrum * fine).sum() / (image.shape[1] * fine.sum())


@right(FFT)
def fft_divided_by_hand(image):
    height, width = image.shape[-2:]
    y = torch.arange(height).remainder(height)
    x = torch.arange(width)
    down, across = torch.minimum(y, height - y) / height, torch.minimum(x, width - x) / width
    fine = torch.hypot(down[:, None], across[None, :]) > 2**-2.5
    spectra = torch.fft.fft2(image).abs() / (height * width) ** 0.5
    return sum(spectrum[:, fine].mean() for spectrum in spectra)


@right(FFT)
def fft_by_halves(image):
    """The transform of real numbers, whose other half is its mirror image."""
    height, width = image.shape[-2:]
    down, across = torch.fft.fftfreq(height), torch.fft.rfftfreq(width)
    both = torch.full_like(across, 2.0)
    both[0] = 1.0
    if width % 2 == 0:
        both[-1] = 1.0
    weight = (torch.hypot(down[:, None], across[None]) > 0.25 / 2**0.5) * both
    spectrum = torch.fft.rfft2(image, norm="ortho").abs()
    return (spectrum * weight).sum(dim=(2, 3)).mean(dim=1).sum() / weight.sum()


@right(FFT)
def fft_by_matrices(image):
    def fourier(size):
        n = torch.arange(size)
        return torch.exp(-2j * torch.pi * n[:, None] * n[None] / size) / size**0.5

    height, width = image.shape[-2:]
    spectrum = fourier(height) @ image.to(torch.complex64) @ fourier(width)
    f = torch.fft.fftfreq(height)[:, None].square() + torch.fft.fftfreq(width).square()
    return torch.masked_select(spectrum.abs(), f.sqrt() > 2**-2.5).mean() * len(image)


@right(BOUNDED)
def bound_by_lerp(batch, step, steps, *, t_min, t_max, t_bound, bound_reached, generator):
    part = step / steps
    way = torch.tensor(part / bound_reached if part < bound_reached else 1.0)
    bound = int(torch.lerp(torch.tensor(float(t_max)), torch.tensor(float(t_bound)), way).round())
    u = torch.rand(batch, generator=generator)
    return (t_min + u * (bound + 1 - t_min)).floor().long().clamp(max=bound)


@right(BOUNDED)
def bound_by_cases(batch, step, steps, *, t_min, t_max, t_bound, bound_reached, generator):
    falls = bound_reached * steps
    bound = t_bound if step >= falls else round(t_max - (t_max - t_bound) * step / falls)
    return t_min + torch.randint(bound - t_min + 1, size=(batch,), generator=generator)


@right(BOUNDED)
def bound_kept_by_max(batch, step, steps, *, t_min, t_max, t_bound, bound_reached, generator):
    falling = bound_reached > 0
    bound = t_bound
    if falling:
        bound = max(t_bound, round(t_max - step * (t_max - t_bound) / (steps * bound_reached)))
    return torch.empty(batch, dtype=torch.long).random_(t_min, bound + 1, generator=generator)


@right(GRAD)
@torch.no_grad()
def sdxl_with_the_text_branch_first(prior, x0, t, eps, text, uncond, scale, size, controls):
    time_ids = torch.tensor([*size, 0.0, 0.0, *size]).repeat(len(x0), 1)
    alpha_bar = prior.alpha_bar(t)
    xt = alpha_bar.sqrt() * x0 + (1 - alpha_bar).sqrt() * eps
    eps_text, eps_uncond = prior.predict_noise(
        xt,
        t,
        replace(text, time_ids=time_ids),
        replace(uncond, time_ids=time_ids),
        controls=controls,
    )
    return (1 - alpha_bar) * (torch.lerp(eps_uncond, eps_text, scale) - eps)


@right(GRAD)
def sdxl_with_conditions_made_anew(prior, x0, t, eps, text, uncond, scale, size, controls):
    x0, alpha_bar = x0.detach(), prior.alphas_cumprod[t][:, None, None, None]
    six = x0.new_tensor([(*size, 0, 0, *size)] * len(x0))
    told = [Condition(c.tokens, c.pooled, six, c.attention_bias) for c in (uncond, text)]
    xt = torch.addcmul(alpha_bar**0.5 * x0, (1 - alpha_bar) ** 0.5, eps)
    first, second = prior.predict_noise(xt, t, *told, controls=tuple(controls))
    return (1 - alpha_bar) * ((1 - scale) * first + scale * second - eps)


@right(GRAD)
def sdxl_as_published(prior, x0, t, eps, text, uncond, scale, size, controls):
    """eps_text + s (eps_text - eps_uncond), with the scale that this takes."""
    with torch.inference_mode():
        height, width = size
        row = torch.tensor([height, width, 0, 0, height, width], dtype=torch.float32)
        text, uncond = (replace(c, time_ids=row.expand(len(x0), -1)) for c in (text, uncond))
        alpha_bar = prior.alpha_bar(t)
        xt = alpha_bar.sqrt() * x0 + (1 - alpha_bar).sqrt() * eps
        eps_uncond, eps_text = prior.predict_noise(xt, t, uncond, text, controls=controls)
        pull = (eps_text - eps) + (scale - 1) * (eps_text - eps_uncond)
        return pull.mul(1 - alpha_bar)


@right(GRAD)
@torch.no_grad()
def sdxl_with_its_branches_joined(prior, x0, t, eps, text, uncond, scale, size, controls):
    """One call of the network with a batch of 2 B."""
    text, uncond = text.with_size(size), uncond.with_size(size)
    alpha_bar = prior.alpha_bar(t)
    xt = alpha_bar.sqrt() * x0 + (1 - alpha_bar).sqrt() * eps
    twice = [replace(c, image=torch.cat([c.image, c.image])) for c in controls]
    (both,) = prior.predict_noise(
        torch.cat([xt, xt]), torch.cat([t, t]), cat([uncond, text]), controls=twice
    )
    eps_uncond, eps_text = both.chunk(2)
    return (1 - alpha_bar) * (eps_uncond + scale * (eps_text - eps_uncond) - eps)


@right(GRAD)
@torch.no_grad()
def sdxl_joined_as_pairs(prior, x0, t, eps, text, uncond, scale, size, controls):
    """One call, with both branches of a picture side by side."""
    text, uncond = text.with_size(size), uncond.with_size(size)
    alpha_bar = prior.alpha_bar(t)
    xt = alpha_bar.sqrt() * x0 + (1 - alpha_bar).sqrt() * eps
    both = cat([uncond, text])
    order = torch.arange(len(both)).view(2, -1).T.flatten()
    pairs = replace(
        both, **{name: part[order] for name, part in vars(both).items() if part is not None}
    )
    twice = [replace(c, image=c.image.repeat_interleave(2, dim=0)) for c in controls]
    (both,) = prior.predict_noise(
        xt.repeat_interleave(2, dim=0), t.repeat_interleave(2), pairs, controls=twice
    )
    eps_uncond, eps_text = both[::2], both[1::2]
    return (1 - alpha_bar) * (torch.lerp(eps_uncond, eps_text, scale) - eps)


@right(GRAD)
def sdxl_by_guided_noise(prior, x0, t, eps, text, uncond, scale, size, controls):
    predict = guided_noise(
        prior,
        text=text.with_size(size),
        uncond=uncond.with_size(size),
        guidance_scale=scale,
        controls=controls,
    )
    alpha_bar = prior.alpha_bar(t)
    return (1 - alpha_bar) * (predict(add_noise(x0.detach(), eps, alpha_bar), t) - eps)
