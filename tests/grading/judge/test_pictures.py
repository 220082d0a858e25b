"""Pictures that are handed in: what is read of them, what they earn, and whose they are."""

from __future__ import annotations

import io
import json
import os
import struct
import traceback
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image, ImageOps

from benchmarks.calibrate_thresholds import with_mistake
from distillery.core.errors import CourseError
from distillery.core.images import load_image, save_png, to_pil
from distillery.course import submission_pictures as handing
from distillery.course.submission_pictures import (
    Thresholds,
    drawn,
    load_hand_in,
    load_model,
    load_thresholds,
)
from distillery.metrics import evaluate as evaluation
from distillery.metrics.clip_score import ClipScorer
from distillery.toybox import Factors
from distillery.toybox import draw as toybox_draw
from grading.core.records import Flag, Record, Store, Verdict
from grading.core.rules import Rules
from grading.core.submission import Submission
from grading.intake.open_submission import _no_picture
from grading.judge import redraw as redrawing
from grading.judge.copied_pictures import COPIED, Gallery, course_pictures, find_copies, flag_copies
from grading.judge.open_pictures import SubmittedPictures, open_pictures
from grading.judge.pictures import SCORES, Scoring, grade_pictures
from grading.judge.redraw import (
    NOT_COMPARED,
    NOT_REDRAWN,
    PICTURES_DIFFER,
    Redrawing,
    expected_pictures,
)
from grading.judge.score_pictures import score_class
from grading.sandbox.decode_png import LONGEST_SIDE, decode
from grading.sandbox.inside.pictures import draw
from grading.sandbox.jobs import Ending, Job, Limits, Raised, Reply
from grading.scheduler import score_class as score_class_ahead
from grading.stages import STAGES, stage_of
from reference import sds

ROOT = Path(__file__).resolve().parents[3]
STAGE = stage_of("01_sds")
RED, BLUE = "a_red_boat.png", "a_blue_boat.png"
RIGHT = Path(sds.__file__).read_text(encoding="utf-8")
FLIPPED = RIGHT.replace("eps_hat - eps)", "eps - eps_hat)")


