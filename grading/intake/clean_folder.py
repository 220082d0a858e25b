"""The clean folder of a submission, `submitted/<student>/<assignment>/`, and what is said of it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from distillery.core.files import atomic_write
from grading.core.records import Flag
from grading.core.submission import Submission
from grading.intake.receipts import files_in, flag_facts, swap

FACTS = "intake.json"
TIMESTAMP = "timestamp.txt"
SECRET = "submission_secret.txt"  # of nbgrader's exchange, which returns feedback to its owner
TIME_FORMAT = "%Y-%m-%d %H:%M:%S.%f UTC"  # nbgrader's own


@dataclass(frozen=True)
class Intake:
    """What became of a submission that was taken in.

    submission: with its digest.
    received:   with a time zone.
    rejected:   why it is not graded, for the student; else empty.
    missing:    files that the stage asks for and that were not handed in.
    """

    submission: Submission
    received: datetime
    flags: tuple[Flag, ...]
    rejected: str
    missing: tuple[str, ...]

    @property
    def student(self) -> str:
        return self.submission.student

    @property
    def assignment(self) -> str:
        return self.submission.assignment

    @property
    def digest(self) -> str:
        """SHA-256 of everything in the clean folder except the times and the secret."""
        return self.submission.digest

    @property
    def folder(self) -> Path:
        return self.submission.folder


def load_intake(submission: Submission) -> Intake | None:
    """What taking in a submission gave; None where it has not been taken in.

    The student may have written an intake.json too, so it must equal the copy in `received/`.
    """
    try:
        facts = (submission.folder / FACTS).read_text("utf-8")
        if facts != (submission.received / FACTS).read_text("utf-8"):
            return None
        stored = json.loads(facts)
        there = Submission(submission.course, stored["student"], stored["assignment"])
        return Intake(
            submission=replace(there, digest=stored["digest"]),
            received=datetime.fromisoformat(stored["received"]),
            flags=tuple(Flag(**flag) for flag in stored["flags"]),
            rejected=stored["rejected"],
            missing=tuple(stored["missing"]),
        )
    except (OSError, ValueError, TypeError, KeyError):
        return None


def is_as_taken_in(intake: Intake) -> bool:
    """Whether the files in the clean folder are still those that were taken in."""
    folder = intake.folder
    ours = [folder / name for name in (FACTS, TIMESTAMP, SECRET)]
    try:
        files = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in files_in(folder)
            if path not in ours
        }
    except OSError:
        return False
    return digest_of(files, intake.flags, intake.rejected) == intake.digest


def digest_of(files: dict[str, bytes], flags: tuple[Flag, ...], rejected: str) -> str:
    """SHA-256 of a clean folder's files, by name, and of what was found."""
    digest = hashlib.sha256()
    facts = json.dumps([rejected, [[flag.kind, flag.sentence] for flag in flags]])
    for name, content in [*sorted(files.items()), ("", facts.encode())]:
        digest.update(b"%d %d " % (len(name.encode()), len(content)) + name.encode() + content)
    return digest.hexdigest()


def write_clean_folder(work: Path, files: dict[str, bytes], intake: Intake) -> None:
    """Write the clean folder in `work` and move it into place, and its facts to `received/`.

    Raises:
        CourseError: the course folder cannot be written.
    """
    facts = _facts(intake)
    stamp = intake.received.strftime(TIME_FORMAT) + "\n"
    clean = work / "clean"
    for name, content in {**files, TIMESTAMP: stamp.encode(), FACTS: facts.encode()}.items():
        (clean / name).parent.mkdir(parents=True, exist_ok=True)
        (clean / name).write_bytes(content)
    atomic_write(intake.submission.received / FACTS, facts)
    swap(clean, intake.folder, work / "old")


def _facts(intake: Intake) -> str:
    facts = {
        "student": intake.student,
        "assignment": intake.assignment,
        "digest": intake.digest,
        "received": intake.received.isoformat(),
        "flags": flag_facts(intake.flags),
        "rejected": intake.rejected,
        "missing": list(intake.missing),
    }
    return json.dumps(facts, indent=1) + "\n"
