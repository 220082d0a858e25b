"""Look at the pictures and eval.json that a student will hand in."""

from __future__ import annotations

import contextlib
import io
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

from distillery.core.errors import CourseError
from grading.core.limits import SCORE_TOLERANCE
from grading.student.run_checks import CheckResult
from grading.student.student_stage import StudentStage


def check_pictures(stage: StudentStage, *, run: bool) -> tuple[list[CheckResult], list[str]]:
    """What the pictures would earn, and sentences on what is missing or wrong.

    Args:
        run: whether to score the pictures; without, the first list is empty.
    """
    from distillery.course.submission_pictures import EVALUATION, hand_in, load_hand_in

    wanted = load_hand_in(stage.name, stage.root / "data" / "hand_in.yaml")
    folder = stage.root / wanted.folder
    items, to_do = [*wanted.files, EVALUATION], list[str]()
    missing = [name for name in items if not (folder / name).is_file()]
    if missing:
        to_do.append(f"{wanted.folder} lacks {', '.join(missing)}: {wanted.command}")
    unfit = [
        name
        for name, its in wanted.files.items()
        if name not in missing and not _is_fit(folder / name, its)
    ]
    if unfit:
        to_do.append(f"{', '.join(unfit)} cannot be read as a picture: {wanted.command}")
    if not missing and not unfit:
        to_do += wrong_evaluation(folder / EVALUATION, wanted, run=run)
    if not run or unfit:
        return [], to_do
    with contextlib.redirect_stdout(io.StringIO()):
        prospect = hand_in(stage.name)
    older = [line.strip() for line in prospect.lines if line.strip().startswith("Not drawn by")]
    to_do += older
    if prospect.share < 1 and not missing:
        to_do.append(
            "the pictures do not earn all points yet, because their mean score above is too low: "
            "improve your functions and draw them again."
        )
    task, worth = f"{stage.fixed.module}.pictures", stage.pictures
    points = prospect.points(worth)
    return [CheckResult(task, prospect.share == 1, prospect.lines, points, worth)], to_do


def _is_fit(path: Path, settings: Any) -> bool:
    from distillery.course.submission_pictures import read_picture

    try:
        read_picture(path, settings)
    except CourseError:
        return False
    return True


def wrong_evaluation(path: Path, wanted: Any, *, run: bool) -> Iterator[str]:
    """Sentences on an eval.json of another form, on other pictures, or with wrong scores."""
    again = f"run {wanted.command}"
    try:
        stored = json.loads(path.read_bytes())
        rows = {row["file"]: (row["prompt"], float(row["score"])) for row in stored["pictures"]}
        scorer, mean = stored["scorer"], float(stored["mean"])
    except (OSError, ValueError, KeyError, TypeError):
        yield f"{path.name} is not as eval.py writes it; {again}"
        return
    scores = [score for _, score in rows.values()]
    if scorer != wanted.scorer:
        yield f"{path.name} is scored by {scorer} and should be by {wanted.scorer}; {again}"
    elif set(rows) != set(wanted.files):
        yield f"{path.name} is about other pictures than those to hand in; {again}"
    elif (
        not all(map(math.isfinite, scores))
        or abs(mean - sum(scores) / len(scores)) > SCORE_TOLERANCE
    ):
        yield f"the mean in {path.name} is not that of its scores; {again}"
    elif run and _score_again(path.parent, wanted, rows) > SCORE_TOLERANCE:
        yield f"the scores in {path.name} are not those of the pictures next to it; {again}"


def _score_again(folder: Path, wanted: Any, rows: Mapping[str, tuple[str, float]]) -> float:
    """The largest difference between the scores in eval.json and those measured now."""
    from distillery.course.submission_pictures import read_picture, scored_parts
    from distillery.metrics.clip_score import ClipScorer

    scorer = ClipScorer(wanted.scorer, device="cpu")
    far = []
    for name, settings in wanted.files.items():
        parts = scored_parts(read_picture(folder / name, settings), settings)
        shown, titles = zip(*parts, strict=True)
        far.append(abs(fmean(scorer.score(shown, titles)) - rows[name][1]))
    return max(far)
