"""What all submissions of a class have in common, done once.

`python -m grading.scheduler.score_class COURSE STAGE`

`python -m grading autograde` starts this before it grades the hand-ins one by one. It reads a
hand-in a line, as JSON, scores the pictures of all in batches, on a GPU where there is one, and
draws what right code draws. It is a program of its own, so that what a scorer takes is given back,
and one that fails stops nobody: what it did not do is done where a hand-in is graded.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

from distillery.course.submission_pictures import load_hand_in
from grading.core.records import EXPECTED, Store
from grading.core.rules import NAME, Rules
from grading.judge.pictures import expected_pictures, open_pictures, score_class
from grading.scheduler.worker_pool import die_with_parent
from grading.stages import stage_of
from grading.stages.stage import Stage

AT_ONCE = 64  # hand-ins whose pictures are in memory


def score(hand_ins: Sequence[tuple[str, str]], stage: Stage, course: Path) -> bool:
    """Save the scores of hand-ins, (student, digest); returns whether there was any picture.

    Raises:
        CourseError: the scorer cannot be loaded.
    """
    hand_in, store, found = load_hand_in(stage.folder), Store(course), False
    with ThreadPoolExecutor() as threads:  # each picture is decoded in a process of its own
        for places in _batches(hand_ins):
            folders = [course / "submitted" / student / stage.folder for student, _ in places]
            handed = list(threads.map(lambda folder: open_pictures(folder, hand_in), folders))
            for place, scores in zip(places, score_class(handed, hand_in), strict=True):
                store.save_scores(stage.folder, *place, hand_in.scorer, scores)
                found = found or bool(scores)
    return found


def _batches(places: Sequence[tuple[str, str]]) -> Iterator[Sequence[tuple[str, str]]]:
    return (places[start : start + AT_ONCE] for start in range(0, len(places), AT_ONCE))


def main() -> None:
    """The program: hand-ins in on stdin."""
    course, assignment = sys.argv[1:]
    die_with_parent()
    hand_ins = [tuple(json.loads(line)) for line in sys.stdin]
    stage = stage_of(assignment)
    if score(hand_ins, stage, Path(course)) and Rules.load(Path(course, NAME)).regenerate:
        torch.set_num_threads(1)  # as where students' code draws
        expected_pictures(stage, Path(course, EXPECTED))


if __name__ == "__main__":
    main()
