"""Records in the form that Gradescope reads: a results.json for each student."""

from __future__ import annotations

import json
from typing import Any

from grading.core.records import Record, Verdict
from grading.feedback.text import plain
from grading.report.export import Grades

LARGEST = 1_000_000  # bytes that are accepted
LONGEST = 4_000  # characters of one text
MOST_LINES = 40
VISIBLE = "after_published"  # until then the whole class can still be graded anew


def results(record: Record, grades: Grades | None = None) -> dict[str, Any] | None:
    """The facts of a results.json; None of a grader error, which is no zero.

    Args:
        grades: of the gradebook, where there are any: points set by hand and the late penalty
            count, and the total is theirs.
    """
    if record.status == "grader error":
        return None
    said = record.reason or "Each task below says what was found."
    if grades is not None and grades.penalty:
        said += f"\nHanded in late: {grades.penalty:g} points off."
    tests = [_test(index, one, grades) for index, one in enumerate(record.verdicts, start=1)]
    total = grades.total if grades is not None else record.points
    return {
        "score": round(total, 6),
        "execution_time": round(record.seconds),
        "output": plain(said, LONGEST),
        "output_format": "text",
        "test_output_format": "text",
        "test_name_format": "text",
        "visibility": VISIBLE,
        "stdout_visibility": "hidden",
        "tests": tests,
    }


def results_json(record: Record, grades: Grades | None = None) -> bytes | None:
    """The file itself, small enough to be accepted."""
    facts = results(record, grades)
    if facts is None:
        return None
    content = json.dumps(facts, indent=1).encode()
    if len(content) > LARGEST:
        for test in facts["tests"]:
            test["output"] = plain(test["output"], LONGEST // 10)
        content = json.dumps(facts).encode()
    return content


def _test(number: int, verdict: Verdict, grades: Grades | None) -> dict[str, Any]:
    points = verdict.points
    if grades is not None:
        points = grades.points.get(verdict.task, points)
    lines = [line[:LONGEST] for line in verdict.lines[:MOST_LINES]]
    return {
        "name": plain(verdict.task, 200),
        "number": str(number),
        "score": round(points, 6),
        "max_score": round(verdict.worth, 6),
        "status": "passed" if points >= verdict.worth else "failed",
        "output": plain("\n".join(lines), LONGEST),
        "visibility": VISIBLE,
    }
