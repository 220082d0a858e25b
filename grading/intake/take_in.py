"""Make a clean folder, `submitted/<student>/<assignment>/`, of whatever a student sent.

The clean folder holds the repaired notebook, the pictures, eval.json, intake.json, nbgrader's
timestamp.txt and submission_secret.txt, and no other file. The caller gives the time of receipt,
because a time in a file or an archive is only what the student claims. The time in nbgrader's own
timestamp.txt is used where `nbgrader collect` has put the submission into submitted/.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timezone
from functools import partial
from pathlib import Path, PurePosixPath
from zoneinfo import ZoneInfo

import nbformat
from nbformat import NotebookNode

from distillery.core.errors import CourseError
from grading.core.records import Flag
from grading.core.rules import zone_of
from grading.core.submission import Submission
from grading.core.times import from_gradebook, read_time
from grading.intake.archives import SubmissionError
from grading.intake.clean_folder import (
    SECRET,
    TIMESTAMP,
    Intake,
    digest_of,
    is_as_taken_in,
    load_intake,
    write_clean_folder,
)
from grading.intake.find_flags import (
    answers_elsewhere,
    changed_files,
    packed_for_another,
    shadow_files,
)
from grading.intake.open_submission import (
    EVALUATION,
    PICTURES,
    Opened,
    kept_files,
    open_submission,
    plain_files,
    submitted_evaluation,
    submitted_pictures,
)
from grading.intake.read_notebook import tidied
from grading.intake.receipts import Receipt, keep, left_out_flags, load_receipt, workshop
from grading.intake.released import load_released
from grading.intake.repair_notebook import repair_notebook
from grading.stages import stage_of
from grading.stages.stage import Stage

STUDENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
LONGEST_SECRET = 200  # bytes


def take_in(
    source: Path,
    submission: Submission,
    *,
    received: datetime,
    names: Iterable[str] = (),
    flags: Iterable[Flag] = (),
) -> Intake:
    """Replace the clean folder of a submission by one made from `source`.

    Whatever the source holds, it ends as a repaired notebook or is rejected with a reason.

    Args:
        source: a folder, a .zip or .tar.gz, or a notebook alone. It is not trusted.
        received: by our own clock; without a time zone it is UTC.
        names: other names of the student, such as the learning platform's.
        flags: what was found before the source was opened.

    Raises:
        CourseError: the assignment has not been released, the student's name is not safe, or the
            course folder cannot be written.
    """
    source = Path(source)
    return _take_in(
        partial(plain_files, source),
        submission,
        Receipt(source, received, "", tuple(names), tuple(flags)),
    )


def take_in_kept(receipt: Receipt, source: Path, submission: Submission) -> Intake:
    """Take in what a receipt is of; where that could not be kept, take in `source`.

    Raises:
        CourseError: as `take_in` does.
    """
    if receipt.source.exists():
        return _take_in(partial(kept_files, receipt.source, receipt.name), submission, receipt)
    receipt = replace(receipt, source=source)
    return _take_in(partial(plain_files, source), submission, receipt)


def _take_in(
    find_files: Callable[[Path], tuple[Path, list[str]]], submission: Submission, receipt: Receipt
) -> Intake:
    """Make the clean folder from the files that `find_files` puts into, or near, a new folder."""
    course, assignment, student = submission.course, submission.assignment, submission.student
    stage, released = stage_of(assignment), load_released(course, assignment)
    if not STUDENT.fullmatch(student):
        raise CourseError(
            "a student's name is 1 to 64 letters, digits and ._@-, and starts with a letter or a "
            f"digit; {student!r} is not."
        )
    files: dict[str, bytes]
    with workshop(course) as work:
        try:
            top, left_out = find_files(work / "raw")
            opened = open_submission(top, stage, released)
            files, found = _clean_files(opened, stage, released, course)
            found = left_out_flags(left_out) + found
            found += packed_for_another(opened, {student, *receipt.names})
            missing, rejected = _missing(files, stage), ""
        except SubmissionError as error:
            files = {f"{assignment}.ipynb": nbformat.writes(released).encode()}
            found, missing, rejected = [], (), str(error)
        flags = tuple(dict.fromkeys([*receipt.all_flags, *found]))
        intake = Intake(
            submission=replace(submission, digest=digest_of(files, flags, rejected)),
            received=from_gradebook(receipt.received),
            flags=flags,
            rejected=rejected,
            missing=missing,
        )
        write_clean_folder(work, files | _secret(receipt.source), intake)
    return intake


def _clean_files(
    opened: Opened, stage: Stage, released: NotebookNode, course: Path
) -> tuple[dict[str, bytes], list[Flag]]:
    """What the clean folder holds, by its path there, and what was found."""
    repaired, repair_flags = repair_notebook(opened.notebook, released)
    flags = opened.flags + repair_flags
    files = {f"{stage.folder}.ipynb": nbformat.writes(repaired).encode()}
    pictures, folder, picture_flags = submitted_pictures(opened, stage)
    evaluation, evaluation_flags = submitted_evaluation(opened, stage, folder)
    if evaluation is not None:
        files[EVALUATION] = evaluation
    flags += picture_flags + evaluation_flags
    flags += changed_files(opened, stage, course) + shadow_files(opened)
    flags += answers_elsewhere(opened, stage, released, repaired)
    return files | pictures, flags


def _missing(files: dict[str, bytes], stage: Stage) -> tuple[str, ...]:
    """What a stage with pictures asks for in addition to the notebook and that is not there."""
    if not stage.pictures:
        return ()
    tops = {PurePosixPath(name).parts[0] for name in files}
    return tuple(name for name in (PICTURES, EVALUATION) if name not in tops)


def ensure_taken_in(submission: Submission, *, again: bool = False) -> Intake:
    """Take in a submission in `submitted/` if it has not been taken in.

    A folder from `nbgrader collect` has nbgrader's timestamp.txt; without one, the time of receipt
    is now. What came is kept in received/.

    Args:
        again: take it in also if it has been taken in.
    """
    folder = submission.folder
    intake = load_intake(submission)
    if intake is not None and not again:
        return intake
    receipt = load_receipt(submission)
    received = exchange_time(folder, zone_of(submission.course)) or datetime.now(timezone.utc)
    is_new = intake is None and folder.is_dir()
    # Otherwise a run stopped after it had kept what came, and the folder is an older one.
    if receipt is None or (is_new and receipt.received < received):
        receipt, _ = keep(folder, submission, received=received)
    return take_in_kept(receipt, folder, submission)


def repaired(notebook: NotebookNode, submission: Submission) -> NotebookNode:
    """A notebook that nbgrader has read from a submission's folder, as it is to be graded.

    It is repaired where it is not what was taken in, for example after an instructor changed it.
    """
    intake = load_intake(submission)
    if intake is not None and is_as_taken_in(intake):
        return notebook
    released = load_released(submission.course, submission.assignment)
    return repair_notebook(tidied(notebook), released)[0]


def exchange_time(folder: Path, zone: ZoneInfo) -> datetime | None:
    """The time in nbgrader's timestamp.txt; None where there is none that can be read.

    zone: of the course; `nbgrader zip_collect` writes times without one.
    """
    try:
        with open(folder / TIMESTAMP, "rb", opener=_opener) as file:
            time = read_time(file.read(100).decode(), zone)
    except (OSError, UnicodeDecodeError, CourseError):
        return None
    return min(time, datetime.now(timezone.utc))


def _secret(source: Path) -> dict[str, bytes]:
    """The file that `nbgrader release_feedback` needs, where nbgrader's exchange has brought it."""
    try:
        with open(source / SECRET, "rb", opener=_opener) as file:
            content = file.read(LONGEST_SECRET + 1)
    except OSError:
        return {}
    return {SECRET: content} if len(content) <= LONGEST_SECRET and content.isascii() else {}


def _opener(path: str, flags: int) -> int:
    """Follow no link, and wait for no pipe."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)
