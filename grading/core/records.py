"""What grading one submission comes to, and where it is kept."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from distillery.core.errors import CourseError
from distillery.core.files import atomic_write

Status = Literal["graded", "rejected", "grader error"]
Outcome = Literal[
    "right",
    "wrong",
    "to do",
    "stopped",  # by an exception of its own
    "timed out",
    "out of memory",
    "died",
    "refused",  # not run at all: what was handed in is not what was asked for
]
EXPECTED = "expected"  # folder of a course with what right code draws
Scores = dict[str, float]  # file name -> CLIP score of a picture


@dataclass(frozen=True)
class Verdict:
    """One graded task of one submission.

    task: "sds.sds_grad", or "sds.pictures" for the pictures of a stage.
    lines: what the student reads, plain text.
    misconception: name of the known mistake, if it is one.
    figure: name of the PNG with target, theirs and difference, beside the record.
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
    """Something for a human to look at; it never changes points by itself.

    kind: one word or two, the same for the same thing, so that it can be counted.
    """

    kind: str
    sentence: str


@dataclass(frozen=True)
class Record:
    """The one outcome of one submission.

    digest: of everything handed in (hexadecimal SHA-256); a new hand-in has a new one.
    seed: of the hidden inputs.
    reason: of a rejection or a grader error, one sentence that can be acted on; else empty.
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

    The figures of a record lie in a folder named by the digest, beside it. A record that is in the
    gradebook too has an empty file `<digest>.booked` beside it, and what its pictures scored, where
    that was measured ahead, stands in `<digest>.scores`.
    """

    def __init__(self, course: Path) -> None:
        self.folder = Path(course) / "records"

    def load(self, assignment: str, student: str, digest: str) -> Record | None:
        """The record, or None where there is none that can be read whole."""
        try:
            stored = json.loads(self._path(assignment, student, digest).read_text("utf-8"))
            return _from_json(stored)
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def save(self, record: Record, figures: dict[str, bytes] | None = None) -> None:
        """Write the figures, and then the record, each whole or not at all."""
        path = self._path(record.assignment, record.student, record.digest)
        for name, png in (figures or {}).items():
            atomic_write(path.with_suffix("") / name, png)
        # Lone surrogates in what a student's code printed are no UTF-8.
        text = json.dumps(asdict(record), indent=1)
        self._booked(record).unlink(missing_ok=True)
        atomic_write(path, text + "\n")

    def figure(self, record: Record, name: str) -> bytes:
        """The PNG of a verdict's figure.

        Raises:
            CourseError: it is gone.
        """
        path = self._path(record.assignment, record.student, record.digest)
        try:
            return (path.with_suffix("") / name).read_bytes()
        except OSError as error:
            raise CourseError(f"the figure {name} of {record.student} is gone: grade anew.") from (
                error
            )

    def scores(self, assignment: str, student: str, digest: str, scorer: str) -> Scores | None:
        """File name -> score, as `save_scores` was told; None where it was not, or of another."""
        try:
            stored = json.loads(self.scores_file(assignment, student, digest).read_text("utf-8"))
            return dict(stored["scores"]) if stored["scorer"] == scorer else None
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def save_scores(
        self, assignment: str, student: str, digest: str, scorer: str, scores: Scores
    ) -> None:
        text = json.dumps({"scorer": scorer, "scores": scores}, indent=1)
        atomic_write(self.scores_file(assignment, student, digest), text + "\n")

    def scores_file(self, assignment: str, student: str, digest: str) -> Path:
        return self._path(assignment, student, digest).with_suffix(".scores")

    def extra_given(self, assignment: str, student: str) -> dict[str, list[float]]:
        """Name of a check -> the extra credit that was ever given for it by grading."""
        try:
            stored = json.loads(self._extra(assignment, student).read_text("utf-8"))
            return {str(name): list(given) for name, given in stored.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}

    def save_extra_given(
        self, assignment: str, student: str, given: dict[str, list[float]]
    ) -> None:
        atomic_write(self._extra(assignment, student), json.dumps(given) + "\n")

    def _extra(self, assignment: str, student: str) -> Path:
        return self.folder / assignment / student / "extra.credit"

    def is_booked(self, record: Record) -> bool:
        return self._booked(record).exists()

    def mark_booked(self, record: Record) -> None:
        atomic_write(self._booked(record), b"")

    def unmark_booked(self, record: Record) -> None:
        self._booked(record).unlink(missing_ok=True)

    def all(self, assignment: str) -> list[Record]:
        """Every readable record of an assignment, in the order of students and digests."""
        paths = sorted((self.folder / assignment).glob("*/*.json"))
        found = (self.load(assignment, path.parent.name, path.stem) for path in paths)
        return [record for record in found if record is not None]

    def _path(self, assignment: str, student: str, digest: str) -> Path:
        return self.folder / assignment / student / f"{digest}.json"

    def _booked(self, record: Record) -> Path:
        path = self._path(record.assignment, record.student, record.digest)
        return path.with_suffix(".booked")


def _from_json(stored: dict[str, Any]) -> Record:
    verdicts = [Verdict(**(one | {"lines": tuple(one["lines"])})) for one in stored["verdicts"]]
    flags = [Flag(**one) for one in stored["flags"]]
    return Record(**(stored | {"verdicts": tuple(verdicts), "flags": tuple(flags)}))
