"""Take in and grade the submission of a Gradescope machine."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import nbformat

from grading.autograder.gradescope_facts import late_by, not_graded, users_of
from grading.core.notebook_cells import grade_id_of, todo_id
from grading.core.parse_code import parsed
from grading.core.records import Store
from grading.core.rules import Rules
from grading.core.submission import Submission
from grading.gradebook.late_penalty import penalty
from grading.intake.archives import SubmissionError
from grading.intake.find_flags import safe_student
from grading.intake.open_submission import plain_files
from grading.intake.receipts import files_in, workshop
from grading.intake.released import load_released
from grading.intake.take_in import take_in
from grading.judge.assemble_module import released_module
from grading.judge.grade import grade, open_grader
from grading.report.gradescope import Late, autograder_result
from grading.stages import stage_of
from grading.stages.stage import Stage

LARGEST_MODULE = 2**20  # bytes


def graded(
    autograder: Path,
    settings: Mapping[str, Any],
    metadata: Mapping[str, Any],
    *,
    sandbox: str = "landlock",
) -> dict[str, Any]:
    """The result of the submission in `autograder`/submission.

    Args:
        settings: of the zip.
        metadata: Gradescope's facts on the submission.
        sandbox: its name. Gradescope's containers allow Landlock, and hardly ever namespaces.

    Raises:
        CourseError: the zip or the machine is at fault.
    """
    course, stage = autograder / "source" / "class", stage_of(settings["stage"])
    users = users_of(metadata)
    names = [str(user.get(key)) for user in users for key in ("email", "name", "id")]
    student = safe_student(str(users[0].get("email") or "")) if users else ""
    submission = Submission(course, student or "student", stage.folder)
    with workshop(course) as work:
        source = with_notebook(autograder / "submission", stage, course, work)
        intake = take_in(source, submission, received=datetime.now(timezone.utc), names=names)
    with open_grader(course, sandbox) as grader:
        record = grade(intake.submission, grader=grader)
        rules = grader.rules
    if record.status == "grader error":
        return not_graded(f"the grader failed ({record.reason}).")
    store = Store(course)
    figures = {one.task: store.figure(record, one.figure) for one in record.verdicts if one.figure}
    return autograder_result(
        record, figures=figures, late=_late(metadata, record.points, rules), show=settings["show"]
    )


def _late(metadata: Mapping[str, Any], points: float, rules: Rules) -> Late | None:
    seconds, due = late_by(metadata)
    if due is None or not seconds:
        return None
    return Late(penalty(points, seconds, rules), seconds, due)


def with_notebook(source: Path, stage: Stage, course: Path, work: Path) -> Path:
    """The folder to take in: `source`, or one with a notebook made of a guidance/<module>.py.

    Only where there is no notebook at all does the module count.
    """
    try:
        top, _ = plain_files(source, work / "opened")
    except SubmissionError:
        return source  # `take_in` says why
    files = files_in(top)
    modules = [path for path in files if path.name == f"{stage.module}.py"]
    if any(".ipynb" in path.name.lower() for path in files) or len(modules) != 1:
        return source
    if modules[0].stat().st_size > LARGEST_MODULE:
        return source
    notebook = notebook_of(modules[0].read_bytes(), stage, course)
    if notebook is None:
        return source
    (top / f"{stage.folder}.ipynb").write_text(nbformat.writes(notebook), encoding="utf-8")
    return top


def notebook_of(module: bytes, stage: Stage, course: Path) -> nbformat.NotebookNode | None:
    """The released notebook with the answers of a module; None where it is not Python.

    What the module has at its top level beyond the released one comes before the first answer.
    """
    try:
        text = module.decode("utf-8-sig")
        tree = parsed(text)
    except (UnicodeDecodeError, SyntaxError, ValueError):
        return None
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
