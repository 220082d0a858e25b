"""GIFs that are handed in: which count, what they earn, and what is said of the others.

The animations here are of a kind of run of this file: smooth noise that goes from keyframe to
keyframe by the student's `noise_path`, on a small grid in 48 colours.
"""

from __future__ import annotations

import functools
import io
import json
import struct
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from torch import Tensor
from torch.nn import functional

from distillery.core.files import atomic_write
from distillery.core.gif import parsed
from distillery.course import submission_pictures as handing
from distillery.course.films import Motion
from distillery.course.submission_pictures import (
    Thresholds,
    draw_all,
    evaluation_of,
    load_hand_in,
    picture_name,
)
from distillery.metrics import evaluate as evaluation
from distillery.metrics.clip_score import ClipScorer
from distillery.morph import begin as morphs
from distillery.morph.run import film_positions
from distillery.morph.settings import MorphSettings
from distillery.palettes import lattice
from distillery.pixelart.animation import Animation
from distillery.pixelart.gif_file import gif_bytes
from distillery.pixelart.sequence import pixel_sequence
from distillery.runs.registry import KINDS, Entry
from distillery.runs.run import PICTURE, Run, Step
from grading.core.records import Flag, Verdict
from grading.core.rules import Rules
from grading.judge.open_pictures import open_pictures
from grading.judge.pictures import Scoring, grade_pictures
from grading.judge.redraw import NOT_REDRAWN, Redrawing
from grading.judge.score_pictures import score_class
from grading.sandbox.decode_gif import decode_gif
from grading.sandbox.inside.pictures import draw
from grading.sandbox.jobs import Job, Limits, Raised, Reply
from grading.stages import stage_of
from reference import morph

STAGE = stage_of("01_sds")
RIGHT = Path(morph.__file__).read_text(encoding="utf-8")


# A kind of run that makes animations in no time.


@dataclass(frozen=True)
class NoiseFilm(MorphSettings):
    """The settings of a morph, of another kind."""


SOURCE_FIELDS = ()
FILM = "morph.gif"


def module_name(settings: NoiseFilm) -> str:
    return "guidance.morph"


keyframes = morphs.keyframes


def load(settings: NoiseFilm) -> None:
    return None


def smooth(noise: Tensor, settings: NoiseFilm) -> Tensor:
    """Pictures (F, 3, h, w) in [-1, 1] with large patches, from noise (F, 3, 4, 5)."""
    large = functional.interpolate(noise, settings.size, mode="bilinear", align_corners=False)
    return (1.2 * large).clamp(-1, 1)


class NoiseRun(Run):
    total = 1

    def __init__(self, method: Any, settings: NoiseFilm) -> None:
        seeds = [*range(len(settings.prompts)), 0]
        self._settings = settings
        self._noise = method.noise_path(seeds, film_positions(settings), (3, 4, 5))

    def steps(self, resume: Any = None) -> Iterator[Step]:
        yield Step(0, 1, lambda: Image.new("RGB", (12, 8)))

    def images(self) -> Tensor:
        return smooth(self._noise, self._settings)

    def products(self) -> dict[str, bytes]:
        buffer = io.BytesIO()
        Image.new("RGB", (12, 8)).save(buffer, format="PNG")
        return {PICTURE: buffer.getvalue(), FILM: film(self, self._settings)}


def begin(prior: None, method: Any, settings: NoiseFilm, *, out: Path) -> NoiseRun:
    return NoiseRun(method, settings)


def film(run: NoiseRun, settings: NoiseFilm) -> bytes:
    return gif_bytes(in_pixels(run.images(), settings))


def in_pixels(
    pictures: Tensor, settings: NoiseFilm, *, size: tuple[int, int] = (8, 12), **changes: Any
) -> Animation:
    generator = torch.Generator().manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a still picture has few colours
        made = pixel_sequence(
            pictures, morph, size=size, palette=int(settings.palette), generator=generator
        )
    return replace(Animation(made.indices, made.palette, settings.fps, factor=4), **changes)


# The folder, and the grade.

