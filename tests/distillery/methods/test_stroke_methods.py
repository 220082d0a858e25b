"""Every step of every method is its closed form, with a prior that is one Gaussian.

The closed forms are written out here in float64, from the formulas of the papers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from distillery.core.errors import CourseError
from distillery.methods.guided_ddim import fresh_noise, steered
from distillery.methods.stroke_methods import (
    DEFAULTS,
    KNOBS,
    METHODS,
    Beginning,
    Knobs,
    begin,
)
from distillery.methods.strokes import Painting
from distillery.models.exact import GaussianMixturePrior
from distillery.models.prior import guided_noise
from reference import strokes

SHAPE, STD, STEPS = (3, 5, 7), 0.6, 10
WIDTH = 0.3
EVERY = pytest.mark.parametrize("name", METHODS)
LOW_PASS = 0.2
KNOB = Knobs(
    strength=0.7,
    end=0.3,
    num_iterative_steps=2,
    grad_steps_per_iter=3,
    weight=2.0,
    width=LOW_PASS,
)


def gaussian() -> GaussianMixturePrior:
    means = torch.randn(1, *SHAPE, generator=torch.Generator().manual_seed(7))
    return GaussianMixturePrior(means, STD)


def painting(batch: int, *, hole: bool = False) -> Painting:
    image = torch.rand(batch, *SHAPE, generator=torch.Generator().manual_seed(8)) * 2 - 1
    mask = torch.ones(batch, 1, *SHAPE[1:])
    if hole:
        mask[:, :, 1:4, 2:5] = 0
        mask[-1, :, :, 0] = 0
    return Painting(image, mask, gaussian().encode(image))


def blurred(images: Tensor) -> Tensor:
    return strokes.paint(images, WIDTH)


def noise_of(batch: int, seed: int = 3) -> Callable[[int], Tensor]:
    return fresh_noise(SHAPE, range(seed, seed + batch), device="cpu")


def beginning(name: str, y: Painting, knobs: Knobs, *, seed: int = 3) -> Beginning:
    prior = gaussian()
    return begin(
        name,
        strokes,
        y,
        knobs,
        timesteps=prior.timesteps(STEPS),
        alphas_cumprod=prior.alphas_cumprod,
        noise=noise_of(len(y.image), seed),
        decode=prior.decode_with_grad,
        paint=blurred,
    )


def way(begun: Beginning, batch: int) -> list[Tensor]:
    """The latents after every step, the beginning first."""
    prior = gaussian()
    text = prior.embed([""] * batch)
    predict = guided_noise(prior, text=text, uncond=text, guidance_scale=1.0)
    steps = steered(
        predict,
        begun.xt,
        timesteps=prior.timesteps(STEPS),
        alphas_cumprod=prior.alphas_cumprod,
        start=begun.start,
        change=begun.change,
    )
    return [begun.xt, *(step.xt for step in steps)]


class ByHand:
    """The levels, the Gaussian's noise, a blur as matrices and DDIM, all in float64."""

    def __init__(self, batch: int, hole: bool = False) -> None:
        prior = gaussian()
        self.mean = prior.means
        levels = prior.alphas_cumprod.double()
        self.a = [float(levels[t]) for t in prior.timesteps(STEPS)]
        self.noise = lambda index: noise_of(batch)(index).double()
        y = painting(batch, hole=hole)
        self.y, self.m = y.image.double(), y.mask.double()

    def eps(self, xt: Tensor, index: int) -> Tensor:
        a = self.a[index]
        return (1 - a) ** 0.5 * (xt - a**0.5 * self.mean) / (a * STD**2 + 1 - a)

    def x0(self, xt: Tensor, index: int) -> Tensor:
        a = self.a[index]
        return (xt - (1 - a) ** 0.5 * self.eps(xt, index)) / a**0.5

    def noised(self, x0: Tensor, eps: Tensor, index: int) -> Tensor:
        a = self.a[index]
        return a**0.5 * x0 + (1 - a) ** 0.5 * eps

    def ddim(self, xt: Tensor, index: int) -> Tensor:
        return self.noised(self.x0(xt, index), self.eps(xt, index), index + 1)

    def blur(self, images: Tensor, width: float, *, back: bool = False) -> Tensor:
        """The Gaussian means of `strokes.paint`, pixel by pixel; `back` is the transposed map."""
        rows, columns = (self._means(side, width) for side in SHAPE[1:])
        if back:
            rows, columns = rows.T, columns.T
        return torch.einsum("ij,bcjk,lk->bcil", rows, images, columns)

    def _means(self, side: int, width: float) -> Tensor:
        sigma = width * min(SHAPE[1:])
        place = torch.arange(side).double()
        weights = torch.exp(-((place[:, None] - place) ** 2) / (2 * sigma**2))
        return weights / weights.sum(1, keepdim=True)

    def gradient(self, x0: Tensor) -> Tensor:
        """Of the loss of one picture in its latents, which are its pixels here."""
        away = self.blur(self.m * x0, WIDTH) - self.blur(self.m * self.y, WIDTH)
        painted = 3 * self.m.sum((1, 2, 3), keepdim=True)
        return 2 * self.m * self.blur(away, WIDTH, back=True) / painted

    def adam(self, x: Tensor, steps: int, rate: float) -> Tensor:
        first, second = torch.zeros_like(x), torch.zeros_like(x)
        for k in range(1, steps + 1):
            g = self.gradient(x)
            first = 0.9 * first + 0.1 * g
            second = 0.999 * second + 0.001 * g**2
            step = (first / (1 - 0.9**k)) / ((second / (1 - 0.999**k)) ** 0.5 + 1e-8)
            x = x - rate * step
        return x


