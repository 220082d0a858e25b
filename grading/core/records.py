"""The result of grading one submission, and where it is stored."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from distillery.core.errors import CourseError
from distillery.core.files import atomic_write
from grading.core.submission import Submission

Status = Literal["graded", "rejected", "grader error"]
Outcome = Literal[
    "right",
    "wrong",
    "to do",
    "stopped",  # by an exception of its own
    "timed out",
    "out of memory",
    "died",
    "refused",  # not run: the answer is not of the kind that was asked for
]
EXPECTED = "expected"  # folder of a course with the pictures that right code draws
Scores = dict[str, float]  # file name -> CLIP score of a picture


@dataclass(frozen=True)
class Verdict:
    """One graded task of one submission.

    task: "sds.sds_grad", or "sds.pictures" for the pictures of a stage.
    lines: for the student, plain text.
    misconception: name of the known mistake, if the answer makes one.
    figure: name of the PNG with target, the student's result and the difference.
    """

    task: str
    points: float
    worth: float
    outcome: Outcome
    lines: tuple[str, ...]
    misconception: str | None = None
    figure: str | None = None


@dataclass(frozen=True)
class Flag:
    """Something for the instructor to look at; it never changes points by itself.

    kind: one or two words, always the same for the same thing, so that flags can be counted.
    """

    kind: str
    sentence: str


@dataclass(frozen=True)
class Record:
    """The result of one submission.

    digest: hexadecimal SHA-256 of the clean submission; a new submission has another one.
    seed: of the hidden inputs.
    reason: of a rejection or a grader error, one sentence that says what to do; else empty.
    seconds: of wall time that grading took.
    rules: digest of the rules by which it was graded.
    """

    student: str
    assignment: str
    digest: str
    seed: int
    status: Status
    reason: str
    verdicts: tuple[Verdict, ...]
    flags: tuple[Flag, ...]
    seconds: float
    rules: str = ""

    @property
    def points(self) -> float:
        return sum(verdict.points for verdict in self.verdicts)

    @property
    def worth(self) -> float:
        return sum(verdict.worth for verdict in self.verdicts)


class Store:
    """The records of a course: `<course>/records/<assignment>/<student>/<digest>.json`.

    The figures of a record are in a folder with the name of the digest, next to it. An empty file
    `<digest>.booked` says that the record is in the gradebook. `<digest>.scores` holds the scores
    of the pictures where they were measured for the whole class.
    """

    def __init__(self, course: Path) -> None:
        self.course = Path(course)
        self.folder = self.course / "records"

    def load(self, submission: Submission) -> Record | None:
        """The record of a submission of known digest; None where there is no readable one."""
        try:
            return _from_json(json.loads(self.file(submission).read_text("utf-8")))
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def save(self, record: Record, figures: dict[str, bytes] | None = None) -> None:
        """Write the figures, and then the record, each whole or not at all."""
        submission = self.submission(record)
        for name, png in (figures or {}).items():
            atomic_write(self.attachments(submission) / name, png)
        # ASCII, because a student's output may hold lone surrogates, which UTF-8 does not.
        text = json.dumps(asdict(record), indent=1)
        self._booked(record).unlink(missing_ok=True)
        atomic_write(self.file(submission), text + "\n")

    def figure(self, record: Record, name: str) -> bytes:
        """The PNG of a verdict's figure.

        Raises:
            CourseError: it is missing.
        """
        try:
            return (self.attachments(self.submission(record)) / name).read_bytes()
        except OSError as error:
            raise CourseError(
                f"the figure {name} of {record.student} is missing: grade this submission again."
            ) from error

    def scores(self, submission: Submission, scorer: str) -> Scores | None:
        """The saved scores by file name; None where there are none of this scorer."""
        try:
            stored = json.loads(self.scores_file(submission).read_text("utf-8"))
            return dict(stored["scores"]) if stored["scorer"] == scorer else None
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def save_scores(self, submission: Submission, scorer: str, scores: Scores) -> None:
        text = json.dumps({"scorer": scorer, "scores": scores}, indent=1)
        atomic_write(self.scores_file(submission), text + "\n")

    def scores_file(self, submission: Submission) -> Path:
        return self.file(submission).with_suffix(".scores")

    def extra_given(self, submission: Submission) -> dict[str, list[float]]:
        """Name of a check -> every extra credit that grading has given for it so far."""
        try:
            stored = json.loads(self._extra(submission).read_text("utf-8"))
            return {str(name): list(given) for name, given in stored.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}

    def save_extra_given(self, submission: Submission, given: dict[str, list[float]]) -> None:
        atomic_write(self._extra(submission), json.dumps(given) + "\n")

    def is_booked(self, record: Record) -> bool:
        """Whether the record is in nbgrader's gradebook."""
        return self._booked(record).exists()

    def mark_booked(self, record: Record) -> None:
        atomic_write(self._booked(record), b"")

    def unmark_booked(self, record: Record) -> None:
        self._booked(record).unlink(missing_ok=True)

    def unmark_all(self, submission: Submission) -> None:
        """Unmark every record of this student and assignment, with any digest."""
        for mark in self.folder_of(submission).glob("*.booked"):
            mark.unlink(missing_ok=True)

    def all(self, assignment: str) -> list[Record]:
        """Every readable record of an assignment, in the order of students and digests."""
        paths = sorted((self.folder / assignment).glob("*/*.json"))
        found = (
            self.load(Submission(self.course, path.parent.name, assignment, path.stem))
            for path in paths
        )
        return [record for record in found if record is not None]

    def submission(self, record: Record) -> Submission:
        """The submission that a record is of."""
        return Submission(self.course, record.student, record.assignment, record.digest)

    def folder_of(self, submission: Submission) -> Path:
        """The folder with all records of a student and assignment."""
        return self.folder / submission.assignment / submission.student

    def file(self, submission: Submission) -> Path:
        return self.folder_of(submission) / f"{submission.digest}.json"

    def attachments(self, submission: Submission) -> Path:
        """The folder of a record's figures and executed notebook."""
        return self.folder_of(submission) / submission.digest

    def _extra(self, submission: Submission) -> Path:
        return self.folder_of(submission) / "extra.credit"

    def _booked(self, record: Record) -> Path:
        return self.file(self.submission(record)).with_suffix(".booked")


def _from_json(stored: dict[str, Any]) -> Record:
    verdicts = [Verdict(**(one | {"lines": tuple(one["lines"])})) for one in stored["verdicts"]]
    flags = [Flag(**one) for one in stored["flags"]]
    return Record(**(stored | {"verdicts": tuple(verdicts), "flags": tuple(flags)}))
