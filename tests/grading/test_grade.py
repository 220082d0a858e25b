"""One submission, graded in a real sandbox from its notebook to its record."""

from __future__ import annotations

from datetime import datetime, timezone

import nbformat
import pytest

from distillery.errors import CourseError
from distillery.files import atomic_write
from grading.build import answered_text, student_text
from grading.grade import grade, open_grader
from grading.intake import take_in
from grading.records import Verdict
from grading.rules import Rules
from grading.sandbox.jobs import SandboxError
from grading.stages import stage_of

PDS = stage_of("02_pds")
USED = "posterior_coefficients"
WRONG = f"""%%todo pds.{USED}
def {USED}(alpha_bar, alpha_bar_prev, beta):
    return beta, alpha_bar, alpha_bar_prev
"""


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Verdict]:
    """Of stage 2 where all is right but what another answer uses, by function."""
    course = tmp_path_factory.mktemp("class")
    Rules(seed=5, regenerate=0).save(course / "rules.yaml")
    released = course / "release" / PDS.folder / f"{PDS.folder}.ipynb"
    atomic_write(released, student_text(PDS))
    notebook = nbformat.reads(answered_text(PDS), as_version=4)
    for cell in notebook.cells:
        if cell.metadata.get("nbgrader", {}).get("grade_id") == f"pds-{USED}":
            cell.source = WRONG
    atomic_write(course / "came" / released.name, nbformat.writes(notebook))
    when = datetime.now(timezone.utc)
    intake = take_in(course / "came", course, student="ada", assignment=PDS.folder, received=when)
    try:
        with open_grader(course) as grader:
            record = grade(intake.folder, course, grader=grader)
    except (CourseError, SandboxError) as error:
        pytest.skip(str(error))
    assert record.status == "graded", record.reason
    return {verdict.task.split(".")[1]: verdict for verdict in record.verdicts}


def test_an_answer_that_fails_by_another_one_says_which(verdicts: dict[str, Verdict]) -> None:
    because = f"  It uses {USED}, which is not right yet."
    assert verdicts["pds_loss"].outcome in ("wrong", "stopped")
    assert verdicts["pds_loss"].lines[-1] == because
    assert because not in verdicts[USED].lines


def test_an_answer_that_uses_none_of_the_wrong_ones_keeps_its_points(
    verdicts: dict[str, Verdict],
) -> None:
    for name in ("stochastic_latent", "dds_loss"):
        assert verdicts[name].points == verdicts[name].worth > 0
