"""What main.py pixelart leaves, on a random SDXL with random ControlNets."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image
from running import PIXELART_STEPS as STEPS
from running import Tree, stop_at_step
from tensorboardX.proto.event_pb2 import Event

import main
from distillery.core.images import load_image, prompt_of
from distillery.palettes import load_palette
from distillery.pixelart import clip_choice
from distillery.runs import optimise
from reference import pixelart


def test_everything_that_a_run_makes_lies_beside_the_picture(
    red_boat: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], tree: Tree
) -> None:
    assert main.main([*red_boat, "--out", str(tmp_path / "out")]) == 0

    picture = tmp_path / "out" / "a_red_boat.png"
    assert capsys.readouterr().out.strip() == str(picture)
    made = {name.removeprefix("a_red_boat/") for name in tree(tmp_path / "out")}
    assert made == {
        "a_red_boat.png",
        "agreement.json",
        "control_canny.png",
        "control_depth.png",
        "large.png",
        "loss.csv",
        "loss.png",
        "making.gif",
        "palette.hex",
        "run.yaml",
        "soft.png",
        "start.png",
        *(f"layers/{k:03d}.png" for k in range(8)),
        *(f"frames/{k + 1:05d}.png" for k in range(STEPS)),
    }


def test_the_picture_is_indexed_in_exactly_its_palette_and_knows_its_prompt(
    undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    folder = tmp_path / "undisturbed"
    levels = (load_palette(folder / "a_red_boat" / "palette.hex") * 255).round().int()

    with Image.open(folder / "a_red_boat.png") as picture:
        assert (picture.mode, picture.size) == ("P", (12, 8))
        assert picture.getpalette() == levels.flatten().tolist()
        indices = np.array(picture)
    assert indices.max() < 8
    read = load_image(folder / "a_red_boat.png")
    assert prompt_of(folder / "a_red_boat.png", read) == "a red boat"
    with Image.open(folder / "a_red_boat" / "large.png") as large:
        factor = large.width // 12
        assert np.array_equal(np.array(large), indices.repeat(factor, 0).repeat(factor, 1))
    last = folder / "a_red_boat" / "frames" / f"{STEPS:05d}.png"
    assert last.read_bytes() == (folder / "a_red_boat.png").read_bytes()


def test_the_layers_together_are_the_soft_picture(
    undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    folder = tmp_path / "undisturbed" / "a_red_boat"

    layers = [np.array(Image.open(path)).astype(float) for path in (folder / "layers").iterdir()]
    together = sum(layer[..., :3] * layer[..., 3:] / 255 for layer in layers)

    soft = np.array(Image.open(folder / "soft.png")).astype(float)
    assert np.abs(together - soft).max() <= 0.5 * 8 + 1


def test_gif_and_losses_tell_the_whole_run(undisturbed: dict[str, bytes], tmp_path: Path) -> None:
    folder = tmp_path / "undisturbed" / "a_red_boat"
    levels = (load_palette(folder / "palette.hex") * 255).round().int().tolist()
    colours = {tuple(colour) for colour in levels}

    header, *rows = (folder / "loss.csv").read_text().splitlines()
    duration = 0
    with Image.open(folder / "making.gif") as gif:
        for index in range(gif.n_frames):  # PIL joins frames that are alike
            gif.seek(index)
            duration += gif.info["duration"]
            assert {c for _, c in gif.convert("RGB").getcolors()} <= colours

    assert header == "step,loss"
    assert len(rows) == STEPS
    assert abs(duration - STEPS * 1000 / 12) < 10 * STEPS  # a GIF counts in hundredths


@pytest.mark.parametrize("stopped", [False, True])
def test_the_moment_that_clip_likes_best_is_kept_and_ends_the_film(
    stopped: bool, red_boat: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def liking(images: list[Image.Image], prompts: list[str]) -> list[float]:
        assert len(images) == len(prompts) == 2
        return [0.3, 0.1]

    monkeypatch.setattr(
        clip_choice, "ClipScorer", lambda *args, **options: SimpleNamespace(score=liking)
    )
    monkeypatch.setattr(
        optimise, "learning_rate_at", lambda index, _: 1000.0 if index == STEPS - 1 else 0.1
    )
    command = [*red_boat, "--set", "choices=2", "--out", str(tmp_path / "out")]
    if stopped:
        stop_at_step(command, pixelart, STEPS - 1)

    assert main.main(command) == 0

    folder = tmp_path / "out" / "a_red_boat"
    picture, last = tmp_path / "out" / "a_red_boat.png", folder / "frames" / f"{STEPS:05d}.png"
    assert json.loads((folder / "agreement.json").read_text())["steps_to_result"] == STEPS - 1
    assert picture.read_bytes() == (folder / "frames" / f"{STEPS - 1:05d}.png").read_bytes()
    assert picture.read_bytes() != last.read_bytes()
    with Image.open(folder / "making.gif") as gif, Image.open(folder / "large.png") as large:
        gif.seek(gif.n_frames - 1)
        assert np.array_equal(np.array(gif.convert("RGB")), np.array(large.convert("RGB")))


def test_verbose_video_and_curves_change_nothing_else(
    red_boat: list[str], undisturbed: dict[str, bytes], tmp_path: Path, tree: Tree
) -> None:
    extras = ["--verbose", "--make_video", "--video_size", "96,128", "--fps", "12"]

    assert main.main([*red_boat, *extras, "--tensorboard", "--out", str(tmp_path / "out")]) == 0

    made = tree(tmp_path / "out")
    added = {name for name in made if name not in undisturbed}
    assert {name: made[name] for name in undisturbed} == undisturbed
    kinds = {name.removeprefix("a_red_boat/").split("/")[0] for name in added}
    assert kinds == {"verbose", "tensorboard", "making.mp4"}
    folder = tmp_path / "out" / "a_red_boat"
    count, _ = imageio_ffmpeg.count_frames_and_secs(str(folder / "making.mp4"))
    assert count == STEPS
    assert next(imageio_ffmpeg.read_frames(str(folder / "making.mp4")))["size"] == (128, 96)
    (events,) = (folder / "tensorboard").iterdir()
    assert {"loss", "entropy", "agreement"} == tags_in(events)
    assert any(name.endswith("_entropy.png") for name in added)


def tags_in(file: Path) -> set[str]:
    """The scalars of an event file: records of length, checksum, content, checksum."""
    data, place, tags = file.read_bytes(), 0, set()
    while place < len(data):
        length = int.from_bytes(data[place : place + 8], "little")
        event = Event.FromString(data[place + 12 : place + 12 + length])
        tags |= {value.tag for value in event.summary.value}
        place += 12 + length + 4
    return tags


def test_what_is_transparent_stays_so_in_every_file(
    red_boat: list[str], photo: Path, tmp_path: Path
) -> None:
    image = Image.open(photo).convert("RGBA")
    image.paste((0, 0, 0, 0), (0, 0, 45, 60))
    image.save(tmp_path / "half.png")
    command = [*red_boat, "--input_image", str(tmp_path / "half.png"), "--set", "transparent=true"]

    assert main.main([*command, "--out", str(tmp_path / "out")]) == 0

    folder = tmp_path / "out" / "a_red_boat"
    for path in (tmp_path / "out" / "a_red_boat.png", folder / "layers" / "000.png"):
        alpha = np.array(Image.open(path).convert("RGBA"))[..., 3]
        assert (alpha[:, :6] == 0).all()
        assert (alpha[:, 6:] > 0).any()
    assert (np.array(Image.open(folder / "soft.png"))[:, :6] == 255).all()
