"""main.py with the pairs of a file, and edits whose source the model draws."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

import main
from distillery.core.images import load_image
from distillery.methods import source_image
from distillery.runs import engine, latents
from reference import pds

Tree = Callable[[Path], dict[str, bytes]]
Shown = pytest.CaptureFixture[str]
STUB = "def loss(*args, **options): raise NotImplementedError('pds.pds_loss is still to do: y.')\n"


@pytest.fixture
def to_blue(red_boat: list[str]) -> list[str]:
    """Arguments for a short edit without a source picture."""
    return [*red_boat, "--loss_type", "pds", "--edit_prompt", "a blue boat"]


def test_a_source_that_is_not_given_is_drawn_once_and_said_in_a_line(
    to_blue: list[str], tmp_path: Path, capsys: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = [*to_blue, "--out", str(tmp_path)]
    assert main.main(command) == 0

    (drawn,) = (tmp_path / "sources").iterdir()
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("note:")]
    assert told == [
        f"note: no source picture is given; one was drawn from the prompt and is kept as {drawn}."
    ]
    assert load_image(drawn).info["prompt"] == "a red boat"
    kept = load_image(tmp_path / "a_blue_boat" / "source.png")
    assert kept.tobytes() == load_image(drawn).tobytes()

    monkeypatch.setattr(source_image, "save_png", lambda *args: pytest.fail("it is drawn twice"))
    assert main.main([*command, "--edit_prompt", "a green boat", "--guidance_scale", "3"]) == 0
    assert (tmp_path / "a_green_boat" / "source.png").read_bytes() == (
        tmp_path / "a_blue_boat" / "source.png"
    ).read_bytes()


def test_the_settings_of_such_an_edit_repeat_it_to_the_byte(
    to_blue: list[str], tmp_path: Path, tree: Tree
) -> None:
    assert main.main([*to_blue, "--seed", "4", "--out", str(tmp_path / "first")]) == 0
    config = tmp_path / "first" / "a_blue_boat" / "run.yaml"

    assert main.main(["--config", str(config), "--out", str(tmp_path / "again")]) == 0

    assert tree(tmp_path / "again") == tree(tmp_path / "first")


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """A pair with a picture, one without, one whose picture is missing, one of another model."""
    Image.new("RGB", (20, 30), "red").save(tmp_path / "red.png")
    red = {"prompt": "red", "img_path": str(tmp_path / "red.png")}
    content: list[dict[str, Any]] = [
        {**red, "edit_prompt": "a blue boat"},
        {"prompt": "a tree", "edit_prompt": "a green boat"},
        {**red, "edit_prompt": "a grey boat", "img_path": str(tmp_path / "none.png")},
        {**red, "edit_prompt": "a pink boat", "model": "sd15"},
        {**red, "edit_prompt": "a white boat"},
    ]
    (tmp_path / "pairs.json").write_text(json.dumps(content))
    return tmp_path / "pairs.json"


@pytest.fixture
def batch(red_boat: list[str], pairs: Path) -> list[str]:
    """Arguments that edit the pairs, `--out` left to the test."""
    place = red_boat.index("--prompt")
    return [*red_boat[:place], *red_boat[place + 2 :], "--pairs", str(pairs)]


def mended(pairs: Path) -> None:
    """Put the missing picture in its place."""
    Image.new("RGB", (20, 20), "grey").save(pairs.with_name("none.png"))


def test_every_pair_of_the_model_is_edited_and_a_missing_picture_skipped(
    batch: list[str], tmp_path: Path, capsys: Shown
) -> None:
    out = tmp_path / "out"

    assert main.main([*batch, "--out", str(out)]) == 2

    shown = capsys.readouterr()
    names = ["a_blue_boat", "a_green_boat", "a_white_boat"]
    assert shown.out.split() == [str(out / f"{name}.png") for name in names]
    assert sorted(path.stem for path in out.glob("*.png")) == names
    (skipped,) = [line for line in shown.err.splitlines() if line.startswith("skipped")]
    assert skipped.startswith("skipped 'a grey boat': there is no file")
    assert shown.err.splitlines()[-1].startswith("error: 1 of 4 pairs were not edited")
    settings = yaml.safe_load((out / "a_green_boat" / "run.yaml").read_text())
    assert (settings["loss_type"], settings["prompt"], settings["src_img_path"]) == (
        "pds",
        "a tree",
        "",
    )
    assert len(list((out / "sources").iterdir())) == 1


def test_an_edit_of_a_pair_is_that_of_the_single_command(
    batch: list[str], red_boat: list[str], pairs: Path, tmp_path: Path, tree: Tree
) -> None:
    mended(pairs)
    assert main.main([*batch, "--loss_type", "dds", "--out", str(tmp_path / "all")]) == 0
    single = ["--prompt", "red", "--edit_prompt", "a blue boat", "--loss_type", "dds"]
    single += ["--src_img_path", str(tmp_path / "red.png")]

    assert main.main([*red_boat, *single, "--out", str(tmp_path / "one")]) == 0

    one, every = tree(tmp_path / "one"), tree(tmp_path / "all")
    assert {name: every[name] for name in one} == one
    assert not any("unfinished" in name for name in every)


def interrupt() -> None:
    raise KeyboardInterrupt


def edited(monkeypatch: pytest.MonkeyPatch, stopping_at: str = "") -> list[str]:
    """Collects the edit prompts that are begun; at one of them somebody presses Ctrl-C."""
    begun: list[str] = []
    begin = latents.begin

    def noted(prior: Any, method: Any, settings: Any, *, out: Path) -> Any:
        begun.append(settings.title)
        if settings.title == stopping_at:
            interrupt()
        return begin(prior, method, settings, out=out)

    monkeypatch.setattr(latents, "begin", noted)
    return begun


def test_a_stopped_batch_goes_on_with_what_is_left_to_the_same_files(
    batch: list[str], pairs: Path, tmp_path: Path, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    mended(pairs)
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    assert main.main([*batch, "--out", str(whole)]) == 0
    with monkeypatch.context() as disturbance:
        edited(disturbance, stopping_at="a grey boat")
        assert main.main([*batch, "--out", str(stopped)]) == 130

    with monkeypatch.context() as watched:
        begun = edited(watched)
        assert main.main([*batch, "--out", str(stopped)]) == 0

    assert begun == ["a grey boat", "a white boat"]
    assert tree(stopped) == tree(whole)


@pytest.mark.parametrize("change", ["settings", "source", "picture"])
def test_what_has_changed_since_it_was_edited_is_edited_again(
    change: str, batch: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = [*batch, "--out", str(tmp_path / "out")]
    assert main.main(command) == 2
    if change == "settings":
        command += ["--seed", "1"]
    elif change == "source":
        Image.new("RGB", (20, 30), "green").save(tmp_path / "red.png")
    else:
        (tmp_path / "out" / "a_blue_boat.png").unlink()

    begun = edited(monkeypatch)
    assert main.main(command) == 2

    expected = {
        "settings": ["a blue boat", "a green boat", "a grey boat", "a white boat"],
        "source": ["a blue boat", "a grey boat", "a white boat"],
        "picture": ["a blue boat", "a grey boat"],
    }
    assert begun == expected[change]


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--prompt", "a boat"], "--pairs brings prompts and pictures of its own"),
        (["--loss_type", "sds"], "sds draws from noise and edits nothing"),
        (["--particles", "2"], "particles must be 1, not 2"),
        (["--model", "sd21"], "choose --model sd15"),
    ],
)
def test_flags_that_do_not_suit_pairs_are_refused_and_nothing_is_written(
    flags: list[str], sentence: str, batch: list[str], pairs: Path, tmp_path: Path, capsys: Shown
) -> None:
    if "sd21" in flags:
        pairs.write_text(json.dumps([json.loads(pairs.read_text())[3]]))
    try:
        status = main.main([*batch, *flags, "--out", str(tmp_path / "out")])
    except SystemExit as stopped:  # argparse stops so
        status = stopped.code

    (line,) = capsys.readouterr().err.splitlines()
    assert status == 2
    assert line.startswith("error: ")
    assert sentence in line
    assert not (tmp_path / "out").exists()


def test_two_pairs_that_would_take_one_place_are_refused(
    batch: list[str], pairs: Path, tmp_path: Path, capsys: Shown
) -> None:
    content = json.loads(pairs.read_text())
    pairs.write_text(json.dumps([*content, content[0]]))

    assert main.main([*batch, "--out", str(tmp_path / "out")]) == 2

    assert "two pairs of" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_what_the_reference_began_for_a_stub_the_same_command_goes_on_with(
    to_blue: list[str], tmp_path: Path, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "stub.py").write_text(STUB)
    spec = importlib.util.spec_from_file_location("guidance.pds", tmp_path / "stub.py")
    assert spec is not None
    assert spec.loader is not None
    stub = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(stub)
    monkeypatch.setitem(sys.modules, "guidance.pds", stub)
    flag = to_blue.index("--implementation")
    del to_blue[flag : flag + 2]
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    assert main.main([*to_blue, "--out", str(whole)]) == 0
    monkeypatch.setattr(engine, "CHECKPOINT_SECONDS", 0)
    with monkeypatch.context() as disturbance:
        at_third_step(disturbance)
        assert main.main([*to_blue, "--out", str(stopped)]) == 130

    assert main.main([*to_blue, "--out", str(stopped)]) == 0

    assert tree(stopped) == tree(whole)


def at_third_step(monkeypatch: pytest.MonkeyPatch) -> None:
    loss = pds.loss

    def disturbed(*args: Any, step: int, **options: Any) -> Any:
        if step == 3:
            interrupt()
        return loss(*args, step=step, **options)

    monkeypatch.setattr(pds, "loss", disturbed)
