"""Where a notebook's source asks for a written answer, and what stands there in each notebook.

In a text cell `{answer to bug_hunt_1}` and `{answer to question_1}`, alone on a line, are the
places of one answer, and `{answers to dares}` that of all dares. The answers are in
reference/<stage>.md. The notebook of a full copy of the course folds away the solution of a bug
hunt; that of a class only says how to see an answer; and the one that is given out after the
deadline has all of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath

from nbformat import NotebookNode

from distillery.core.errors import CourseError
from distillery.course.answers import WRITTEN
from grading.stages.stage import Stage

PLACE = re.compile(rf"^\{{(?:answer to ({WRITTEN.pattern})|answers to (dares))\}}$", re.MULTILINE)
ANY_PLACE = re.compile(r"\{answers? to [^}]*\}")

Show = Callable[[str], str]  # the name of an answer, or "dares" -> what stands in its place


def fill_in(path: PurePosixPath, cells: list[NotebookNode], show: Show) -> None:
    """Replace the places in the text cells of a notebook.

    Args:
        path: of the notebook, from the root of the course.

    Raises:
        CourseError: a place is not written as it must be.
    """
    for cell in cells:
        if cell.cell_type == "markdown":
            cell.source = PLACE.sub(lambda match: show(match[1] or "dares"), cell.source)
            if wrong := ANY_PLACE.search(cell.source):
                raise CourseError(
                    f"{path.with_suffix('.py')} has {wrong[0]}, which must stand alone on its line "
                    "and name bug_hunt_1, question_1 (with the number of one) or dares."
                )


def check_places(stage: Stage, sources: str, written: Mapping[str, str]) -> None:
    """Every answer has a place, and every place an answer.

    Args:
        sources: of all notebooks of the stage.

    Raises:
        CourseError: one has not.
    """
    text = sources.replace("\n# ", "\n")
    places = {match[1] or "dares" for match in PLACE.finditer(text)}
    answers = {"dares" if name.startswith("dare_") else name for name in written}
    if places != answers:
        raise CourseError(
            f"reference/{stage.module}.md answers {', '.join(sorted(answers)) or 'nothing'}, and "
            f"the notebooks of {stage.folder} have places for "
            f"{', '.join(sorted(places)) or 'nothing'}."
        )


def said(stage: Stage) -> Show:
    """How to see an answer, for the notebook of a class."""

    def show(name: str) -> str:
        if name == "dares":
            return (
                f'`answer("{stage.module}.dare_1")` says what came out when we tried the first '
                "dare, `dare_2` the second, and so on."
            )
        return f'`answer("{stage.module}.{name}")` shows our answer.'

    return show


def folded(stage: Stage, written: Mapping[str, str]) -> Show:
    """The solution of a bug hunt, folded away, for a full copy of the course."""
    otherwise = said(stage)

    def show(name: str) -> str:
        if not name.startswith("bug_hunt_"):
            return otherwise(name)
        return f"<details><summary>Solution</summary>\n\n{written[name]}\n\n</details>"

    return show


def shown(written: Mapping[str, str]) -> Show:
    """All answers, for the notebook that is given out after the deadline."""

    def show(name: str) -> str:
        if name != "dares":
            return f"**Our answer.** {written[name]}"
        dares = {one: its for one, its in written.items() if one.startswith("dare_")}
        return "\n\n".join(
            f"**Dare {one.removeprefix('dare_')}, our answer.** {its}" for one, its in dares.items()
        )

    return show
