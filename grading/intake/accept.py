"""Keep and take in the uploads of a class, and list what became of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

from distillery.core.errors import CourseError
from grading.core.submission import Submission, submissions
from grading.core.times import stamp
from grading.intake.archives import quoted
from grading.intake.clean_folder import Intake, load_intake
from grading.intake.receipts import Receipt, keep
from grading.intake.sources import CollectResult, Upload
from grading.intake.take_in import STUDENT, ensure_taken_in, take_in_kept

WIDTH = 10  # of the first column of the table


def accept(
    upload: Upload,
    course: Path,
    assignment: str,
    *,
    now: datetime,
    again: bool = False,
    chosen: bool = False,
) -> CollectResult:
    """Keep an upload and take it in, unless another of the student's counts.

    Args:
        now: the time of receipt where the platform does not give one.
        again: also take in what has not changed, from received/.
        chosen: it is to count, whatever is there.
    """
    submission = Submission(Path(course), upload.student, assignment)
    received = min(upload.time, datetime.now(timezone.utc)) if upload.time else now
    receipt, kept = keep(
        upload.source,
        submission,
        received=received,
        names=upload.names,
        flags=upload.flags,
        proven=upload.proven,
        rival=upload.rival,
        chosen=chosen,
    )
    if kept == "aside":
        return _set_aside(upload, receipt, submission)
    there = load_intake(submission)
    is_same = there is not None and there.received == receipt.received
    if there and is_same and not (kept == "new" or again) and _shows(there, receipt):
        return CollectResult(
            upload.student, "unchanged", there.rejected or upload.note, there.received
        )
    result = _result(upload.student, partial(take_in_kept, receipt, upload.source, submission))
    reasons = [upload.note, result.reason]
    return replace(result, reason="; ".join(filter(None, reasons)))


def _set_aside(upload: Upload, receipt: Receipt, submission: Submission) -> CollectResult:
    """Say so in the submission that counts, and in the list."""
    there = load_intake(submission)
    if there and not _shows(there, receipt) and receipt.source.exists():
        _result(upload.student, partial(take_in_kept, receipt, receipt.source, submission))
    reason = (
        f"{quoted(upload.source.name)} claims to be this student's, and {quoted(receipt.name)} is "
        f"graded; to grade this one instead, add --choose {quoted(upload.source.name)}"
    )
    return CollectResult(upload.student, "set aside", reason)


def _shows(intake: Intake, receipt: Receipt) -> bool:
    """Whether what was taken in says all that the receipt says."""
    return set(receipt.all_flags) <= set(intake.flags)


def accept_submitted(course: Path, assignment: str, *, again: bool = False) -> list[CollectResult]:
    """Take in what nbgrader's own collect has put into submitted/."""
    results = []
    for submission in submissions(course, assignment):
        student, before = submission.student, load_intake(submission)
        if not STUDENT.fullmatch(student):
            results.append(
                CollectResult(quoted(student), "unknown", "is not a safe name for a student")
            )
        elif before and not again:
            results.append(CollectResult(student, "unchanged", before.rejected, before.received))
        else:
            results.append(_result(student, partial(ensure_taken_in, submission, again=again)))
    return results


def _result(student: str, taking_in: Callable[[], Intake]) -> CollectResult:
    """Take in one submission; an unexpected error in it does not stop the others."""
    try:
        intake = taking_in()
    except CourseError:
        raise
    except Exception as error:
        reason = f"cannot be taken in ({type(error).__name__}): look at it"
        return CollectResult(student, "unknown", reason)
    if intake.rejected:
        return CollectResult(intake.student, "rejected", intake.rejected, intake.received)
    kinds = ", ".join(dict.fromkeys(flag.kind for flag in intake.flags))
    reason = f"to look at: {kinds}" if kinds else ""
    return CollectResult(intake.student, "accepted", reason, intake.received)


def table(results: Sequence[CollectResult], zone: ZoneInfo) -> str:
    """A line for each upload, with its time of receipt, and a last line with counts."""
    ordered = sorted(results, key=lambda one: (one.status == "unchanged", one.student))
    width = min(40, max([0, *(len(one.student) for one in results)]))
    times = [stamp(one.received, zone) if one.received else "" for one in ordered]
    lines = [
        f"{one.status:<{WIDTH}}{one.student:<{width}}  {time:<{max(map(len, times))}}  {one.reason}"
        for one, time in zip(ordered, times, strict=True)
    ]
    lines = [line.rstrip() for line in lines]
    statuses = ("accepted", "rejected", "unchanged", "set aside", "unknown")
    counts = [(sum(one.status == status for one in results), status) for status in statuses]
    lines.append(", ".join(f"{count} {name}" for count, name in counts if count) or "nothing came.")
    return "\n".join(lines)
