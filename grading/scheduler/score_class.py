"""Do once for a class what all its submissions need.

`python -m grading.scheduler.score_class COURSE STAGE`

`python -m grading autograde` starts this program before it grades the submissions one by one. It
reads one submission a line, [student, digest] as JSON, scores the pictures of all of them in
batches, on a GPU where there is one, and draws what right code draws. As a program of its own it
frees the memory of the scorer, and its failure stops nobody: what it has not done is done where a
submission is graded.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

from distillery.core.program import run_program
from distillery.course.submission_pictures import load_hand_in
from grading.core.records import EXPECTED, Store
from grading.core.rules import NAME, Rules
from grading.core.submission import Submission
from grading.judge.open_pictures import open_pictures
from grading.judge.redraw import expected_pictures
from grading.judge.score_pictures import score_class
from grading.scheduler.worker_pool import follow_parent
from grading.stages import stage_of
from grading.stages.stage import Stage

AT_ONCE = 64  # submissions whose pictures are in memory


def score(submissions: Sequence[Submission], stage: Stage) -> bool:
    """Save the scores of submissions of known digest; returns whether there was any picture.

    Raises:
        CourseError: the scorer cannot be loaded.
    """
    hand_in, found = load_hand_in(stage.folder), False
    with ThreadPoolExecutor() as threads:  # each picture is decoded in a process of its own
        for start in range(0, len(submissions), AT_ONCE):
            batch = submissions[start : start + AT_ONCE]
            opened = list(threads.map(lambda one: open_pictures(one.folder, hand_in), batch))
            for one, scores in zip(batch, score_class(opened, hand_in), strict=True):
                Store(one.course).save_scores(one, hand_in.scorer, scores)
                found = found or bool(scores)
    return found


def main() -> None:
    """The program: submissions in on stdin."""
    course, stage = Path(sys.argv[1]), stage_of(sys.argv[2])
    follow_parent()
    pairs = [json.loads(line) for line in sys.stdin]
    submissions = [Submission(course, student, stage.folder, digest) for student, digest in pairs]
    if score(submissions, stage) and Rules.load(course / NAME).regenerate:
        torch.set_num_threads(1)  # as where students' code draws
        expected_pictures(stage, course / EXPECTED)


if __name__ == "__main__":
    run_program(main)
