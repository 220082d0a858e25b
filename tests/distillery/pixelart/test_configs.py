"""The files in data/configs: short, and equal to the complete files that they once were."""

from __future__ import annotations

from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from distillery.core.files import REPOSITORY
from distillery.pixelart.settings import PixelSettings

CONFIGS = REPOSITORY / "data" / "configs"
SDXL: dict[str, Any] = {
    "prompt": "a lighthouse on a cliff in a storm",
    "negative_prompt": "",
    "model": "sdxl",
    "implementation": "reference",
    "device": "auto",
    "seed": 0,
    "memory": None,
    "size": (64, 64),
    "palette": "garden",
    "colours": 8,
    "perceptual": False,
    "transparent": False,
    "start": "generated",
    "input_image": "",
    "fill": "distance",
    "candidates": 4,
    "choices": 1,
    "sureness": 1.0,
    "path": "gumbel",
    "tau": 1.0,
    "tau_end": 1.0,
    "tau_spread": 0.5,
    "enlarge": "bilinear",
    "side": 1024,
    "guidance_scale": 41.0,
    "steps": 10000,
    "learning_rate": 0.025,
    "warmup": 1000,
    "clip_norm": 1.0,
    "t_min": 20,
    "t_max": 980,
    "t_bound": 800,
    "bound_reached": 0.5,
    "fft": 1280.0,
    "tv": 0.0,
    "laplacian": 0.0,
    "bilateral": 0.0,
    "mirror": 0.5,
    "perspective": 0.5,
    "perspective_scale": 0.3,
    "grayscale": 0.2,
    "canny": 0.15,
    "depth": 0.15,
    "control_start": 0.0,
    "control_end": 1.0,
    "vae": "taesdxl",
    "lora": "",
    "lora_scale": 1.0,
}
EXPECTED: dict[str, dict[str, Any]] = {
    "pixelart_sdxl": SDXL,
    "pixelart_ssd1b_8gb": {
        **SDXL,
        "model": "ssd-1b",
        "size": (48, 64),
        "side": 512,
        "steps": 3000,
        "warmup": 300,
        "depth": 0.0,
    },
    "pixelart_tiny": {
        **SDXL,
        "prompt": "a red boat on a frozen river",
        "model": "tiny-sdxl",
        "size": (32, 32),
        "palette": "",
        "candidates": 8,
        "choices": 8,
        "sureness": 8.0,
        "side": 128,
        "guidance_scale": 7.5,
        "steps": 100,
        "learning_rate": 0.1,
        "warmup": 10,
        "t_bound": 500,
        "fft": 600.0,
        "perspective_scale": 0.1,
        "grayscale": 0.0,
        "canny": 0.3,
        "depth": 0.3,
        "vae": "",
    },
}


def test_every_config_is_tested() -> None:
    assert {path.stem for path in CONFIGS.glob("pixelart_*.yaml")} == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_config_gives_the_settings_that_the_complete_file_gave(name: str) -> None:
    loaded = asdict(PixelSettings.load(CONFIGS / f"{name}.yaml"))

    assert {setting: loaded[setting] for setting in EXPECTED[name]} == EXPECTED[name]


@pytest.mark.parametrize("name", EXPECTED)
def test_a_config_holds_only_what_differs_from_the_models_defaults(name: str) -> None:
    written = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text("utf-8"))
    default = asdict(PixelSettings("a boat", model=written.get("model")))

    same = [setting for setting, value in written.items() if default[setting] == value]

    assert [setting for setting in same if setting != "model"] == []


@pytest.mark.parametrize("name", EXPECTED)
def test_a_config_printed_in_full_gives_the_same_settings(name: str, tmp_path: Path) -> None:
    settings = PixelSettings.load(CONFIGS / f"{name}.yaml")
    (tmp_path / "full.yaml").write_text(settings.to_yaml(), encoding="utf-8")

    assert set(yaml.safe_load(settings.to_yaml())) == {field.name for field in fields(settings)}
    assert PixelSettings.load(tmp_path / "full.yaml") == settings
