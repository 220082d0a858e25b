"""The network samples of the closed form are those that a run really asks for."""

from __future__ import annotations

import pytest
import torch

from distillery.methods import elastic_methods
from distillery.methods.any_size import Wanted
from distillery.methods.elastic import ElasticKnobs
from distillery.methods.elastic_methods import Knobs, Task
from distillery.methods.guided_ddim import steered
from distillery.methods.multidiffusion import ViewKnobs
from distillery.methods.network_samples import CountedPrior, network_samples, table
from distillery.models.exact import GaussianMixturePrior
from reference import elastic as reference

STEPS = 5
MEANS = torch.tensor([[0.5, -0.5, 0.2], [-0.3, 0.4, 0.1]])[:, :, None, None]


def prior(trained: tuple[int, int] = (8, 8)) -> GaussianMixturePrior:
    return GaussianMixturePrior(MEANS, 0.3, names={"a": [0]}, latent_size=trained)


def counted(method: str, size: tuple[int, int], knobs: Knobs, count: int = 1) -> float:
    """What a run asks for a picture."""
    its = CountedPrior(prior())
    task = Task(
        prior=its,
        local=its,
        functions=reference,
        wanted=Wanted(size, its.embed(["a"] * count), its.embed([""] * count), 3.0),
        knobs=knobs,
        timesteps=its.timesteps(STEPS),
        seeds=tuple(range(count)),
    )
    start = elastic_methods.begin(method, task)
    for _ in steered(
        start.predict,
        start.xt,
        timesteps=task.timesteps,
        alphas_cumprod=its.alphas_cumprod,
        start=start.start,
        change=start.change,
    ):
        pass
    return its.samples / count


KNOBS = [
    ("direct", Knobs()),
    ("upscale", Knobs(strength=0.4)),
    ("upsample-guidance", Knobs(strength=0.4)),
    ("multidiffusion", Knobs()),
    ("multidiffusion", Knobs(views=ViewKnobs(stride=3))),
    ("elastic", Knobs()),
    ("elastic", Knobs(elastic=ElasticKnobs(repaint_sampling=True, patch_size=3))),
    ("elastic", Knobs(elastic=ElasticKnobs(moving_windows=False, resampling_steps=0))),
    ("elastic", Knobs(elastic=ElasticKnobs(repaint_sampling=True, resampling_steps=0))),
    ("elastic", Knobs(elastic=ElasticKnobs(strength=0.4, repaint_sampling=True))),
    ("elastic", Knobs(elastic=ElasticKnobs(own_details=True, repaint_sampling=True))),
    ("elastic", Knobs(elastic=ElasticKnobs(reference="padded"))),
    ("elastic", Knobs(elastic=ElasticKnobs(reference="padded", repaint_sampling=True))),
]


@pytest.mark.parametrize("size", [(8, 16), (19, 8), (17, 23), (8, 8), (6, 5), (4, 21)])
@pytest.mark.parametrize(("method", "knobs"), KNOBS)
def test_the_closed_form_is_what_is_counted(
    method: str, knobs: Knobs, size: tuple[int, int]
) -> None:
    formula = network_samples(prior(), method, size, knobs, steps=STEPS)

    assert sum(formula.values()) == pytest.approx(counted(method, size, knobs))


def test_a_picture_of_a_batch_costs_what_one_alone_does() -> None:
    assert counted("elastic", (8, 16), Knobs(), 3) == pytest.approx(
        counted("elastic", (8, 16), Knobs())
    )


def test_published_numbers_at_twice_the_trained_side() -> None:
    """Of SDXL at 2048 x 2048, ten rounds: 2 * 11 + 16 and, taken again, 2 + 16 in a step."""
    knobs = ElasticKnobs(
        resampling_steps=10, repaint_sampling=True, moving_windows=False, reference="padded"
    )
    parts = network_samples(
        prior((128, 128)), "elastic", (256, 256), Knobs(elastic=knobs), steps=50
    )

    assert parts == {
        "the reference": 100,
        "its other rounds": 1000,
        "windows": 800,
        "steps taken again": 49 * 18,
    }


def test_the_table_sums_up_beside_plain_guidance() -> None:
    lines = table({"views": 120.0}, steps=20).splitlines()

    assert [line.split()[-2:] for line in lines[1:]] == [
        ["6.0", "120"],
        ["6.0", "120"],
        ["2.0", "40"],
    ]
