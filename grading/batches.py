"""Score the pictures of a whole class in batches: `python -m grading.batches COURSE STAGE`.

`python -m grading autograde` starts this before it grades the hand-ins one by one. It reads a
hand-in a line, as JSON, and leaves its scores in the store; on a GPU where there is one. It is a
program of its own, so that the memory of a scorer is given back, and a scorer that fails stops
nobody: a hand-in without scores is scored where it is graded.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from distillery.hand_in import load_hand_in
from grading.pictures import open_pictures, score_class
from grading.records import Store
from grading.stages import Stage, stage_of
from grading.workers import die_with_parent

AT_ONCE = 64  # hand-ins whose pictures are in memory


def score(hand_ins: Sequence[tuple[str, str]], stage: Stage, course: Path) -> None:
    """Save the scores of hand-ins, (student, digest).

    Raises:
        CourseError: the scorer cannot be loaded.
    """
    hand_in, store = load_hand_in(stage.folder), Store(course)
    with ThreadPoolExecutor() as threads:  # each picture is decoded in a process of its own
        for places in _batches(hand_ins):
            folders = [course / "submitted" / student / stage.folder for student, _ in places]
            handed = list(threads.map(lambda folder: open_pictures(folder, hand_in), folders))
            for place, scores in zip(places, score_class(handed, hand_in), strict=True):
                store.save_scores(stage.folder, *place, hand_in.scorer, scores)


def _batches(places: Sequence[tuple[str, str]]) -> Iterator[Sequence[tuple[str, str]]]:
    return (places[start : start + AT_ONCE] for start in range(0, len(places), AT_ONCE))


def main() -> None:
    """The program: hand-ins in on stdin."""
    course, assignment = sys.argv[1:]
    die_with_parent()
    hand_ins = [tuple(json.loads(line)) for line in sys.stdin]
    score(hand_ins, stage_of(assignment), Path(course))


if __name__ == "__main__":
    main()
