"""Bad input to main.py morph: one sentence each, status 2, and nothing is written."""

from __future__ import annotations

from pathlib import Path

import pytest
from running import Refusal, Tree, fill_the_disk

import main


@pytest.fixture
def red_boat(tiny_sd_folder: Path) -> list[str]:
    options = {
        "--model": str(tiny_sd_folder),
        "--implementation": "reference",
        "--device": "cpu",
        "--steps": "1",
        "--frames": "3",
    }
    return ["morph", *(word for option in options.items() for word in option)]


TWO = ["a red boat", "a cat"]
REFUSED = [
    ([], 'say from what to what: "a snowy cabin" "a castle"'),
    (["a boat"], "a morph goes from one prompt to another and there is one; give a second, or"),
    (["a boat", " "], "prompt 2 of 2 is empty"),
    ([f"{number} boats" for number in range(40)], "a morph has 2 to 20 prompts; there are 40"),
    (["a boat", "x" * 1001], "a prompt of prompts may have 1000 characters; it has 1001"),
    (
        ["a boat", "a boat", "--seeds", "1,1"],
        "prompt 1 and the one after it are equal and so are their seeds, so nothing would move",
    ),
    (
        ["a boat", "a cat", "a boat", "--loop", "--seeds", "1,2,1"],
        "prompt 3 and the one after it are equal and so are their seeds",
    ),
    ([*TWO, "--frames", "1"], "frames must be a whole number from 2 to 500; it is 1"),
    ([*TWO, "--frames", "1000"], "frames must be a whole number from 2 to 500; it is 1000"),
    ([*TWO, "--frames", "many"], "argument --frames: invalid int value: 'many'"),
    ([*TWO, "a hat", "a bat"], "4 prompts need at least 4 frames; frames is 3"),
    ([*TWO, "--holds", "1"], "2 prompts and 2 frames of holding need at least 4 frames"),
    (
        [*TWO, "--holds", "1,2,3"],
        "holds must be one number for all prompts, or 2, one for each; it is (1, 2, 3)",
    ),
    ([*TWO, "--holds", "-1"], "holds must be whole numbers from 0 to 500; it is (-1,)"),
    ([*TWO, "--fps", "0"], "fps must be a finite number from 1 up to 50; it is 0"),
    ([*TWO, "--fps", "0.5"], "fps must be a finite number from 1 up to 50; it is 0.5"),
    ([*TWO, "--fps", "100"], "fps must be a finite number from 1 up to 50; it is 100"),
    ([*TWO, "--seeds", "1"], "2 prompts need 2 seeds, one for each; seeds is (1,)"),
    ([*TWO, "--seeds", "1,2,3"], "2 prompts need 2 seeds, one for each; seeds is (1, 2, 3)"),
    ([*TWO, "--seeds", "1,two"], "write whole numbers with commas between them, such as 1,2"),
    ([*TWO, "--seeds=-1,2"], "seeds must be whole numbers from 0 to"),
    ([*TWO, "--num_frames", "9"], "--num_frames and --frames both say how many frames"),
    ([*TWO, "--speed", "5"], "--speed must be 20 to 1000 milliseconds a frame; it is 5"),
    ([*TWO, "--speed", "100", "--fps", "10"], "--speed and --fps both say how fast; give one"),
    ([*TWO, "--easing", "bounce"], "easing must be one of linear, smooth, in, out"),
    ([*TWO, "--text", "fade"], "text must be one of stones, mix, slerp, lerp, hold; it is 'fade'"),
    ([*TWO, "--noise", "mix"], "noise must be one of slerp, lerp, hold; it is 'mix'"),
    ([*TWO, "--palette", "257"], "it was 257: ask for fewer, or name a smaller palette"),
    ([*TWO, "--palette", "256", "--transparent"], "palette of 2 to 256 colours; it was 257"),
    ([*TWO, "--frames", "500", "--scale", "64"], "are too many for a file; enlarge by less than"),
    ([*TWO, "--palette", "1"], "palette of 2 to 256 colours; it was 1"),
    ([*TWO, "--palette", "rgb-10"], "it was 1,000: ask for fewer, or name a smaller palette"),
    ([*TWO, "--palette", "sunset"], "'sunset' is not a palette; give the path of"),
    ([*TWO, "--margin", "2"], "margin must be a finite number from 0 up to 1; it is 2"),
    ([*TWO, "--dithering", "floyd"], "dithering must be one of none, bayer; it is 'floyd'"),
    ([*TWO, "--size", "48"], "write height and width as H,W, for example 32,48, not '48'"),
    ([*TWO, "--size", "2,2"], "size must be height and width of the grid, each from 8 to 512"),
    ([*TWO, "--size", "48,48"], "a grid of 48 x 48 is finer than the pictures of"),
    ([*TWO, "--scale", "0"], "scale must be a whole number from 1 to 64; it is 0"),
    ([*TWO, "--steps", "0"], "steps must be a whole number from 1 to 1000; it is 0"),
    ([*TWO, "--model", "sd99"], "unknown model 'sd99'"),
    ([*TWO, "--lora", "none.safetensors"], "cannot use the LoRA weights 'none.safetensors'"),
    (
        [*TWO, "--lora", "data/models/tiny-sd-any-size"],
        "cannot use the LoRA weights 'data/models/tiny-sd-any-size'",
    ),
    (
        [*TWO, "--lora", "data/models/tiny-sd-pixel", "--lora_scale", "1e9"],
        "lora_scale must be a finite number from -100 up to 100; it is 1000000000.0",
    ),
    ([*TWO, "--set", "prompts=a boat"], "prompts must be a list of prompts; it is 'a boat'"),
    ([*TWO, "--set", "tempo=3"], "there is no setting 'tempo'"),
]


