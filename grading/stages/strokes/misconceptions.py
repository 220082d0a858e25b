"""Wrong answers to stage 5."""

from __future__ import annotations

import math

import torch

from grading.stages.known_answers import both, wrong

PAINT = "strokes.paint"
LOSS = "strokes.faithfulness_loss"
START = "strokes.sdedit_start"
X0 = "strokes.x0_estimate"
BURST = "strokes.burst"
BIAS = "strokes.region_bias"
COMPOSE = "strokes.compose_scores"


def _gaussian(distances, sigma):
    """Not yet divided by their sum."""
    return torch.exp(-0.5 * (distances / sigma) ** 2)


def _distances(side):
    place = torch.arange(side)
    return place[:, None] - place


def _weights(side, sigma):
    """Of every pixel of a row or column for every other, (side, side), as they should be."""
    return _normal(_gaussian(_distances(side), sigma))


def _normal(weights):
    return weights / weights.sum(dim=1, keepdim=True)


def _sigma(images, width):
    return width * min(images.shape[-2:])


def _by(images, weights):
    """Painted with `weights(side)` on both axes."""
    height, width = images.shape[-2:]
    return weights(height) @ images @ weights(width).T


def _blurred(images, rows, columns):
    """With a sigma in pixels for each axis."""
    height, width = images.shape[-2:]
    return _weights(height, rows) @ images @ _weights(width, columns).T


def _folded(side, sigma, fold):
    """Weights where each place beyond the border stands for the one inside that `fold` says."""
    reach = min(math.ceil(6 * sigma), 20 * side)
    beyond = torch.arange(-reach, side + reach)
    each = _normal(_gaussian(torch.arange(side)[:, None] - beyond, sigma))
    return torch.zeros(side, side).index_add_(1, fold(beyond, side), each)


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


@wrong(PAINT, "sigma is half of what it should be: the width is not that of the whole brush.")
def paint_half_as_wide(images, width):
    sigma = _sigma(images, width) / 2
    return _blurred(images, sigma, sigma)


@wrong(PAINT, "the picture goes on as zeros beyond the border, so the border comes out grey.")
def paint_with_grey_borders(images, width):
    return _by(images, lambda side: _folded(side + 2, _sigma(images, width), _none)[1:-1, 1:-1])


def _none(beyond, side):
    """All beyond the border goes to a row and a column outside of it."""
    return beyond.clamp(0, side - 1)


@wrong(PAINT, "pixels at the border are repeated beyond it, so they count far too much.")
def paint_with_repeated_borders(images, width):
    return _by(images, lambda side: _folded(side, _sigma(images, width), _none))


@wrong(PAINT, "the picture is mirrored beyond the border; nothing is there to average.")
def paint_with_mirrored_borders(images, width):
    def mirrored(beyond, side):
        around = beyond % (2 * side)
        return torch.minimum(around, 2 * side - 1 - around)

    return _by(images, lambda side: _folded(side, _sigma(images, width), mirrored))


@wrong(PAINT, "the picture goes on at the opposite border, as a Fourier transform does it.")
def paint_around(images, width):
    return _by(
        images, lambda side: _folded(side, _sigma(images, width), lambda beyond, n: beyond % n)
    )


@wrong(PAINT, "the square of sigma is missing: the weights are exp(-d^2 / (2 sigma)).")
def paint_with_sigma_as_variance(images, width):
    sigma = _sigma(images, width) ** 0.5
    return _blurred(images, sigma, sigma)


@wrong(PAINT, "the 2 in exp(-d^2 / (2 sigma^2)) is missing, so the brush is too narrow.")
def paint_without_the_2(images, width):
    sigma = _sigma(images, width) / 2**0.5
    return _blurred(images, sigma, sigma)


@wrong(PAINT, "the kernel ends 2 sigma from its middle, where the weights are still 0.14.")
def paint_cut_off(images, width):
    sigma = _sigma(images, width)

    def weights(side):
        near = _distances(side).abs() <= 2 * sigma
        return _normal(near * _gaussian(_distances(side), sigma))

    return _by(images, weights)


@wrong(PAINT, "only rows are mixed, so everything runs down; mix columns too.")
def paint_down(images, width):
    return _weights(images.shape[-2], _sigma(images, width)) @ images


@wrong(PAINT, "all pixels within sigma count alike: that is a box, not a Gaussian.")
def paint_with_a_box(images, width):
    sigma = _sigma(images, width)
    return _by(images, lambda side: _normal((_distances(side).abs() <= sigma).float()))


@wrong(PAINT, "the images are detached, so no gradient reaches them.")
def paint_without_graph(images, width):
    sigma = _sigma(images, width)
    return _blurred(images.detach(), sigma, sigma)


@both(paint_by_the_longer_side, paint_with_grey_borders)
def paint_by_the_longer_side_with_grey_borders(images, width):
    sigma = width * max(images.shape[-2:])
    return _by(images, lambda side: _folded(side + 2, sigma, _none)[1:-1, 1:-1])


