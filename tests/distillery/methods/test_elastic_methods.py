"""The methods of stage 6 by name: where each begins, how it goes on, and what it costs."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from gaussian_field import GaussianField
from torch import Tensor
from torch.nn.functional import interpolate

from distillery.core.errors import CourseError
from distillery.methods import ddim
from distillery.methods.any_size import Wanted
from distillery.methods.elastic import ElasticKnobs
from distillery.methods.elastic_methods import METHODS, Beginning, Knobs, Task, begin
from distillery.methods.guided_ddim import BEGINNING, first_step, fresh_noise, steered
from reference import elastic as functions

TRAINED, STEPS, SCALE = (4, 6), 5, 1.5
EVERY = pytest.mark.parametrize("name", METHODS)


def task(
    size: tuple[int, int] = (7, 13), seeds: tuple[int, ...] = (4, 8), knobs: Knobs | None = None
) -> Task:
    prior = GaussianField(TRAINED)
    text, uncond = prior.embed(["a thing"] * len(seeds)), prior.embed([""] * len(seeds))
    wanted = Wanted(size, text, uncond, SCALE)
    timesteps = prior.timesteps(STEPS)
    return Task(prior, prior, functions, wanted, knobs or Knobs(), timesteps, seeds)


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


def plain(task: Task, xt: Tensor, start: int = 0) -> list[Tensor]:
    steps = ddim.sample(
        task.prior,
        xt,
        text=task.wanted.text,
        uncond=task.wanted.uncond,
        guidance_scale=SCALE,
        timesteps=task.timesteps,
        start=start,
    )
    return [step.xt for step in steps]


@EVERY
@pytest.mark.parametrize("size", [(7, 13), (4, 6), (16, 4)])
def test_a_run_goes_on_after_any_step_with_the_same_bits(name: str, size: tuple[int, int]) -> None:
    its = task(size)
    beginning = begin(name, its)
    drawn = steps_of(its, beginning)
    assert len(drawn) == STEPS - beginning.start
    for done in range(1, len(drawn)):
        again = replace(begin(name, its), xt=drawn[done - 1], start=beginning.start + done)
        assert all(map(torch.equal, steps_of(its, again), drawn[done:]))


@EVERY
def test_a_picture_does_not_depend_on_the_others_of_its_batch(name: str) -> None:
    together = steps_of(task(), begin(name, task()))[-1]
    alone = [steps_of(task(seeds=(s,)), begin(name, task(seeds=(s,))))[-1] for s in (4, 8)]
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-5, rtol=1e-5)


def test_direct_is_plain_guidance_at_size_bit_for_bit() -> None:
    its = task()
    noise = fresh_noise((3, 7, 13), its.seeds, device="cpu")(BEGINNING)
    assert all(map(torch.equal, steps_of(its, begin("direct", its)), plain(its, noise)))


@pytest.mark.parametrize(("strength", "start"), [(0.0, 5), (0.4, 3), (0.5, 3), (1.0, 0)])
@pytest.mark.parametrize("size", [(8, 12), (4, 24), (7, 13)])
def test_upscale_draws_over_the_enlarged_small_picture(
    strength: float, start: int, size: tuple[int, int]
) -> None:
    its = task(size, knobs=Knobs(strength=strength))
    beginning = begin("upscale", its)
    small_size = {(8, 12): (4, 6), (4, 24): (2, 8), (7, 13): (4, 6)}[size]
    small = plain(its, fresh_noise((3, *small_size), its.seeds, device="cpu")(BEGINNING))[-1]
    large = interpolate(small.clamp(-1, 1), size, mode="bicubic").clamp(-1, 1)
    noise = fresh_noise((3, *size), its.seeds, device="cpu")(BEGINNING)
    t = its.timesteps[start]
    alpha_bar = its.prior.alphas_cumprod[t] if t >= 0 else torch.tensor(1.0)
    xt = alpha_bar.sqrt() * large + (1 - alpha_bar).sqrt() * noise
    assert beginning.start == start
    torch.testing.assert_close(beginning.xt, xt, atol=1e-5, rtol=1e-5)
    for one, other in zip(steps_of(its, beginning), plain(its, beginning.xt, start), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(
    ("strength", "steps", "start"), [(0.29, 100, 71), (0.3, 9, 6), (1.0, 7, 0), (0.0, 7, 7)]
)
def test_the_part_of_the_way_is_rounded_to_whole_steps(
    strength: float, steps: int, start: int
) -> None:
    assert first_step(steps, strength) == start


@pytest.mark.parametrize(("strength", "start"), [(0.4, 3), (0.6, 2)])
def test_elastic_can_begin_where_upscale_does_and_goes_on_with_its_own_noise(
    strength: float, start: int
) -> None:
    knobs = Knobs(strength=strength, elastic=ElasticKnobs(strength=strength, repaint_sampling=True))
    its = task(knobs=knobs)
    there, here = begin("upscale", its), begin("elastic", its)
    assert here.start == there.start == start
    assert torch.equal(here.xt, there.xt)
    whole = begin("elastic", task(knobs=Knobs(elastic=ElasticKnobs(repaint_sampling=True))))
    again = replace(whole, xt=here.xt, start=start)
    drawn = steps_of(its, here)
    assert all(map(torch.equal, drawn, steps_of(its, again)))
    for done in range(1, len(drawn)):
        resumed = replace(begin("elastic", its), xt=drawn[done - 1], start=start + done)
        assert all(map(torch.equal, steps_of(its, resumed), drawn[done:]))


@pytest.mark.parametrize("name", ["", "Elastic", "panorama"])
def test_an_unknown_method_is_said(name: str) -> None:
    with pytest.raises(CourseError, match=r"unknown method '\w*': choose direct, upscale"):
        begin(name, task())
