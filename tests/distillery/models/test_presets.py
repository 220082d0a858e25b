from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from distillery.core.errors import CourseError
from distillery.methods.registry import METHODS
from distillery.models import annotators, load, stable_diffusion
from distillery.models.exact import GaussianMixturePrior
from distillery.models.load import load_prior, pick_device
from distillery.models.presets import PRESETS, find_preset, guidance_default, suits, trained_side
from distillery.models.stable_diffusion import StableDiffusionPrior, StableDiffusionXLPrior


@pytest.fixture
def copy_of_tiny_sd(tiny_sd_folder: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny_sd_folder, tmp_path / "copy")


def test_every_preset_has_a_guidance_scale_for_every_method() -> None:
    assert set(PRESETS) == {
        "tiny-sd",
        "tiny-sdxl",
        "sd15",
        "sd21-base",
        "sd21",
        "ssd-1b",
        "sdxl",
        "exact",
    }
    assert all(set(preset.guidance) == set(METHODS) for preset in PRESETS.values())
    assert all(name == preset.name for name, preset in PRESETS.items())


def test_the_original_assignments_scales_belong_to_stable_diffusion() -> None:
    assert guidance_default("sd21-base", "sds") == 25
    assert guidance_default("sd21-base", "pds") == 7.5
    assert guidance_default("tiny-sd", "sds") == guidance_default("tiny-sd", "pds") == 5


def test_every_preset_is_sampled_from_with_guidance_of_its_own() -> None:
    scales = {name: suits(name, "sample")["guidance_scale"] for name in PRESETS}

    assert scales == {
        "tiny-sd": 5.0,
        "tiny-sdxl": 5.0,
        "exact": 1.0,
        **dict.fromkeys(["sd15", "sd21-base", "sd21", "ssd-1b", "sdxl"], 7.5),
    }


def test_an_unknown_method_is_answered_with_the_known_ones() -> None:
    with pytest.raises(CourseError, match="unknown loss 'sdss': choose sds, pds, dds, vsd"):
        guidance_default("sd15", "sdss")


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("tiny_sd_folder", StableDiffusionPrior),
        ("tiny_sd_v_folder", StableDiffusionPrior),
        ("tiny_sdxl_folder", StableDiffusionXLPrior),
    ],
)
def test_a_local_folder_loads_as_its_own_family(
    folder: str, kind: type, request: pytest.FixtureRequest
) -> None:
    prior = load_prior(request.getfixturevalue(folder), device="cpu")

    assert type(prior) is kind
    assert prior.unet.dtype == torch.float32


def test_the_exact_prior_needs_no_files() -> None:
    assert isinstance(load_prior("exact", device="cpu"), GaussianMixturePrior)


def test_the_embedded_model_is_found_from_any_working_folder(
    tiny_sd_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(tiny_sd_folder, tmp_path / "repository/data/models/tiny-sd")
    monkeypatch.setattr(load, "REPOSITORY", tmp_path / "repository")
    monkeypatch.chdir(tmp_path)

    assert isinstance(load_prior("tiny-sd", device="cpu"), StableDiffusionPrior)


def test_a_missing_embedded_model_says_how_to_make_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "REPOSITORY", tmp_path)

    with pytest.raises(CourseError, match=r"cannot load tiny-sd: .* is missing; .*make train"):
        load_prior("tiny-sd", device="cpu")


class Hub:
    """Stands in for diffusers' loading: the ids in `gone` fail, as the hub reports it."""

    def __init__(self, gone: set[str]) -> None:
        self.gone, self.asked = gone, []

    def load(self, family: str, source: str, **options: object) -> str:
        self.asked.append((family, source, options))
        if source in self.gone:
            raise OSError(
                f"{source} does not appear to have a file named model_index.json.\nDetails"
            )
        return f"the prior of {source}"


def test_a_vanished_id_is_replaced_by_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, _ = PRESETS["sd21-base"].ids
    hub = Hub(gone={first})
    monkeypatch.setattr(stable_diffusion, "load", hub.load)

    assert load_prior("sd21-base", device="cpu") == f"the prior of {second}"
    assert [source for _, source, _ in hub.asked] == [first, second]


def test_an_unreachable_hub_is_one_sentence_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stable_diffusion, "load", Hub(gone=set(PRESETS["sd15"].ids)).load)

    with pytest.raises(CourseError, match="connect to the internet") as caught:
        load_prior("sd15", device="cpu")

    message = str(caught.value)
    assert all(source in message for source in PRESETS["sd15"].ids)
    assert "Details" not in message