def _mean_over_paint(squares, mask):
    """Of squares (B, C, H, W), as it should be."""
    painted = squares.shape[1] * mask.sum((1, 2, 3))
    return squares.sum((1, 2, 3)) / painted.clamp(min=1e-6)


def _difference(paint, images, painting, mask):
    """As it should be."""
    return paint(mask * (images - painting))


def _loss(paint, images, painting, mask):
    """As it should be."""
    return _mean_over_paint(_difference(paint, images, painting, mask).square(), mask)


@wrong(LOSS, "the mask is not used: what is not painted counts too.")
def loss_without_mask(paint, images, painting, mask):
    return (paint(images) - paint(painting)).square().mean((1, 2, 3))


@wrong(LOSS, "the mask is not used inside; only the number of painted pixels is right.")
def loss_with_a_mask_outside_alone(paint, images, painting, mask):
    return _mean_over_paint((paint(images) - paint(painting)).square(), mask)


@wrong(LOSS, "the mask comes after f: colour from outside has run into the paint by then.")
def loss_masked_late(paint, images, painting, mask):
    return _mean_over_paint((mask * (paint(images) - paint(painting))).square(), mask)


@wrong(LOSS, "f is on the picture alone, so a painting with sharp edges can never be reached.")
def loss_painted_on_one_side(paint, images, painting, mask):
    return _mean_over_paint((paint(mask * images) - mask * painting).square(), mask)


@wrong(LOSS, "f is not used: every detail of the painting is asked for, not its coarse look.")
def loss_without_paint(paint, images, painting, mask):
    return _mean_over_paint((mask * (images - painting)).square(), mask)


@wrong(LOSS, "the picture is clamped first: what is outside [-1, 1] gets no gradient.")
def loss_clamped(paint, images, painting, mask):
    return _loss(paint, images.clamp(-1, 1), painting, mask)


@wrong(LOSS, "images and painting are moved to [0, 1] first, which makes a quarter of the loss.")
def loss_from_nought_to_one(paint, images, painting, mask):
    return _loss(paint, images / 2, painting / 2, mask)


@wrong(LOSS, "it is a sum over what is painted, not a mean: large paintings pull too hard.")
def loss_as_a_sum(paint, images, painting, mask):
    return _difference(paint, images, painting, mask).square().sum((1, 2, 3))


@wrong(LOSS, "it is a mean over all pixels: a small painting pulls too weakly.")
def loss_as_a_mean_over_all(paint, images, painting, mask):
    return _difference(paint, images, painting, mask).square().mean((1, 2, 3))


@wrong(LOSS, "the channels are not counted: divide by their number too.")
def loss_without_channels(paint, images, painting, mask):
    return images.shape[1] * _loss(paint, images, painting, mask)


@wrong(LOSS, "the paint of the whole batch is counted, so a picture depends on the others.")
def loss_over_the_paint_of_all(paint, images, painting, mask):
    squares = _difference(paint, images, painting, mask).square()
    return squares.sum((1, 2, 3)) / (squares.shape[1] * mask.sum())


@wrong(LOSS, "there is one loss for the whole batch; return one for each picture.")
def loss_of_the_batch(paint, images, painting, mask):
    return _loss(paint, images, painting, mask).mean()


@wrong(LOSS, "the difference is taken without its square.")
def loss_of_absolute_values(paint, images, painting, mask):
    return _mean_over_paint(_difference(paint, images, painting, mask).abs(), mask)


@wrong(LOSS, "a root is taken of the mean of the squares.")
def loss_with_a_root(paint, images, painting, mask):
    return (_loss(paint, images, painting, mask) + 1e-12).sqrt()


@wrong(LOSS, "the picture is detached, so no gradient reaches it.")
def loss_without_graph(paint, images, painting, mask):
    return _loss(paint, images.detach(), painting, mask)


@wrong(LOSS, "it divides by zero where there is no paint, and NaN spreads to every weight.")
def loss_of_nothing(paint, images, painting, mask):
    squares = _difference(paint, images, painting, mask).square()
    return squares.sum((1, 2, 3)) / (squares.shape[1] * mask.sum((1, 2, 3)))


@wrong(LOSS, "the mask of the first picture is used for the whole batch.")
def loss_with_the_first_mask(paint, images, painting, mask):
    return _loss(paint, images, painting, mask[:1].expand_as(mask))


@both(loss_masked_late, loss_as_a_mean_over_all)
def loss_masked_late_over_all(paint, images, painting, mask):
    return (mask * (paint(images) - paint(painting))).square().mean((1, 2, 3))


def _noised(x0, eps, alpha_bar):
    return alpha_bar.sqrt() * x0 + (1 - alpha_bar).sqrt() * eps


