"""What is added to a prior: ControlNets, LoRA weights, another autoencoder. On random networks."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import diffusers
import peft
import pytest
import torch
from torch import Tensor

from distillery.core.errors import CourseError
from distillery.models import presets
from distillery.models.exact import GaussianMixturePrior
from distillery.models.load import load_controlnets, load_lora, load_prior
from distillery.models.prior import Condition, Control
from distillery.models.stable_diffusion import StableDiffusionXLPrior

SIZE = (64, 96)
PROMPTS = ["a red boat", "a blue house"]


@pytest.fixture
def prior(
    tiny_sdxl_tiny_vae_folder: Path, tiny_controlnet_folders: dict[str, Path]
) -> StableDiffusionXLPrior:
    prior = load_prior(tiny_sdxl_tiny_vae_folder, device="cpu")
    assert isinstance(prior, StableDiffusionXLPrior)
    for kind, folder in tiny_controlnet_folders.items():
        prior.add_controlnet(kind, str(folder), offline=True)
    return prior


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def pictures(seed: int, batch: int = 2) -> Tensor:
    return torch.rand(batch, 3, *SIZE, generator=torch.Generator().manual_seed(seed))


def branches(prior: StableDiffusionXLPrior) -> tuple[Tensor, Tensor, Condition, Condition]:
    """A non-square batch: xt, t, and the conditions without and with text."""
    return noise(2, 4, 8, 12), torch.tensor([751, 251]), prior.embed(["", ""]), prior.embed(PROMPTS)


@pytest.mark.parametrize(
    ("scales", "windows"),
    [
        ((0.7, 0.4), ((0.0, 1.0), (0.0, 1.0))),
        ((0.7, 0.4), ((0.0, 0.5), (0.5, 1.0))),
        ((1.3, 0.0), ((0.0, 1.0), (0.0, 1.0))),
    ],
)
def test_a_sample_is_that_of_diffusers_own_controlnet_pipeline(
    prior: StableDiffusionXLPrior,
    scales: tuple[float, float],
    windows: tuple[tuple[float, float], tuple[float, float]],
) -> None:
    """Residuals of both ControlNets, their scales, their windows, prompts and picture size."""
    maps = [pictures(1), pictures(2)]
    start = noise(2, 4, 8, 12, seed=5)
    nets = [prior.controlnets[kind] for kind in ("canny", "depth")]
    parts = {k: v for k, v in prior.pipeline.components.items() if "image_enc" not in k}
    parts.pop("feature_extractor", None)
    pipeline = diffusers.StableDiffusionXLControlNetPipeline(
        **parts, controlnet=nets, force_zeros_for_empty_prompt=True, add_watermarker=False
    )
    pipeline.set_progress_bar_config(disable=True)
    expected = pipeline(
        PROMPTS,
        image=maps,
        height=SIZE[0],
        width=SIZE[1],
        num_inference_steps=4,
        guidance_scale=3.0,
        latents=start.clone(),
        controlnet_conditioning_scale=list(scales),
        control_guidance_start=[window[0] for window in windows],
        control_guidance_end=[window[1] for window in windows],
        output_type="latent",
    ).images

    controls = [
        Control(kind, image, scale, window)
        for kind, image, scale, window in zip(
            ("canny", "depth"), maps, scales, windows, strict=True
        )
    ]
    scheduler = diffusers.DDIMScheduler.from_config(prior.pipeline.scheduler.config)
    scheduler.set_timesteps(4)
    text, uncond = prior.embed(PROMPTS), prior.embed(["", ""])
    xt = start
    for t in scheduler.timesteps:
        eps_uncond, eps_text = prior.predict_noise(xt, t.expand(2), uncond, text, controls=controls)
        xt = scheduler.step(eps_uncond + 3.0 * (eps_text - eps_uncond), t, xt).prev_sample

    torch.testing.assert_close(xt, expected, atol=1e-3, rtol=1e-3)


def test_every_branch_is_held_to_the_controls_in_one_call(prior: StableDiffusionXLPrior) -> None:
    xt, t, uncond, text = branches(prior)
    controls = [Control("canny", pictures(1), 0.8), Control("depth", pictures(2, batch=1), 0.5)]
    calls = []
    for network in (prior.unet, *prior.controlnets.values()):
        network.register_forward_hook(lambda module, args, output: calls.append(len(args[0])))

    together = prior.predict_noise(xt, t, uncond, text, controls=controls)

    assert calls == [4, 4, 4]
    free = prior.predict_noise(xt, t, uncond, text)
    for eps, condition, without in zip(together, (uncond, text), free, strict=True):
        (alone,) = prior.predict_noise(xt, t, condition, controls=controls)
        torch.testing.assert_close(eps, alone, atol=1e-5, rtol=1e-4)
        assert (eps - without).abs().mean() > 1e-3
        assert not eps.requires_grad


def test_a_window_opens_for_each_picture_by_its_own_timestep(
    prior: StableDiffusionXLPrior,
) -> None:
    xt, t, _, text = branches(prior)  # a quarter and three quarters of the way

    def eps(*window: float) -> Tensor:
        control = Control("canny", pictures(1), 1.0, window)
        return prior.predict_noise(xt, t, text, controls=[control])[0]

    (free,) = prior.predict_noise(xt, t, text)
    held = eps(0.0, 1.0)
    early, late = eps(0.0, 0.5), eps(0.5, 1.0)
    torch.testing.assert_close(early, torch.stack([held[0], free[1]]))
    torch.testing.assert_close(late, torch.stack([free[0], held[1]]))


def test_a_scale_of_nought_asks_no_controlnet(prior: StableDiffusionXLPrior) -> None:
    xt, t, _, text = branches(prior)
    prior.controlnets.clear()

    (eps,) = prior.predict_noise(xt, t, text, controls=[Control("canny", pictures(1), 0.0)])

    assert torch.equal(eps, prior.predict_noise(xt, t, text)[0])


def test_a_control_without_its_controlnet_says_which_there_are(
    prior: StableDiffusionXLPrior,
) -> None:
    xt, t, _, text = branches(prior)

    with pytest.raises(CourseError, match="no ControlNet for 'pose', only for canny, depth"):
        prior.predict_noise(xt, t, text, controls=[Control("pose", pictures(1))])
    prior.controlnets.clear()
    with pytest.raises(CourseError, match="only for nothing"):
        prior.predict_noise(xt, t, text, controls=[Control("canny", pictures(1))])


def test_controlnets_are_frozen(prior: StableDiffusionXLPrior) -> None:
    for net in prior.controlnets.values():
        assert not net.training
        assert not any(p.requires_grad for p in net.parameters())


def test_time_ids_reach_the_unet_and_the_controlnet(prior: StableDiffusionXLPrior) -> None:
    xt, t, _, text = branches(prior)
    whole = torch.tensor([[*SIZE, 0, 0, *SIZE]] * 2, dtype=torch.float32)
    cropped = torch.tensor([[512, 512, 16, 8, *SIZE]] * 2, dtype=torch.float32)
    heard = []
    for network in (prior.unet, prior.controlnets["canny"]):
        network.register_forward_pre_hook(
            lambda module, args, given: heard.append(given["added_cond_kwargs"]["time_ids"]),
            with_kwargs=True,
        )

    def eps(condition: Condition) -> Tensor:
        controls = [Control("canny", pictures(1))]
        return prior.predict_noise(xt, t, condition, controls=controls)[0]

    by_default, told = eps(text), eps(replace(text, time_ids=whole))
    other = eps(replace(text, time_ids=cropped))

    assert torch.equal(by_default, told)
    assert not torch.allclose(by_default, other)
    for ids, expected in zip(heard, [whole] * 4 + [cropped] * 2, strict=True):
        assert torch.equal(ids, expected)


def test_conditions_of_which_only_some_know_the_size_are_refused(
    prior: StableDiffusionXLPrior,
) -> None:
    xt, t, uncond, text = branches(prior)

    with pytest.raises(CourseError, match="either all conditions of one call"):
        prior.predict_noise(xt, t, uncond, replace(text, time_ids=torch.zeros(2, 6)))


def test_an_autoencoder_of_the_tiny_kind_encodes_and_decodes(
    prior: StableDiffusionXLPrior,
) -> None:
    images = (2 * pictures(1) - 1).requires_grad_()

    latents = prior.encode(images)
    latents.square().sum().backward()

    assert isinstance(prior.vae, diffusers.AutoencoderTiny)
    assert prior.image_size == (64, 64)
    assert torch.equal(latents, prior.vae.encode(images).latents)
    assert images.grad.abs().sum() > 0
    assert prior.decode(latents).shape == images.shape


# Loading


def test_the_models_controlnets_are_found_in_the_repository(tiny_repository: Path) -> None:
    prior = load_prior("tiny-sdxl", device="cpu")

    load_controlnets(prior, "tiny-sdxl", ["depth"])

    assert set(prior.controlnets) == {"depth"}


@pytest.mark.parametrize(
    ("model", "kind"), [("tiny-sd", "canny"), ("exact", "depth"), ("tiny-sdxl", "pose")]
)
def test_a_kind_that_the_model_lacks_is_refused(
    tiny_repository: Path, model: str, kind: str
) -> None:
    prior = GaussianMixturePrior(torch.zeros(1, 4, 8, 8), std=0.1)

    with pytest.raises(CourseError, match=f"{model} has no ControlNet for '{kind}'; choose one of"):
        load_controlnets(prior, model, [kind])


@pytest.mark.parametrize("damage", ["missing", "truncated", "of another kind"])
def test_damaged_controlnets_are_refused(
    tiny_repository: Path, tiny_controlnet_folders: dict[str, Path], damage: str
) -> None:
    folder = tiny_repository / "data/models/tiny-controlnet-canny"
    folder.unlink()
    if damage == "truncated":
        shutil.copytree(tiny_controlnet_folders["canny"], folder)
        (weights,) = folder.glob("*.safetensors")
        weights.write_bytes(weights.read_bytes()[:1000])
    if damage == "of another kind":
        folder.mkdir()
        (folder / "config.json").write_text("{")
    prior = load_prior("tiny-sdxl", device="cpu")

    with pytest.raises(CourseError, match=r"cannot load the canny ControlNet .*make train") as told:
        load_controlnets(prior, "tiny-sdxl", ["canny"])
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("name", ["another-vae", "taesd-of-mine"])
def test_another_autoencoder_takes_the_place_of_the_models_own(
    name: str, tiny_sdxl_tiny_vae_folder: Path, tmp_path: Path
) -> None:
    torch.manual_seed(7)
    vaes = {
        "another-vae": diffusers.AutoencoderKL(
            block_out_channels=(8,) * 4,
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            latent_channels=4,
            norm_num_groups=4,
            scaling_factor=0.5,
        ),
        "taesd-of-mine": diffusers.AutoencoderTiny(
            encoder_block_out_channels=(4,) * 4, decoder_block_out_channels=(4,) * 4
        ),
    }
    vaes[name].save_pretrained(tmp_path / name)

    prior = load_prior(tiny_sdxl_tiny_vae_folder, device="cpu", vae=str(tmp_path / name))

    images = 2 * pictures(1) - 1
    with torch.no_grad():
        encoded = vaes[name].encode(images)
    expected = 0.5 * encoded.latent_dist.mode() if name == "another-vae" else encoded.latents
    torch.testing.assert_close(prior.encode(images), expected)


def test_an_autoencoder_that_is_none_is_one_sentence(
    tiny_sdxl_tiny_vae_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(CourseError, match="cannot load") as caught:
        load_prior(tiny_sdxl_tiny_vae_folder, device="cpu", vae=str(tmp_path))
    assert "\n" not in str(caught.value)


# LoRA


def lora(folder: Path, model: Path) -> tuple[Path, str, Tensor]:
    """A LoRA of one layer: its folder, the layer's name, and what it adds to the layer's weight."""
    torch.manual_seed(3)
    unet = diffusers.UNet2DConditionModel.from_pretrained(model / "unet")
    config = peft.LoraConfig(r=2, lora_alpha=6, target_modules=["to_v"])
    unet.add_adapter(config)
    for name, parameter in unet.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter)
    name = next(n for n, m in unet.named_modules() if n.endswith("attn2.to_v"))
    layer = unet.get_submodule(name)
    added = 3 * layer.lora_B["default"].weight @ layer.lora_A["default"].weight
    diffusers.StableDiffusionXLPipeline.save_lora_weights(
        folder,
        unet_lora_layers=diffusers.utils.convert_state_dict_to_diffusers(
            peft.get_peft_model_state_dict(unet)
        ),
        unet_lora_adapter_metadata=config.to_dict(),
    )
    return folder, name, added.detach()


@pytest.mark.parametrize("scale", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("by", ["folder", "file"])
def test_lora_weights_are_added_to_the_unets_by_their_scale(
    scale: float, by: str, tiny_sdxl_tiny_vae_folder: Path, tmp_path: Path
) -> None:
    folder, name, added = lora(tmp_path / "lora", tiny_sdxl_tiny_vae_folder)
    source = folder if by == "folder" else next(folder.glob("*.safetensors"))
    prior = load_prior(tiny_sdxl_tiny_vae_folder, device="cpu")
    before = prior.unet.get_submodule(name).weight.clone()

    load_lora(prior, str(source), scale=scale)

    weight = prior.unet.get_submodule(name).weight
    torch.testing.assert_close(weight, before + scale * added, atol=1e-5, rtol=1e-4)
    assert not any("lora" in n for n, _ in prior.unet.named_parameters())
    assert not any(p.requires_grad for p in prior.unet.parameters())


def test_lora_weights_of_another_model_are_refused(
    tiny_sdxl_tiny_vae_folder: Path, tiny_sd_folder: Path, tmp_path: Path
) -> None:
    folder, _, _ = lora(tmp_path / "lora", tiny_sd_folder)
    prior = load_prior(tiny_sdxl_tiny_vae_folder, device="cpu")

    with pytest.raises(CourseError, match="cannot use the LoRA weights") as caught:
        load_lora(prior, str(folder))
    assert "\n" not in str(caught.value)


def test_lora_weights_need_a_network() -> None:
    prior = GaussianMixturePrior(torch.zeros(1, 4, 8, 8), std=0.1)

    with pytest.raises(CourseError, match="LoRA weights need a diffusion model"):
        load_lora(prior, "lora")


# The exact prior


def mixture(moved: Tensor | None = None) -> GaussianMixturePrior:
    means = noise(3, 4, 3, 5, seed=2)
    if moved is not None:
        means = means + torch.cat([moved, torch.zeros(1, 3, 5)])
    return GaussianMixturePrior(means, 0.3, torch.tensor([0.5, 0.2, 0.3]), {"pair": [0, 2]})


def test_a_control_moves_the_means_of_the_exact_prior() -> None:
    first, second = torch.rand(3, 3, 5), torch.rand(3, 3, 5)
    xt, t = noise(2, 4, 3, 5), torch.tensor([100, 600])
    prior, moved = mixture(), mixture(0.7 * first + 0.2 * second)
    controls = [Control("canny", first[None], 0.7), Control("depth", second[None], 0.2)]
    conditions = [prior.embed(["", ""]), prior.embed(["pair", "pair"])]

    together = prior.predict_noise(xt, t, *conditions, controls=controls)

    torch.testing.assert_close(together, moved.predict_noise(xt, t, *conditions))
    assert not torch.allclose(together[0], prior.predict_noise(xt, t, conditions[0])[0])


def test_a_window_of_the_exact_prior_opens_for_each_picture_of_its_own() -> None:
    pictures = torch.rand(2, 3, 3, 5)
    xt, t = noise(2, 4, 3, 5), torch.tensor([900, 100])
    prior = mixture()
    text = prior.embed(["pair", "pair"])
    control = Control("canny", pictures, 1.0, (0.5, 1.0))

    (eps,) = prior.predict_noise(xt, t, text, controls=[control])

    (free,) = prior.predict_noise(xt, t, text)
    (held,) = mixture(pictures[1]).predict_noise(xt, t, text)
    torch.testing.assert_close(eps, torch.stack([free[0], held[1]]))


def test_a_presets_controlnets_are_of_the_kinds_that_settings_know() -> None:
    for preset in presets.PRESETS.values():
        assert set(preset.controlnets) in (set(), {"canny", "depth"})
