"""Grade the pictures of a submission: score them again, and draw some of them again.

For the pictures that data/hand_in.yaml asks for:

- each must be a PNG of the right name and size, or a GIF of the right frames, palette and times.
  Each missing one costs a part of the points, and so does a missing eval.json;
- an animation must move as `distillery.course.films` says; each flaw costs as much as a missing
  picture;
- eval.json must say what these pictures score. If it says something else, they earn no points;
- the student's own code must draw them. Some are drawn again in the sandbox and compared.

The mean score, as measured here, decides how many points they earn. Code that contains a picture
could return it; the checks of the functions find this, and `grading.judge.copied_pictures` finds
pictures that two submissions share without reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from distillery.course.submission_pictures import (
    EVALUATION,
    HandIn,
    Thresholds,
    flaws,
    load_hand_in,
    load_thresholds,
    share_of,
    thresholds_for,
)
from distillery.metrics.clip_score import ClipScorer
from grading.core.records import Flag, Outcome, Verdict
from grading.core.rules import Rules
from grading.judge.open_pictures import SubmittedPictures, open_pictures
from grading.judge.redraw import Redrawing, redraw
from grading.judge.score_pictures import Evaluation, differing, read_evaluation, score_class
from grading.stages.stage import Stage

SCORES = "scores differ"  # the kind of a flag


@dataclass(frozen=True)
class Scoring:
    """How pictures are scored.

    scorer:     by default the one that the stage names.
    thresholds: by default those of data/thresholds.yaml.
    scores:     by file name, where `score_class` has scored the class before.
    """

    scorer: ClipScorer | None = None
    thresholds: Mapping[str, Thresholds] | None = None
    scores: Mapping[str, float] | None = None


def grade_pictures(
    folder: Path,
    stage: Stage,
    *,
    rules: Rules,
    scoring: Scoring | None = None,
    redrawing: Redrawing | None = None,
) -> tuple[Verdict | None, list[Flag]]:
    """The verdict on the pictures of a clean folder; None where the stage asks for none.

    Args:
        redrawing: None draws no picture again.

    Raises:
        CourseError: the course's own files are at fault.
        SandboxError: the sandbox failed.
    """
    if not stage.pictures:
        return None, []
    scoring = scoring or Scoring()
    hand_in = load_hand_in(stage.folder)
    submitted = open_pictures(folder, hand_in)
    scorer = scoring.scorer.id if scoring.scorer else hand_in.scorer
    known = load_thresholds() if scoring.thresholds is None else scoring.thresholds
    thresholds = thresholds_for(known, scorer, hand_in.size)
    task = f"{stage.module}.pictures"
    worth = rules.worth(task)
    reported, problem = _reported(folder, hand_in, submitted)
    lines, missing = _inventory(hand_in, submitted, problem)
    if not submitted.pictures:
        outcome: Outcome = "refused" if submitted.refused else "to do"
        return Verdict(task, 0.0, worth, outcome, tuple(lines)), []
    scores = scoring.scores
    if scores is None or scores.keys() != submitted.pictures.keys():
        (scores,) = score_class([submitted], hand_in, scorer=scoring.scorer)
    mean = fmean(scores.values())
    wrong = flaws(hand_in, submitted.pictures)
    lines += wrong
    share = share_of(thresholds.share(mean), missing + len(wrong), rules.missing_item_off)
    lines.append(_score_line(mean, scorer, thresholds))
    not_drawn, flags = redraw(hand_in, submitted, rules.regenerate, redrawing)
    untrue = [] if reported is None else differing(reported, scores)
    if untrue:
        flags.insert(0, Flag(SCORES, f"eval.json: {'; '.join(untrue)}."))
        lines.append(f"Reported scores cannot be reproduced: {'; '.join(untrue)}.")
    lines += not_drawn
    if untrue or not_drawn:
        lines.append("Pictures and scores that cannot be reproduced earn no points.")
        share = 0.0
    outcome = "right" if share == 1 else "wrong"
    return Verdict(task, round(worth * share, 4), worth, outcome, tuple(lines)), flags


def _reported(
    folder: Path, hand_in: HandIn, submitted: SubmittedPictures
) -> tuple[Evaluation | None, str]:
    """The content of eval.json, and what is wrong with it."""
    reported, problem = read_evaluation(folder / EVALUATION, hand_in.scorer)
    if reported is None:
        return None, problem
    silent = [name for name in submitted.pictures if name not in reported.scores]
    return reported, f"eval.json says nothing of {', '.join(silent)}." if silent else problem


def _inventory(
    hand_in: HandIn, submitted: SubmittedPictures, problem: str
) -> tuple[list[str], int]:
    """Sentences on what is there, and how many items are missing."""
    there, refused = submitted.pictures, submitted.refused
    absent = [name for name in hand_in.files if name not in there and name not in refused]
    lines = [f"{len(there)} of {len(hand_in.files)} pictures were handed in and can be read."]
    if absent:
        lines.append(f"Missing: {', '.join(absent)}; {hand_in.command} draws them.")
    lines += [f"{name} does not count: {why}." for name, why in refused.items()]
    if problem:
        lines.append(f"{problem} {hand_in.command} writes it.")
    return lines, len(absent) + len(refused) + bool(problem)


def _score_line(mean: float, scorer: str, thresholds: Thresholds) -> str:
    words = {1.0: "all points", 0.5: "half of the points", 0.0: "no points"}
    return (
        f"Their mean CLIP score is {mean:.3f} by {scorer}, which earns "
        f"{words[thresholds.share(mean)]}: {thresholds.full:g} or more earns all points, "
        f"{thresholds.half:g} or more half of them."
    )
