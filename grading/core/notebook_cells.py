"""The cells of a notebook that nbgrader knows, and how their ids name tasks.

A task such as "sds.sds_grad" has two cells: the TODO cell with the grade id `sds-sds_grad`, which
begins with `%%todo sds.sds_grad`, and the check with the grade id `sds-sds_grad-check`. The graded
cell of a stage's pictures has the id `sds-pictures` and belongs to the task "sds.pictures". What a
TODO cell holds is read in `distillery.course.todo_cell`.

Nothing in a cell is trusted: a student's notebook may hold anything where nbgrader's metadata
should be.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NOTEBOOK_METADATA = {  # of every notebook of the course, and of what is shown of a student's
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def todo_id(task: str) -> str:
    """ "sds.sds_grad" -> "sds-sds_grad", the grade id of its TODO cell; also of the pictures'."""
    return task.replace(".", "-", 1)


def check_id(task: str) -> str:
    """ "sds.sds_grad" -> "sds-sds_grad-check", the grade id of its check."""
    return f"{todo_id(task)}-check"


def task_of(grade_id: str) -> str:
    """The task of a grade id of any of the three kinds: "sds-sds_grad-check" -> "sds.sds_grad"."""
    return grade_id.removesuffix("-check").replace("-", ".", 1)


def nbgrader_of(cell: Mapping[str, Any]) -> Mapping[str, Any]:
    """nbgrader's metadata of a cell; empty where there is none, or nonsense."""
    metadata = cell.get("metadata")
    its = metadata.get("nbgrader") if isinstance(metadata, Mapping) else None
    return its if isinstance(its, Mapping) else {}


def grade_id_of(cell: Mapping[str, Any]) -> str:
    """The id that nbgrader knows a cell by, or ""."""
    grade_id = nbgrader_of(cell).get("grade_id")
    return grade_id if isinstance(grade_id, str) else ""


def source_of(cell: Mapping[str, Any]) -> str:
    """The text of a cell, which a notebook's file keeps as one string or as a list of lines."""
    source = cell.get("source", "")
    if isinstance(source, list):
        return "".join(line for line in source if isinstance(line, str))
    return source if isinstance(source, str) else ""
