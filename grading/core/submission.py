"""One student's submission to one assignment, and where its files are in the course folder."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

SUBMITTED = "submitted"  # nbgrader's folder of submissions; ours holds clean ones
RECEIVED = "received"  # what came, as it came
RECEIPT = "receipt.json"


@dataclass(frozen=True)
class Submission:
    """A student's submission to an assignment of a course.

    course: the course folder.
    digest: hexadecimal SHA-256 of the clean submission; "" where it is not known.
    """

    course: Path
    student: str
    assignment: str
    digest: str = ""

    @classmethod
    def in_folder(cls, folder: Path) -> Submission:
        """The submission whose folder is `<course>/submitted/<student>/<assignment>`."""
        folder = Path(os.path.abspath(folder))
        return cls(folder.parents[2], folder.parent.name, folder.name)

    @property
    def folder(self) -> Path:
        """The folder that nbgrader reads, clean once the submission has been taken in."""
        return self.course / SUBMITTED / self.student / self.assignment

    @property
    def notebook(self) -> Path:
        return self.folder / f"{self.assignment}.ipynb"

    @property
    def received(self) -> Path:
        """The folder with what the student sent; no file of the student's is read from elsewhere
        again."""
        return self.course / RECEIVED / self.assignment / self.student

    @property
    def autograded(self) -> Path:
        """Where nbgrader writes the graded notebook."""
        return self.course / "autograded" / self.student / self.assignment


def released_notebook(course: Path, assignment: str) -> Path:
    """Where nbgrader writes the notebook that students get."""
    return Path(course) / "release" / assignment / f"{assignment}.ipynb"


def submissions(course: Path, assignment: str, student: str = "*") -> list[Submission]:
    """The submissions to an assignment, by student.

    A submission that was received and whose clean folder is gone, for example after a crash, is
    among them.

    Args:
        student: one student, or "*" for all.
    """
    course = Path(course)
    there = {path.parent.name for path in (course / SUBMITTED).glob(f"{student}/{assignment}")}
    kept = (course / RECEIVED / assignment).glob(f"{student}/{RECEIPT}")
    names = there | {path.parent.name for path in kept}
    return [Submission(course, name, assignment) for name in sorted(names)]