def test_the_hubs_models_come_with_their_family_and_variant(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hub = Hub(gone=set())
    monkeypatch.setattr(stable_diffusion, "load", hub.load)

    load_prior("sdxl", device="cpu", dtype="bfloat16")

    ((family, _, options),) = hub.asked
    assert family == "sdxl"
    assert options["variant"] == "fp16"
    assert options["dtype"] == torch.bfloat16
    assert options["vae"] is None  # half precision is for CUDA


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_truncated_weights_are_refused(copy_of_tiny_sd: Path, part: str) -> None:
    (weights,) = (copy_of_tiny_sd / part).glob("*.safetensors")
    weights.write_bytes(weights.read_bytes()[:1000])

    with pytest.raises(
        CourseError, match=f"its {part}/{weights.name} is cut short or damaged; save"
    ):
        load_prior(copy_of_tiny_sd, device="cpu")


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_missing_weights_are_refused(copy_of_tiny_sd: Path, part: str) -> None:
    for weights in (copy_of_tiny_sd / part).glob("*.safetensors"):
        weights.unlink()

    with pytest.raises(CourseError, match=f"its {part} has no safetensors weights"):
        load_prior(copy_of_tiny_sd, device="cpu")


def test_a_missing_part_is_refused(copy_of_tiny_sd: Path) -> None:
    shutil.rmtree(copy_of_tiny_sd / "tokenizer")

    with pytest.raises(CourseError, match="its tokenizer is missing"):
        load_prior(copy_of_tiny_sd, device="cpu")


def test_a_part_that_does_not_fit_is_refused_whatever_the_library_raises(
    copy_of_tiny_sd: Path,
) -> None:
    (copy_of_tiny_sd / "unet" / "config.json").write_text("{")

    with pytest.raises(CourseError, match=r"cannot load .*; save the folder again"):
        load_prior(copy_of_tiny_sd, device="cpu")


@pytest.mark.parametrize("index", [None, "not json", '{"_class_name": "FluxPipeline"}', "[]"])
def test_a_folder_of_another_kind_is_refused(tmp_path: Path, index: str | None) -> None:
    if index is not None:
        (tmp_path / "model_index.json").write_text(index)

    with pytest.raises(CourseError, match="is not a Stable Diffusion or SDXL folder"):
        load_prior(tmp_path, device="cpu")


def test_an_unknown_model_is_answered_with_the_known_ones() -> None:
    with pytest.raises(CourseError, match="unknown model '~nobody-here/model'"):
        load_prior("~nobody-here/model")
    with pytest.raises(CourseError, match="unknown model 'sd99': choose tiny-sd, sd15"):
        load_prior("sd99")


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "meta", ""])
def test_an_unknown_device_is_answered_with_the_present_ones(device: str) -> None:
    with pytest.raises(CourseError, match=r"choose auto or .*cpu"):
        load_prior("exact", device=device)


def test_an_unknown_precision_is_answered_with_the_known_ones(tiny_sd_folder: Path) -> None:
    with pytest.raises(CourseError, match="choose float32, float16, bfloat16"):
        load_prior(tiny_sd_folder, device="cpu", dtype="int8")


@pytest.mark.parametrize(
    ("cuda", "mps", "expected"),
    [(True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")],
)
def test_auto_prefers_cuda_then_mps(
    monkeypatch: pytest.MonkeyPatch, cuda: bool, mps: bool, expected: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)

    assert pick_device("auto") == torch.device(expected)


def test_every_preset_says_what_suits_it_for_every_kind_of_run() -> None:
    kinds = {kind: set(values) for kind, values in PRESETS["sdxl"].settings.items()}

    assert set(kinds) >= {"draw", "pixelart"}
    for preset in PRESETS.values():
        assert {kind: set(values) for kind, values in preset.settings.items()} == kinds


def test_what_suits_a_model_is_the_presets_and_a_folders_is_its_familys(
    tiny_sdxl_folder: Path,
) -> None:
    assert suits("tiny-sdxl", "pixelart")["size"] == (32, 32)
    assert suits("sdxl", "pixelart")["size"] == (64, 64)
    assert suits("exact", "draw")["steps"] == 200
    assert suits(tiny_sdxl_folder, "draw") == suits("sdxl", "draw")
    with pytest.raises(CourseError, match="unknown model 'sd99'"):
        suits("sd99", "draw")


def test_a_folder_says_which_size_its_model_was_trained_for(
    tiny_sd_folder: Path, tmp_path: Path
) -> None:
    assert trained_side("sdxl") == 1024
    assert trained_side(tiny_sd_folder) == 16  # 8 cells of 2 pixels
    assert trained_side("data/models/tiny-sdxl") == trained_side("tiny-sdxl") == 128
    broken = shutil.copytree(tiny_sd_folder, tmp_path / "broken")
    (broken / "unet" / "config.json").write_text("{}")
    with pytest.raises(CourseError, match="does not say in unet"):
        trained_side(broken)


def test_an_embedded_model_needs_nothing_from_the_hub() -> None:
    embedded = [preset for preset in PRESETS.values() if preset.embedded]

    assert [preset.name for preset in embedded] == ["tiny-sd", "tiny-sdxl"]
    assert not find_preset("data/models/tiny-sdxl").embedded
    for preset in embedded:
        assert preset.local
        assert {preset.captioner, preset.depth_estimator} == set(annotators.EMBEDDED)
        assert preset.clip_scorer == "tiny-clip"
