"""main.py with a source picture, and with several particles and a LoRA."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from PIL import Image
from running import Tree, stop_at_step, stop_in_engine

import main
from distillery.core.files import REPOSITORY
from distillery.core.images import load_image
from reference import vsd

STEPS = 8


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A picture wider than high, red above blue."""
    picture = Image.new("RGB", (60, 30), "red")
    picture.paste((0, 0, 255), (0, 15, 60, 30))
    picture.save(tmp_path / "source.png")
    return tmp_path / "source.png"


@pytest.fixture
def red_to_blue(red_boat: list[str], source: Path) -> list[str]:
    """Arguments for a short edit by the reference."""
    options = ["--loss_type", "pds", "--edit_prompt", "a blue boat", "--src_img_path", str(source)]
    return [*red_boat, *options]


@pytest.fixture
def three_boats(red_boat: list[str]) -> list[str]:
    """Arguments for a short run of VSD with three particles."""
    return [*red_boat, "--loss_type", "vsd", "--particles", "3", "--lora_rank", "2"]


def test_the_original_edit_command_works_as_written(tmp_path: Path) -> None:
    pair = REPOSITORY / "data" / "imgs" / "a_red_boat_on_a_frozen_river.png"
    line = ["--prompt", "a red boat on a frozen river", "--loss_type", "pds"]
    line += ["--guidance_scale", "7.5", "--edit_prompt", "a blue boat on a frozen river"]
    line += ["--src_img_path", str(pair)]
    added = ["--implementation", "reference", "--steps", "2", "--out", str(tmp_path)]

    assert main.main([*line, *added]) == 0

    stem = "a_blue_boat_on_a_frozen_river"
    assert load_image(tmp_path / f"{stem}.png").size == (64, 64)
    kept = load_image(tmp_path / stem / "source.png")
    assert kept.tobytes() == load_image(pair).tobytes()
    assert load_image(tmp_path / stem / "source_mask.png").size == (64, 64)
    settings = yaml.safe_load((tmp_path / stem / "run.yaml").read_text())
    assert (settings["loss_type"], settings["guidance_scale"]) == ("pds", 7.5)


@pytest.mark.parametrize("method", ["pds", "dds"])
def test_an_edit_begins_at_the_source_and_is_named_after_the_edit_prompt(
    method: str, red_to_blue: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = [*red_to_blue, "--out", str(out), "--loss_type", method]

    assert main.main(command) == 0

    shown = capsys.readouterr()
    assert shown.out.strip() == str(out / "a_blue_boat.png")
    assert "is cropped away" in shown.err
    folder = out / "a_blue_boat"
    fitted = load_image(folder / "source.png")
    assert fitted.size == (16, 16)
    assert fitted.getpixel((8, 2)) == (255, 0, 0)
    assert fitted.getpixel((8, 13)) == (0, 0, 255)
    frames = [load_image(file) for file in sorted((folder / "frames").iterdir())]
    assert frames[0].tobytes() != frames[-1].tobytes()
    assert not (folder / "source_mask.png").exists()


def test_identity_counts(red_to_blue: list[str], tmp_path: Path) -> None:
    pictures = []
    for identity in ("0", "1", "50"):
        out = tmp_path / identity
        assert main.main([*red_to_blue, "--out", str(out), "--identity", identity]) == 0
        pictures.append((out / "a_blue_boat.png").read_bytes())
    assert len(set(pictures)) == 3


def test_a_changed_source_starts_anew(
    red_to_blue: list[str], source: Path, tmp_path: Path, tree: Tree
) -> None:
    fresh, out = tmp_path / "fresh", tmp_path / "out"
    stop_in_engine([*red_to_blue, "--out", str(out)], "_finish")
    Image.new("RGB", (30, 30), "green").save(source)
    assert main.main([*red_to_blue, "--out", str(fresh)]) == 0

    assert main.main([*red_to_blue, "--out", str(out)]) == 0

    assert tree(out) == tree(fresh)


def test_every_particle_is_kept_and_the_first_is_the_picture(
    three_boats: list[str], tmp_path: Path
) -> None:
    assert main.main([*three_boats, "--out", str(tmp_path)]) == 0

    particles = sorted((tmp_path / "a_red_boat" / "particles").iterdir())
    assert [path.name for path in particles] == ["001.png", "002.png", "003.png"]
    assert len({path.read_bytes() for path in particles}) == 3
    assert (tmp_path / "a_red_boat.png").read_bytes() == particles[0].read_bytes()
    frame = load_image(tmp_path / "a_red_boat" / "frames" / f"{STEPS:05d}.png")
    assert frame.size == (2 * 16 + 2, 2 * 16 + 2)

    assert main.main([*three_boats, "--particles", "1", "--overwrite", "--out", str(tmp_path)]) == 0
    assert not list((tmp_path / "a_red_boat" / "particles").glob("*"))


@pytest.mark.parametrize("index", [0, 3, STEPS - 1])
def test_vsd_goes_on_with_both_optimisers_to_the_same_files(
    index: int, three_boats: list[str], tmp_path: Path, tree: Tree
) -> None:
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    assert main.main([*three_boats, "--out", str(whole)]) == 0
    stop_at_step([*three_boats, "--out", str(stopped)], vsd, index)

    assert main.main([*three_boats, "--out", str(stopped)]) == 0

    assert tree(stopped) == tree(whole)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (["--loss_type", "sds"], "its loss_type is 'vsd' and the run's is 'sds'"),
        (["--particles", "2"], "its particles is 3 and the run's is 2"),
        (["--lora_rank", "1"], "its lora_rank is 2 and the run's is 1"),
        (["--model", "tiny-sd"], "its model is"),
    ],
)
def test_an_unfinished_run_is_not_lost_to_another(
    change: list[str],
    words: str,
    three_boats: list[str],
    tmp_path: Path,
    tree: Tree,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = [*three_boats, "--out", str(tmp_path)]
    stop_at_step(command, vsd, 3)
    before = tree(tmp_path)
    capsys.readouterr()

    assert main.main([*command, *change]) == 2

    (sentence,) = capsys.readouterr().err.splitlines()
    assert sentence.startswith("error: cannot resume from")
    assert words in sentence
    assert tree(tmp_path) == before


@pytest.mark.parametrize("method", ["csd", "sdi", "ism"])
def test_the_further_methods_are_switches(method: str, red_boat: list[str], tmp_path: Path) -> None:
    command = [*red_boat, "--loss_type", method, "--steps", "2", "--out", str(tmp_path)]

    assert main.main(command) == 0

    assert (tmp_path / "a_red_boat.png").exists()
