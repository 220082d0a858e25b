"""Bad input: one clear sentence, a non-zero status, nothing half-written, earlier results intact.

Ctrl-C is in test_main.py.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image
from running import Refusal, Tree, fill_the_disk, without

import main
from distillery.core.files import REPOSITORY
from distillery.models import load


def test_an_empty_prompt(refusal: Refusal) -> None:
    assert "the prompt is empty" in refusal("--prompt", "")
    assert "the prompt is empty" in refusal("--prompt", "  ")


def test_a_prompt_of_10000_characters(refusal: Refusal) -> None:
    assert "1000 characters; it has 10000" in refusal("--prompt", "x" * 10_000)


def test_no_prompt_at_all(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main.main([])

    assert stopped.value.code == 2
    assert capsys.readouterr().err.startswith("error: say what to draw")


def test_an_unknown_loss(refusal: Refusal) -> None:
    assert "'sdss'" in refusal("--loss_type", "sdss")


def test_an_unknown_loss_in_a_config(refusal: Refusal, tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("prompt: a boat\nmodel: tiny-sd\nloss_type: vsdd\n")

    sentence = refusal("--config", str(tmp_path / "run.yaml"))

    assert "unknown loss 'vsdd': choose sds" in sentence


def edit(*changes: str, source: Path) -> list[str]:
    flags = ["--loss_type", "pds", "--edit_prompt", "a blue boat", "--src_img_path", str(source)]
    return [*flags, *changes]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    Image.new("RGB", (20, 30), "red").save(tmp_path / "source.png")
    return tmp_path / "source.png"


def test_a_missing_source_picture(refusal: Refusal, tmp_path: Path) -> None:
    assert "none.png" in refusal(*edit(source=tmp_path / "none.png"))


def test_a_corrupt_source_picture(refusal: Refusal, source: Path) -> None:
    source.write_bytes(source.read_bytes()[:60])

    assert "source.png" in refusal(*edit(source=source))


def test_a_source_picture_of_one_pixel(refusal: Refusal, source: Path) -> None:
    Image.new("RGB", (1, 1)).save(source)

    assert "is 1 x 1 pixels" in refusal(*edit(source=source))


def test_an_animated_source_picture(refusal: Refusal, tmp_path: Path) -> None:
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "two.gif", save_all=True, append_images=frames[1:])

    assert "holds 2 pictures" in refusal(*edit(source=tmp_path / "two.gif"))


@pytest.mark.parametrize(
    ("name", "mode", "size"),
    [("large.png", "L", (10_000, 9_000)), ("print.jpg", "CMYK", (90, 60)), ("a.png", "LA", (9, 9))],
)
def test_a_large_or_uncommon_source_picture_is_fitted(
    name: str, mode: str, size: tuple[int, int], red_boat: list[str], tmp_path: Path
) -> None:
    Image.new(mode, size).save(tmp_path / name)
    command = [*red_boat, *edit(source=tmp_path / name), "--steps", "1"]

    assert main.main([*command, "--out", str(tmp_path / "out")]) == 0

    with Image.open(tmp_path / "out" / "a_blue_boat" / "source.png") as kept:
        assert kept.size == (16, 16)


def test_an_edit_prompt_that_is_the_prompt(refusal: Refusal, source: Path) -> None:
    sentence = refusal(*edit("--edit_prompt", " a red boat", source=source))

    assert "there is nothing to change" in sentence


def test_an_edit_without_its_prompt(refusal: Refusal, source: Path) -> None:
    flags = without(edit(source=source), "--edit_prompt")

    assert "pds edits a picture: give" in refusal(*flags)


def test_a_source_picture_for_a_method_that_draws_from_noise(
    refusal: Refusal, source: Path
) -> None:
    sentence = refusal(*edit("--loss_type", "sds", source=source))

    assert "sds draws from noise and edits nothing" in sentence
    assert "choose pds or dds" in sentence


@pytest.mark.parametrize("rank", ["0", "9"])
def test_a_lora_rank_below_1_or_above_the_layers_width(refusal: Refusal, rank: str) -> None:
    assert f"it is {rank}" in refusal("--loss_type", "vsd", "--lora_rank", rank)


def test_no_particles(refusal: Refusal) -> None:
    assert "particles must be a whole number from 1" in refusal("--particles", "0")


def test_an_unknown_model(refusal: Refusal) -> None:
    assert "unknown model 'sd99': choose tiny-sd" in refusal("--model", "sd99")


def test_an_unknown_device(refusal: Refusal) -> None:
    assert "no device 'tpu'" in refusal("--device", "tpu")


@pytest.mark.parametrize(
    ("option", "value"),
    [("--steps", "0"), ("--steps", "many"), ("--seed", "-1"), ("--guidance_scale", "nan")],
)
def test_a_number_out_of_range(refusal: Refusal, option: str, value: str) -> None:
    assert value in refusal(option, value)


def test_an_unknown_flag(refusal: Refusal) -> None:
    assert "--colour" in refusal("--colour", "red")


@pytest.mark.parametrize("text", ["prompt: [", "a boat", "prompt: a boat\nsedd: 3"])
def test_an_unfit_config(refusal: Refusal, tmp_path: Path, text: str) -> None:
    (tmp_path / "run.yaml").write_text(text)

    assert "run.yaml" in refusal("--config", str(tmp_path / "run.yaml"))


def test_missing_weights(refusal: Refusal, tiny_sd_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_sd_folder, folder)
    for weights in folder.glob("unet/*.safetensors"):
        weights.unlink()

    assert "its unet has no safetensors weights" in refusal("--model", str(folder))


def test_missing_weights_of_the_embedded_model(
    refusal: Refusal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "REPOSITORY", tmp_path)

    sentence = refusal("--model", "tiny-sd")

    assert "cannot load tiny-sd" in sentence
    assert "`make train`" in sentence


def test_a_truncated_safetensors_file(
    refusal: Refusal, tiny_sd_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_sd_folder, folder)
    (weights,) = folder.glob("unet/*.safetensors")
    weights.write_bytes(weights.read_bytes()[:1000])

    assert "is cut short or damaged" in refusal("--model", str(folder))


def test_a_copy_of_the_course_without_the_reference(
    refusal: Refusal, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_module = main.importlib.import_module

    def absent(name: str) -> ModuleType:
        if name.startswith("reference"):
            raise ModuleNotFoundError(name="reference")
        return import_module(name)

    monkeypatch.setattr(main.importlib, "import_module", absent)

    assert "there is no reference/sds.py in this copy" in refusal("--implementation", "reference")


@pytest.mark.parametrize("room", [0, 5, 9, 14, 18, 22])
def test_no_disk_space_left_at_any_write(
    room: int,
    red_boat: list[str],
    undisturbed: dict[str, bytes],
    tmp_path: Path,
    tree: Tree,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "a_red_boat.png").write_bytes(b"an earlier picture")
    capsys.readouterr()

    with monkeypatch.context() as full_disk:
        fill_the_disk(full_disk, room)
        assert main.main([*red_boat, "--out", str(out)]) == 2

    *_, sentence = capsys.readouterr().err.splitlines()
    assert sentence.startswith("error: cannot write")
    assert "no space is left on the disk" in sentence
    assert (out / "a_red_boat.png").read_bytes() == b"an earlier picture"
    assert not any(name.endswith(".part") for name in tree(out))
    assert main.main([*red_boat, "--out", str(out)]) == 0
    beside = {
        name.replace("a_red_boat", "a_red_boat~2", 1): its for name, its in undisturbed.items()
    }
    assert tree(out) == {"a_red_boat.png": b"an earlier picture", **beside}


def test_an_unwritable_output_folder(
    red_boat: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "taken").write_text("a file in the place of the folder")

    assert main.main([*red_boat, "--out", str(tmp_path / "taken")]) == 2

    *_, sentence = capsys.readouterr().err.splitlines()
    assert sentence.startswith("error: cannot write")
    assert "choose a folder that can be written" in sentence
    assert (tmp_path / "taken").read_text() == "a file in the place of the folder"


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_write_protected_output_folder(refusal: Refusal, tmp_path: Path) -> None:
    out = tmp_path / "outputs"
    out.chmod(0o555)
    try:
        assert "choose a folder that can be written" in refusal()
    finally:
        out.chmod(0o755)


def test_the_process_ends_with_the_sentence_and_the_status(red_boat: list[str]) -> None:
    command = [sys.executable, "main.py", *red_boat, "--model", "sd99"]

    answer = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)

    assert answer.returncode == 2
    assert answer.stdout == ""
    assert answer.stderr.startswith("error: unknown model 'sd99'")
    assert answer.stderr.count("\n") == 1
