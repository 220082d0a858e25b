"""Make submissions in a course folder, and read nbgrader's gradebook."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time as clock
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nbgrader.api import Gradebook

from grading.core.nbgrader_config import settings_of
from grading.gradebook.plugins import configure

NAME = "00_tour"
TIME = "2026-11-01 10:00:00.000000 UTC"


def submit(
    course: Path,
    student: str,
    change: Callable[[dict[str, Any]], object] = lambda notebook: None,
    *,
    name: str = f"{NAME}.ipynb",
    time: str = TIME,
) -> Path:
    """What `nbgrader collect` leaves of a student who changed the released notebook."""
    folder = course / "submitted" / student / NAME
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    notebook = json.loads((course / "release" / NAME / f"{NAME}.ipynb").read_text("utf-8"))
    change(notebook)
    (folder / name).write_text(json.dumps(notebook), encoding="utf-8")
    (folder / "timestamp.txt").write_text(time)
    return folder


def checks(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    return [c for c in notebook["cells"] if c["metadata"].get("nbgrader", {}).get("grade")]


def graded_notebook(course: Path, student: str) -> dict[str, Any]:
    path = course / "autograded" / student / NAME / f"{NAME}.ipynb"
    return json.loads(path.read_text("utf-8"))


@contextmanager
def gradebook(course: Path) -> Iterator[Gradebook]:
    url = settings_of(course).get("CourseDirectory", {}).get("db_url")
    with Gradebook(url or f"sqlite:///{course / 'gradebook.db'}") as opened:
        yield opened


def grades(course: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Student -> name, automatic and manual score, extra credit and whether a human must look."""
    found: dict[str, list[tuple[Any, ...]]] = {}
    with gradebook(course) as opened:
        for submission in opened.assignment_submissions(NAME):
            assert submission.student.id not in found, "a student is there twice"
            (notebook,) = submission.notebooks
            found[submission.student.id] = sorted(
                (g.name, g.auto_score, g.manual_score, g.extra_credit, g.needs_manual_grade)
                for g in notebook.grades
            )
    return found


def scores(course: Path) -> dict[str, list[float | None]]:
    """Student -> automatic scores."""
    return {student: [row[1] for row in rows] for student, rows in grades(course).items()}


def settings(course: Path) -> Any:
    """The course's nbgrader settings, with the plugins in them."""
    config = settings_of(course)
    configure(config)
    return config


@contextmanager
def cluster(
    file: Path, size: int = 2
) -> Iterator[tuple[str, subprocess.Popen[bytes], list[subprocess.Popen[bytes]]]]:
    """A scheduler and its workers, each a process of its own."""
    dask = [sys.executable, "-m", "distributed.cli.dask_scheduler"]
    worker = [sys.executable, "-m", "distributed.cli.dask_worker"]
    common: dict[str, Any] = {
        "stdout": subprocess.DEVNULL,
        "stderr": subprocess.DEVNULL,
        "cwd": file.parent,
    }
    processes = []
    try:
        local = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
        scheduler = subprocess.Popen([*dask, *local, "--scheduler-file", str(file)], **common)
        processes.append(scheduler)
        patience = clock.monotonic() + 60
        while not file.exists() and clock.monotonic() < patience:
            clock.sleep(0.05)
        options = ["--scheduler-file", str(file), "--nthreads", "1", "--no-nanny"]
        options += ["--no-dashboard", "--memory-limit", "0"]
        workers = [subprocess.Popen([*worker, *options], **common) for _ in range(size)]
        processes += workers
        yield json.loads(file.read_text())["address"], scheduler, workers
    finally:
        for process in processes:
            process.kill()
            process.wait()
