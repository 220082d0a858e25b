from __future__ import annotations

from pathlib import Path

import diffusers
import pytest
import torch
from torch import Tensor, nn

from distillery.core.errors import CourseError
from distillery.models.prior import Condition
from distillery.models.stable_diffusion import StableDiffusionPrior, StableDiffusionXLPrior, load

FORMATS = ["tiny_sd_folder", "tiny_sd_v_folder", "tiny_sdxl_folder"]


def load_folder(folder: Path, dtype: torch.dtype = torch.float32) -> StableDiffusionPrior:
    family = "sdxl" if folder.name == "sdxl" else "sd"
    return load(family, str(folder), device="cpu", dtype=dtype, offline=True)


@pytest.fixture(params=FORMATS)
def prior(request: pytest.FixtureRequest) -> StableDiffusionPrior:
    return load_folder(request.getfixturevalue(request.param))


def branches(prior: StableDiffusionPrior) -> tuple[Tensor, Tensor, Condition, Condition]:
    """A non-square batch: xt, t, and the conditions without and with text."""
    xt = torch.randn(2, 4, 6, 10, generator=torch.Generator().manual_seed(0))
    t = torch.tensor([37, 801])
    return xt, t, prior.embed(["", ""]), prior.embed(["a red boat", "a blue house"])


def test_it_describes_itself(prior: StableDiffusionPrior) -> None:
    assert prior.latent_channels == 4
    assert prior.latent_size == (8, 8)
    assert prior.image_size == (16, 16)
    assert prior.alpha_bar(torch.tensor([5, 900])).shape == (2, 1, 1, 1)


def test_noise_levels_are_diffusers_own(prior: StableDiffusionPrior) -> None:
    expected = prior.pipeline.scheduler.alphas_cumprod

    assert prior.alphas_cumprod.dtype == torch.float32
    torch.testing.assert_close(prior.alphas_cumprod, expected, atol=1e-6, rtol=1e-4)


def test_all_branches_are_one_batched_call(prior: StableDiffusionPrior) -> None:
    xt, t, uncond, text = branches(prior)
    batches = []
    prior.unet.register_forward_hook(lambda module, inputs, output: batches.append(len(inputs[0])))

    together = prior.predict_noise(xt, t, uncond, text, uncond)

    assert batches == [6]
    assert [eps.shape for eps in together] == [xt.shape] * 3
    for eps, condition in zip(together, (uncond, text, uncond), strict=True):
        alone = prior.predict_noise(xt, t, condition)[0]
        torch.testing.assert_close(eps, alone, atol=1e-5, rtol=1e-4)
    assert not torch.equal(together[0], together[1])


def test_nothing_is_trainable_and_nothing_drops_out(prior: StableDiffusionPrior) -> None:
    modules = [part for part in prior.pipeline.components.values() if isinstance(part, nn.Module)]

    assert len(modules) >= 3
    assert not any(module.training for module in modules)
    assert not any(p.requires_grad for module in modules for p in module.parameters())


def test_no_gradient_passes_through_the_unet(prior: StableDiffusionPrior) -> None:
    xt, t, _, text = branches(prior)

    (eps,) = prior.predict_noise(xt.requires_grad_(), t, text)

    assert not eps.requires_grad


@pytest.mark.parametrize("folder", ["tiny_sd_folder", "tiny_sd_v_folder"])
@pytest.mark.parametrize("index", [0, 1])
def test_eps_means_the_x0_that_diffusers_predicts(
    folder: str, index: int, request: pytest.FixtureRequest
) -> None:
    prior = load_folder(request.getfixturevalue(folder))
    xt, t, _, text = branches(prior)
    scheduler = diffusers.DDIMScheduler.from_config(prior.pipeline.scheduler.config)
    scheduler.set_timesteps(1000)
    with torch.no_grad():
        raw = prior.unet(xt, t, text.tokens).sample

    (eps,) = prior.predict_noise(xt, t, text)

    alpha_bar = prior.alpha_bar(t)
    x0 = (xt - (1 - alpha_bar).sqrt() * eps) / alpha_bar.sqrt()
    one = slice(index, index + 1)
    expected = scheduler.step(raw[one], int(t[index]), xt[one]).pred_original_sample
    torch.testing.assert_close(x0[one], expected, atol=1e-4, rtol=1e-4)


def test_v_and_eps_models_differ_only_by_the_conversion(
    tiny_sd_folder: Path, tiny_sd_v_folder: Path
) -> None:
    eps_prior, v_prior = load_folder(tiny_sd_folder), load_folder(tiny_sd_v_folder)
    xt, t, _, text = branches(eps_prior)

    (raw,) = eps_prior.predict_noise(xt, t, text)
    (eps,) = v_prior.predict_noise(xt, t, text)

    alpha_bar = v_prior.alpha_bar(t)
    torch.testing.assert_close(eps, alpha_bar.sqrt() * raw + (1 - alpha_bar).sqrt() * xt)


