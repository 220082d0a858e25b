"""The cells of a student's notebook, and the module that they make."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from distillery.core.errors import CourseError
from distillery.core.folders import files_of
from distillery.course.saved_cells import lacks, only_in_file
from distillery.course.saved_text import holds, is_answered, names_of, only_outside, replaced
from distillery.course.todo_cell import Answer, answer_in, read_answer, task_named
from grading.core.manifest import Cell
from grading.core.notebook_cells import grade_id_of, source_of, todo_id
from grading.student.student_stage import StudentStage


def read_cells(stage: StudentStage) -> list[dict[str, Any]]:
    """The cells of the student's notebook, each source one string.

    Raises:
        CourseError: it is missing, is not a notebook, or is a notebook of something else.
    """
    path, name = stage.notebook, stage.fixed.notebook
    if not path.is_file():
        there = files_of(path.parent.glob("*"), (".ipynb",), under=path.parent)
        others = [other for other in there if _is_of(stage, other)]
        also = f"; is it {others[0].name}? Then rename that" if others else ""
        raise CourseError(f"{name} is missing{also}.")
    try:
        stored = json.loads(path.read_bytes().decode("utf-8-sig"))
        cells = [_cell(one) for one in stored["cells"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise CourseError(
            f"{name} is not a notebook as Jupyter saves it; save it there again."
        ) from None
    language = stored.get("metadata", {}).get("kernelspec", {}).get("language", "python")
    if language != "python":
        raise CourseError(f"{name} has a kernel for {language}; choose one for Python and save it.")
    ids = {grade_id_of(cell) for cell in cells}
    if not ids & {cell.grade_id for cell in stage.fixed.cells}:
        raise CourseError(f"{name} has none of the cells of {stage.name}; is it another notebook?")
    return cells


def _is_of(stage: StudentStage, path: Path) -> bool:
    """Whether a file may be the stage's notebook under another name; a stage can have more."""
    try:
        text = path.read_text("utf-8", errors="replace")
    except OSError:
        return False
    return any(f'"{cell.grade_id}"' in text for cell in stage.fixed.cells)


def _cell(stored: Mapping[str, Any]) -> dict[str, Any]:
    kind, metadata = stored["cell_type"], stored.get("metadata", {})
    return {"cell_type": kind, "source": source_of(stored), "metadata": dict(metadata)}


def changed_cells(stage: StudentStage, cells: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Sentences on given cells that are missing, copied or changed."""
    for cell in stage.fixed.cells:
        came = [one for one in cells if grade_id_of(one) == cell.grade_id]
        what = f"the {'check' if cell.locked else 'TODO cell'} {cell.grade_id}"
        if not came:
            yield f"{what} is missing; copy it from the notebook in the zip."
        elif len(came) > 1:
            yield f"{what} is there {len(came)} times; delete the copies."
        elif came[0]["cell_type"] != cell.cell_type:
            yield f"{what} is not a {cell.cell_type} cell any more; change it back."
        elif cell.locked and came[0]["source"] != cell.source:
            yield f"{what} was changed; its text must be: {cell.source}"


def answers_of(
    stage: StudentStage, cells: Sequence[Mapping[str, Any]]
) -> tuple[dict[str, Answer], list[str]]:
    """Function -> the answer in its cell, and sentences on cells that cannot be used.

    A cell that is as released gives no answer either.
    """
    answers: dict[str, Answer] = {}
    faults: list[str] = []
    module, text = stage.fixed.module, stage.fixed.stub
    released = {cell.grade_id: cell for cell in stage.fixed.cells}
    for function in stage.fixed.functions:
        task = f"{module}.{function}"
        source = _source_of(task, cells, released[todo_id(task)])
        if source is None:
            continue
        try:
            answer = _answer_of(task, source)
            text = replaced(text, task, answer.code)
            answers[function] = answer
        except CourseError as error:
            faults.append(f"{task} cannot be graded: {error}")
    return answers, faults


def _source_of(task: str, cells: Sequence[Mapping[str, Any]], released: Cell) -> str | None:
    """The text of the cell that is graded for a task; None where all are as released.

    As in the grader, a cell answers a task by its `%%todo` line, or by its id where it has none,
    and the last one that was written counts.
    """
    asking = [
        cell["source"]
        for cell in cells
        if cell["cell_type"] == "code"
        and (task_named(cell["source"]) or (task if grade_id_of(cell) == todo_id(task) else None))
        == task
    ]
    stub = _squeezed(answer_in(released.source))
    written = [source for source in asking if _squeezed(answer_in(source)) != stub]
    return written[-1] if written else None


def _squeezed(text: str) -> str:
    return "".join(text.split())


def _answer_of(task: str, source: str) -> Answer:
    if task_named(source) != task:
        raise CourseError(f"its cell must begin with the line %%todo {task}.")
    return read_answer(task, source)  # as running the cell does


def assembled(stage: StudentStage, answers: Mapping[str, Answer]) -> str:
    """The module that is graded: the stub with the answers of the notebook's cells."""
    text = stage.fixed.stub
    for function, answer in answers.items():
        text = replaced(text, f"{stage.fixed.module}.{function}", answer.code)
    return text


def differing(
    stage: StudentStage, answers: Mapping[str, Answer], faults: Sequence[str]
) -> Iterator[str]:
    """Sentences on functions whose cell holds something else than guidance/, which nobody grades.

    Args:
        faults: of `answers_of`; their cells need no second sentence.
    """
    path = stage.root / stage.fixed.guidance
    name = stage.fixed.guidance
    again = ", and draw your pictures again" * bool(stage.pictures)
    try:
        present = path.read_text("utf-8-sig")
    except (OSError, ValueError):
        yield f"{name} cannot be read; unpack it from the zip and run your cells."
        return
    given = names_of(stage.fixed.stub)
    for function in stage.fixed.functions:
        task = f"{stage.fixed.module}.{function}"
        answer = answers.get(function)
        outside = only_outside(present, answer.code, given) if answer else []
        if answer is None and is_answered(present, task) and task not in " ".join(faults):
            yield only_in_file(task)
        elif answer is not None and not holds(present, task, answer.code):
            yield (
                f"{name} holds another {function} than your notebook, whose cell is graded: run "
                f"the cell, or replace its text by the line %load_todo {task} if the file's is the "
                f"better one{again}."
            )
        elif outside:
            yield lacks(task, outside)
