from __future__ import annotations

from pathlib import Path

import diffusers
import pytest
import torch
from torch import Tensor

from distillery.core.errors import CourseError
from distillery.methods import ddim
from distillery.methods.ddim import DDIMStep
from distillery.models.exact import GaussianMixturePrior
from distillery.models.prior import Prior
from distillery.models.stable_diffusion import StableDiffusionPrior, load

FORMATS = ["tiny_sd_folder", "tiny_sd_v_folder", "tiny_sdxl_folder"]
PROMPTS = ["a red boat", "a blue house"]


@pytest.fixture(params=FORMATS)
def prior(request: pytest.FixtureRequest) -> StableDiffusionPrior:
    folder: Path = request.getfixturevalue(request.param)
    family = "sdxl" if folder.name == "sdxl" else "sd"
    return load(family, str(folder), device="cpu", dtype=torch.float32, offline=True)


def mixture() -> GaussianMixturePrior:
    means = torch.randn(2, 3, 4, 6, generator=torch.Generator().manual_seed(2))
    return GaussianMixturePrior(means, std=0.3, names={"first": [0], "second": [1]})


def noise(*shape: int, seed: int = 5) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def steps_of(
    prior: Prior,
    xt: Tensor,
    prompts: list[str],
    *,
    count: int = 4,
    start: int = 0,
    negative: str = "",
    guidance_scale: float = 3.0,
) -> list[DDIMStep]:
    stream = ddim.sample(
        prior,
        xt,
        text=prior.embed(prompts),
        uncond=prior.embed([negative] * len(prompts)),
        guidance_scale=guidance_scale,
        timesteps=prior.timesteps(count),
        start=start,
    )
    return list(stream)


@pytest.mark.parametrize("negative", ["", "low quality"])
@pytest.mark.parametrize("prompts", [PROMPTS, PROMPTS[:1]], ids=["batch", "single"])
def test_the_last_latents_are_those_of_diffusers_own_pipeline(
    prior: StableDiffusionPrior, prompts: list[str], negative: str
) -> None:
    steps = steps_of(prior, noise(len(prompts), 4, 8, 12), prompts, negative=negative)

    expected = prior.sample(
        prompts,
        guidance_scale=3.0,
        steps=4,
        generator=torch.Generator().manual_seed(5),
        negative=negative,
        size=(16, 24),
    )
    assert [step.index for step in steps] == [0, 1, 2, 3]
    torch.testing.assert_close(steps[-1].xt, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    "change",
    [
        {"set_alpha_to_one": True},
        {"steps_offset": 0},
        {"timestep_spacing": "trailing"},
        {"num_train_timesteps": 500},
    ],
    ids=lambda change: next(iter(change)),
)
def test_the_timesteps_follow_the_models_own_scheduler(
    tiny_sd_folder: Path, change: dict[str, object]
) -> None:
    """Where 4 steps divide the levels evenly, so that diffusers' next level is its next one."""
    pipeline = diffusers.StableDiffusionPipeline.from_pretrained(tiny_sd_folder)
    pipeline.scheduler = diffusers.DDIMScheduler.from_config(pipeline.scheduler.config, **change)
    prior = StableDiffusionPrior(pipeline)

    steps = steps_of(prior, noise(1, 4, 8, 8), PROMPTS[:1])

    expected = prior.sample(
        PROMPTS[:1], guidance_scale=3.0, steps=4, generator=torch.Generator().manual_seed(5)
    )
    torch.testing.assert_close(steps[-1].xt, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("start", [1, 3])
def test_it_goes_on_from_any_step_to_the_same_bits(prior: StableDiffusionPrior, start: int) -> None:
    whole = steps_of(prior, noise(2, 4, 6, 10), PROMPTS)

    rest = steps_of(prior, whole[start - 1].xt, PROMPTS, start=start)

    assert [step.index for step in rest] == [step.index for step in whole[start:]]
    for resumed, step in zip(rest, whole[start:], strict=True):
        assert torch.equal(resumed.xt, step.xt)
        assert torch.equal(resumed.x0, step.x0)


def test_after_the_last_step_there_is_none(prior: StableDiffusionPrior) -> None:
    assert steps_of(prior, noise(1, 4, 8, 8), PROMPTS[:1], start=4) == []


@pytest.mark.parametrize("start", [-1, 5])
def test_a_start_that_is_no_step_is_refused(start: int) -> None:
    with pytest.raises(CourseError, match=f"from 0 to 4, the number of steps; it is {start}"):
        steps_of(mixture(), noise(1, 3, 4, 6), ["first"], start=start)


@pytest.mark.parametrize("count", [0, -2, 1001])
def test_a_number_of_steps_that_no_schedule_has_is_refused(
    tiny_sd_folder: Path, count: int
) -> None:
    diffusion = load("sd", str(tiny_sd_folder), device="cpu", dtype=torch.float32, offline=True)
    for prior in (mixture(), diffusion):
        with pytest.raises(CourseError, match=f"from 1 to 1000 steps; {count} were asked for"):
            prior.timesteps(count)


def test_the_exact_priors_own_sample_is_the_last_estimate_bit_for_bit() -> None:
    prior = mixture()
    steps = steps_of(prior, noise(2, 3, 4, 6), ["first", "second"], count=7)

    sample = prior.sample(
        ["first", "second"], guidance_scale=3.0, steps=7, generator=torch.Generator().manual_seed(5)
    )

    assert torch.equal(steps[-1].x0, sample)


def test_with_many_steps_a_gaussian_is_drawn_along_its_own_path() -> None:
    """The probability flow of N(mu, s^2 I) keeps xt's place in units of its standard deviation."""
    prior, start = mixture(), noise(2, 3, 4, 6)

    steps = steps_of(prior, start, ["second", "second"], count=500, guidance_scale=1.0)

    mean, alpha_bar = prior.means[1].float(), prior.alphas_cumprod[-1]
    spread = (alpha_bar * prior.std**2 + 1 - alpha_bar).sqrt()
    place = (start - alpha_bar.sqrt() * mean) / spread
    torch.testing.assert_close(steps[-1].x0, mean + prior.std * place, atol=0.02, rtol=0.02)


def test_latents_may_be_changed_on_the_way() -> None:
    """Moved to the second picture's side of the way, a sample ends there without a prompt."""
    prior = mixture()
    first = steps_of(prior, noise(1, 3, 4, 6), ["first"], count=20)
    t = prior.timesteps(20)[11]
    moved = first[10].xt + prior.alpha_bar(t[None]).sqrt() * (prior.means[1] - prior.means[0])

    rest = steps_of(prior, moved.float(), [""], count=20, start=11, guidance_scale=1.0)

    assert (rest[-1].x0 - prior.means[1]).square().mean() < 0.3
    assert (rest[-1].x0 - prior.means[0]).square().mean() > 0.5
