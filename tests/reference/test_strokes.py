"""What the pieces of stage 5 are: by closed forms, by OpenCV and diffusers, by the exact prior."""

from __future__ import annotations

import itertools
import math

import cv2
import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler
from torch import Tensor

from distillery.models.exact import GaussianMixturePrior
from distillery.models.prior import Condition
from distillery.models.schedule import scaled_linear_alphas_cumprod
from reference import strokes

ALPHAS_CUMPROD = scaled_linear_alphas_cumprod().float()
TIMESTEPS = torch.tensor([951, 701, 502, 333, 120, 0])  # a way of 5 steps that ends at timestep 0
SIZES = pytest.mark.parametrize(
    "size", [(2, 3, 13, 24), (1, 4, 31, 18), (3, 1, 9, 9)], ids=["wide", "tall", "square"]
)
BATCHES = pytest.mark.parametrize("shape", [(3, 4, 5, 8), (1, 3, 7, 4)], ids=["batch", "single"])


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def rand(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def levels(batch: int) -> Tensor:
    """alpha_bar of each picture, (B, 1, 1, 1)."""
    return torch.linspace(0.02, 0.97, batch).view(-1, 1, 1, 1)


def scheduler(**options: object) -> DDIMScheduler:
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        **options,
    )


# The painting operator


def opencv_blur(images: Tensor, sigma: float) -> Tensor:
    """Every channel by OpenCV, with zeros beyond the border."""
    radius = math.ceil(6 * sigma)
    side = 2 * radius + 1
    flat = images.flatten(0, 1).numpy()
    blurred = [
        cv2.GaussianBlur(one, (side, side), sigma, borderType=cv2.BORDER_CONSTANT) for one in flat
    ]
    return torch.from_numpy(np.stack(blurred)).view(images.shape)


