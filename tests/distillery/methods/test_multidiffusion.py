"""MultiDiffusion: a picture is the weighted mean of what its views say, and no cell is left out."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from gaussian_field import GaussianField, eps_of

from distillery.methods import ddim
from distillery.methods.any_size import Wanted
from distillery.methods.guided_ddim import BEGINNING, fresh_noise, steered
from distillery.methods.multidiffusion import ViewKnobs, multidiffusion, starts, view_weights
from reference import elastic as functions

TRAINED, SCALE, SEEDS = (4, 6), 3.0, (2, 9)


def wanted(prior: GaussianField, size: tuple[int, int], batch: int = 2) -> Wanted:
    return Wanted(size, prior.embed(["a thing"] * batch), prior.embed([""] * batch), SCALE)


@pytest.mark.parametrize("size", [(4, 11), (9, 7), (8, 12)])
@pytest.mark.parametrize("stride", [None, 1, 3])
@pytest.mark.parametrize("gaussian", [True, False])
def test_every_step_is_its_closed_form(
    size: tuple[int, int], stride: int | None, gaussian: bool
) -> None:
    prior = GaussianField(TRAINED)
    predict = multidiffusion(
        prior, functions, wanted(prior, size), ViewKnobs(stride, gaussian=gaussian)
    )
    timesteps = prior.timesteps(4)
    xt = fresh_noise((3, *size), SEEDS, device="cpu")(BEGINNING)
    steps = steered(predict, xt, timesteps=timesteps, alphas_cumprod=prior.alphas_cumprod)
    (a, b), step_size = TRAINED, stride or 2
    for step in steps:
        now, after = prior.alphas_cumprod.double()[timesteps[step.index : step.index + 2]].tolist()
        for x, x_next in zip(xt.double().numpy(), step.xt.double().numpy(), strict=True):
            total, norm = np.zeros_like(x), np.zeros(size)
            for top, left in itertools.product(
                sorted({*range(0, size[0] - a, step_size), size[0] - a}),
                sorted({*range(0, size[1] - b, step_size), size[1] - b}),
            ):
                view = x[:, top : top + a, left : left + b]
                uncond, text = eps_of(view, now, 0), eps_of(view, now, 1)
                eps = uncond + SCALE * (text - uncond)
                x0 = (view - math.sqrt(1 - now) * eps) / math.sqrt(now)
                # As published: the views' latents after the step are averaged.
                its = math.sqrt(after) * x0 + math.sqrt(1 - after) * eps
                for i, j in itertools.product(range(a), range(b)):
                    far = ((i - 1.5) / (0.15 * a)) ** 2 + ((j - 2.5) / (0.15 * b)) ** 2
                    weight = math.exp(-far / 2) if gaussian else 1.0
                    total[:, top + i, left + j] += weight * its[:, i, j]
                    norm[top + i, left + j] += weight
            np.testing.assert_allclose(x_next, total / norm, atol=2e-5, rtol=1e-5)
        xt = step.xt


@pytest.mark.parametrize("size", [TRAINED, (3, 5), (1, 6)])
@pytest.mark.parametrize("batch", [1, 3])
def test_one_view_that_covers_all_is_plain_guidance_bit_for_bit(
    size: tuple[int, int], batch: int
) -> None:
    prior = GaussianField(TRAINED)
    its = wanted(prior, size, batch)
    predict = multidiffusion(prior, functions, its, ViewKnobs(gaussian=False))
    timesteps = prior.timesteps(4)
    xt = fresh_noise((3, *size), range(batch), device="cpu")(BEGINNING)
    steps = steered(predict, xt, timesteps=timesteps, alphas_cumprod=prior.alphas_cumprod)
    plain = ddim.sample(
        prior,
        xt,
        text=its.text,
        uncond=its.uncond,
        guidance_scale=SCALE,
        timesteps=timesteps,
    )
    for one, other in zip(steps, plain, strict=True):
        assert torch.equal(one.xt, other.xt)


@pytest.mark.parametrize("view", [1, 5, 16])
def test_views_leave_no_cell_out_and_lie_in_the_picture(view: int) -> None:
    for side, stride in itertools.product(range(1, 50), (1, 2, 3, 7, view)):
        if stride > view:
            continue
        begins = starts(side, view, stride).tolist()
        assert begins == sorted(set(begins))
        cells = {cell for begin in begins for cell in range(begin, begin + min(view, side))}
        assert cells == set(range(side)), (side, stride)


def test_no_view_comes_twice_where_the_stride_fits() -> None:
    assert starts(32, 16, 8).tolist() == [0, 8, 16]
    assert starts(30, 16, 8).tolist() == [0, 8, 14]
    assert starts(16, 16, 8).tolist() == [0]


def test_the_middle_of_a_view_counts_most_and_its_corner_still_counts() -> None:
    weights = view_weights((6, 9), gaussian=True)
    assert weights.shape == (6, 9)
    assert weights.flip(0, 1).equal(weights)
    assert weights.argmax() in (2 * 9 + 4, 3 * 9 + 4)
    assert 0 < weights[0, 0] < 0.01 * weights[2, 4]
    assert view_weights((2, 3), gaussian=False).equal(torch.ones(2, 3))
