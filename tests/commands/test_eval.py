"""eval.py: what it scores, what it writes, and what it refuses."""

from __future__ import annotations

import errno
import json
import os
import sys
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
import torchvision
from PIL import Image
from running import Tree, die

import eval as evaluation
from distillery.core.files import prompt_to_filename
from distillery.core.images import from_pil, save_png, to_pil, to_png_bytes
from distillery.course.films import rules_of
from distillery.course.submission_pictures import evaluation_of, load_hand_in
from distillery.metrics.clip_score import ClipScorer
from distillery.metrics.source_similarity import inside_mask, outside_mask, ssim
from distillery.palettes import lattice
from distillery.pixelart.animation import Animation
from distillery.pixelart.gif_file import gif_bytes
from distillery.toybox import Factors, draw
from distillery.toybox.pairs import mask_of

PROMPTS = ["a red boat", "A house by St. Mary/v1.5 at 100%", "凍った川の上の赤い船" * 20]


def picture(seed: int) -> torch.Tensor:
    return torch.rand(1, 3, 16, 24, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pictures, and what lies deeper or is of another kind."""
    folder = tmp_path / "outputs"
    for seed, prompt in enumerate(PROMPTS):
        save_png(folder / f"{prompt_to_filename(prompt)}.png", picture(seed), prompt)
    save_png(folder / "a_red_boat" / "frames" / "00001.png", picture(9))
    (folder / "notes.txt").write_text("not a picture")
    return folder


def read(folder: Path) -> dict:
    return json.loads((folder / "eval.json").read_text(encoding="utf-8"))


def refused(folder: Path, clip: Path | str, capsys: pytest.CaptureFixture[str]) -> str:
    assert evaluation.main(["--fdir1", str(folder), "--clip", str(clip)]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    (line,) = shown.err.splitlines()
    assert line.startswith("error: ")
    return line


def test_every_picture_right_in_the_folder_is_scored_against_its_prompt(
    folder: Path, tiny_clip_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluation.main(["--fdir1", str(folder), "--clip", str(tiny_clip_folder)]) == 0

    result = read(folder)
    rows = result["pictures"]
    scorer = ClipScorer(tiny_clip_folder)
    files = [folder / f"{prompt_to_filename(prompt)}.png" for prompt in PROMPTS]
    alone = [scorer.score([Image.open(f)], [p])[0] for f, p in zip(files, PROMPTS, strict=True)]
    scores = {row["prompt"]: row["score"] for row in rows}
    assert scores == pytest.approx(dict(zip(PROMPTS, alone, strict=True)), abs=1e-5)
    assert [row["file"] for row in rows] == sorted(row["file"] for row in rows)
    assert result["scorer"] == str(tiny_clip_folder)
    assert result["mean"] == pytest.approx(sum(scores.values()) / 3, abs=1e-5)
    shown = capsys.readouterr().out.splitlines()
    assert len(shown) == 4
    assert shown[-1].startswith(f"{result['mean']:7.4f}  mean")


def test_the_same_folder_gives_the_same_file(folder: Path, tiny_clip_folder: Path) -> None:
    command = ["--fdir1", str(folder), "--clip", str(tiny_clip_folder)]
    evaluation.main(command)
    first = (folder / "eval.json").read_bytes()

    evaluation.main(command)

    assert (folder / "eval.json").read_bytes() == first


def test_the_command_line_of_the_original_assignment_works_as_written(tmp_path: Path) -> None:
    save_png(tmp_path / "a_red_boat_on_a_frozen_river.png", picture(0))

    assert evaluation.main(["--fdir1", str(tmp_path)]) == 0

    result = read(tmp_path)
    assert result["scorer"] == "tiny-clip"
    assert result["pictures"][0]["prompt"] == "a red boat on a frozen river"


def test_a_text_chunk_that_the_name_does_not_bear_out_is_not_believed(
    tmp_path: Path, tiny_clip_folder: Path
) -> None:
    save_png(tmp_path / "a_red_boat.png", picture(0), prompt="grey noise")

    evaluation.main(["--fdir1", str(tmp_path), "--clip", str(tiny_clip_folder)])

    assert read(tmp_path)["pictures"][0]["prompt"] == "a red boat"


def test_pictures_of_cameras_count_and_what_systems_leave_does_not(
    tmp_path: Path, tiny_clip_folder: Path
) -> None:
    for name in ("a_red_boat.PNG", "a_blue_boat.JPG", "a_cat.jpeg"):
        to_pil(picture(0))[0].save(tmp_path / name)
    (tmp_path / "._a_red_boat.PNG").write_bytes(b"\0\5\x16\7 of macOS")
    (tmp_path / "Thumbs.db").write_bytes(b"of Windows")

    evaluation.main(["--fdir1", str(tmp_path), "--clip", str(tiny_clip_folder)])

    rows = read(tmp_path)["pictures"]
    assert [row["file"] for row in rows] == ["a_blue_boat.JPG", "a_cat.jpeg", "a_red_boat.PNG"]
    assert [row["prompt"] for row in rows] == ["a blue boat", "a cat", "a red boat"]


@pytest.mark.parametrize("made", ["morph.gif", "pytorch_lora_weights.safetensors"])
def test_a_sheet_of_frames_or_of_a_style_is_left_out_and_named(
    made: str, folder: Path, tiny_clip_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_png(folder / "a_boat_to_a_cat.png", picture(7))
    (folder / "a_boat_to_a_cat").mkdir()
    (folder / "a_boat_to_a_cat" / made).write_bytes(b"")

    assert evaluation.main(["--fdir1", str(folder), "--clip", str(tiny_clip_folder)]) == 0

    assert sorted(row["prompt"] for row in read(folder)["pictures"]) == sorted(PROMPTS)
    assert "note: a_boat_to_a_cat.png is a sheet, and not scored." in capsys.readouterr().err
    alone = folder / "alone"
    alone.mkdir()
    (folder / "a_boat_to_a_cat").rename(alone / "x")
    save_png(alone / "x.png", picture(7))
    assert "to score but sheets of frames" in refused(alone, tiny_clip_folder, capsys)


def test_the_folder_of_animations_that_are_handed_in_is_scored_as_the_hand_in_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_clip_folder: Path
) -> None:
    wanted = load_hand_in("07_morph")
    folder = tmp_path / "07_morph"
    for name, settings in wanted.files.items():
        rules = rules_of(settings)
        noise = torch.rand(rules.frames * rules.colours, generator=torch.Generator().manual_seed(1))
        indices = (noise * rules.colours).long().view(rules.frames, -1, 1)
        indices = indices.expand(-1, -1, 2 * rules.size[1]).repeat(1, 2, 1)[:, :32, :32]
        film = Animation(indices, lattice(3)[: rules.colours], rules.fps)
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(gif_bytes(film))
    save_png(folder / "sheet.png", picture(7))

    assert evaluation.main(["--fdir1", str(folder), "--clip", str(tiny_clip_folder)]) == 0

    assert [row["file"] for row in read(folder)["pictures"]] == list(wanted.files)
    assert read(folder) == evaluation_of(wanted, folder, str(tiny_clip_folder))
    monkeypatch.chdir(folder)
    assert evaluation.main(["--fdir1", ".", "--clip", str(tiny_clip_folder)]) == 0
    assert len(read(folder)["pictures"]) == len(wanted.files)


def test_a_missing_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "there is no folder" in refused(tmp_path / "none", "tiny-clip", capsys)
    assert not (tmp_path / "none").exists()


def test_an_empty_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a_red_boat" / "frames").mkdir(parents=True)
    save_png(tmp_path / "a_red_boat" / "frames" / "00001.png", picture(0))

    assert "holds no .png or .jpg to score" in refused(tmp_path, "tiny-clip", capsys)
    assert not (tmp_path / "eval.json").exists()


def test_a_non_image_and_a_truncated_png_are_all_named(
    folder: Path, tree: Tree, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = to_png_bytes(picture(0))
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "essay.png").write_text("not a picture")
    (folder / "eval.json").write_text("earlier")
    before = tree(folder)

    sentence = refused(folder, "tiny-clip", capsys)

    assert "cut.png, essay.png" in sentence
    assert "a_red_boat" not in sentence
    assert tree(folder) == before


def test_a_shortened_name_without_the_whole_prompt_beside_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_png(tmp_path / f"{prompt_to_filename('x' * 300)}.png", picture(0))

    assert "only the beginning of its prompt" in refused(tmp_path, "tiny-clip", capsys)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_name_that_is_not_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_png(tmp_path / os.fsdecode(b"boat\xff.png"), picture(0))

    assert "is not text in UTF-8" in refused(tmp_path, "tiny-clip", capsys)


def test_an_unknown_scorer(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "unknown scorer 'no-clip'" in refused(folder, "no-clip", capsys)
    assert not (folder / "eval.json").exists()


def test_scores_by_another_scorer_are_kept_and_those_by_the_same_are_not(
    folder: Path, tiny_clip_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["--fdir1", str(folder), "--clip", str(tiny_clip_folder)]
    earlier = '{"scorer": "ViT-B-32:openai", "mean": 0.3, "pictures": []}'
    (folder / "eval.json").write_text(earlier)

    for _ in range(2):
        assert evaluation.main(command) == 0
        assert "eval.json is kept, because it is by ViT-B-32:openai" in capsys.readouterr().err

    assert (folder / "eval.json").read_text() == earlier
    assert [path.name for path in folder.glob("eval~*")] == ["eval~2.json"]
    assert evaluation.main([*command, "--overwrite"]) == 0
    assert json.loads((folder / "eval.json").read_text())["scorer"] == str(tiny_clip_folder)
    assert capsys.readouterr().err == ""


def test_a_full_disk_leaves_the_earlier_scores(
    folder: Path,
    tiny_clip_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    (folder / "eval.json").write_text("earlier")
    monkeypatch.setattr(os, "fsync", full)

    assert "no space is left on the disk" in refused(folder, tiny_clip_folder, capsys)
    assert (folder / "eval.json").read_text() == "earlier"


def test_an_interrupt_writes_nothing(
    folder: Path,
    tiny_clip_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(ClipScorer, "score", lambda *args: die())

    assert evaluation.main(["--fdir1", str(folder), "--clip", str(tiny_clip_folder)]) == 130
    assert capsys.readouterr().err == "interrupted: nothing was written.\n"
    assert not (folder / "eval.json").exists()


SCENE = "on a frozen river"
RED, BLUE = Factors("boat", "red", SCENE), Factors("boat", "blue", SCENE)


def drawn(factors: Factors, seed: int) -> Image.Image:
    return Image.fromarray(draw(factors, seed).image)


@pytest.fixture
def edits(tmp_path: Path) -> Path:
    """An edit, a regeneration whose source has no mask, and a picture that is no edit."""
    folder = tmp_path / "edits"
    source = draw(RED, 700_000_100)
    for prompt, seed in [("a blue boat", 700_000_100), ("a blue boat anew", 700_000_200)]:
        save_png(folder / f"{prompt_to_filename(prompt)}.png", drawn(BLUE, seed), prompt)
        beside = folder / prompt_to_filename(prompt)
        save_png(beside / "source.png", Image.fromarray(source.image))
    save_png(folder / "a_blue_boat" / "source_mask.png", mask_of(source))
    save_png(folder / "a_red_boat.png", drawn(RED, 3), "a red boat")
    return folder


def test_an_edit_is_compared_with_the_source_beside_it(
    edits: Path, tiny_clip_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluation.main(["--fdir1", str(edits), "--clip", str(tiny_clip_folder)]) == 0

    result = read(edits)
    edit, anew, none = result["pictures"]
    assert list(edit["identity"]) == ["ssim", "outside", "inside"]
    assert list(anew["identity"]) == ["ssim"]
    assert list(none) == ["file", "prompt", "score"]
    image, source = (from_pil(drawn(factors, 700_000_100)) for factors in (BLUE, RED))
    mask = torch.from_numpy(draw(RED, 700_000_100).mask)[None, None]
    assert edit["identity"] == pytest.approx(
        {
            "ssim": float(ssim(image, source)),
            "outside": float(outside_mask(image, source, mask)),
            "inside": float(inside_mask(image, source, mask)),
        },
        abs=2e-3,
    )
    assert edit["identity"]["ssim"] > anew["identity"]["ssim"] + 0.2
    assert result["mean_identity"] == {
        "ssim": pytest.approx((edit["identity"]["ssim"] + anew["identity"]["ssim"]) / 2, abs=1e-6),
        "outside": edit["identity"]["outside"],
        "inside": edit["identity"]["inside"],
    }
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].split() == ["clip", "ssim", "outside", "inside"]
    assert {line.index("a ") for line in shown[1:4]} == {shown[4].index("mean")}
    assert shown[-1].endswith(f"mean, by {tiny_clip_folder}")


def test_without_edits_nothing_of_identity_is_said(
    folder: Path, tiny_clip_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluation.main(["--fdir1", str(folder), "--clip", str(tiny_clip_folder), "--lpips"])

    assert list(read(folder)) == ["scorer", "mean", "pictures"]
    assert "ssim" not in capsys.readouterr().out


def test_lpips_joins_the_columns_where_its_weights_are_at_hand(
    edits: Path,
    tiny_clip_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    torch.manual_seed(0)
    weights = torchvision.models.alexnet(weights=None).state_dict()
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", lambda *a, **k: weights)

    evaluation.main(["--fdir1", str(edits), "--clip", str(tiny_clip_folder), "--lpips"])

    edit, anew, _ = (row.get("identity") for row in read(edits)["pictures"])
    assert 0 < edit["lpips"] < anew["lpips"]
    heading = capsys.readouterr().out.splitlines()[0].split()
    assert heading == ["clip", "ssim", "lpips", "outside", "inside"]


def test_lpips_without_weights_is_refused_before_anything_is_written(
    edits: Path,
    tiny_clip_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def offline(*args: object, **options: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", offline)

    status = evaluation.main(["--fdir1", str(edits), "--clip", str(tiny_clip_folder), "--lpips"])

    assert status == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: cannot load AlexNet's weights for LPIPS")
    assert not (edits / "eval.json").exists()


@pytest.mark.parametrize("name", ["source.png", "source_mask.png"])
def test_a_source_or_mask_of_another_size_is_refused_by_the_edit_s_name(
    edits: Path, tiny_clip_folder: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    save_png(edits / "a_blue_boat" / name, picture(0))

    sentence = refused(edits, tiny_clip_folder, capsys)

    assert "a_blue_boat.png does not match the pictures in its folder" in sentence


@pytest.mark.parametrize("name", ["source.png", "source_mask.png"])
def test_a_source_or_mask_that_is_no_picture_is_named(
    edits: Path, tiny_clip_folder: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (edits / "a_blue_boat" / name).write_text("not a picture")

    sentence = refused(edits, tiny_clip_folder, capsys)

    assert f"a_blue_boat/{name} cannot be read as a picture" in sentence
