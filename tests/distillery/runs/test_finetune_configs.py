"""The recipes in data/configs for real models: they load, and hold only what is not a default."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest
import yaml

from distillery.core.files import REPOSITORY
from distillery.runs.finetune_settings import FinetuneSettings

CONFIGS = sorted((REPOSITORY / "data" / "configs").glob("finetune_*.yaml"))
SIZES = {"finetune_sd15": 512, "finetune_sd21": 768, "finetune_sdxl": 1024}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_recipe_is_whole_and_short(path: Path, tmp_path: Path) -> None:
    settings = FinetuneSettings.load(path)
    side = SIZES[path.stem]
    assert settings.size == (side, side)
    assert (settings.layers, settings.learning_rate) == ("attention", 1e-4)
    assert settings.mixed_precision == "bf16"

    written = yaml.safe_load(path.read_text("utf-8"))
    default = asdict(FinetuneSettings("another", written["model"]))
    given = asdict(settings)
    assert [name for name in written if name != "model" and default[name] == given[name]] == []

    (tmp_path / "full.yaml").write_text(settings.to_yaml(), encoding="utf-8")
    assert FinetuneSettings.load(tmp_path / "full.yaml") == settings


def test_pixel_giffusions_recipe_is_as_published() -> None:
    (path,) = (path for path in CONFIGS if path.stem == "finetune_sd21")
    settings = FinetuneSettings.load(path, folder="my_pictures")
    published = {"rank": 4, "batch_size": 16, "steps": 1890, "seed": 42, "flip": True}
    assert {name: getattr(settings, name) for name in published} == published
    assert settings.validation_prompts == ("cute dragon creature",)
    assert settings.title == "my_pictures-lora"


def test_there_is_a_recipe_for_each_real_model() -> None:
    assert {path.stem for path in CONFIGS} == set(SIZES)
