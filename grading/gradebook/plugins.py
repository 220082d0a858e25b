"""What is put into nbgrader: student code is graded outside, and nbgrader keeps the books.

In a course's nbgrader_config.py:

    from grading.gradebook.plugins import configure

    configure(c)

Then `nbgrader autograde`, the button of formgrader and `python -m grading autograde` give the same
grades: nbgrader's own Autograde converter runs in all of them, without executing anything.
"""

from __future__ import annotations

import atexit
import contextlib
import html
import importlib
import logging
import os
from pathlib import Path
from typing import Any

import nbformat
from nbconvert.exporters.exporter import ResourcesDict
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell, new_output
from nbgrader import utils
from nbgrader.preprocessors import NbGraderPreprocessor, SaveAutoGrades
from traitlets import Bool, Unicode
from traitlets.config import Config

from distillery.core.errors import CourseError
from grading.core.notebook_cells import grade_id_of, task_of
from grading.core.records import Record, Store, Verdict
from grading.core.rules import NAME, settle
from grading.feedback.sanitise import FOR_INSTRUCTOR
from grading.feedback.text import LONGEST, one_line, plain
from grading.intake.repair_notebook import mend, read_notebook
from grading.intake.take_in import check_released, load_intake, load_released, taken_in
from grading.judge.run_notebook import GRADER, outputs_of, path_of, run_through

SANITIZE = [
    "grading.plugins.Mend",
    "nbgrader.preprocessors.ClearOutput",
    "nbgrader.preprocessors.DeduplicateIds",
    "nbgrader.preprocessors.OverwriteKernelspec",
    "nbgrader.preprocessors.OverwriteCells",
    "nbgrader.preprocessors.CheckCellMetadata",
]
AUTOGRADE = [
    "grading.plugins.GradeOutside",
    "grading.plugins.SaveGrades",
    "nbgrader.preprocessors.AssignLatePenalties",
    "grading.feedback.Sanitise",  # formgrader shows what is left as it is
    "nbgrader.preprocessors.CheckCellMetadata",
]
UNGRADED = "This could not be graded yet. It is not your fault, and your instructor knows."


def configure(config: Config) -> None:
    """Put everything of this module, and a late plugin if there is none, into a configuration."""
    config.Autograde.sanitize_preprocessors = SANITIZE
    config.Autograde.autograde_preprocessors = AUTOGRADE
    config.Autograde.pre_convert_hook = "grading.plugins.take_in_hook"
    config.Autograde.post_convert_hook = "grading.plugins.book_hook"
    config.AssignLatePenalties.setdefault("plugin_class", "grading.late.LatePenalty")
    config.ExchangeFactory.collect = "grading.exchange.SafeCollect"
    config.Exporter.optimistic_validation = True  # once, and not after each of the above


class Mend(NbGraderPreprocessor):
    """Before all else, the released notebook with the student's cells in it.

    Whatever else is in the file, a copied check or metadata of an old schema, would stop nbgrader
    for the whole class.
    """

    def preprocess(
        self, nb: NotebookNode, resources: ResourcesDict
    ) -> tuple[NotebookNode, ResourcesDict]:
        course, student, assignment = _place(resources)
        if load_intake(course / "submitted" / student / assignment) is None:
            raise CourseError(
                f"{assignment} of {student} could not be taken in: run python -m grading autograde "
                f"{assignment} --student {student}."
            )
        handed_in, _ = read_notebook(nbformat.writes(nb).encode())
        mended, _ = mend(handed_in, load_released(course, assignment))
        return mended, resources


