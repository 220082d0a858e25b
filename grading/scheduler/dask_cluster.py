"""The same work on a dask.distributed cluster: `python -m grading autograde 01_sds --scheduler X`.

X is "local", for a small cluster of its own on this machine, or the address of a scheduler:

    dask scheduler                                 # on one machine; it prints its address
    dask worker tcp://10.0.0.1:8786 --nthreads 1   # on each other one, in this repository

On SLURM, dask-jobqueue starts both; leave this running, and name the address that it prints:

    from dask_jobqueue import SLURMCluster

    cluster = SLURMCluster(
        cores=1, processes=1, memory="4GB", walltime="02:00:00",
        worker_extra_args=["--lifetime", "110m", "--lifetime-stagger", "5m"],
    )
    cluster.adapt(maximum=40)  # ends with its jobs, and asks for new ones as long as there is work
    print(cluster.scheduler_address)

The machines need this repository and its environment, and no shared disk: a task brings along what
is handed in, and its result is the record, which this process writes. A task does no more than ask
a process of its own, so what kills that process does not kill the worker. Where a worker or the
scheduler is lost, nothing is: lost tasks are done elsewhere, or by the next run.

Everybody who can reach a scheduler can run code on its workers: keep it inside a network that you
trust, or give it TLS (distributed.security).
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
from grading.judge.run_notebook import GRADER
from grading.scheduler.worker_pool import Job, LostError, Worker, give_up

POLL_S = 0.05
CONNECT_S = 30


def grade_parcel(parcel: dict[str, Any]) -> dict[str, Any]:
    """Runs on a worker of the cluster: grade what is in a parcel, by a process of this thread's.

    Returns:
        "record", the bytes of its file, and "figures", name -> bytes; or "failed" or "refused",
        with a sentence. Plain things only.
    """
    station = _station(parcel)
    job = Job(parcel["student"], parcel["assignment"], parcel["digest"])
    try:
        failed = station.grade(job, parcel["hand_in"])
    except CourseError as error:
        return {"refused": str(error)}
    return {"failed": failed} if failed else station.result(job)


class _Station:
    """A course folder of nothing but what grading needs, and the process that works in it."""

    def __init__(self, parcel: dict[str, Any], above: str | None) -> None:
        self.made_of = _digest(parcel)
        self._folder = tempfile.TemporaryDirectory(dir=above, ignore_cleanup_errors=True)
        self._course = Path(self._folder.name)
        self._grader = parcel["grader"]
        _unpack(self._course, parcel["course"])
        self._worker = Worker(self._course, self._grader)

    def grade(self, job: Job, hand_in: dict[str, bytes]) -> str:
        _unpack(self._course, hand_in)
        try:
            self._worker.ask(job)
            return self._worker.answer()
        except LostError as error:
            self._worker.close()
            self._worker = Worker(self._course, self._grader)
            return str(error)
        finally:
            for name in ("submitted", "received"):
                shutil.rmtree(self._course / name, ignore_errors=True)

    def result(self, job: Job) -> dict[str, Any]:
        """The record, which leaves this machine with it."""
        folder = Store(self._course).folder / job.assignment / job.student
        figures = {path.name: path.read_bytes() for path in (folder / job.digest).glob("*")}
        record = (folder / f"{job.digest}.json").read_bytes()
        shutil.rmtree(folder)
        return {"record": record, "figures": figures}

    def close(self) -> None:
        self._worker.close()
        self._folder.cleanup()


_here = threading.local()


def _station(parcel: dict[str, Any]) -> _Station:
    """That of this thread; one for other rules, or another release, takes its place."""
    from distributed import get_worker

    station: _Station | None = getattr(_here, "station", None)
    if station is None or station.made_of != _digest(parcel):
        if station is not None:
            station.close()
        station = _here.station = _Station(parcel, get_worker().local_directory)
    return station


def _digest(parcel: dict[str, Any]) -> str:
    digest = hashlib.sha256(parcel["grader"].encode())
    for name, content in sorted(parcel["course"].items()):
        digest.update(b"%d %d " % (len(name), len(content)) + name.encode() + content)
    return digest.hexdigest()


def _unpack(folder: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        atomic_write(folder / name, content)


class Cluster:
    """An engine like `grading.scheduler.worker_pool.Pool`, whose workers may be anywhere.

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
        self._flying: dict[Any, Job] = {}
        self._room, self._asked_at = 1, float("-inf")
        self._stack = contextlib.ExitStack()
        logging.getLogger("distributed").setLevel(logging.CRITICAL)
        target: Any = address
        if address == "local":
            # What we try again is counted here, submission by submission.
            self._stack.enter_context(
                dask.config.set({"distributed.scheduler.allowed-failures": 0})
            )
            # A limit on memory would kill the worker, and not the student's code.
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

    def graded(self, jobs: Sequence[Job]) -> Iterator[Job | None]:
        """Yield every job when its record is in the store, and None every now and then.

        Raises:
            CourseError: the scheduler is lost, or the workers cannot open a grader.
        """
        waiting = list(reversed(jobs))
        while waiting or self._flying:
            while waiting and len(self._flying) < self._threads():
                self._submit(waiting.pop())
            done = [future for future in self._flying if future.done()]
            for future in done:
                job = self._flying.pop(future)
                failed = self._outcome(future, job)
                if failed and not give_up(job, failed, self._course):
                    waiting.append(job)
                else:
                    yield job
            if not done:
                time.sleep(POLL_S)
            yield None

    @property
    def running(self) -> list[str]:
        """The students whose submissions are at work, or wait for a worker."""
        return [job.student for job in self._flying.values()]

    def close(self) -> None:
        # Of a scheduler that is gone, nothing can be taken leave of.
        with contextlib.suppress(Exception):
            self._client.cancel(list(self._flying))
        with contextlib.suppress(Exception):
            self._stack.close()

    def _threads(self) -> int:
        """As many tasks as can run at once: one that waits behind a bad one could die with it."""
        if time.monotonic() - self._asked_at > 1:
            with self._in_reach():
                self._room = max(1, sum(self._client.nthreads().values()))
            self._asked_at = time.monotonic()
        return self._room

    def _submit(self, job: Job) -> None:
        parcel = {
            "student": job.student,
            "assignment": job.assignment,
            "digest": job.digest,
            "grader": self._grader,
            "course": self._shared(job.assignment),
            "hand_in": self._hand_in(job),
        }
        with self._in_reach():
            future = self._client.submit(grade_parcel, parcel, pure=False)
        self._flying[future] = job

    def _shared(self, assignment: str) -> dict[str, bytes]:
        released = f"release/{assignment}/{assignment}.ipynb"
        drawn = (self._course / EXPECTED).glob("*.png")
        files = [self._course / name for name in (RULES, MANIFEST, released)]
        return _packed(self._course, [*files, *drawn])

    def _hand_in(self, job: Job) -> dict[str, bytes]:
        kept = self._course / "received" / job.assignment / job.student / "intake.json"
        scores = Store(self._course).scores_file(job.assignment, job.student, job.digest)
        return _packed(self._course, [kept, scores, *job.folder(self._course).rglob("*")])

    def _outcome(self, future: Any, job: Job) -> str:
        """Save the record of a task that has ended, or say why there is none."""
        if future.cancelled() or self._client.status != "running":
            raise self._lost("its tasks are lost")
        with self._in_reach():  # which may be lost only now
            error = future.exception()
            result = future.result() if error is None else {}
        if error is not None:
            # dask has tried it again by itself, each time at the price of a worker.
            job.attempts += getattr(error, "allowed_failures", 0)
            return f"{type(error).__name__}: {error}"
        if "refused" in result:
            raise CourseError(f"a worker of the cluster cannot grade: {result['refused']}")
        if "failed" in result:
            return str(result["failed"])
        store = Store(self._course)
        old = store.load(job.assignment, job.student, job.digest)
        if old:
            store.unmark_booked(old)
        folder = store.folder / job.assignment / job.student
        _unpack(folder / job.digest, result["figures"])
        atomic_write(folder / f"{job.digest}.json", result["record"])
        return ""

    @contextlib.contextmanager
    def _in_reach(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            raise self._lost(in_short(error)) from None

    def _lost(self, why: str) -> CourseError:
        return CourseError(
            f"the scheduler at {self._address} is gone ({why}): when there is one again, the same "
            "command goes on; what is graded is kept."
        )


def _packed(course: Path, paths: Sequence[Path]) -> dict[str, bytes]:
    return {
        path.relative_to(course).as_posix(): path.read_bytes() for path in paths if path.is_file()
    }
