"""Grade a whole class, in parallel, into nbgrader's gradebook.

python -m grading autograde 01_sds
python -m grading autograde 01_sds --jobs 8
python -m grading autograde 01_sds --scheduler tcp://login-node:8786

What has its outcome already is left as it is, so the same command goes on where it was stopped, by
Ctrl-C or by a power cut. A new hand-in is graded anew, and all are when the rules have changed; an
extension or a new due date changes the penalties alone.
Student code runs in sandboxes below the worker processes; this process alone writes to the
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

from distillery.core.errors import CourseError, in_short
from grading.core.records import Record, Store
from grading.core.rules import NAME, Rules, settle
from grading.gradebook.penalty_cache import are_counted, remember
from grading.intake.take_in import Intake, check_released, taken_in
from grading.judge.run_notebook import GRADER, path_of
from grading.scheduler.progress import SHOWN, Progress
from grading.scheduler.worker_pool import Job, Pool, open_log
from grading.stages import stage_of


class Engine(Protocol):
    """What grades jobs: worker processes here, or a cluster."""

    @property
    def running(self) -> list[str]: ...

    def graded(self, jobs: Sequence[Job]) -> Iterator[Job | None]:
        """Yield every job when its record is in the store, and None every now and then."""
        ...

    def close(self) -> None: ...


@dataclass
class Work:
    """What is to be done for an assignment.

    total:   of its submissions.
    to_grade: those without a record, or with one by other rules.
    to_book: records that are not in the gradebook.
    errors:  student -> what is wrong, in a sentence, where there is no outcome.
    """

    total: int = 0
    to_grade: list[Job] = field(default_factory=list)
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
    """Give every submission of an assignment its outcome, in the store and in the gradebook.

    Args:
        jobs: worker processes; with a `scheduler`, those of a local cluster.
        student: one of them, or "*" for all.
        force: grade what has its outcome, too.
        retry_errors: grade again what ended as a grader error.
        execute: run every notebook from first to last, too, to be looked at.
        scheduler: "local", the address of a dask scheduler, or None for plain processes.
        grader: the module that grades.

    Returns:
        What ended as a grader error, student -> reason.

    Raises:
        CourseError: the course folder or the cluster cannot be used.
    """
    course = Path(course).resolve()
    stage_of(assignment)  # or none, which is said
    Rules.load(course / NAME)  # before anything is written into what may be no course folder
    with _alone(course):
        check_released(course, assignment, settle(course))
        work = find_work(
            assignment, course, student, force=force, retry_errors=retry_errors, execute=execute
        )
        if work.to_grade or work.to_book:
            _do(work, assignment, course, jobs=jobs, scheduler=scheduler, grader=grader)
        else:
            print(f"{assignment}: {work.total} submissions, nothing new.", file=sys.stderr)
        _count_penalties(assignment, course)
    return work.errors


def find_work(
    assignment: str,
    course: Path,
    student: str,
    *,
    force: bool,
    retry_errors: bool,
    execute: bool,
) -> Work:
    """What is to be done; what only nbgrader has collected so far is taken in first.

    Raises:
        CourseError: nothing was handed in.
    """
    work, store, rules = Work(), Store(course), Rules.load(course / NAME).digest
    for folder in _folders(assignment, course, student):
        work.total += 1
        try:
            intake = taken_in(folder, course)
        except Exception as error:
            # Whatever this one is made of, the class is graded.
            work.errors[folder.parent.name] = f"it cannot be taken in: {in_short(error)}"
            continue
        record = store.load(assignment, intake.student, intake.digest)
        stale = record is None or record.rules != rules
        failed = record is not None and record.status == "grader error"
        unseen = execute and not intake.rejected and not path_of(intake, course).exists()
        if record is None or stale or force or unseen or (failed and retry_errors):
            work.to_grade.append(Job(intake.student, assignment, intake.digest, execute))
        elif not in_gradebook(record, intake, course):
            work.to_book.append(record)
        elif failed:
            work.errors[record.student] = record.reason
    if not work.total and student != "*" and _folders(assignment, course, "*"):
        raise CourseError(
            f"{student} has handed in nothing of {assignment}; {course / 'submitted'} holds what "
            "others have."
        )
    if not work.total:
        raise CourseError(
            f"nothing of {assignment} lies in {course / 'submitted'}: run python -m grading "
            "collect, or nbgrader collect."
        )
    return work


def _folders(assignment: str, course: Path, student: str) -> list[Path]:
    """The hand-ins in submitted/, and those that lost their folder there, as by a crash."""
    kept = (course / "received" / assignment).glob(f"{student}/receipt.json")
    lost = {course / "submitted" / path.parent.name / assignment for path in kept}
    return sorted({*(course / "submitted").glob(f"{student}/{assignment}"), *lost})


def in_gradebook(record: Record, intake: Intake, course: Path) -> bool:
    """Whether nbgrader has this record, and this time of receipt."""
    graded = course / "autograded" / record.student / record.assignment
    try:
        same_time = _bytes(graded / "timestamp.txt") == _bytes(intake.folder / "timestamp.txt")
        there = (graded / f"{record.assignment}.ipynb").exists()
    except OSError:
        return False
    return same_time and there and Store(course).is_booked(record)


def _bytes(path: Path) -> bytes:
    return path.read_bytes()


def _do(
    work: Work,
    assignment: str,
    course: Path,
    *,
    jobs: int,
    scheduler: str | None,
    grader: str,
) -> None:
    """Grade and book; each as soon as it can be."""
    from grading.gradebook.writer import Booker

    booker, store = Booker(course, assignment), Store(course)
    progress = Progress(assignment, len(work.to_grade) + len(work.to_book))
    to_book = list(work.to_book)

    def book_one() -> None:
        record = to_book.pop(0)
        refused = booker.book(record)
        if refused:
            work.errors[record.student] = f"it could not be booked: {refused}"
        elif record.status == "grader error":
            work.errors[record.student] = record.reason
        progress.ended(record.student, "grader error" if refused else record.status)

    with contextlib.ExitStack() as stack:
        engine: Engine | None = None
        if work.to_grade:
            _score_ahead(work, assignment, course)
            engine = _engine(course, min(jobs, len(work.to_grade)), scheduler, grader)
            stack.callback(engine.close)
        asked_to_stop = stack.enter_context(_ctrl_c())
        if engine:
            for job in engine.graded(work.to_grade):
                progress.running(engine.running)
                if asked_to_stop.is_set():
                    raise KeyboardInterrupt
                if job is not None:
                    to_book += _recorded(store, job, work)
                elif to_book:
                    book_one()
        while to_book:
            if asked_to_stop.is_set():
                raise KeyboardInterrupt
            book_one()


def _count_penalties(assignment: str, course: Path) -> None:
    """Say for whom an extension or a new due date has changed what being late costs."""
    if are_counted(assignment, course):
        return
    from grading.gradebook.writer import Booker

    booker = Booker(course, assignment)
    changed = booker.penalties_anew()
    remember(assignment, course, booker.url)
    if changed:
        more = f" and {len(changed) - SHOWN} more" * (len(changed) > SHOWN)
        said = f"{', '.join(changed[:SHOWN])}{more}"
        print(f"{assignment}: being late costs another sum now: {said}", file=sys.stderr)


@contextlib.contextmanager
def _ctrl_c() -> Iterator[threading.Event]:
    """What the first Ctrl-C sets; a second one interrupts as ever.

    As an exception it is lost where it falls into Python's own tidying up.
    """
    asked, before = threading.Event(), signal.getsignal(signal.SIGINT)
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or before is not signal.default_int_handler:  # ignored, or somebody else's
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


def _score_ahead(work: Work, assignment: str, course: Path) -> None:
    """Have done once what the pictures of all who are to be graded need, where there are any."""
    if not stage_of(assignment).pictures:
        return
    print(f"{assignment}: pictures of {len(work.to_grade)} hand-ins first", file=sys.stderr)
    lines = "".join(json.dumps([job.student, job.digest]) + "\n" for job in work.to_grade)
    # As a program, it gives back what a scorer takes, and can fail without harm.
    command = [sys.executable, "-m", "grading.scheduler.score_class", str(course), assignment]
    with open_log(course) as log:
        status = subprocess.run(command, input=lines, text=True, stderr=log, check=False).returncode
    if status != 0:
        print(
            f"warning: the pictures could not be scored ahead (status {status}, see "
            "records/workers.log); each hand-in's are scored where it is graded.",
            file=sys.stderr,
        )


def _recorded(store: Store, job: Job, work: Work) -> list[Record]:
    record = store.load(job.assignment, job.student, job.digest)
    if record is None:
        work.errors[job.student] = "its record cannot be read: run this again."
        return []
    return [record]


def _engine(course: Path, jobs: int, scheduler: str | None, grader: str) -> Engine:
    if scheduler is None:
        return Pool(course, jobs, grader)
    from grading.scheduler.dask_cluster import Cluster

    return Cluster(course, scheduler, jobs, grader)


@contextlib.contextmanager
def _alone(course: Path) -> Iterator[None]:
    """Nobody else grades this course meanwhile; the system ends this even when we are killed."""
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
                f"somebody grades {course} already: wait until they are done."
            ) from None
        yield


def main(arguments: list[str] | None = None) -> int:
    """Grade what the command line names: 1 if there were grader errors, 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog="python -m grading autograde",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
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
    parser.add_argument("--student", default="*", metavar="ID", help="only this one")
    parser.add_argument(
        "--force", action="store_true", help="grade again what has its outcome already"
    )
    parser.add_argument(
        "--retry-errors", action="store_true", help="grade again what ended as a grader error"
    )
    parser.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="of a dask scheduler, or 'local' for a small cluster of its own on this machine",
    )
    parser.add_argument(
        "--execute",
        action="store_true",
        help="run every notebook from first to last, too, in a sandbox, to be looked at",
    )
    options = parser.parse_args(arguments)
    if options.jobs < 1:
        raise CourseError(f"--jobs must be 1 or more; it is {options.jobs}.")
    if options.execute and options.scheduler:
        raise CourseError("--execute works with --jobs, and not with --scheduler: leave one out.")
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
        print("stopped; the same command goes on from here.", file=sys.stderr)
        return 130
    for student, reason in sorted(errors.items()):
        print(f"grader error: {student}: {reason}", file=sys.stderr)
    if errors:
        print("when the reason is gone: the same command with --retry-errors.", file=sys.stderr)
    return int(bool(errors))
