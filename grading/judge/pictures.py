"""Grade the pictures that a stage hands in: score them anew, and draw some of them again.

What must hold of a hand-in of data/hand_in.yaml:

- its pictures are PNGs of the right name and size; each that is missing costs a part of the points,
  and so does a missing eval.json;
- eval.json says what these pictures score; where it says something else, they earn nothing;
- the student's own code draws them; some are drawn again in the sandbox and compared.

How many points they earn, the mean of the scores decides, as it is measured here. Whoever carries a
picture inside his code could return it there; the checks of the functions themselves are what
guards against that, and `grading.judge.copied_pictures` finds pictures that two hand-ins share
without reason.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import json
import math
import os
import random
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from PIL import Image

from distillery.core.errors import CourseError
from distillery.core.images import enlarged, load_image, save_png, to_pil
from distillery.course.submission_pictures import (
    EVALUATION,
    HandIn,
    Thresholds,
    as_facts,
    drawn,
    load_hand_in,
    load_model,
    load_thresholds,
    share_of,
    title_of,
)
from distillery.metrics.clip_score import ClipScorer
from grading.core.records import Flag, Outcome, Verdict
from grading.core.rules import Rules
from grading.sandbox.decode_png import decode
from grading.sandbox.jobs import Job, Limits, Reply, Sandbox
from grading.stages.stage import Stage

FOLDER = "pictures"
LARGEST_PICTURE = 4 * 2**20  # bytes
LARGEST_EVALUATION = 2**20
DIGITS = 5  # of a score
SCORES_DIFFER = 2e-3  # by which a reported score may: another machine, another batch
# Levels of 255, by which a picture drawn again may, on the mean. With other instruction sets of one
# processor it comes out bit for bit the same; another seed of an edit is 4.5 away, of a drawing 20.
PICTURES_DIFFER = 3.0
LIMITS = Limits(wall_s=240.0, cpu_s=240, memory_mb=3072)  # of drawing one picture

Array = np.ndarray[Any, Any]

# The kinds of flags; the first says that the code that was handed in did not draw the pictures.
NOT_REDRAWN = "picture not redrawn"
NOT_COMPARED = "picture not compared"
SCORES = "scores differ"


@dataclass(frozen=True)
class Handed:
    """The pictures of a hand-in.

    pictures: file name -> RGB, only those that the stage asks for.
    refused:  file name -> why it is as good as missing, the end of a sentence.
    """

    pictures: dict[str, Image.Image] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)


def grade_pictures(
    folder: Path,
    stage: Stage,
    *,
    rules: Rules,
    scorer: ClipScorer | None = None,
    thresholds: Mapping[str, Thresholds] | None = None,
    sandbox: Sandbox | None = None,
    source: str | None = None,
    seed: int = 0,
    scores: Mapping[str, float] | None = None,
    expected: Mapping[str, Image.Image] | None = None,
) -> tuple[Verdict | None, list[Flag]]:
    """The verdict on the pictures of a clean folder; None where the stage asks for none.

    Args:
        scorer: by default the one that the hand-in names.
        thresholds: by default those of data/thresholds.yaml.
        sandbox: draws pictures again; without one, nothing is drawn again.
        source: the whole text of guidance/<module>.py with the student's functions; None where they
            could not be put in.
        seed: decides which pictures are drawn again.
        scores: of its pictures by `score_class`, where the class was scored ahead.
        expected: what right code draws, from `expected_pictures`; only for code that has been
            judged right in every function of the stage. What equals it need not be drawn again.

    Raises:
        CourseError: the course's own files are at fault.
        SandboxError: the sandbox failed.
    """
    if not stage.pictures:
        return None, []
    hand_in = load_hand_in(stage.folder)
    handed = open_pictures(folder, hand_in)
    judge = scorer.id if scorer else hand_in.scorer
    if thresholds is None:
        thresholds = load_thresholds()
    if judge not in thresholds:
        raise CourseError(f"data/thresholds.yaml has no thresholds for {judge!r}; add them.")
    task = f"{stage.module}.pictures"
    worth = rules.worth(task)
    reported, problem = read_evaluation(folder / EVALUATION, hand_in.scorer)
    silent = [n for n in handed.pictures if reported is not None and n not in reported.scores]
    if silent:
        problem = f"eval.json says nothing of {', '.join(silent)}."
    lines, missing = _inventory(hand_in, handed, problem)
    if not handed.pictures:
        outcome: Outcome = "refused" if handed.refused else "to do"
        return Verdict(task, 0.0, worth, outcome, tuple(lines)), []
    if scores is None or scores.keys() != handed.pictures.keys():
        (scores,) = score_class([handed], hand_in, scorer=scorer)
    reached = thresholds[judge]
    mean = fmean(scores.values())
    share = share_of(reached.share(mean), missing, rules.missing_item_off)
    lines.append(_score_line(mean, judge, reached))
    untrue = [] if reported is None else differing(reported, scores)
    doubtful = [name for name in handed.pictures if not _is_expected(name, handed, expected)]
    chosen = random.Random(seed).sample(doubtful, min(rules.regenerate, len(doubtful)))
    not_drawn, flags = _redraw(hand_in, handed, chosen, sandbox, source)
    if untrue:
        flags.insert(0, Flag(SCORES, f"eval.json: {'; '.join(untrue)}."))
        lines.append(f"Reported scores cannot be reproduced: {'; '.join(untrue)}.")
    lines += not_drawn
    if untrue or not_drawn:
        lines.append("Pictures and scores that cannot be reproduced earn nothing.")
        share = 0.0
    outcome = "right" if share == 1 else "wrong"
    return Verdict(task, round(worth * share, 4), worth, outcome, tuple(lines)), flags


def _inventory(hand_in: HandIn, handed: Handed, problem: str) -> tuple[list[str], int]:
    """What is there, in sentences, and how many items are not."""
    absent = [n for n in hand_in.files if n not in handed.pictures and n not in handed.refused]
    count = len(hand_in.files)
    lines = [f"{len(handed.pictures)} of {count} pictures were handed in and can be read."]
    if absent:
        lines.append(f"Missing: {', '.join(absent)}; {hand_in.command} draws them.")
    lines += [f"{name} does not count: {why}." for name, why in handed.refused.items()]
    if problem:
        lines.append(f"{problem} {hand_in.command} writes it.")
    return lines, len(absent) + len(handed.refused) + bool(problem)


def _score_line(mean: float, scorer: str, thresholds: Thresholds) -> str:
    words = {1.0: "all points", 0.5: "half of the points", 0.0: "no points"}
    return (
        f"Their mean CLIP score is {mean:.3f} by {scorer}, which earns "
        f"{words[thresholds.share(mean)]}: from {thresholds.full:g} on it is all, from "
        f"{thresholds.half:g} on half."
    )


@functools.lru_cache
def _scorer(name: str, device: str) -> ClipScorer:
    return ClipScorer(name, device=device)


def score_class(
    handed: Sequence[Handed],
    hand_in: HandIn,
    *,
    scorer: ClipScorer | None = None,
    device: str = "auto",
) -> list[dict[str, float]]:
    """CLIP scores by file name, of the pictures of many hand-ins, in batches.

    Args:
        scorer: by default the one that the hand-in names, on `device`.

    Raises:
        CourseError: the course's own files are at fault.
    """
    scorer = scorer or _scorer(hand_in.scorer, device)
    shown = [as_shown(picture) for one in handed for picture in one.pictures.values()]
    titles = [title_of(hand_in.files[name]) for one in handed for name in one.pictures]
    scores = iter(_scores(scorer, shown, titles))
    return [{name: next(scores) for name in one.pictures} for one in handed]


def _scores(
    scorer: ClipScorer, images: Sequence[Image.Image], titles: Sequence[str]
) -> list[float]:
    """Scores of images beside their titles; a title that many share is embedded once."""
    if not images:
        return []
    known = list(dict.fromkeys(titles))
    texts = dict(zip(known, scorer.embed_texts(known), strict=True))
    embedded = scorer.embed_images(images)
    pairs = zip(embedded, titles, strict=True)
    # The last digits are those of a batch and a machine.
    return [round(float(image @ texts[title]), DIGITS) for image, title in pairs]


def as_shown(picture: Image.Image) -> Image.Image:
    """The picture as eval.py scores it: that of pixel art large, with every pixel a square."""
    return enlarged(picture) if picture.info.get("indexed") else picture


def open_pictures(folder: Path, hand_in: HandIn) -> Handed:
    """The pictures of a clean folder that its hand-in asks for and that have the right size.

    Nothing in the folder makes it fail.
    """
    contents, refused = {}, {}
    for name in hand_in.files:
        content = read_file(folder / FOLDER / name, LARGEST_PICTURE)
        if isinstance(content, str):
            refused[name] = content
        elif content is not None:
            contents[name] = content
    pictures, unreadable = decode(contents) if contents else ({}, {})
    refused |= unreadable
    for name in list(pictures):
        misfit = _misfit(pictures[name], hand_in.size)
        if misfit:
            refused[name] = misfit
            del pictures[name]
    in_order = [name for name in hand_in.files if name in pictures]
    return Handed({name: pictures[name] for name in in_order}, refused)


def _misfit(picture: Image.Image, size: tuple[int, int]) -> str:
    height, width = size
    if picture.size == (width, height):
        return ""
    return f"it is {picture.width} x {picture.height} pixels, and is drawn as {width} x {height}"


def read_file(path: Path, most: int) -> bytes | str | None:
    """The bytes of a regular file, None where there is none, or why it is not read."""
    try:
        # No link is followed, and no pipe waited for.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError:
        return "it is no file that can be read"
    try:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            return "it is no file that can be read"
        if about.st_size > most:
            return f"it has more than {most // 2**20} MB"
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(most)
    finally:
        os.close(descriptor)


@dataclass(frozen=True)
class Evaluation:
    """What an eval.json says: the mean, and the score of each file."""

    mean: float
    scores: dict[str, float]


def read_evaluation(path: Path, scorer: str) -> tuple[Evaluation | None, str]:
    """What eval.json says, and a sentence where it is as good as missing.

    It is, too, where another scorer wrote it: those numbers can neither be right nor wrong here.
    """
    content = read_file(path, LARGEST_EVALUATION)
    if content is None:
        return None, "eval.json is missing."
    if isinstance(content, str):
        return None, f"eval.json does not count: {content}."
    try:
        found = json.loads(content)
        rows = found["pictures"]
        scores = {_text(row["file"]): _score(row["score"]) for row in rows}
        evaluation, theirs = Evaluation(_score(found["mean"]), scores), _text(found["scorer"])
        if not rows or len(scores) < len(rows):
            raise ValueError("no file, or one twice")
    # A number of 5000 digits is a ValueError, and brackets without end a RecursionError.
    except (ValueError, TypeError, KeyError, RecursionError):
        return None, "eval.json is not what eval.py writes."
    if theirs != scorer:
        return None, f"eval.json was written by the scorer {theirs[:60]!r} and not by {scorer}."
    return evaluation, ""


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"no text: {value!r}")
    return value


def _score(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"no number: {value!r}")
    if not math.isfinite(value) or abs(value) > 1:
        raise ValueError("no cosine")
    return float(value)


def differing(reported: Evaluation, scores: Mapping[str, float]) -> list[str]:
    """In words, what is reported and not so; scores of other files decide nothing here."""
    found = [
        f"{name} is reported with {reported.scores[name]:.4f} and scores {score:.4f}"
        for name, score in scores.items()
        if name in reported.scores and abs(reported.scores[name] - score) > SCORES_DIFFER
    ]
    mean = fmean(reported.scores.values())
    if abs(reported.mean - mean) > SCORES_DIFFER:
        found.append(
            f"the mean is reported as {reported.mean:.4f} and that of its own scores is {mean:.4f}"
        )
    return found


def expected_pictures(stage: Stage, folder: Path) -> dict[str, Image.Image]:
    """What the reference draws of a stage's hand-in, by file name, RGB; kept in `folder`.

    Raises:
        CourseError: the course's own files are at fault, or the folder cannot be written.
    """
    hand_in = load_hand_in(stage.folder)
    method = importlib.import_module(f"reference.{hand_in.module}")
    assert method.__file__ is not None
    code = Path(method.__file__).read_bytes()
    found: dict[str, Image.Image] = {}
    prior = None
    for name, settings in hand_in.files.items():
        facts = json.dumps(as_facts(settings), sort_keys=True).encode()
        path = folder / f"{hashlib.sha256(code + facts).hexdigest()[:16]}.png"
        if not path.exists():
            prior = prior or load_model(settings)
            save_png(path, to_pil(drawn(prior, method, settings))[0])
        found[name] = load_image(path)
    return found


def _is_expected(name: str, handed: Handed, expected: Mapping[str, Image.Image] | None) -> bool:
    """Whether the picture is the one that right code draws."""
    if expected is None or expected[name].size != handed.pictures[name].size:
        return False
    pair = (np.asarray(picture) for picture in (expected[name], handed.pictures[name]))
    return distance(*pair) <= PICTURES_DIFFER


def _redraw(
    hand_in: HandIn,
    handed: Handed,
    chosen: Sequence[str],
    sandbox: Sandbox | None,
    source: str | None,
) -> tuple[list[str], list[Flag]]:
    """Sentences on pictures that the student's code does not draw, and flags."""
    if not chosen or sandbox is None:
        return [], []
    if source is None:
        why = "the code that should draw it was not handed in"
        flags = [Flag(NOT_REDRAWN, f"{name}: {why}.") for name in chosen]
        return [f"{name} cannot be reproduced: {why}." for name in chosen], flags
    lines, flags = [], []
    for name in chosen:
        job = Job("picture", hand_in.module, source, as_facts(hand_in.files[name]))
        reply = sandbox.run(job, LIMITS)
        unable = _unable(reply)
        if unable:
            flags.append(Flag(NOT_COMPARED, f"{name} was not drawn again: {unable}."))
            break  # the next one would fare no better
        why = _unlike(reply, handed.pictures[name])
        if why:
            lines.append(f"{name} cannot be reproduced: drawn again by the code handed in, {why}.")
            flags.append(Flag(NOT_REDRAWN, f"{name}: {why}."))
    return lines, flags