def _first(strength, timesteps):
    """The index of the first step, as it should be."""
    steps = len(timesteps) - 1
    return steps - round(strength * steps)


def _start(strength, timesteps, alphas_cumprod):
    """alpha_bar of the start, as it should be."""
    return alphas_cumprod[timesteps[_first(strength, timesteps)]]


@wrong(START, "strength is turned round: 1 keeps the painting and 0 forgets it.")
def start_inverted(x0_src, eps, strength, timesteps, alphas_cumprod):
    taken = round(strength * (len(timesteps) - 1))
    return _noised(x0_src, eps, alphas_cumprod[timesteps[taken]])


@wrong(START, "no noise is added, so the first step takes detail of the painting for noise.")
def start_without_noise(x0_src, eps, strength, timesteps, alphas_cumprod):
    return x0_src.clone()


@wrong(START, "the noise is always that of timesteps[0], whatever the strength.")
def start_at_the_top(x0_src, eps, strength, timesteps, alphas_cumprod):
    return _noised(x0_src, eps, alphas_cumprod[timesteps[0]])


@wrong(START, "int cuts strength * N off; the nearest whole number is wanted.")
def start_cut_off(x0_src, eps, strength, timesteps, alphas_cumprod):
    steps = len(timesteps) - 1
    return _noised(x0_src, eps, alphas_cumprod[timesteps[steps - int(strength * steps)]])


@wrong(START, "int cuts (1 - strength) * N off, which takes a step too many.")
def start_cut_off_from_the_other_end(x0_src, eps, strength, timesteps, alphas_cumprod):
    steps = len(timesteps) - 1
    first = int((1 - strength) * steps + 1e-6)
    return _noised(x0_src, eps, alphas_cumprod[timesteps[first]])


@wrong(START, "the level is that of the second step, so the first one expects more noise.")
def start_a_level_too_low(x0_src, eps, strength, timesteps, alphas_cumprod):
    return _noised(x0_src, eps, alphas_cumprod[timesteps[_first(strength, timesteps) + 1]])


@wrong(START, "the level is one step too high: the last n steps begin at timesteps[N - n].")
def start_a_level_too_high(x0_src, eps, strength, timesteps, alphas_cumprod):
    before = max(0, _first(strength, timesteps) - 1)
    return _noised(x0_src, eps, alphas_cumprod[timesteps[before]])


@wrong(START, "N is the length of timesteps; their last entry is no step, but the end of the way.")
def start_of_a_longer_way(x0_src, eps, strength, timesteps, alphas_cumprod):
    count = len(timesteps)
    return _noised(x0_src, eps, alphas_cumprod[timesteps[count - round(strength * count)]])


@wrong(START, "t is the strength's part of all timesteps; take one that a step asks about.")
def start_between_the_steps(x0_src, eps, strength, timesteps, alphas_cumprod):
    return _noised(x0_src, eps, alphas_cumprod[round(strength * (len(alphas_cumprod) - 1))])


@wrong(START, "the square roots are missing: the variance is no longer 1.")
def start_without_roots(x0_src, eps, strength, timesteps, alphas_cumprod):
    alpha_bar = _start(strength, timesteps, alphas_cumprod)
    return alpha_bar * x0_src + (1 - alpha_bar) * eps


@wrong(START, "the root of 1 - alpha_bar is missing.")
def start_with_too_little_noise(x0_src, eps, strength, timesteps, alphas_cumprod):
    alpha_bar = _start(strength, timesteps, alphas_cumprod)
    return alpha_bar.sqrt() * x0_src + (1 - alpha_bar) * eps


@wrong(START, "the two factors are swapped: the source gets the root of 1 - alpha_bar.")
def start_swapped(x0_src, eps, strength, timesteps, alphas_cumprod):
    return _noised(x0_src, eps, 1 - _start(strength, timesteps, alphas_cumprod))


@wrong(START, "the noise is added to the whole source; its factor sqrt(alpha_bar) is missing.")
def start_on_the_whole_source(x0_src, eps, strength, timesteps, alphas_cumprod):
    return x0_src + (1 - _start(strength, timesteps, alphas_cumprod)).sqrt() * eps


@wrong(START, "it is x0 + sigma eps; the networks here know latents of variance 1.")
def start_of_growing_variance(x0_src, eps, strength, timesteps, alphas_cumprod):
    alpha_bar = _start(strength, timesteps, alphas_cumprod)
    return x0_src + ((1 - alpha_bar) / alpha_bar).sqrt() * eps


@wrong(START, "strength itself is alpha_bar's counterpart; take the level of a timestep.")
def start_mixed_by_strength(x0_src, eps, strength, timesteps, alphas_cumprod):
    return (1 - strength) ** 0.5 * x0_src + strength**0.5 * eps


@both(start_cut_off, start_without_roots)
def start_cut_off_without_roots(x0_src, eps, strength, timesteps, alphas_cumprod):
    steps = len(timesteps) - 1
    alpha_bar = alphas_cumprod[timesteps[steps - int(strength * steps)]]
    return alpha_bar * x0_src + (1 - alpha_bar) * eps


