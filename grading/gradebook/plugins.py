"""Plugins for nbgrader: student code is graded outside, and nbgrader keeps the gradebook.

In a course's nbgrader_config.py:

    from grading.plugins import configure

    configure(c)

Then `nbgrader autograde`, the button of formgrader and `python -m grading autograde` give the same
grades: all of them run nbgrader's own Autograde converter, which executes no code.
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
from grading.core.submission import Submission
from grading.feedback.sanitise import FOR_INSTRUCTOR
from grading.feedback.text import LONGEST, one_line, plain
from grading.gradebook.nbgrader_times import follow_zone_of
from grading.intake.clean_folder import load_intake
from grading.intake.released import check_released
from grading.intake.take_in import ensure_taken_in, repaired
from grading.judge.run_notebook import GRADER, executed_notebook, outputs_of, run_through

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
    """Put the plugins of this module into a configuration, and a late plugin if it has none.

    nbgrader's commands and pages then also read and show times in the course's zone.
    """
    root = config.CourseDirectory.get("root")
    follow_zone_of(Path(root) if isinstance(root, str) else Path.cwd())
    config.Autograde.sanitize_preprocessors = SANITIZE
    config.Autograde.autograde_preprocessors = AUTOGRADE
    config.Autograde.pre_convert_hook = "grading.plugins.take_in_hook"
    config.Autograde.post_convert_hook = "grading.plugins.book_hook"
    config.AssignLatePenalties.setdefault("plugin_class", "grading.late.LatePenalty")
    config.ExchangeFactory.collect = "grading.exchange.SafeCollect"
    config.Exporter.optimistic_validation = True  # validate once, not after each preprocessor


class RepairNotebook(NbGraderPreprocessor):
    """First of all, make sure that nbgrader reads the notebook that was taken in.

    A notebook that was changed afterwards is repaired again. Otherwise a copied check, or metadata
    of an old schema, would stop nbgrader for the whole class. In nbgrader_config.py its name is
    `grading.plugins.Mend`.
    """

    def preprocess(
        self, nb: NotebookNode, resources: ResourcesDict
    ) -> tuple[NotebookNode, ResourcesDict]:
        submission = _submission(resources)
        if load_intake(submission) is None:
            raise CourseError(
                f"{submission.assignment} of {submission.student} could not be taken in: run "
                f"python -m grading autograde {submission.assignment} --student "
                f"{submission.student}."
            )
        return repaired(nb, submission), resources


class GradeOutside(NbGraderPreprocessor):
    """Put the verdicts of the record into the outputs of the checks, and execute nothing.

    The student's own outputs are removed, so that none can be taken for a grade. Where the notebook
    was run in a sandbox, other cells show the outputs of that run.
    """

    grade_now = Bool(
        True, help="Grade submissions without a record by these rules, and grader errors again."
    ).tag(config=True)
    execute = Bool(
        False, help="Also run every notebook from first to last, in a sandbox, to look at."
    ).tag(config=True)
    grader = Unicode(GRADER, help="The module that grades.")

    def preprocess(
        self, nb: NotebookNode, resources: ResourcesDict
    ) -> tuple[NotebookNode, ResourcesDict]:
        submission = _submission(resources)
        record = record_of(submission, grade_now=self.grade_now, grader=self.grader)
        executed = executed_notebook(Store(submission.course).submission(record))
        if self.execute and not executed.exists():
            run_through(submission)
        ran = outputs_of(executed) if executed.exists() else {}
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
    """nbgrader's plugin, with the points of the record instead of a cell's outputs.

    A check without points, for example after a grader error, is left to a human. The points of an
    optional task are extra credit, unless a human has graded it or has given extra credit.
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
    """Replace the extra credit that grading gave before; never that of a human.

    The gradebook does not say who gave extra credit, so everything that grading gave is stored.
    """
    submission = _submission(resources)
    store = Store(submission.course)
    ours = store.extra_given(submission)
    given = ours.get(grade.name, [])
    if grade.extra_credit and grade.extra_credit not in given:
        return
    if extra and extra not in given:
        store.save_extra_given(submission, ours | {grade.name: [*given, extra]})
    grade.extra_credit = extra or None


