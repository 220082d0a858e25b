"""The cells of a student's notebook, and the module that they make."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from distillery.core.errors import CourseError
from distillery.course.saved_text import holds, is_answered, replaced
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
        others = sorted(path.parent.glob("*.ipynb")) if path.parent.is_dir() else []
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


def codes_of(
    stage: StudentStage, cells: Sequence[Mapping[str, Any]]
) -> tuple[dict[str, str], list[str]]:
    """Function -> the code of its cell, and sentences on cells that cannot be used.

    A cell that is as released gives no code either.
    """
    from distillery.course.todo_magic import check_cell, replaced

    codes: dict[str, str] = {}
    faults: list[str] = []
    module, text = stage.fixed.module, stage.fixed.stub
    released = {cell.grade_id: cell for cell in stage.fixed.cells}
    for function in stage.fixed.functions:
        task = f"{module}.{function}"
        grade_id = todo_id(task)
        came = next((cell for cell in cells if grade_id_of(cell) == grade_id), None)
        if came is None or came["cell_type"] != "code" or _is_untouched(came, released[grade_id]):
            continue
        try:
            code = _code_of(task, came["source"])
            check_cell(task, function, code)  # as running the cell does
            text = replaced(text, task, code)
            codes[function] = code
        except CourseError as error:
            faults.append(str(error).replace("was not saved", "cannot be graded"))
    return codes, faults


def _is_untouched(cell: Mapping[str, Any], released: Cell) -> bool:
    return "".join(cell["source"].split()) == "".join(released.source.split())


def _code_of(task: str, source: str) -> str:
    if task_named(source) != task:
        raise CourseError(f"the cell of {task} must begin with the line %%todo {task}.")
    return code_below(source)


def assembled(stage: StudentStage, codes: Mapping[str, str]) -> str:
    """The module that is graded: the stub with the code of the notebook's cells."""
    from distillery.course.todo_magic import replaced

    text = stage.fixed.stub
    for function, code in codes.items():
        text = replaced(text, f"{stage.fixed.module}.{function}", code)
    return text


def not_saved(stage: StudentStage, codes: Mapping[str, str]) -> Iterator[str]:
    """Sentences on functions whose cell differs from guidance/, which draws the pictures."""
    path = stage.root / stage.fixed.guidance
    try:
        present = path.read_text("utf-8")
    except (OSError, ValueError):
        yield f"{stage.fixed.guidance} cannot be read; unpack it from the zip and run your cells."
        return
    for function, code in codes.items():
        if code.strip("\n") not in present.replace("\r\n", "\n"):
            yield (
                f"{stage.fixed.guidance} holds another {function} than your notebook, whose code "
                f"is graded: run its cell{', and draw your pictures again' * bool(stage.pictures)}."
            )
