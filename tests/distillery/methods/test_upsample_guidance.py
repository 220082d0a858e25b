"""Every step of Upsample Guidance is its closed form, with a Gaussian model of pictures."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from gaussian_field import Array, GaussianField, eps_of
from torch import Tensor

from distillery.methods import ddim
from distillery.methods.any_size import Wanted
from distillery.methods.elastic_methods import Beginning, Knobs, Task, begin
from distillery.methods.guided_ddim import BEGINNING, fresh_noise, steered
from distillery.methods.reference_cells import same_aspect
from distillery.methods.upsample_guidance import Lowest
from reference import elastic as functions

TRAINED, STEPS, SCALE, SEEDS = (4, 6), 6, 2.5, (3, 11)


def task(size: tuple[int, int], *, seeds: tuple[int, ...] = SEEDS, strength: float = 0.7) -> Task:
    prior = GaussianField(TRAINED)
    text, uncond = prior.embed(["a thing"] * len(seeds)), prior.embed([""] * len(seeds))
    wanted = Wanted(size, text, uncond, SCALE)
    knobs, timesteps = Knobs(strength=strength), prior.timesteps(STEPS)
    return Task(prior, prior, functions, wanted, knobs, timesteps, seeds)


def steps_of(task: Task, beginning: Beginning) -> list[Tensor]:
    steps = steered(
        beginning.predict,
        beginning.xt,
        timesteps=task.timesteps,
        alphas_cumprod=task.prior.alphas_cumprod,
        start=beginning.start,
        change=beginning.change,
    )
    return [step.xt for step in steps]


def guided(xt: Array, alpha_bar: float) -> Array:
    uncond, text = (eps_of(xt, alpha_bar, prompt) for prompt in (0, 1))
    return uncond + SCALE * (text - uncond)


def waves(h: int, w: int) -> Array:
    """The cosine waves of an h x w picture, each of length 1, (h, w, h, w): two numbers, a picture.

    DCT-II: along a side of n, cos(pi k (x + 1/2) / n).
    """
    rows, columns = (
        np.cos(np.pi * np.arange(n)[:, None] * (np.arange(n) + 0.5) / n) for n in (h, w)
    )
    pictures = rows[:, None, :, None] * columns[None, :, None, :]
    return pictures / np.sqrt((pictures**2).sum((2, 3), keepdims=True))


def spectrum_of(x: Array) -> Array:
    return np.einsum("klij,cij->ckl", waves(*x.shape[1:]), x)


def picture_of(spectrum: Array) -> Array:
    return np.einsum("klij,ckl->cij", waves(*spectrum.shape[1:]), spectrum)


def closed_form(task: Task, xt: Array, index: int) -> Array:
    """One picture (C, h, w) after the step of that index, wave by wave."""
    alphas = task.prior.alphas_cumprod.double().numpy()
    a, b = small = same_aspect(task.wanted.size, TRAINED, multiple=1)
    t, t_next = task.timesteps[index : index + 2].tolist()
    alpha_bar, alpha_bar_next = alphas[t], alphas[t_next] if t_next >= 0 else 1.0
    factor = math.prod(xt.shape[1:]) / math.prod(small)

    def lowest(x: Array) -> Array:
        return spectrum_of(x)[:, :a, :b]

    # Means over cells have x0 as it is, and 1 / factor of the variance of the noise.
    same_ratio = alpha_bar / (alpha_bar + (1 - alpha_bar) / factor)
    own_t = np.abs(alphas - same_ratio).argmin()
    power = factor * alpha_bar + 1 - alpha_bar
    reference = picture_of(lowest(xt)) / math.sqrt(power)
    eps = guided(xt, alpha_bar)
    spectrum = spectrum_of(eps)
    spectrum_small = spectrum_of(guided(reference, alphas[own_t]))
    sides = zip((a, b), xt.shape[1:], strict=True)
    rows, columns = ([share(k, n, side) for k in range(n)] for n, side in sides)
    weight = np.outer(rows, columns)
    spectrum[:, :a, :b] += weight * (spectrum_small - spectrum[:, :a, :b])
    eps = picture_of(spectrum)
    x0 = (xt - math.sqrt(1 - alpha_bar) * eps) / math.sqrt(alpha_bar)
    return math.sqrt(alpha_bar_next) * x0 + math.sqrt(1 - alpha_bar_next) * eps


def share(k: int, count: int, side: int) -> float:
    """What part of a frequency is the reference's: all of the lower half, then less and less."""
    if count == side or k <= count / 2:
        return 1.0
    return math.cos(math.pi * (k / count - 0.5)) ** 2


@pytest.mark.parametrize("size", [(8, 12), (9, 7), (4, 16), (13, 5)])
def test_every_step_is_its_closed_form(size: tuple[int, int]) -> None:
    its = task(size)
    beginning = begin("upsample-guidance", its)
    xt = beginning.xt
    for index, xt_next in enumerate(steps_of(its, beginning), start=beginning.start):
        wanted = [closed_form(its, x, index) for x in xt.double().numpy()]
        torch.testing.assert_close(
            xt_next, torch.from_numpy(np.stack(wanted)).float(), atol=2e-5, rtol=2e-5
        )
        xt = xt_next


def test_it_begins_where_upscale_does() -> None:
    its = task((8, 12))
    here, there = begin("upsample-guidance", its), begin("upscale", its)
    assert here.start == there.start == 2
    assert torch.equal(here.xt, there.xt)


@pytest.mark.parametrize("size", [(4, 6), (3, 5)])
def test_a_picture_no_larger_than_trained_is_plain_guidance_bit_for_bit(
    size: tuple[int, int],
) -> None:
    its = task(size)
    xt = fresh_noise((3, *size), SEEDS, device="cpu")(BEGINNING)
    plain = ddim.sample(
        its.prior,
        xt,
        text=its.wanted.text,
        uncond=its.wanted.uncond,
        guidance_scale=SCALE,
        timesteps=its.timesteps,
    )
    drawn = steps_of(its, begin("upsample-guidance", its))
    assert all(map(torch.equal, drawn, [step.xt for step in plain]))


def test_the_large_picture_asks_the_local_prior_and_the_reference_the_other_one() -> None:
    its = task((8, 12))
    local = GaussianField(TRAINED)
    begun = begin("upsample-guidance", replace(its, local=local))
    its.prior.asked.clear()
    steps_of(its, begun)
    assert {shape[-2:] for shape in local.asked} == {(8, 12)}
    assert {shape[-2:] for shape in its.prior.asked} == {(4, 6)}


@pytest.mark.parametrize(("side", "small"), [(8, 4), (11, 5), (6, 6), (32, 1)])
def test_white_noise_stays_white_and_a_flat_side_stays_flat(side: int, small: int) -> None:
    its = Lowest(side, small)
    torch.testing.assert_close(its.down @ its.down.T, torch.eye(small), atol=1e-6, rtol=0)
    flat = its.down @ torch.ones(side)
    torch.testing.assert_close(flat, torch.full((small,), math.sqrt(side / small)))
    torch.testing.assert_close(its.up @ flat, torch.ones(side))