def _estimated(xt, eps, alpha_bar):
    return (xt - (1 - alpha_bar).sqrt() * eps.detach()) / alpha_bar.sqrt()


@wrong(X0, "eps is not detached, so the gradient runs back through the whole network.")
def estimate_with_the_graph_of_eps(xt, eps, alpha_bar):
    return (xt - (1 - alpha_bar).sqrt() * eps) / alpha_bar.sqrt()


@wrong(X0, "xt is detached too: nothing is left to differentiate.")
def estimate_without_graph(xt, eps, alpha_bar):
    return _estimated(xt.detach(), eps, alpha_bar)


@wrong(X0, "both square roots are missing.")
def estimate_without_roots(xt, eps, alpha_bar):
    return (xt - (1 - alpha_bar) * eps.detach()) / alpha_bar


@wrong(X0, "the root of 1 - alpha_bar is missing.")
def estimate_with_too_little_noise(xt, eps, alpha_bar):
    return (xt - (1 - alpha_bar) * eps.detach()) / alpha_bar.sqrt()


@wrong(X0, "the root of the alpha_bar that divides is missing.")
def estimate_divided_by_alpha_bar(xt, eps, alpha_bar):
    return (xt - (1 - alpha_bar).sqrt() * eps.detach()) / alpha_bar


@wrong(X0, "all of eps is subtracted; only sqrt(1 - alpha_bar) of it is in xt.")
def estimate_less_all_the_noise(xt, eps, alpha_bar):
    return (xt - eps.detach()) / alpha_bar.sqrt()


@wrong(X0, "it is not divided by sqrt(alpha_bar): the picture stays pale.")
def estimate_pale(xt, eps, alpha_bar):
    return xt - (1 - alpha_bar).sqrt() * eps.detach()


@wrong(X0, "it is multiplied by sqrt(alpha_bar) where it should be divided.")
def estimate_multiplied(xt, eps, alpha_bar):
    return (xt - (1 - alpha_bar).sqrt() * eps.detach()) * alpha_bar.sqrt()


@wrong(X0, "the noise is added once more; subtract it.")
def estimate_with_more_noise(xt, eps, alpha_bar):
    return (xt + (1 - alpha_bar).sqrt() * eps.detach()) / alpha_bar.sqrt()


@wrong(X0, "alpha_bar and 1 - alpha_bar are swapped.")
def estimate_swapped(xt, eps, alpha_bar):
    return _estimated(xt, eps, 1 - alpha_bar)


@wrong(X0, "x0 is clamped to [-1, 1]: latents go beyond that, and lose their gradient there.")
def estimate_clamped(xt, eps, alpha_bar):
    return _estimated(xt, eps, alpha_bar).clamp(-1, 1)


@wrong(X0, "it is the formula for a network that predicts v; this one predicts eps.")
def estimate_of_v(xt, eps, alpha_bar):
    return alpha_bar.sqrt() * xt - (1 - alpha_bar).sqrt() * eps.detach()


@wrong(X0, "the level of the first picture is used for the whole batch.")
def estimate_at_the_first_level(xt, eps, alpha_bar):
    return _estimated(xt, eps, alpha_bar[:1])


@both(estimate_with_the_graph_of_eps, estimate_pale)
def estimate_pale_with_the_graph_of_eps(xt, eps, alpha_bar):
    return xt - (1 - alpha_bar).sqrt() * eps


def _level(t, alphas_cumprod):
    """alpha_bar, which is 1 at t = -1."""
    return alphas_cumprod[t] if t >= 0 else torch.ones(())


def _optimised(loss_of, x0, steps, learning_rate, optimiser=torch.optim.Adam, sign=1, forget=True):
    """A copy of x0 after these steps; with the defaults as it should be."""
    with torch.enable_grad():
        latents = x0.detach().clone().requires_grad_()
        its = optimiser([latents], lr=learning_rate)
        for _ in range(steps):
            if forget:
                its.zero_grad()
            (sign * loss_of(latents).sum()).backward()
            its.step()
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


@wrong(BURST, "nothing is optimised: x0 gets the noise as it came.")
def burst_without_steps(
    loss_of, x0, eps, timesteps, index, alphas_cumprod, grad_steps, learning_rate
):
    return _noised(x0, eps, _level(timesteps[index + 1], alphas_cumprod))


@wrong(BURST, "Adam holds a copy of the latents; they themselves never move.")
def burst_of_another_tensor(
    loss_of, x0, eps, timesteps, index, alphas_cumprod, grad_steps, learning_rate
):
    with torch.enable_grad():
        latents = x0.detach().clone().requires_grad_()
        optimiser = torch.optim.Adam([latents.detach().clone()], lr=learning_rate)
        for _ in range(grad_steps):
            optimiser.zero_grad()
            loss_of(latents).sum().backward()
            optimiser.step()
    return _noised(latents.detach(), eps, _level(timesteps[index + 1], alphas_cumprod))


