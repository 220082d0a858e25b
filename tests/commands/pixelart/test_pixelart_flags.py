"""The flags of main.py pixelart."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from PIL import Image
from running import Tree, die

import main
from distillery.pixelart import begin, cli
from distillery.pixelart.settings import PixelSettings
from distillery.runs import cli as runs_cli


def settings_of(*words: str):
    flags = vars(cli.arguments().parse_args(words))
    del flags["out"]
    return runs_cli.settings_from(PixelSettings, flags)


def test_the_published_flags_are_understood(tmp_path: Path) -> None:
    line = "-d 3 -pt boat -npt grey --input_image a.png --size 16,24 --palette dusk -knc 5"

    settings = settings_of(*line.split(), "--set", "tau=0.5")

    assert (settings.prompt, settings.negative_prompt, settings.seed) == ("boat", "grey", 3)
    assert (settings.size, settings.palette, settings.colours) == ((16, 24), "dusk", 5)
    assert (settings.start, settings.input_image, settings.tau) == ("image", "a.png", 0.5)
    assert settings.device != "auto"


def test_flags_prevail_over_the_config_also_a_picture_over_its_start(tmp_path: Path) -> None:
    cli_made = settings_of("-pt", "a boat", "--seed", "7", "--steps", "50")
    cli_made.save(tmp_path / "run.yaml")
    config = ("-c", str(tmp_path / "run.yaml"))

    assert settings_of(*config) == cli_made
    changed = settings_of(*config, "--input_image", "a.png", "--steps", "20")
    assert (changed.seed, changed.steps, changed.warmup) == (7, 20, 2)
    assert (changed.start, changed.input_image) == ("image", "a.png")
    kept = settings_of(*config, "--input_image", "a.png", "--start", "generated")
    assert kept.start == "generated"


def test_without_a_prompt_the_pictures_caption_is_drawn_and_said(
    red_boat: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(
        begin, "described", lambda picture, preset: ("a blue cat on the beach", True)
    )
    place = red_boat.index("--prompt")
    del red_boat[place : place + 2]

    assert main.main([*red_boat, "--out", str(tmp_path / "out")]) == 0

    assert "the caption of" in capsys.readouterr().err
    folder = tmp_path / "out" / "a_blue_cat_on_the_beach"
    assert yaml.safe_load((folder / "run.yaml").read_text())["prompt"] == "a blue cat on the beach"


def test_memory_says_in_a_line_what_it_changes(
    red_boat: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    seen = []
    monkeypatch.setattr(begin, "load", lambda settings: seen.append(settings) or die())

    assert main.main([*red_boat, "--memory", "12", "--out", str(tmp_path / "out")]) == 130

    first, *_ = capsys.readouterr().err.splitlines()
    assert first == (
        "note: for 12 GB the model is sdxl, the VAE is taesdxl and the depth ControlNet is left "
        "out."
    )
    assert (seen[0].model, seen[0].side, seen[0].vae) == ("sdxl", 64, "taesdxl")


def test_both_controlnets_off_leave_no_control_picture(
    red_boat: list[str], tmp_path: Path, tree: Tree
) -> None:
    off = ["--set", "canny=0", "--set", "depth=0", "--out", str(tmp_path / "out")]

    assert main.main([*red_boat, *off]) == 0

    names = tree(tmp_path / "out")
    assert "a_red_boat/start.png" in names
    assert not any("control" in name for name in names)


def test_a_start_from_noise_needs_no_picture_and_no_controlnet(
    red_boat: list[str], tmp_path: Path, tree: Tree
) -> None:
    flags = ["--start", "noise", "--palette", "pocket", "--out", str(tmp_path / "out")]

    assert main.main([*red_boat, *flags]) == 0

    names = tree(tmp_path / "out")
    assert not any("control" in name or "start" in name for name in names)


def test_without_a_caption_to_believe_the_run_keeps_to_the_picture(
    red_boat: list[str],
    photo: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(begin, "described", lambda picture, preset: ("an orange car", False))
    place = red_boat.index("--prompt")
    del red_boat[place : place + 2]

    assert main.main([*red_boat, "--out", str(tmp_path)]) == 0

    assert "keeps to the picture" in capsys.readouterr().err
    assert (tmp_path / "photo.png").is_file()
    assert yaml.safe_load((tmp_path / "photo" / "run.yaml").read_text())["prompt"] == ""
    other = tmp_path / "elsewhere" / "photo.png"
    other.parent.mkdir()
    with Image.open(photo) as picture:
        picture.transpose(Image.Transpose.FLIP_TOP_BOTTOM).save(other)
    assert main.main([*red_boat, "--input_image", str(other), "--out", str(tmp_path)]) == 0
    assert (tmp_path / "photo~2.png").is_file()