class GradeOutside(NbGraderPreprocessor):
    """In place of executing: what the record of the submission says, in the outputs of its checks.

    No output of the student's is left there, so none can be taken for a grade. Where the notebook
    was run for the record, other cells show what they gave.
    """

    grade_now = Bool(
        True, help="Grade what has no record by these rules, and what ended as a grader error."
    ).tag(config=True)
    execute = Bool(
        False, help="Run every notebook from first to last, too, in a sandbox, to be looked at."
    ).tag(config=True)
    grader = Unicode(GRADER, help="The module that grades.")

    def preprocess(
        self, nb: NotebookNode, resources: ResourcesDict
    ) -> tuple[NotebookNode, ResourcesDict]:
        place = _place(resources)
        record = record_of(*place, grade_now=self.grade_now, grader=self.grader)
        its = path_of(record, place[0])
        if self.execute and not its.exists():
            run_through(place[0] / "submitted" / place[1] / place[2], place[0])
        ran = outputs_of(its) if its.exists() else {}
        for cell in nb.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = ran.get(cell.get("id"), []), None
                if is_check(cell):
                    cell.outputs = outputs(record, cell)
        if record.status == "grader error":
            self.log.error("Grader error, to be graded by hand: %s", record.reason)
        if record.flags or record.status == "grader error":
            nb.cells.insert(0, note(record))
        resources["record"] = record
        return nb, resources


class SaveGrades(SaveAutoGrades):
    """nbgrader's, with the points of the record in place of what a cell's outputs seem to say.

    A check without points of its own, above all after a grader error, is left to a human. What an
    optional task earns is extra credit, unless a human has graded it or has given extra credit.
    """

    def _add_score(self, cell: NotebookNode, resources: ResourcesDict) -> None:
        if not is_check(cell):
            super()._add_score(cell, resources)
            return
        grade = self.gradebook.find_grade(
            cell.metadata["nbgrader"]["grade_id"],
            self.notebook_id,
            self.assignment_id,
            self.student_id,
        )
        earned, most = points(resources["record"], cell), float(cell.metadata["nbgrader"]["points"])
        grade.auto_score = None if earned is None else min(earned, most)
        grade.needs_manual_grade = grade.manual_score is not None or earned is None
        if earned is not None and grade.manual_score is None:
            _give_extra(grade, earned if most == 0 else 0.0, resources)
        self.gradebook.db.commit()


def _give_extra(grade: Any, extra: float, resources: ResourcesDict) -> None:
    """Put what an optional task earns in the place of what was put there before; not of a human's.

    The gradebook does not say who gave extra credit, so what was ever put there is stored.
    """
    course, student, assignment = _place(resources)
    store = Store(course)
    ours = store.extra_given(assignment, student)
    put = ours.get(grade.name, [])
    if grade.extra_credit and grade.extra_credit not in put:
        return
    if extra and extra not in put:
        store.save_extra_given(assignment, student, ours | {grade.name: [*put, extra]})
    grade.extra_credit = extra or None


def is_check(cell: NotebookNode) -> bool:
    """Whether a cell is graded by what it does: locked code with points."""
    return cell.cell_type == "code" and utils.is_grade(cell) and not utils.is_solution(cell)


def points(record: Record, cell: NotebookNode) -> float | None:
    """What the record gives for a check; None where a human must decide.

    Raises:
        CourseError: the notebook was released with other points than the rules give now.
    """
    if record.status == "rejected":
        return 0.0
    verdict = verdict_for(record, cell)
    if record.status == "grader error" or verdict is None:
        return None
    most = float(cell.metadata["nbgrader"]["points"])
    if most not in (0.0, verdict.worth):
        raise CourseError(
            f"{verdict.task} was released for {most:g} points, and is worth {verdict.worth:g} by "
            f"{NAME}: put it right there, or run python -m grading release {record.assignment}."
        )
    return verdict.points


def verdict_for(record: Record, cell: NotebookNode) -> Verdict | None:
    """The verdict that belongs to a check: of sds.sds_grad, "sds-sds_grad-check"."""
    task = task_of(grade_id_of(cell))
    return next((verdict for verdict in record.verdicts if verdict.task == task), None)


