"""main.py morph: every flag counts, files are as documented, and a stopped run goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image
from running import Tree, press_ctrl_c

import main
from distillery.core.errors import CourseError
from distillery.core.images import load_image
from distillery.methods import morph as methods
from distillery.methods import morph_frames
from distillery.models.load import load_prior
from distillery.models.stable_diffusion import StableDiffusionPrior
from distillery.morph import begin, settings
from distillery.morph import run as morph_run
from distillery.morph.run import MorphRun, there_and_back
from distillery.morph.settings import MorphSettings
from distillery.pixelart import sequence
from distillery.runs import cost, engine, kind
from distillery.runs.run import Checkpoint, Step
from reference import morph as reference

STEPS, FRAMES = 3, 6
STEM = "a_red_boat_to_a_cat"


@pytest.fixture
def red_boat(tiny_sd_folder: Path) -> list[str]:
    """A short run of the reference; `--out` is left to the test."""
    options = {
        "--model": str(tiny_sd_folder),
        "--size": "8,12",
        "--frames": str(FRAMES),
        "--palette": "4",
        "--scale": "3",
        "--implementation": "reference",
        "--device": "cpu",
        "--steps": str(STEPS),
    }
    words = [word for option in options.items() for word in option]
    return ["morph", "a red boat", "a cat", *words]


def stopped_after(monkeypatch: pytest.MonkeyPatch, index: int) -> list[int]:
    """Press Ctrl-C after that step of a new run; after which step each run went on, or -1."""
    begun: list[int] = []
    own = MorphRun.steps

    def disturbed(self: MorphRun, resume: Checkpoint | None = None) -> Iterator[Step]:
        begun.append(-1 if resume is None else resume.index)
        for step in own(self, resume):
            if step.index == index and resume is None:
                press_ctrl_c()
            yield step

    monkeypatch.setattr(MorphRun, "steps", disturbed)
    return begun


def test_it_leaves_the_animation_its_frames_and_its_making(
    undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    assert {name.removeprefix(f"{STEM}/") for name in undisturbed} == {
        f"{STEM}.png",
        *(f"morph.{kind}" for kind in ("gif", "png", "mp4")),
        "sprites.png",
        "sprites.json",
        "palette.hex",
        *(f"pictures/{number + 1:03d}.png" for number in range(FRAMES)),
        "making.gif",
        "run.yaml",
        *(f"frames/{number + 1:05d}.png" for number in range(4 * STEPS)),
    }
    with Image.open(tmp_path / "undisturbed" / STEM / "morph.gif") as gif:
        assert gif.n_frames == FRAMES
        assert gif.size == (36, 24)
    assert undisturbed[f"{STEM}/palette.hex"].count(b"\n") == 4


def test_the_keyframes_are_the_single_pictures_to_the_byte(
    undisturbed: dict[str, bytes], tiny_sd_folder: Path, tmp_path: Path
) -> None:
    size = load_image(tmp_path / "undisturbed" / STEM / "pictures" / "001.png").size
    for number, (prompt, seed) in {1: ("a red boat", 0), FRAMES: ("a cat", 1)}.items():
        words = ["--prompt", prompt, "--seed", str(seed), "--steps", str(STEPS)]
        words += ["--size", f"{size[1]},{size[0]}", "--model", str(tiny_sd_folder)]
        assert main.main(["sample", *words, "--device", "cpu", "--out", str(tmp_path)]) == 0
        alone = (tmp_path / f"{prompt.replace(' ', '_')}.png").read_bytes()
        assert undisturbed[f"{STEM}/pictures/{number:03d}.png"] == alone


def test_without_ffmpeg_there_is_everything_else(
    red_boat: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(animation: object) -> bytes:
        raise CourseError("ffmpeg could not write the video.")

    monkeypatch.setattr(morph_run, "video_bytes", fail)

    assert main.main([*red_boat, "--out", str(tmp_path)]) == 0

    assert "note: there is no morph.mp4: ffmpeg could not write" in capsys.readouterr().err
    assert not (tmp_path / STEM / "morph.mp4").exists()
    assert (tmp_path / STEM / "morph.gif").exists()


def test_a_long_run_says_beforehand_what_it_costs(
    red_boat: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cost, "LONG", 0.0)
    command = [*red_boat, "--spacing", "uniform", "--loop", "--out", str(tmp_path)]

    assert main.main(command) == 0

    # Two keyframes and two frames of two branches, at each of three steps; at the noisy one a
    # frame has a third.
    said = capsys.readouterr().err
    assert "6 frames, 4 of them different, are 26 samples of the network in 3 steps; " in said
    assert " a sample" in said


def test_the_animation_is_printed(
    red_boat: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main([*red_boat, "--out", str(tmp_path)]) == 0

    assert capsys.readouterr().out.splitlines() == [
        str(tmp_path / f"{STEM}.png"),
        str(tmp_path / STEM / "morph.gif"),
    ]


@pytest.mark.parametrize("index", [0, STEPS - 1, STEPS + 1, 3 * STEPS, 4 * STEPS - 1])
def test_a_run_that_goes_on_leaves_the_same_bytes(
    index: int,
    red_boat: list[str],
    undisturbed: dict[str, bytes],
    tmp_path: Path,
    tree: Tree,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun = stopped_after(monkeypatch, index)
    assert main.main([*red_boat, "--out", str(tmp_path / "out")]) == 130

    assert main.main([*red_boat, "--out", str(tmp_path / "out")]) == 0

    assert begun == [-1, index]
    assert tree(tmp_path / "out") == undisturbed


class Killed(BaseException):
    """What no part of the program catches, as if the process was gone."""


@pytest.mark.parametrize("call", [6, 13])
def test_a_run_that_was_killed_within_a_step_leaves_the_same_bytes(
    call: int,
    red_boat: list[str],
    undisturbed: dict[str, bytes],
    tmp_path: Path,
    tree: Tree,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    command, calls = [*red_boat, "--out", str(tmp_path / "out")], []
    monkeypatch.setattr(engine, "CHECKPOINT_SECONDS", 0.0)
    begun = stopped_after(monkeypatch, -1)

    def until(self: StableDiffusionPrior, *args: object, **options: object) -> object:
        calls.append(self)
        if len(calls) == call:
            raise Killed
        return own(self, *args, **options)

    own = StableDiffusionPrior.predict_noise
    monkeypatch.setattr(StableDiffusionPrior, "predict_noise", until)
    with pytest.raises(Killed):
        main.main(command)
    assert main.main(command) == 0

    assert begun[1] >= 0
    assert tree(tmp_path / "out") == undisturbed


def test_a_runs_settings_repeat_it_to_the_byte(
    undisturbed: dict[str, bytes], tmp_path: Path, tree: Tree
) -> None:
    config = tmp_path / "undisturbed" / STEM / "run.yaml"

    assert main.main(["morph", "--config", str(config), "--out", str(tmp_path / "again")]) == 0

    assert tree(tmp_path / "again") == undisturbed


@pytest.mark.parametrize("index", [STEPS, STEPS + 2])
def test_what_grows_frame_by_frame_goes_on_too(
    index: int, red_boat: list[str], tmp_path: Path, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = [*red_boat, "--strength", "0.6"]
    assert main.main([*command, "--out", str(tmp_path / "whole")]) == 0
    stopped_after(monkeypatch, index)
    assert main.main([*command, "--out", str(tmp_path / "out")]) == 130
    assert main.main([*command, "--out", str(tmp_path / "out")]) == 0

    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


@pytest.fixture(scope="session")
def drawn(tiny_sd_folder: Path) -> Callable[..., torch.Tensor]:
    """A function that draws by changed settings and gives the frames in pixels, each once."""
    known: dict[str, torch.Tensor] = {}
    prior = load_prior(tiny_sd_folder, device="cpu")

    def draw(**changes: object) -> torch.Tensor:
        its = {
            "prompts": ("a boat", "a cat", "a hat"),
            "model": str(tiny_sd_folder),
            "steps": 2,
            "frames": 5,
            "size": (8, 8),
            "palette": "8",
            "spacing": "uniform",
            "device": "cpu",
        }
        wanted = MorphSettings.load(None, **{**its, **changes})
        key = wanted.to_yaml()
        if key not in known:
            run = begin.begin(prior, reference, wanted)
            for _ in run.steps():
                pass
            known[key] = run.pixels(run.images()).frames
        return known[key]

    return draw


CHANGES = [
    {"prompts": ("a boat", "a cat", "a bat")},
    {"seeds": (0, 1, 5)},
    {"negative_prompt": "grey"},
    {"guidance_scale": 2.0},
    {"steps": 3},
    {"frames": 6},
    {"loop": True, "frames": 5},
    {"holds": (0, 1, 0)},
    {"easing": "in", "frames": 9},
    {"text": "mix", "prompts": ("a red boat", "a blue cat", "a hat")},
    {"text": "slerp"},
    {"text": "lerp"},
    {"text": "hold"},
    {"noise": "lerp"},
    {"noise": "hold"},
    {"spacing": "even", "frames": 9},
    {"smoothing": 2.0, "frames": 9},
    {"strength": 0.5},
    {"size": (8, 10)},
    {"palette": "rgb-3"},
    {"palette": "7"},
    {"dithering": "bayer"},
    {"margin": 0.3},
]


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_every_setting_counts(change: dict[str, object], drawn) -> None:
    base = {"frames": 9} if {"easing", "spacing", "smoothing"} & set(change) else {}
    base |= {name: change[name] for name in ("prompts",) if "text" in change and name in change}
    assert not torch.equal(drawn(**base), drawn(**{**base, **change}))


def test_a_loop_of_two_prompts_goes_back_the_way_it_came(drawn) -> None:
    assert there_and_back(torch.arange(6) / 3).unique().tolist() == pytest.approx(
        [0, 1 / 3, 2 / 3, 1], abs=1e-6
    )
    frames = drawn(prompts=("a boat", "a cat"), loop=True, frames=6, margin=0.0)
    assert torch.equal(frames[[1, 2]], frames[[5, 4]])
    assert not torch.equal(frames[1], frames[2])


def test_the_names_are_those_of_the_methods() -> None:
    assert (settings.TEXT, settings.NOISE) == (methods.TEXT, methods.NOISE)
    assert set(settings.EASINGS) == set(morph_frames.EASINGS)
    assert settings.DITHERINGS == sequence.DITHERINGS


def test_frames_that_stand_still_are_enough_for_a_film(drawn) -> None:
    frames = drawn(text="hold", noise="hold", spacing="even", frames=9)

    assert len(frames) == 9
    assert torch.equal(frames[0], frames[1])


def test_on_the_exact_prior_the_prompts_are_drawn() -> None:
    its = MorphSettings(
        ("a red disc", "a blue square"), model="exact", frames=3, device="cpu", steps=10
    )
    prior = begin.load(its)

    images = kind.drawn(begin, prior, reference, its)

    for prompt, image in zip(its.prompts, images[[0, -1]], strict=True):
        near = (image - prior.means).square().mean(dim=(1, 2, 3)).argmin().item()
        assert near in prior.names[prompt]


def test_prompts_and_flags_may_stand_in_any_order(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--loop", "a boat", "--seeds", "3,4", "a cat", "--fps", "8", "--print-config"]

    assert main.main(["morph", *words]) == 0

    shown = yaml.safe_load(capsys.readouterr().out)
    assert shown["prompts"] == ["a boat", "a cat"]
    assert (shown["loop"], shown["seeds"], shown["fps"]) == (True, [3, 4], 8.0)


# Flags of Pixel Giffusion


@pytest.mark.parametrize(
    ("words", "frames"),
    [
        (["a", "b", "--num_frames", "20"], 20),
        (["a", "b", "c", "--num_frames", "40"], 79),  # the joint is one frame, not two
        (["a", "b", "c", "--num_frames", "40", "--loop"], 117),
    ],
)
def test_frames_of_a_pair_make_those_of_the_chain(
    words: list[str], frames: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["morph", *words, "--speed", "200", "--print-config"]) == 0

    shown = yaml.safe_load(capsys.readouterr().out)
    assert (shown["frames"], shown["fps"]) == (frames, 5.0)


def test_a_folder_is_brought_into_pixels(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").mkdir()
    Image.effect_noise((18, 12), 90).convert("RGB").save(tmp_path / "in" / "a.jpg")
    words = ["morph", "--pixelate", str(tmp_path / "in"), "--factor", "6", "--upscale", "2"]
    words += ["--palette", "3", "--out", str(tmp_path / "out"), "--implementation", "reference"]

    assert main.main(words) == 0

    with Image.open(tmp_path / "out" / "a.png") as picture:
        assert (picture.mode, picture.size) == ("P", (6, 4))
    assert capsys.readouterr().out == f"{tmp_path / 'out' / 'a.png'}\n"
    assert main.main(words) == 2
    assert "is there already and is not overwritten" in capsys.readouterr().err
