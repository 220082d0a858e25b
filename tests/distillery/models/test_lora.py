"""The LoRA beside the prior: one UNet, two denoisers."""

from __future__ import annotations

from pathlib import Path

import pytest
import safetensors.torch
import torch
from safetensors import SafetensorError

from distillery.core.errors import CourseError
from distillery.methods.settings import Settings
from distillery.models.exact import GaussianMixturePrior
from distillery.models.load import load_prior
from distillery.models.lora import LoraDenoiser
from distillery.models.stable_diffusion import StableDiffusionPrior
from distillery.runs.canvas import LatentCanvas
from distillery.runs.companion import lora_companion
from distillery.runs.optimise import distill, objective
from reference import vsd

T = torch.tensor([100, 700])


def latents(seed: int = 3) -> torch.Tensor:
    return torch.randn(2, 4, 8, 6, generator=torch.Generator().manual_seed(seed))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(params=["tiny_sd_folder", "tiny_sd_v_folder", "tiny_sdxl_folder"])
def prior(request: pytest.FixtureRequest) -> StableDiffusionPrior:
    return load_prior(request.getfixturevalue(request.param), device="cpu")


def shaken(lora: LoraDenoiser) -> LoraDenoiser:
    """With adapters that have learnt something."""
    with torch.no_grad():
        for number, factor in enumerate(lora.parameters()):
            factor += 0.3 * torch.randn(factor.shape, generator=generator(number))
    return lora


def test_it_begins_as_the_prior_and_the_prior_stays_as_it_was_when_it_learns(
    prior: StableDiffusionPrior,
) -> None:
    text = prior.embed(["a boat", "a tree"])
    (before,) = prior.predict_noise(latents(), T, text)

    lora = LoraDenoiser(prior, rank=2, generator=generator())
    assert torch.equal(lora.predict_noise(latents(), T, text)[0], before)

    shaken(lora)
    assert torch.equal(prior.predict_noise(latents(), T, text)[0], before)
    assert not torch.allclose(lora.predict_noise(latents(), T, text)[0], before, atol=1e-3)


def test_only_the_adapters_learn_and_they_are_thin(prior: StableDiffusionPrior) -> None:
    frozen = {name for name, _ in prior.unet.named_parameters()}
    lora = LoraDenoiser(prior, rank=2, generator=generator())

    lora.predict(latents(), T, prior.embed(["a boat", ""])).square().mean().backward()

    learning = {p.data_ptr() for p in lora.parameters()}
    for name, weight in prior.unet.named_parameters():
        assert weight.requires_grad == (weight.data_ptr() in learning), name
        assert weight.data_ptr() in learning or weight.grad is None
    assert all(min(factor.shape) == 2 for factor in lora.parameters())
    assert all(factor.grad is not None for factor in lora.parameters())
    assert len(frozen) > 0


def test_its_noise_is_what_its_own_prediction_means(prior: StableDiffusionPrior) -> None:
    """For a UNet that predicts v: eps = sqrt(ab) v + sqrt(1 - ab) xt, and v of a perfect one."""
    lora = shaken(LoraDenoiser(prior, rank=2, generator=generator()))
    text, xt = prior.embed(["a boat", "a tree"]), latents()
    alpha_bar = prior.alpha_bar(T)

    predicted = lora.predict(xt, T, text).detach()
    expected = predicted
    if prior.predicts_v:
        expected = alpha_bar.sqrt() * predicted + (1 - alpha_bar).sqrt() * xt
    torch.testing.assert_close(lora.predict_noise(xt, T, text)[0], expected)

    x0, eps = latents(4), latents(5)
    target = lora.target(x0, eps, T)
    if prior.predicts_v:  # as diffusers' schedulers have it
        target_by_diffusers = prior.pipeline.scheduler.get_velocity(x0, eps, T)
        torch.testing.assert_close(target, target_by_diffusers)
    else:
        assert torch.equal(target, eps)


def test_a_new_one_takes_the_place_of_the_earlier_one(prior: StableDiffusionPrior) -> None:
    text = prior.embed(["a boat", "a tree"])
    (before,) = prior.predict_noise(latents(), T, text)
    shaken(LoraDenoiser(prior, rank=2, generator=generator()))

    second = LoraDenoiser(prior, rank=3, generator=generator())

    assert torch.equal(second.predict_noise(latents(), T, text)[0], before)
    assert {min(factor.shape) for factor in second.parameters()} == {3}


def test_the_generator_alone_decides_where_it_begins(prior: StableDiffusionPrior) -> None:
    torch.manual_seed(1)
    states = []
    for seed in (0, 0, 1):
        lora = LoraDenoiser(prior, rank=2, generator=generator(seed))
        states.append([factor.detach().clone() for factor in lora.parameters()])
    first, again, other = states
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize("rank", [0, -1, 9])
def test_a_rank_that_no_layer_has_is_refused(rank: int, tiny_sd_folder: Path) -> None:
    prior = load_prior(tiny_sd_folder, device="cpu")

    with pytest.raises(CourseError, match=rf"lora_rank must be from 1 to 8, .* it is {rank}\."):
        LoraDenoiser(prior, rank=rank, generator=generator())


def test_a_prior_without_a_unet_is_refused() -> None:
    prior = GaussianMixturePrior(torch.zeros(1, 4, 8, 6), std=1.0)

    with pytest.raises(CourseError, match="this model has none"):
        LoraDenoiser(prior, rank=2, generator=generator())


def test_it_learns_the_particles_while_they_move(tiny_sd_folder: Path) -> None:
    """The loss of the LoRA on particles that hardly move falls; the particles move, too."""
    prior = load_prior(tiny_sd_folder, device="cpu")
    settings = Settings(
        "a boat",
        model=str(tiny_sd_folder),
        loss_type="vsd",
        particles=2,
        steps=60,
        learning_rate=1e-3,
        lora_learning_rate=0.03,
    )
    g = generator()
    prompts = [settings.prompt] * 2
    canvas = LatentCanvas(2, 4, 8, 6, generator=g)
    start = canvas.render().detach().clone()
    companion = lora_companion(vsd, prior, prompts=prompts, settings=settings, generator=g)
    text = prior.embed(prompts)

    def misfit() -> float:
        with torch.no_grad():
            losses = [
                vsd.lora_loss(companion.model, canvas.render(), T, latents(seed), text)
                for seed in range(20)
            ]
        return float(torch.stack(losses).mean())

    before = misfit()
    loss = objective(
        vsd.loss, prior, prompts=prompts, settings=settings, generator=g, lora=companion.model
    )
    for _ in distill(
        canvas, loss, prior=prior, settings=settings, generator=g, companion=companion
    ):
        pass

    assert misfit() < 0.97 * before
    assert not torch.equal(canvas.render(), start)


def test_no_room_for_temporary_files_is_said(
    tiny_sd_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lora = LoraDenoiser(load_prior(str(tiny_sd_folder)), rank=2, generator=generator())

    def fail(*args: object, **options: object) -> None:
        raise SafetensorError("Error while serializing: I/O error: No space left on device")

    monkeypatch.setattr(safetensors.torch, "save_file", fail)

    with pytest.raises(CourseError, match=r"No space left on device\); free some space there"):
        lora.saved()
