"""Runs of main.py pixelart that are repeated, stopped, or done again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from running import PIXELART_STEPS as STEPS
from running import Tree, at_step, die, press_ctrl_c, stop_at_step, stop_in_engine

import main
from distillery.palettes import from_hex, save_palette
from distillery.runs import engine
from reference import pixelart


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(
    red_boat: list[str], undisturbed: dict[str, bytes], tmp_path: Path, tree: Tree
) -> None:
    assert main.main([*red_boat, "--out", str(tmp_path / "again")]) == 0
    assert main.main([*red_boat, "--seed", "1", "--out", str(tmp_path / "other")]) == 0

    assert tree(tmp_path / "again") == undisturbed
    changed = {name for name, data in tree(tmp_path / "other").items() if data != undisturbed[name]}
    assert "a_red_boat/loss.csv" in changed


def test_a_runs_settings_repeat_it_to_the_byte(
    undisturbed: dict[str, bytes], tmp_path: Path, tree: Tree
) -> None:
    config = tmp_path / "undisturbed" / "a_red_boat" / "run.yaml"

    assert main.main(["pixelart", "-c", str(config), "--out", str(tmp_path / "again")]) == 0

    assert tree(tmp_path / "again") == undisturbed


@pytest.mark.parametrize("index", [0, 2, STEPS - 1])
@pytest.mark.parametrize("stop", [die, press_ctrl_c], ids=["killed", "ctrl-c"])
def test_a_run_stopped_at_any_step_goes_on_to_the_same_files(
    index: int,
    stop: Callable[[], None],
    red_boat: list[str],
    undisturbed: dict[str, bytes],
    tmp_path: Path,
    tree: Tree,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    command = [*red_boat, "--out", str(tmp_path / "out")]
    monkeypatch.setattr(engine, "CHECKPOINT_SECONDS", 0)
    stop_at_step(command, pixelart, index, stop)
    left = tree(tmp_path / "out") if (tmp_path / "out").exists() else {}
    assert all(name.startswith("a_red_boat~unfinished/") for name in left)
    assert not any(name.endswith(".part") for name in left)

    # A held-back Ctrl-C lets the step finish, so the next one is the first to be done again.
    first = index + 1 if stop is press_ctrl_c else index
    at_step(monkeypatch, pixelart, first - 1, lambda: pytest.fail("a step is done twice"))
    assert main.main(command) == 0

    assert tree(tmp_path / "out") == undisturbed


@pytest.mark.parametrize("name", ["save_gif", "figures_table", "figures_curve", "_remove_others"])
def test_a_run_stopped_while_it_writes_its_results_goes_on_to_the_same_files(
    name: str, red_boat: list[str], undisturbed: dict[str, bytes], tmp_path: Path, tree: Tree
) -> None:
    command = [*red_boat, "--out", str(tmp_path / "out")]
    stop_in_engine(command, name)
    assert not (tmp_path / "out" / "a_red_boat.png").exists()

    assert main.main(command) == 0

    assert tree(tmp_path / "out") == undisturbed


def test_a_checkpoint_of_another_run_is_refused_and_kept(
    red_boat: list[str], tmp_path: Path, tree: Tree, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [*red_boat, "--out", str(tmp_path / "out")]
    stop_at_step(command, pixelart, 2)
    before = tree(tmp_path / "out")
    capsys.readouterr()

    assert main.main([*command, "--set", "tau=0.5"]) == 2

    assert "its tau is 1.0 and the run's is 0.5" in capsys.readouterr().err
    assert tree(tmp_path / "out") == before


def test_another_palette_under_the_same_name_starts_anew(
    red_boat: list[str], tmp_path: Path, tree: Tree
) -> None:
    """Dithered logits are the same for both, only the colours differ."""
    command = [*red_boat, "--palette", str(tmp_path / "mine.hex"), "--set", "fill=nearest"]
    save_palette(from_hex(["000000", "ffffff"]), tmp_path / "mine.hex")
    stop_at_step([*command, "--out", str(tmp_path / "out")], pixelart, 2)
    save_palette(from_hex(["010101", "fefefe"]), tmp_path / "mine.hex")

    assert main.main([*command, "--out", str(tmp_path / "out")]) == 0
    assert main.main([*command, "--out", str(tmp_path / "fresh")]) == 0

    assert tree(tmp_path / "out") == tree(tmp_path / "fresh")


def test_a_plainer_run_removes_what_a_richer_one_before_it_left(
    red_boat: list[str], undisturbed: dict[str, bytes], tmp_path: Path, tree: Tree
) -> None:
    out = ["--out", str(tmp_path / "out")]
    rich = ["--verbose", "--make_video", "--tensorboard", "-knc", "12", "--steps", "7"]
    assert main.main([*red_boat, *out, *rich]) == 0

    assert main.main([*red_boat, *out, "--overwrite"]) == 0

    assert tree(tmp_path / "out") == undisturbed