@wrong(BURST, "SGD steps as far as the gradient is long; Adam's steps are of the learning rate.")
def burst_by_sgd(loss_of, x0, eps, timesteps, index, alphas_cumprod, grad_steps, learning_rate):
    latents = _optimised(loss_of, x0, grad_steps, learning_rate, torch.optim.SGD)
    return _noised(latents, eps, _level(timesteps[index + 1], alphas_cumprod))


@wrong(BURST, "AdamW also shrinks the latents a little in each step; use Adam.")
def burst_by_adamw(loss_of, x0, eps, timesteps, index, alphas_cumprod, grad_steps, learning_rate):
    latents = _optimised(loss_of, x0, grad_steps, learning_rate, torch.optim.AdamW)
    return _noised(latents, eps, _level(timesteps[index + 1], alphas_cumprod))


@wrong(BURST, "zero_grad is missing: gradients of earlier steps are added up.")
def burst_adding_gradients(
    loss_of, x0, eps, timesteps, index, alphas_cumprod, grad_steps, learning_rate
):
    latents = _optimised(loss_of, x0, grad_steps, learning_rate, forget=False)
    return _noised(latents, eps, _level(timesteps[index + 1], alphas_cumprod))


@wrong(BURST, "a step too many is taken.")
def burst_of_a_step_more(
    loss_of, x0, eps, timesteps, index, alphas_cumprod, grad_steps, learning_rate
):
    latents = _optimised(loss_of, x0, grad_steps + 1, learning_rate)
    return _noised(latents, eps, _level(timesteps[index + 1], alphas_cumprod))


@wrong(BURST, "a step too few is taken.")
def burst_of_a_step_less(
    loss_of, x0, eps, timesteps, index, alphas_cumprod, grad_steps, learning_rate
):
    latents = _optimised(loss_of, x0, grad_steps - 1, learning_rate)
    return _noised(latents, eps, _level(timesteps[index + 1], alphas_cumprod))


@wrong(BURST, "grad_steps is not used: always 12 steps are taken.")
def burst_of_12_steps(
    loss_of, x0, eps, timesteps, index, alphas_cumprod, grad_steps, learning_rate
):
    latents = _optimised(loss_of, x0, 12, learning_rate)
    return _noised(latents, eps, _level(timesteps[index + 1], alphas_cumprod))


@wrong(BURST, "the learning rate is not used: it is always 0.1.")
def burst_at_a_fixed_rate(
    loss_of, x0, eps, timesteps, index, alphas_cumprod, grad_steps, learning_rate
):
    latents = _optimised(loss_of, x0, grad_steps, 0.1)
    return _noised(latents, eps, _level(timesteps[index + 1], alphas_cumprod))


@wrong(BURST, "each step makes a new Adam, which knows nothing of the gradients before.")
def burst_with_many_adams(
    loss_of, x0, eps, timesteps, index, alphas_cumprod, grad_steps, learning_rate
):
    latents = x0
    for _ in range(grad_steps):
        latents = _optimised(loss_of, latents, 1, learning_rate)
    return _noised(latents, eps, _level(timesteps[index + 1], alphas_cumprod))


@wrong(BURST, "the loss of the first picture alone is differentiated; the others never move.")
def burst_of_the_first_picture(
    loss_of, x0, eps, timesteps, index, alphas_cumprod, grad_steps, learning_rate
):
    latents = _optimised(lambda its: loss_of(its)[:1], x0, grad_steps, learning_rate)
    return _noised(latents, eps, _level(timesteps[index + 1], alphas_cumprod))


@wrong(BURST, "the noise is that of the step just taken, timesteps[index]; the next expects less.")
def burst_at_the_level_before(
    loss_of, x0, eps, timesteps, index, alphas_cumprod, grad_steps, learning_rate
):
    latents = _optimised(loss_of, x0, grad_steps, learning_rate)
    return _noised(latents, eps, _level(timesteps[index], alphas_cumprod))


@wrong(BURST, "the level is one step too low, timesteps[index + 2]: the next step expects more.")
def burst_at_the_level_after(
    loss_of, x0, eps, timesteps, index, alphas_cumprod, grad_steps, learning_rate
):
    latents = _optimised(loss_of, x0, grad_steps, learning_rate)
    return _noised(latents, eps, _level(timesteps[index + 2], alphas_cumprod))


@wrong(BURST, "-1 is taken as an index: alphas_cumprod[-1] is the level of almost only noise.")
def burst_from_the_end_of_the_levels(
    loss_of, x0, eps, timesteps, index, alphas_cumprod, grad_steps, learning_rate
):
    latents = _optimised(loss_of, x0, grad_steps, learning_rate)
    return _noised(latents, eps, alphas_cumprod[timesteps[index + 1]])


