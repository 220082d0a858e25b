"""Grade the one submission of a PrairieLearn job, and write its results.json.

python -m grading.autograder.run_prairielearn /grade

The image holds the course without its answers; they come with the question, in /grade/tests.
Whatever goes wrong, the result is a sentence, and "not gradable", which costs no attempt.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from grading.autograder.host import ASK, Host, Result, leave_result, result_within

COURSE = Path(__file__).resolve().parents[2]
COURSE_IN_TESTS = "course"  # folder in tests/ whose files belong into the course
IMAGE_ID = "image_id"
SETTINGS = "grader.json"
RESERVE_S = 20  # before PrairieLearn's own limit, to write a result


def not_graded(why: str) -> Result:
    """A result that says why there is none; the student loses nothing."""
    return {"gradable": False, "format_errors": [f"Not graded: {why} {ASK}"]}


HOST = Host(
    not_graded,
    "those who run your PrairieLearn set it (graderDockerMemory)",
    "give the question a longer timeout, of 600 seconds at most",
)


def run(grade: Path, course: Path = COURSE, *, root: Path = Path("/")) -> Result:
    """The content of results.json for the submission that is there.

    Args:
        grade: the folder that PrairieLearn calls /grade.
        course: the image's course; the answers are copied into it.
        root: under which the machine's own files are.
    """
    tests = grade / "tests"
    settings = json.loads((tests / SETTINGS).read_text("utf-8"))
    if settings["image"] != (course / IMAGE_ID).read_text("utf-8"):
        return not_graded(
            "this question was made for another version of its image: build the image again from "
            "the folder that python -m grading prairielearn wrote."
        )
    shutil.copytree(tests / COURSE_IN_TESTS, course, dirs_exist_ok=True)
    return result_within(
        HOST,
        lambda: _graded(grade / "student", settings["stage"], course),
        needed_mb=settings["needed_mb"],
        seconds=settings["timeout"] - RESERVE_S,
        root=root,
    )


def _graded(submission: Path, assignment: str, course: Path) -> Result:
    from grading.autograder.course_parts import CLASS
    from grading.autograder.grade_one import graded
    from grading.feedback.text import one_line
    from grading.intake.find_flags import OTHER_STUDENT
    from grading.report.prairielearn import grader_result
    from grading.stages import stage_of

    one = graded(submission, stage_of(assignment), course / CLASS)
    for flag in one.record.flags:  # the job's output, which PrairieLearn shows to instructors
        if flag.kind != OTHER_STUDENT:  # nothing here says whose the submission is
            print(f"flag: {flag.kind}: {one_line(flag.sentence, 1000)}")
    if one.record.status == "grader error":
        return not_graded(f"the grader failed ({one.record.reason}).")
    return grader_result(one.record, one.figures)


def main(arguments: Sequence[str] | None = None) -> int:
    """Grade, and write a result in any case."""
    given = sys.argv[1:] if arguments is None else arguments
    grade = Path(given[0] if given else "/grade")
    leave_result(grade / "results" / "results.json", lambda: run(grade), not_graded)
    return 0


if __name__ == "__main__":
    sys.exit(main())
