"""Score pictures by CLIP, and compare with the scores that a student reports."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from PIL import Image

from distillery.course.submission_pictures import HandIn, scored_parts
from distillery.metrics.clip_score import ClipScorer
from grading.core.limits import LARGEST_EVALUATION, SCORE_TOLERANCE
from grading.judge.open_pictures import SubmittedPictures, read_file

DIGITS = 5  # of a score


@functools.lru_cache
def _scorer(name: str, device: str) -> ClipScorer:
    return ClipScorer(name, device=device)


def score_class(
    submitted: Sequence[SubmittedPictures],
    hand_in: HandIn,
    *,
    scorer: ClipScorer | None = None,
    device: str = "auto",
) -> list[dict[str, float]]:
    """CLIP scores by file name of the pictures of many submissions, computed in batches.

    The score of an animation is the mean of its keyframes'.

    Args:
        scorer: by default the one that the stage names, on `device`.

    Raises:
        CourseError: the course's own files are at fault.
    """
    scorer = scorer or _scorer(hand_in.scorer, device)
    parts = [
        {name: scored_parts(its, hand_in.files[name]) for name, its in one.pictures.items()}
        for one in submitted
    ]
    together = [part for one in parts for of_file in one.values() for part in of_file]
    images, titles = [image for image, _ in together], [title for _, title in together]
    scores = iter(_scores(scorer, images, titles))
    return [
        {name: round(fmean(next(scores) for _ in its), DIGITS) for name, its in one.items()}
        for one in parts
    ]


def _scores(
    scorer: ClipScorer, images: Sequence[Image.Image], titles: Sequence[str]
) -> list[float]:
    """The score of each image with its title; each different title is embedded once."""
    if not images:
        return []
    known = list(dict.fromkeys(titles))
    texts = dict(zip(known, scorer.embed_texts(known), strict=True))
    embedded = scorer.embed_images(images)
    pairs = zip(embedded, titles, strict=True)
    # Further digits depend on the batch and the machine.
    return [round(float(image @ texts[title]), DIGITS) for image, title in pairs]


@dataclass(frozen=True)
class Evaluation:
    """What an eval.json says: the mean, and the score of each file."""

    mean: float
    scores: dict[str, float]


def read_evaluation(path: Path, scorer: str) -> tuple[Evaluation | None, str]:
    """The content of eval.json, or None and a sentence on why it counts as missing.

    The scores of another scorer count as missing: they cannot be checked here.
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
    """Sentences on reported scores that are not true; scores of other files are ignored."""
    found = [
        f"{name} is reported with {reported.scores[name]:.4f} and scores {score:.4f}"
        for name, score in scores.items()
        if name in reported.scores and abs(reported.scores[name] - score) > SCORE_TOLERANCE
    ]
    mean = fmean(reported.scores.values())
    if abs(reported.mean - mean) > SCORE_TOLERANCE:
        found.append(
            f"the mean is reported as {reported.mean:.4f} and that of its own scores is {mean:.4f}"
        )
    return found