@wrong(BURST, "-1 is taken as timestep 0, where there still is a little noise.")
def burst_never_without_noise(
    loss_of, x0, eps, timesteps, index, alphas_cumprod, grad_steps, learning_rate
):
    latents = _optimised(loss_of, x0, grad_steps, learning_rate)
    return _noised(latents, eps, alphas_cumprod[timesteps[index + 1].clamp(min=0)])


@wrong(BURST, "timestep 0 is taken as the end of the way; only -1 has no noise.")
def burst_without_noise_at_nought(
    loss_of, x0, eps, timesteps, index, alphas_cumprod, grad_steps, learning_rate
):
    latents = _optimised(loss_of, x0, grad_steps, learning_rate)
    t = timesteps[index + 1]
    return _noised(latents, eps, alphas_cumprod[t] if t > 0 else torch.ones(()))


@wrong(BURST, "the square roots of the two factors of the noise are missing.")
def burst_without_roots(
    loss_of, x0, eps, timesteps, index, alphas_cumprod, grad_steps, learning_rate
):
    latents = _optimised(loss_of, x0, grad_steps, learning_rate)
    alpha_bar = _level(timesteps[index + 1], alphas_cumprod)
    return alpha_bar * latents + (1 - alpha_bar) * eps


@wrong(BURST, "the noise is added to all of the latents; their factor sqrt(alpha_bar) is missing.")
def burst_on_the_whole_latents(
    loss_of, x0, eps, timesteps, index, alphas_cumprod, grad_steps, learning_rate
):
    latents = _optimised(loss_of, x0, grad_steps, learning_rate)
    return latents + (1 - _level(timesteps[index + 1], alphas_cumprod)).sqrt() * eps


@wrong(BURST, "the noise is added first, so it is noisy latents that are pulled to the painting.")
def burst_of_noisy_latents(
    loss_of, x0, eps, timesteps, index, alphas_cumprod, grad_steps, learning_rate
):
    noisy = _noised(x0, eps, _level(timesteps[index + 1], alphas_cumprod))
    return _optimised(loss_of, noisy, grad_steps, learning_rate)


@wrong(BURST, "the noise is drawn inside, so that no run can be repeated; eps is the noise to add.")
def burst_with_noise_of_its_own(
    loss_of, x0, eps, timesteps, index, alphas_cumprod, grad_steps, learning_rate
):
    latents = _optimised(loss_of, x0, grad_steps, learning_rate)
    return _noised(latents, torch.randn_like(eps), _level(timesteps[index + 1], alphas_cumprod))


@both(burst_adding_gradients, burst_at_the_level_before)
def burst_adding_gradients_at_the_level_before(
    loss_of, x0, eps, timesteps, index, alphas_cumprod, grad_steps, learning_rate
):
    latents = _optimised(loss_of, x0, grad_steps, learning_rate, forget=False)
    return _noised(latents, eps, _level(timesteps[index], alphas_cumprod))


def _belongs(tokens, count):
    """Whether a token is of a region, (K, L)."""
    return torch.tensor([[token in region for token in range(count)] for region in tokens])


def _largest(masks, tokens, count):
    """The mask of each token, (L, H, W), and 0 for those of no region."""
    return (_belongs(tokens, count)[..., None, None] * masks[:, None]).amax(0)


def _of_some(tokens, count):
    """Which tokens are of a region, (L, 1, 1)."""
    return _belongs(tokens, count).any(0)[:, None, None]


def _bias(mask, some, inside, outside):
    """From the mask of each token, as it should be."""
    return (some * (outside + (inside - outside) * mask))[None]


def _bias_of(masks, tokens, count, inside, outside):
    """As it should be."""
    return _bias(_largest(masks, tokens, count), _of_some(tokens, count), inside, outside)


@wrong(BIAS, "tokens are counted from 1, so that the bias is on the word before.")
def bias_on_the_token_before(masks, tokens, count, inside, outside):
    return _bias_of(masks, _moved(tokens, -1), count, inside, outside)


@wrong(BIAS, "the token that begins a prompt is counted twice: the bias is on the next word.")
def bias_on_the_next_token(masks, tokens, count, inside, outside):
    return _bias_of(masks, _moved(tokens, 1), count, inside, outside)


def _moved(tokens, by):
    return [[token + by for token in region] for region in tokens]


@wrong(BIAS, "inside and outside are swapped.")
def bias_inside_out(masks, tokens, count, inside, outside):
    return _bias_of(masks, tokens, count, outside, inside)


@wrong(BIAS, "the outside is left as it is: words may still go where they do not belong.")
def bias_inside_alone(masks, tokens, count, inside, outside):
    return _bias_of(masks, tokens, count, inside, 0.0)


@wrong(BIAS, "only the outside is biased; inside the bias is 0.")
def bias_outside_alone(masks, tokens, count, inside, outside):
    return _bias_of(masks, tokens, count, 0.0, outside)


