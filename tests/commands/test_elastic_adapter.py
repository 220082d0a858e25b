"""The adapter that large pictures are asked with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

import main
from distillery.core.images import load_image
from distillery.runs import elastic, kind
from distillery.runs.elastic_settings import ANY_SIZE, NO_LORA, ElasticSettings
from reference import elastic as reference

OTHER = "data/models/tiny-sd-two-things"
ADAPTED = ["elastic", "upsample-guidance", "upscale"]


@pytest.fixture
def red_boat() -> list[str]:
    """A short run of tiny-sd; `--out` is left to the test."""
    words = ["elastic", "--prompt", "a red boat", "--size", "64,80", "--steps", "2"]
    return [*words, "--implementation", "reference", "--device", "cpu"]


@pytest.mark.parametrize("method", ADAPTED)
def test_the_large_picture_alone_is_asked_with_the_adapter(method: str) -> None:
    its = {"prompt": "a boat", "resampling_steps": 0, "device": "cpu", "steps": 2}
    plain = ElasticSettings.load(None, **its, method=method, lora="none")
    adapted = replace(plain, lora=OTHER)
    prior = elastic.load(plain)
    before = {name: weight.clone() for name, weight in prior.unet.state_dict().items()}

    one, other = (kind.drawn(elastic, prior, reference, its) for its in (plain, adapted))

    assert (one - other).abs().max() > 0.01
    assert all(
        torch.equal(weight, before[name]) for name, weight in prior.unet.state_dict().items()
    )
    assert elastic.load_local(prior, plain) is prior
    assert elastic.load_local(prior, replace(adapted, method="direct")) is prior


def test_tiny_sd_has_its_adapter_for_large_pictures_and_other_models_have_none() -> None:
    its = {"prompt": "a boat", "device": "cpu"}
    assert ElasticSettings(**its).lora == ANY_SIZE
    assert ElasticSettings(**its, method="upscale").lora == ANY_SIZE
    assert ElasticSettings(**its, model="tiny-sdxl").lora == NO_LORA
    assert ElasticSettings(**its, lora=NO_LORA).lora == NO_LORA


def test_a_copy_of_the_course_without_the_adapter_has_none_by_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("distillery.core.files.REPOSITORY", tmp_path)
    assert ElasticSettings("a boat").lora == NO_LORA


def test_it_is_found_from_any_working_directory(
    red_boat: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main.main([*red_boat, "--out", str(tmp_path / "here")]) == 0
    monkeypatch.chdir(tmp_path)
    assert main.main([*red_boat, "--out", "there"]) == 0

    here, there = (load_image(tmp_path / one / "a_red_boat.png") for one in ("here", "there"))
    assert here.tobytes() == there.tobytes()
