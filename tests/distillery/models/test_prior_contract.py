"""What every prior can do, on random networks of each format and on the exact prior."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionXLPipeline
from torch import Tensor, nn

from distillery.core.errors import CourseError
from distillery.methods import ddim
from distillery.models.exact import GaussianMixturePrior
from distillery.models.load import load_prior
from distillery.models.parameterization import x0_from_eps
from distillery.models.prior import Condition, Prior
from distillery.models.stable_diffusion import StableDiffusionPrior

FOLDERS = ["tiny_sd_folder", "tiny_sd_v_folder", "tiny_sdxl_folder", "tiny_sdxl_tiny_vae_folder"]


def mixture(components: int = 3) -> GaussianMixturePrior:
    means = torch.randn(components, 4, 6, 10, generator=torch.Generator().manual_seed(7))
    return GaussianMixturePrior(means, 0.3, names={"a boat": [0], "a house": [1]})


@pytest.fixture(params=["exact", *FOLDERS])
def prior(request: pytest.FixtureRequest) -> Prior:
    if request.param == "exact":
        return mixture()
    return load_prior(request.getfixturevalue(request.param), device="cpu")


def latents(batch: int = 2, size: tuple[int, int] = (6, 10), seed: int = 0) -> Tensor:
    return torch.randn(batch, 4, *size, generator=torch.Generator().manual_seed(seed))


# ----------------------------------------------------------------------------- decode with gradient


@pytest.mark.parametrize("batch", [1, 3])
def test_decoding_with_a_graph_gives_the_same_bits_and_the_slope(prior: Prior, batch: int) -> None:
    x0, direction = latents(batch).requires_grad_(), latents(batch, seed=1)

    images = prior.decode_with_grad(x0)
    weights = torch.randn(images.shape, generator=torch.Generator().manual_seed(2))
    (images * weights).sum().backward()

    assert torch.equal(images, prior.decode(x0))
    ahead, behind = (
        (prior.decode(x0 + step * direction) * weights).double().sum() for step in (0.001, -0.001)
    )
    assert x0.grad is not None
    slope = (x0.grad * direction).double().sum()
    torch.testing.assert_close(
        slope, (ahead - behind) / 0.002, rtol=0.1, atol=0.03
    )  # kinks of a ReLU


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_slope_of_a_decoder_in_double_precision_is_exact(
    folder: str, request: pytest.FixtureRequest
) -> None:
    """The autoencoder itself; what the prior gives is rounded to single precision."""
    prior = load_prior(request.getfixturevalue(folder), device="cpu")
    assert isinstance(prior, StableDiffusionPrior)
    scale = prior.vae.double().config.scaling_factor
    x0, direction = latents(2).double().requires_grad_(), latents(2, seed=1).double()

    prior.decode_with_grad(x0)[1].sum().backward()

    ahead, behind = (
        prior.vae.decode((x0 + step * direction) / scale).sample[1].sum() for step in (1e-6, -1e-6)
    )
    assert x0.grad is not None
    assert not x0.grad[0].any()  # the pictures of a batch are apart
    slope = (x0.grad * direction).sum()
    torch.testing.assert_close(slope, (ahead - behind) / 2e-6, rtol=1e-5, atol=1e-5)


def test_decoding_with_a_graph_keeps_nothing_for_the_weights(prior: Prior) -> None:
    prior.decode_with_grad(latents().requires_grad_()).square().sum().backward()

    if isinstance(prior, StableDiffusionPrior):
        modules = [m for m in prior.pipeline.components.values() if isinstance(m, nn.Module)]
        parameters = [p for module in modules for p in module.parameters()]
        assert parameters
        assert all(p.grad is None and not p.requires_grad for p in parameters)
    assert not prior.decode(latents().requires_grad_()).requires_grad


# ------------------------------------------------------------------------------- the estimate of x0


def test_the_estimate_of_a_single_gaussian_is_its_posterior_mean() -> None:
    """E[x0 | xt] of N(mu, s^2 I) is mu + sqrt(alpha_bar) s^2 / v (xt - sqrt(alpha_bar) mu)."""
    prior, xt, t = mixture(components=1), latents(), torch.tensor([37, 801])
    (eps,) = prior.predict_noise(xt, t, prior.embed(["", ""]))

    estimate = x0_from_eps(xt, eps, prior.alpha_bar(t))

    alpha_bar, mean = prior.alpha_bar(t), prior.means[0].float()
    v = alpha_bar * prior.std**2 + 1 - alpha_bar
    expected = mean + alpha_bar.sqrt() * prior.std**2 / v * (xt - alpha_bar.sqrt() * mean)
    torch.testing.assert_close(estimate, expected, atol=1e-4, rtol=1e-4)


# ------------------------------------------------------------------------------------------- sizes


@pytest.mark.parametrize("size", [(6, 10), (8, 8), (12, 4), (9, 7)])
@pytest.mark.parametrize("folder", FOLDERS)
def test_latents_may_be_of_any_size(
    folder: str, size: tuple[int, int], request: pytest.FixtureRequest
) -> None:
    prior = load_prior(request.getfixturevalue(folder), device="cpu")
    xt, t = latents(2, size), torch.tensor([37, 801])
    factor = prior.image_size[0] // prior.latent_size[0]

    (eps,) = prior.predict_noise(xt, t, prior.embed(["a boat", "a house"]))
    images = prior.decode(xt)

    assert eps.shape == xt.shape
    assert images.shape == (2, 3, size[0] * factor, size[1] * factor)
    assert prior.encode(images).shape == xt.shape


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_sample_may_be_of_any_size(folder: str, request: pytest.FixtureRequest) -> None:
    prior = load_prior(request.getfixturevalue(folder), device="cpu")
    factor = prior.image_size[0] // prior.latent_size[0]

    sample = prior.sample(
        ["a boat", "a house"],
        guidance_scale=2,
        steps=2,
        generator=torch.Generator().manual_seed(0),
        size=(4 * 8, 6 * 8),
    )

    assert sample.shape == (2, 4, 32 // factor, 48 // factor)


def test_the_exact_prior_says_that_it_knows_one_size() -> None:
    prior = mixture()

    with pytest.raises(CourseError, match=r"accepts only latents of \(4, 6, 10\).*\(4, 10, 6\)"):
        prior.predict_noise(latents(size=(10, 6)), torch.tensor([5, 5]), prior.embed(["", ""]))
    with pytest.raises(CourseError, match=r"draws pictures of \(6, 10\); \(10, 6\)"):
        prior.sample([""], guidance_scale=1, generator=torch.Generator(), size=(10, 6))


# -------------------------------------------------------------------- SDXL's size of a picture


def sdxl(folder: Path) -> StableDiffusionPrior:
    prior = load_prior(folder, device="cpu")
    assert isinstance(prior, StableDiffusionPrior)
    return prior


def test_explicit_sizes_are_those_of_diffusers_own_pipeline(tiny_sdxl_folder: Path) -> None:
    prior, prompts = sdxl(tiny_sdxl_folder), ["a boat", "a house"]
    pipeline = prior.pipeline
    assert isinstance(pipeline, StableDiffusionXLPipeline)
    start = latents(2, (8, 12), seed=5)
    expected = pipeline(
        prompts,
        height=16,
        width=24,
        num_inference_steps=3,
        guidance_scale=3.0,
        latents=start.clone(),
        original_size=(48, 96),
        crops_coords_top_left=(16, 40),
        target_size=(20, 28),
        output_type="latent",
    ).images

    def told(prompts: list[str]) -> Condition:
        return prior.embed(prompts).with_size((48, 96), crop=(16, 40), target=(20, 28))

    *_, end = ddim.sample(
        prior,
        start,
        text=told(prompts),
        uncond=told(["", ""]),
        guidance_scale=3.0,
        timesteps=prior.timesteps(3),
    )

    torch.testing.assert_close(end.xt, expected, atol=1e-4, rtol=1e-4)


def test_a_patch_can_be_told_the_size_of_the_whole(tiny_sdxl_folder: Path) -> None:
    prior, xt, t = sdxl(tiny_sdxl_folder), latents(), torch.tensor([37, 801])
    condition = prior.embed(["a boat", "a house"])
    told: list[Tensor] = []
    prior.unet.add_embedding.register_forward_hook(lambda module, args, output: None)
    prior.unet.add_time_proj.register_forward_hook(
        lambda module, args, output: told.append(args[0])
    )

    (default,) = prior.predict_noise(xt, t, condition)
    (same,) = prior.predict_noise(xt, t, condition.with_size((12, 20)))
    (patch,) = prior.predict_noise(xt, t, condition.with_size((96, 80), crop=(0, 12)))

    assert [values.view(2, 6)[1].tolist() for values in told] == [
        [12, 20, 0, 0, 12, 20],
        [12, 20, 0, 0, 12, 20],
        [96, 80, 0, 12, 96, 80],
    ]
    assert torch.equal(default, same)
    assert not torch.equal(default, patch)


def test_models_without_size_conditioning_are_not_changed_by_it(tiny_sd_folder: Path) -> None:
    xt, t = latents(), torch.tensor([37, 801])
    for prior in (mixture(), load_prior(tiny_sd_folder, device="cpu")):
        condition = prior.embed(["a boat", "a house"])
        told = condition.with_size((96, 80))
        assert torch.equal(
            prior.predict_noise(xt, t, condition)[0], prior.predict_noise(xt, t, told)[0]
        )


@pytest.mark.parametrize(
    ("original", "crop", "target"),
    [((0, 8), (0, 0), None), ((8, 8), (-1, 0), None), ((8, 8), (0, 0), (8, 0))],
)
def test_a_size_that_no_picture_has_is_refused(
    original: tuple[int, int], crop: tuple[int, int], target: tuple[int, int] | None
) -> None:
    with pytest.raises(CourseError, match="sides of at least 1 pixel and crop a corner from 0"):
        mixture().embed([""]).with_size(original, crop=crop, target=target)
