"""The styles are trained by the command that a user types, on folders that the toybox draws."""

from __future__ import annotations

from pathlib import Path

import pytest

from distillery.runs import finetune, finetune_cli
from distillery.runs.cli import settings_from
from distillery.runs.finetune_data import read_folder
from distillery.runs.finetune_settings import FinetuneSettings
from distillery.toybox.styles import STYLES
from training import tiny_sd_styles


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
        (lora / tiny_sd_styles.WEIGHTS).write_bytes(folder.name.encode())

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
        weights = models / f"tiny-sd-{style}" / tiny_sd_styles.WEIGHTS
        assert weights.read_text() == style
    assert (models / "tiny-sd-pixel" / "README.md").read_text() == "a card"
