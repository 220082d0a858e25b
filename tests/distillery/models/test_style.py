"""A style is a LoRA, and maybe a decoder: both by their scale, and none at a scale of 0."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from distillery.core.errors import CourseError
from distillery.models.load import load_prior
from distillery.models.lora import WEIGHTS, LoraDenoiser
from distillery.models.stable_diffusion import StableDiffusionPrior
from distillery.models.style import load_style


def prior_of(folder: Path) -> StableDiffusionPrior:
    prior = load_prior(folder, device="cpu")
    assert isinstance(prior, StableDiffusionPrior)
    return prior


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def style(tiny_sd_folder: Path, tmp_path: Path) -> Path:
    """The folder of a style with a LoRA and a decoder that is brighter by a half."""
    prior = prior_of(tiny_sd_folder)
    lora = LoraDenoiser(prior, rank=2, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for factor in lora.parameters():
            factor += 0.3 * noise(*factor.shape)
    (tmp_path / "style").mkdir()
    (tmp_path / "style" / WEIGHTS).write_bytes(lora.saved())
    weights = {
        name: weight.clone().half()
        for name, weight in prior.vae.state_dict().items()
        if name.startswith(("decoder.", "post_quant_conv."))
    }
    weights["decoder.conv_out.bias"] += 0.5
    save_file(weights, tmp_path / "style" / "vae_decoder.safetensors")
    return tmp_path / "style"


@pytest.mark.parametrize(("scale", "brighter"), [(0.0, 0.0), (0.5, 0.25), (1.0, 0.5), (1.2, 0.5)])
def test_unet_and_decoder_go_as_far_as_the_scale_says(
    scale: float, brighter: float, style: Path, tiny_sd_folder: Path
) -> None:
    plain, styled = prior_of(tiny_sd_folder), prior_of(tiny_sd_folder)
    before = {name: weight.clone() for name, weight in styled.unet.state_dict().items()}
    latents = noise(2, 4, 8, 6)

    load_style(styled, str(style), scale=scale)

    change = styled.decode(latents) - plain.decode(latents)
    torch.testing.assert_close(change, torch.full_like(change, brighter), atol=5e-3, rtol=0)
    after = styled.unet.state_dict()
    same = [torch.equal(weight, after[name]) for name, weight in before.items()]
    assert all(same) == (scale == 0)
    if scale == 0:
        assert torch.equal(styled.decode(latents), plain.decode(latents))


def test_a_style_without_a_decoder_leaves_the_models_own(style: Path, tiny_sd_folder: Path) -> None:
    (style / "vae_decoder.safetensors").unlink()
    plain, styled = prior_of(tiny_sd_folder), prior_of(tiny_sd_folder)

    load_style(styled, str(style))

    assert torch.equal(styled.decode(noise(1, 4, 8, 6)), plain.decode(noise(1, 4, 8, 6)))


def test_a_style_of_another_model_is_refused_in_a_sentence_and_nothing_else(
    style: Path, tiny_sdxl_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "empty").mkdir()
    for source, why in (
        (str(style), "tensors fit this model"),
        (str(tmp_path / "none"), "there is no such file or folder"),
        ("/none", "there is no such file or folder"),
        (str(tmp_path / "empty"), "the folder holds no weights"),
    ):
        with pytest.raises(CourseError) as caught:
            load_style(prior_of(tiny_sdxl_folder), source)
        assert f"cannot use the LoRA weights {source!r} (" in str(caught.value)
        assert why in str(caught.value)
    assert caplog.text == ""


def test_the_same_adapters_are_the_same_file_and_say_their_rank(
    style: Path, tiny_sd_folder: Path
) -> None:
    lora = LoraDenoiser(
        prior_of(tiny_sd_folder), rank=2, generator=torch.Generator().manual_seed(0)
    )
    first = lora.saved()
    assert first == lora.saved()
    assert b"unet.lora_alpha" in first
    assert b"unet.target_modules" in first