def _unable(reply: Reply) -> str:
    """What kept the sandbox from drawing that may not be the student's fault, or nothing."""
    if reply.ending in ("timed out", "out of memory"):
        return reply.ending
    # The course's own sentence, where a model cannot be read and no line of the student's was run.
    raised = reply.raised
    if raised is not None and raised.kind == CourseError.__name__ and not raised.line:
        return f"it stopped with {raised.message[:200]!r}"
    return ""


def _unlike(reply: Reply, picture: Image.Image) -> str:
    """Why the reply is not this picture, or nothing."""
    if reply.raised is not None:
        return f"it stops with {reply.raised.kind}: {reply.raised.message}"[:200].rstrip(".")
    if reply.ending != "returned":
        return "its process ends before the picture is done"
    image = reply.tensors.get("image")
    wanted = (picture.height, picture.width, 3)
    if image is None or image.dtype != torch.uint8 or tuple(image.shape) != wanted:
        return f"it gives no picture of {picture.width} x {picture.height} pixels"
    far = distance(image.numpy(), np.asarray(picture))
    if far > PICTURES_DIFFER:
        return f"it is another picture: its pixels differ by {far:.0f} levels of 255 on the mean"
    return ""


def distance(one: Array, other: Array) -> float:
    """Mean absolute difference of two pictures (H, W, 3), in levels of 255."""
    return float(np.abs(one.astype(np.float32) - other.astype(np.float32)).mean())