@pytest.mark.parametrize(
    ("flags", "sentence"), REFUSED, ids=[" ".join(flags)[:60] for flags, _ in REFUSED]
)
def test_what_cannot_be_drawn(refusal: Refusal, flags: list[str], sentence: str) -> None:
    assert sentence in refusal(*flags)


def test_a_file_of_other_settings_is_refused(refusal: Refusal, tmp_path: Path) -> None:
    config = tmp_path / "run.yaml"
    config.write_text("prompt: a boat\nmodel: tiny-sd\n")

    said = refusal("--config", str(config))

    assert "must hold settings" in said
    assert "prompts" in said


@pytest.mark.parametrize("room", [3, 8, 14, 19])
def test_no_disk_space_left_at_any_file(
    room: int,
    red_boat: list[str],
    tmp_path: Path,
    tree: Tree,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = [*red_boat, *TWO, "--out", str(tmp_path)]
    (tmp_path / "a_red_boat_to_a_cat.png").write_bytes(b"an earlier sheet")
    with monkeypatch.context() as full_disk:
        fill_the_disk(full_disk, room)
        assert main.main(command) == 2

    *_, sentence = capsys.readouterr().err.splitlines()
    assert sentence.startswith("error: cannot write")
    assert "no space is left on the disk" in sentence
    left = tree(tmp_path)
    assert left["a_red_boat_to_a_cat.png"] == b"an earlier sheet"
    assert not any(name.endswith(".part") for name in left)
    gif = left.get("a_red_boat_to_a_cat/morph.gif")
    assert gif is None or gif.endswith(b";")  # whole or not there
    assert main.main(command) == 0


# What is drawn all the same, with a sentence


NOTED = [
    ([*TWO, "--lora_scale", "0.5"], "without a lora there is no use for lora_scale."),
    ([*TWO, "--seeds", "3,3", "--noise", "lerp"], "all seeds are equal, so noise changes nothing."),
    (["a boat", "a boat", "--text", "slerp"], "all prompts are equal, so text changes nothing."),
    ([*TWO, "--text", "slerp", "--noise", "hold", "--loop", "--transparent"], None),
]


@pytest.mark.parametrize(("flags", "sentence"), NOTED, ids=[" ".join(f) for f, _ in NOTED])
def test_what_is_of_no_use_is_said(
    flags: list[str],
    sentence: str | None,
    red_boat: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main.main([*red_boat, *flags, "--out", str(tmp_path)]) == 0

    notes = [line for line in capsys.readouterr().err.splitlines() if line.startswith("note: ")]
    assert len(notes) == (sentence is not None)
    assert sentence is None or sentence in notes[0]