@wrong(BIAS, "the masks are made hard, so that soft edges are lost.")
def bias_with_hard_edges(masks, tokens, count, inside, outside):
    return _bias_of((masks > 0.5).float(), tokens, count, inside, outside)


@wrong(BIAS, "only places where the mask is 0 are outside; elsewhere it is inside times the mask.")
def bias_outside_where_nought(masks, tokens, count, inside, outside):
    mask = _largest(masks, tokens, count)
    bias = torch.where(mask > 0, inside * mask, outside)
    return (_of_some(tokens, count) * bias)[None]


@wrong(BIAS, "a token of no region gets the bias `outside` everywhere; leave it as it is.")
def bias_of_words_without_a_region(masks, tokens, count, inside, outside):
    return _bias(_largest(masks, tokens, count), True, inside, outside)


@wrong(BIAS, "a token of two regions gets the sum of both biases; take the larger mask.")
def bias_added_up(masks, tokens, count, inside, outside):
    each = outside + (inside - outside) * masks
    return torch.einsum("kl,khw->lhw", _belongs(tokens, count).float(), each)[None]


@wrong(BIAS, "a token of two regions keeps only that of the last one.")
def bias_of_the_last_region(masks, tokens, count, inside, outside):
    bias = torch.zeros(1, count, *masks.shape[1:])
    for mask, region in zip(masks, tokens, strict=True):
        bias[0, region] = outside + (inside - outside) * mask
    return bias


@wrong(BIAS, "a token of two regions takes the smaller of their masks, where both must overlap.")
def bias_of_the_smaller_mask(masks, tokens, count, inside, outside):
    belongs = _belongs(tokens, count)[..., None, None]
    mask = torch.where(belongs, masks[:, None], 1.0).amin(0)
    return _bias(mask, _of_some(tokens, count), inside, outside)


@wrong(BIAS, "a token of two regions takes the mean of their masks.")
def bias_of_the_mean_mask(masks, tokens, count, inside, outside):
    belongs = _belongs(tokens, count).float()
    mask = torch.einsum("kl,khw->lhw", belongs / belongs.sum(0).clamp(min=1), masks)
    return _bias(mask, _of_some(tokens, count), inside, outside)


@wrong(BIAS, "the masks are divided by their sum, so that half a mask alone becomes a full one.")
def bias_of_divided_masks(masks, tokens, count, inside, outside):
    masks = masks / masks.sum(0).clamp(min=1e-6)
    return _bias_of(masks, tokens, count, inside, outside)


@wrong(BIAS, "the tokens come last; the bias is (1, L, H, W).")
def bias_with_tokens_last(masks, tokens, count, inside, outside):
    return _bias_of(masks, tokens, count, inside, outside).movedim(1, -1)


@wrong(BIAS, "the first axis, of length 1 for all latents, is missing.")
def bias_without_a_batch(masks, tokens, count, inside, outside):
    return _bias_of(masks, tokens, count, inside, outside)[0]


@wrong(BIAS, "there is a bias for each region; the attention needs one for each token.")
def bias_of_regions(masks, tokens, count, inside, outside):
    return (outside + (inside - outside) * masks)[None]


@wrong(BIAS, "rows and columns are swapped.")
def bias_sideways(masks, tokens, count, inside, outside):
    return _bias_of(masks.transpose(1, 2), tokens, count, inside, outside)


@wrong(BIAS, "only the first word of each region is bound.")
def bias_of_the_first_words(masks, tokens, count, inside, outside):
    return _bias_of(masks, [region[:1] for region in tokens], count, inside, outside)


@both(bias_on_the_next_token, bias_inside_alone)
def bias_on_the_next_token_inside_alone(masks, tokens, count, inside, outside):
    return _bias_of(masks, _moved(tokens, 1), count, inside, 0.0)


def _shared(masks):
    """The weights of the regions, (K, 1, h, w), as they should be."""
    return masks / masks.sum(0).clamp(min=1)


def _mixed(weights, rest, eps_whole, eps_parts):
    return rest * eps_whole + (weights[:, None] * eps_parts).sum(0)


def _guided(eps_uncond, eps_text, guidance_scale):
    return eps_uncond + guidance_scale * (eps_text - eps_uncond)


def _text(eps_whole, eps_parts, masks):
    """As it should be."""
    weights = _shared(masks)
    return _mixed(weights, 1 - weights.sum(0), eps_whole, eps_parts)


@wrong(COMPOSE, "the branches of guidance are swapped: it leads away from the prompts.")
def composed_with_swapped_branches(eps_uncond, eps_whole, eps_parts, masks, guidance_scale):
    return _guided(_text(eps_whole, eps_parts, masks), eps_uncond, guidance_scale)


