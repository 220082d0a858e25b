"""Worker processes that grade one submission after another.

`python -m grading.scheduler.worker_pool COURSE GRADER`

It reads one submission a line, as JSON, and answers each with one line. It may be killed at any
moment: a record is written whole or not at all.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path
from typing import IO, Any

from tqdm import tqdm

from distillery.core.counting import counted
from distillery.core.errors import CourseError
from grading.core.records import Record, Store
from grading.core.rules import NAME, Rules
from grading.core.submission import Submission
from grading.intake.clean_folder import load_intake
from grading.judge.run_notebook import GRADER, run_through
from grading.sandbox.inside.isolation import die_with_parent

ATTEMPTS = 3
PATIENCE_S = 3600.0  # for whatever has no time limit of its own
TICK_S = 0.2


@dataclass
class QueuedSubmission:
    """One submission to grade.

    submission: with its digest.
    execute:    also run its notebook from first to last.
    attempts:   how often grading it has failed.
    """

    submission: Submission
    execute: bool = False
    attempts: int = 0


class LostError(Exception):
    """The worker process is gone; the sentence says how it ended."""


class Worker:
    """One grading process, from the side of the process that starts it."""

    def __init__(self, course: Path, grader: str = GRADER) -> None:
        self.queued: QueuedSubmission | None = None
        self.leaves_open: tuple[str, ...] = ()
        self._asked_at = 0.0
        self._log = open_log(course)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "grading.scheduler.worker_pool", str(course), grader],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            # Threads of several workers would compete for the processors.
            env={"OMP_NUM_THREADS": "1"} | os.environ,
        )
        assert self._process.stdin
        assert self._process.stdout
        self._questions, self._answers = self._process.stdin, self._process.stdout

    def fileno(self) -> int:
        """A descriptor that is readable when there is an answer, or the worker has ended."""
        return self._answers.fileno()

    def ask(self, queued: QueuedSubmission) -> None:
        self.queued, self._asked_at = queued, time.monotonic()
        submission = queued.submission
        # If the worker is dead already, `answer` says so.
        with contextlib.suppress(OSError):
            line = json.dumps([submission.student, submission.assignment, queued.execute])
            print(line, file=self._questions, flush=True)

    def answer(self) -> str:
        """Wait for the answer: "" if the record is in the store, else what went wrong.

        Raises:
            LostError: the process ended.
            CourseError: the process cannot open its grader.
        """
        line = self._answers.readline()
        if not line.endswith("\n"):
            raise LostError(f"its worker ended ({_ending(self._process.wait())})")
        answer = json.loads(line)
        if "refused" in answer:
            raise CourseError(answer["refused"])
        self.queued = None
        self.leaves_open = tuple(answer.get("leaves_open", ()))
        return str(answer["failed"])

    def stuck(self) -> bool:
        return self.queued is not None and time.monotonic() - self._asked_at > PATIENCE_S

    def close(self) -> None:
        """Kill the process, and with it everything that it started."""
        self._process.kill()
        self._process.wait()
        for stream in (self._questions, self._answers, self._log):
            # What was not yet read by a dead process cannot be flushed.
            with contextlib.suppress(OSError):
                stream.close()


class Pool:
    """Several workers on this machine."""

    def __init__(self, course: Path, processes: int, grader: str = GRADER) -> None:
        self._course, self._grader = course, grader
        self._workers = [Worker(course, grader) for _ in range(processes)]
        self._losses_at_first = 0
        self._warned = False

    def graded(self, queue: Sequence[QueuedSubmission]) -> Iterator[QueuedSubmission | None]:
        """Yield each submission when its record is in the store, and None several times a second.

        A submission whose worker is lost is tried three times; then its record is a grader error.

        Raises:
            CourseError: the workers cannot open a grader.
        """
        waiting = list(reversed(queue))
        while waiting or any(worker.queued for worker in self._workers):
            self._distribute(waiting)
            ready = wait([worker.fileno() for worker in self._workers], timeout=TICK_S)
            for index, worker in enumerate(self._workers):
                queued = worker.queued
                if queued is None or not (worker.fileno() in ready or worker.stuck()):
                    continue
                failed = self._failure(index)
                if failed and not give_up(queued, failed):
                    waiting.append(queued)
                else:
                    yield queued
            yield None

    def close(self) -> None:
        for worker in self._workers:
            worker.close()

    def _distribute(self, waiting: list[QueuedSubmission]) -> None:
        for worker in self._workers:
            if waiting and worker.queued is None:
                worker.ask(waiting.pop())

    def _failure(self, index: int) -> str:
        """What went wrong in a worker, or ""; a lost worker is replaced."""
        worker = self._workers[index]
        try:
            if worker.stuck():
                raise LostError(f"no answer in {PATIENCE_S:.0f} s")
            failed = worker.answer()
            self._losses_at_first = -1
            self._warn(worker.leaves_open)
            return failed
        except LostError as error:
            worker.close()
            self._count_loss(error)
            self._workers[index] = Worker(self._course, self._grader)
            return str(error)

    def _warn(self, leaves_open: tuple[str, ...]) -> None:
        """Print once what the sandbox does not protect."""
        if not self._warned:
            for sentence in leaves_open:
                tqdm.write(f"WARNING, the sandbox leaves open: {sentence}", file=sys.stderr)
        self._warned = True

    def _count_loss(self, error: LostError) -> None:
        """Stop where no worker ever answers: then the submissions are not at fault."""
        if self._losses_at_first >= 0:
            self._losses_at_first += 1
        if self._losses_at_first >= ATTEMPTS * len(self._workers):
            raise CourseError(
                f"nothing can be graded, {error}: read records/workers.log in the course folder, "
                "and run python -m grading doctor."
            )


def give_up(queued: QueuedSubmission, failed: str) -> bool:
    """Count a failed attempt; after the last one, save a grader error and return True."""
    queued.attempts += 1
    if queued.attempts < ATTEMPTS:
        return False
    submission = queued.submission
    intake = load_intake(submission)
    rules = Rules.load(submission.course / NAME)
    record = Record(
        student=submission.student,
        assignment=submission.assignment,
        digest=submission.digest,
        seed=rules.seed or 0,
        status="grader error",
        reason=f"the grader failed {counted(queued.attempts, 'time')}; the last time, {failed}",
        verdicts=(),
        flags=intake.flags if intake else (),
        seconds=0.0,
        rules=rules.digest,
    )
    Store(submission.course).save(record)
    return True


def open_log(course: Path) -> IO[str]:
    path = course / "records" / "workers.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    return open(path, "a", encoding="utf-8", errors="replace")


def _ending(status: int) -> str:
    return f"status {status}" if status >= 0 else f"signal {-status}"


def serve(course: Path, grader: str, questions: IO[str], answers: IO[str]) -> None:
    """Grade each submission of `questions`, until they end."""
    module: Any = importlib.import_module(grader)

    def answer(**facts: Any) -> None:
        print(json.dumps(facts), file=answers, flush=True)

    with contextlib.ExitStack() as stack:
        try:
            opened = stack.enter_context(module.open_grader(course))
        except CourseError as error:
            answer(refused=str(error))
            return
        for line in questions:
            student, assignment, execute = json.loads(line)
            submission = Submission(course, student, assignment)
            try:
                if execute:
                    run_through(submission)
                module.grade(submission, grader=opened)
            except Exception as error:
                answer(failed=f"{type(error).__name__}: {error}")
            else:
                answer(failed="", leaves_open=getattr(opened, "leaves_open", ()))


def follow_parent() -> None:
    """End with the process that started this one, and leave Ctrl-C to it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with_parent()


def main() -> None:
    course, grader = sys.argv[1:]
    follow_parent()
    # What is printed while grading must not mix with the answers, and a sandbox must not inherit
    # the questions as its input.
    questions, answers = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    serve(Path(course), grader, questions, answers)


if __name__ == "__main__":
    main()
