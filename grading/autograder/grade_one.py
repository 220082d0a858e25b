"""Take in and grade one submission, on a machine that grades no other."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

import nbformat

from distillery.core.errors import in_short
from grading.core.notebook_cells import grade_id_of, todo_id
from grading.core.records import Record, Store
from grading.core.rules import Rules
from grading.core.submission import Submission
from grading.intake.archives import SubmissionError
from grading.intake.open_submission import plain_files
from grading.intake.receipts import files_in, workshop
from grading.intake.released import load_released
from grading.intake.take_in import take_in
from grading.judge.assemble_module import released_module
from grading.judge.grade import grade, open_grader
from grading.stages.stage import Stage

LARGEST_MODULE = 2**20  # bytes


@dataclass(frozen=True)
class Graded:
    """One graded submission.

    figures: task -> PNG of target, the student's result and the difference.
    rules:   of the class.
    """

    record: Record
    figures: dict[str, bytes]
    rules: Rules


def graded(
    source: Path,
    stage: Stage,
    course: Path,
    *,
    student: str = "student",
    names: Iterable[str] = (),
    sandbox: str = "landlock",
) -> Graded:
    """Grade a folder that a student uploaded.

    Args:
        course: folder with the rules and the released notebook of the class; it is written to.
        student: a name that is safe for a folder.
        names: others that a packed submission may have.
        sandbox: its name. Containers of services allow Landlock, and hardly ever namespaces.

    Raises:
        CourseError: the course folder or the machine is at fault.
    """
    submission = Submission(course, student, stage.folder)
    with workshop(course) as work:
        source, not_python = with_notebook(source, stage, course, work)
        intake = take_in(source, submission, received=datetime.now(timezone.utc), names=names)
    with open_grader(course, sandbox) as grader:
        record = grade(intake.submission, grader=grader)
        rules = grader.rules
    if record.status == "rejected" and not_python:
        record = replace(record, reason=not_python)
    store = Store(course)
    figures = {one.task: store.figure(record, one.figure) for one in record.verdicts if one.figure}
    return Graded(record, figures, rules)


def with_notebook(source: Path, stage: Stage, course: Path, work: Path) -> tuple[Path, str]:
    """The folder to take in: `source`, or one with a notebook made of a guidance/<module>.py.

    Only where there is no notebook at all does the module count.

    Returns:
        The folder, and why the module cannot be used; "" if it can, or if there is none.
    """
    try:
        top, _ = plain_files(source, work / "opened")
    except SubmissionError:
        return source, ""  # `take_in` says why
    files = files_in(top)
    modules = [path for path in files if path.name == f"{stage.module}.py"]
    if any(".ipynb" in path.name.lower() for path in files) or len(modules) != 1:
        return source, ""
    if modules[0].stat().st_size > LARGEST_MODULE:
        return source, f"{stage.module}.py is larger than {LARGEST_MODULE // 2**20} MB."
    try:
        notebook = notebook_of(modules[0].read_bytes(), stage, course)
    except SyntaxError as error:
        return source, f"{stage.module}.py is not Python (line {error.lineno}: {error.msg})."
    except (ValueError, RecursionError, MemoryError) as error:
        return source, f"{stage.module}.py cannot be read as Python ({in_short(error)})."
    (top / f"{stage.folder}.ipynb").write_text(nbformat.writes(notebook), encoding="utf-8")
    return top, ""


def notebook_of(module: bytes, stage: Stage, course: Path) -> nbformat.NotebookNode:
    """The released notebook with the answers of a module.

    What the module has at its top level beyond the released one comes before the first answer.

    Raises:
        SyntaxError, ValueError: it is not Python, or not in UTF-8.
        RecursionError, MemoryError: it is nested too deeply.
    """
    text = module.decode("utf-8-sig")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = ast.parse(text)
    given = {ast.dump(node) for node in ast.parse(released_module(stage)).body}
    lines = text.split("\n")
    answers: dict[str, str] = {}
    further = []
    for node in tree.body:
        first = min([node.lineno, *(one.lineno for one in getattr(node, "decorator_list", []))])
        source = "\n".join(lines[first - 1 : node.end_lineno])
        if isinstance(node, ast.FunctionDef) and node.name in stage.points:
            answers[node.name] = source
        elif ast.dump(node) not in given:
            further.append(source)
    notebook = nbformat.from_dict(load_released(course, stage.folder))
    before = "".join(f"{source}\n\n" for source in further)
    for name, answer in answers.items():
        task = f"{stage.module}.{name}"
        for cell in notebook.cells:
            if grade_id_of(cell) == todo_id(task):
                cell.source = f"%%todo {task}\n{before}{answer}"
                before = ""
    return notebook
