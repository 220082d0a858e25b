"""Writes records as Gradescope's results.json, one per student."""

from __future__ import annotations

import json
from typing import Any
from zoneinfo import ZoneInfo

from distillery.core.counting import counted
from grading.core.records import Record, Verdict
from grading.core.times import IN_UTC, shown
from grading.feedback.text import plain
from grading.report.export import Grades

LARGEST = 1_000_000  # bytes that Gradescope accepts
LONGEST = 4_000  # characters of one text
MOST_LINES = 40
VISIBLE = "after_published"  # until then the whole class can still be graded again


def results(
    record: Record, grades: Grades | None = None, zone: ZoneInfo = IN_UTC
) -> dict[str, Any] | None:
    """The content of a results.json; None for a grader error, which must not look like a zero.

    Args:
        grades: from the gradebook, if there are any: with points set by hand and the late penalty.
        zone: in which times are shown.
    """
    if record.status == "grader error":
        return None
    said = record.reason or "Each task below says what the grader found."
    if grades is not None and grades.penalty:
        said += f"\nHanded in late: {counted(grades.penalty, 'point')} off.{_times(grades, zone)}"
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


def _times(grades: Grades, zone: ZoneInfo) -> str:
    if grades.handed_in is None or grades.due is None:
        return ""
    return f" It came {shown(grades.handed_in, zone)}, and was due {shown(grades.due, zone)}."


def results_json(
    record: Record, grades: Grades | None = None, zone: ZoneInfo = IN_UTC
) -> bytes | None:
    """The file as bytes, small enough for Gradescope."""
    facts = results(record, grades, zone)
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
