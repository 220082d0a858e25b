"""Writes records as Gradescope's results.json, one per student."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from distillery.core.counting import counted
from grading.core.records import Record, Verdict
from grading.core.times import IN_UTC, shown, span
from grading.feedback.text import plain
from grading.report.pictures_in_json import LABEL, add_pictures, data_url

if TYPE_CHECKING:
    from grading.report.export import Grades

LARGEST = 1_000_000  # bytes that Gradescope accepts
LONGEST = 4_000  # characters of one text
MOST_LINES = 40
VISIBLE = "after_published"  # until then the whole class can still be graded again
SHOWN_WHEN = ("visible", "after_due_date", "after_published")


@dataclass(frozen=True)
class Late:
    """What handing in late costs.

    penalty: in points.
    seconds: after the due date.
    due:     the due date, as Gradescope writes it.
    """

    penalty: float
    seconds: float
    due: str


def autograder_result(
    record: Record,
    *,
    figures: Mapping[str, bytes],
    late: Late | None = None,
    show: str = VISIBLE,
) -> dict[str, Any]:
    """The content of a results.json that an autograder writes, with pictures.

    A picture that would make it larger than `LARGEST` is left out, and the task says so.

    Args:
        record: graded or rejected.
        figures: task -> PNG of target, yours and difference.
        show: when students see it, one of `SHOWN_WHEN`.

    Raises:
        ValueError: the record is of a grader error, which is no result.
    """
    content = results(record)
    if content is None:
        raise ValueError("a grader error has no result")
    content["visibility"] = show
    if late is not None:
        content["score"] = round(max(0.0, record.points - late.penalty), 6)
        content["output"] += (
            f"\nHanded in {span(late.seconds)} late (due {late.due}): "
            f"{counted(round(late.penalty, 2), 'point')} off."
        )
    for test in content["tests"]:
        test["visibility"] = show
    if record.flags:
        content["tests"].append(_for_instructor(record))
    add_pictures(content, figures, largest=LARGEST, show=_with_picture)
    return content


def _with_picture(test: Mapping[str, Any], png: bytes) -> dict[str, Any]:
    return {"output": _page(test["output"], png), "output_format": "html"}


def _page(text: str, png: bytes) -> str:
    """A text and below it a picture, as HTML in which nothing of the text is markup."""
    lines = f'<pre style="white-space: pre-wrap">{html.escape(text)}</pre>'
    return f'{lines}<img alt="{LABEL}" src="{data_url(png)}">'


def _for_instructor(record: Record) -> dict[str, Any]:
    """The flags, which only instructors see and which cost nothing."""
    lines = [f"{flag.kind}: {flag.sentence}" for flag in record.flags[:MOST_LINES]]
    return {
        "name": "for the instructor",
        "output": plain("\n".join(lines), LONGEST),
        "visibility": "hidden",
    }


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
