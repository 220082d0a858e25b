"""main.py pixelart while the student's code is still to do."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from running import Tree, at_step, put_students_module, stop_at_step, without

import main
from distillery.pixelart import begin
from reference import pixelart

STUB = """\
def logits_from_image(*args): raise NotImplementedError("pixelart.x is still to do: y.")
from reference.pixelart import kmeans_step
"""


@pytest.fixture
def stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The student's first function is still to do."""
    put_students_module(monkeypatch, "guidance.pixelart", STUB, tmp_path)


@pytest.mark.usefixtures("stub")
def test_what_is_still_to_do_the_reference_draws_with_the_same_model_and_says_each_note_once(
    red_boat: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tree: Tree,
) -> None:
    command = [*red_boat, "--set", "side=384", "--steps", "1"]
    assert main.main([*command, "--out", str(tmp_path / "other")]) == 0
    wanted = tree(tmp_path / "other")
    capsys.readouterr()
    loaded, load = [], begin.load
    monkeypatch.setattr(begin, "load", lambda settings: loaded.append(1) or load(settings))
    command = without(command, "--implementation")

    assert main.main([*command, "--out", str(tmp_path / "out")]) == 0

    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("note:")]
    assert len(said) == 2
    assert "is enlarged" in said[0]
    assert said[1] == "note: pixelart.x is still to do: y. The reference draws instead."
    assert loaded == [1]
    assert tree(tmp_path / "out")["a_red_boat.png"] == wanted["a_red_boat.png"]
    settings = yaml.safe_load((tmp_path / "out/a_red_boat/run.yaml").read_text())
    assert settings["implementation"] == "reference"


@pytest.mark.usefixtures("stub")
def test_what_is_still_to_do_ends_the_run_where_the_students_code_was_asked_for(
    red_boat: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    red_boat[red_boat.index("--implementation") + 1] = "guidance"

    assert main.main([*red_boat, "--out", str(tmp_path / "out")]) == 2

    assert capsys.readouterr().err.splitlines()[-1] == "pixelart.x is still to do: y."
    assert not list((tmp_path / "out").glob("*.png"))


@pytest.mark.usefixtures("stub")
def test_what_the_reference_began_for_a_stub_the_same_command_goes_on_with(
    red_boat: list[str],
    undisturbed: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tree: Tree,
) -> None:
    command = [*without(red_boat, "--implementation"), "--out", str(tmp_path / "out")]
    stop_at_step(command, pixelart, 2)
    at_step(monkeypatch, pixelart, 2, lambda: pytest.fail("a step is done twice"))

    assert main.main(command) == 0

    assert tree(tmp_path / "out") == undisturbed
