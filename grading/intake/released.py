"""The notebook that nbgrader released, and whether its points are those of the rules."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from distillery.core.errors import CourseError
from grading.core.notebook_cells import grade_id_of, task_of
from grading.core.rules import NAME as RULES
from grading.core.rules import Rules
from grading.core.submission import released_notebook


def load_released(course: Path, assignment: str) -> NotebookNode:
    """The notebook that nbgrader released. Callers must not change it.

    Raises:
        CourseError: there is none.
    """
    path = released_notebook(course, assignment)
    try:
        return _read(path, path.stat().st_mtime_ns)
    except (OSError, ValueError) as error:
        raise CourseError(
            f"there is no released notebook {path}: run python -m grading release {assignment}."
        ) from error


def check_released(course: Path, assignment: str, rules: Rules) -> None:
    """Compare the points of the released checks with the rules.

    Raises:
        CourseError: they differ, or nothing is released.
    """
    for cell in load_released(course, assignment).cells:
        nbgrader = cell.metadata.get("nbgrader", {})
        if cell.cell_type != "code" or not nbgrader.get("grade"):
            continue
        task = task_of(grade_id_of(cell))
        if nbgrader["points"] != rules.maximum(task):
            raise CourseError(
                f"{task} was released for {nbgrader['points']:g} points, and {RULES} says "
                f"{rules.maximum(task):g}: run python -m grading release {assignment}, or correct "
                f"{RULES}."
            )


@lru_cache(maxsize=16)
def _read(path: Path, changed: int) -> NotebookNode:
    return nbformat.read(path, as_version=4)
