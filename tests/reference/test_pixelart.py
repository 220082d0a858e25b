"""What the pieces of pixel art are, by closed forms, by properties and by the exact prior."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from distillery.models.exact import GaussianMixturePrior
from distillery.models.prior import Control
from distillery.pixelart.settings import PixelSettings
from reference import pixelart, sds

PALETTE = torch.tensor(
    [[0.1, 0.2, 0.3], [0.9, 0.8, 0.1], [0.5, 0.0, 0.7], [1.0, 1.0, 1.0], [0.0, 0.6, 0.2]]
)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=seeded(seed))


def one_hot(index: Tensor) -> Tensor:
    """Weights (B, K, h, w) of the colours in an index grid (B, h, w)."""
    return torch.nn.functional.one_hot(index, len(PALETTE)).movedim(-1, 1).float()


def index_grid(*shape: int, seed: int = 0) -> Tensor:
    return torch.randint(len(PALETTE), shape, generator=seeded(seed))


def test_whole_weights_paint_exactly_the_palettes_colours() -> None:
    index = index_grid(2, 4, 7)
    painted = pixelart.paint(one_hot(index), PALETTE)
    assert torch.equal(painted, (2 * PALETTE - 1)[index].movedim(-1, 1))


def test_equal_weights_paint_the_mean_of_the_palette() -> None:
    painted = pixelart.paint(torch.full((2, 5, 3, 4), 0.2), PALETTE)
    expected = (2 * PALETTE.mean(dim=0) - 1).view(1, 3, 1, 1).expand(2, 3, 3, 4)
    torch.testing.assert_close(painted, expected)


def test_pictures_with_palettes_of_their_own_are_painted_as_each_alone() -> None:
    weights = randn(3, 3, 4, 6).softmax(dim=1)
    palettes = torch.rand(3, 3, 3, generator=seeded(1))
    alone = [pixelart.paint(weights[k, None], palettes[k]) for k in range(3)]
    torch.testing.assert_close(pixelart.paint(weights, palettes), torch.cat(alone))


@pytest.mark.parametrize("tau", [0.05, 1.0, 8.0])
def test_gumbel_chooses_a_colour_as_often_as_softmax_wants_it(tau: float) -> None:
    logits = torch.tensor([1.5, 0.0, -0.5, 0.7, -2.0]).view(1, 5, 1, 1)
    weights = pixelart.gumbel_softmax(logits.expand(2, 5, 90, 110), tau, seeded())
    shares = one_hot(weights.argmax(dim=1)).mean(dim=(0, 2, 3))
    torch.testing.assert_close(shares, logits.softmax(dim=1).flatten(), atol=0.015, rtol=0)
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(2, 90, 110))


@pytest.mark.parametrize("tau", [0.4, 2.5])
def test_gumbels_weights_are_those_of_the_concrete_distribution(tau: float) -> None:
    """Moments of `torch.distributions`' own."""
    logits = torch.tensor([1.5, 0.0, -0.5, 0.7, -2.0])
    mine = pixelart.gumbel_softmax(logits.view(1, 5, 1, 1).expand(2, 5, 90, 110), tau, seeded())
    mine = mine.movedim(1, -1).flatten(0, 2)
    torch.manual_seed(0)
    concrete = torch.distributions.RelaxedOneHotCategorical(torch.tensor(tau), logits=logits)
    theirs = concrete.sample((len(mine),))
    for power in (1, 2):
        expected = theirs.pow(power).mean(dim=0)
        torch.testing.assert_close(mine.pow(power).mean(dim=0), expected, atol=0.015, rtol=0)


def test_a_small_tau_makes_gumbels_weights_hard_and_a_large_one_equal() -> None:
    logits = randn(2, 5, 6, 8)
    hard, equal = (pixelart.gumbel_softmax(logits, tau, seeded()) for tau in (1e-3, 1e4))
    assert hard.amax(dim=1).mean() > 0.99
    assert (equal - 0.2).abs().max() < 1e-2


