from __future__ import annotations

import dataclasses
import itertools
import math
import warnings
from pathlib import Path

import pytest
import torch
import yaml

from distillery.core.errors import CourseError
from distillery.core.settings import declared
from distillery.models.presets import find_preset
from distillery.pixelart.settings import MEMORY, PixelSettings

# Of every field something that it cannot be, and what the sentence about it begins with.
UNFIT: dict[str, object] = {
    "prompt": 3,
    "negative_prompt": ["grey"],
    "model": 4,
    "implementation": "mine",
    "device": 0,
    "seed": "first",
    "memory": "much",
    "size": "32x32",
    "palette": 8,
    "colours": 8.0,
    "perceptual": "yes",
    "transparent": 1,
    "start": "middle",
    "input_image": 5,
    "fill": "kmeans",
    "candidates": "all",
    "choices": 0.5,
    "sureness": "quite",
    "path": "soft",
    "tau": "warm",
    "tau_end": [1],
    "tau_spread": None,
    "enlarge": "cubic",
    "side": 100.5,
    "guidance_scale": "strong",
    "steps": "many",
    "learning_rate": "1e-3",
    "warmup": True,
    "clip_norm": "none",
    "t_min": "low",
    "t_max": 1.5,
    "t_bound": "high",
    "bound_reached": "half",
    "fft": True,
    "tv": "a little",
    "laplacian": [0],
    "bilateral": {},
    "mirror": "often",
    "perspective": "seldom",
    "perspective_scale": "far",
    "grayscale": False,
    "canny": "on",
    "depth": "off",
    "control_start": "early",
    "control_end": "late",
    "vae": 1,
    "lora": True,
    "lora_scale": "full",
}


def settings(**changes: object) -> PixelSettings:
    return PixelSettings(**{"prompt": "a red boat", **changes})


def test_settings_survive_the_file(tmp_path: Path) -> None:
    original = settings(
        prompt="凍った川: 'a' \"b\" # 1",
        size=(24, 48),
        seed=3,
        palette="rgb-2",
        tau=0.3,
        perceptual=True,
        start="image",
        input_image="C:\\pictures\\boat.png",
    )

    original.save(tmp_path / "run.yaml")

    assert PixelSettings.load(tmp_path / "run.yaml") == original


def test_every_setting_stands_in_the_file_under_what_it_is() -> None:
    text = settings(size=(24, 48)).to_yaml()

    lines = text.splitlines()
    for name, setting in declared(PixelSettings).items():
        (place,) = [n for n, line in enumerate(lines) if line.startswith(f"{name}: ")]
        assert lines[place - 1] == f"# {setting.help}"
    assert yaml.safe_load(text)["size"] == [24, 48]
    assert max(map(len, lines)) <= 100


def test_a_file_of_a_few_settings_takes_the_models_defaults_for_the_rest(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("prompt: a boat\nsize: [16, 24]\n")

    loaded = PixelSettings.load(tmp_path / "run.yaml", seed=4)

    assert loaded == PixelSettings("a boat", size=(16, 24), seed=4)
    assert loaded.model == "tiny-sdxl"
    assert loaded.warmup == loaded.steps // 10 > 0


def test_a_changed_number_of_steps_sets_the_warm_up_anew(tmp_path: Path) -> None:
    settings(steps=100).save(tmp_path / "run.yaml")

    assert PixelSettings.load(tmp_path / "run.yaml", steps=50).warmup == 5


def test_the_real_model_has_the_published_defaults() -> None:
    real = settings(model="sdxl")

    assert (real.size, real.side, real.canvas) == ((64, 64), 1024, (1024, 1024))
    # eps_text + 40 (eps_text - eps_negative) is a scale of 41 here.
    assert (real.guidance_scale, real.steps) == (41, 10_000)
    # The published weight of 20 is for a transform that is 64 times as large on 64 x 64.
    assert real.fft == 20 * 64


@pytest.mark.parametrize(
    "text", ["a boat", "", "- prompt: a boat", "prompt: [", "seed: 2001-99-99"]
)
def test_a_file_that_holds_no_settings_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.yaml").write_text(text)

    with pytest.raises(CourseError, match=r"run\.yaml"):
        PixelSettings.load(tmp_path / "run.yaml")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CourseError, match=r"cannot read settings from .*none\.yaml"):
        PixelSettings.load(tmp_path / "none.yaml")


def test_an_unknown_key_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("prompt: a boat\ncolors: 8\n")

    with pytest.raises(CourseError, match=r"unknown setting colors; the known ones are .*colours"):
        PixelSettings.load(tmp_path / "run.yaml")


