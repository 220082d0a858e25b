"""Bad input to main.py elastic: one sentence each, status 2, and nothing is written."""

from __future__ import annotations

from pathlib import Path

import pytest
from running import Refusal

import main


@pytest.fixture
def red_boat(tiny_sd_folder: Path) -> list[str]:
    options = {
        "--prompt": "a red boat",
        "--model": str(tiny_sd_folder),
        "--implementation": "reference",
        "--device": "cpu",
        "--steps": "2",
    }
    return ["elastic", *(word for option in options.items() for word in option)]


REFUSED = [
    (["--height", "0"], "height must be a whole number from 16 to 4096; it is 0"),
    (["--height", "10"], "height must be a whole number from 16 to 4096; it is 10"),
    (["--width", "10000"], "width must be a whole number from 16 to 4096; it is 10000"),
    (["--height", "-64"], "height must be a whole number from 16 to 4096; it is -64"),
    (["--height", "64.5"], "argument --height: invalid int value: '64.5'"),
    (["--height", "16", "--width", "320"], "at most 8 times as long one way as the other"),
    (["--new_p", "1.1"], "new_p must be a finite number from 0 up to 1; it is 1.1"),
    (["--new_p", "-0.1"], "new_p must be a finite number from 0 up to 1; it is -0.1"),
    (["--drop_p", "1.5"], "drop_p must be a finite number from 0 up to 1; it is 1.5"),
    (["--drop_p", "nan"], "drop_p must be a finite number from 0 up to 1; it is nan"),
    (["--drop_p", "0.7", "--new_p", "0.4"], "drop_p is 1 - new_p; 0.7 and 0.4 are not"),
    (["--resampling_steps", "-1"], "resampling_steps must be a whole number from 0 to 1000"),
    (["--rrg_weight", "-1"], "rrg_weight must be a finite number from 0 up to 1; it is -1"),
    (["--rrg_weight", "2"], "rrg_weight must be a finite number from 0 up to 1; it is 2"),
    (["--rrg_init_weight", "-5"], "rrg_init_weight must be a finite number from 0; it is -5"),
    (["--rrg_init_weight", "5", "--rrg_weight", "1"], "the same in two ways: give one of them"),
    (["--rrg_stop_t", "1"], "rrg_stop_t must be a finite number from 0 up to 0.99; it is 1"),
    (["--cosine_scale", "-1"], "cosine_scale must be a finite number from 0"),
    (["--patch_size", "0"], "patch_size must be a whole number from 1"),
    (["--patch_size", "9"], "patch_size is 9 cells and the network reads 8"),
    (["--method", "multidiffusion", "--stride", "0"], "stride must be a whole number from 1"),
    (["--method", "multidiffusion", "--stride", "9"], "so views would leave gaps"),
    (["--method", "upscale", "--strength", "0"], "strength must be a finite number above 0"),
    (["--method", "upscale", "--strength", "0.1"], "leaves none of the 2 steps"),
    (["--method", "hires"], "unknown method 'hires': choose direct, upscale"),
    (["--view_batch_size", "0"], "view_batch_size must be a whole number from 1"),
    (["--view_weights", "median"], "view_weights must be one of gaussian, uniform"),
    (["--reference", "round"], "reference must be one of unpadded, padded; it is 'round'"),
    (["--repaint_sampling", "maybe"], "write true or false, not 'maybe'"),
    (["--low_vram", "2"], "write true or false, not '2'"),
    (["--prompt", " "], "the prompt is empty"),
    (["--model", "sd99"], "unknown model 'sd99'"),
    (["--sd_version", "3.0"], "argument --sd_version: invalid choice: '3.0'"),
    (["--sd_version", "XL1.0"], "--sd_version XL1.0 is --model sdxl, not"),
    (
        ["--lora", "none.safetensors"],
        "cannot use the LoRA weights 'none.safetensors' (there is no such file or folder)",
    ),
    (
        ["--lora", "data/models/nothing", "--method", "upsample-guidance"],
        "cannot use the LoRA weights 'data/models/nothing' (there is no such file or folder)",
    ),
    (["--steps", "0"], "steps must be a whole number from 1 to 1000; it is 0"),
    (["--guidance_scale", "inf"], "guidance_scale must be a finite number"),
    (["--count", "0"], "count must be a whole number from 1 to 100; it is 0"),
    (["--num_sampled", "0"], "count must be a whole number from 1 to 100; it is 0"),
    (["--condition_image", "none.png"], "there is no file none.png"),
    (["--control", "pose"], "control must be one of canny, depth; it is 'pose'"),
    (["--controlnet_conditioning_scale", "-1"], "must be a finite number from 0 up to 2"),
    (["--method", "multidiffusion", "--pca"], "multidiffusion has no direction"),
]


@pytest.mark.parametrize(("flags", "sentence"), REFUSED, ids=[" ".join(f) for f, _ in REFUSED])
def test_what_cannot_be_drawn(refusal: Refusal, flags: list[str], sentence: str) -> None:
    assert sentence in refusal(*flags)


# What is drawn all the same, with a sentence


NOTED = [
    (["--new_p", "0"], "new_p is 0, so the rounds of resampling read no other cells"),
    (["--resampling_steps", "100"], "most of the 100 read some again"),
    (["--height", "16", "--width", "16"], "so it is its own reference and plain guidance"),
    (["--width", "16"], "so it is its own reference and plain guidance"),
    (["--rrg_init_weight", "5"], "rrg_init_weight 5 is an rrg_weight of"),
    (["--rrg_init_weight", "4000"], "more than all of the way; 1 is taken"),
    (
        ["--method", "upsample-guidance", "--size", "16,16"],
        "so it is its own reference and plain guidance",
    ),
    (
        ["--strength", "0.5", "--cosine_scale", "3"],
        "rrg_weight is 0, so nothing is pulled, and cosine_scale changes nothing.",
    ),
    (["--rrg_weight", "0", "--rrg_stop_t", "0.2"], None),
    (
        ["--method", "upsample-guidance", "--own_details", "--stride", "3"],
        "upsample-guidance has no use for own_details, stride.",
    ),
    (["--method", "direct", "--lora", "none"], "direct has no use for lora."),
    (["--method", "direct", "--new_p", "0.3"], "direct has no use for new_p."),
    (["--method", "upscale", "--patch_size", "3"], "upscale has no use for patch_size."),
    (["--stride", "3"], "elastic has no use for stride."),
    (["--control", "depth"], "without a condition_image there is no use for control."),
    (["--patch_size", "8", "--height", "18", "--width", "24"], None),
    (["--drop_p", "0.7"], None),
    (["--new_p", "1"], None),
    (["--drop_p", "0.7", "--new_p", "0.3"], None),
    (["--method", "direct", "--height", "16", "--width", "320"], None),
    (["--repaint_sampling", "False", "--moving_windows", "no", "--low_vram"], None),
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