@pytest.mark.parametrize("u", [0.0, 1 - 2**-24])
def test_the_ends_of_a_uniform_draw_leave_gumbel_finite(u: float, monkeypatch) -> None:
    monkeypatch.setattr(torch, "rand", lambda shape, **_: torch.full(shape, u))
    logits = randn(2, 5, 3, 4).requires_grad_()
    weights = pixelart.gumbel_softmax(logits, 0.5, seeded())
    weights.square().sum().backward()
    assert weights.isfinite().all()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_gumbels_noise_is_another_for_every_picture_pixel_and_colour() -> None:
    weights = pixelart.gumbel_softmax(torch.zeros(2, 5, 4, 7), 1.0, seeded())
    assert len(weights.unique()) == weights.numel()


def test_gumbel_is_repeated_by_its_seed_and_new_at_every_call() -> None:
    logits, generator = randn(2, 5, 3, 4), seeded(3)
    first = pixelart.gumbel_softmax(logits, 1.0, generator)
    assert not torch.equal(first, pixelart.gumbel_softmax(logits, 1.0, generator))
    assert torch.equal(first, pixelart.gumbel_softmax(logits, 1.0, seeded(3)))


def test_straight_through_has_the_value_of_argmax_and_the_gradient_of_softmax() -> None:
    logits, pull = randn(2, 5, 4, 7), randn(2, 5, 4, 7, seed=1)

    def gradient(weights_of) -> Tensor:
        leaf = logits.clone().requires_grad_()
        (pull * weights_of(leaf)).sum().backward()
        assert leaf.grad is not None
        return leaf.grad

    torch.testing.assert_close(pixelart.straight_through(logits), one_hot(logits.argmax(dim=1)))
    torch.testing.assert_close(
        gradient(pixelart.straight_through), gradient(lambda leaf: leaf.softmax(dim=1))
    )


def test_the_largest_logit_of_an_image_is_the_nearest_colour_in_l1() -> None:
    image = 2 * torch.rand(2, 3, 5, 8, generator=seeded()) - 1
    logits = pixelart.logits_from_image(image, PALETTE)
    for b, y, x in itertools.product(range(2), range(5), range(8)):
        pixel = ((image[b, :, y, x] + 1) / 2).tolist()
        distances = [
            sum(abs(p - c) for p, c in zip(pixel, colour, strict=True))
            for colour in PALETTE.tolist()
        ]
        assert int(logits[b, :, y, x].argmax()) == min(range(5), key=distances.__getitem__)


def test_all_pixels_of_an_image_begin_equally_sure() -> None:
    image = 2 * torch.rand(2, 3, 5, 8, generator=seeded()) - 1
    logits = pixelart.logits_from_image(image, PALETTE)
    assert logits.mean(dim=1).abs().max() < 1e-5
    torch.testing.assert_close(logits.norm(dim=1), torch.full((2, 5, 8), 5**0.5))