def is_check(cell: NotebookNode) -> bool:
    """Whether a cell is graded by running code: locked code with points."""
    return cell.cell_type == "code" and utils.is_grade(cell) and not utils.is_solution(cell)


def points(record: Record, cell: NotebookNode) -> float | None:
    """The points that the record gives for a check; None where a human must decide.

    Raises:
        CourseError: the points in the released notebook differ from those of the rules.
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
            f"{NAME}: correct {NAME}, or run python -m grading release {record.assignment}."
        )
    return verdict.points


def verdict_for(record: Record, cell: NotebookNode) -> Verdict | None:
    """The verdict of a check: the cell "sds-sds_grad-check" is of the task sds.sds_grad."""
    task = task_of(grade_id_of(cell))
    return next((verdict for verdict in record.verdicts if verdict.task == task), None)


def outputs(record: Record, cell: NotebookNode) -> list[NotebookNode]:
    """The outputs of a check: the lines of its verdict, and the points as its result."""
    earned, verdict = points(record, cell), verdict_for(record, cell)
    if record.status == "rejected":
        lines: tuple[str, ...] = (record.reason,)
    else:
        lines = verdict.lines if verdict and earned is not None else (UNGRADED,)
    text = "".join(f"{plain(line)}\n" for line in lines)
    found = [new_output("stream", name="stdout", text=text)]
    if earned is not None:
        data = {"text/plain": repr(round(earned, 6))}
        found.append(new_output("execute_result", data=data, execution_count=1))
    return found


def note(record: Record) -> NotebookNode:
    """A cell with the flags of a submission, which formgrader shows and feedback omits."""
    lines = [f"{flag.kind}: {flag.sentence}" for flag in record.flags]
    if record.status == "grader error":
        lines.insert(0, f"{record.status}: {record.reason}")
    # Escaped, and in one block of HTML, because it may quote a student.
    text = "\n".join(html.escape(one_line(line, LONGEST)) for line in lines)
    cell = new_markdown_cell(f"**For the instructor only**\n\n<pre>{text}</pre>")
    cell.metadata["tags"] = [FOR_INSTRUCTOR]
    return cell


def record_of(submission: Submission, *, grade_now: bool, grader: str = GRADER) -> Record:
    """The record of a student's last submission, graded now if wanted and necessary.

    Raises:
        CourseError: it was not taken in, or there is no record and none may be made.
    """
    course, named = submission.course, f"{submission.assignment} of {submission.student}"
    intake = load_intake(submission)
    if intake is None:
        raise CourseError(f"{named} has not been collected.")
    record = Store(course).load(intake.submission)
    if not grade_now:
        if record is None:
            raise CourseError(f"{named} has not been graded.")
        return record
    rules = settle(course)
    check_released(course, submission.assignment, rules)
    if record is None or record.status == "grader error" or record.rules != rules.digest:
        module = importlib.import_module(grader)
        record = module.grade(submission, grader=_opened(course, module))
    return record


_open: dict[str, Any] = {}
_stack = contextlib.ExitStack()


def _opened(course: Path, module: Any) -> Any:
    """The grader of this process, opened again when the rules or the course are others."""
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
    submission = Submission.in_folder(Path(notebooks[0]).parent)
    # No record of this student counts as booked until this one is in the gradebook.
    Store(submission.course).unmark_all(submission)
    try:
        ensure_taken_in(submission)
    except Exception:
        logging.getLogger(__name__).exception("%s could not be taken in", submission.folder)
        raise
    notebooks[:] = [os.path.join(os.path.dirname(notebooks[0]), submission.notebook.name)]


def book_hook(assignment: str, student: str, notebooks: list[str]) -> None:
    """nbgrader's `post_convert_hook`: mark the record as being in the gradebook."""
    intake = load_intake(Submission.in_folder(Path(notebooks[0]).parent))
    if intake is None:
        return
    store = Store(intake.submission.course)
    record = store.load(intake.submission)
    if record:
        store.mark_booked(record)


def _submission(resources: ResourcesDict) -> Submission:
    """The submission that nbgrader is converting; nbgrader works inside the course folder."""
    facts = resources["nbgrader"]
    return Submission(Path.cwd(), facts["student"], facts["assignment"])
