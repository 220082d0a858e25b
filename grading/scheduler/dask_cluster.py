"""Grade on a dask.distributed cluster: `python -m grading autograde 01_sds --scheduler X`.

X is "local", for a small cluster on this machine, or the address of a scheduler:

    dask scheduler                                 # on one machine; it prints its address
    dask worker tcp://10.0.0.1:8786 --nthreads 1   # on each other machine, in this repository

On SLURM, dask-jobqueue starts both; leave this running, and use the address that it prints:

    from dask_jobqueue import SLURMCluster

    cluster = SLURMCluster(
        cores=1, processes=1, memory="4GB", walltime="02:00:00",
        worker_extra_args=["--lifetime", "110m", "--lifetime-stagger", "5m"],
    )
    cluster.adapt(maximum=40)  # asks for new jobs as long as there is work
    print(cluster.scheduler_address)

The machines need this repository and its environment, and no shared disk: a dask task carries the
submission, and returns the record, which this process writes. A dask task only talks to a process
of its own, so that the end of this process does not end the worker. Where a worker or the scheduler
is lost, no result is: lost submissions are graded elsewhere, or by the next run.

Everybody who can reach a scheduler can run code on its workers: keep it inside a network that you
trust, or use TLS (distributed.security).
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from distillery.core.errors import CourseError, in_short
from distillery.core.files import atomic_write
from grading.core.manifest import NAME as MANIFEST
from grading.core.records import EXPECTED, Store
from grading.core.rules import NAME as RULES
from grading.core.submission import RECEIVED, SUBMITTED, Submission, released_notebook
from grading.intake.clean_folder import FACTS
from grading.judge.run_notebook import GRADER
from grading.scheduler.worker_pool import LostError, QueuedSubmission, Worker, give_up

POLL_S = 0.05
CONNECT_S = 30


def grade_remotely(task: dict[str, Any]) -> dict[str, Any]:
    """Runs on a worker of the cluster: grade one submission, in a process of this thread.

    Args:
        task: as `Cluster` makes it.

    Returns:
        "record", the bytes of its file, and "figures", name -> bytes; or "failed" or "refused",
        with a sentence. Only plain types.
    """
    grader = _remote_grader(task)
    submission = Submission(grader.course, task["student"], task["assignment"], task["digest"])
    try:
        failed = grader.grade(submission, task["files"])
    except CourseError as error:
        return {"refused": str(error)}
    return {"failed": failed} if failed else _result(submission)


class _RemoteGrader:
    """A course folder with only what grading needs, and the process that grades in it."""

    def __init__(self, task: dict[str, Any], above: str | None) -> None:
        self.made_of = _digest(task)
        self._folder = tempfile.TemporaryDirectory(dir=above, ignore_cleanup_errors=True)
        self.course = Path(self._folder.name)
        self._grader = task["grader"]
        _write(self.course, task["course"])
        self._worker = Worker(self.course, self._grader)

    def grade(self, submission: Submission, files: dict[str, bytes]) -> str:
        """Grade a submission with these files; returns what went wrong, or ""."""
        _write(self.course, files)
        try:
            self._worker.ask(QueuedSubmission(submission))
            return self._worker.answer()
        except LostError as error:
            self._worker.close()
            self._worker = Worker(self.course, self._grader)
            return str(error)
        finally:
            for name in (SUBMITTED, RECEIVED):
                shutil.rmtree(self.course / name, ignore_errors=True)

    def close(self) -> None:
        self._worker.close()
        self._folder.cleanup()


def _result(submission: Submission) -> dict[str, Any]:
    """The record and its figures, which are then removed from this machine."""
    store = Store(submission.course)
    figures = {path.name: path.read_bytes() for path in store.attachments(submission).glob("*")}
    record = store.file(submission).read_bytes()
    shutil.rmtree(store.folder_of(submission))
    return {"record": record, "figures": figures}


_here = threading.local()


def _remote_grader(task: dict[str, Any]) -> _RemoteGrader:
    """The grader of this thread, made again when the rules or the release are others."""
    from distributed import get_worker

    grader: _RemoteGrader | None = getattr(_here, "grader", None)
    if grader is None or grader.made_of != _digest(task):
        if grader is not None:
            grader.close()
        grader = _here.grader = _RemoteGrader(task, get_worker().local_directory)
    return grader


def _digest(task: dict[str, Any]) -> str:
    digest = hashlib.sha256(task["grader"].encode())
    for name, content in sorted(task["course"].items()):
        digest.update(b"%d %d " % (len(name), len(content)) + name.encode() + content)
    return digest.hexdigest()


def _write(folder: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        atomic_write(folder / name, content)


class Cluster:
    """An engine like `grading.scheduler.worker_pool.Pool`, with workers on other machines.

    Raises:
        CourseError: there is no scheduler at the address, or dask is not installed.
    """

    def __init__(self, course: Path, address: str, jobs: int, grader: str = GRADER) -> None:
        try:
            import dask
            from distributed import Client, LocalCluster
        except ModuleNotFoundError:
            raise CourseError("dask is missing: pip install --editable .[cluster]") from None
        self._course, self._address, self._grader = course, address, grader
        self._running: dict[Any, QueuedSubmission] = {}
        self._room, self._asked_at = 1, float("-inf")
        self._stack = contextlib.ExitStack()
        logging.getLogger("distributed").setLevel(logging.CRITICAL)
        target: Any = address
        if address == "local":
            # Repeated attempts are counted here, for each submission.
            self._stack.enter_context(
                dask.config.set({"distributed.scheduler.allowed-failures": 0})
            )
            # A memory limit would kill the worker instead of the student's code.
            target = self._stack.enter_context(
                LocalCluster(
                    n_workers=jobs,
                    threads_per_worker=1,
                    memory_limit=None,
                    dashboard_address=None,
                    silence_logs=logging.CRITICAL,
                )
            )
        try:
            self._client: Any = self._stack.enter_context(Client(target, timeout=CONNECT_S))
        except (OSError, ValueError) as error:
            self._stack.close()
            raise CourseError(
                f"there is no dask scheduler at {address} ({in_short(error)}): start one, or name "
                "its address as tcp://host:8786."
            ) from None

    def graded(self, queue: Sequence[QueuedSubmission]) -> Iterator[QueuedSubmission | None]:
        """Yield each submission when its record is in the store, and None regularly.

        Raises:
            CourseError: the scheduler is lost, or the workers cannot open a grader.
        """
        waiting = list(reversed(queue))
        while waiting or self._running:
            while waiting and len(self._running) < self._threads():
                self._submit(waiting.pop())
            done = [future for future in self._running if future.done()]
            for future in done:
                queued = self._running.pop(future)
                failed = self._save(future, queued)
                if failed and not give_up(queued, failed):
                    waiting.append(queued)
                else:
                    yield queued
            if not done:
                time.sleep(POLL_S)
            yield None

    def close(self) -> None:
        # Both fail where the scheduler is gone.
        with contextlib.suppress(Exception):
            self._client.cancel(list(self._running))
        with contextlib.suppress(Exception):
            self._stack.close()

    def _threads(self) -> int:
        """How many tasks can run at once; a task that waits on a worker could be lost with it."""
        if time.monotonic() - self._asked_at > 1:
            with self._in_reach():
                self._room = max(1, sum(self._client.nthreads().values()))
            self._asked_at = time.monotonic()
        return self._room

    def _submit(self, queued: QueuedSubmission) -> None:
        submission = queued.submission
        task = {
            "student": submission.student,
            "assignment": submission.assignment,
            "digest": submission.digest,
            "grader": self._grader,
            "course": self._files_of_course(submission.assignment),
            "files": self._files_of(submission),
        }
        with self._in_reach():
            future = self._client.submit(grade_remotely, task, pure=False)
        self._running[future] = queued

    def _files_of_course(self, assignment: str) -> dict[str, bytes]:
        """What grading needs for every submission."""
        files = [self._course / RULES, self._course / MANIFEST]
        files.append(released_notebook(self._course, assignment))
        return _read(self._course, [*files, *(self._course / EXPECTED).glob("*.png")])

    def _files_of(self, submission: Submission) -> dict[str, bytes]:
        """What grading needs for this submission."""
        scores = Store(self._course).scores_file(submission)
        facts = submission.received / FACTS
        return _read(self._course, [facts, scores, *submission.folder.rglob("*")])

    def _save(self, future: Any, queued: QueuedSubmission) -> str:
        """Save the record of a task that has ended, or return why there is none."""
        if future.cancelled() or self._client.status != "running":
            raise self._lost("its tasks are lost")
        with self._in_reach():  # which may be lost only now
            error = future.exception()
            result = future.result() if error is None else {}
        if error is not None:
            # dask has repeated the task itself, and lost a worker each time.
            queued.attempts += getattr(error, "allowed_failures", 0)
            return f"{type(error).__name__}: {error}"
        if "refused" in result:
            raise CourseError(f"a worker of the cluster cannot grade: {result['refused']}")
        if "failed" in result:
            return str(result["failed"])
        store, submission = Store(self._course), queued.submission
        old = store.load(submission)
        if old:
            store.unmark_booked(old)
        _write(store.attachments(submission), result["figures"])
        atomic_write(store.file(submission), result["record"])
        return ""

    @contextlib.contextmanager
    def _in_reach(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            raise self._lost(in_short(error)) from None

    def _lost(self, why: str) -> CourseError:
        return CourseError(
            f"the scheduler at {self._address} is gone ({why}): start it again, and run the same "
            "command; finished records are kept."
        )


def _read(course: Path, paths: Sequence[Path]) -> dict[str, bytes]:
    return {
        path.relative_to(course).as_posix(): path.read_bytes() for path in paths if path.is_file()
    }