@pytest.mark.parametrize("width", [0.06, 0.15, 0.7])
@SIZES
def test_paint_is_opencvs_blur_with_what_lies_beyond_the_border_divided_away(
    size: tuple[int, ...], width: float
) -> None:
    images, sigma = randn(*size), width * min(size[-2:])
    expected = opencv_blur(images, sigma) / opencv_blur(torch.ones(size), sigma)
    torch.testing.assert_close(strokes.paint(images, width), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("width", [0.02, 0.15, 3.0])
@SIZES
def test_a_picture_of_one_colour_stays_as_it_is(size: tuple[int, ...], width: float) -> None:
    images = randn(*size[:2], 1, 1).expand(size)
    torch.testing.assert_close(strokes.paint(images, width), images)


@pytest.mark.parametrize("size", [(41, 70), (64, 41), (82, 90)])
def test_a_dot_becomes_a_round_one_whose_width_follows_the_shorter_side(
    size: tuple[int, int],
) -> None:
    dot = torch.zeros(1, 1, *size)
    row, column = size[0] // 2, size[1] // 2
    dot[..., row, column] = 1
    (blot,) = strokes.paint(dot, 0.1)[0]
    for axis, middle in enumerate((row, column)):
        share = blot.sum(1 - axis) / blot.sum()
        variance = (share * (torch.arange(size[axis]) - middle).square()).sum()
        assert math.sqrt(variance) == pytest.approx(0.1 * min(size), rel=0.01)


def test_an_edge_becomes_the_normal_distribution_function() -> None:
    edge = torch.where(torch.arange(80) < 40, -1.0, 1.0).expand(2, 3, 40, 80)
    away = torch.arange(80) - 39.5
    expected = torch.erf(away / (math.sqrt(2) * 0.1 * 40)).expand_as(edge)
    inside = strokes.paint(edge, 0.1)[..., 20:60]
    torch.testing.assert_close(inside, expected[..., 20:60], rtol=0, atol=5e-3)


def test_a_picture_on_its_side_is_painted_the_same() -> None:
    images = randn(2, 4, 9, 16)
    on_side = strokes.paint(images.transpose(2, 3), 0.2).transpose(2, 3)
    torch.testing.assert_close(strokes.paint(images, 0.2), on_side)


@SIZES
def test_the_gradient_of_paint_is_its_transpose(size: tuple[int, ...]) -> None:
    """f is linear, so <f^T(c), v> = <c, f(v)> for every v."""
    images, pull, other = randn(*size).requires_grad_(), randn(*size, seed=1), randn(*size, seed=2)
    (gradient,) = torch.autograd.grad((pull * strokes.paint(images, 0.2)).sum(), images)
    expected = (pull * strokes.paint(other, 0.2)).sum()
    torch.testing.assert_close((gradient * other).sum(), expected, rtol=1e-4, atol=1e-4)


# The faithfulness loss


def as_it_is(images: Tensor) -> Tensor:
    return images


def linear(shape: tuple[int, ...]) -> Tensor:
    """A painting operator that mixes every number of a picture with every other one."""
    count = math.prod(shape[1:])
    return randn(count, count, seed=7) / math.sqrt(count)


@BATCHES
def test_the_loss_of_a_whole_painting_is_the_mean_squared_error(shape: tuple[int, ...]) -> None:
    images, painting = randn(*shape), randn(*shape, seed=1)
    losses = strokes.faithfulness_loss(as_it_is, images, painting, torch.ones(shape)[:, :1])
    assert losses.shape == shape[:1]
    pairs = zip(images, painting, strict=True)
    expected = [torch.nn.functional.mse_loss(one, other) for one, other in pairs]
    torch.testing.assert_close(losses, torch.stack(expected))


@BATCHES
def test_the_gradient_of_the_loss_goes_through_the_painting_operator(
    shape: tuple[int, ...],
) -> None:
    """2 m f^T f(m (x - y)) / (C sum m), outside [-1, 1] as inside."""
    matrix, mask = linear(shape), rand(shape[0], 1, *shape[2:])
    images, painting = (3 * randn(*shape)).requires_grad_(), randn(*shape, seed=1)

    losses = strokes.faithfulness_loss(
        lambda its: (its.flatten(1) @ matrix.T).view(its.shape), images, painting, mask
    )
    (gradient,) = torch.autograd.grad(losses.sum(), images)

    away = (mask * (images.detach() - painting)).flatten(1)
    painted = shape[1] * mask.sum((1, 2, 3))
    expected = mask * (away @ matrix.T @ matrix).view(shape) * 2
    torch.testing.assert_close(losses, (away @ matrix.T).square().sum(1) / painted)
    torch.testing.assert_close(gradient, expected / painted.view(-1, 1, 1, 1), rtol=1e-4, atol=1e-5)


def blur(images: Tensor) -> Tensor:
    return strokes.paint(images, 0.2)


@BATCHES
def test_what_is_not_painted_counts_for_nothing(shape: tuple[int, ...]) -> None:
    painting, mask = randn(*shape), (rand(shape[0], 1, *shape[2:]) < 0.5).float()
    images = randn(*shape, seed=1).requires_grad_()
    losses = strokes.faithfulness_loss(blur, images, painting, mask)
    (gradient,) = torch.autograd.grad(losses.sum(), images)
    others = torch.where(mask > 0, images, 9.0), torch.where(mask > 0, painting, -9.0)
    torch.testing.assert_close(strokes.faithfulness_loss(blur, *others, mask), losses)
    assert (gradient[(mask == 0).expand_as(gradient)] == 0).all()
    assert (gradient != 0).any()


def test_a_small_painting_weighs_as_much_as_a_large_one() -> None:
    images, painting = torch.zeros(2, 3, 6, 8), torch.full((2, 3, 6, 8), 0.5)
    mask = torch.ones(2, 1, 6, 8)
    mask[1, :, :, 2:] = 0
    losses = strokes.faithfulness_loss(as_it_is, images, painting, mask)
    torch.testing.assert_close(losses, torch.full((2,), 0.25))


def test_a_painting_with_sharp_edges_can_be_reached() -> None:
    painting = randn(2, 3, 8, 5).sign()
    mask = (rand(2, 1, 8, 5) < 0.7).float()
    assert (strokes.faithfulness_loss(blur, painting.clone(), painting, mask) == 0).all()


def test_a_picture_without_paint_has_a_loss_and_a_gradient_of_0() -> None:
    images, mask = randn(2, 3, 6, 8).requires_grad_(), torch.ones(2, 1, 6, 8)
    mask[0] = 0
    losses = strokes.faithfulness_loss(blur, images, randn(2, 3, 6, 8, seed=1), mask)
    (gradient,) = torch.autograd.grad(losses.sum(), images)
    assert losses[0] == 0
    assert losses[1] > 0
    assert (gradient[0] == 0).all()
    assert gradient.isfinite().all()


def test_the_loss_of_a_picture_does_not_depend_on_the_others() -> None:
    images, painting, mask = randn(3, 3, 6, 8), randn(3, 3, 6, 8, seed=1), rand(3, 1, 6, 8)
    together = strokes.faithfulness_loss(blur, images, painting, mask)
    for which in range(3):
        its = slice(which, which + 1)
        alone = strokes.faithfulness_loss(blur, images[its], painting[its], mask[its])
        torch.testing.assert_close(alone, together[its])


# Where SDEdit begins


@pytest.mark.parametrize(
    ("strength", "taken"), [(0.12, 1), (0.29, 1), (0.31, 2), (0.49, 2), (0.6, 3), (0.8, 4), (1, 5)]
)
@BATCHES
def test_sdedit_begins_with_the_noise_of_diffusers_at_its_first_step(
    shape: tuple[int, ...], strength: float, taken: int
) -> None:
    x0, eps = randn(*shape), randn(*shape, seed=1)
    first = TIMESTEPS[[5 - taken]].expand(shape[0])
    torch.testing.assert_close(
        strokes.sdedit_start(x0, eps, strength, TIMESTEPS, ALPHAS_CUMPROD),
        scheduler().add_noise(x0, eps, first),
    )


@pytest.mark.parametrize("strength", [0.2, 0.55, 1.0])
def test_latents_of_variance_1_keep_it_whatever_the_strength(strength: float) -> None:
    x0, eps = randn(1, 4, 150, 160), randn(1, 4, 150, 160, seed=1)
    xt = strokes.sdedit_start(x0, eps, strength, TIMESTEPS, ALPHAS_CUMPROD)
    assert float(xt.var()) == pytest.approx(1, abs=0.02)


def test_the_more_strength_the_less_of_the_painting_is_left() -> None:
    x0, nothing = randn(2, 4, 3, 5), torch.zeros(2, 4, 3, 5)
    left = [
        float(strokes.sdedit_start(x0, nothing, strength, TIMESTEPS, ALPHAS_CUMPROD).norm())
        for strength in (0.2, 0.4, 0.6, 0.8, 1.0)
    ]
    assert left == sorted(left, reverse=True)
    assert left[-1] < 0.2 * left[0]


# The finished latents that a noise implies


@BATCHES
def test_the_estimate_with_the_true_noise_is_the_picture(shape: tuple[int, ...]) -> None:
    x0, eps, alpha_bar = randn(*shape), randn(*shape, seed=1), levels(shape[0])
    xt = alpha_bar.sqrt() * x0 + (1 - alpha_bar).sqrt() * eps
    torch.testing.assert_close(strokes.x0_estimate(xt, eps, alpha_bar), x0, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("t", [1, 250, 981])
@BATCHES
def test_the_estimate_is_that_of_diffusers(shape: tuple[int, ...], t: int) -> None:
    ddim = scheduler()
    ddim.set_timesteps(50)
    xt, eps = randn(*shape), randn(*shape, seed=1)
    expected = ddim.step(eps, t, xt).pred_original_sample
    alpha_bar = ALPHAS_CUMPROD[t].expand(shape[0], 1, 1, 1)
    torch.testing.assert_close(strokes.x0_estimate(xt, eps, alpha_bar), expected)


def test_the_estimate_with_the_exact_noise_is_the_mean_of_all_pictures_that_fit() -> None:
    """x0 ~ N(mu, std^2): its mean given xt is that of two Gaussians, multiplied."""
    std, mean = 0.5, randn(1, 4, 3, 5)
    prior = GaussianMixturePrior(mean, std)
    xt, t = randn(2, 4, 3, 5, seed=1), torch.tensor([100, 800])
    (eps,) = prior.predict_noise(xt, t, prior.embed(["", ""]))
    alpha_bar = prior.alpha_bar(t)
    pull = alpha_bar.sqrt() * std**2 / (alpha_bar * std**2 + 1 - alpha_bar)
    expected = mean + pull * (xt - alpha_bar.sqrt() * mean)
    torch.testing.assert_close(
        strokes.x0_estimate(xt, eps, alpha_bar), expected, rtol=1e-4, atol=1e-5
    )


@BATCHES
def test_the_gradient_of_the_estimate_leaves_the_network_out(shape: tuple[int, ...]) -> None:
    xt, weight = randn(*shape).requires_grad_(), torch.tensor(0.7, requires_grad=True)
    pull, alpha_bar = randn(*shape, seed=1), levels(shape[0])
    eps = (weight * xt).sin()  # a network
    x0 = strokes.x0_estimate(xt, eps, alpha_bar)
    to_xt, to_weight = torch.autograd.grad((pull * x0).sum(), [xt, weight], allow_unused=True)
    torch.testing.assert_close(to_xt, pull / alpha_bar.sqrt())
    assert to_weight is None


# One burst of GradOP+


def to_target(target: Tensor, *, scale: float = 1.0):
    """A loss (B,) with its minimum at the target, steeper for each next picture."""
    steep = scale * torch.arange(1, len(target) + 1)

    def loss_of(latents: Tensor) -> Tensor:
        return steep * (latents - target).square().sum((1, 2, 3))

    return loss_of


def pulled(loss_of, x0: Tensor, grad_steps: int, learning_rate: float) -> Tensor:
    """A burst at the end of the way, without noise."""
    nothing, timesteps = torch.zeros(x0.shape), torch.tensor([500, -1])
    return strokes.burst(
        loss_of, x0, nothing, timesteps, 0, ALPHAS_CUMPROD, grad_steps, learning_rate
    )


@pytest.mark.parametrize("grad_steps", [0, 1, 2, 9])
@BATCHES
def test_a_burst_takes_the_steps_of_adam(shape: tuple[int, ...], grad_steps: int) -> None:
    """Kingma and Ba 2015, arXiv 1412.6980, algorithm 1, with its default settings."""
    x0, target = randn(*shape), randn(*shape, seed=1)
    gradient_of = torch.func.grad(lambda latents: to_target(target)(latents).sum())
    latents, m, v = x0.clone(), torch.zeros(shape), torch.zeros(shape)
    for step in range(1, grad_steps + 1):
        gradient = gradient_of(latents)
        m = 0.9 * m + 0.1 * gradient
        v = 0.999 * v + 0.001 * gradient**2
        latents = latents - 0.2 * (m / (1 - 0.9**step)) / ((v / (1 - 0.999**step)).sqrt() + 1e-8)
    found = pulled(to_target(target), x0, grad_steps, 0.2)
    torch.testing.assert_close(found, latents, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_one_step_goes_as_far_as_the_learning_rate_however_steep_the_loss_is(scale: float) -> None:
    x0, target = randn(2, 4, 5, 8), randn(2, 4, 5, 8, seed=1)
    found = pulled(to_target(target, scale=scale), x0, 1, 0.03)
    torch.testing.assert_close(found, x0 + 0.03 * (target - x0).sign(), rtol=0, atol=2e-4)


def test_many_steps_reach_the_painting() -> None:
    x0, target = randn(2, 3, 4, 7), randn(2, 3, 4, 7, seed=1)
    assert (pulled(to_target(target), x0, 300, 0.05) - target).abs().max() < 0.01


@pytest.mark.parametrize("index", range(5))
@BATCHES
def test_a_burst_adds_the_noise_that_the_next_step_expects(
    shape: tuple[int, ...], index: int
) -> None:
    x0, target, eps = randn(*shape), randn(*shape, seed=1), randn(*shape, seed=2)
    found = strokes.burst(to_target(target), x0, eps, TIMESTEPS, index, ALPHAS_CUMPROD, 3, 0.1)
    following = TIMESTEPS[[index + 1]].expand(shape[0])
    expected = scheduler().add_noise(pulled(to_target(target), x0, 3, 0.1), eps, following)
    torch.testing.assert_close(found, expected)


def test_the_end_of_the_way_has_no_noise() -> None:
    x0, eps = randn(2, 4, 5, 8), randn(2, 4, 5, 8, seed=1)
    timesteps = torch.tensor([500, -1])
    found = strokes.burst(to_target(x0), x0, eps, timesteps, 0, ALPHAS_CUMPROD, 0, 0.1)
    assert torch.equal(found, x0)


def test_a_burst_leaves_x0_alone_and_needs_no_graph() -> None:
    x0, target = randn(2, 3, 5, 8), randn(2, 3, 5, 8, seed=1)
    before = x0.clone()
    with torch.no_grad():
        found = pulled(to_target(target), x0, 2, 0.1)
    assert torch.equal(x0, before)
    assert not torch.equal(found, x0)
    again = pulled(to_target(target), x0.requires_grad_(), 2, 0.1)
    assert torch.equal(found, again)
    assert not again.requires_grad


def test_pictures_of_a_batch_are_pulled_each_for_itself() -> None:
    x0, target = randn(3, 4, 5, 6), randn(3, 4, 5, 6, seed=1)
    together = pulled(to_target(target), x0, 5, 0.1)
    for which in range(3):
        its = slice(which, which + 1)
        alone = pulled(to_target(target[its]), x0[its], 5, 0.1)
        torch.testing.assert_close(alone, together[its], rtol=1e-4, atol=1e-4)


# Words that are bound to regions


def left_and_right(height: int = 4, width: int = 6) -> Tensor:
    """Two halves, (2, H, W)."""
    left = (torch.arange(width) < width // 2).float().expand(height, width)
    return torch.stack([left, 1 - left])


def test_outside_its_region_a_word_keeps_exp_of_the_bias_of_its_odds() -> None:
    """Among L equal logits a word has 1 / L, and outside e^b / (L - 2 + e^b + e^a)."""
    inside, outside = 1.5, -4.0
    bias = strokes.region_bias(left_and_right(), [[2], [3]], 5, inside, outside)
    weights = bias.softmax(dim=1)[0]
    total = 3 + math.exp(inside) + math.exp(outside)
    expected = torch.full((5, 4, 6), 1 / total)
    expected[2, :, :3] = expected[3, :, 3:] = math.exp(inside) / total
    expected[2, :, 3:] = expected[3, :, :3] = math.exp(outside) / total
    torch.testing.assert_close(weights, expected)


def test_odds_against_a_free_word_change_in_proportion_to_the_mask_alone() -> None:
    """Whatever the logits are: log odds rise by outside + (inside - outside) mask."""
    logits, masks = randn(3, 6, 5, 7), rand(2, 5, 7)
    bias = strokes.region_bias(masks, [[1, 4], [3]], 6, 2.0, -3.0)

    def log_odds(its: Tensor) -> Tensor:
        weights = its.softmax(dim=1)
        return (weights[:, 1:5] / weights[:, :1]).log()

    change = log_odds(logits + bias) - log_odds(logits)
    mask = torch.stack([masks[0], torch.zeros(5, 7), masks[1], masks[0]])
    bound = torch.tensor([1.0, 0.0, 1.0, 1.0]).view(-1, 1, 1)
    expected = (bound * (-3 + 5 * mask)).expand_as(change)
    torch.testing.assert_close(change, expected, rtol=1e-4, atol=1e-4)


def test_a_word_of_two_regions_belongs_to_both_places() -> None:
    masks = rand(3, 4, 6)
    tokens = [[1, 2], [2], [3, 2, 2]]
    bias = strokes.region_bias(masks, tokens, 5, 2.0, -3.0)
    torch.testing.assert_close(bias[0, 2], -3 + 5 * masks.amax(0))
    backwards = strokes.region_bias(masks.flip(0), tokens[::-1], 5, 2.0, -3.0)
    assert torch.equal(bias, backwards)


def test_without_words_nothing_is_bound() -> None:
    bias = strokes.region_bias(rand(2, 4, 6), [[], []], 7, 2.0, -3.0)
    assert bias.shape == (1, 7, 4, 6)
    assert (bias == 0).all()


def test_the_exact_prior_hears_in_each_half_only_the_component_that_belongs_there() -> None:
    means = randn(2, 3, 4, 6)
    prior = GaussianMixturePrior(means, 0.4, names={"first": [0], "second": [1]})
    xt, t = randn(2, 3, 4, 6, seed=1), torch.tensor([150, 700])
    bias = strokes.region_bias(left_and_right(), [[0], [1]], 2, 0.0, -200.0)
    condition = Condition(prior.embed(["", ""]).tokens, attention_bias=bias.expand(2, -1, -1, -1))
    first, second, both = prior.predict_noise(
        xt, t, prior.embed(["first"] * 2), prior.embed(["second"] * 2), condition
    )
    expected = torch.cat([first[..., :3], second[..., 3:]], dim=-1)
    torch.testing.assert_close(both, expected, rtol=1e-4, atol=1e-5)


# Scores of several prompts


@BATCHES
@pytest.mark.parametrize("regions", [1, 3])
def test_regions_that_say_what_the_whole_says_are_plain_guidance(
    shape: tuple[int, ...], regions: int
) -> None:
    """However they overlap."""
    uncond, text, masks = randn(*shape), randn(*shape, seed=1), rand(regions, 1, *shape[2:])
    found = strokes.compose_scores(uncond, text, text.expand(regions, *shape), masks, 7.5)
    torch.testing.assert_close(found, uncond + 7.5 * (text - uncond), rtol=1e-4, atol=1e-4)


def weights_of(masks: Tensor) -> Tensor:
    """How much the whole and each region count at each place, (K + 1, h, w), read off the result.

    Each says 1 in turn where all others say 0.
    """
    count, _, height, width = masks.shape
    nothing = torch.zeros(1, 1, height, width)
    said = torch.eye(count + 1).view(count + 1, count + 1, 1, 1, 1, 1)
    results = [
        strokes.compose_scores(nothing, its[0] + nothing, its[1:] + nothing, masks, 1.0)[0, 0]
        for its in said
    ]
    return torch.stack(results)


@pytest.mark.parametrize("regions", [1, 2, 4])
def test_the_weights_of_each_place_are_a_partition_of_unity(regions: int) -> None:
    masks = rand(regions, 1, 6, 9)
    masks[:, :, :2] = 0  # nobody's
    masks[:, :, 4:] = 1  # everybody's
    weights = weights_of(masks)
    torch.testing.assert_close(weights.sum(0), torch.ones(6, 9))
    assert (weights > -1e-6).all()
    torch.testing.assert_close(weights[0], (1 - masks.sum(0)[0]).clamp(min=0), rtol=0, atol=1e-6)
    torch.testing.assert_close(weights[1:, 4:], torch.full((regions, 2, 9), 1 / regions))


def test_masks_that_leave_room_are_the_weights() -> None:
    masks = 0.3 * rand(3, 1, 5, 7)
    torch.testing.assert_close(weights_of(masks)[1:], masks[:, 0])


@BATCHES
def test_each_half_follows_its_own_prompt(shape: tuple[int, ...]) -> None:
    uncond, whole, parts = randn(*shape), randn(*shape, seed=1), randn(2, *shape, seed=2)
    half = shape[-1] // 2
    masks = left_and_right(*shape[2:])[:, None]
    found = strokes.compose_scores(uncond, whole, parts, masks, 4.0)
    guided = uncond + 4 * (parts - uncond)
    expected = torch.cat([guided[0][..., :half], guided[1][..., half:]], dim=-1)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@BATCHES
def test_where_no_region_is_the_whole_has_the_say(shape: tuple[int, ...]) -> None:
    uncond, whole, parts = randn(*shape), randn(*shape, seed=1), randn(2, *shape, seed=2)
    found = strokes.compose_scores(uncond, whole, parts, torch.zeros(2, 1, *shape[2:]), 4.0)
    torch.testing.assert_close(found, uncond + 4 * (whole - uncond))


def test_at_scale_0_no_prompt_counts() -> None:
    shape = (2, 4, 3, 5)
    uncond, whole, parts = randn(*shape), randn(*shape, seed=1), randn(3, *shape, seed=2)
    assert torch.equal(strokes.compose_scores(uncond, whole, parts, rand(3, 1, 3, 5), 0.0), uncond)


def test_the_order_of_the_regions_does_not_matter() -> None:
    shape = (2, 3, 4, 7)
    uncond, whole, parts = randn(*shape), randn(*shape, seed=1), randn(3, *shape, seed=2)
    masks = rand(3, 1, 4, 7)
    first, *others = [
        strokes.compose_scores(uncond, whole, parts[list(order)], masks[list(order)], 7.5)
        for order in itertools.permutations(range(3))
    ]
    for other in others:
        torch.testing.assert_close(first, other, rtol=1e-4, atol=1e-4)