PROMPTS = ("a", "b", "c")
FIXED: dict[str, Any] = {
    "model": "exact",
    "frames": 36,
    "loop": True,
    "size": [8, 12],
    "palette": "48",
    "scale": 4,
}


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> NoiseFilm:
    monkeypatch.setitem(KINDS, "noise film", Entry(f"{__name__}.NoiseFilm", __name__))
    return NoiseFilm(**FIXED, prompts=PROMPTS)


@pytest.fixture(scope="module")
def scorer(tiny_clip_folder: Path) -> ClipScorer:
    return ClipScorer(tiny_clip_folder, device="cpu")


@pytest.fixture
def folder(
    settings: NoiseFilm, scorer: ClipScorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A clean folder as it should be."""
    entry = {
        "kind": "noise film",
        "scorer": scorer.id,
        "size": [8, 12],
        "motion": {"largest_step": 3.0, "least_apart": 26.0},
        "settings": FIXED,
        "pictures": [{"prompts": list(PROMPTS)}],
    }
    (tmp_path / "hand_in.yaml").write_text(yaml.safe_dump({STAGE.folder: entry}))
    monkeypatch.setattr(handing, "HAND_INS", tmp_path / "hand_in.yaml")
    made = tmp_path / "submitted" / "ada" / STAGE.folder
    atomic_write(made / "pictures" / picture_name(settings), right(settings))
    (scores,) = score_class(
        [open_pictures(made, load_hand_in(STAGE.folder))], hand_in(), scorer=scorer
    )
    row = {
        "file": picture_name(settings),
        "prompt": settings.title,
        "score": scores[picture_name(settings)],
    }
    evaluation.write(
        made / "eval.json",
        {"scorer": scorer.id, "mean": row["score"], "pictures": [row]},
    )
    return made


def hand_in() -> Any:
    return load_hand_in(STAGE.folder)


@functools.cache
def right(settings: NoiseFilm) -> bytes:
    return film(NoiseRun(morph, settings), settings)


@dataclass
class Here:
    """A sandbox that is none: it draws in this process."""

    name: str = "here"
    leaves_open: tuple[str, ...] = ("everything",)

    def run(self, job: Job, limits: Limits) -> Reply:
        module = ModuleType("guidance.morph")
        try:
            exec(compile(job.source, "theirs", "exec"), vars(module))
            return Reply("returned", *draw(module, json.loads(json.dumps(job.facts))))
        except Exception as error:
            return Reply("raised", raised=Raised(type(error).__name__, str(error), ""))

    def close(self) -> None:
        pass


Grade = Callable[..., tuple[Verdict, list[Flag]]]


@pytest.fixture
def graded(folder: Path, settings: NoiseFilm, scorer: ClipScorer) -> Grade:
    """Grade the folder, with another GIF if one is given; without reported scores then."""

    def grade(gif: bytes | None = None, source: str | None = "") -> tuple[Verdict, list[Flag]]:
        if gif is not None:
            (folder / "pictures" / picture_name(settings)).write_bytes(gif)
            (folder / "eval.json").unlink()
        verdict, flags = grade_pictures(
            folder,
            STAGE,
            rules=Rules(),
            scoring=Scoring(scorer, {scorer.id: Thresholds(-1.0, -1.0)}),
            redrawing=Redrawing(Here(), source) if source != "" else None,
        )
        assert verdict is not None
        return verdict, flags

    return grade


WITHOUT_EVAL = 0.9  # of the points


def pictures_of(settings: NoiseFilm) -> Tensor:
    return NoiseRun(morph, settings).images()


def test_a_right_animation_earns_all_points(graded) -> None:
    verdict, flags = graded()
    assert (verdict.points, verdict.outcome, flags) == (4, "right", [])
    assert verdict.lines[0] == "1 of 1 pictures were handed in and can be read."


def test_the_score_is_the_mean_of_the_keyframes_as_they_are_shown(folder, settings, scorer) -> None:
    name = picture_name(settings)
    (scores,) = score_class([open_pictures(folder, hand_in())], hand_in(), scorer=scorer)
    seen = list(parsed(right(settings), "it").pictures())
    shown = [Image.fromarray(seen[k][2::4, 2::4, :3]) for k in (0, 12, 24)]
    large = [its.resize((12 * 43, 8 * 43), Image.Resampling.NEAREST) for its in shown]
    expected = np.mean([scorer.score([its], [p])[0] for its, p in zip(large, "abc", strict=True)])
    assert scores[name] == pytest.approx(float(expected), abs=2e-5)


def test_what_the_students_command_writes_is_what_the_grader_reads(
    folder, settings, tmp_path
) -> None:
    wanted = hand_in()
    (file,) = draw_all(wanted, lambda name: morph, tmp_path / "course")
    assert file == tmp_path / "course" / "outputs" / STAGE.folder / "a_to_b_to_c.gif"
    assert file.read_bytes() == right(settings)
    found = evaluation_of(wanted, tmp_path / "course" / wanted.folder)
    assert found["pictures"][0]["file"] == "a_to_b_to_c.gif"
    assert found["mean"] == pytest.approx(np.mean(found["pictures"][0]["keyframes"]), abs=1e-5)
    reported = json.loads((folder / "eval.json").read_text())
    assert found["mean"] == pytest.approx(reported["mean"], abs=2e-5)


def test_a_student_is_told_the_same(settings, folder, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(handing, "course_root", lambda: tmp_path / "course")
    monkeypatch.setattr(
        handing, "load_thresholds", lambda: {hand_in().scorer: Thresholds(-1.0, -1.0)}
    )
    place = tmp_path / "course" / hand_in().folder
    atomic_write(place / picture_name(settings), right(settings))
    atomic_write(place / "eval.json", "{}")
    monkeypatch.setattr(handing, "_older", lambda *_: [])
    assert handing.hand_in(STAGE.folder).share == 1
    cut = in_pixels(pictures_of(settings), settings, plays=1)
    atomic_write(place / picture_name(settings), gif_bytes(cut))
    assert handing.hand_in(STAGE.folder).share == 0
    assert "does not count: it does not loop for ever, and plays 1 time" in capsys.readouterr().out
    still = in_pixels(pictures_of(settings)[:1].expand(36, -1, -1, -1), settings)
    atomic_write(place / picture_name(settings), gif_bytes(still))
    assert handing.hand_in(STAGE.folder).share == pytest.approx(0.9)
    assert "nothing moves" in capsys.readouterr().out


# What does not count.


def in_many_colours(settings: NoiseFilm) -> bytes:
    """As another program saves it: 300 colours and more, a palette for each frame."""
    noise = np.random.default_rng(0).integers(0, 256, (36, 8, 12, 3), dtype=np.uint8)
    first, *rest = (
        Image.fromarray(its).resize((48, 32), Image.Resampling.NEAREST) for its in noise
    )
    buffer = io.BytesIO()
    first.save(buffer, format="GIF", save_all=True, append_images=rest, duration=83, loop=0)
    return buffer.getvalue()


def with_another_colour(settings: NoiseFilm) -> bytes:
    its = in_pixels(pictures_of(settings), settings)
    return gif_bytes(replace(its, palette=torch.cat([its.palette, torch.tensor([[1.0, 0, 0]])])))


def in_fine_cells(settings: NoiseFilm) -> bytes:
    indices = torch.randint(12, (36, 16, 24), generator=torch.Generator().manual_seed(0))
    return gif_bytes(Animation(indices, lattice(3)[:12], settings.fps, factor=2))


def bomb() -> bytes:
    """Few bytes for many pixels, each frame within bounds."""
    data = gif_bytes(Animation(torch.zeros(2, 1024, 1024).long(), lattice(2), fps=10, factor=2))
    start, second = data.index(b"\x21\xf9\x04"), data.rindex(b"\x21\xf9\x04")
    return data[:start] + 10 * data[start:second] + b"\x3b"


def as_png() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (48, 32)).save(buffer, format="PNG")
    return buffer.getvalue()


UNFIT: dict[str, tuple[Callable[[NoiseFilm], bytes], str]] = {
    "too few frames": (
        lambda its: gif_bytes(in_pixels(pictures_of(its)[:30], its)),
        "it has 30 frames, and is drawn with 36",
    ),
    "300 colours": (in_many_colours, "it has not one palette for all frames"),
    "another colour": (with_another_colour, "it has 49 colours, and is drawn with 48"),
    "not looping": (
        lambda its: gif_bytes(in_pixels(pictures_of(its), its, plays=1)),
        "it does not loop for ever, and plays 1 time",
    ),
    "another pace": (
        lambda its: gif_bytes(in_pixels(pictures_of(its), its, fps=24)),
        "its frames last 1.5 seconds, and 36 frames at 12 a second last 3",
    ),
    "another grid": (
        lambda its: gif_bytes(in_pixels(pictures_of(its)[..., :10], its, size=(8, 10))),
        "it is 32 x 40 pixels, and a grid of 8 x 12 is enlarged by a whole number",
    ),
    "finer than its grid": (in_fine_cells, "its cells are no squares of one colour"),
    "a PNG": (lambda its: as_png(), "it is not a GIF"),
    "nothing": (lambda its: b"", "it is not a GIF"),
    "cut short": (lambda its: right(its)[:-300], "it is a GIF that is cut short"),
    "a bomb": (
        lambda its: bomb(),
        "it cannot be read as a GIF: it has more than 1,000 frames, or 17 million pixels",
    ),
    "too many bytes": (lambda its: right(its) + bytes(9 * 2**20), "it has more than 8 MB"),
}


@pytest.mark.parametrize("name", UNFIT)
def test_a_gif_that_the_command_does_not_write_does_not_count(name, settings, graded) -> None:
    make, why = UNFIT[name]
    verdict, flags = graded(make(settings))
    assert (verdict.points, verdict.outcome, flags) == (0, "refused", [])
    assert any(f"{picture_name(settings)} does not count: {why}" in line for line in verdict.lines)


def test_a_gif_that_is_missing_is_still_to_do(folder, settings, graded) -> None:
    (folder / "pictures" / picture_name(settings)).unlink()
    verdict, _ = graded()
    assert (verdict.points, verdict.outcome) == (0, "to do")


# How it moves.


def cut_joints(settings: NoiseFilm) -> Tensor:
    """Each stretch has noises of its own, as where they are not shared."""
    pictures = []
    for number, (start, end) in enumerate([(0, 12), (12, 24), (24, 36)]):
        a = torch.linspace(0, 1, end - start)
        pictures.append(morph.noise_path([10 * number + 1, 10 * number + 2], a, (3, 4, 5)))
    return smooth(torch.cat(pictures), settings)


def cross_fade(settings: NoiseFilm) -> Tensor:
    pictures = pictures_of(settings)
    a = torch.linspace(0, 1, 13)[:-1].view(12, 1, 1, 1)
    ends = [(pictures[s], pictures[(s + 12) % 36]) for s in (0, 12, 24)]
    return torch.cat([(1 - a) * start + a * end for start, end in ends])


def with_a_blank_keyframe(settings: NoiseFilm) -> Tensor:
    pictures = pictures_of(settings).clone()
    pictures[12] = 0.9
    return pictures


def there_and_back_to_the_first(settings: NoiseFilm) -> Tensor:
    pictures = pictures_of(settings)
    return torch.cat([pictures[:7], pictures[:6].flip(0), pictures[13:]])


MOVES_WRONGLY: dict[str, tuple[Callable[[NoiseFilm], Tensor], list[str]]] = {
    "a still picture": (
        lambda its: pictures_of(its)[:1].expand(36, -1, -1, -1),
        ["nothing moves: neighbouring frames differ by 0.0 levels of 255"],
    ),
    "cut joints": (
        cut_joints,
        ["it jumps where it closes", "it jumps at keyframe 2, frame 13", "it jumps at keyframe 3"],
    ),
    "a blank keyframe": (with_a_blank_keyframe, ["it jumps at keyframe 2, frame 13"]),
    "a cross-fade": (
        cross_fade,
        [f"from keyframe {k} to {k % 3 + 1} it is a cross-fade: no frame" for k in (1, 2, 3)],
    ),
    "two keyframes alike": (
        there_and_back_to_the_first,
        ["keyframes 1 and 2 are the same picture"],
    ),
}


@pytest.mark.parametrize("name", MOVES_WRONGLY)
def test_each_flaw_in_how_it_moves_costs_as_much_as_a_missing_picture(
    name, settings, graded
) -> None:
    make, sentences = MOVES_WRONGLY[name]
    verdict, _ = graded(gif_bytes(in_pixels(make(settings), settings)))
    assert verdict.outcome == "wrong"
    for sentence in sentences:
        assert any(f"{picture_name(settings)}: {sentence}" in line for line in verdict.lines)
    said = [line for line in verdict.lines if line.startswith(f"{picture_name(settings)}: ")]
    assert verdict.points == pytest.approx(4 * (WITHOUT_EVAL - 0.1 * len(said)))


def test_an_animation_that_ends_at_its_last_keyframe_need_not_close(settings) -> None:
    from distillery.core.gif import film_of
    from distillery.course.films import flaws_of, rules_of, strip_of

    open_one = replace(rules_of(settings), loop=False, keyframes=(0, 18, 35))
    pictures = smooth(morph.noise_path([1, 2, 3], torch.linspace(0, 2, 36), (3, 4, 5)), settings)
    strip = strip_of(film_of(parsed(gif_bytes(in_pixels(pictures, settings)), "it")), open_one)
    assert flaws_of(strip, open_one, Motion(3.0, 26.0)) == []
    closed = replace(open_one, loop=True, keyframes=(0, 18, 35))
    assert any("where it closes" in flaw for flaw in flaws_of(strip, closed, Motion(3.0, 26.0)))


def test_the_keyframes_of_a_morph_are_where_it_first_stands_at_them(settings) -> None:
    held = replace(settings, frames=20, holds=(2, 0, 3), loop=False)
    assert keyframes(held) == [0, 9, 16]
    assert [round(float(film_positions(held)[at]), 6) for at in keyframes(held)] == [0, 1, 2]


def test_the_gif_of_a_morph_can_be_made_without_its_other_files() -> None:
    settings = MorphSettings(
        prompts=("a red disc", "a blue square"), model="exact", frames=3, steps=2, device="cpu"
    )
    run = morphs.begin(morphs.load(settings), morph, settings)
    list(run.steps())
    assert morphs.film(run, settings) == run.products()[morphs.FILM]


# Whose it is.


def test_the_students_code_draws_the_animation_again(graded) -> None:
    assert graded(source=RIGHT)[0].points == 4
    verdict, flags = graded(source=RIGHT + NOT_SHARED)
    assert verdict.points == 0
    assert any("it is another picture" in line for line in verdict.lines)
    assert [flag.kind for flag in flags] == [NOT_REDRAWN]


NOT_SHARED = """

shared = noise_path


def noise_path(seeds, positions, shape):
    return shared([seed + 1 for seed in seeds], positions, shape)
"""


# The process that decodes.


def test_what_is_decoded_in_a_process_of_its_own_is_what_the_reader_reads(settings) -> None:
    film = decode_gif(right(settings))
    assert not isinstance(film, str)
    seen = np.stack(list(parsed(right(settings), "it").pictures()))
    assert np.array_equal(film.frames, seen[..., :3])
    assert (film.plays, film.colours, film.palettes) == (0, 48, 0)
    assert sum(film.durations) == 300


def test_no_content_makes_the_decoder_raise(settings) -> None:
    data, draws = right(settings), np.random.default_rng(0)
    for at in draws.integers(6, len(data), 6):
        seen = decode_gif(data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :])
        assert isinstance(seen, str) or seen.frames.size
    large = data[:6] + struct.pack("<HH", 65535, 65535) + data[10:]
    assert "65535 x 65535 pixels" in str(decode_gif(large))