@wrong(COMPOSE, "the scale is not used: what the prompts predict is returned as it is.")
def composed_without_guidance(eps_uncond, eps_whole, eps_parts, masks, guidance_scale):
    return _text(eps_whole, eps_parts, masks)


@wrong(COMPOSE, "the difference is added to the prompts' noise, which is one scale too many.")
def composed_from_the_prompts(eps_uncond, eps_whole, eps_parts, masks, guidance_scale):
    return _guided(eps_uncond, _text(eps_whole, eps_parts, masks), guidance_scale + 1)


@wrong(COMPOSE, "eps_uncond is not subtracted from the prompts' noise.")
def composed_without_a_difference(eps_uncond, eps_whole, eps_parts, masks, guidance_scale):
    return eps_uncond + guidance_scale * _text(eps_whole, eps_parts, masks)


@wrong(COMPOSE, "what the regions leave gets no prompt; it belongs to that of the whole picture.")
def composed_without_the_whole(eps_uncond, eps_whole, eps_parts, masks, guidance_scale):
    return _guided(eps_uncond, _text(eps_uncond, eps_parts, masks), guidance_scale)


@wrong(COMPOSE, "the prompt of the whole picture counts in the regions too.")
def composed_with_the_whole_everywhere(eps_uncond, eps_whole, eps_parts, masks, guidance_scale):
    text = _text(eps_uncond, eps_parts, masks) + eps_whole - eps_uncond
    return _guided(eps_uncond, text, guidance_scale)


@wrong(COMPOSE, "the prompts of the regions are not used.")
def composed_of_the_whole_alone(eps_uncond, eps_whole, eps_parts, masks, guidance_scale):
    return _guided(eps_uncond, eps_whole, guidance_scale)


@wrong(COMPOSE, "where regions overlap, the weights sum to more than 1.")
def composed_with_overlaps_added(eps_uncond, eps_whole, eps_parts, masks, guidance_scale):
    rest = (1 - masks.sum(0)).clamp(min=0)
    text = eps_uncond + rest * (eps_whole - eps_uncond)
    text = text + (masks[:, None] * (eps_parts - eps_uncond)).sum(0)
    return _guided(eps_uncond, text, guidance_scale)


@wrong(COMPOSE, "where regions overlap, the whole picture's weight is below 0.")
def composed_with_a_negative_rest(eps_uncond, eps_whole, eps_parts, masks, guidance_scale):
    text = _mixed(masks, 1 - masks.sum(0), eps_whole, eps_parts)
    return _guided(eps_uncond, text, guidance_scale)


@wrong(COMPOSE, "the masks are divided by their sum everywhere, which leaves nothing to the whole.")
def composed_of_divided_masks(eps_uncond, eps_whole, eps_parts, masks, guidance_scale):
    weights = masks / masks.sum(0).clamp(min=1e-6)
    text = _mixed(weights, 1 - weights.sum(0), eps_whole, eps_parts)
    return _guided(eps_uncond, text, guidance_scale)


@wrong(COMPOSE, "each region is laid over what is there: the last one covers the others.")
def composed_one_over_the_other(eps_uncond, eps_whole, eps_parts, masks, guidance_scale):
    text = eps_whole
    for mask, eps in zip(masks, eps_parts, strict=True):
        text = (1 - mask) * text + mask * eps
    return _guided(eps_uncond, text, guidance_scale)


@wrong(COMPOSE, "the regions are averaged: each counts only a K-th.")
def composed_by_a_mean(eps_uncond, eps_whole, eps_parts, masks, guidance_scale):
    text = _text(eps_whole, eps_parts, masks / len(masks))
    return _guided(eps_uncond, text, guidance_scale)


@wrong(COMPOSE, "the masks are made hard, so that soft edges are lost.")
def composed_with_hard_edges(eps_uncond, eps_whole, eps_parts, masks, guidance_scale):
    text = _text(eps_whole, eps_parts, (masks > 0.5).float())
    return _guided(eps_uncond, text, guidance_scale)


@wrong(COMPOSE, "the masks and the prompts of the regions are in opposite order.")
def composed_in_opposite_order(eps_uncond, eps_whole, eps_parts, masks, guidance_scale):
    return _guided(eps_uncond, _text(eps_whole, eps_parts.flip(0), masks), guidance_scale)


@wrong(COMPOSE, "regions and whole are swapped: the whole picture's prompt is inside the masks.")
def composed_inside_out(eps_uncond, eps_whole, eps_parts, masks, guidance_scale):
    weights = _shared(masks)
    text = weights.sum(0) * eps_whole + ((1 - weights)[:, None] * eps_parts).mean(0)
    return _guided(eps_uncond, text, guidance_scale)


@both(composed_with_swapped_branches, composed_without_the_whole)
def composed_with_swapped_branches_without_the_whole(
    eps_uncond, eps_whole, eps_parts, masks, guidance_scale
):
    return _guided(_text(eps_uncond, eps_parts, masks), eps_uncond, guidance_scale)