@pytest.fixture(scope="module")
def hand_in_file(
    tiny_sd_folder: Path, tiny_clip_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A hand-in of two pictures that are drawn in no time."""
    path = tmp_path_factory.mktemp("data") / "hand_in.yaml"
    settings = {"model": str(tiny_sd_folder), "steps": 3, "device": "cpu", "seed": 1}
    pictures = [{"prompt": "a red boat"}, {"prompt": "a blue boat"}]
    entry = {"scorer": str(tiny_clip_folder), "size": [16, 16], "settings": settings}
    entry["pictures"] = pictures
    path.write_text(yaml.safe_dump({STAGE.folder: entry}))
    return path


@pytest.fixture(scope="module")
def right_pictures(hand_in_file: Path) -> dict[str, Image.Image]:
    hand_in = load_hand_in(STAGE.folder, hand_in_file)
    prior = load_model(hand_in.pictures[0])
    return {name: to_pil(drawn(prior, sds, its))[0] for name, its in hand_in.files.items()}


@pytest.fixture(scope="module")
def scorer(tiny_clip_folder: Path) -> ClipScorer:
    return ClipScorer(tiny_clip_folder, device="cpu")


@pytest.fixture
def folder(
    tmp_path: Path,
    hand_in_file: Path,
    right_pictures: dict[str, Image.Image],
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """A clean folder as it should be."""
    monkeypatch.setattr(handing, "HAND_INS", hand_in_file)
    folder = tmp_path / "submitted" / "ada" / STAGE.folder
    for name, picture in right_pictures.items():
        save_png(folder / "pictures" / name, picture, name)
    report(folder)
    return folder


def report(folder: Path) -> None:
    """Write the eval.json that is true of the pictures in the folder."""
    result = evaluation.evaluate(folder / "pictures", load_hand_in(STAGE.folder).scorer)
    evaluation.write(folder / "eval.json", result)


def scored(folder: Path, scorer: ClipScorer) -> dict[str, float]:
    """Scores of one hand-in alone."""
    hand_in = load_hand_in(STAGE.folder)
    (scores,) = score_class([open_pictures(folder, hand_in)], hand_in, scorer=scorer)
    return scores


@dataclass
class Here:
    """A sandbox that is none: it draws in this process, and counts."""

    ending: Ending | None = None
    drawn: list[str] = field(default_factory=list)
    name: str = "here"
    leaves_open: tuple[str, ...] = ("everything",)

    def run(self, job: Job, limits: Limits) -> Reply:
        assert job.kind == "picture"
        self.drawn.append(job.facts["prompt"])
        if self.ending:
            return Reply(self.ending)
        module = ModuleType("guidance.sds")
        try:
            exec(compile(job.source, "theirs", "exec"), vars(module))
            facts, tensors = draw(module, json.loads(json.dumps(job.facts)))
        except Exception as error:
            frames = traceback.extract_tb(error.__traceback__)
            line = next((f"line {one.lineno}" for one in frames if one.filename == "theirs"), "")
            return Reply("raised", raised=Raised(type(error).__name__, str(error), line))
        return Reply("returned", facts, tensors)

    def close(self) -> None:
        pass


@pytest.fixture
def graded(folder: Path, scorer: ClipScorer) -> Callable[..., tuple[Verdict, list[Flag]]]:
    """Grade the folder by thresholds just below what the right pictures score."""
    level = sum(scored(folder, scorer=scorer).values()) / 2 - 1e-3

    def grade(
        *,
        rules: Rules | None = None,
        thresholds: dict[str, Thresholds] | None = None,
        scores: dict[str, float] | None = None,
        **redrawing: Any,
    ) -> tuple[Verdict, list[Flag]]:
        verdict, flags = grade_pictures(
            folder,
            STAGE,
            rules=rules or Rules(),
            scoring=Scoring(
                scorer, thresholds or {scorer.id: Thresholds(level, level - 0.1)}, scores
            ),
            redrawing=Redrawing(**redrawing) if redrawing else None,
        )
        assert verdict is not None
        return verdict, flags

    return grade


def png(image: Image.Image, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, **{"format": "PNG", **options})
    return buffer.getvalue()


def with_size(content: bytes, width: int, height: int) -> bytes:
    """The same PNG, which declares another size."""
    kind_and_data = b"IHDR" + struct.pack("!II", width, height) + content[24:29]
    return (
        content[:12] + kind_and_data + struct.pack("!I", zlib.crc32(kind_and_data)) + content[33:]
    )


def fill(size: int) -> Image.Image:
    return Image.new("RGB", (size, size), "teal")


BROKEN = {
    "a GIF": (png(fill(16), format="GIF"), "not a PNG"),
    "an animated GIF": (
        png(fill(16), format="GIF", save_all=True, append_images=[Image.new("RGB", (16, 16))]),
        "not a PNG",
    ),
    "an SVG": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a PNG"),
    "a JPEG": (png(fill(16), format="JPEG"), "not a PNG"),
    "nothing": (b"", "not a PNG"),
    "a pointer of Git LFS": (b"version https://git-lfs.github.com/spec/v1\n", "not a PNG"),
    "cut short": (png(Image.effect_noise((16, 16), 50))[:-40], "cut short or damaged"),
    "1 x 1": (png(fill(1)), "1 x 1 pixels, and is drawn as 16 x 16"),
    "a large one": (png(fill(1025)), "larger than"),
    "a bomb": (with_size(png(fill(16)), 60_000, 60_000), "larger than"),
    "too many bytes": (png(fill(16)) + bytes(9 * 2**20), "more than 8 MB"),
}


def test_a_picture_that_intake_accepts_is_not_too_large_for_the_judge(folder, graded) -> None:
    path = folder / "pictures" / RED
    path.write_bytes(path.read_bytes() + bytes(5 * 2**20))
    assert _no_picture(path) == ""
    verdict, flags = graded()
    assert (verdict.points, flags) == (4, [])


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_picture_costs_its_own_item_and_nothing_else(name: str, folder, graded) -> None:
    content, why = BROKEN[name]
    (folder / "pictures" / RED).write_bytes(content)
    verdict, flags = graded()
    assert verdict.points == pytest.approx(4 * 0.9)
    assert any(line.startswith(RED) and why in line for line in verdict.lines)
    assert flags == []


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_a_picture_that_is_no_regular_file_is_not_followed(kind: str, folder, graded) -> None:
    path = folder / "pictures" / RED
    path.rename(folder / "elsewhere.png")
    if kind == "link":
        path.symlink_to(folder / "elsewhere.png")
    if kind == "pipe":
        os.mkfifo(path)
    if kind == "folder":
        path.mkdir()
    verdict, _ = graded()
    assert verdict.points == pytest.approx(4 * 0.9)
    assert any("not a file that can be read" in line for line in verdict.lines)


def test_every_mode_of_a_png_is_read_as_rgb_and_an_animation_by_its_first_frame() -> None:
    frames = png(fill(8), save_all=True, append_images=[Image.new("RGB", (8, 8), "red")])
    files = {"frames": frames}
    for mode in ("1", "L", "LA", "P", "RGBA", "I;16"):
        files[mode] = png(Image.new(mode, (5, 8), 1))
    pictures, refused = decode(files)
    assert refused == {}
    assert {picture.mode for picture in pictures.values()} == {"RGB"}
    assert pictures["frames"].getpixel((0, 0)) == (0, 128, 128)
    assert [name for name in files if pictures[name].info["indexed"]] == ["P"]
    assert pictures["L"].size == (5, 8)


def test_a_picture_that_kills_its_decoder_takes_no_other_one_along(monkeypatch) -> None:
    from grading.sandbox import decode_png

    asked = decode_png._ask

    def dies_of_the_second(contents: list[bytes]) -> list[Image.Image | str]:
        return asked(contents[: contents.index(b"deadly")] if b"deadly" in contents else contents)

    monkeypatch.setattr(decode_png, "_ask", dies_of_the_second)
    good = png(fill(8))
    pictures, refused = decode({"one": good, "two": b"deadly", "three": good})
    assert list(pictures) == ["one", "three"]
    assert refused == {"two": "it cannot be decoded within the limits"}


def test_a_decompression_bomb_is_refused_by_its_declared_size() -> None:
    wide = png(Image.new("L", (LONGEST_SIDE, LONGEST_SIDE)))
    pictures, refused = decode({"bomb": with_size(wide, 2**30, 1), "limit": wide})
    assert "larger than" in refused["bomb"]
    assert pictures["limit"].size == (LONGEST_SIDE, LONGEST_SIDE)


def test_right_pictures_earn_all_points_and_are_scored_here(folder, graded, scorer) -> None:
    verdict, flags = graded()
    assert (verdict.points, verdict.worth, verdict.outcome) == (4, 4, "right")
    assert verdict.task == "sds.pictures"
    mean = json.loads((folder / "eval.json").read_text())["mean"]
    assert any(f"mean CLIP score is {mean:.3f}" in line for line in verdict.lines)
    assert flags == []


def test_half_the_threshold_earns_half(graded, scorer) -> None:
    verdict, _ = graded(thresholds={scorer.id: Thresholds(1.0, -1.0)})
    assert (verdict.points, verdict.outcome) == (2, "wrong")
    verdict, _ = graded(thresholds={scorer.id: Thresholds(1.0, 1.0)})
    assert verdict.points == 0


def test_each_missing_item_costs_what_the_rules_say(folder, graded) -> None:
    (folder / "pictures" / RED).unlink()
    (folder / "eval.json").unlink()
    verdict, _ = graded(rules=Rules(missing_item_off=0.25))
    assert verdict.points == pytest.approx(2)
    assert any(f"Missing: {RED}; python main.py hand_in 01_sds" in line for line in verdict.lines)
    assert any("eval.json is missing" in line for line in verdict.lines)


def test_no_picture_at_all_is_still_to_do(folder, graded) -> None:
    for name in (RED, BLUE):
        (folder / "pictures" / name).unlink()
    verdict, _ = graded()
    assert (verdict.points, verdict.outcome) == (0, "to do")


def test_a_stage_without_pictures_has_no_verdict(folder) -> None:
    assert grade_pictures(folder, STAGES[0], rules=Rules()) == (None, [])


def edited(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    path = folder / "eval.json"
    found = json.loads(path.read_text())
    change(found)
    path.write_text(json.dumps(found))


def test_a_score_that_is_reported_and_not_so_leaves_nothing(folder, graded) -> None:
    edited(folder, lambda found: found["pictures"][0].update(score=0.99))
    verdict, flags = graded()
    assert (verdict.points, verdict.outcome) == (0, "wrong")
    assert any(f"{BLUE} is reported with 0.9900 and scores" in line for line in verdict.lines)
    assert [flag.kind for flag in flags] == [SCORES]


def test_a_mean_that_is_not_the_mean_leaves_nothing(folder, graded) -> None:
    edited(folder, lambda found: found.update(mean=0.9))
    verdict, _ = graded()
    assert verdict.points == 0
    assert any("the mean is reported as 0.9000" in line for line in verdict.lines)


def test_the_last_digits_of_a_score_are_another_machines(folder, graded) -> None:
    edited(
        folder, lambda found: [row.update(score=row["score"] + 1e-3) for row in found["pictures"]]
    )
    verdict, flags = graded()
    assert (verdict.points, flags) == (4, [])


def test_the_scores_of_another_scorer_count_as_missing_and_it_is_named(folder, graded) -> None:
    edited(folder, lambda found: found.update(scorer="ViT-B-32:openai"))
    verdict, flags = graded()
    assert verdict.points == pytest.approx(3.6)
    assert any("written by the scorer 'ViT-B-32:openai'" in line for line in verdict.lines)
    assert flags == []


def test_a_picture_that_eval_json_does_not_mention_makes_it_incomplete(folder, graded) -> None:
    def only_blue(found: dict[str, Any]) -> None:
        found["pictures"] = found["pictures"][:1]
        found["mean"] = found["pictures"][0]["score"]

    edited(folder, only_blue)
    verdict, _ = graded()
    assert verdict.points == pytest.approx(3.6)
    assert any(f"eval.json says nothing of {RED}" in line for line in verdict.lines)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"{}",
        b'{"scorer": 3, "mean": 0.1, "pictures": [{"file": "a", "score": 0.1}]}',
        b'{"scorer": "x", "mean": NaN, "pictures": [{"file": "a", "score": 0.1}]}',
        b'{"scorer": "x", "mean": 0.1, "pictures": [{"file": "a", "score": true}]}',
        b'{"scorer": "x", "mean": 0.1, "pictures": [{"file": ["a"], "score": 0.1}]}',
        b'{"scorer": "x", "mean": 0.1, "pictures": []}',
        b'{"scorer": "x", "mean": 7, "pictures": [{"file": "a", "score": 7}]}',
        b'{"mean": ' + b"9" * 6000 + b"}",
        b"[" * 200_000,
    ],
)
def test_an_eval_json_of_another_form_counts_as_missing(content: bytes, folder, graded) -> None:
    (folder / "eval.json").write_bytes(content)
    verdict, _ = graded()
    assert verdict.points == pytest.approx(3.6)
    assert any("eval.json is not what eval.py writes" in line for line in verdict.lines)


def test_pictures_are_drawn_again_by_the_students_code_and_compared(graded) -> None:
    sandbox = Here()
    verdict, flags = graded(sandbox=sandbox, source=RIGHT)
    assert (verdict.points, flags) == (4, [])
    assert sorted(sandbox.drawn) == ["a blue boat", "a red boat"]


def test_the_seed_decides_which_pictures_are_drawn_again(graded) -> None:
    chosen = set()
    for seed in range(8):
        sandbox = Here()
        graded(sandbox=sandbox, source=RIGHT, rules=Rules(regenerate=1), seed=seed)
        again = Here()
        graded(sandbox=again, source=RIGHT, rules=Rules(regenerate=1), seed=seed)
        assert again.drawn == sandbox.drawn
        chosen |= set(sandbox.drawn)
    assert chosen == {"a red boat", "a blue boat"}


def test_pictures_that_the_code_does_not_draw_earn_nothing(graded) -> None:
    assert FLIPPED != RIGHT
    verdict, flags = graded(sandbox=Here(), source=FLIPPED)
    assert (verdict.points, verdict.outcome) == (0, "wrong")
    assert any("it is another picture" in line for line in verdict.lines)
    assert [flag.kind for flag in flags] == [NOT_REDRAWN] * 2


def test_code_that_is_still_to_do_has_drawn_no_picture(graded) -> None:
    stub = (ROOT / "guidance" / "sds.py").read_text()
    verdict, flags = graded(sandbox=Here(), source=stub)
    assert verdict.points == 0
    assert any("is still to do" in line for line in verdict.lines)
    assert {flag.kind for flag in flags} == {NOT_REDRAWN}


def test_code_that_was_not_handed_in_has_drawn_no_picture(graded) -> None:
    verdict, flags = graded(sandbox=Here(), source=None)
    assert verdict.points == 0
    assert {flag.kind for flag in flags} == {NOT_REDRAWN}


@pytest.mark.parametrize("ending", ["timed out", "out of memory"])
def test_a_machine_that_is_too_slow_takes_no_points(ending: Ending, graded) -> None:
    sandbox = Here(ending)
    verdict, flags = graded(sandbox=sandbox, source=RIGHT)
    assert verdict.points == 4
    assert [flag.kind for flag in flags] == [NOT_COMPARED]
    assert len(sandbox.drawn) == 1


def test_a_course_that_cannot_be_read_takes_no_points(graded, monkeypatch) -> None:
    def unreadable(*_: object) -> None:
        raise CourseError("cannot load tiny-sd.")

    monkeypatch.setitem(Here.run.__globals__, "draw", unreadable)
    verdict, flags = graded(sandbox=Here(), source=RIGHT)
    assert verdict.points == 4
    assert [flag.kind for flag in flags] == [NOT_COMPARED]
    assert "cannot load tiny-sd" in flags[0].sentence


def test_code_that_says_so_itself_does_not_pass_for_a_course_that_cannot_be_read(graded) -> None:
    broken = RIGHT + "\n\nfrom distillery.core.errors import CourseError\n\n\ndef loss(*_, **__):\n"
    broken += "    raise CourseError('cannot load tiny-sd.')\n"
    verdict, flags = graded(sandbox=Here(), source=broken)
    assert verdict.points == 0
    assert {flag.kind for flag in flags} == {NOT_REDRAWN}


def test_a_process_that_dies_instead_of_drawing_does_take_them(graded) -> None:
    verdict, _ = graded(sandbox=Here("died"), source=RIGHT)
    assert verdict.points == 0


@pytest.mark.parametrize(
    "image", [None, torch.zeros(16, 16, 3), torch.zeros(16, 16, dtype=torch.uint8)]
)
def test_a_reply_that_is_no_picture_is_none(image: torch.Tensor | None, graded) -> None:
    class Liar(Here):
        def run(self, job: Job, limits: Limits) -> Reply:
            return Reply("returned", {}, {} if image is None else {"image": image})

    verdict, _ = graded(sandbox=Liar(), source=RIGHT)
    assert verdict.points == 0
    assert any("gives no picture of 16 x 16" in line for line in verdict.lines)


def test_what_right_code_draws_need_not_be_drawn_again(
    folder: Path, graded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = expected_pictures(STAGE, tmp_path / "expected")
    sandbox = Here()
    verdict, _ = graded(sandbox=sandbox, source=RIGHT, expected=expected)
    assert (verdict.points, sandbox.drawn) == (4, [])
    save_png(folder / "pictures" / RED, fill(16))
    report(folder)
    graded(sandbox=sandbox, source=RIGHT, expected=expected)
    assert sandbox.drawn == ["a red boat"]
    monkeypatch.setattr(redrawing, "drawn", lambda *_: pytest.fail("kept in vain"))
    kept = expected_pictures(STAGE, tmp_path / "expected")
    assert all(np.array_equal(kept[name], expected[name]) for name in expected)


def test_a_mistake_that_changes_the_picture_is_farther_off_than_another_machine(
    hand_in_file: Path, right_pictures: dict[str, Image.Image]
) -> None:
    hand_in = load_hand_in(STAGE.folder, hand_in_file)
    prior = load_model(hand_in.pictures[0])
    tried = ("grad_flipped", "grad_with_swapped_branches", "grad_squared")
    assert set(tried) <= set(STAGE.tried)
    for name in tried:
        wrong = to_pil(drawn(prior, with_mistake("sds", name), hand_in.pictures[0]))[0]
        far = np.abs(np.asarray(wrong, float) - np.asarray(right_pictures[RED], float)).mean()
        assert far > 0, name


def test_a_class_is_scored_at_once_as_each_would_be_alone(folder: Path, scorer) -> None:
    empty = folder.parents[1] / "bob" / STAGE.folder
    empty.mkdir(parents=True)
    one = folder.parents[1] / "eve" / STAGE.folder
    save_png(one / "pictures" / RED, fill(16))
    hand_in = load_hand_in(STAGE.folder)
    handed = [open_pictures(each, hand_in) for each in (folder, empty, one)]
    together = score_class(handed, hand_in, scorer=scorer)
    for each, scores in zip((folder, empty, one), together, strict=True):
        assert scores == pytest.approx(scored(each, scorer=scorer), abs=2e-5)
    assert [list(scores) for scores in together] == [[RED, BLUE], [], [RED]]
    assert handed[1] == SubmittedPictures()


def test_scores_that_were_measured_ahead_are_taken_and_half_of_them_are_not(
    folder: Path, graded, scorer
) -> None:
    ahead = scored(folder, scorer=scorer)
    assert graded(scores=ahead) == graded()
    assert graded(scores=dict.fromkeys(ahead, 0.0))[0].points == 0
    assert graded(scores={RED: 0.0}) == graded()


def test_the_batch_of_a_class_leaves_scores_where_grading_finds_them(folder: Path, scorer) -> None:
    course, other = folder.parents[2], folder.parents[1] / "bob" / STAGE.folder
    save_png(other / "pictures" / RED, fill(16))
    submissions = [
        Submission(course, student, STAGE.folder, digest)
        for student, digest in (("ada", "d1"), ("bob", "d2"), ("eve", "d3"))
    ]
    score_class_ahead.score(submissions, STAGE)
    store, name = Store(course), load_hand_in(STAGE.folder).scorer
    for one in submissions:
        found = store.scores(one, name)
        assert found == pytest.approx(scored(one.folder, scorer=scorer), abs=2e-5)
        assert store.scores(one, "another") is None
    assert store.scores(replace(submissions[0], digest="d2"), name) is None
    assert store.all(STAGE.folder) == []


def test_the_pictures_of_every_stage_have_points_and_a_hand_in() -> None:
    with_points = [stage.folder for stage in STAGES if stage.pictures]
    assert with_points == list(yaml.safe_load((ROOT / "data" / "hand_in.yaml").read_text()))
    for stage in STAGES:
        if stage.pictures:
            hand_in = load_hand_in(stage.folder)
            assert hand_in.module == stage.module
            assert hand_in.scorer in load_thresholds()


# Whose pictures they are.


def gallery(student: str, *, drawn: bool = True, **pictures: Image.Image) -> Gallery:
    return Gallery(student, {f"{name}.png": its for name, its in pictures.items()}, drawn)


def toy(seed: int) -> Image.Image:
    factors = Factors("boat", "blue", "on a frozen river")
    return Image.fromarray(toybox_draw(factors, seed, size=(64, 64)).image)


def test_equal_pictures_of_right_code_are_no_evidence() -> None:
    honest = [gallery("ada", boat=toy(0)), gallery("bob", boat=toy(0))]
    assert find_copies(honest, {}) == {}


def again(picture: Image.Image) -> Image.Image:
    """Saved as JPEG and enlarged: no pixel is what it was."""
    with Image.open(io.BytesIO(png(picture, format="JPEG", quality=95))) as saved:
        return saved.resize((96, 96), Image.Resampling.BICUBIC)


@pytest.mark.parametrize("disguise", [lambda p: p, again, ImageOps.mirror])
def test_a_picture_of_another_that_ones_own_code_does_not_draw_is_flagged(disguise) -> None:
    ada, eve = toy(0), disguise(toy(0))
    found = find_copies([gallery("ada", boat=ada), gallery("eve", drawn=False, boat=eve)], {})
    assert list(found) == ["eve"]
    (flag,) = found["eve"]
    assert flag.kind == COPIED
    assert "equals the picture of ada, whose code draws it" in flag.sentence


def test_another_picture_of_the_same_prompt_is_not_flagged() -> None:
    two = [gallery("ada", boat=toy(0)), gallery("eve", drawn=False, boat=toy(1))]
    assert find_copies(two, {}) == {}


def test_a_picture_of_the_courses_is_flagged_whoever_hands_it_in() -> None:
    title = "a blue boat on a frozen river"
    course = course_pictures((title,))
    source = load_image(ROOT / "data/imgs/a_red_boat_on_a_frozen_river.png")
    found = find_copies([gallery("eve", toy=toy(5), source=source, own=fill(64))], course)
    sentences = [flag.sentence for flag in found["eve"]]
    assert len(sentences) == 2
    assert f"the toybox's drawing 5 of '{title}'" in sentences[0]
    assert "data/imgs/a_red_boat_on_a_frozen_river.png" in sentences[1]


def test_a_course_folder_is_searched_by_what_was_found_when_it_was_graded(
    folder: Path, tmp_path: Path
) -> None:
    eve = folder.parents[1] / "eve" / STAGE.folder
    (eve / "pictures").mkdir(parents=True)
    (eve / "pictures" / RED).write_bytes((folder / "pictures" / RED).read_bytes())
    record = Record("ada", STAGE.folder, "0" * 64, 0, "graded", "", (), (), 1.0)
    store = Store(tmp_path)
    store.save(record)
    flags = (Flag(NOT_REDRAWN, f"{RED}: it is another picture."),)
    store.save(replace(record, student="eve", flags=flags))
    found = flag_copies(tmp_path, STAGE)
    assert list(found) == ["eve"]
    assert "ada" in found["eve"][0].sentence


def test_the_tolerance_lies_between_another_machine_and_another_seed() -> None:
    assert 1 < PICTURES_DIFFER < 4.5