def outputs(record: Record, cell: NotebookNode) -> list[NotebookNode]:
    """What a check shows: the lines of its verdict, and the points as its result."""
    earned, verdict = points(record, cell), verdict_for(record, cell)
    if record.status == "rejected":
        lines: tuple[str, ...] = (record.reason,)
    else:
        lines = verdict.lines if verdict and earned is not None else (UNGRADED,)
    text = "".join(f"{plain(line)}\n" for line in lines)
    shown = [new_output("stream", name="stdout", text=text)]
    if earned is not None:
        data = {"text/plain": repr(round(earned, 6))}
        shown.append(new_output("execute_result", data=data, execution_count=1))
    return shown


def note(record: Record) -> NotebookNode:
    """The flags of a submission, in a cell that formgrader shows and feedback leaves out."""
    lines = [f"{flag.kind}: {flag.sentence}" for flag in record.flags]
    if record.status == "grader error":
        lines.insert(0, f"{record.status}: {record.reason}")
    # Escaped, and in one block of HTML: it may quote what a student wrote.
    text = "\n".join(html.escape(one_line(line, LONGEST)) for line in lines)
    cell = new_markdown_cell(f"**For the instructor only**\n\n<pre>{text}</pre>")
    cell.metadata["tags"] = [FOR_INSTRUCTOR]
    return cell


def record_of(
    course: Path, student: str, assignment: str, *, grade_now: bool, grader: str = GRADER
) -> Record:
    """The record of what a student handed in last, made now where that is wanted.

    Raises:
        CourseError: it was not taken in, or there is no record and none is to be made.
    """
    folder = course / "submitted" / student / assignment
    intake = load_intake(folder)
    if intake is None:
        raise CourseError(f"{assignment} of {student} has not been taken in.")
    record = Store(course).load(assignment, student, intake.digest)
    if not grade_now:
        if record is None:
            raise CourseError(f"{assignment} of {student} has not been graded.")
        return record
    rules = settle(course)
    check_released(course, assignment, rules)
    if record is None or record.status == "grader error" or record.rules != rules.digest:
        module = importlib.import_module(grader)
        record = module.grade(folder, course, grader=_opened(course, module))
    return record


_open: dict[str, Any] = {}
_stack = contextlib.ExitStack()


def _opened(course: Path, module: Any) -> Any:
    """The grader of this process; one for other rules, or another course, takes its place."""
    key = f"{course.resolve()} {module.__name__}\n{(course / NAME).read_text('utf-8')}"
    if key not in _open:
        close_grader()
        _open[key] = _stack.enter_context(module.open_grader(course))
    return _open[key]


@atexit.register
def close_grader() -> None:
    """End the sandbox of this process, if it has one."""
    _open.clear()
    _stack.close()


def take_in_hook(assignment: str, student: str, notebooks: list[str]) -> None:
    """nbgrader's `pre_convert_hook`: take in what only nbgrader has collected so far.

    notebooks: of one student, though `student` is "*" for a class; renamed in place.
    """
    folder = Path(notebooks[0]).parent
    # Until this one is in the gradebook, none of what the student handed in is known to be.
    for mark in _marks(folder):
        mark.unlink(missing_ok=True)
    try:
        taken_in(folder, folder.parents[2])
    except Exception:
        logging.getLogger(__name__).exception("%s could not be taken in", folder)
        raise
    notebooks[:] = [os.path.join(os.path.dirname(notebooks[0]), f"{folder.name}.ipynb")]


def book_hook(assignment: str, student: str, notebooks: list[str]) -> None:
    """nbgrader's `post_convert_hook`: the record is in the gradebook now."""
    folder = Path(notebooks[0]).parent
    course = folder.parents[2]
    intake = load_intake(folder)
    if intake:
        store = Store(course)
        record = store.load(folder.name, folder.parent.name, intake.digest)
        if record:
            store.mark_booked(record)


def _marks(folder: Path) -> list[Path]:
    """The marks of booked records of the student whose folder of submitted/ this is."""
    records = Store(folder.parents[2]).folder / folder.name / folder.parent.name
    return list(records.glob("*.booked"))


def _place(resources: ResourcesDict) -> tuple[Path, str, str]:
    """Course folder, student and assignment; nbgrader works inside the course folder."""
    facts = resources["nbgrader"]
    return Path.cwd(), facts["student"], facts["assignment"]