@pytest.mark.parametrize("negative", ["", "low quality"])
def test_a_sample_is_ddim_over_its_own_guided_noise(
    prior: StableDiffusionPrior, negative: str
) -> None:
    """The pipeline and `predict_noise` agree on prompts, guidance, v, and SDXL's picture size."""
    prompts, guidance_scale = ["a red boat", "a blue house"], 3.0
    scheduler = diffusers.DDIMScheduler.from_config(prior.pipeline.scheduler.config)
    scheduler.set_timesteps(4)
    xt = torch.randn(2, 4, 8, 12, generator=torch.Generator().manual_seed(5))
    text, uncond = prior.embed(prompts), prior.embed([negative] * 2)
    for t in scheduler.timesteps:
        eps_uncond, eps_text = prior.predict_noise(xt, t.expand(2), uncond, text)
        eps = eps_uncond + guidance_scale * (eps_text - eps_uncond)
        alpha_bar = prior.alpha_bar(t.expand(2))
        x0 = (xt - (1 - alpha_bar).sqrt() * eps) / alpha_bar.sqrt()
        v = alpha_bar.sqrt() * eps - (1 - alpha_bar).sqrt() * x0
        xt = scheduler.step(v if prior.predicts_v else eps, t, xt).prev_sample

    sample = prior.sample(
        prompts,
        guidance_scale=guidance_scale,
        steps=4,
        generator=torch.Generator().manual_seed(5),
        negative=negative,
        size=(16, 24),
    )

    torch.testing.assert_close(sample, xt, atol=1e-3, rtol=1e-3)


def test_a_sample_has_the_models_own_size_by_default(prior: StableDiffusionPrior) -> None:
    sample = prior.sample(["a boat"], guidance_scale=2, steps=2, generator=torch.Generator())

    assert sample.shape == (1, 4, 8, 8)
    assert sample.dtype == torch.float32


def test_a_size_that_no_latent_has_is_refused(prior: StableDiffusionPrior) -> None:
    with pytest.raises(CourseError, match=r"multiples of 8; it is \(12, 24\)"):
        prior.sample(["a boat"], guidance_scale=2, generator=torch.Generator(), size=(12, 24))


def test_encoding_is_the_scaled_mode_and_differentiable(prior: StableDiffusionPrior) -> None:
    images = (torch.rand(2, 3, 12, 20) * 2 - 1).requires_grad_()

    latents = prior.encode(images)
    latents.square().sum().backward()

    assert latents.shape == (2, 4, 6, 10)
    assert torch.equal(latents, prior.vae.encode(images).latent_dist.mean * 0.7)
    assert images.grad.abs().sum() > 0


def test_decoding_undoes_the_scale_without_gradient(prior: StableDiffusionPrior) -> None:
    latents = torch.randn(2, 4, 6, 10, requires_grad=True)

    images = prior.decode(latents)

    assert images.shape == (2, 3, 12, 20)
    assert torch.equal(images, prior.vae.decode(latents / 0.7).sample)
    assert not images.requires_grad


@pytest.mark.parametrize("folder", FORMATS)
def test_half_precision_weights_still_give_float32(
    folder: str, request: pytest.FixtureRequest
) -> None:
    prior = load_folder(request.getfixturevalue(folder), torch.bfloat16)
    xt, t, uncond, text = branches(prior)

    outputs = [
        *prior.predict_noise(xt, t, uncond, text),
        prior.encode(torch.zeros(1, 3, 12, 20)),
        prior.decode(xt),
        prior.sample(["a boat"], guidance_scale=2, steps=2, generator=torch.Generator()),
    ]

    assert prior.unet.dtype == torch.bfloat16
    assert prior.vae.dtype == torch.float32
    assert all(output.dtype == torch.float32 for output in outputs)


def test_sdxls_empty_prompt_is_all_zeros(tiny_sdxl_folder: Path) -> None:
    condition = load_folder(tiny_sdxl_folder).embed(["", "a boat"])

    assert condition.tokens.shape == (2, 77, 16)
    assert condition.pooled.shape == (2, 8)
    assert not condition.tokens[0].any()
    assert not condition.pooled[0].any()
    assert condition.tokens[1].any()
    assert condition.pooled[1].any()


def test_a_prompt_beyond_the_tokenizer_is_cut_off_with_one_line(
    prior: StableDiffusionPrior, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.warns(UserWarning, match=r"reads 75 tokens .* has 800.*'boat boat") as warned:
        condition = prior.embed(["boat " * 200, "a short one"])

    assert condition.tokens.shape[:2] == (2, 77)
    assert len(warned) == 1
    assert capfd.readouterr().err == ""


def test_the_scheduler_of_a_published_model_is_replaced_by_ddim(tiny_sd_folder: Path) -> None:
    pipeline = diffusers.StableDiffusionPipeline.from_pretrained(tiny_sd_folder)
    pipeline.scheduler = diffusers.PNDMScheduler.from_config(
        pipeline.scheduler.config, skip_prk_steps=True
    )

    prior = StableDiffusionPrior(pipeline)

    assert isinstance(prior.pipeline.scheduler, diffusers.DDIMScheduler)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"prediction_type": "sample"}, "must predict epsilon or v"),
        ({"beta_schedule": "squaredcos_cap_v2"}, "must be one of scaled_linear, linear"),
    ],
)
def test_a_model_of_another_kind_is_refused(
    tiny_sdxl_folder: Path, change: dict[str, str], words: str
) -> None:
    pipeline = diffusers.StableDiffusionXLPipeline.from_pretrained(tiny_sdxl_folder)
    pipeline.scheduler = diffusers.DDIMScheduler.from_config(pipeline.scheduler.config, **change)

    with pytest.raises(CourseError, match=words):
        StableDiffusionXLPrior(pipeline)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("folder", FORMATS)
def test_a_step_never_waits_for_cuda(folder: str, request: pytest.FixtureRequest) -> None:
    folder_path = request.getfixturevalue(folder)
    family = "sdxl" if folder_path.name == "sdxl" else "sd"
    prior = load(family, str(folder_path), device="cuda", dtype=torch.float16, offline=True)
    xt, t, uncond, text = branches(prior)
    xt, t = xt.cuda(), t.cuda()
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        prior.predict_noise(xt, t, uncond, text)
    finally:
        torch.cuda.set_sync_debug_mode("default")
