"""A traced network is the network: to the bit, and wherever a trace could differ it is not used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from distillery.models.load import load_controlnets, load_prior
from distillery.models.lora import LoraDenoiser
from distillery.models.prior import Condition, Control
from distillery.models.stable_diffusion import StableDiffusionPrior
from distillery.models.traced import CALLS_BEFORE, TracedNetwork

MODELS = Path("data/models").resolve()


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Net(nn.Module):
    """Counts how often Python goes through it; a trace does not."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.calls = nn.Linear(3, 3), 0

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        self.calls += 1
        return torch.tanh(self.layer(x)) * t.view(-1, 1)


@pytest.fixture
def net() -> Net:
    return Net().eval().requires_grad_(False)


def asked(traced: TracedNetwork, times: int, batch: int = 2) -> Tensor:
    x, t = torch.randn(batch, 3, generator=generator(batch)), torch.arange(batch)
    with torch.no_grad():
        for _ in range(times):
            y = traced(x, t)
    return y


def test_a_trace_is_used_from_some_calls_on_and_gives_the_same(net: Net) -> None:
    traced = TracedNetwork(net)
    first = asked(traced, CALLS_BEFORE)
    assert net.calls == CALLS_BEFORE

    last = asked(traced, 9)

    assert net.calls == CALLS_BEFORE + 1  # that of the tracing
    assert torch.equal(first, last)


def test_it_follows_its_numbers_and_once_told_its_weights(net: Net) -> None:
    traced = TracedNetwork(net)
    asked(traced, CALLS_BEFORE + 3)
    net.layer.weight.mul_(2)
    traced.forget()
    asked(traced, CALLS_BEFORE + 3)
    x, t = torch.randn(2, 3, generator=generator(9)), torch.tensor([5, 7])

    with torch.no_grad():
        assert torch.equal(traced(x, t), net(x, t))


def test_every_shape_has_a_trace_of_its_own(net: Net) -> None:
    traced = TracedNetwork(net)
    asked(traced, CALLS_BEFORE + 3)

    assert asked(traced, CALLS_BEFORE + 3, batch=5).shape == (5, 3)
    assert net.calls == 2 * (CALLS_BEFORE + 1)


def hooked(net: Net) -> None:
    net.layer.register_forward_hook(lambda *its: None)


def training(net: Net) -> None:
    net.layer.train()


@pytest.mark.parametrize("change", [hooked, training], ids=["a hook", "training"])
def test_the_network_itself_is_asked_with(net: Net, change: Callable[[Net], None]) -> None:
    traced = TracedNetwork(net)
    asked(traced, CALLS_BEFORE + 3)
    change(net)
    before = net.calls

    asked(traced, 2)

    assert net.calls == before + 2


def test_gradients_and_autocast_go_through_the_network_itself(net: Net) -> None:
    traced = TracedNetwork(net)
    asked(traced, CALLS_BEFORE + 3)
    x, t = torch.randn(2, 3, requires_grad=True), torch.ones(2)

    traced(x, t).sum().backward()
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        assert traced(x, t).dtype == net(x, t).dtype

    assert x.grad is not None


@pytest.mark.parametrize("model", ["tiny-sd", "tiny-sdxl"])
def test_the_embedded_networks_predict_the_same_to_the_bit(
    model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("distillery.models.traced.CALLS_BEFORE", 1)
    prior = load_prior(model, device="cpu")
    assert isinstance(prior, StableDiffusionPrior)
    controls = []
    if model == "tiny-sdxl":
        load_controlnets(prior, model, ["canny", "depth"])
        picture = torch.rand(2, 3, *prior.image_size, generator=generator(3))
        controls = [Control(kind, picture, scale=0.7) for kind in ("canny", "depth")]
    text, uncond = prior.embed(["a red boat", "a blue house"]), prior.embed(["", ""])
    xt = torch.randn(2, prior.latent_channels, *prior.latent_size, generator=generator(1))
    t = torch.tensor([37, 801])
    early = prior.predict_noise(xt, t, text, uncond, controls=controls)
    late = prior.predict_noise(xt, t, text, uncond, controls=controls)

    assert len(prior._unet._traces) == 1
    assert all(torch.equal(a, b) for a, b in zip(early, late, strict=True))
    # And for other noise, times and prompts than those of the trace.
    traced = prior.predict_noise(xt.flip(0) + 1, t + 3, uncond, text, controls=controls)
    prior._unet.forget()
    plain = prior.predict_noise(xt.flip(0) + 1, t + 3, uncond, text, controls=controls)
    assert all(torch.equal(a, b) for a, b in zip(traced, plain, strict=True))


@pytest.fixture
def boat(monkeypatch: pytest.MonkeyPatch) -> tuple[StableDiffusionPrior, Condition, torch.Tensor]:
    """A prior that is traced from the second call on, what it is asked for, and latents."""
    monkeypatch.setattr("distillery.models.traced.CALLS_BEFORE", 1)
    prior = load_prior("tiny-sd", device="cpu")
    assert isinstance(prior, StableDiffusionPrior)
    text = prior.embed(["a red boat"])
    xt = torch.randn(1, prior.latent_channels, 8, 16, generator=generator(2))
    return prior, text, xt


def test_adapters_that_are_on_are_asked_and_not_a_trace_without_them(
    boat: tuple[StableDiffusionPrior, Condition, torch.Tensor],
) -> None:
    prior, text, xt = boat
    t = torch.tensor([400])
    for _ in range(2):
        (plain,) = prior.predict_noise(xt, t, text)
    lora = LoraDenoiser(prior, rank=2, generator=generator(4))
    with torch.no_grad():
        for factor in lora.factors:
            factor.add_(0.1)

    (adapted,) = lora.predict_noise(xt, t, text)

    assert _may_be_traced(prior)
    assert not torch.equal(adapted, plain)
    assert torch.equal(prior.predict_noise(xt, t, text)[0], plain)


def test_a_trace_of_adapters_follows_them_while_they_learn_and_when_others_come(
    boat: tuple[StableDiffusionPrior, Condition, torch.Tensor],
) -> None:
    prior, text, xt = boat
    for rank in (2, 3):
        lora = LoraDenoiser(prior, rank=rank, generator=generator(rank))
        for _ in range(4):
            (seen,) = lora.predict_noise(xt, torch.tensor([400]), text)
            learning = lora.predict(xt, torch.tensor([400]), text)
            assert torch.equal(seen, learning.detach())
            learning.square().mean().backward()
            with torch.no_grad():
                for number, factor in enumerate(lora.factors):
                    factor.add_(0.1 * torch.randn(factor.shape, generator=generator(number)))

    assert len(prior._unet._traces) == 2
    assert all(factor.grad is not None for factor in lora.factors)


def _may_be_traced(prior: StableDiffusionPrior) -> bool:
    """Without gradient a second batch size is traced as the first one was."""
    before = len(prior._unet._traces)
    text, xt = prior.embed([""] * 3), torch.zeros(3, prior.latent_channels, 8, 16)
    for _ in range(2):
        prior.predict_noise(xt, torch.tensor([9, 9, 9]), text)
    return len(prior._unet._traces) == before + 1
