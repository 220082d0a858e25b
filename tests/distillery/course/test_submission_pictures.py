"""What a stage hands in: the file, the command, and the cell that says what it is worth."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml
from PIL import Image

import main
from distillery.core.errors import CourseError
from distillery.core.images import enlarged, load_image, save_png, to_pil
from distillery.course import submission_pictures as handing
from distillery.course.progress import FOLDER
from distillery.course.student_files import import_guidance_from
from distillery.course.submission_pictures import (
    HAND_INS,
    Thresholds,
    as_facts,
    drawn,
    from_facts,
    hand_in,
    load_hand_in,
    load_thresholds,
    picture_name,
    share_of,
    thresholds_for,
)
from distillery.methods.settings import Settings
from distillery.metrics import evaluate as evaluation
from distillery.metrics.clip_score import ClipScorer
from distillery.models.load import load_prior
from distillery.models.presets import find_preset
from distillery.morph.settings import MorphSettings
from distillery.pixelart.indexed_png import indexed
from distillery.pixelart.settings import PixelSettings
from distillery.runs import kind, latents
from distillery.runs.elastic_settings import ElasticSettings
from grading import stages
from reference import sds

ROOT = Path(__file__).resolve().parents[3]
STAGES = tuple(stage.folder for stage in stages.STAGES if stage.pictures)
PROMPTS = ("a red boat", "a blue boat")


@pytest.fixture
def course(
    tmp_path: Path,
    tiny_sd_folder: Path,
    tiny_clip_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Path]:
    """A course folder with an answered stage 1, whose hand-in takes a second."""
    root = tmp_path / "course"
    (root / "distillery").mkdir(parents=True)
    shutil.copytree(ROOT / "guidance", root / "guidance")
    shutil.copy(ROOT / "reference" / "sds.py", root / "guidance" / "sds.py")
    settings = {"model": str(tiny_sd_folder), "steps": 3, "device": "cpu", "seed": 1}
    entry = {
        "scorer": str(tiny_clip_folder),
        "size": [16, 16],
        "settings": settings,
        "pictures": [{"prompt": prompt} for prompt in PROMPTS],
    }
    (root / "hand_in.yaml").write_text(yaml.safe_dump({"01_sds": entry}))
    levels = {str(tiny_clip_folder): {"full": -0.5, "half": -0.9}}
    (root / "thresholds.yaml").write_text(yaml.safe_dump(levels))
    monkeypatch.setattr(handing, "HAND_INS", root / "hand_in.yaml")
    monkeypatch.setattr(handing, "THRESHOLDS", root / "thresholds.yaml")
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(root)
    import_guidance_from(root)
    yield root
    forget_guidance()


def forget_guidance() -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "guidance"]:
        del sys.modules[name]


def files(root: Path) -> dict[str, tuple[bytes, int]]:
    folder = root / "outputs" / "01_sds"
    return {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in folder.glob("*.png")}


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_asks_for_a_few_pictures_that_can_be_drawn_on_a_laptop(stage: str) -> None:
    wanted = load_hand_in(stage)
    assert 2 <= len(wanted.pictures) <= 3
    assert wanted.folder == Path("outputs", stage)
    assert thresholds_for(load_thresholds(), wanted.scorer, wanted.size)
    for settings in wanted.pictures:
        assert settings.device == "cpu"
        assert settings.model.startswith("tiny")
        assert settings.implementation == "guidance"
        assert settings.steps <= 200
        if isinstance(settings, Settings):
            latents.check(settings)
            assert not settings.src_img_path or Path(settings.src_img_path).is_file()


def test_pictures_are_named_and_scored_by_what_they_shall_show() -> None:
    names = list(load_hand_in("02_pds").files)
    assert names == ["a_blue_boat_on_a_frozen_river.png", "a_red_rocket_in_the_desert.png"]


def test_pictures_are_handed_in_at_the_size_of_their_settings_or_else_at_the_models() -> None:
    for stage in STAGES:
        wanted = load_hand_in(stage)
        for settings in wanted.pictures:
            expected = (find_preset(settings.model).image_size,) * 2
            if isinstance(settings, (PixelSettings, MorphSettings)):
                expected = settings.size
            if isinstance(settings, ElasticSettings):
                expected = settings.height, settings.width
            assert wanted.size == expected


@pytest.mark.parametrize("stage", STAGES)
def test_settings_mean_the_same_after_a_journey_as_json(stage: str) -> None:
    for settings in load_hand_in(stage).pictures:
        facts = json.loads(json.dumps(as_facts(settings)))
        assert from_facts(facts) == settings
        assert str(ROOT) not in json.dumps(facts)


def test_a_stage_without_pictures_is_named_beside_those_that_have_some() -> None:
    with pytest.raises(CourseError, match=r"'00_tour' hands in no pictures.*01_sds, 02_pds"):
        load_hand_in("00_tour")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "- a list",
        "01_sds: {scorer: tiny-clip}",
        "01_sds: {scorer: x, size: [8, 8], settings: {}, pictures: []}",
        "01_sds: {scorer: x, size: [8, 8], settings: {no: 1}, pictures: [{prompt: a}]}",
        "01_sds: {scorer: x, size: [8, 8], settings: {}, pictures: [{prompt: a}, {prompt: a}]}",
        "01_sds: {scorer: x, size: [8, 8], settings: {steps: 0}, pictures: [{prompt: a}]}",
        "01_sds: {scorer: x, size: 8, settings: {}, pictures: [{prompt: a}]}",
        "01_sds: [",
    ],
)
def test_a_damaged_file_is_one_sentence(text: str, tmp_path: Path) -> None:
    path = tmp_path / "hand_in.yaml"
    path.write_text(text)
    with pytest.raises(CourseError):
        load_hand_in("01_sds", path)


def test_a_stage_that_hands_in_twice_is_named(tmp_path: Path) -> None:
    text = HAND_INS.read_text(encoding="utf-8")
    (tmp_path / "hand_in.yaml").write_text(text + "\n01_sds: {}\n", encoding="utf-8")
    with pytest.raises(CourseError, match="has 01_sds a second time"):
        load_hand_in("01_sds", tmp_path / "hand_in.yaml")


def test_a_size_may_have_thresholds_of_its_own_and_every_other_one_has_the_scorers() -> None:
    known = {"clip": Thresholds(0.6, 0.5), "clip 64x128": Thresholds(0.4, 0.3)}
    assert thresholds_for(known, "clip", (64, 128)) == Thresholds(0.4, 0.3)
    assert thresholds_for(known, "clip", (128, 64)) == Thresholds(0.6, 0.5)
    with pytest.raises(CourseError, match="no thresholds for 'other'"):
        thresholds_for(known, "other", (64, 128))


def test_vit_b_32_has_the_thresholds_of_the_original_assignment() -> None:
    for name in ("ViT-B/32", "ViT-B-32:openai", "ViT-B-32-quickgelu:openai"):
        assert load_thresholds()[name] == Thresholds(full=0.28, half=0.26)


def test_a_threshold_that_is_just_reached_counts() -> None:
    thresholds = Thresholds(full=0.28, half=0.26)
    assert [thresholds.share(mean) for mean in (0.28, 0.2799, 0.26, 0.2599, -1)] == [
        1,
        0.5,
        0.5,
        0,
        0,
    ]


@pytest.mark.parametrize(
    "text",
    ["a: {full: 0.2, half: 0.3}", "a: {full: 0.2}", "a: 3", "", "a: {full: 1, half: 0, half: 1}"],
)
def test_thresholds_that_make_no_sense_are_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "thresholds.yaml"
    path.write_text(text)
    with pytest.raises(CourseError):
        load_thresholds(path)


def test_each_missing_item_takes_a_tenth_of_all_points_and_never_more_than_there_are() -> None:
    assert share_of(1.0, 2) == pytest.approx(0.8)
    assert share_of(0.5, 1) == pytest.approx(0.4)
    assert share_of(0.0, 1) == 0
    assert share_of(0.5, 9) == 0


def test_the_command_draws_by_the_students_code_and_scores_what_it_drew(
    course: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["hand_in", "01_sds"]) == 0

    folder = course / "outputs" / "01_sds"
    wanted = load_hand_in("01_sds")
    prior = load_prior(wanted.pictures[0].model, device="cpu")
    for name, settings in wanted.files.items():
        right = to_pil(drawn(prior, sds, settings))[0]
        assert load_image(folder / name).tobytes() == right.tobytes()
    result = json.loads((folder / "eval.json").read_text())
    assert [row["prompt"] for row in result["pictures"]] == sorted(PROMPTS)
    assert f"{result['mean']:7.4f}  mean" in capsys.readouterr().out


def test_what_is_drawn_stays_and_only_what_is_gone_is_drawn_again(course: Path) -> None:
    main.main(["hand_in", "01_sds"])
    before = files(course)
    (course / "outputs" / "01_sds" / "a_red_boat.png").unlink()

    assert main.main(["hand_in", "01_sds"]) == 0

    after = files(course)
    assert after["a_blue_boat.png"] == before["a_blue_boat.png"]
    assert after["a_red_boat.png"][0] == before["a_red_boat.png"][0]


@pytest.mark.parametrize("change", ["code", "picture"])
def test_a_picture_of_other_code_or_by_hand_is_drawn_again(change: str, course: Path) -> None:
    main.main(["hand_in", "01_sds"])
    before = files(course)
    if change == "code":
        module = course / "guidance" / "sds.py"
        text = module.read_text()
        assert "eps_hat - eps)" in text
        module.write_text(text.replace("eps_hat - eps)", "eps - eps_hat)"))
        forget_guidance()
    else:
        save_png(course / "outputs/01_sds/a_red_boat.png", Image.new("RGB", (16, 16), "red"))

    assert main.main(["hand_in", "01_sds"]) == 0

    same = files(course)["a_red_boat.png"][0] == before["a_red_boat.png"][0]
    assert same == (change == "picture")


def test_a_stub_says_what_is_to_do_and_nothing_else_draws(
    course: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(ROOT / "guidance" / "sds.py", course / "guidance" / "sds.py")
    assert main.main(["hand_in", "01_sds"]) == 2
    assert "is still to do" in capsys.readouterr().err
    assert files(course) == {}


def test_an_unknown_stage_is_one_sentence(course: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["hand_in", "05_more"]) == 2
    assert capsys.readouterr().err.startswith("error: '05_more' hands in no pictures")


def test_the_cell_says_calmly_what_is_missing_and_how_to_draw_it(
    course: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert hand_in("01_sds").points(4) == 0
    shown = capsys.readouterr().out
    assert "0 of 2 pictures are in outputs/01_sds" in shown
    assert "missing: a_red_boat.png, a_blue_boat.png, eval.json" in shown
    assert "python main.py hand_in 01_sds" in shown


def test_the_cell_says_the_mean_score_and_the_points_it_stands_for(
    course: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main.main(["hand_in", "01_sds"])
    mean = json.loads((course / "outputs/01_sds/eval.json").read_text())["mean"]
    capsys.readouterr()

    assert hand_in("01_sds").points(4) == 4

    shown = capsys.readouterr().out
    assert f"mean score {mean:.3f}" in shown
    assert "missing" not in shown
    (course / "outputs/01_sds/a_blue_boat.png").unlink()
    assert hand_in("01_sds").points(4) == pytest.approx(3.6)
    kept = json.loads((course / FOLDER / "sds.pictures.json").read_text())
    assert kept["share"] == pytest.approx(0.9)
    assert "10 % less for each of 1 missing" in capsys.readouterr().out


def test_the_cell_knows_pictures_of_earlier_code(
    course: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main.main(["hand_in", "01_sds"])
    with (course / "guidance" / "sds.py").open("a") as module:
        module.write("\n# an afterthought\n")
    capsys.readouterr()
    hand_in("01_sds")
    shown = capsys.readouterr().out
    assert "Not drawn by your code as it is now: a_red_boat.png, a_blue_boat.png" in shown


@pytest.mark.parametrize("damage", ["picture", "file", "thresholds"])
def test_the_cell_never_stops_the_notebook(
    damage: str, course: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = course / "outputs" / "01_sds"
    folder.mkdir(parents=True)
    save_png(folder / "a_red_boat.png", torch.zeros(1, 3, 16, 16))
    if damage == "picture":
        (folder / "a_red_boat.png").write_bytes(b"no picture")
    if damage == "file":
        (course / "hand_in.yaml").write_text("[")
    if damage == "thresholds":
        (course / "thresholds.yaml").write_text("another: {full: 0.2, half: 0.1}")
    assert hand_in("01_sds").points(4) == 0
    assert "01_sds: the pictures cannot be scored" in capsys.readouterr().out


def test_a_picture_without_files_is_the_one_with_files_bit_for_bit(
    tiny_sd_folder: Path, tmp_path: Path
) -> None:
    settings = Settings("a red boat", model=str(tiny_sd_folder), steps=3, device="cpu", particles=2)
    prior = load_prior(settings.model, device="cpu")
    place = kind.draw(latents, prior, sds, settings, out=tmp_path)
    images = to_pil(kind.drawn(latents, prior, sds, settings))
    assert len(images) == 2
    assert images[0].tobytes() == load_image(place.picture).tobytes()


def test_pixel_art_without_files_is_the_one_with_files(
    tiny_repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from distillery.pixelart import begin
    from reference import pixelart

    settings = PixelSettings(
        "a red boat", size=(8, 12), colours=3, steps=2, device="cpu", candidates=1, side=64
    )
    prior = handing.load_model(settings)
    place = kind.draw(begin, prior, pixelart, settings, out=tmp_path)
    assert picture_name(settings) == place.picture.name
    (image,) = to_pil(drawn(prior, pixelart, settings))
    assert image.size == (12, 8)
    assert image.tobytes() == load_image(place.picture).tobytes()


def test_the_cell_scores_pixel_art_as_eval_does(
    course: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = indexed(torch.arange(6).view(2, 3) % 3, torch.eye(3))
    save_png(course / "outputs/01_sds/a_red_boat.png", grid)
    seen: list[Image.Image] = []

    def score(images: list[Image.Image], prompts: list[str]) -> list[float]:
        seen.extend(images)
        return [0.1] * len(images)

    scorer = SimpleNamespace(score=score)
    monkeypatch.setattr(handing, "ClipScorer", lambda *args, **options: scorer)

    hand_in("01_sds")

    assert [image.size for image in seen] == [enlarged(grid).size]


def test_pixel_art_is_scored_as_it_is_shown(tmp_path: Path, tiny_clip_folder: Path) -> None:
    grid = indexed(torch.arange(6).view(2, 3) % 3, torch.eye(3))
    save_png(tmp_path / "a_red_boat.png", grid)
    (row,) = evaluation.evaluate(tmp_path, str(tiny_clip_folder))["pictures"]
    scorer = ClipScorer(tiny_clip_folder)
    large, small = scorer.score([enlarged(grid), grid], ["a red boat"] * 2)
    assert row["score"] == pytest.approx(large, abs=1e-5)
    assert abs(large - small) > 1e-4
