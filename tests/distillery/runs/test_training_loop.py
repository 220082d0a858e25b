from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from distillery.models.exact import GaussianDenoiser
from distillery.models.parameterization import add_noise
from distillery.models.prior import Condition
from distillery.runs.training import Ema, TrainingStep, train_steps, warmup_cosine

STEPS = 12


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))


def steps_of(net: nn.Module, ema: Ema | None = None, **options: Any) -> list[TrainingStep]:
    def loss_of(index: int) -> dict[str, Tensor]:
        error = net(torch.randn(8, 3)).square()
        return {"loss": error.mean(), "worst": error.max()}

    stream = train_steps(
        net,
        loss_of,
        steps=STEPS,
        learning_rate=0.1,
        warmup=3,
        seed=5,
        weight_decay=0.01,
        ema=ema,
        resume=options.get("resume"),
    )
    stop = options.get("stop", STEPS)
    taken = []
    for step in stream:
        taken.append(step)
        if step.index == stop - 1:
            break
    return taken


@pytest.mark.parametrize("averaged", [True, False])
@pytest.mark.parametrize("stop", [1, 7, STEPS])
def test_a_training_goes_on_from_any_state_to_the_same_weights(averaged: bool, stop: int) -> None:
    def begin() -> tuple[nn.Module, Ema | None]:
        net = network()
        return net, Ema(net, 0.9) if averaged else None

    whole, average = begin()
    figures = [step.figures for step in steps_of(whole, average)]
    net, ema = begin()
    state = steps_of(net, ema, stop=stop)[-1].state()
    net, ema = begin()
    rest = steps_of(net, ema, resume=state)

    assert [step.index for step in rest] == list(range(stop, STEPS))
    for step, expected in zip(rest, figures[stop:], strict=True):
        assert all(torch.equal(step.figures[name], value) for name, value in expected.items())
    pairs = [(whole, net)]
    if average is not None and ema is not None:
        pairs.append((average.module, ema.module))
    for one, other in pairs:
        found = other.state_dict()
        assert all(torch.equal(value, found[name]) for name, value in one.state_dict().items())


def test_figures_are_read_without_a_graph() -> None:
    step = steps_of(network(), stop=1)[0]

    assert set(step.figures) == {"loss", "worst"}
    assert not any(value.requires_grad for value in step.figures.values())


def test_a_denoiser_that_stands_in_for_a_lora_learns_its_mean() -> None:
    mean = torch.randn(1, 4, 3, 5, generator=torch.Generator().manual_seed(1))
    denoiser = GaussianDenoiser(torch.zeros_like(mean), 0.3)
    alone = Condition(torch.zeros(2, 1, 1))

    def loss_of(index: int) -> dict[str, Tensor]:
        t, eps = torch.randint(200, 800, (2,)), torch.randn(2, 4, 3, 5)
        xt = add_noise(mean.expand(2, -1, -1, -1), eps, denoiser.alpha_bar(t))
        return {"loss": (denoiser.predict(xt, t, alone) - eps).square().mean()}

    for _ in train_steps(
        denoiser, loss_of, steps=150, learning_rate=0.05, warmup=10, seed=0, weight_decay=0.0
    ):
        pass

    assert (denoiser.means - mean).square().mean() < 0.01


def test_the_average_follows_weights_and_running_statistics() -> None:
    net = nn.BatchNorm1d(2)
    ema = Ema(net, decay=0.5)
    with torch.no_grad():
        net.weight.fill_(3.0)
        net.get_buffer("running_mean").fill_(7.0)

    ema.update(net, step=10**6)

    assert torch.allclose(ema.module.weight, torch.full((2,), 2.0))
    assert torch.allclose(ema.module.get_buffer("running_mean"), torch.full((2,), 7.0))


@pytest.mark.parametrize(("peak", "floor"), [(1.0, 0.01), (0.1, 0.0)])
def test_the_learning_rate_warms_up_and_falls_to_its_floor(peak: float, floor: float) -> None:
    rates = [
        warmup_cosine(index, steps=100, warmup=10, peak=peak, floor=floor) for index in range(101)
    ]

    assert rates[:10] == pytest.approx([peak * (index + 1) / 10 for index in range(10)])
    assert rates[10] == peak
    assert math.isclose(rates[55], (peak + floor) / 2)
    assert math.isclose(rates[100], floor, abs_tol=1e-12)
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_a_training_shorter_than_its_warm_up_only_rises() -> None:
    assert [warmup_cosine(index, steps=2, warmup=4) for index in range(2)] == [0.25, 0.5]
