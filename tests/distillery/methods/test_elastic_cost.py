"""The closed forms of what a picture costs count the network's real samples."""

from __future__ import annotations

from dataclasses import replace

import pytest
from gaussian_field import GaussianField

from distillery.methods.any_size import Wanted
from distillery.methods.elastic import ElasticKnobs
from distillery.methods.elastic_cost import network_samples, published_samples
from distillery.methods.elastic_methods import Knobs, Task, begin
from distillery.methods.guided_ddim import steered
from distillery.methods.multidiffusion import ViewKnobs
from reference import elastic as functions

TRAINED, STEPS = (4, 6), 6
ELASTIC = ElasticKnobs()
SETTINGS = (
    ("direct", Knobs()),
    ("upscale", Knobs(strength=0.4)),
    ("upscale", Knobs(strength=1.0)),
    ("multidiffusion", Knobs()),
    ("multidiffusion", Knobs(views=ViewKnobs(1))),
    ("elastic", Knobs()),
    ("elastic", Knobs(elastic=replace(ELASTIC, resampling_steps=0, repaint_sampling=True))),
    ("elastic", Knobs(elastic=replace(ELASTIC, resampling_steps=3, repaint_sampling=True))),
    ("elastic", Knobs(elastic=replace(ELASTIC, moving_windows=False, patch_size=1))),
    ("elastic", Knobs(elastic=replace(ELASTIC, patch_size=5))),
    ("elastic", Knobs(elastic=replace(ELASTIC, reference="padded", repaint_sampling=True))),
)


@pytest.mark.parametrize(("name", "knobs"), SETTINGS, ids=str)
@pytest.mark.parametrize("size", [(8, 12), (7, 13), (4, 6), (2, 5), (3, 17)])
def test_the_samples_of_a_picture_are_counted_in_closed_form(
    name: str, knobs: Knobs, size: tuple[int, int]
) -> None:
    prior, seeds = GaussianField(TRAINED), (1, 2)
    wanted = Wanted(size, prior.embed(["a thing"] * 2), prior.embed([""] * 2), 2.0)
    timesteps = prior.timesteps(STEPS)
    beginning = begin(name, Task(prior, prior, functions, wanted, knobs, timesteps, seeds))
    for _ in steered(
        beginning.predict,
        beginning.xt,
        timesteps=timesteps,
        alphas_cumprod=prior.alphas_cumprod,
        start=beginning.start,
        change=beginning.change,
    ):
        pass
    cells = sum(shape[0] * shape[2] * shape[3] for shape in prior.asked) / len(seeds)
    told = network_samples(prior, name, size, knobs, steps=STEPS)
    assert sum(told.values()) == pytest.approx(cells / (4 * 6))


@pytest.mark.parametrize(
    ("size", "rounds", "each_step"),
    [((256, 256), 10, 56), ((128, 256), 7, 26), ((192, 192), 7, 36)],
)
def test_the_published_settings_cost_what_their_formula_says(
    size: tuple[int, int], rounds: int, each_step: int
) -> None:
    """2 (R + 1) + V + 2 + V samples a step; the last one is not repainted."""
    told = published_samples(size, (128, 128), rounds=rounds, repaint=True, steps=50)
    again = each_step - published_samples(size, (128, 128), rounds=rounds, repaint=False, steps=1)
    assert told == 50 * each_step - again


def test_a_sample_has_the_trained_size() -> None:
    prior = GaussianField((16, 16))
    assert network_samples(prior, "direct", (32, 32), Knobs(), steps=20) == {
        "the whole picture": 160
    }
