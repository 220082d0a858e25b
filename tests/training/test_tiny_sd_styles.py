"""The styles are trained by the command that a user types, on folders that the toybox draws."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load

from distillery.core.files import REPOSITORY
from distillery.runs import finetune, finetune_cli
from distillery.runs.cli import settings_from
from distillery.runs.finetune_data import read_folder
from distillery.runs.finetune_settings import FinetuneSettings
from distillery.toybox.styles import STYLES
from training import tiny_sd_styles
from training.tiny_sd_styles import STRENGTH, WEIGHTS, strengthened

TRAINED = (REPOSITORY / "data/models/tiny-sd-sticker" / WEIGHTS).read_bytes()


def test_each_style_is_drawn_trained_and_put_beside_what_is_there(
    tmp_path: Path, tiny_sd_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiny_sd_styles, "PICTURES", 3)
    commands = []

    def run(command: list[str], **options: object) -> None:
        commands.append(command)
        folder = Path(command[3])
        lora = folder.with_name(f"{folder.name}-lora")
        lora.mkdir()
        (lora / WEIGHTS).write_bytes(TRAINED)

    monkeypatch.setattr(tiny_sd_styles.subprocess, "run", run)
    models = tmp_path / "models"
    models.mkdir()
    (models / "tiny-sd").symlink_to(tiny_sd_folder)
    (models / "tiny-sd-pixel").mkdir()
    (models / "tiny-sd-pixel" / "README.md").write_text("a card")

    tiny_sd_styles.train(build=tmp_path, models=models)

    for style, command in zip(STYLES, commands, strict=True):
        assert command[1:3] == ["main.py", "finetune"]
        flags = finetune_cli.flags_from(command[3:])
        assert flags.pop("out") == tmp_path / "styles"
        flags.pop("print_config", None)
        settings = settings_from(FinetuneSettings, flags)
        assert (settings.rank, settings.steps) == (tiny_sd_styles.RANK, tiny_sd_styles.STEPS[style])
        assert settings.implementation == "reference"
        finetune.check(settings)
        assert len(read_folder(Path(settings.folder))) == 3
        weights = (models / f"tiny-sd-{style}" / WEIGHTS).read_bytes()
        assert weights == strengthened(TRAINED, STRENGTH[style])
    assert (models / "tiny-sd-pixel" / "README.md").read_text() == "a card"


def test_a_strengthened_lora_adds_so_many_times_as_much_and_says_the_same_of_itself(
    tmp_path: Path,
) -> None:
    strong = strengthened(TRAINED, 1.5)
    (tmp_path / WEIGHTS).write_bytes(strong)
    assert strengthened(TRAINED, 1.5) == strong
    before, after = load(TRAINED), load(strong)
    assert set(before) == set(after)
    name = next(name for name in before if name.endswith("to_k.lora_B.weight"))
    first = name.replace("lora_B", "lora_A")
    adds = [file[name].float() @ file[first].float() for file in (before, after)]
    torch.testing.assert_close(adds[1], 1.5 * adds[0], rtol=2e-3, atol=1e-4)
    with safe_open(tmp_path / WEIGHTS, "pt") as opened:
        assert "lora_alpha" in opened.metadata()["lora_adapter_metadata"]
