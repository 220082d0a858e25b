"""What `data/checks/<stage>.json` says of a stage: its notebook, its tasks and their points.

Importing this module does not load torch.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from distillery.core.errors import CourseError
from distillery.core.folders import files_of
from distillery.course.student_files import course_root


def split_task(task: str) -> tuple[str, str]:
    """ "sds.sds_grad" -> ("sds", "sds_grad").

    Raises:
        CourseError: there is not one dot between two names.
    """
    stage, dot, function = task.partition(".")
    if not (dot and stage.isidentifier() and function.isidentifier()):
        raise CourseError(f"a task is named like sds.sds_grad; {task!r} is not.")
    return stage, function


def task_names(stage: str) -> list[str]:
    """The functions that a stage checks, in the order of its notebook."""
    return list(stored_facts(stage)["tasks"])


def given_names(stage: str) -> set[str]:
    """The names that a stage's module has as it is given to students."""
    return set(stored_facts(stage)["names"])


def checks_in(course: Path) -> list[Path]:
    """The files of the stages' checks in a course folder."""
    folder = course / "data" / "checks"
    return files_of(folder.glob("*"), (".json",), under=folder)


def stored_facts(stage: str) -> dict[str, Any]:
    """All that is stored of a stage but its tensors.

    Raises:
        CourseError: there are no checks for it, or they are damaged.
    """
    folder = course_root() / "data" / "checks"
    try:
        return json.loads((folder / f"{stage}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        stages = listed(path.stem for path in checks_in(folder.parents[1]))
        raise CourseError(
            f"there are no checks for a stage {stage!r}; there are for {stages}."
        ) from error


def listed(names: Iterable[str]) -> str:
    """The names, as a sentence counts them up."""
    return ", ".join(names) or "none"
