"""Bad input to main.py strokes: one sentence each, status 2, and nothing is written."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw
from running import Refusal, Tree

import main

Good = list[str]


@pytest.fixture
def painting(tmp_path: Path) -> Path:
    Image.new("RGB", (24, 16), "red").save(tmp_path / "painting.png")
    return tmp_path / "painting.png"


@pytest.fixture
def red_boat(tiny_sd_folder: Path, painting: Path) -> list[str]:
    options = {
        "--prompt": "a red boat",
        "--img_path": str(painting),
        "--model": str(tiny_sd_folder),
        "--implementation": "reference",
        "--device": "cpu",
        "--steps": "4",
        "--num_iterative_steps": "1",
        "--grad_steps_per_iter": "1",
    }
    return ["strokes", *(word for option in options.items() for word in option)]


def made(red_boat: list[str], tmp_path: Path, *changes: str) -> Image.Image:
    """The painting as the model sees it, of a run that succeeds."""
    assert main.main([*red_boat, *changes, "--out", str(tmp_path / "out")]) == 0
    with Image.open(tmp_path / "out" / "a_red_boat" / "painting.png") as seen:
        seen.load()
        return seen


# Paintings that are refused


def test_no_painting(refusal: Refusal) -> None:
    assert "there is no painting; name one by --img_path" in refusal("--img_path", "")


def test_a_missing_painting(refusal: Refusal, tmp_path: Path) -> None:
    assert "there is no file" in refusal("--img_path", str(tmp_path / "none.png"))
    assert "is a folder" in refusal("--img_path", str(tmp_path))


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n\x00\x00"])
def test_a_file_that_is_no_picture(refusal: Refusal, painting: Path, content: bytes) -> None:
    painting.write_bytes(content)

    assert "cannot be read as a picture" in refusal()


def test_a_truncated_painting(refusal: Refusal, painting: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (60, 60, 3), np.uint8)
    Image.fromarray(noise).save(painting)
    painting.write_bytes(painting.read_bytes()[:3000])

    assert "cannot be read as a picture" in refusal()


def test_an_animation(refusal: Refusal, tmp_path: Path) -> None:
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "two.gif", save_all=True, append_images=frames[1:])

    assert "holds 2 pictures" in refusal("--img_path", str(tmp_path / "two.gif"))


@pytest.mark.parametrize("size", [(10_000, 10_000), (60_000, 20_000)])
def test_a_painting_of_too_many_pixels_is_not_read(
    refusal: Refusal, painting: Path, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("1", size).save(painting)
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("it is read"))

    assert "more than 40 million" in refusal()


@pytest.mark.parametrize("size", [(10_000, 1), (100, 24)])
def test_a_painting_that_is_a_strip(
    refusal: Refusal, painting: Path, size: tuple[int, int]
) -> None:
    Image.new("RGB", size).save(painting)

    assert "at most 4 times as long one way as the other" in refusal()


def test_a_painting_without_paint(refusal: Refusal, painting: Path) -> None:
    Image.new("RGBA", (24, 16), (255, 0, 0, 0)).save(painting)

    assert "has no paint" in refusal()


# Paintings that are not common, and work


@pytest.mark.parametrize(
    ("name", "mode", "size"),
    [
        ("one_pixel.png", "RGB", (1, 1)),
        ("wide.png", "L", (10_000, 2_600)),
        ("print.jpg", "CMYK", (90, 60)),
        ("grey.png", "LA", (30, 20)),
        ("deep.png", "I;16", (30, 20)),
        ("black.png", "1", (30, 20)),
        ("indexed.gif", "P", (30, 20)),
    ],
)
def test_a_painting_of_any_kind_and_size_is_fitted(
    name: str, mode: str, size: tuple[int, int], red_boat: Good, tmp_path: Path
) -> None:
    picture = Image.new(mode, size, 0 if mode != "LA" else (90, 255))
    picture.save(tmp_path / name)

    seen = made(red_boat, tmp_path, "--img_path", str(tmp_path / name))

    assert seen.mode == "RGBA"
    assert seen.width % 8 == seen.height % 8 == 0
    assert abs(np.log(seen.width / seen.height * size[1] / size[0])) < 0.3
    assert seen.getchannel("A").getextrema() == (255, 255)


def test_an_indexed_painting_may_be_transparent(
    red_boat: Good, painting: Path, tmp_path: Path
) -> None:
    picture = Image.new("P", (24, 16), 1)
    picture.putpalette([0, 0, 0, 200, 30, 30])
    picture.paste(0, (12, 0, 24, 16))
    picture.save(painting, transparency=0)

    seen = made(red_boat, tmp_path)

    assert seen.getpixel((0, 0)) == (200, 30, 30, 255)
    assert seen.getpixel((23, 0))[3] == 0


def test_a_painting_of_another_aspect_than_the_size_is_not_cropped(
    red_boat: Good, painting: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = made(red_boat, tmp_path, "--size", "24,24")

    assert seen.size == (24, 24)
    assert [seen.getpixel((12, y))[3] for y in (0, 3, 4, 19, 20, 23)] == [0, 0, 255, 255, 0, 0]
    said = capsys.readouterr().err
    assert "it lies in the middle, and what is above and below of it is left to the model" in said


def test_a_size_that_no_model_has(refusal: Refusal) -> None:
    assert "each a multiple of 8" in refusal("--size", "20,24")


# Knobs


@pytest.mark.parametrize("value", ["0", "-0.5", "1.2", "nan"])
@pytest.mark.parametrize("method", ["gradop+", "sdedit"])
def test_a_strength_out_of_range(refusal: Refusal, method: str, value: str) -> None:
    sentence = refusal("--method", method, "--strength", value)

    assert "strength must be a finite number above 0 up to 1" in sentence


def test_a_strength_of_1(red_boat: Good, tmp_path: Path) -> None:
    for method in ("gradop+", "sdedit"):
        made(red_boat, tmp_path, "--method", method, "--strength", "1")


def test_a_strength_that_leaves_no_step(refusal: Refusal) -> None:
    for method in ("gradop+", "sdedit"):
        sentence = refusal("--method", method, "--strength", "0.05")
        assert "leaves none of the 4 steps to take" in sentence


def test_a_strength_that_leaves_no_burst(refusal: Refusal) -> None:
    sentence = refusal("--strength", "0.25")

    assert "leaves 0 of the 4 steps that a burst may follow" in sentence


def test_more_bursts_than_steps_are_left(refusal: Refusal) -> None:
    sentence = refusal("--strength", "0.75", "--num_iterative_steps", "3")

    assert "leaves 2 of the 4 steps that a burst may follow" in sentence
    assert "num_iterative_steps is 3; lower it" in sentence


@pytest.mark.parametrize(
    ("flag", "value", "words"),
    [
        ("--num_iterative_steps", "0", "num_iterative_steps must be a whole number from 1"),
        ("--num_iterative_steps", "-1", "num_iterative_steps must be a whole number from 1"),
        ("--grad_steps_per_iter", "0", "grad_steps_per_iter must be a whole number from 1"),
        ("--grad_steps_per_iter", "-2", "grad_steps_per_iter must be a whole number from 1"),
        ("--steps", "0", "steps must be a whole number from 1"),
        ("--learning_rate", "0", "learning_rate must be a finite number above 0"),
        ("--learning_rate", "1e38", "learning_rate must be a finite number above 0 up to 1000"),
        ("--width", "0", "width must be a finite number from 0.0001 up to 1"),
        ("--method", "gradop", "unknown method 'gradop': choose sdedit"),
        ("--guide", "vae", "guide must be one of linear, decoder"),
        ("--operator", "blur", "operator must be one of gaussian, area, median"),
        ("--region_control", "mask", "region_control must be one of attention, hard"),
        ("--prompt", " ", "the prompt is empty"),
        ("--model", "sd99", "unknown model 'sd99'"),
        ("--lora", "none.safetensors", "cannot use the LoRA weights 'none.safetensors'"),
    ],
)
def test_a_value_out_of_range(refusal: Refusal, flag: str, value: str, words: str) -> None:
    assert words in refusal(flag, value)


@pytest.mark.parametrize(
    ("method", "flag"),
    [("gradop+", "--guidance_scale"), ("x0-guidance", "--weight")],
)
def test_a_value_that_ends_in_numbers_that_are_not_finite(
    method: str, flag: str, red_boat: Good, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [*red_boat, "--method", method, flag, "1e38", "--out", str(tmp_path / "out")]

    assert main.main(command) == 2

    said = capsys.readouterr().err
    assert "the latents are no longer finite numbers; lower" in said
    assert not list((tmp_path / "out").glob("*.png"))


def test_an_end_that_is_no_earlier_than_the_strength(refusal: Refusal) -> None:
    sentence = refusal("--method", "low-frequencies", "--strength", "0.5", "--end", "0.5")

    assert "end must be from 0 to below the strength" in sentence


# Regions


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """Two regions of 24 x 16 pixels."""
    numbers = np.zeros((16, 24), np.uint8)
    numbers[:, :10], numbers[:, 14:] = 1, 2
    Image.fromarray(numbers).save(tmp_path / "labels.png")
    return tmp_path / "labels.png"


def regions(labels: Path, words: str = "a red,boat") -> list[str]:
    return ["--regions", str(labels), "--words", words]


def test_words_that_the_prompt_lacks(refusal: Refusal, labels: Path) -> None:
    assert "'car' of the words is not in the prompt" in refusal(*regions(labels, "boat,car"))
    assert "'bo' of the words is not in the prompt" in refusal(*regions(labels, "bo,red"))
    assert "one of the words is empty: 'red,,boat'" in refusal(*regions(labels, "red,,boat"))


def test_regions_without_words_and_words_without_regions(refusal: Refusal, labels: Path) -> None:
    assert "there are regions and no words" in refusal("--regions", str(labels))
    assert "there are words and no regions" in refusal("--words", "boat")


def test_more_regions_than_words_and_fewer(refusal: Refusal, labels: Path) -> None:
    sentence = refusal(*regions(labels, "boat"))
    assert "has 2 regions (value 1, value 2) for 1 word (boat)" in sentence

    sentence = refusal(*regions(labels, "a,red,boat"))
    assert "has 2 regions (value 1, value 2) for 3 words (a, red, boat)" in sentence


def test_labels_that_are_all_black(refusal: Refusal, labels: Path) -> None:
    Image.new("L", (24, 16)).save(labels)

    assert "has 0 regions (nothing but black) for 2 words" in refusal(*regions(labels))


def test_labels_of_another_aspect(refusal: Refusal, labels: Path) -> None:
    Image.new("L", (24, 24), 1).save(labels)

    assert "labels must have the painting's aspect" in refusal(*regions(labels, "boat"))


def test_an_antialiased_picture_of_labels(refusal: Refusal, labels: Path) -> None:
    picture = Image.new("RGB", (240, 160))
    ImageDraw.Draw(picture).ellipse((20, 20, 90, 130), "red")
    ImageDraw.Draw(picture).ellipse((120, 20, 200, 130), "blue")
    picture.resize((48, 32), Image.Resampling.BICUBIC).save(labels)

    sentence = refusal(*regions(labels))

    assert "different labels, as a photograph or an antialiased picture does" in sentence


def test_labels_with_a_few_soft_edges(refusal: Refusal, labels: Path) -> None:
    colours = np.zeros((160, 240, 3), np.uint8)
    colours[:, :100], colours[:, 140:] = (255, 0, 0), (0, 0, 255)
    colours[0, 100:104], colours[0, 136:140] = (90, 0, 0), (0, 0, 90)
    Image.fromarray(colours).save(labels)

    sentence = refusal(*regions(labels))

    assert "has 4 different labels for 2 words, and some on very few pixels" in sentence
    assert "in one flat colour, with a hard brush" in sentence


def test_a_region_too_small_for_the_models_attention(refusal: Refusal, labels: Path) -> None:
    numbers = np.zeros((16, 24), np.uint8)
    numbers[0, 0], numbers[:, 14:] = 1, 2
    Image.fromarray(numbers).save(labels)

    sentence = refusal(*regions(labels))

    assert "the region of 'a red' has 1 pixel at the picture's size, 24 x 16" in sentence


def test_a_region_that_is_lost_where_labels_are_scaled_down(refusal: Refusal, labels: Path) -> None:
    numbers = np.zeros((1600, 2400), np.uint8)
    numbers[0, 0], numbers[:, 1400:] = 1, 2
    Image.fromarray(numbers).save(labels)

    assert "the region of 'a red' has 0 pixels" in refusal(*regions(labels))


def test_too_strong_regions(refusal: Refusal, labels: Path) -> None:
    sentence = refusal(*regions(labels), "--region_strength", "2")

    assert "region_strength may be up to 1 with composed" in sentence


# Models


def test_a_multi_step_scheduler_is_replaced_and_that_is_said(
    red_boat: Good,
    tiny_sd_folder: Path,
    tmp_path: Path,
    tree: Tree,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = shutil.copytree(tiny_sd_folder, tmp_path / "model")
    for file, place in [("model_index.json", "scheduler"), ("scheduler/scheduler_config.json", "")]:
        config = json.loads((folder / file).read_text())
        if place:
            config[place] = ["diffusers", "PNDMScheduler"]
        else:
            config |= {"_class_name": "PNDMScheduler", "skip_prk_steps": True}
        (folder / file).write_text(json.dumps(config))
    made(red_boat, tmp_path)
    own = (tmp_path / "out" / "a_red_boat.png").read_bytes()
    capsys.readouterr()

    made(red_boat, tmp_path, "--model", str(folder))

    assert "note: the model's PNDMScheduler is replaced by DDIM" in capsys.readouterr().err
    assert (tmp_path / "out" / "a_red_boat.png").read_bytes() == own


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (["--size", "32,32"], "the exact prior draws only pictures of 16 x 16 pixels"),
        (["--prompt", "a boat"], "the exact prior knows the prompts"),
        (["--lora", "some.safetensors"], "LoRA weights need a diffusion model"),
    ],
)
def test_what_the_exact_prior_cannot_do(refusal: Refusal, changes: list[str], words: str) -> None:
    assert words in refusal("--model", "exact", "--prompt", "a red disc", *changes)