def test_a_pixel_as_far_from_every_colour_has_no_wish() -> None:
    black_and_white = torch.tensor([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    logits = pixelart.logits_from_image(torch.zeros(2, 3, 2, 3), black_and_white)
    assert torch.equal(logits, torch.zeros(2, 2, 2, 3))


def inertia(pixels: Tensor, centres: Tensor) -> float:
    """The sum of the squared distances to the nearest centre, which Lloyd's steps lower."""
    return float((pixels[:, None] - centres).square().sum(dim=2).amin(dim=1).double().sum())


def test_a_step_of_kmeans_never_raises_the_inertia_and_ends_in_a_fixed_point() -> None:
    pixels = torch.rand(300, 3, generator=seeded())
    centres = pixels[:6].clone()
    heights = [inertia(pixels, centres)]
    for _ in range(60):
        centres = pixelart.kmeans_step(pixels, centres)
        heights.append(inertia(pixels, centres))
    assert all(after <= before + 1e-5 for before, after in itertools.pairwise(heights))
    assert heights[-1] < 0.9 * heights[0]
    torch.testing.assert_close(pixelart.kmeans_step(pixels, centres), centres)


def test_a_centre_moves_to_the_mean_of_its_pixels_and_one_without_stays() -> None:
    pixels = torch.tensor([[0.0, 0.0, 0.0], [0.5, 0.25, 0.0], [1.0, 1.0, 1.0]])
    centres = torch.tensor([[9.0, 9.0, 9.0], [0.75, 1.0, 1.0], [0.25, 0.0, 0.0]])
    before = centres.clone()
    expected = torch.tensor([[9.0, 9.0, 9.0], [1.0, 1.0, 1.0], [0.25, 0.125, 0.0]])
    assert torch.equal(pixelart.kmeans_step(pixels, centres), expected)
    assert torch.equal(centres, before)


def test_all_centres_move_at_once_and_the_first_has_a_pixel_in_the_middle() -> None:
    """The pixel at 5 is between both; that at 6.5 would be lost to a first centre moved before."""
    pixels = torch.tensor([[4.0, 0.0, 0.0], [5.0, 0.0, 0.0], [6.5, 0.0, 0.0], [9.0, 0.0, 0.0]])
    centres = torch.tensor([[0.0, 0.0, 0.0], [10.0, 0.0, 0.0]])
    expected = torch.tensor([[4.5, 0.0, 0.0], [7.75, 0.0, 0.0]])
    assert torch.equal(pixelart.kmeans_step(pixels, centres), expected)


def test_colours_that_are_all_there_is_are_found_exactly() -> None:
    pixels = PALETTE[index_grid(200)]
    centres = pixelart.kmeans_step(pixels, PALETTE + 0.05 * randn(5, 3))
    torch.testing.assert_close(centres, PALETTE)


@pytest.mark.parametrize(("height", "width"), [(12, 20), (20, 12), (60, 44), (33, 7)])
def test_speckle_of_one_strength_costs_the_same_at_every_size(height: int, width: int) -> None:
    """|F| of white noise is Rayleigh distributed, with the mean sigma sqrt(pi) / 2."""
    loss = pixelart.fft_loss(0.3 * randn(24, 3, height, width)) / 24
    assert float(loss) == pytest.approx(0.3 * math.sqrt(math.pi) / 2, rel=0.03)


def test_a_picture_and_its_transpose_are_equally_rough() -> None:
    image = randn(2, 3, 5, 8)
    torch.testing.assert_close(pixelart.fft_loss(image), pixelart.fft_loss(image.mT))


def test_a_constant_picture_and_a_slow_wave_cost_nothing() -> None:
    wave = torch.cos(2 * math.pi * torch.arange(18) / 18).expand(2, 3, 10, 18)
    assert pixelart.fft_loss(torch.full((2, 3, 10, 18), 0.7)) < 1e-5
    assert pixelart.fft_loss(wave) < 1e-5


def test_a_chessboard_costs_its_one_frequency() -> None:
    """It has one line in its spectrum, at (1/2, 1/2), of the height sqrt(h w)."""
    y, x = torch.meshgrid(torch.arange(6), torch.arange(10), indexing="ij")
    board = (1 - 2 * ((x + y) % 2)).float().expand(2, 3, 6, 10)
    heights, widths = ([min(i, n - i) / n for i in range(n)] for n in (6, 10))
    fine = sum(32 * (v**2 + u**2) > 1 for v, u in itertools.product(heights, widths))
    assert float(pixelart.fft_loss(board)) == pytest.approx(2 * 60**0.5 / fine, rel=1e-5)


def test_descending_the_fft_loss_takes_out_speckle_and_leaves_the_drawing() -> None:
    drawing = torch.zeros(1, 3, 12, 20)
    drawing[..., 6:, :] = 0.8
    noise = 0.2 * randn(1, 3, 12, 20)
    image = (drawing + noise).requires_grad_()
    optimiser = torch.optim.SGD([image], lr=10.0)
    for _ in range(20):
        optimiser.zero_grad()
        pixelart.fft_loss(image).backward()
        optimiser.step()
    left = image.detach() - drawing
    assert left.std() < 0.8 * noise.std()
    assert image.detach().mean(dim=(0, 1, 3))[8] > 0.6


def test_the_bound_is_t_max_at_first_halfway_in_the_middle_and_then_t_bound() -> None:
    def bounds(step: int) -> tuple[int, int]:
        t = pixelart.bounded_timesteps(
            4000,
            step,
            100,
            t_min=20,
            t_max=60,
            t_bound=40,
            bound_reached=0.5,
            generator=seeded(),
        )
        return int(t.min()), int(t.max())

    assert {step: bounds(step) for step in (0, 25, 50, 75, 99)} == {
        0: (20, 60),
        25: (20, 50),
        50: (20, 40),
        75: (20, 40),
        99: (20, 40),
    }


@pytest.mark.parametrize("step", [0, 1, 99])
def test_a_bound_reached_after_none_of_the_run_is_t_bound_at_every_step(step: int) -> None:
    bounds = {"t_min": 20, "t_max": 60, "t_bound": 40, "bound_reached": 0.0}
    t = pixelart.bounded_timesteps(4000, step, 100, **bounds, generator=seeded())
    assert (int(t.min()), int(t.max())) == (20, 40)


def test_a_bound_that_stays_is_uniform_sampling() -> None:
    bounds = {"t_min": 20, "t_max": 980}
    mine = pixelart.bounded_timesteps(
        7, 30, 100, **bounds, t_bound=980, bound_reached=1.0, generator=seeded()
    )
    theirs = sds.sample_timesteps(7, 30, 100, **bounds, generator=seeded())
    assert torch.equal(mine, theirs)
    assert mine.dtype == torch.int64


class Mixture:
    """Two latents, and a mixture of two pictures that has heard of both."""

    def __init__(self) -> None:
        means = 0.5 * randn(2, 3, 4, 6, seed=5)
        self.prior = GaussianMixturePrior(means, std=0.4, names={"one": [0], "other": [1]})
        self.x0, self.eps = randn(2, 2, 3, 4, 6, seed=6)
        self.t = torch.tensor([150, 620])
        self.text, self.uncond = self.prior.embed(["one", "other"]), self.prior.embed(["", ""])

    def grad(self, controls: tuple[Control, ...] = (), shift: Tensor | float = 0.0) -> Tensor:
        given = (self.prior, self.x0 + shift, self.t, self.eps, self.text, self.uncond, 7.5)
        return pixelart.sdxl_grad(*given, (32, 48), controls)


def test_without_controls_the_gradient_is_that_of_stage_1() -> None:
    own = Mixture()
    expected = sds.sds_grad(own.prior, own.x0, own.t, own.eps, own.text, own.uncond, 7.5)
    torch.testing.assert_close(own.grad(), expected)


def test_a_control_that_moves_every_mean_is_a_latent_moved_the_other_way() -> None:
    own = Mixture()
    picture = torch.rand(2, 3, 4, 6, generator=seeded(7))
    held = own.grad((Control("canny", picture, scale=0.6),))
    torch.testing.assert_close(held, own.grad(shift=-0.6 * picture), atol=1e-4, rtol=1e-4)
    assert (held - own.grad()).abs().max() > 0.1


def test_both_branches_are_told_the_canvas_and_keep_their_pooled_vectors() -> None:
    own, told = Mixture(), []

    class Listens(GaussianMixturePrior):
        def predict_noise(self, xt, t, *conditions, controls=()):
            told.extend(conditions)
            return super().predict_noise(xt, t, *conditions, controls=controls)

    own.prior = Listens(own.prior.means, std=0.4)
    own.text = replace(own.text, pooled=randn(2, 8))
    own.uncond = replace(own.uncond, pooled=randn(2, 8, seed=1))
    own.grad()
    assert [condition.time_ids.tolist() for condition in told] == [[[32, 48, 0, 0, 32, 48]] * 2] * 2
    assert told[0].pooled is own.uncond.pooled
    assert told[1].pooled is own.text.pooled
    assert own.text.time_ids is None


def painting(path: str, **changes: Any) -> PixelSettings:
    """A run on the exact prior, seen as it is: neither mirrored nor tilted nor grey."""
    plain: dict[str, Any] = {"mirror": 0.0, "perspective": 0.0, "grayscale": 0.0, "fft": 0.0}
    return PixelSettings(
        prompt="the one",
        model="exact",
        side=32,
        steps=60,
        path=path,
        guidance_scale=1.0,
        **{**plain, "size": (4, 8), **changes},
    )


@pytest.mark.parametrize("path", ["gumbel", "softmax", "argmax"])
def test_all_in_a_row_draw_what_the_exact_prior_wants_in_colours_of_the_palette(path: str) -> None:
    settings, wanted = painting(path, tau_end=0.3), index_grid(2, 4, 8, seed=4)
    pictures = torch.nn.functional.interpolate(
        pixelart.paint(one_hot(wanted), PALETTE), settings.canvas, mode=settings.enlarge
    )
    prior = GaussianMixturePrior(pictures, std=0.3, names={"the one": [0], "the other": [1]})
    text, uncond = prior.embed(["the one", "the other"]), prior.embed(["", ""])
    logits = (0.1 * randn(2, 5, 4, 8)).requires_grad_()
    optimiser, generator = torch.optim.Adam([logits], lr=0.2), seeded(1)
    for step in range(settings.steps):
        optimiser.zero_grad()
        pixelart.loss(
            prior,
            logits,
            palette=PALETTE,
            text=text,
            uncond=uncond,
            controls=(),
            step=step,
            settings=settings,
            generator=generator,
        ).backward()
        optimiser.step()
    assert float((logits.argmax(dim=1) == wanted).float().mean()) > 0.95


def gradient(
    prior: GaussianMixturePrior,
    logits: Tensor,
    settings: PixelSettings,
    clear: Tensor | None = None,
) -> Tensor:
    """That of a first step's loss for two pictures without a prompt, with respect to the logits."""
    logits = logits.requires_grad_()
    pixelart.loss(
        prior,
        logits,
        palette=PALETTE,
        text=prior.embed([""] * 2),
        uncond=prior.embed([""] * 2),
        controls=(),
        step=0,
        settings=settings,
        generator=seeded(),
        clear=clear,
    ).backward()
    assert logits.grad is not None
    return logits.grad


def test_a_clear_cell_learns_nothing() -> None:
    settings = painting("softmax", fft=20.0)
    prior = GaussianMixturePrior(randn(2, 3, *settings.canvas), std=0.3)
    clear = torch.zeros(4, 8, dtype=torch.bool)
    clear[1, 2:5] = True
    grad = gradient(prior, randn(2, 5, 4, 8), settings, clear=clear)
    assert (grad[..., clear] == 0).all()
    assert (grad[..., ~clear].abs().amax(dim=1) > 0).all()


@pytest.mark.parametrize("size", [(8, 12), (12, 8)])
def test_smoothing_pulls_at_an_edge_and_not_across_the_border(size: tuple[int, int]) -> None:
    """Half of the picture is of one colour and half of another, which the border does not join."""
    below = (torch.arange(size[0]) >= size[0] // 2).long()[None, :, None].expand(2, *size)
    prior = GaussianMixturePrior(randn(2, 3, *painting("softmax", size=size).canvas), std=0.3)

    # What distils is the same in both; the first colour above and the second below are the picture.
    smoothed, distilled = (
        gradient(prior, 4 * one_hot(below), painting("softmax", size=size, fft=fft))
        for fft in (1e4, 0.0)
    )
    pull = (smoothed - distilled)[:, :2].mean(dim=(0, 3)).diff(dim=0)[0].abs()
    assert pull[[0, -1]].max() < 0.5 * pull[[size[0] // 2 - 1, size[0] // 2]].min()


def test_the_path_decides_the_weights() -> None:
    logits = randn(2, 5, 4, 8)

    def weights(path: str) -> Tensor:
        settings = painting(path)
        return pixelart.weights_of(logits, step=3, settings=settings, generator=seeded())

    assert torch.equal(weights("softmax"), logits.softmax(dim=1))
    assert torch.equal(weights("argmax"), pixelart.straight_through(logits))
    generator = seeded()
    tau = painting("gumbel").tau_at(3, generator)
    assert torch.equal(weights("gumbel"), pixelart.gumbel_softmax(logits, tau, generator))
