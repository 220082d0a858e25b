"""Writes a record as the results.json of PrairieLearn's external grading."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Mapping
from typing import Any

from grading.core.records import Record, Verdict
from grading.feedback.text import plain
from grading.judge.assemble_module import released_module
from grading.report.pictures_in_json import LABEL, add_pictures, data_url
from grading.stages import stage_of
from grading.stages.stage import Stage

LARGEST = 1_000_000  # bytes that PrairieLearn accepts
LONGEST = 4_000  # characters of one text
MOST_LINES = 40
WIDTH = 88  # characters of a line


def not_gradable(sentence: str) -> dict[str, Any]:
    """A result for a submission that cannot be graded: no points, and no attempt is lost."""
    return {"gradable": False, "format_errors": [plain(sentence, LONGEST)]}


def grader_result(record: Record, figures: Mapping[str, bytes]) -> dict[str, Any]:
    """The content of a results.json.

    A picture that would make it larger than `LARGEST` is left out, and the task says so.

    Args:
        record: graded or rejected.
        figures: task -> PNG of target, yours and difference.

    Raises:
        ValueError: the record is of a grader error, which is no result.
    """
    if record.status == "grader error":
        raise ValueError("a grader error has no result")
    if record.status == "rejected":
        return not_gradable(record.reason)
    worth = sum(verdict.worth for verdict in record.verdicts)
    contracts = _contracts(stage_of(record.assignment))
    content: dict[str, Any] = {
        "gradable": True,
        "score": min(1.0, round(record.points / worth, 6)) if worth else 0.0,
        "message": "Each task below says what the grader found.",
        "tests": [_test(one, contracts.get(one.task, "")) for one in record.verdicts],
    }
    add_pictures(content, figures, largest=LARGEST, show=_with_picture)
    return content


def _with_picture(test: Mapping[str, Any], png: bytes) -> dict[str, Any]:
    return {"images": [{"label": LABEL, "url": data_url(png)}]}


def _test(verdict: Verdict, contract: str) -> dict[str, Any]:
    lines = [_wrapped(line[:LONGEST]) for line in verdict.lines[:MOST_LINES]]
    return {
        "name": plain(verdict.task, 200),
        "description": contract,
        "points": round(verdict.points, 6),
        "max_points": round(verdict.worth, 6),
        "output": plain("\n".join(lines), LONGEST),
    }


def _wrapped(line: str) -> str:
    """A line as several that can be read without moving the page, which breaks none itself."""
    indent = line[: len(line) - len(line.lstrip())]
    return textwrap.fill(line, WIDTH, subsequent_indent=indent, break_on_hyphens=False)


def _contracts(stage: Stage) -> dict[str, str]:
    """Task -> the first line of what its function has to do."""
    functions = (
        node for node in ast.parse(released_module(stage)).body if isinstance(node, ast.FunctionDef)
    )
    return {
        f"{stage.module}.{node.name}": (ast.get_docstring(node) or "")
        .partition("\n")[0]
        .replace("`", "")
        for node in functions
    }
