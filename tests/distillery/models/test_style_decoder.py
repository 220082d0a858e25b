"""A style's own decoder takes the place of the model's, or is refused in one sentence."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from distillery.core.errors import CourseError
from distillery.models.load import load_prior
from distillery.models.style import load_decoder


@pytest.fixture
def prior():
    return load_prior("tiny-sd", device="cpu")


def decoder_of(prior) -> dict[str, torch.Tensor]:
    """Its weights in half precision, as they are shipped."""
    weights = prior.vae.state_dict().items()
    return {k: w.half() for k, w in weights if k.startswith(("decoder.", "post_quant_conv."))}


def test_the_decoder_changes_and_the_encoder_stays(prior, tmp_path):
    weights = decoder_of(prior)
    weights["decoder.conv_out.bias"] += 0.5
    save_file(weights, tmp_path / "bright.safetensors")
    images = torch.rand(2, 3, 32, 48, generator=torch.Generator().manual_seed(0)) * 2 - 1
    latents = prior.encode(images)
    before = prior.decode(latents)

    load_decoder(prior, tmp_path / "bright.safetensors")

    assert torch.equal(prior.encode(images), latents)
    assert torch.allclose(prior.decode(latents), before + 0.5, atol=2e-3)
    assert not any(weight.requires_grad for weight in prior.vae.parameters())


def without_one(weights):
    del weights["decoder.conv_in.bias"]


def with_another_shape(weights):
    weights["decoder.conv_in.weight"] = torch.zeros(8, 4, 3, 3)


def with_an_encoder(weights):
    weights["encoder.conv_in.bias"] = torch.zeros(32)


@pytest.mark.parametrize("spoil", [without_one, with_another_shape, with_an_encoder])
def test_weights_that_do_not_fit_are_refused_and_nothing_changes(prior, tmp_path, spoil):
    weights = {name: torch.zeros_like(weight) for name, weight in decoder_of(prior).items()}
    spoil(weights)
    save_file(weights, tmp_path / "other.safetensors")
    before = prior.vae.decoder.conv_out.weight.clone()

    with pytest.raises(CourseError, match="not for this model") as caught:
        load_decoder(prior, tmp_path / "other.safetensors")

    assert "\n" not in str(caught.value)
    assert torch.equal(prior.vae.decoder.conv_out.weight, before)


def test_a_missing_or_broken_file_is_refused(prior, tmp_path):
    (tmp_path / "broken.safetensors").write_bytes(b"not weights")
    for name in ("broken.safetensors", "missing.safetensors"):
        with pytest.raises(CourseError, match="cannot read the decoder") as caught:
            load_decoder(prior, tmp_path / name)
        assert "\n" not in str(caught.value)


def test_a_prior_without_an_autoencoder_is_refused(tmp_path):
    with pytest.raises(CourseError, match="needs a model with an autoencoder"):
        load_decoder(load_prior("exact", device="cpu"), tmp_path / "any.safetensors")
