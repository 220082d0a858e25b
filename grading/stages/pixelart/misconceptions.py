"""Wrong answers to stage 4."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
import torch.nn.functional as F

from distillery.models.prior import Condition, cat
from grading.stages.known_answers import both, wrong

PAINT = "pixelart.paint"
GUMBEL = "pixelart.gumbel_softmax"
THROUGH = "pixelart.straight_through"
START = "pixelart.logits_from_image"
KMEANS = "pixelart.kmeans_step"
FFT = "pixelart.fft_loss"
BOUNDED = "pixelart.bounded_timesteps"
GRAD = "pixelart.sdxl_grad"

_kept: dict[object, torch.Tensor] = {}  # what is kept of first calls


def _mixed(weights, palette):
    """The weighted mean of the colours in [0, 1], as it should be."""
    return torch.einsum("bkhw,kc->bchw", weights, palette)


@wrong(PAINT, "the colours stay in [0, 1]: pictures here run from -1 to 1, so it comes out pale.")
def painted_from_zero(weights, palette):
    return _mixed(weights, palette)


@wrong(PAINT, "1 is subtracted without doubling first, so no pixel is brighter than mid-grey.")
def painted_too_dark(weights, palette):
    return _mixed(weights, palette) - 1


@wrong(PAINT, "the palette is divided by 255, but it is in [0, 1] already: all is nearly black.")
def painted_from_bytes(weights, palette):
    return 2 * _mixed(weights, palette / 255) - 1


@wrong(PAINT, "the palette is scaled to 0..255: the picture is far too bright.")
def painted_in_bytes(weights, palette):
    return 255 * _mixed(weights, palette)


@wrong(PAINT, "red and blue are swapped: the palette's columns are red, green and blue.")
def painted_backwards(weights, palette):
    return 2 * _mixed(weights, palette.flip(1)) - 1


@wrong(PAINT, "the sum over the colours is divided by K, but the weights already have the sum 1.")
def painted_by_a_mean(weights, palette):
    return 2 * _mixed(weights, palette) / len(palette) - 1


@wrong(PAINT, "a softmax is applied to the weights again: the colours turn greyish.")
def painted_with_a_second_softmax(weights, palette):
    return 2 * _mixed(weights.softmax(dim=1), palette) - 1


@wrong(PAINT, "the nearest whole colour is taken; choosing has no gradient, so nothing can learn.")
def painted_by_argmax(weights, palette):
    return 2 * palette[weights.argmax(dim=1)].movedim(-1, 1) - 1


@wrong(PAINT, "the weights are detached, so no gradient reaches the logits.")
def painted_without_graph(weights, palette):
    return 2 * _mixed(weights.detach(), palette) - 1


@wrong(PAINT, "the channels come last; a picture is (B, 3, h, w).")
def painted_channels_last(weights, palette):
    return 2 * torch.einsum("bkhw,kc->bhwc", weights, palette) - 1


@wrong(PAINT, "rows and columns are swapped.")
def painted_sideways(weights, palette):
    return 2 * torch.einsum("bkhw,kc->bcwh", weights, palette) - 1


@wrong(PAINT, "view is used where axes have to be moved (permute): pixels change their places.")
def painted_viewed(weights, palette):
    pixels = weights.movedim(1, -1) @ palette
    return 2 * pixels.reshape(len(weights), 3, *weights.shape[2:]) - 1


@wrong(PAINT, "the palette is viewed as (3, K); transpose it.")
def painted_by_a_viewed_palette(weights, palette):
    return 2 * torch.einsum("bkhw,ck->bchw", weights, palette.reshape(3, -1)) - 1


@wrong(PAINT, "the weights of the first picture are used for the whole batch.")
def painted_as_the_first(weights, palette):
    return 2 * _mixed(weights[:1].expand_as(weights), palette) - 1


@wrong(PAINT, "colours are rounded to whole bytes, which has no gradient.")
def painted_rounded(weights, palette):
    picture = _mixed(weights, palette)
    rounded = (255 * picture.detach()).round() / 255
    return 2 * rounded - 1 + 0 * picture


@wrong(PAINT, "only the colour of the largest weight is painted; use all, by their weights.")
def painted_straight_through(weights, palette):
    hard = torch.zeros_like(weights).scatter(1, weights.argmax(dim=1, keepdim=True), 1.0)
    return 2 * _mixed(hard + (weights - weights.detach()), palette) - 1


@wrong(
    PAINT, "weights are kept above 0 and divided by their sum again: no colour is pure any more."
)
def painted_impurely(weights, palette):
    weights = weights.clamp(min=1e-3)
    return 2 * _mixed(weights / weights.sum(dim=1, keepdim=True), palette) - 1


@wrong(PAINT, "only the first 8 colours of the palette are used; K may be any number.")
def painted_in_eight_colours(weights, palette):
    return 2 * _mixed(weights[:, :8], palette[:8]) - 1


@wrong(PAINT, "the palette of the first call is kept and used for other palettes too.")
def painted_in_a_kept_palette(weights, palette):
    kept = _kept.setdefault(PAINT, palette)
    return 2 * _mixed(weights[:, : len(kept)], kept[: weights.shape[1]]) - 1


@wrong(PAINT, "the palette is scaled to [-1, 1] in place: the argument changes.")
def painted_in_place(weights, palette):
    return _mixed(weights, palette.mul_(2).sub_(1))


@wrong(PAINT, "the first picture's palette is used for all pictures, but each has its own.")
def painted_in_the_first_palette(weights, palette):
    return 2 * _mixed(weights, palette if palette.dim() == 2 else palette[0]) - 1


@wrong(PAINT, "the palettes of all pictures are averaged; each picture has its own.")
def painted_in_a_mean_palette(weights, palette):
    return 2 * _mixed(weights, palette if palette.dim() == 2 else palette.mean(dim=0)) - 1


@wrong(PAINT, "every picture is painted in all the palettes, added up; each has its own.")
def painted_in_all_palettes(weights, palette):
    return 2 * _mixed(weights, palette if palette.dim() == 2 else palette.sum(dim=0)) - 1


@both(painted_from_zero, painted_backwards)
def painted_from_zero_backwards(weights, palette):
    return _mixed(weights, palette.flip(1))


@both(painted_from_zero, painted_viewed)
def painted_from_zero_and_viewed(weights, palette):
    pixels = weights.movedim(1, -1) @ palette
    return pixels.reshape(len(weights), 3, *weights.shape[2:])


def _gumbel(logits, generator):
    """Gumbel noise, as it should be."""
    return -torch.log(-torch.log(_uniform(logits.shape, generator)))


def _uniform(shape, generator):
    return torch.rand(shape, generator=generator).clamp(min=1e-30)


@wrong(GUMBEL, "there is no noise: it is a softmax with a temperature.")
def gumbel_without_noise(logits, tau, generator):
    return (logits / tau).softmax(dim=1)


@wrong(GUMBEL, "all colours of a pixel get the same noise, which does not change a softmax.")
def gumbel_shared_by_the_colours(logits, tau, generator):
    g = _gumbel(logits[:, :1], generator)
    return ((logits + g) / tau).softmax(dim=1)


@wrong(GUMBEL, "one noise per colour is used for all pixels: they all change together.")
def gumbel_shared_by_the_pixels(logits, tau, generator):
    g = _gumbel(logits[..., :1, :1], generator)
    return ((logits + g) / tau).softmax(dim=1)


@wrong(GUMBEL, "every picture of the batch gets the same noise.")
def gumbel_shared_by_the_batch(logits, tau, generator):
    g = _gumbel(logits[:1], generator)
    return ((logits + g) / tau).softmax(dim=1)


@wrong(GUMBEL, "the generator is not passed on, so a seed no longer repeats a run.")
def gumbel_without_generator(logits, tau, generator):
    return F.gumbel_softmax(logits, tau, dim=1)


@wrong(GUMBEL, "the generator is seeded again inside, so every step sees the same noise.")
def gumbel_seeded_inside(logits, tau, generator):
    return ((logits + _gumbel(logits, generator.manual_seed(0))) / tau).softmax(dim=1)


@wrong(GUMBEL, "g = -log(u): a logarithm is missing.")
def gumbel_of_one_logarithm(logits, tau, generator):
    g = -_uniform(logits.shape, generator).log()
    return ((logits + g) / tau).softmax(dim=1)


@wrong(GUMBEL, "the outer minus is missing: g = log(-log(u)) has its long tail on the wrong side.")
def gumbel_upside_down(logits, tau, generator):
    return ((logits - _gumbel(logits, generator)) / tau).softmax(dim=1)


@wrong(GUMBEL, "the noise is normal, and colours are not chosen as often as they are wanted.")
def gumbel_normal(logits, tau, generator):
    g = torch.randn(logits.shape, generator=generator)
    return ((logits + g) / tau).softmax(dim=1)


@wrong(GUMBEL, "u itself is used as the noise; use -log(-log(u)).")
def gumbel_uniform(logits, tau, generator):
    return ((logits + _uniform(logits.shape, generator)) / tau).softmax(dim=1)


@wrong(GUMBEL, "tau multiplies: a small tau makes the weights soft.")
def gumbel_multiplied_by_tau(logits, tau, generator):
    return ((logits + _gumbel(logits, generator)) * tau).softmax(dim=1)


@wrong(GUMBEL, "tau is not used.")
def gumbel_without_tau(logits, tau, generator):
    return (logits + _gumbel(logits, generator)).softmax(dim=1)


@wrong(GUMBEL, "tau divides only the logits: how often a colour wins then depends on tau.")
def gumbel_with_tau_on_the_logits(logits, tau, generator):
    return (logits / tau + _gumbel(logits, generator)).softmax(dim=1)


@wrong(GUMBEL, "tau divides only the noise: how often a colour wins then depends on tau.")
def gumbel_with_tau_on_the_noise(logits, tau, generator):
    return (logits + _gumbel(logits, generator) / tau).softmax(dim=1)


@wrong(GUMBEL, "the noise is added to softmax(logits); it belongs to the logits.")
def gumbel_on_the_weights(logits, tau, generator):
    return ((logits.softmax(dim=1) + _gumbel(logits, generator)) / tau).softmax(dim=1)


@wrong(GUMBEL, "the noise is added after the softmax: the results are no longer weights.")
def gumbel_behind_the_softmax(logits, tau, generator):
    return (logits / tau).softmax(dim=1) + _gumbel(logits, generator)


@wrong(GUMBEL, "the logits are left out: every colour is as likely as any other.")
def gumbel_without_logits(logits, tau, generator):
    return ((0 * logits + _gumbel(logits, generator)) / tau).softmax(dim=1)


@wrong(GUMBEL, "only one colour gets weight; tau should decide how hard the weights become.")
def gumbel_hard(logits, tau, generator):
    soft = ((logits + _gumbel(logits, generator)) / tau).softmax(dim=1)
    hard = torch.zeros_like(soft).scatter_(1, soft.argmax(dim=1, keepdim=True), 1.0)
    return hard + (soft - soft.detach())


@wrong(GUMBEL, "the softmax runs over the columns, not over the colours: the picture gets stripes.")
def gumbel_over_columns(logits, tau, generator):
    return ((logits + _gumbel(logits, generator)) / tau).softmax(dim=-1)


@wrong(GUMBEL, "the softmax runs over the batch, not over the colours.")
def gumbel_over_the_batch(logits, tau, generator):
    return ((logits + _gumbel(logits, generator)) / tau).softmax(dim=0)


@wrong(GUMBEL, "it is computed under torch.no_grad(), so the logits get no gradient.")
@torch.no_grad()
def gumbel_without_graph(logits, tau, generator):
    return ((logits + _gumbel(logits, generator)) / tau).softmax(dim=1)


@wrong(GUMBEL, "the noise is the same for all rows: it is drawn for one row and repeated.")
def gumbel_shared_by_the_rows(logits, tau, generator):
    return ((logits + _gumbel(logits[:, :, :1], generator)) / tau).softmax(dim=1)


@wrong(GUMBEL, "the logits of the first picture are used for the whole batch.")
def gumbel_of_the_first_picture(logits, tau, generator):
    return ((logits[:1] + _gumbel(logits, generator)) / tau).softmax(dim=1)


@wrong(GUMBEL, "the logits of one pixel are used for all pixels.")
def gumbel_of_the_first_pixel(logits, tau, generator):
    return ((logits[..., :1, :1] + _gumbel(logits, generator)) / tau).softmax(dim=1)


@wrong(
    GUMBEL, "view is used where axes have to be moved (permute), so weights change their pixels."
)
def gumbel_viewed(logits, tau, generator):
    pixels = logits.movedim(1, -1)
    noisy = (pixels + _gumbel(pixels, generator)) / tau
    return noisy.softmax(dim=-1).reshape(logits.shape)


@wrong(GUMBEL, "u is 1 - rand, so a 0 of the generator becomes 1 and its noise infinite: clamp it.")
def gumbel_of_one_minus(logits, tau, generator):
    u = 1 - torch.rand(logits.shape, generator=generator)
    return ((logits - torch.log(-torch.log(u))) / tau).softmax(dim=1)


@wrong(GUMBEL, "u is kept far from 0 and 1, which cuts off the noise: rare colours never win.")
def gumbel_cut_off(logits, tau, generator):
    u = torch.rand(logits.shape, generator=generator).clamp(0.01, 0.99)
    return ((logits - torch.log(-torch.log(u))) / tau).softmax(dim=1)


@wrong(GUMBEL, "tau is not allowed below 0.5: take it as it is given.")
def gumbel_kept_warm(logits, tau, generator):
    return ((logits + _gumbel(logits, generator)) / max(tau, 0.6)).softmax(dim=1)


@wrong(GUMBEL, "the root of tau divides; divide by tau.")
def gumbel_with_the_root_of_tau(logits, tau, generator):
    return ((logits + _gumbel(logits, generator)) / tau**0.5).softmax(dim=1)


@wrong(GUMBEL, "a seed is taken from the generator, and the noise from PyTorch's global one.")
def gumbel_seeding_the_global_one(logits, tau, generator):
    torch.manual_seed(generator.initial_seed())
    return ((logits - torch.log(-torch.log(torch.rand_like(logits)))) / tau).softmax(dim=1)


@wrong(GUMBEL, "the noise is added to `logits` itself; it must not change.")
def gumbel_in_place(logits, tau, generator):
    return (logits.add_(_gumbel(logits, generator)) / tau).softmax(dim=1)


@wrong(GUMBEL, "every logit has the noise of another colour too: draw one u for each logit.")
def gumbel_shared_by_two_colours(logits, tau, generator):
    g = _gumbel(logits, generator)
    return ((logits + (g + g.roll(1, dims=1)) / 2) / tau).softmax(dim=1)


@wrong(GUMBEL, "the noise is detached together with the logits, which then get no right gradient.")
def gumbel_with_a_gradient_of_the_logits_alone(logits, tau, generator):
    noisy = ((logits.detach() + _gumbel(logits, generator)) / tau).softmax(dim=1)
    soft = logits.softmax(dim=1)
    return noisy + (soft - soft.detach())


def _hard(logits, axis=1):
    """One-hot weights of the largest logit along an axis."""
    return torch.zeros_like(logits).scatter_(axis, logits.argmax(dim=axis, keepdim=True), 1.0)


@wrong(THROUGH, "argmax has no gradient, so the picture never changes.")
def through_argmax_alone(logits):
    return _hard(logits.detach())


@wrong(THROUGH, "indices of colours are returned; weights have an axis of K colours.")
def through_numbers(logits):
    return logits.argmax(dim=1)


@wrong(THROUGH, "the colours' axis comes last, as F.one_hot leaves it; weights are (B, K, h, w).")
def through_colours_last(logits):
    soft = logits.softmax(dim=1).movedim(1, -1)
    return F.one_hot(logits.argmax(dim=1), logits.shape[1]) + (soft - soft.detach())


@wrong(THROUGH, "the softmax itself is returned: every pixel is still a mixture of colours.")
def through_softmax(logits):
    return logits.softmax(dim=1)


@wrong(THROUGH, "the largest logit is taken along a row of the picture, not over the colours.")
def through_along_a_row(logits):
    soft = logits.softmax(dim=1)
    return _hard(logits.detach(), axis=3) + (soft - soft.detach())


@wrong(THROUGH, "the softmax, whose gradient is borrowed, runs over the columns.")
def through_softmax_of_columns(logits):
    soft = logits.softmax(dim=-1)
    return _hard(logits.detach()) + (soft - soft.detach())


@wrong(THROUGH, "the gradient of the logits is used instead of the gradient of their softmax.")
def through_the_logits(logits):
    return _hard(logits.detach()) + (logits - logits.detach())


@wrong(THROUGH, "nothing is detached: soft - soft cancels in the backward pass too.")
def through_nothing_detached(logits):
    soft = logits.softmax(dim=1)
    return _hard(logits.detach()) + (soft - soft)


@wrong(THROUGH, "the detached term is added and the other subtracted: the gradient is flipped.")
def through_flipped(logits):
    soft = logits.softmax(dim=1)
    return _hard(logits.detach()) + (soft.detach() - soft)


@wrong(THROUGH, "soft is not subtracted again: the value is one-hot plus softmax, with sum 2.")
def through_with_soft_on_top(logits):
    return _hard(logits.detach()) + logits.softmax(dim=1)


@wrong(THROUGH, "one-hot is multiplied with softmax: the chosen colour has its probability, not 1.")
def through_a_product(logits):
    return _hard(logits.detach()) * logits.softmax(dim=1)


@wrong(
    THROUGH, "a colour is chosen only if its weight is above 0.5: undecided pixels get no colour."
)
def through_a_threshold(logits):
    soft = logits.softmax(dim=1)
    return (soft > 0.5).float() + (soft - soft.detach())


@wrong(THROUGH, "the chosen colour comes from Gumbel noise; here the largest logit wins, always.")
def through_gumbel(logits):
    return F.gumbel_softmax(logits, hard=True, dim=1)


@wrong(THROUGH, "brackets are missing: (one_hot + soft) - soft is only about 0 and 1 in float32.")
def through_without_brackets(logits):
    soft = logits.softmax(dim=1)
    return _hard(logits.detach()) + soft - soft.detach()


@wrong(THROUGH, "every colour whose logit equals the largest gets a 1; only the first should.")
def through_all_the_largest(logits):
    soft = logits.softmax(dim=1)
    hard = (logits == logits.amax(dim=1, keepdim=True)).float()
    return hard + (soft - soft.detach())


@wrong(THROUGH, "of equal logits the last is chosen; choose the first.")
def through_the_last(logits):
    soft = logits.softmax(dim=1)
    return _hard(logits.detach().flip(1)).flip(1) + (soft - soft.detach())


@wrong(THROUGH, "F.one_hot is not told the number of colours: it makes as many as are chosen.")
def through_fewer_colours(logits):
    soft = logits.softmax(dim=1)
    hard = F.one_hot(logits.argmax(dim=1)).movedim(-1, 1).float()
    return hard + (soft - soft.detach())[:, : hard.shape[1]]


@wrong(THROUGH, "the choice of the first picture is used for the whole batch.")
def through_the_first_picture(logits):
    soft = logits.softmax(dim=1)
    return _hard(logits.detach()[:1]) + (soft - soft.detach())


@wrong(THROUGH, "the choice and its gradient belong to other pixels: view is used for permute.")
def through_viewed(logits):
    soft = logits.softmax(dim=1)
    hard = F.one_hot(logits.argmax(dim=1), logits.shape[1]).reshape(logits.shape)
    return hard + (soft - soft.detach())


@wrong(THROUGH, "the softmax, whose gradient is borrowed, has a temperature; it has none.")
def through_a_cold_softmax(logits):
    soft = (logits / 0.1).softmax(dim=1)
    return _hard(logits.detach()) + (soft - soft.detach())


@wrong(THROUGH, "only the chosen colour's softmax sends a gradient; all colours should.")
def through_the_chosen_alone(logits):
    hard, soft = _hard(logits.detach()), logits.softmax(dim=1)
    return hard + hard * (soft - soft.detach())


@wrong(THROUGH, "the softmax, whose gradient is borrowed, runs over the batch.")
def through_softmax_of_the_batch(logits):
    soft = logits.softmax(dim=0)
    return _hard(logits.detach()) + (soft - soft.detach())


@wrong(THROUGH, "the gradient of log_softmax is used instead of that of the softmax.")
def through_log_softmax_itself(logits):
    soft = logits.log_softmax(dim=1)
    return _hard(logits.detach()) + (soft - soft.detach())


@both(through_flipped, through_along_a_row)
def through_flipped_along_a_row(logits):
    soft = logits.softmax(dim=1)
    return _hard(logits.detach(), axis=3) + (soft.detach() - soft)


@both(through_the_logits, through_along_a_row)
def through_the_logits_along_a_row(logits):
    return _hard(logits.detach(), axis=3) + (logits - logits.detach())


def _distances(image, palette):
    """L1 distances (B, K, h, w), as they should be."""
    pixels = (image + 1) / 2
    return (pixels[:, None] - palette[None, :, :, None, None]).abs().sum(dim=2)


def _balanced(logits):
    """Steps 2 and 3, as they should be."""
    return _scaled(logits - logits.mean(dim=1, keepdim=True))


def _scaled(logits, length=None):
    length = logits.shape[1] ** 0.5 if length is None else length
    return length * logits / logits.norm(dim=1, keepdim=True).clamp(min=1e-6)


@wrong(START, "the distance is not negated: the farthest colour has the largest logit.")
def start_with_the_farthest(image, palette):
    return _balanced(_distances(image, palette))


@wrong(START, "the image stays in [-1, 1] while the palette is in [0, 1]: dark colours win.")
def start_from_minus_one(image, palette):
    return _balanced(-_distances(2 * image - 1, palette))


@wrong(START, "the distance is Euclidean; use L1, the sum of absolute differences.")
def start_by_l2(image, palette):
    pixels = (image + 1) / 2
    return _balanced(-(pixels[:, None] - palette[None, :, :, None, None]).norm(dim=2))


@wrong(START, "the differences are squared; use L1, the sum of absolute differences.")
def start_by_squares(image, palette):
    pixels = (image + 1) / 2
    return _balanced(-(pixels[:, None] - palette[None, :, :, None, None]).square().sum(dim=2))


@wrong(START, "the largest of the three differences is taken; L1 is their sum.")
def start_by_the_largest(image, palette):
    pixels = (image + 1) / 2
    return _balanced(-(pixels[:, None] - palette[None, :, :, None, None]).abs().amax(dim=2))


@wrong(START, "cosine similarity replaces the distance: it cannot tell a colour from a darker one.")
def start_by_cosine(image, palette):
    pixels = (image + 1) / 2
    return _balanced(
        F.cosine_similarity(pixels[:, None], palette[None, :, :, None, None].clone(), dim=2)
    )


@wrong(START, "steps 2 and 3 are missing: the logits are only the negative distances.")
def start_unbalanced(image, palette):
    return -_distances(image, palette)


@wrong(START, "the mean over the colours is not subtracted before the scaling.")
def start_uncentred(image, palette):
    return _scaled(-_distances(image, palette))


@wrong(START, "step 3 is missing: some pixels start surer than others.")
def start_unscaled(image, palette):
    logits = -_distances(image, palette)
    return logits - logits.mean(dim=1, keepdim=True)


@wrong(START, "each vector of logits has the length 1; it should be sqrt(K).")
def start_of_length_one(image, palette):
    logits = -_distances(image, palette)
    return _scaled(logits - logits.mean(dim=1, keepdim=True), 1.0)


@wrong(START, "each vector of logits has the length K; it should be sqrt(K).")
def start_of_length_k(image, palette):
    logits = -_distances(image, palette)
    return _scaled(logits - logits.mean(dim=1, keepdim=True), len(palette))


@wrong(START, "it is divided by std, which uses K - 1: the length is then sqrt(K - 1).")
def start_by_std(image, palette):
    logits = -_distances(image, palette)
    logits = logits - logits.mean(dim=1, keepdim=True)
    return logits / logits.std(dim=1, keepdim=True).clamp(min=1e-6)


@wrong(START, "the mean is taken over the pixels; take it over the colours of each pixel.")
def start_centred_over_pixels(image, palette):
    logits = -_distances(image, palette)
    return _scaled(logits - logits.mean(dim=(2, 3), keepdim=True))


@wrong(START, "the whole picture is scaled with one length; scale every pixel with its own.")
def start_scaled_as_a_whole(image, palette):
    logits = -_distances(image, palette)
    logits = logits - logits.mean(dim=1, keepdim=True)
    length = logits.square().sum(dim=(1, 2, 3), keepdim=True).sqrt()
    return (logits.numel() / len(logits)) ** 0.5 * logits / length


@wrong(START, "a pixel equally far from all colours divides by zero: keep the length above 0.")
def start_dividing_by_zero(image, palette):
    logits = -_distances(image, palette)
    logits = logits - logits.mean(dim=1, keepdim=True)
    return len(palette) ** 0.5 * logits / logits.norm(dim=1, keepdim=True)


@wrong(START, "a softmax is applied at the end: the results are weights, not logits.")
def start_as_weights(image, palette):
    return _balanced(-_distances(image, palette)).softmax(dim=1)


@wrong(START, "the nearest colour gets 1 and all the others 0: how near they are is lost.")
def start_one_hot(image, palette):
    return _hard(-_distances(image, palette))


@wrong(START, "the colours' axis comes last; logits are (B, K, h, w).")
def start_colours_last(image, palette):
    return _balanced(-_distances(image, palette)).movedim(1, -1)


@wrong(START, "a large constant is added to the length, so undecided pixels stay undecided.")
def start_with_a_large_constant(image, palette):
    logits = -_distances(image, palette)
    logits = logits - logits.mean(dim=1, keepdim=True)
    return len(palette) ** 0.5 * logits / (logits.norm(dim=1, keepdim=True) + 0.05)


@wrong(START, "every pixel is divided by the picture's mean length; divide by its own.")
def start_by_the_mean_length(image, palette):
    logits = -_distances(image, palette)
    logits = logits - logits.mean(dim=1, keepdim=True)
    length = logits.norm(dim=1, keepdim=True).mean(dim=(2, 3), keepdim=True)
    return len(palette) ** 0.5 * logits / length.clamp(min=1e-6)


@wrong(START, "view is used where axes have to be moved (permute): channels mix with pixels.")
def start_viewed(image, palette):
    pixels = image.reshape(len(image), *image.shape[2:], 3).movedim(-1, 1)
    return _balanced(-_distances(pixels, palette))


@wrong(START, "the mean is subtracted after the scaling: subtract it first.")
def start_centred_last(image, palette):
    logits = _scaled(-_distances(image, palette))
    return logits - logits.mean(dim=1, keepdim=True)


@wrong(START, "the logits are clamped to [-2, 2]; with many colours they are larger.")
def start_clamped(image, palette):
    return _balanced(-_distances(image, palette)).clamp(-2, 2)


@wrong(START, "the length is 2 for every palette; it should be sqrt(K).")
def start_of_length_two(image, palette):
    logits = -_distances(image, palette)
    return _scaled(logits - logits.mean(dim=1, keepdim=True), 2.0)


@wrong(START, "the length is the sum of absolute values; it should be Euclidean.")
def start_of_an_l1_length(image, palette):
    logits = -_distances(image, palette)
    logits = logits - logits.mean(dim=1, keepdim=True)
    return len(palette) ** 0.5 * F.normalize(logits, p=1, dim=1)


@wrong(START, "the median of the colours is subtracted; subtract the mean.")
def start_centred_by_the_median(image, palette):
    logits = -_distances(image, palette)
    return _scaled(logits - logits.median(dim=1, keepdim=True).values)


@wrong(START, "distances of an earlier call are kept and used for other palettes too.")
def start_from_kept_distances(image, palette):
    return _balanced(-_kept.setdefault((START, image.shape), _distances(image, palette)))


@wrong(START, "the image is scaled to [0, 1] in place: the argument changes.")
def start_in_place(image, palette):
    image.add_(1).div_(2)
    return _balanced(-_distances(2 * image - 1, palette))


@wrong(START, "distances of the first picture are used for the whole batch.")
def start_as_the_first(image, palette):
    return _balanced(-_distances(image[:1].expand_as(image), palette))


@both(start_with_the_farthest, start_by_l2)
def start_with_the_farthest_by_l2(image, palette):
    return -start_by_l2.function(image, palette)


@both(start_by_l2, start_of_length_one)
def start_by_l2_of_length_one(image, palette):
    return start_by_l2.function(image, palette) / len(palette) ** 0.5


@both(start_with_the_farthest, start_of_length_one)
def start_with_the_farthest_of_length_one(image, palette):
    return -start_of_length_one.function(image, palette)


@both(start_from_minus_one, start_by_l2)
def start_from_minus_one_by_l2(image, palette):
    return start_by_l2.function(2 * image - 1, palette)


@both(start_by_std, start_dividing_by_zero)
def start_by_std_dividing_by_zero(image, palette):
    logits = -_distances(image, palette)
    logits = logits - logits.mean(dim=1, keepdim=True)
    return logits / logits.std(dim=1, keepdim=True)


@both(start_unscaled, start_by_l2)
def start_unscaled_by_l2(image, palette):
    pixels = (image + 1) / 2
    logits = -(pixels[:, None] - palette[None, :, :, None, None]).norm(dim=2)
    return logits - logits.mean(dim=1, keepdim=True)


def _nearest(pixels, centres):
    return torch.cdist(pixels, centres).argmin(dim=1)


@torch.no_grad()
def _means(pixels, centres, belongs):
    """The means by (N, K) of ones and zeros; a centre without pixels stays."""
    count = belongs.sum(dim=0)[:, None]
    return torch.where(count > 0, belongs.T @ pixels / count.clamp(min=1), centres)


@wrong(KMEANS, "a centre without pixels becomes 0 / 0; it should stay where it is.")
def kmeans_with_nan(pixels, centres):
    nearest = _nearest(pixels, centres)
    return torch.stack([pixels[nearest == k].mean(dim=0) for k in range(len(centres))])


@wrong(KMEANS, "a centre without pixels goes to zero; it should stay where it is.")
def kmeans_with_zeros(pixels, centres):
    belongs = F.one_hot(_nearest(pixels, centres), len(centres)).float()
    return belongs.T @ pixels / belongs.sum(dim=0).clamp(min=1)[:, None]


@wrong(KMEANS, "centres without pixels are left out; there must be K of them, in the same order.")
def kmeans_of_the_lively(pixels, centres):
    nearest = _nearest(pixels, centres)
    return torch.stack([pixels[nearest == k].mean(dim=0) for k in nearest.unique()])


@wrong(KMEANS, "a centre without pixels jumps to the mean of all; it should stay where it is.")
def kmeans_starting_anew(pixels, centres):
    nearest = _nearest(pixels, centres)
    own = [pixels[nearest == k] for k in range(len(centres))]
    return torch.stack([(part if len(part) else pixels).mean(dim=0) for part in own])


@wrong(KMEANS, "the median of the pixels is taken; Lloyd's centres are means.")
def kmeans_by_median(pixels, centres):
    nearest = _nearest(pixels, centres)
    own = [pixels[nearest == k] for k in range(len(centres))]
    pairs = zip(own, centres, strict=True)
    return torch.stack([part.median(dim=0).values if len(part) else old for part, old in pairs])


@wrong(KMEANS, "distances are L1; k-means, unlike the start of the logits, is Euclidean.")
def kmeans_by_l1(pixels, centres):
    nearest = torch.cdist(pixels, centres, p=1).argmin(dim=1)
    return _means(pixels, centres, F.one_hot(nearest, len(centres)).float())


@wrong(KMEANS, "every centre goes to the one pixel nearest to it: the argmin runs over the pixels.")
def kmeans_to_the_nearest_pixel(pixels, centres):
    return pixels[torch.cdist(pixels, centres).argmin(dim=0)]


@wrong(KMEANS, "argmax in place of argmin: every pixel goes to the farthest centre.")
def kmeans_by_the_farthest(pixels, centres):
    nearest = torch.cdist(pixels, centres).argmax(dim=1)
    return _means(pixels, centres, F.one_hot(nearest, len(centres)).float())


@wrong(KMEANS, "a pixel between two centres counts for both; only the first should get it.")
def kmeans_counting_twice(pixels, centres):
    distances = torch.cdist(pixels, centres)
    belongs = distances == distances.amin(dim=1, keepdim=True)
    return _means(pixels, centres, belongs.float())


@wrong(KMEANS, "of equally near centres the last gets the pixel; the first should get it.")
def kmeans_with_the_last(pixels, centres):
    nearest = len(centres) - 1 - torch.cdist(pixels, centres).flip(1).argmin(dim=1)
    return _means(pixels, centres, F.one_hot(nearest, len(centres)).float())


@wrong(KMEANS, "every pixel pulls every centre, near ones more: these are soft clusters.")
def kmeans_softly(pixels, centres):
    belongs = (-torch.cdist(pixels, centres)).softmax(dim=1)
    return belongs.T @ pixels / belongs.sum(dim=0)[:, None]


@wrong(KMEANS, "the sums are not divided by how many pixels each centre has.")
def kmeans_of_sums(pixels, centres):
    belongs = F.one_hot(_nearest(pixels, centres), len(centres)).float()
    return torch.where(belongs.sum(dim=0)[:, None] > 0, belongs.T @ pixels, centres)


@wrong(KMEANS, "the sums are divided by the number of all pixels, not by each centre's own.")
def kmeans_of_shares(pixels, centres):
    belongs = F.one_hot(_nearest(pixels, centres), len(centres)).float()
    means = belongs.T @ pixels / len(pixels)
    return torch.where(belongs.sum(dim=0)[:, None] > 0, means, centres)


@wrong(KMEANS, "the old centre is included in the mean of its pixels.")
def kmeans_with_the_old(pixels, centres):
    belongs = F.one_hot(_nearest(pixels, centres), len(centres)).float()
    return (belongs.T @ pixels + centres) / (belongs.sum(dim=0)[:, None] + 1)


@wrong(KMEANS, "the index of each pixel's centre is returned; return the new centres.")
def kmeans_of_numbers(pixels, centres):
    return _nearest(pixels, centres)


@wrong(KMEANS, "the centres are sorted by brightness; they must keep their order.")
def kmeans_sorted(pixels, centres):
    belongs = F.one_hot(_nearest(pixels, centres), len(centres)).float()
    new = _means(pixels, centres, belongs)
    return new[new.sum(dim=1).argsort(stable=True)]


@wrong(KMEANS, "the means are written into `centres` itself; it must not change.")
def kmeans_in_place(pixels, centres):
    nearest = _nearest(pixels, centres)
    for k in range(len(centres)):
        if (nearest == k).any():
            centres[k] = pixels[nearest == k].mean(dim=0)
    return centres


@wrong(KMEANS, "each centre moves before the next one's pixels are found; move all at once.")
def kmeans_one_after_the_other(pixels, centres):
    centres = centres.clone()
    for k in range(len(centres)):
        own = pixels[_nearest(pixels, centres) == k]
        if len(own):
            centres[k] = own.mean(dim=0)
    return centres


def _stepped(pixels, centres):
    """One step, as it should be."""
    belongs = F.one_hot(_nearest(pixels, centres), len(centres)).float()
    return _means(pixels, centres, belongs)


@wrong(KMEANS, "several steps are made; make one.")
def kmeans_iterated(pixels, centres):
    for _ in range(10):
        centres = _stepped(pixels, centres)
    return centres


@wrong(KMEANS, "two steps are made; make one.")
def kmeans_twice(pixels, centres):
    return _stepped(pixels, _stepped(pixels, centres))


@wrong(KMEANS, "the new centres are clamped to [0, 1]; pixels may have any colour space.")
def kmeans_clamped(pixels, centres):
    return _stepped(pixels, centres).clamp(0, 1)


@wrong(KMEANS, "a centre without pixels jumps to the pixel farthest from all; it should stay.")
def kmeans_jumping_afar(pixels, centres):
    nearest, distances = _nearest(pixels, centres), torch.cdist(pixels, centres)
    far = pixels[distances.amin(dim=1).argmax()]
    own = [pixels[nearest == k] for k in range(len(centres))]
    return torch.stack([part.mean(dim=0) if len(part) else far for part in own])


@wrong(KMEANS, "centres move only half of the way; move them to the mean.")
def kmeans_half_way(pixels, centres):
    return (centres + _stepped(pixels, centres)) / 2


@wrong(KMEANS, "distances are of one channel only: sum over all three.")
def kmeans_by_one_channel(pixels, centres):
    nearest = torch.cdist(pixels[:, :1], centres[:, :1]).argmin(dim=1)
    return _means(pixels, centres, F.one_hot(nearest, len(centres)).float())


@wrong(KMEANS, "the pixel nearest to the mean becomes the centre; the mean itself should.")
def kmeans_of_medoids(pixels, centres):
    new = _stepped(pixels, centres)
    return pixels[torch.cdist(new, pixels).argmin(dim=1)]


@both(kmeans_by_l1, kmeans_with_zeros)
def kmeans_by_l1_with_zeros(pixels, centres):
    nearest = torch.cdist(pixels, centres, p=1).argmin(dim=1)
    belongs = F.one_hot(nearest, len(centres)).float()
    return belongs.T @ pixels / belongs.sum(dim=0).clamp(min=1)[:, None]


@both(kmeans_by_l1, kmeans_with_nan)
def kmeans_by_l1_with_nan(pixels, centres):
    nearest = torch.cdist(pixels, centres, p=1).argmin(dim=1)
    return torch.stack([pixels[nearest == k].mean(dim=0) for k in range(len(centres))])


@both(kmeans_with_the_last, kmeans_with_zeros)
def kmeans_with_the_last_and_zeros(pixels, centres):
    nearest = len(centres) - 1 - torch.cdist(pixels, centres).flip(1).argmin(dim=1)
    belongs = F.one_hot(nearest, len(centres)).float()
    return belongs.T @ pixels / belongs.sum(dim=0).clamp(min=1)[:, None]


@both(kmeans_with_the_last, kmeans_with_the_old)
def kmeans_with_the_last_and_the_old(pixels, centres):
    nearest = len(centres) - 1 - torch.cdist(pixels, centres).flip(1).argmin(dim=1)
    belongs = F.one_hot(nearest, len(centres)).float()
    return (belongs.T @ pixels + centres) / (belongs.sum(dim=0)[:, None] + 1)


@both(kmeans_by_median, kmeans_by_l1)
def kmeans_by_l1_and_median(pixels, centres):
    nearest = torch.cdist(pixels, centres, p=1).argmin(dim=1)
    own = [pixels[nearest == k] for k in range(len(centres))]
    pairs = zip(own, centres, strict=True)
    return torch.stack([part.median(dim=0).values if len(part) else old for part, old in pairs])


EDGE = 0.1768


def _frequencies(image):
    """|f| in cycles a pixel, (h, w), as it should be."""
    height, width = image.shape[-2:]
    return torch.hypot(torch.fft.fftfreq(height)[:, None], torch.fft.fftfreq(width)[None])


def _heights(image, norm="ortho"):
    return torch.fft.fft2(image, norm=norm).abs()


@wrong(FFT, 'norm="ortho" is missing: the loss grows with the number of pixels.')
def fft_without_ortho(image):
    return _heights(image, None)[..., _frequencies(image) > EDGE].mean(dim=(1, 2)).sum()


@wrong(FFT, "the transform is divided by the number of pixels: the loss shrinks with the size.")
def fft_forward(image):
    return _heights(image, "forward")[..., _frequencies(image) > EDGE].mean(dim=(1, 2)).sum()


@wrong(FFT, "the low frequencies are penalised instead of the high: all turns into one colour.")
def fft_of_the_coarse(image):
    return _heights(image)[..., _frequencies(image) <= EDGE].mean(dim=(1, 2)).sum()


@wrong(FFT, "fftshift moved one of mask and spectrum alone: low frequencies are penalised.")
def fft_with_a_shifted_mask(image):
    fine = torch.fft.fftshift(_frequencies(image)) > EDGE
    return _heights(image)[..., fine].mean(dim=(1, 2)).sum()


@wrong(FFT, "|f| is counted in lines of the transform: this is right only for squares.")
def fft_in_lines(image):
    height, width = image.shape[-2:]
    lines = torch.hypot(
        torch.fft.fftfreq(height)[:, None] * height, torch.fft.fftfreq(width)[None] * width
    )
    fine = lines > min(height, width) * EDGE
    return _heights(image)[..., fine].mean(dim=(1, 2)).sum()


@wrong(
    FFT, "no frequency is left out: the drawing itself is penalised, most of all its mean colour."
)
def fft_of_everything(image):
    return _heights(image).mean(dim=(1, 2, 3)).sum()


@wrong(FFT, "the mean counts the low frequencies too, as zeros; average only the high ones.")
def fft_masked_by_zeros(image):
    return (_heights(image) * (_frequencies(image) > EDGE)).mean(dim=(1, 2, 3)).sum()


@wrong(FFT, "the amplitudes are squared: use |F|, not the power.")
def fft_squared(image):
    return _heights(image)[..., _frequencies(image) > EDGE].square().mean(dim=(1, 2)).sum()


@wrong(FFT, "it is averaged over the batch: the more pictures, the less each is smoothed.")
def fft_averaged_over_batch(image):
    return _heights(image)[..., _frequencies(image) > EDGE].mean()


@wrong(FFT, "the amplitudes are summed: the loss is a mean over channels and frequencies.")
def fft_summed(image):
    return _heights(image)[..., _frequencies(image) > EDGE].sum()


@wrong(FFT, "it is summed over the three channels; the mean runs over them too.")
def fft_summed_over_channels(image):
    return _heights(image)[..., _frequencies(image) > EDGE].mean(dim=2).sum()


@wrong(FFT, "one loss per picture is returned; return their sum.")
def fft_for_each(image):
    return _heights(image)[..., _frequencies(image) > EDGE].mean(dim=(1, 2))


@wrong(FFT, "only the real part is used: the cost of speckle then depends on its place.")
def fft_of_the_real_part(image):
    spectrum = torch.fft.fft2(image, norm="ortho").real.abs()
    return spectrum[..., _frequencies(image) > EDGE].mean(dim=(1, 2)).sum()


@wrong(FFT, "only rows are transformed, with fft; use fft2 for a picture.")
def fft_of_rows(image):
    fine = torch.fft.fftfreq(image.shape[-1]).abs() > EDGE
    return torch.fft.fft(image, norm="ortho").abs()[..., fine].mean(dim=(1, 2, 3)).sum()


@wrong(FFT, "the larger of the two frequencies is compared; |f| is the length of the vector.")
def fft_in_a_box(image):
    height, width = image.shape[-2:]
    down, across = torch.fft.fftfreq(height)[:, None], torch.fft.fftfreq(width)[None]
    fine = torch.maximum(down.abs(), across.abs()) > EDGE
    return _heights(image)[..., fine].mean(dim=(1, 2)).sum()


@wrong(FFT, "the loss is a Python number, and the graph is lost with .item().")
def fft_as_a_number(image):
    return _heights(image)[..., _frequencies(image) > EDGE].mean(dim=(1, 2)).sum().item()


def _mean_of_the_fine(heights, edge=EDGE):
    """The sum over the pictures, as it should be."""
    return heights[..., _frequencies(heights) > edge].mean(dim=(1, 2)).sum()


@wrong(FFT, "1 / 4 * sqrt(2) is 0.354: brackets are missing in 1 / (4 sqrt(2)).")
def fft_without_brackets(image):
    return _mean_of_the_fine(_heights(image), 1 / 4 * 2**0.5)


@wrong(FFT, "the frequencies on SD-πXL's bound, as (1/8, 1/8), count too; the bound is 0.1768.")
def fft_with_the_bound(image):
    return _mean_of_the_fine(_heights(image), 0.1767)


@wrong(FFT, "the bound is 1/4: fewer frequencies count.")
def fft_above_a_quarter(image):
    return _mean_of_the_fine(_heights(image), 0.25)


@wrong(FFT, "the bound is compared with |f|²; square it too, or take the root.")
def fft_of_squared_frequencies(image):
    return _heights(image)[..., _frequencies(image) ** 2 > EDGE].mean(dim=(1, 2)).sum()


@wrong(FFT, "fftn transforms the channels and the batch too; transform height and width.")
def fft_of_all_axes(image):
    return _mean_of_the_fine(torch.fft.fftn(image, norm="ortho").abs())


@wrong(FFT, "the channels are transformed too; transform height and width.")
def fft_of_the_channels_too(image):
    return _mean_of_the_fine(torch.fft.fftn(image, dim=(1, 2, 3), norm="ortho").abs())


@wrong(FFT, "rfft2 gives half of the spectrum, and its inner columns count twice in a mean.")
def fft_of_an_unweighted_half(image):
    spectrum = torch.fft.rfft2(image, norm="ortho").abs()
    fine = _frequencies(image)[:, : spectrum.shape[-1]] > EDGE
    return spectrum[..., fine].mean(dim=(1, 2)).sum()


@wrong(FFT, "the root of the sum of squares has no gradient at 0: use abs().")
def fft_by_a_root(image):
    spectrum = torch.fft.fft2(image, norm="ortho")
    return _mean_of_the_fine((spectrum.real**2 + spectrum.imag**2).sqrt())


@wrong(FFT, "the mean is taken of the complex numbers before abs().")
def fft_of_the_mean_number(image):
    spectrum = torch.fft.fft2(image, norm="ortho")[..., _frequencies(image) > EDGE]
    return spectrum.mean(dim=(1, 2)).abs().sum()


@wrong(FFT, "the frequencies are those of the width in both directions: right only for squares.")
def fft_with_one_side(image):
    height, width = image.shape[-2:]
    down = (torch.arange(height) / width).frac()
    across = torch.fft.fftfreq(width)
    fine = torch.hypot(torch.minimum(down, 1 - down)[:, None], across[None]) > EDGE
    return _heights(image)[..., fine].mean(dim=(1, 2)).sum()


@wrong(FFT, "frequencies are kept for a number of pixels; they depend on height and width.")
def fft_of_kept_frequencies(image):
    pixels = image.shape[-2] * image.shape[-1]
    frequencies = _kept.setdefault((FFT, pixels), _frequencies(image))
    fine = frequencies.reshape(image.shape[-2:]) > EDGE
    return _heights(image)[..., fine].mean(dim=(1, 2)).sum()


@wrong(FFT, "the logarithm of the amplitudes is used: use |F| itself.")
def fft_of_logarithms(image):
    return _mean_of_the_fine(_heights(image).log1p())


@wrong(FFT, "the image is scaled to [0, 1] first: the loss is half as large.")
def fft_of_half_the_range(image):
    return _mean_of_the_fine(_heights((image + 1) / 2))


@wrong(FFT, "the mean colour is penalised too: the frequency 0 counts.")
def fft_with_the_mean_colour(image):
    frequencies = _frequencies(image)
    fine = (frequencies > EDGE) | (frequencies == 0)
    return _heights(image)[..., fine].mean(dim=(1, 2)).sum()


@both(fft_without_ortho, fft_averaged_over_batch)
def fft_without_ortho_averaged(image):
    return _heights(image, None)[..., _frequencies(image) > EDGE].mean()


@both(fft_squared, fft_averaged_over_batch)
def fft_squared_and_averaged(image):
    return _heights(image)[..., _frequencies(image) > EDGE].square().mean()


@both(fft_without_ortho, fft_summed)
def fft_without_ortho_summed(image):
    return _heights(image, None)[..., _frequencies(image) > EDGE].sum()


@both(fft_without_ortho, fft_squared)
def fft_without_ortho_squared(image):
    return _mean_of_the_fine(_heights(image, None).square())


@both(fft_without_ortho, fft_of_the_coarse)
def fft_without_ortho_of_the_coarse(image):
    return _heights(image, None)[..., _frequencies(image) <= EDGE].mean(dim=(1, 2)).sum()


@both(fft_without_ortho, fft_of_everything)
def fft_without_ortho_of_everything(image):
    return _heights(image, None).mean(dim=(1, 2, 3)).sum()


@both(fft_masked_by_zeros, fft_averaged_over_batch)
def fft_masked_by_zeros_averaged(image):
    return (_heights(image) * (_frequencies(image) > EDGE)).mean()


@both(fft_without_ortho, fft_masked_by_zeros)
def fft_without_ortho_masked_by_zeros(image):
    return (_heights(image, None) * (_frequencies(image) > EDGE)).mean(dim=(1, 2, 3)).sum()


@both(fft_of_the_channels_too, fft_averaged_over_batch)
def fft_of_the_channels_averaged(image):
    heights = torch.fft.fftn(image, dim=(1, 2, 3), norm="ortho").abs()
    return heights[..., _frequencies(image) > EDGE].mean()


def _bound(step, steps, t_max, t_bound, bound_reached):
    way = min(1.0, step / (bound_reached * steps))
    return round(t_max + way * (t_bound - t_max))


def _between(low, high, batch, generator):
    return torch.randint(low, high + 1, (batch,), generator=generator)


@wrong(BOUNDED, "the bound does not fall: it is always t_max.")
def bound_staying(batch, step, steps, *, t_min, t_max, t_bound, bound_reached, generator):
    return _between(t_min, t_max, batch, generator)


@wrong(BOUNDED, "the bound is t_bound from the start.")
def bound_from_the_start(batch, step, steps, *, t_min, t_max, t_bound, bound_reached, generator):
    return _between(t_min, t_bound, batch, generator)


@wrong(BOUNDED, "the bound falls below t_bound: min(1, ...) is missing.")
def bound_falling_past(batch, step, steps, *, t_min, t_max, t_bound, bound_reached, generator):
    bound = round(t_max + step / (bound_reached * steps) * (t_bound - t_max))
    return _between(t_min, max(bound, t_min), batch, generator)


@wrong(BOUNDED, "the bound falls over the whole run: bound_reached is not used.")
def bound_over_the_run(batch, step, steps, *, t_min, t_max, t_bound, bound_reached, generator):
    return _between(t_min, _bound(step, steps, t_max, t_bound, 1.0), batch, generator)


@wrong(
    BOUNDED,
    "the progress is multiplied by bound_reached, so the bound falls slowly and never arrives.",
)
def bound_slowed(batch, step, steps, *, t_min, t_max, t_bound, bound_reached, generator):
    bound = round(t_max + bound_reached * step / steps * (t_bound - t_max))
    return _between(t_min, bound, batch, generator)


@wrong(BOUNDED, "the bound jumps to t_bound at once; it should fall linearly.")
def bound_jumping(batch, step, steps, *, t_min, t_max, t_bound, bound_reached, generator):
    bound = t_max if step < bound_reached * steps else t_bound
    return _between(t_min, bound, batch, generator)


@wrong(BOUNDED, "the bound rises, from t_bound to t_max.")
def bound_rising(batch, step, steps, *, t_min, t_max, t_bound, bound_reached, generator):
    return _between(t_min, _bound(step, steps, t_bound, t_max, bound_reached), batch, generator)


@wrong(BOUNDED, "the bound falls to t_min instead of t_bound.")
def bound_falling_to_t_min(batch, step, steps, *, t_min, t_max, t_bound, bound_reached, generator):
    return _between(t_min, _bound(step, steps, t_max, t_min, bound_reached), batch, generator)


@wrong(BOUNDED, "the bound itself is left out: the upper end of torch.randint is exclusive.")
def bound_exclusive(batch, step, steps, *, t_min, t_max, t_bound, bound_reached, generator):
    return _between(t_min, _bound(step, steps, t_max, t_bound, bound_reached) - 1, batch, generator)


@wrong(BOUNDED, "the bound is cut off to a whole number; round it.")
def bound_cut_off(batch, step, steps, *, t_min, t_max, t_bound, bound_reached, generator):
    way = min(1.0, step / (bound_reached * steps))
    return _between(t_min, int(t_max + way * (t_bound - t_max)), batch, generator)


@wrong(BOUNDED, "larger values are clamped to the bound, so the bound comes too often.")
def bound_by_clamping(batch, step, steps, *, t_min, t_max, t_bound, bound_reached, generator):
    t = _between(t_min, t_max, batch, generator)
    return t.clamp(max=_bound(step, steps, t_max, t_bound, bound_reached))


@wrong(BOUNDED, "t is the bound itself; draw it from t_min to the bound.")
def bound_itself(batch, step, steps, *, t_min, t_max, t_bound, bound_reached, generator):
    return torch.full((batch,), _bound(step, steps, t_max, t_bound, bound_reached))


@wrong(BOUNDED, "one timestep is drawn and repeated for the whole batch.")
def bound_shared_by_the_batch(
    batch, step, steps, *, t_min, t_max, t_bound, bound_reached, generator
):
    bound = _bound(step, steps, t_max, t_bound, bound_reached)
    return _between(t_min, bound, 1, generator).repeat(batch)


@wrong(BOUNDED, "the generator is not passed on, so a seed no longer repeats a run.")
def bound_without_generator(batch, step, steps, *, t_min, t_max, t_bound, bound_reached, generator):
    return _between(t_min, _bound(step, steps, t_max, t_bound, bound_reached), batch, None)


@wrong(BOUNDED, "the generator is seeded again inside, so every step sees the same noise levels.")
def bound_seeded_inside(batch, step, steps, *, t_min, t_max, t_bound, bound_reached, generator):
    bound = _bound(step, steps, t_max, t_bound, bound_reached)
    return _between(t_min, bound, batch, generator.manual_seed(0))


@wrong(BOUNDED, "t is drawn as a real number: timesteps index a table, so they are int64.")
def bound_real(batch, step, steps, *, t_min, t_max, t_bound, bound_reached, generator):
    bound = _bound(step, steps, t_max, t_bound, bound_reached)
    return t_min + (bound - t_min) * torch.rand(batch, generator=generator)


@wrong(BOUNDED, "the bound is that of the next step: step + 1 is used in place of step.")
def bound_of_the_next_step(batch, step, steps, *, t_min, t_max, t_bound, bound_reached, generator):
    return _between(t_min, _bound(step + 1, steps, t_max, t_bound, bound_reached), batch, generator)


@wrong(BOUNDED, "the way is divided by steps - 1: the fall ends too early, or divides by zero.")
def bound_of_a_shorter_run(batch, step, steps, *, t_min, t_max, t_bound, bound_reached, generator):
    bound = _bound(step, steps - 1, t_max, t_bound, bound_reached)
    return _between(t_min, bound, batch, generator)


@wrong(BOUNDED, "the way is divided by steps + 1: the fall ends too late.")
def bound_of_a_longer_run(batch, step, steps, *, t_min, t_max, t_bound, bound_reached, generator):
    bound = _bound(step, steps + 1, t_max, t_bound, bound_reached)
    return _between(t_min, bound, batch, generator)


@wrong(BOUNDED, "the bound is rounded up; round it to the nearest whole number.")
def bound_rounded_up(batch, step, steps, *, t_min, t_max, t_bound, bound_reached, generator):
    way = min(1.0, step / (bound_reached * steps))
    return _between(t_min, math.ceil(t_max + way * (t_bound - t_max)), batch, generator)


@wrong(BOUNDED, "bound_reached is taken for a number of steps; it is a fraction of the run.")
def bound_reached_at_once(batch, step, steps, *, t_min, t_max, t_bound, bound_reached, generator):
    way = min(1.0, step / bound_reached)
    return _between(t_min, round(t_max + way * (t_bound - t_max)), batch, generator)


@wrong(BOUNDED, "with bound_reached 0 the bound never falls; it is t_bound at every step then.")
def bound_without_a_fall(batch, step, steps, *, t_min, t_max, t_bound, bound_reached, generator):
    bound = _bound(step, steps, t_max, t_bound, bound_reached) if bound_reached else t_max
    return _between(t_min, bound, batch, generator)


@wrong(BOUNDED, "with bound_reached 0 the bound of step 0 is t_max; it is t_bound already then.")
def bound_falling_after_a_step(
    batch, step, steps, *, t_min, t_max, t_bound, bound_reached, generator
):
    bound = _bound(step, steps, t_max, t_bound, max(bound_reached, 1e-9))
    return _between(t_min, bound, batch, generator)


@wrong(BOUNDED, "the bound of a step is kept and used in other runs too.")
def bound_kept(batch, step, steps, *, t_min, t_max, t_bound, bound_reached, generator):
    bound = _bound(step, steps, t_max, t_bound, bound_reached)
    bound = int(_kept.setdefault((BOUNDED, step, steps), torch.tensor(bound)))
    return _between(min(t_min, bound), bound, batch, generator)


@wrong(BOUNDED, "t_min is left out.")
def bound_without_t_min(batch, step, steps, *, t_min, t_max, t_bound, bound_reached, generator):
    bound = _bound(step, steps, t_max, t_bound, bound_reached)
    return _between(min(t_min + 1, bound), bound, batch, generator)


@wrong(BOUNDED, "t is drawn from 0 and clamped to t_min, so t_min comes too often.")
def bound_lifted_to_t_min(batch, step, steps, *, t_min, t_max, t_bound, bound_reached, generator):
    bound = _bound(step, steps, t_max, t_bound, bound_reached)
    return _between(0, bound, batch, generator).clamp(min=t_min)


@wrong(BOUNDED, "real numbers are rounded, so the two ends come half as often.")
def bound_of_rounded_draws(batch, step, steps, *, t_min, t_max, t_bound, bound_reached, generator):
    bound = _bound(step, steps, t_max, t_bound, bound_reached)
    return (t_min + (bound - t_min) * torch.rand(batch, generator=generator)).round().long()


@wrong(BOUNDED, "u is kept away from 0 and 1, so the ends of the range come too often or never.")
def bound_of_clamped_draws(batch, step, steps, *, t_min, t_max, t_bound, bound_reached, generator):
    bound = _bound(step, steps, t_max, t_bound, bound_reached)
    u = torch.rand(batch, generator=generator).clamp(0.05, 0.95)
    return (t_min + u * (bound + 1 - t_min)).long()


@wrong(BOUNDED, "each latent draws from a part of the range of its own; draw from all of it.")
def bound_in_strata(batch, step, steps, *, t_min, t_max, t_bound, bound_reached, generator):
    bound = _bound(step, steps, t_max, t_bound, bound_reached)
    u = (torch.arange(batch) + torch.rand(batch, generator=generator)) / batch
    return (t_min + u * (bound + 1 - t_min)).long().clamp(max=bound)


@wrong(BOUNDED, "the timesteps are sorted: the first latent of a batch always gets the smallest.")
def bound_sorted(batch, step, steps, *, t_min, t_max, t_bound, bound_reached, generator):
    bound = _bound(step, steps, t_max, t_bound, bound_reached)
    return _between(t_min, bound, batch, generator).sort().values


def _sized(condition, batch, *numbers):
    """The condition with these numbers for each of B pictures."""
    return replace(condition, time_ids=torch.tensor([numbers]).float().repeat(batch, 1))


def _whole(x0, size, text, uncond):
    """Both conditions told that the canvas is a whole picture, as it should be."""
    numbers = (*size, 0, 0, *size)
    return _sized(text, len(x0), *numbers), _sized(uncond, len(x0), *numbers)


def _xt(prior, x0, t, eps):
    alpha_bar = prior.alpha_bar(t)
    return alpha_bar.sqrt() * x0 + (1 - alpha_bar).sqrt() * eps


@torch.no_grad()
def _towards(prior, x0, t, eps, conditions, scale, controls):
    """eps_hat - eps of two conditions that hold their numbers already, as it should be."""
    text, uncond = conditions
    xt = _xt(prior, x0, t, eps)
    eps_uncond, eps_text = prior.predict_noise(xt, t, uncond, text, controls=controls)
    return eps_uncond + scale * (eps_text - eps_uncond) - eps


def _told(numbers):
    """An answer that is right but for the six numbers that SDXL is told of a canvas of `size`."""

    def answer(prior, x0, t, eps, text, uncond, scale, size, controls):
        both = [_sized(condition, len(x0), *numbers(size)) for condition in (text, uncond)]
        return (1 - prior.alpha_bar(t)) * _towards(prior, x0, t, eps, both, scale, controls)

    return answer


@wrong(GRAD, "width comes before height: SDXL takes a wide canvas for a tall one.")
def sdxl_with_width_first(*arguments):
    return _told(lambda size: (size[1], size[0], 0, 0, size[1], size[0]))(*arguments)


@wrong(GRAD, "the size is in the place of the crop, which is 0, 0 for a whole picture.")
def sdxl_with_the_size_as_crop(*arguments):
    return _told(lambda size: (*size, *size, 0, 0))(*arguments)


@wrong(GRAD, "the crop starts in the middle: SDXL draws only a part of the picture.")
def sdxl_cropped(*arguments):
    return _told(lambda size: (*size, size[0] // 2, size[1] // 2, *size))(*arguments)


@wrong(GRAD, "the target's size is missing: the last two numbers are 0.")
def sdxl_without_target(*arguments):
    return _told(lambda size: (*size, 0, 0, 0, 0))(*arguments)


@wrong(GRAD, "the original's size is missing: SDXL takes the picture for a tiny one, and blurs.")
def sdxl_without_original(*arguments):
    return _told(lambda size: (0, 0, 0, 0, *size))(*arguments)


@wrong(GRAD, "the target's size is left out: there are four numbers instead of six.")
def sdxl_with_four_numbers(*arguments):
    return _told(lambda size: (*size, 0, 0))(*arguments)


@wrong(GRAD, "the size is always 1024 × 1024, not that of the canvas.")
def sdxl_of_full_size(*arguments):
    return _told(lambda size: (1024, 1024, 0, 0, 1024, 1024))(*arguments)


@wrong(GRAD, "crop and size are given as fractions of the canvas; give pixels.")
def sdxl_in_parts(*arguments):
    return _told(lambda size: (1, 1, 0, 0, 1, 1))(*arguments)


@wrong(GRAD, "the latents' height and width are given; give the canvas's, in pixels.")
def sdxl_of_the_latents_size(prior, x0, t, eps, text, uncond, scale, size, controls):
    told = _told(lambda _: (*x0.shape[-2:], 0, 0, *x0.shape[-2:]))
    return told(prior, x0, t, eps, text, uncond, scale, size, controls)


@wrong(GRAD, "the six numbers are missing: SDXL guesses how large and how cropped the picture is.")
def sdxl_without_numbers(prior, x0, t, eps, text, uncond, scale, size, controls):
    direction = _towards(prior, x0, t, eps, (text, uncond), scale, controls)
    return (1 - prior.alpha_bar(t)) * direction


@wrong(GRAD, "the six numbers are given once; every latent of the batch needs its own row.")
def sdxl_with_one_row(prior, x0, t, eps, text, uncond, scale, size, controls):
    both = [_sized(condition, 1, *size, 0, 0, *size) for condition in (text, uncond)]
    return (1 - prior.alpha_bar(t)) * _towards(prior, x0, t, eps, both, scale, controls)


@wrong(GRAD, "only the prompt's branch gets the size; the other one gets zeros.")
def sdxl_with_numbers_for_text_alone(prior, x0, t, eps, text, uncond, scale, size, controls):
    text = _sized(text, len(x0), *size, 0, 0, *size)
    uncond = _sized(uncond, len(x0), *[0] * 6)
    direction = _towards(prior, x0, t, eps, (text, uncond), scale, controls)
    return (1 - prior.alpha_bar(t)) * direction


@wrong(GRAD, "the pooled vectors are lost because the conditions are built again: use `replace`.")
def sdxl_without_pooled(prior, x0, t, eps, text, uncond, scale, size, controls):
    both = [replace(c, pooled=None) for c in _whole(x0, size, text, uncond)]
    return (1 - prior.alpha_bar(t)) * _towards(prior, x0, t, eps, both, scale, controls)


@wrong(GRAD, "the prompt's pooled vector is used for both branches; each has its own.")
def sdxl_with_one_pooled(prior, x0, t, eps, text, uncond, scale, size, controls):
    text, uncond = _whole(x0, size, text, uncond)
    uncond = replace(uncond, pooled=text.pooled)
    direction = _towards(prior, x0, t, eps, (text, uncond), scale, controls)
    return (1 - prior.alpha_bar(t)) * direction


@wrong(GRAD, "the negative branch gets a pooled vector of zeros; each branch keeps its own.")
def sdxl_with_zeroed_pooled(prior, x0, t, eps, text, uncond, scale, size, controls):
    text, uncond = _whole(x0, size, text, uncond)
    uncond = replace(uncond, pooled=torch.zeros_like(uncond.pooled))
    direction = _towards(prior, x0, t, eps, (text, uncond), scale, controls)
    return (1 - prior.alpha_bar(t)) * direction


@wrong(GRAD, "the pooled vectors of the two branches are swapped.")
def sdxl_with_swapped_pooled(prior, x0, t, eps, text, uncond, scale, size, controls):
    text, uncond = _whole(x0, size, text, uncond)
    both = replace(text, pooled=uncond.pooled), replace(uncond, pooled=text.pooled)
    return (1 - prior.alpha_bar(t)) * _towards(prior, x0, t, eps, both, scale, controls)


@wrong(GRAD, "the prompt's regions are lost because conditions are built again: use `replace`.")
def sdxl_without_regions(prior, x0, t, eps, text, uncond, scale, size, controls):
    both = _whole(x0, size, text, uncond)
    both = [Condition(c.tokens, c.pooled, c.time_ids) for c in both]
    return (1 - prior.alpha_bar(t)) * _towards(prior, x0, t, eps, both, scale, controls)


@wrong(GRAD, "the six numbers are whole numbers; they must be float32.")
def sdxl_in_whole_numbers(prior, x0, t, eps, text, uncond, scale, size, controls):
    both = [replace(c, time_ids=c.time_ids.long()) for c in _whole(x0, size, text, uncond)]
    return (1 - prior.alpha_bar(t)) * _towards(prior, x0, t, eps, both, scale, controls)


@wrong(GRAD, "the six numbers are float64; they must be float32.")
def sdxl_in_float64(prior, x0, t, eps, text, uncond, scale, size, controls):
    both = [replace(c, time_ids=c.time_ids.double()) for c in _whole(x0, size, text, uncond)]
    return (1 - prior.alpha_bar(t)) * _towards(prior, x0, t, eps, both, scale, controls)


@wrong(GRAD, "the six numbers of an earlier call are kept, though `size` is another now.")
def sdxl_of_a_kept_size(prior, x0, t, eps, text, uncond, scale, size, controls):
    told = torch.tensor([*size, 0, 0, *size]).float().repeat(len(x0), 1)
    told = _kept.setdefault((GRAD, len(x0)), told)
    both = [replace(condition, time_ids=told) for condition in (text, uncond)]
    return (1 - prior.alpha_bar(t)) * _towards(prior, x0, t, eps, both, scale, controls)


@wrong(GRAD, "the gradient of the first call is kept and returned for other arguments too.")
def sdxl_kept(prior, x0, t, eps, text, uncond, scale, size, controls):
    both = _whole(x0, size, text, uncond)
    direction = _towards(prior, x0, t, eps, both, scale, controls)
    return _kept.setdefault(GRAD, (1 - prior.alpha_bar(t)) * direction)


@wrong(GRAD, "the size is 8 times that of the latents; take `size` as it is given.")
def sdxl_of_eight_times_the_latents(prior, x0, t, eps, text, uncond, scale, size, controls):
    side = [8 * n for n in x0.shape[-2:]]
    both = _whole(x0, side, text, uncond)
    return (1 - prior.alpha_bar(t)) * _towards(prior, x0, t, eps, both, scale, controls)


@wrong(GRAD, "the branches are interleaved in the batch and then taken apart by chunk.")
@torch.no_grad()
def sdxl_interleaved_and_chunked(prior, x0, t, eps, text, uncond, scale, size, controls):
    both = cat([*reversed(_whole(x0, size, text, uncond))])
    twice = [replace(c, image=c.image.repeat_interleave(2, dim=0)) for c in controls]
    xt = _xt(prior, x0, t, eps).repeat_interleave(2, dim=0)
    (guesses,) = prior.predict_noise(xt, t.repeat_interleave(2), both, controls=twice)
    eps_uncond, eps_text = guesses.chunk(2)
    eps_hat = eps_uncond + scale * (eps_text - eps_uncond)
    return (1 - prior.alpha_bar(t)) * (eps_hat - eps)


@wrong(GRAD, "the six numbers are written into `text` and `uncond` themselves: use `replace`.")
def sdxl_changing_the_conditions(prior, x0, t, eps, text, uncond, scale, size, controls):
    for condition, told in zip((text, uncond), _whole(x0, size, text, uncond), strict=True):
        object.__setattr__(condition, "time_ids", told.time_ids)
    direction = _towards(prior, x0, t, eps, (text, uncond), scale, controls)
    return (1 - prior.alpha_bar(t)) * direction


@wrong(GRAD, "alpha_bar is indexed by the first timestep; every latent has its own.")
def sdxl_of_the_first_level(prior, x0, t, eps, text, uncond, scale, size, controls):
    both = _whole(x0, size, text, uncond)
    direction = _towards(prior, x0, t, eps, both, scale, controls)
    return (1 - prior.alpha_bar(t[:1])) * direction


@wrong(GRAD, "the picture is noised to the level of the first timestep; every latent has its own.")
@torch.no_grad()
def sdxl_noised_to_the_first_level(prior, x0, t, eps, text, uncond, scale, size, controls):
    text, uncond = _whole(x0, size, text, uncond)
    xt = _xt(prior, x0, t[:1], eps)
    eps_uncond, eps_text = prior.predict_noise(xt, t, uncond, text, controls=controls)
    eps_hat = eps_uncond + scale * (eps_text - eps_uncond)
    return (1 - prior.alpha_bar(t)) * (eps_hat - eps)


@wrong(GRAD, "the weight is the root of 1 - alpha_bar(t).")
def sdxl_weighted_by_the_root(prior, x0, t, eps, text, uncond, scale, size, controls):
    both = _whole(x0, size, text, uncond)
    direction = _towards(prior, x0, t, eps, both, scale, controls)
    return (1 - prior.alpha_bar(t)).sqrt() * direction


@wrong(GRAD, "the noise is added without the square roots of alpha_bar and 1 - alpha_bar.")
@torch.no_grad()
def sdxl_noised_without_roots(prior, x0, t, eps, text, uncond, scale, size, controls):
    text, uncond = _whole(x0, size, text, uncond)
    alpha_bar = prior.alpha_bar(t)
    xt = alpha_bar * x0 + (1 - alpha_bar) * eps
    eps_uncond, eps_text = prior.predict_noise(xt, t, uncond, text, controls=controls)
    return (1 - alpha_bar) * (eps_uncond + scale * (eps_text - eps_uncond) - eps)


@wrong(GRAD, "without guidance where the scale is 1 or less: the formula holds for every scale.")
def sdxl_guided_above_one_only(prior, x0, t, eps, text, uncond, scale, size, controls):
    both = _whole(x0, size, text, uncond)
    direction = _towards(prior, x0, t, eps, both, max(scale, 1.0), controls)
    return (1 - prior.alpha_bar(t)) * direction


@wrong(GRAD, "the gradient is clamped; it is returned as it is.")
def sdxl_clamped(prior, x0, t, eps, text, uncond, scale, size, controls):
    both = _whole(x0, size, text, uncond)
    direction = _towards(prior, x0, t, eps, both, scale, controls)
    return ((1 - prior.alpha_bar(t)) * direction).clamp(-1, 1)


@wrong(GRAD, "`controls` is not passed on: the ControlNets are not used.")
def sdxl_without_controls(prior, x0, t, eps, text, uncond, scale, size, controls):
    direction = _towards(prior, x0, t, eps, _whole(x0, size, text, uncond), scale, ())
    return (1 - prior.alpha_bar(t)) * direction


@wrong(GRAD, "only the first of the controls is passed on.")
def sdxl_with_one_control(prior, x0, t, eps, text, uncond, scale, size, controls):
    both = _whole(x0, size, text, uncond)
    direction = _towards(prior, x0, t, eps, both, scale, controls[:1])
    return (1 - prior.alpha_bar(t)) * direction


@wrong(GRAD, "the control pictures are scaled to [-1, 1]; they must stay in [0, 1].")
def sdxl_with_stretched_controls(prior, x0, t, eps, text, uncond, scale, size, controls):
    both = _whole(x0, size, text, uncond)
    stretched = [replace(control, image=2 * control.image - 1) for control in controls]
    return (1 - prior.alpha_bar(t)) * _towards(prior, x0, t, eps, both, scale, stretched)


@wrong(GRAD, "only the prompt's branch gets the controls, in its own call.")
@torch.no_grad()
def sdxl_with_controls_for_text_alone(prior, x0, t, eps, text, uncond, scale, size, controls):
    text, uncond = _whole(x0, size, text, uncond)
    xt = _xt(prior, x0, t, eps)
    (eps_uncond,) = prior.predict_noise(xt, t, uncond)
    (eps_text,) = prior.predict_noise(xt, t, text, controls=controls)
    eps_hat = eps_uncond + scale * (eps_text - eps_uncond)
    return (1 - prior.alpha_bar(t)) * (eps_hat - eps)


@wrong(
    GRAD, "the branches are predicted one after the other; pass both conditions to a single call."
)
@torch.no_grad()
def sdxl_in_two_calls(prior, x0, t, eps, text, uncond, scale, size, controls):
    xt = _xt(prior, x0, t, eps)
    both = _whole(x0, size, text, uncond)
    eps_text, eps_uncond = (
        prior.predict_noise(xt, t, condition, controls=controls)[0] for condition in both
    )
    eps_hat = eps_uncond + scale * (eps_text - eps_uncond)
    return (1 - prior.alpha_bar(t)) * (eps_hat - eps)


@wrong(GRAD, "guidance starts from eps_text, as in SD-πXL: one step stronger than our scale.")
def sdxl_guided_from_text(prior, x0, t, eps, text, uncond, scale, size, controls):
    both = _whole(x0, size, text, uncond)
    return (1 - prior.alpha_bar(t)) * _towards(prior, x0, t, eps, both, scale + 1, controls)


@wrong(GRAD, "the CFG branches are swapped: eps come back in the order the conditions went in.")
def sdxl_with_swapped_branches(prior, x0, t, eps, text, uncond, scale, size, controls):
    text, uncond = _whole(x0, size, text, uncond)
    direction = _towards(prior, x0, t, eps, (uncond, text), scale, controls)
    return (1 - prior.alpha_bar(t)) * direction


@wrong(GRAD, "there is no guidance: only the prompt's branch is used.")
def sdxl_without_guidance(prior, x0, t, eps, text, uncond, scale, size, controls):
    both = _whole(x0, size, text, uncond)
    return (1 - prior.alpha_bar(t)) * _towards(prior, x0, t, eps, both, 1.0, controls)


@wrong(GRAD, "the weight 1 - alpha_bar(t) is missing.")
def sdxl_without_weight(prior, x0, t, eps, text, uncond, scale, size, controls):
    return _towards(prior, x0, t, eps, _whole(x0, size, text, uncond), scale, controls)


@wrong(GRAD, "the weight is alpha_bar where it should be 1 - alpha_bar.")
def sdxl_weighted_by_signal(prior, x0, t, eps, text, uncond, scale, size, controls):
    both = _whole(x0, size, text, uncond)
    return prior.alpha_bar(t) * _towards(prior, x0, t, eps, both, scale, controls)


@wrong(GRAD, "the sign is flipped: it climbs away from the prompt.")
def sdxl_flipped(prior, x0, t, eps, text, uncond, scale, size, controls):
    both = _whole(x0, size, text, uncond)
    return (prior.alpha_bar(t) - 1) * _towards(prior, x0, t, eps, both, scale, controls)


@wrong(GRAD, "eps is not subtracted: the whole predicted noise is used as the gradient.")
def sdxl_without_eps(prior, x0, t, eps, text, uncond, scale, size, controls):
    both = _whole(x0, size, text, uncond)
    direction = _towards(prior, x0, t, eps, both, scale, controls) + eps
    return (1 - prior.alpha_bar(t)) * direction


@wrong(GRAD, "the noise is predicted at x0; the model must be asked at xt.")
@torch.no_grad()
def sdxl_predicted_at_x0(prior, x0, t, eps, text, uncond, scale, size, controls):
    text, uncond = _whole(x0, size, text, uncond)
    eps_uncond, eps_text = prior.predict_noise(x0, t, uncond, text, controls=controls)
    eps_hat = eps_uncond + scale * (eps_text - eps_uncond)
    return (1 - prior.alpha_bar(t)) * (eps_hat - eps)


@wrong(GRAD, "it is computed through x0 with the graph on; put it under torch.no_grad().")
def sdxl_with_graph(prior, x0, t, eps, text, uncond, scale, size, controls):
    text, uncond = _whole(x0, size, text, uncond)
    alpha_bar, xt = prior.alpha_bar(t), _xt(prior, x0, t, eps)
    eps_uncond, eps_text = prior.predict_noise(xt, t, uncond, text, controls=controls)
    eps_hat = eps_uncond + scale * (eps_text - eps_uncond)
    x0_hat = (xt - (1 - alpha_bar).sqrt() * eps_hat) / alpha_bar.sqrt()
    return (alpha_bar * (1 - alpha_bar)).sqrt() * (x0 - x0_hat)


@both(sdxl_guided_from_text, sdxl_with_one_control)
def sdxl_guided_from_text_with_one_control(prior, x0, t, eps, text, uncond, scale, size, controls):
    told = _whole(x0, size, text, uncond)
    direction = _towards(prior, x0, t, eps, told, scale + 1, controls[:1])
    return (1 - prior.alpha_bar(t)) * direction


@both(sdxl_without_weight, sdxl_without_controls)
def sdxl_without_weight_and_controls(prior, x0, t, eps, text, uncond, scale, size, controls):
    return _towards(prior, x0, t, eps, _whole(x0, size, text, uncond), scale, ())


@both(sdxl_without_weight, sdxl_guided_from_text)
def sdxl_without_weight_guided_from_text(prior, x0, t, eps, text, uncond, scale, size, controls):
    return _towards(prior, x0, t, eps, _whole(x0, size, text, uncond), scale + 1, controls)


@both(sdxl_with_swapped_branches, sdxl_without_weight)
def sdxl_swapped_without_weight(prior, x0, t, eps, text, uncond, scale, size, controls):
    text, uncond = _whole(x0, size, text, uncond)
    return _towards(prior, x0, t, eps, (uncond, text), scale, controls)


@both(sdxl_flipped, sdxl_with_swapped_branches)
def sdxl_flipped_with_swapped_branches(prior, x0, t, eps, text, uncond, scale, size, controls):
    text, uncond = _whole(x0, size, text, uncond)
    direction = _towards(prior, x0, t, eps, (uncond, text), scale, controls)
    return (prior.alpha_bar(t) - 1) * direction


@both(sdxl_in_whole_numbers, sdxl_with_one_pooled)
def sdxl_in_whole_numbers_with_one_pooled(prior, x0, t, eps, text, uncond, scale, size, controls):
    told = [replace(c, time_ids=c.time_ids.long()) for c in _whole(x0, size, text, uncond)]
    told[1] = replace(told[1], pooled=text.pooled)
    return (1 - prior.alpha_bar(t)) * _towards(prior, x0, t, eps, told, scale, controls)