def expected(name: str, batch: int, *, hole: bool) -> list[Tensor]:
    """The way by hand: strength 0.7 of 10 steps begins at step 3, end 0.3 ceases before step 7."""
    by = ByHand(batch, hole)
    painted = by.m > 0.5
    first, end = 3, 7
    sdedit = name.startswith("sdedit")
    start = first if sdedit and not hole else 0
    xt = by.noise(-1)
    if sdedit:
        xt = torch.where(painted, by.noised(by.y, by.noise(-1), start), xt)
    found = [xt]
    for i in range(start, STEPS):
        plain, x0 = by.ddim(xt, i), by.x0(xt, i)
        new = plain
        if sdedit and i + 1 <= first:
            new = by.noised(by.y, by.noise(-1), i + 1)
        if name == "sdedit-stochastic" and first <= i < end:
            new = plain = by.noised(x0, by.noise(i), i + 1)
        if name.startswith("gradop") and first <= i < first + 2:
            pulled = by.adam(plain if name == "gradop+" else x0, 3, 0.1)
            new = by.noised(pulled, by.noise(i), i + 1)
        if name == "low-frequencies" and first <= i < end:
            low = by.blur(by.m * (by.y - x0), LOW_PASS) / by.blur(by.m, LOW_PASS).clamp(min=1e-6)
            new = by.noised(x0 + low, by.noise(i), i + 1)
        if name == "x0-guidance" and first <= i < end:
            a = by.a[i]
            gradient = 105 * by.gradient(x0) / a**0.5
            eps = by.eps(xt, i) + 2.0 * a * (1 - a) ** 0.5 * gradient
            new = by.noised((xt - (1 - a) ** 0.5 * eps) / a**0.5, eps, i + 1)
        xt = torch.where(painted, new, plain)
        found.append(xt)
    return found


@EVERY
@pytest.mark.parametrize(("batch", "hole"), [(1, False), (3, False), (3, True)])
def test_every_step_is_its_closed_form(name: str, batch: int, hole: bool) -> None:
    found = way(beginning(name, painting(batch, hole=hole), KNOB), batch)
    by_hand = expected(name, batch, hole=hole)
    assert len(found) == len(by_hand)
    for ours, theirs in zip(found, by_hand, strict=True):
        torch.testing.assert_close(ours.double(), theirs, atol=1e-5, rtol=0)


@EVERY
def test_a_picture_does_not_depend_on_the_others_of_its_batch(name: str) -> None:
    three = painting(3)
    alone = Painting(three.image[:1], three.mask[:1], three.latents[:1])
    of_three, of_one = (
        way(beginning(name, y, DEFAULTS[name]), len(y.image))[-1] for y in (three, alone)
    )
    torch.testing.assert_close(of_three[:1], of_one, atol=1e-6, rtol=0)