def test_the_table_of_unfit_values_covers_every_field() -> None:
    assert set(UNFIT) == {field.name for field in dataclasses.fields(PixelSettings)}


@pytest.mark.parametrize("name", UNFIT)
def test_a_wrong_type_is_refused_in_one_sentence_that_names_the_field(
    name: str, tmp_path: Path
) -> None:
    values = {"prompt": "a boat", "input_image": "boat.png", name: UNFIT[name]}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(values))

    with pytest.raises(CourseError, match=f"^{name} must be ") as caught:
        PixelSettings.load(tmp_path / "run.yaml")

    message = str(caught.value)
    assert message.endswith(".")
    assert "\n" not in message
    assert repr(UNFIT[name]) in message


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"prompt": "  "}, "the prompt is empty"),
        ({"prompt": "x" * 1001}, "prompt may have 1000 characters"),
        ({"prompt": "\udcff"}, "prompt is not valid text"),
        ({"model": "sd99"}, "unknown model 'sd99'"),
        ({"size": (0, 32)}, r"size must be .* it is \(0, 32\)"),
        ({"size": (1, 1)}, r"size must be .* it is \(1, 1\)"),
        ({"size": (4096, 4096)}, r"size must be .* from 2 to 512 .* it is \(4096, 4096\)"),
        ({"size": (32,)}, "size must be"),
        ({"size": (True, 32)}, "size must be"),
        ({"size": (16, 65)}, "at most 4 times as long"),
        ({"memory": 10}, "memory must be one of 8, 12, 16, 24 GB"),
        ({"memory": [8]}, "memory must be one of"),
        ({"memory": True}, "memory must be one of"),
        ({"colours": 1}, "colours must be a whole number from 2 to 256"),
        ({"colours": 257}, "colours must be a whole number from 2 to 256"),
        ({"start": "image"}, "the start 'image' needs a picture: name the input_image"),
        ({"start": "painted"}, "the start 'painted' needs a picture: name the input_image"),
        ({"start": "noise"}, "name a palette"),
        ({"tau": 0}, "tau must be a finite number above 0"),
        ({"fft": -1}, "fft must be a finite number from 0"),
        ({"canny": math.inf}, "canny must be"),
        ({"guidance_scale": math.nan}, "guidance_scale must be"),
        ({"guidance_scale": 10**400}, "guidance_scale must be"),
        ({"mirror": 1.5}, "mirror must be a finite number from 0 up to 1"),
        ({"t_max": 1000}, "t_max must be"),
        ({"perspective_scale": 0.7}, "perspective_scale must be a finite number from 0 up to 0.6"),
        ({"tau_spread": 1.0}, "tau_spread must be a finite number from 0 up to 0.9"),
        ({"t_bound": 1000}, "t_bound must be a whole number from 0 to 999"),
        ({"t_bound": 981}, "t_bound is 981 and t_max is 980: lower t_bound or raise t_max"),
        ({"t_min": 900, "t_bound": 800}, "t_min must be a whole number from 0 to 800"),
        ({"bound_reached": 0}, "bound_reached must be"),
        ({"control_start": 0.8, "control_end": 0.5}, "control_end must be .* from 0.8"),
        ({"steps": 0}, "steps must be"),
        ({"steps": 10, "warmup": 11}, "warmup must be a whole number from 0 to 10"),
        ({"side": 8}, "side must be"),
    ],
)
def test_a_value_out_of_range_is_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(CourseError, match=words):
        settings(**changes)


def test_an_input_image_is_what_a_run_starts_from_unless_another_start_is_named() -> None:
    assert settings().start == "generated"
    assert settings(input_image="boat.png").start == "image"
    assert settings(input_image="boat.png", start="generated").start == "generated"


# Memory


@pytest.mark.parametrize(
    ("memory", "sentence", "expected"),
    [
        (24, "for 24 GB the model is sdxl.", ("sdxl", 1024, "", 0.15)),
        (
            16,
            "for 16 GB the model is sdxl and the VAE is taesdxl.",
            ("sdxl", 1024, "taesdxl", 0.15),
        ),
        (
            12,
            "for 12 GB the model is sdxl, the side is 768 pixels, the VAE is taesdxl and the depth "
            "ControlNet is left out.",
            ("sdxl", 768, "taesdxl", 0),
        ),
        (
            8,
            "for 8 GB the model is ssd-1b, the side is 512 pixels, the VAE is taesdxl and the "
            "depth ControlNet is left out.",
            ("ssd-1b", 512, "taesdxl", 0),
        ),
    ],
)
def test_a_memory_preset_says_what_it_changes(
    memory: int, sentence: str, expected: tuple[object, ...]
) -> None:
    with pytest.warns(UserWarning, match=f"for {memory} GB") as caught:
        fitted = settings(memory=memory)

    assert [str(warning.message) for warning in caught] == [sentence]
    assert (fitted.model, fitted.side, fitted.vae, fitted.depth) == expected
    assert caught[0].filename == __file__


