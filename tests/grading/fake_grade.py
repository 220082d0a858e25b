"""In place of grading.judge.grade: what a submission gets is decided by the student's name.

Names start with what happens: "right", "wrong", "half", "slow", "dies" (the process, always),
"dies-once", "raises", "error"; what follows makes them different. Rejected is what intake rejected.
"""

from __future__ import annotations

import hashlib
import os
import signal
import time
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

from grading.core.records import Record, Store, Verdict
from grading.core.rules import NAME, Rules
from grading.core.submission import Submission
from grading.intake.clean_folder import load_intake
from grading.stages import stage_of

SLOW_S = 0.3
LEAVES_OPEN = "There is no sandbox here."


@contextmanager
def open_grader(course: Path):
    rules = Rules.load(Path(course) / NAME)
    with open(Path(course) / "opened.txt", "a") as file:
        file.write(f"{os.getpid()}\n")
    yield SimpleNamespace(seed=rules.seed, digest=rules.digest, leaves_open=(LEAVES_OPEN,))


def grade(submission: Submission, *, grader: SimpleNamespace) -> Record:
    intake, course = load_intake(submission), submission.course
    stage = stage_of(intake.assignment)
    kind = intake.student.split("_")[0]
    _misbehave(kind, course, intake.student)
    part = {"wrong": 0.0, "half": 0.5}.get(kind, 1.0)
    status, reason = "graded", ""
    if intake.rejected:
        status, reason, part = "rejected", intake.rejected, 0.0
    if kind == "error":
        status, reason = "grader error", "the sandbox is broken."
    verdicts = tuple(
        Verdict(
            task=f"{stage.module}.{name}",
            points=part * worth,
            worth=worth,
            outcome="right" if part == 1 else "wrong",
            lines=(f"{name} has {part * worth:g} of {worth:g} points.", "\x1b[31m\ud800 <b>"),
        )
        for name, worth in stage.points.items()
    )
    record = Record(
        student=intake.student,
        assignment=intake.assignment,
        digest=intake.digest,
        seed=grader.seed,
        status=status,
        reason=reason,
        verdicts=() if kind == "error" else verdicts,
        flags=intake.flags,
        seconds=0.0,
        rules=grader.digest,
    )
    Store(course).save(record)
    with open(course / "graded.txt", "a") as file:
        file.write(f"{intake.student}\n")
    return record


def _misbehave(kind: str, course: Path, student: str) -> None:
    if kind == "slow":
        time.sleep(SLOW_S)
    if kind == "raises":
        raise RuntimeError("a bug of ours")
    trace = course / f"died-{hashlib.sha256(student.encode()).hexdigest()[:8]}"
    if kind == "dies" or (kind == "dies-once" and not trace.exists()):
        with open(trace, "a") as file:
            file.write("x")
        os.kill(os.getpid(), signal.SIGKILL)


def environment() -> dict[str, str]:
    """For a process that is to find the modules beside the tests."""
    here = Path(__file__).resolve().parent
    paths = [str(here), str(here.parents[1])]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
