"""The adapter that large pictures are asked with, and pictures that are no larger than trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from running import Tree, stopped_once

import main
from distillery.core.files import REPOSITORY
from distillery.core.images import load_image
from distillery.runs import elastic, elastic_run, kind
from distillery.runs.elastic_pipeline import ElasticDiffusion
from distillery.runs.elastic_settings import ANY_SIZE, NO_LORA, ElasticSettings
from reference import elastic as reference

OTHER = "data/models/tiny-sd-two-things"
ADAPTED = ["elastic", "upsample-guidance", "upscale"]


@pytest.fixture
def red_boat() -> list[str]:
    """A short run of tiny-sd; `--out` is left to the test."""
    words = ["elastic", "--prompt", "a red boat", "--size", "72,80", "--steps", "2"]
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


@pytest.mark.parametrize("method", ADAPTED)
def test_what_is_no_larger_than_trained_is_not_asked_with_it(method: str) -> None:
    its = {"prompt": "a boat", "device": "cpu", "steps": 2, "height": 64, "width": 64}
    adapted = ElasticSettings.load(None, **its, method=method, lora=OTHER)
    prior = elastic.load(adapted)

    one, other = (
        kind.drawn(elastic, prior, reference, its)
        for its in (adapted, replace(adapted, lora=NO_LORA))
    )

    assert torch.equal(one, other)


def test_tiny_sd_has_its_adapter_where_both_sides_are_long_and_other_models_have_none() -> None:
    its = {"prompt": "a boat", "device": "cpu", "height": 72, "width": 128}
    assert ElasticSettings(**its).lora == ANY_SIZE
    assert ElasticSettings(**{**its, "height": 64}).lora == NO_LORA
    assert ElasticSettings(**its, method="upscale").lora == ANY_SIZE
    assert ElasticSettings(**its, model="tiny-sdxl").lora == NO_LORA
    assert ElasticSettings(**its, lora=NO_LORA).lora == NO_LORA


def test_a_copy_of_the_course_without_the_adapter_has_none_by_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("distillery.core.files.REPOSITORY", tmp_path)
    assert ElasticSettings("a boat", 128, 128).lora == NO_LORA


def test_the_adapter_is_that_of_the_method_and_the_model_that_a_file_is_changed_to(
    tmp_path: Path,
) -> None:
    ElasticSettings("a boat", 128, 128, method="direct").save(tmp_path / "direct.yaml")
    ElasticSettings("a boat", 128, 128, lora=OTHER).save(tmp_path / "other.yaml")

    assert elastic.adapter(ElasticSettings.load(tmp_path / "direct.yaml")) == ""
    changed = ElasticSettings.load(tmp_path / "direct.yaml", method="elastic")
    assert elastic.adapter(changed) == ANY_SIZE
    assert ElasticSettings.load(tmp_path / "other.yaml").lora == OTHER
    assert ElasticSettings.load(tmp_path / "other.yaml", model="tiny-sdxl").lora == NO_LORA


def test_it_is_found_from_any_working_directory(
    red_boat: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main.main([*red_boat, "--out", str(tmp_path / "here")]) == 0
    monkeypatch.chdir(tmp_path)
    assert main.main([*red_boat, "--out", "there"]) == 0

    here, there = (load_image(tmp_path / one / "a_red_boat.png") for one in ("here", "there"))
    assert here.tobytes() == there.tobytes()


@pytest.mark.parametrize("method", ["elastic", "upsample-guidance"])
def test_a_picture_of_the_trained_size_has_all_steps_and_its_scores_and_goes_on_after_a_stop(
    method: str,
    red_boat: list[str],
    tmp_path: Path,
    tree: Tree,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = [*red_boat, "--size", "64,64", "--steps", "4", "--method", method]
    command += ["--pca", "--frames"]
    assert main.main([*command, "--out", str(tmp_path / "whole")]) == 0
    assert "is its own reference and plain guidance draws it" in capsys.readouterr().err
    folder = tmp_path / "whole" / "a_red_boat"
    assert len(list((folder / "frames").iterdir())) == 4
    assert len(list((folder / "pca").iterdir())) == 8

    stopped_once(monkeypatch, elastic_run, "steered", 2)
    assert main.main([*command, "--out", str(tmp_path / "out")]) == 130
    assert main.main([*command, "--out", str(tmp_path / "out")]) == 0
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


# In Python


@pytest.fixture(scope="module")
def draw() -> Callable[..., np.ndarray]:
    """A function that draws with one `ElasticDiffusion` of tiny-sd."""
    pipe = ElasticDiffusion(device="cpu", implementation="reference")

    def drawn(**options: Any) -> np.ndarray:
        its = {"height": 64, "width": 80, "num_inference_steps": 2, **options}
        images, _ = pipe.generate_image("a red boat", **its)
        return np.asarray(images[0]).astype(int)

    return drawn


def test_a_method_that_has_no_use_for_an_adapter_does_not_take_it_from_the_next_one(draw) -> None:
    draw(method="direct", lora=OTHER)
    assert (draw(lora=OTHER) != draw(lora=NO_LORA)).any()


def test_the_adapted_model_is_as_precise_as_the_other_one() -> None:
    pipe = ElasticDiffusion(device="cpu", implementation="reference", torch_dtype="bfloat16")

    (image,), _ = pipe.generate_image("a red boat", height=64, width=80, num_inference_steps=2)

    assert image.size == (80, 64)
    assert {prior.dtype for prior in pipe._locals.values()} == {torch.bfloat16}


def test_a_controlnet_that_is_loaded_later_holds_the_adapted_model_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(elastic, "load_lora", lambda prior, source: None)  # tiny-sdxl has none
    pipe = ElasticDiffusion(device="cpu", sd_version="tiny-sdxl", implementation="reference")
    its: dict[str, Any] = {"height": 136, "width": 144, "num_inference_steps": 1, "lora": "any"}
    pipe.generate_image("a red boat", **its)
    picture = load_image(REPOSITORY / "docs" / "elastic.png")

    (image,), _ = pipe.generate_image("a red boat", **its, condition_image=picture)

    assert image.size == (144, 136)