@EVERY
def test_a_run_that_goes_on_from_the_middle_ends_as_one_that_was_not_stopped(name: str) -> None:
    y = painting(2, hole=True)
    whole = way(beginning(name, y, KNOB), 2)
    begun = beginning(name, y, KNOB)
    rest = way(replace(begun, xt=whole[4], start=begun.start + 4), 2)
    assert torch.equal(rest[-1], whole[-1])


@pytest.mark.parametrize("name", [name for name in METHODS if name != "sdedit-stochastic"])
def test_what_is_not_painted_is_what_the_model_draws_from_the_prompt(name: str) -> None:
    """The Gaussian's cells are independent, so there DDIM from the same noise is the answer.

    Stochastic SDEdit draws all of the picture with fresh noise from its start on.
    """
    y = painting(2, hole=True)
    by = ByHand(2)
    xt = by.noise(-1)
    for index in range(STEPS):
        xt = by.ddim(xt, index)
    found = way(beginning(name, y, KNOB), 2)[-1]
    hole = (y.mask < 0.5).expand_as(found)
    torch.testing.assert_close(found[hole].double(), xt[hole], atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["gradop+", "gradop+x0"])
def test_no_burst_follows_the_last_step(name: str) -> None:
    knobs = replace(KNOB, strength=0.2, num_iterative_steps=3)
    *_, before, after, end = way(beginning(name, painting(1), knobs), 1)
    by = ByHand(1)
    torch.testing.assert_close(end.double(), by.ddim(after.double(), 9), atol=1e-5, rtol=0)
    assert not torch.allclose(after.double(), by.ddim(before.double(), 8), atol=1e-2)


def test_a_cell_belongs_to_the_painting_if_half_of_it_is_painted() -> None:
    mask = torch.zeros(2, 1, 4, 6)
    mask[0, 0, :2, :2] = mask[0, 0, 0, 2:4] = mask[1, 0, 3, 5] = 1
    y = Painting(mask.expand(-1, 3, -1, -1), mask, torch.zeros(2, 4, 2, 3))
    assert y.latent_mask.tolist() == [
        [[[True, True, False], [False, False, False]]],
        [[[False, False, False], [False, False, False]]],
    ]


def test_noise_depends_on_the_picture_s_seed_and_the_step_alone() -> None:
    noise = fresh_noise(SHAPE, [5, 6, 5], device="cpu")
    assert torch.equal(noise(2), noise(2))
    assert torch.equal(noise(2)[0], noise(2)[2])
    assert not torch.equal(noise(2)[0], noise(2)[1])
    assert not torch.equal(noise(2), noise(3))
    assert torch.equal(noise(-1)[1:2], fresh_noise(SHAPE, [6], device="cpu")(-1))
    fresh_noise(SHAPE, [2**63 - 1], device="cpu")(0)  # the largest seed


@pytest.mark.parametrize(
    ("name", "changes", "sentence"),
    [
        ("sdedit2", {}, "unknown method 'sdedit2': choose sdedit, "),
        ("sdedit", {"strength": 0.0}, "strength must be above 0 and at most 1; it is 0.0"),
        ("gradop+", {"strength": 1.01}, "strength must be above 0 and at most 1; it is 1.01"),
        ("sdedit", {"strength": float("nan")}, "strength must be above 0"),
        ("sdedit", {"strength": 0.04}, "leaves none of the 10 steps to take; raise it to 0.1"),
        ("low-frequencies", {"end": 0.7}, "end must be from 0 to below the strength, 0.7"),
    ],
)
def test_knobs_that_leave_nothing_to_do_are_refused(
    name: str, changes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(CourseError, match=sentence):
        beginning(name, painting(1), replace(KNOB, **changes))


def test_every_knob_of_a_method_changes_its_pictures() -> None:
    y = painting(3)
    changes: dict[str, Any] = {
        "strength": 0.9,
        "end": 0.5,
        "num_iterative_steps": 1,
        "grad_steps_per_iter": 5,
        "learning_rate": 0.2,
        "weight": 3.0,
        "width": 0.4,
    }
    for name, knobs in KNOBS.items():
        usual = way(beginning(name, y, KNOB), 3)[-1]
        for knob in knobs:
            other = way(beginning(name, y, replace(KNOB, **{knob: changes[knob]})), 3)[-1]
            assert not torch.equal(usual, other), (name, knob)
