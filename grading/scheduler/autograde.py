"""Grade a whole class, in parallel, into nbgrader's gradebook.

python -m grading autograde 01_sds
python -m grading autograde 01_sds --jobs 8
python -m grading autograde 01_sds --scheduler tcp://login-node:8786

Finished submissions are not graded again, so the same command continues a run that was stopped, by
Ctrl-C or a power cut. A new submission is graded again, and so are all of them when the rules have
changed; an extension or a new due date changes only the late penalties. At the end it says when the
assignment was due and who is late, in the course's time_zone, which stands in rules.yaml.
Student code runs in sandboxes that the worker processes start; only this process writes to the
gradebook.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from distillery.core.cli import documented, stop
from distillery.core.counting import counted
from distillery.core.errors import CourseError, in_short
from grading.core.records import Record, Store
from grading.core.rules import NAME, Rules, settle
from grading.core.submission import Submission, submissions
from grading.gradebook.penalty_cache import remember, remembered
from grading.intake.clean_folder import TIMESTAMP, Intake
from grading.intake.released import check_released
from grading.intake.take_in import ensure_taken_in
from grading.judge.run_notebook import GRADER, executed_notebook
from grading.scheduler.progress import Progress
from grading.scheduler.worker_pool import Pool, QueuedSubmission, open_log
from grading.stages import stage_of

MOST_NAMED = 8  # students in one sentence


class Engine(Protocol):
    """What grades submissions: worker processes here, or a cluster."""

    def graded(self, queue: Sequence[QueuedSubmission]) -> Iterator[QueuedSubmission | None]:
        """Yield each submission when its record is in the store, and None regularly."""
        ...

    def close(self) -> None: ...


@dataclass
class Plan:
    """What is to be done for an assignment.

    total:    number of its submissions.
    to_grade: submissions without a record, or with one by other rules.
    to_book:  records that are not in the gradebook.
    errors:   student -> what is wrong, in a sentence, where there is no result.
    """

    total: int = 0
    to_grade: list[QueuedSubmission] = field(default_factory=list)
    to_book: list[Record] = field(default_factory=list)
    errors: dict[str, str] = field(default_factory=dict)


def autograde(
    assignment: str,
    course: Path,
    *,
    jobs: int = 1,
    student: str = "*",
    force: bool = False,
    retry_errors: bool = False,
    execute: bool = False,
    scheduler: str | None = None,
    grader: str = GRADER,
) -> dict[str, str]:
    """Grade every submission of an assignment, into the store and the gradebook.

    Args:
        jobs: worker processes; with a `scheduler`, those of a local cluster.
        student: one student, or "*" for all.
        force: grade finished submissions again.
        retry_errors: grade submissions that ended as a grader error again.
        execute: also run every notebook from first to last, to look at.
        scheduler: "local", the address of a dask scheduler, or None for plain processes.
        grader: the module that grades.

    Returns:
        Grader errors, student -> reason.

    Raises:
        CourseError: the course folder or the cluster cannot be used.
    """
    course = Path(course).resolve()
    stage_of(assignment)  # raises where there is none
    Rules.load(course / NAME)  # before anything is written into what may not be a course folder
    with _alone(course):
        check_released(course, assignment, settle(course))
        plan = find_work(
            assignment, course, student, force=force, retry_errors=retry_errors, execute=execute
        )
        if plan.to_grade or plan.to_book:
            _carry_out(plan, assignment, course, jobs=jobs, scheduler=scheduler, grader=grader)
        else:
            print(
                f"{assignment}: {counted(plan.total, 'submission')}, nothing new.", file=sys.stderr
            )
        _update_penalties(assignment, course)
    return plan.errors


def find_work(
    assignment: str,
    course: Path,
    student: str,
    *,
    force: bool,
    retry_errors: bool,
    execute: bool,
) -> Plan:
    """What is to be done; what only nbgrader has collected so far is taken in first.

    Raises:
        CourseError: nothing was handed in.
    """
    plan, store, rules = Plan(), Store(course), Rules.load(course / NAME).digest
    for submission in submissions(course, assignment, student):
        plan.total += 1
        try:
            intake = ensure_taken_in(submission)
        except Exception as error:
            # One submission with an unexpected problem must not stop the class.
            plan.errors[submission.student] = f"it cannot be taken in: {in_short(error)}"
            continue
        submission = intake.submission
        record = store.load(submission)
        stale = record is None or record.rules != rules
        failed = record is not None and record.status == "grader error"
        unseen = execute and not intake.rejected and not executed_notebook(submission).exists()
        if record is None or stale or force or unseen or (failed and retry_errors):
            plan.to_grade.append(QueuedSubmission(submission, execute))
        elif not in_gradebook(record, intake):
            plan.to_book.append(record)
        elif failed:
            plan.errors[record.student] = record.reason
    if not plan.total and student != "*" and submissions(course, assignment):
        raise CourseError(
            f"{student} has no submission of {assignment}; {course / 'submitted'} has "
            "submissions of other students."
        )
    if not plan.total:
        raise CourseError(
            f"there is no submission of {assignment} in {course / 'submitted'}: run python -m "
            "grading collect, or nbgrader collect."
        )
    return plan


def in_gradebook(record: Record, intake: Intake) -> bool:
    """Whether nbgrader has this record, and this time of receipt."""
    submission = intake.submission
    graded = submission.autograded
    try:
        times = [(folder / TIMESTAMP).read_bytes() for folder in (graded, submission.folder)]
        there = (graded / submission.notebook.name).exists()
    except OSError:
        return False
    return times[0] == times[1] and there and Store(submission.course).is_booked(record)


def _carry_out(
    plan: Plan, assignment: str, course: Path, *, jobs: int, scheduler: str | None, grader: str
) -> None:
    """Grade submissions and write their records into the gradebook, each as soon as possible."""
    booking = _Booking(plan, assignment, course)
    with contextlib.ExitStack() as stack:
        graded: Iterator[QueuedSubmission | None] = iter(())
        if plan.to_grade:
            _score_pictures(plan, assignment, course)
            engine = _engine(course, min(jobs, len(plan.to_grade)), scheduler, grader)
            stack.callback(engine.close)
            graded = engine.graded(plan.to_grade)
        interrupted = stack.enter_context(_ctrl_c())
        progress = Progress(assignment, len(plan.to_grade) + len(plan.to_book))
        stack.callback(progress.close)
        for queued in graded:
            _check_interrupt(interrupted)
            progress.refresh()
            if queued is not None:
                booking.add(queued.submission)
            elif booking.waiting:
                booking.next(progress)
        while booking.waiting:
            _check_interrupt(interrupted)
            booking.next(progress)


class _Booking:
    """Records that wait to be written into the gradebook, one at a time."""

    def __init__(self, plan: Plan, assignment: str, course: Path) -> None:
        from grading.gradebook.writer import GradebookWriter

        self.waiting = list(plan.to_book)
        self._writer, self._store = GradebookWriter(course, assignment), Store(course)
        self._errors = plan.errors

    def add(self, submission: Submission) -> None:
        """Let the new record of a graded submission wait."""
        record = self._store.load(submission)
        if record is None:
            self._errors[submission.student] = (
                "its record cannot be read: run the same command again."
            )
        else:
            self.waiting.append(record)

    def next(self, progress: Progress) -> None:
        """Write the record that has waited longest."""
        record = self.waiting.pop(0)
        problem = self._writer.write(record)
        if problem:
            reason = f"it could not be written into the gradebook: {problem}"
            self._errors[record.student] = reason
        elif record.status == "grader error":
            self._errors[record.student] = record.reason
        progress.ended(record.student, "grader error" if problem else record.status)


def _check_interrupt(interrupted: threading.Event) -> None:
    if interrupted.is_set():
        raise KeyboardInterrupt


def _update_penalties(assignment: str, course: Path) -> None:
    """Say who is late, and whose penalty changed by an extension or a new due date."""
    changed: list[str] = []
    said = remembered(assignment, course)
    if said is None:
        from grading.gradebook.writer import GradebookWriter

        writer = GradebookWriter(course, assignment)
        changed, said = writer.update_penalties(), writer.lateness()
        remember(assignment, course, writer.url, said)
    print(*said, sep="\n", file=sys.stderr)
    if changed:
        more = f" and {len(changed) - MOST_NAMED} more" * (len(changed) > MOST_NAMED)
        names = f"{', '.join(changed[:MOST_NAMED])}{more}"
        print(f"{assignment}: late penalties changed for {names}", file=sys.stderr)


@contextlib.contextmanager
def _ctrl_c() -> Iterator[threading.Event]:
    """An event that the first Ctrl-C sets; a second Ctrl-C interrupts as usual.

    An exception instead would be lost where it is raised in Python's own clean-up.
    """
    asked, before = threading.Event(), signal.getsignal(signal.SIGINT)
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or before is not signal.default_int_handler:  # ignored, or handled elsewhere
        yield asked
        return

    def first(number: int, frame: object) -> None:
        signal.signal(signal.SIGINT, before)
        asked.set()

    signal.signal(signal.SIGINT, first)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)


def _score_pictures(plan: Plan, assignment: str, course: Path) -> None:
    """Score the pictures of all submissions that will be graded, in a stage that has pictures."""
    if not stage_of(assignment).pictures:
        return
    print(
        f"{assignment}: scoring pictures of {counted(len(plan.to_grade), 'submission')}",
        file=sys.stderr,
    )
    graded = (queued.submission for queued in plan.to_grade)
    lines = "".join(json.dumps([one.student, one.digest]) + "\n" for one in graded)
    # A program of its own frees the scorer's memory, and its failure does no harm.
    command = [sys.executable, "-m", "grading.scheduler.score_class", str(course), assignment]
    with open_log(course) as log:
        status = subprocess.run(command, input=lines, text=True, stderr=log, check=False).returncode
    if status != 0:
        print(
            f"warning: the pictures could not be scored in batches (status {status}, see "
            "records/workers.log); those of each submission are scored where it is graded.",
            file=sys.stderr,
        )


def _engine(course: Path, jobs: int, scheduler: str | None, grader: str) -> Engine:
    if scheduler is None:
        return Pool(course, jobs, grader)
    from grading.scheduler.dask_cluster import Cluster

    return Cluster(course, scheduler, jobs, grader)


@contextlib.contextmanager
def _alone(course: Path) -> Iterator[None]:
    """Lock the course, so that no other run grades it; the system unlocks it if we are killed."""
    import fcntl

    path = course / "records" / ".lock"
    with contextlib.ExitStack() as stack:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context(open(path, "w"))
        except OSError as error:
            why = (error.strerror or "").lower()
            raise CourseError(f"cannot write {path}: {why}; grading writes there.") from None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise CourseError(
                f"another run is grading {course} already: wait until it is done."
            ) from None
        yield


def _parser() -> argparse.ArgumentParser:
    parser = documented("python -m grading autograde", __doc__)
    parser.add_argument("stage", metavar="STAGE", help="such as 01_sds")
    parser.add_argument(
        "--course", type=Path, default=Path("class"), help="the course folder (default: class)"
    )
    parser.add_argument(
        "--jobs",
        type=int,
        default=os.cpu_count() or 1,
        metavar="N",
        help="worker processes (default: as many as there are processors)",
    )
    parser.add_argument("--student", default="*", metavar="ID", help="only this student")
    parser.add_argument("--force", action="store_true", help="grade finished submissions again")
    parser.add_argument(
        "--retry-errors",
        action="store_true",
        help="grade submissions that ended as a grader error again",
    )
    parser.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="of a dask scheduler, or 'local' for a small cluster on this machine",
    )
    parser.add_argument(
        "--execute",
        action="store_true",
        help="also run every notebook from first to last, in a sandbox, to look at",
    )
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Grade what the command line names; 1 if there were grader errors, 130 after Ctrl-C."""
    options = _parser().parse_args(arguments)
    if options.jobs < 1:
        raise CourseError(f"--jobs must be 1 or more; it is {options.jobs}.")
    if options.execute and options.scheduler:
        raise CourseError("--execute works with --jobs and not with --scheduler: leave one out.")
    try:
        errors = autograde(
            options.stage,
            options.course,
            jobs=options.jobs,
            student=options.student,
            force=options.force,
            retry_errors=options.retry_errors,
            execute=options.execute,
            scheduler=options.scheduler,
        )
    except KeyboardInterrupt:
        return stop("stopped; the same command continues from here.", 130)
    for student, reason in sorted(errors.items()):
        print(f"grader error: {student}: {reason}", file=sys.stderr)
    if errors:
        print(
            "when the reason is fixed, run the same command with --retry-errors.", file=sys.stderr
        )
    return int(bool(errors))