def test_a_memory_preset_leaves_what_was_asked_for_even_where_that_is_a_default() -> None:
    asked = {"model": "sdxl", "side": 1024, "vae": "", "depth": 0.15}

    with pytest.warns(UserWarning, match=r"^for 8 GB nothing is changed\.$"):
        fitted = settings(memory=8, **asked)

    assert {name: getattr(fitted, name) for name in asked} == asked


@pytest.mark.parametrize("model", ["tiny-sdxl", "tiny-sd", "sd15"])
def test_a_memory_preset_is_for_sdxl_and_changes_no_other_model(model: str) -> None:
    with pytest.warns(UserWarning, match="nothing is changed"):
        fitted = settings(memory=8, model=model)

    assert dataclasses.replace(fitted, memory=None) == settings(model=model)


def test_settings_that_memory_has_changed_survive_the_file_in_silence(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="for 12 GB"):
        original = settings(memory=12)
    original.save(tmp_path / "run.yaml")

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert PixelSettings.load(tmp_path / "run.yaml") == original
        dataclasses.replace(original, seed=1)


def test_without_a_memory_preset_nothing_is_said() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        settings()


def test_a_memory_preset_names_known_models_and_settings() -> None:
    names = {field.name for field in dataclasses.fields(PixelSettings)}

    for changes in MEMORY.values():
        assert find_preset(changes["model"]).family == "sdxl"
        assert set(changes) <= names


@pytest.mark.parametrize("model", ["tiny-sdxl", "sdxl"])
def test_a_small_t_max_alone_takes_the_bound_down_with_it(model: str) -> None:
    assert settings(model=model, t_max=400).t_bound == 400
    assert settings(model=model, t_max=990).t_bound == settings(model=model).t_bound
    assert settings(model=model, t_max=400, t_bound=300).t_bound == 300


# Canvas


@pytest.mark.parametrize(
    ("side", "most", "unit"), [(128, 1.04, 8), (512, 1.04, 32), (1024, 1.02, 32)]
)
def test_the_canvas_has_the_proportions_of_any_grid(side: int, most: float, unit: int) -> None:
    for height, width in itertools.product(range(8, 129, 7), repeat=2):
        if max(height, width) > 4 * min(height, width):
            continue

        H, W = settings(size=(height, width), side=side).canvas

        assert H % unit == W % unit == 0
        assert 1 / most < (W / H) / (width / height) < most
        assert side**2 / 2 < H * W < 2 * side**2


def test_a_square_grid_has_the_canvas_of_the_model_and_turning_it_turns_the_canvas() -> None:
    assert settings(size=(37, 37)).canvas == (128, 128)
    assert settings(size=(32, 48)).canvas == (112, 168)
    assert settings(size=(48, 32)).canvas == (168, 112)
    assert settings(size=(2, 8), side=64).canvas == (32, 128)


# Temperature


def test_tau_goes_geometrically_from_its_first_value_to_its_last() -> None:
    annealed = settings(tau=2.0, tau_end=0.125, tau_spread=0, steps=5, warmup=0)

    taus = [annealed.tau_at(step, torch.Generator()) for step in range(5)]

    assert taus == pytest.approx([2, 1, 0.5, 0.25, 0.125])


def test_tau_is_spread_evenly_about_its_mean_by_the_generator_alone() -> None:
    spread = settings(tau=2.0, tau_end=2.0, tau_spread=0.5)
    generator = torch.Generator().manual_seed(0)

    taus = torch.tensor([spread.tau_at(0, generator) for _ in range(2000)])

    assert taus.min() > 1
    assert taus.max() < 3
    assert abs(taus.mean() - 2) < 0.05
    assert abs(taus.std() - 2 / 12**0.5) < 0.03
    again = spread.tau_at(0, torch.Generator().manual_seed(0))
    assert again == pytest.approx(taus[0].item())


def test_one_step_has_the_first_temperature() -> None:
    assert settings(tau=0.7, tau_end=0.1, tau_spread=0, steps=1).tau_at(
        0, torch.Generator()
    ) == pytest.approx(0.7)
