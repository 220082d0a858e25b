"""Exports grades as a table that is safe to open in a spreadsheet.

    nbgrader export --exporter grading.export.CourseExport --to grades.csv

The nbgrader settings that a release writes already choose this exporter.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from nbgrader.api import Gradebook, MissingEntry, SubmittedAssignment
from nbgrader.plugins import ExportPlugin

from distillery.core.files import atomic_write
from grading.core.notebook_cells import task_of
from grading.core.records import Record, Store
from grading.core.rules import zone_of
from grading.core.submission import Submission
from grading.core.times import from_gradebook
from grading.feedback.text import one_line
from grading.intake.clean_folder import load_intake

FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
LONGEST_CELL = 1000  # characters
NOT_HANDED_IN = "not handed in"
TO_GRADE = "to grade by hand"
PERSON = ("student_id", "last_name", "first_name", "email")
FACTS = ("assignment", "status", "reason", "handed_in")
TOTALS = ("points", "late_penalty", "total", "worth")

Value = str | int | float | datetime | None


@dataclass(frozen=True)
class Grades:
    """The grades of one submission in the gradebook.

    points: task -> points, including those set by hand.
    penalty: late penalty in points.
    total: points after the penalty, never below zero.
    worth: points of the whole assignment.
    handed_in, due: in UTC; the due date with this student's extension, or None.
    seconds_late: after extensions.
    to_grade: whether something waits to be graded by hand.
    """

    points: dict[str, float]
    penalty: float
    total: float
    worth: float
    handed_in: datetime | None
    due: datetime | None
    seconds_late: float
    to_grade: bool


class CourseExport(ExportPlugin):
    """Every student, assignment and task: points, penalty, total and status."""

    def export(self, gradebook: Gradebook) -> None:
        """Write the table to `--to`, by default grades.csv; the file is complete or not written."""
        course = Path(self.parent.coursedir.root) if self.parent else Path.cwd()
        path = Path(self.to or "grades.csv")
        students = [str(student) for student in self.student]
        assignments = [str(assignment) for assignment in self.assignment]
        atomic_write(path, csv_bytes(table(gradebook, course, students, assignments)))
        self.log.info("Exported grades to %s", path)


def table(
    gradebook: Gradebook, course: Path, students: Sequence[str], assignments: Sequence[str]
) -> list[list[Value]]:
    """The header, and a row for each student and assignment; an empty choice means all."""
    wanted = [one for one in gradebook.assignments if not assignments or one.name in assignments]
    wanted.sort(key=lambda assignment: assignment.name)
    tasks = [task for assignment in wanted for task in _tasks(assignment)]
    rows: list[list[Value]] = [[*PERSON, *FACTS, *tasks, *TOTALS]]
    zone = zone_of(course)
    people = [one for one in gradebook.students if not students or one.id in students]
    for student in sorted(people, key=lambda one: one.id):
        person = [student.id, student.last_name, student.first_name, student.email]
        for assignment in wanted:
            grades = grades_of(gradebook, assignment.name, student.id)
            record = current_record(course, assignment.name, student.id)
            worth = float(assignment.max_score or 0)
            rows.append([*person, *_row(assignment.name, worth, grades, record, tasks, zone)])
    return rows


def _row(
    assignment: str,
    worth: float,
    grades: Grades | None,
    record: Record | None,
    tasks: list[str],
    zone: ZoneInfo,
) -> list[Value]:
    reason = record.reason if record else ""
    if grades is None:
        return [assignment, NOT_HANDED_IN, "", None, *([None] * len(tasks)), 0, 0, 0, worth]
    facts = [assignment, status(grades, record), reason, local(grades.handed_in, zone)]
    points = [grades.points.get(task) for task in tasks]
    reached = sum(grades.points.values())
    return [*facts, *points, reached, grades.penalty, grades.total, grades.worth]


def local(time: datetime | None, zone: ZoneInfo) -> datetime | None:
    """A time of the gradebook in the zone of the course."""
    return from_gradebook(time).astimezone(zone) if time else None


def status(grades: Grades | None, record: Record | None) -> str:
    """The status in words, from the record, or "to grade by hand" if something waits for it."""
    if record is not None and record.status != "graded":
        return record.status
    if grades is not None and grades.to_grade:
        return TO_GRADE
    return "graded"


def grades_of(gradebook: Gradebook, assignment: str, student: str) -> Grades | None:
    """Grades of one student; None if nothing was submitted."""
    try:
        submission = gradebook.find_submission(assignment, student)
    except MissingEntry:
        return None
    return _grades(submission)


def all_grades(gradebook: Gradebook, assignment: str) -> dict[str, Grades]:
    """Grades of every student with a submission."""
    submissions = gradebook.assignment_submissions(assignment)
    return {submission.student_id: _grades(submission) for submission in submissions}


def current_record(course: Path, assignment: str, student: str) -> Record | None:
    """The record of a student's last submission."""
    intake = load_intake(Submission(course, student, assignment))
    return Store(course).load(intake.submission) if intake else None


def _grades(submission: SubmittedAssignment) -> Grades:
    grades = [grade for notebook in submission.notebooks for grade in notebook.grades]
    penalty = float(submission.late_submission_penalty or 0)
    score = sum(float(grade.score or 0) for grade in grades)
    return Grades(
        points={task_of(grade.name): float(grade.score or 0) for grade in grades},
        penalty=penalty,
        total=max(0.0, score - penalty),
        worth=float(submission.max_score or 0),
        handed_in=submission.timestamp,
        due=submission.duedate,
        seconds_late=float(submission.total_seconds_late),
        to_grade=any(
            grade.needs_manual_grade and grade.auto_score is None and grade.manual_score is None
            for grade in grades
        ),
    )


def _tasks(assignment: object) -> list[str]:
    notebooks = getattr(assignment, "notebooks", [])
    return [task_of(cell.name) for notebook in notebooks for cell in notebook.grade_cells]


def csv_bytes(rows: Iterable[Sequence[Value]]) -> bytes:
    """A CSV file; its first bytes tell spreadsheets that it is UTF-8.

    All text is quoted, because some spreadsheets also split at semicolons.
    """
    file = io.StringIO()
    writer = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\r\n")
    for row in rows:
        writer.writerow([safe_cell(value) for value in row])
    return file.getvalue().encode("utf-8-sig")


def safe_cell(value: Value) -> str | int | float:
    """A number unchanged; text on one line that no spreadsheet reads as a formula."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    if isinstance(value, (int, float)):
        return round(value, 6)
    text = one_line(value, LONGEST_CELL)
    return f"'{text}" if text.startswith(FORMULA) else text
