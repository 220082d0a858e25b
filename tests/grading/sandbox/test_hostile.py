"""A class with broken and hostile hand-ins in it ends as it should, and nobody else notices it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest
from nbgrader.api import Gradebook

from benchmarks.sample_submissions import (
    ADD,
    FULL,
    NAME,
    PREDICT,
    SIGNATURE,
    SampleSubmission,
    save,
    solved,
)
from benchmarks.submission_cases import CASES
from distillery.core.errors import CourseError
from grading.core.records import Record, Store
from grading.core.rules import Rules
from grading.core.submission import Submission
from grading.intake.clean_folder import load_intake
from grading.sandbox.jobs import SandboxError
from grading.sandbox.select_backend import tried
from grading.scheduler.autograde import autograde

WALL_S = 8.0  # an honest answer takes a twentieth of it on a quiet machine
SEED = 2026
HONEST = ("ada", "emmy", "zoe")  # first, between and last of all students
CODES = {"ada": {}, "emmy": {ADD: SIGNATURE + "    return x0 + eps\n"}, "zoe": {PREDICT: "x = 1 +"}}
Write = Callable[[Path, nbformat.NotebookNode], None]


@dataclass(frozen=True)
class Classes:
    """Two graded course folders: the honest alone, and the same among all the others."""

    quiet: Path
    loud: Path


@pytest.fixture(scope="session")
def classes(released: Path, once: Callable[[str, Callable[[Path], object]], Path]) -> Classes:
    """Graded once, whichever process comes first; nobody may write in them."""
    try:
        tried("bubblewrap").close()
    except (CourseError, SandboxError) as error:
        pytest.skip(f"no bubblewrap here: {error}")
    others = {case.name: case.write for case in CASES}
    return Classes(
        quiet=once("quiet", lambda course: _graded(released, course, {})),
        loud=once("loud", lambda course: _graded(released, course, others)),
    )


def _graded(released: Path, course: Path, others: dict[str, Write]) -> None:
    shutil.copytree(released, course)
    Rules(seed=SEED, wall_s=WALL_S).save(course / "rules.yaml")
    notebook = nbformat.read(course / "release" / NAME / f"{NAME}.ipynb", as_version=4)
    honest = {student: _honest(codes) for student, codes in CODES.items()}
    for student, write in (others | honest).items():
        folder = course / "submitted" / student / NAME
        folder.mkdir(parents=True)
        write(folder, notebook)
    assert autograde(NAME, course, jobs=2) == {}


def _honest(codes: dict[str, str]) -> Write:
    return lambda folder, notebook: save(folder, solved(notebook, **codes))


def record_of(course: Path, student: str) -> Record:
    intake = load_intake(Submission(course, student, NAME))
    assert intake is not None
    record = Store(course).load(intake.submission)
    assert record is not None
    return record


def rows(course: Path, student: str) -> dict[str, tuple[float | None, ...]]:
    """All that the gradebook holds of a student's grades."""
    with Gradebook(f"sqlite:///{course}/gradebook.db") as gradebook:
        submission = gradebook.find_submission(NAME, student)
        (notebook,) = submission.notebooks
        return {
            grade.name: (
                grade.auto_score,
                grade.manual_score,
                grade.extra_credit,
                grade.needs_manual_grade,
                notebook.late_submission_penalty,
                submission.score,
            )
            for grade in notebook.grades
        }


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.number}-{case.name}")
def test_every_hand_in_has_the_outcome_it_should(case: SampleSubmission, classes: Classes) -> None:
    record = record_of(classes.loud, case.name)
    said = "\n".join([record.reason, *(line for v in record.verdicts for line in v.lines)])
    assert record.status == case.status, said
    assert case.says in said
    if case.status == "graded":
        assert {v.task.partition(".")[2]: v.points for v in record.verdicts} == case.points, said
    if case.outcome:
        assert record.verdicts[0].outcome in case.outcome, said
    assert set(case.flags) <= {flag.kind for flag in record.flags}
    assert said.encode()
    assert len(said) < 3000
    booked = rows(classes.loud, case.name)
    assert {name: row[0] for name, row in booked.items()} == {
        f"tour-{function}-check": points for function, points in case.points.items()
    }
    assert not any(row[3] for row in booked.values()), "a human is asked for nothing"


@pytest.mark.parametrize("student", HONEST)
def test_the_others_are_graded_as_if_they_were_alone(student: str, classes: Classes) -> None:
    alone, among = record_of(classes.quiet, student), record_of(classes.loud, student)
    assert (alone.verdicts, alone.flags) == (among.verdicts, among.flags)
    assert rows(classes.quiet, student) == rows(classes.loud, student)


def test_the_honest_get_what_they_earned(classes: Classes) -> None:
    points = {student: record_of(classes.loud, student).points for student in HONEST}
    assert points == {"ada": sum(FULL.values()), "emmy": 4, "zoe": 4}


def test_nothing_was_left_outside_the_course_folder(classes: Classes) -> None:
    around = {path.name for path in classes.loud.parent.iterdir()}
    assert not {"escaped.ipynb", "stolen.txt"} & around
    assert not Path("/tmp/escaped.ipynb").exists()
    assert not list(classes.loud.rglob("stolen.txt"))
    links = [p for p in classes.loud.rglob("*") if p.is_symlink() and "received" not in p.parts]
    assert links == []
