"""A process that grades one submission after another.

`python -m grading.scheduler.worker_pool COURSE GRADER`

It reads one job a line, as JSON, and answers each with one line. Whoever started it may kill it at
any moment: a record is written whole or not at all.
"""

from __future__ import annotations

import contextlib
import ctypes
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

from distillery.core.errors import CourseError
from grading.core.records import Record, Store
from grading.core.rules import NAME, Rules
from grading.intake.take_in import load_intake
from grading.judge.run_notebook import GRADER, run_through

ATTEMPTS = 3
PATIENCE_S = 3600.0  # every part of a submission has a limit of its own; this is for what forgot it
TICK_S = 0.2
KILL_WITH_PARENT = 1  # PR_SET_PDEATHSIG


@dataclass
class Job:
    """One submission to grade.

    execute:  run its notebook from first to last, too.
    attempts: that have failed already.
    """

    student: str
    assignment: str
    digest: str
    execute: bool = False
    attempts: int = 0

    def folder(self, course: Path) -> Path:
        return course / "submitted" / self.student / self.assignment


class LostError(Exception):
    """The process that was asked is gone; in a sentence, how."""


class Worker:
    """A grading process, as seen by the one that asks it.

    Raises `CourseError` from `answer` where the process cannot open its grader.
    """

    def __init__(self, course: Path, grader: str = GRADER) -> None:
        self.job: Job | None = None
        self.leaves_open: tuple[str, ...] = ()
        self._asked_at = 0.0
        self._log = open_log(course)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "grading.scheduler.worker_pool", str(course), grader],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            # Threads of several workers would wait for each other's processors.
            env={"OMP_NUM_THREADS": "1"} | os.environ,
        )
        assert self._process.stdin
        assert self._process.stdout
        self._jobs, self._answers = self._process.stdin, self._process.stdout

    def fileno(self) -> int:
        """What becomes readable when there is an answer, or no worker any more."""
        return self._answers.fileno()

    def ask(self, job: Job) -> None:
        self.job, self._asked_at = job, time.monotonic()
        # One that is dead already shows in its answer.
        with contextlib.suppress(OSError):
            line = json.dumps([job.student, job.assignment, job.execute])
            print(line, file=self._jobs, flush=True)

    def answer(self) -> str:
        """Wait for it: empty if the record is in the store, else what went wrong.

        Raises:
            LostError: the process ended.
            CourseError: it cannot open its grader.
        """
        line = self._answers.readline()
        if not line.endswith("\n"):
            raise LostError(f"its worker ended ({_ending(self._process.wait())})")
        said = json.loads(line)
        if "refused" in said:
            raise CourseError(said["refused"])
        self.job = None
        self.leaves_open = tuple(said.get("leaves_open", ()))
        return str(said["failed"])

    def stuck(self) -> bool:
        return self.job is not None and time.monotonic() - self._asked_at > PATIENCE_S

    def close(self) -> None:
        """Kill it; whatever it holds dies with it."""
        self._process.kill()
        self._process.wait()
        for stream in (self._jobs, self._answers, self._log):
            # What was still on its way to a dead process cannot be flushed.
            with contextlib.suppress(OSError):
                stream.close()


class Pool:
    """Several workers on this machine."""

    def __init__(self, course: Path, processes: int, grader: str = GRADER) -> None:
        self._course, self._grader = course, grader
        self._workers = [Worker(course, grader) for _ in range(processes)]
        self._losses_at_first = 0
        self._warned = False

    def graded(self, jobs: Sequence[Job]) -> Iterator[Job | None]:
        """Yield every job when its record is in the store, and None at least every fifth second.

        A job whose worker is lost is tried three times; then its record is a grader error.

        Raises:
            CourseError: the workers cannot open a grader.
        """
        waiting = list(reversed(jobs))
        while waiting or self.running:
            self._hand_out(waiting)
            ready = wait([worker.fileno() for worker in self._workers], timeout=TICK_S)
            for index, worker in enumerate(self._workers):
                job = worker.job
                if job is None or not (worker.fileno() in ready or worker.stuck()):
                    continue
                failed = self._outcome(index)
                if failed and not give_up(job, failed, self._course):
                    waiting.append(job)
                else:
                    yield job
            yield None

    @property
    def running(self) -> list[str]:
        """The students whose submissions are at work."""
        return [worker.job.student for worker in self._workers if worker.job]

    def close(self) -> None:
        for worker in self._workers:
            worker.close()

    def _hand_out(self, waiting: list[Job]) -> None:
        for worker in self._workers:
            if waiting and worker.job is None:
                worker.ask(waiting.pop())

    def _outcome(self, index: int) -> str:
        """What went wrong with the job of a worker, or nothing; a lost worker is replaced."""
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
        """Say once, where everybody looks, what the sandbox does not protect."""
        if not self._warned:
            for sentence in leaves_open:
                print(f"WARNING, the sandbox leaves open: {sentence}", file=sys.stderr)
        self._warned = True

    def _count_loss(self, error: LostError) -> None:
        """Where no worker ever answers, it is not the submissions."""
        if self._losses_at_first >= 0:
            self._losses_at_first += 1
        if self._losses_at_first >= ATTEMPTS * len(self._workers):
            raise CourseError(
                f"nothing can be graded, {error}: read records/workers.log in the course folder, "
                "and run python -m grading doctor."
            )


def give_up(job: Job, failed: str, course: Path) -> bool:
    """Count a failed attempt; after the last one, save a grader error and say True."""
    job.attempts += 1
    if job.attempts < ATTEMPTS:
        return False
    intake = load_intake(job.folder(course))
    rules = Rules.load(course / NAME)
    record = Record(
        student=job.student,
        assignment=job.assignment,
        digest=job.digest,
        seed=rules.seed or 0,
        status="grader error",
        reason=f"the grader failed {job.attempts} times; the last time, {failed}",
        verdicts=(),
        flags=intake.flags if intake else (),
        seconds=0.0,
        rules=rules.digest,
    )
    Store(course).save(record)
    return True


def open_log(course: Path) -> IO[str]:
    path = course / "records" / "workers.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    return open(path, "a", encoding="utf-8", errors="replace")


def _ending(status: int) -> str:
    return f"status {status}" if status >= 0 else f"signal {-status}"


def serve(course: Path, grader: str, jobs: IO[str], answers: IO[str]) -> None:
    """Grade what is asked for, until nobody asks any more."""
    module: Any = importlib.import_module(grader)

    def say(**facts: Any) -> None:
        print(json.dumps(facts), file=answers, flush=True)

    with contextlib.ExitStack() as stack:
        try:
            opened = stack.enter_context(module.open_grader(course))
        except CourseError as error:
            say(refused=str(error))
            return
        for line in jobs:
            student, assignment, execute = json.loads(line)
            folder = course / "submitted" / student / assignment
            try:
                if execute:
                    run_through(folder, course)
                module.grade(folder, course, grader=opened)
            except Exception as error:
                say(failed=f"{type(error).__name__}: {error}")
            else:
                say(failed="", leaves_open=getattr(opened, "leaves_open", ()))


def die_with_parent() -> None:
    """End with the process that started this one, and leave Ctrl-C to it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(KILL_WITH_PARENT, signal.SIGKILL)


def main() -> None:
    course, grader = sys.argv[1:]
    die_with_parent()
    # What is printed while grading must not come between the answers, and a sandbox must not
    # inherit the jobs as its input.
    jobs, answers = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    serve(Path(course), grader, jobs, answers)


if __name__ == "__main__":
    main()
