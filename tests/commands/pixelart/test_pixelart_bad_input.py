"""Bad input of main.py pixelart, and uncommon input that it takes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from running import Refusal

import main
from distillery.core.files import REPOSITORY


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "holds no colour"),
        ("ff8800\n", "holds one colour"),
        ("ff8800\n#FF8800\n", "holds one colour"),
        ("".join(f"{k:06x}\n" for k in range(10_000)), "holds 10,000 colours"),
        ("ff8800\nred\n", "line 2: 'red' is not a colour"),
        ("".join(f"{k:06x}\n" for k in range(257)), "holds 256 colours; this palette needs 257"),
    ],
)
def test_an_unfit_palette_file(refusal: Refusal, tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "mine.hex").write_text(content)

    assert words in refusal("--palette", str(tmp_path / "mine.hex"))


@pytest.mark.parametrize(
    "content", [b"ff8800\r\n00ff00\r\n", b"#ff8800\n#00ff00", b"FF8800\n00FF00"]
)
def test_palette_files_with_any_line_ends_are_read(
    red_boat: list[str], tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "mine.hex").write_bytes(content)
    command = [*red_boat, "--palette", str(tmp_path / "mine.hex"), "--steps", "1"]

    assert main.main([*command, "--out", str(tmp_path / "out")]) == 0

    kept = (tmp_path / "out" / "a_red_boat" / "palette.hex").read_text()
    assert kept == "ff8800\n00ff00\n"


@pytest.mark.parametrize("size", ["0,0", "1,1", "4096,4096", "-8,8", "16,100"])
def test_a_size_that_no_grid_has(refusal: Refusal, size: str) -> None:
    # An option that begins with a minus sign must be written with "=".
    assert refusal(f"--size={size}").startswith("error: size ")


@pytest.mark.parametrize("size", ["32", "32x32", "a,b", "1,2,3", "8.5,8"])
def test_a_size_that_is_none(refusal: Refusal, size: str) -> None:
    sentence = refusal("--size", size)

    assert "--size" in sentence
    assert "H,W" in sentence


def test_a_truncated_picture(refusal: Refusal, photo: Path, tmp_path: Path) -> None:
    cut = tmp_path / "photo.png"
    cut.write_bytes(photo.read_bytes()[:200])

    assert "photo.png cannot be read as a picture" in refusal("--input_image", str(cut))


def test_a_missing_picture(refusal: Refusal, tmp_path: Path) -> None:
    assert "photo.png" in refusal("--input_image", str(tmp_path / "photo.png"))


@pytest.mark.parametrize("mode", ["RGBA", "P", "CMYK", "I;16", "LA", "L"])
def test_pictures_of_any_mode_are_drawn_from(
    red_boat: list[str], photo: Path, tmp_path: Path, mode: str
) -> None:
    image, path = Image.open(photo), tmp_path / ("photo.tif" if mode == "CMYK" else "photo.png")
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    else:
        image = image.convert(mode)
    image.save(path)
    command = [*red_boat, "--input_image", str(path), "-knc", "3", "--steps", "1"]

    assert main.main([*command, "--out", str(tmp_path / "out")]) == 0


@pytest.mark.parametrize("fps", ["0", "-1", "nan", "1e-9", "fast"])
def test_a_pace_that_no_video_has(refusal: Refusal, fps: str) -> None:
    assert "fps" in refusal("--make_video", f"--fps={fps}")


@pytest.mark.parametrize("size", ["0,0", "101,100", "wide"])
def test_a_video_size_that_none_has(refusal: Refusal, size: str) -> None:
    assert "video_size" in refusal("--make_video", "--video_size", size)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--set", "colour=3"), "there is no setting 'colour'; the settings are prompt"),
        (("--set", "tau"), "write NAME=VALUE, not 'tau'"),
        (("--set", "tau=[1"), "cannot be read as a value"),
        (("--set", "tau=" + 5000 * "["), "cannot be read as a value"),
        (("--set", "seed=2001-99-99"), "cannot be read as a value"),
        (("--set", "tau=warm"), "tau must be a finite number above 0; it is 'warm'"),
        (("--prompt", "", "--input_image", ""), "the prompt is empty"),
        (("--start", "middle"), "start must be one of generated, image, painted, noise"),
        (("--start", "noise"), "name a palette"),
        (("--start", "painted"), "a painted start is an indexed PNG"),
        (("--model", "sd99"), "unknown model 'sd99'"),
        (("--model", "tiny-clip"), "unknown model 'tiny-clip'"),
        (("--device", "tpu"), "no device 'tpu'"),
        (("--memory", "10"), "memory must be one of 8, 12, 16, 24 GB; it is 10"),
        (("--implementation", "mine"), "implementation must be one of"),
        (("--palette", "none"), "'none' is not a palette"),
        (("-knc", "1"), "colours must be a whole number from 2"),
        (("--colour", "red"), "--colour"),
        (("--config", "none.yaml"), "none.yaml"),
    ],
)
def test_other_unfit_flags(refusal: Refusal, flags: tuple[str, ...], words: str) -> None:
    assert words in refusal(*flags)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("prompt: a boat\nsedd: 3\n", "has the unknown setting sedd"),
        ("prompt: a boat\nfft: strong\n", "fft must be"),
        ("prompt: [", "run.yaml"),
    ],
)
def test_an_unfit_config(refusal: Refusal, tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "run.yaml").write_text(text)

    assert words in refusal("--config", str(tmp_path / "run.yaml"))


def test_an_unknown_setting_beside_a_config(refusal: Refusal, tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("prompt: a boat\n")

    sentence = refusal("--config", str(tmp_path / "run.yaml"), "--set", "sedd=3")

    assert "there is no setting 'sedd'" in sentence


def test_missing_controlnets(refusal: Refusal, tiny_repository: Path) -> None:
    (tiny_repository / "data/models/tiny-controlnet-depth").unlink()

    assert "cannot load the depth ControlNet of tiny-sdxl" in refusal()


def test_a_lora_that_is_none(refusal: Refusal, tmp_path: Path) -> None:
    (tmp_path / "lora.safetensors").write_bytes(b"none")

    assert "cannot use the LoRA weights" in refusal("--set", f"lora={tmp_path}/lora.safetensors")


def test_an_output_folder_that_is_a_file(
    red_boat: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "taken").write_text("a file in the place of the folder")

    assert main.main([*red_boat, "--tensorboard", "--out", str(tmp_path / "taken")]) == 2

    *_, sentence = capsys.readouterr().err.splitlines()
    assert sentence.startswith("error: cannot write")
    assert (tmp_path / "taken").read_text() == "a file in the place of the folder"


def test_the_process_ends_with_the_sentence_and_the_status() -> None:
    command = [sys.executable, "main.py", "pixelart", "--prompt", "a boat", "--size", "1,1"]

    answer = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)

    assert (answer.returncode, answer.stdout) == (2, "")
    assert answer.stderr.startswith("error: size must be")
    assert answer.stderr.count("\n") == 1
