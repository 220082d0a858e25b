"""A class on a dask cluster: nothing is lost with a worker, or with the scheduler."""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import CancelledError
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from fake_grade import environment

from benchmarks.sample_class import NAME, cluster, scores, submit
from distillery.core.errors import CourseError
from grading.core.records import Store
from grading.core.rules import Rules
from grading.core.submission import Submission
from grading.scheduler import autograde as command
from grading.scheduler.autograde import autograde
from grading.scheduler.dask_cluster import Cluster
from grading.scheduler.worker_pool import QueuedSubmission, give_up

pytest.importorskip("distributed", reason="dask.distributed is not installed")

FULL, HALF = [2, 2, 2], [1, 1, 1]
RUN = """
import sys
from grading import __main__
from grading.scheduler.autograde import autograde
autograde.__kwdefaults__["grader"] = "fake_grade"
sys.exit(__main__.main(["autograde", "00_tour", *sys.argv[1:]]))
"""


@pytest.fixture
def course(released_course: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    Rules(seed=3).save(released_course / "rules.yaml")
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    return released_course


def run(course: Path, scheduler: str) -> dict[str, str]:
    return autograde(NAME, course, jobs=2, scheduler=scheduler, grader="fake_grade")


def test_a_small_cluster_gives_the_same_grades_and_a_bad_submission_harms_no_other(course):
    for student in ("right_a", "half_b", "dies_c", "raises_d"):
        submit(course, student)

    errors = run(course, "local")

    assert scores(course) == {
        "right_a": FULL,
        "half_b": HALF,
        "dies_c": [None] * 3,
        "raises_d": [None] * 3,
    }
    assert sorted(errors) == ["dies_c", "raises_d"]
    assert "signal 9" in errors["dies_c"]
    assert all(Store(course).is_booked(record) for record in Store(course).all(NAME))


def test_a_lost_worker_and_a_lost_scheduler_lose_no_submission(course, tmp_path):
    students = [f"slow_{index}" for index in range(4)]
    for student in students:
        submit(course, student)

    first = cluster(tmp_path / "first.json")
    with first as (address, scheduler, workers), started(course, address) as process:
        wait_for_booked(course, 1)
        workers[0].kill()
        wait_for_booked(course, 2)
        scheduler.kill()
        _, said = process.communicate(timeout=120)
    with cluster(tmp_path / "second.json") as (address, _, _):
        errors = run(course, address)

    assert process.returncode == 2
    assert "is gone" in said.splitlines()[-1]
    assert "finished records are kept" in said.splitlines()[-1]
    assert errors == {}
    assert scores(course) == dict.fromkeys(students, FULL)
    assert len(Store(course).all(NAME)) == len(students)


def test_a_scheduler_that_is_lost_between_two_questions_is_said_to_be_gone(course):
    def cancelled() -> None:
        raise CancelledError("scheduler-connection-lost")

    future = SimpleNamespace(cancelled=lambda: False, exception=lambda: None, result=cancelled)
    lost = Cluster.__new__(Cluster)
    lost._client, lost._address = SimpleNamespace(status="running"), "tcp://there:8786"
    with pytest.raises(CourseError, match=r"there:8786 is gone .scheduler-connection-lost"):
        lost._save(future, QueuedSubmission(Submission(course, "ada", NAME, "0")))


def test_without_a_scheduler_at_the_address_it_is_said_so(course, monkeypatch):
    monkeypatch.setattr("grading.scheduler.dask_cluster.CONNECT_S", 0.2)
    submit(course, "right_a")

    with pytest.raises(CourseError, match="there is no dask scheduler at tcp"):
        run(course, "tcp://127.0.0.1:9")


def test_what_dask_gave_up_after_several_workers_is_not_tried_on_many_more(course):
    from distributed import KilledWorker

    submit(course, "right_a")
    queued = command.find_work(
        NAME, course, "*", force=False, retry_errors=False, execute=False
    ).to_grade[0]
    error = KilledWorker(
        "grade_remotely", SimpleNamespace(address="tcp://last"), allowed_failures=3
    )
    deadly = SimpleNamespace(cancelled=lambda: False, exception=lambda: error)
    engine = object.__new__(Cluster)
    engine._client = SimpleNamespace(status="running")

    failed = engine._save(deadly, queued)

    assert give_up(queued, failed)
    (record,) = Store(course).all(NAME)
    assert record.status == "grader error"
    assert "failed 4 times" in record.reason


@contextmanager
def started(course: Path, address: str):
    """A run in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, "--course", str(course), "--scheduler", address],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_for_booked(course: Path, count: int) -> None:
    store, patience = Store(course), time.monotonic() + 120
    while sum(map(store.is_booked, store.all(NAME))) < count and time.monotonic() < patience:
        time.sleep(0.05)
