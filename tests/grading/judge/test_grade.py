"""One submission, graded in a real sandbox from its notebook to its record."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path

import nbformat
import pytest
from PIL import Image

from distillery.core.errors import CourseError
from distillery.core.files import atomic_write
from distillery.core.images import save_png
from distillery.course.submission_pictures import load_hand_in, title_of
from distillery.toybox import Factors, all_factors, draw
from grading.authoring.build import answered_text, student_text
from grading.core.records import Record, Verdict
from grading.core.rules import Rules
from grading.core.submission import Submission
from grading.intake.take_in import take_in
from grading.judge.grade import WRONG_CODE, grade, open_grader
from grading.sandbox.jobs import SandboxError
from grading.stages import stage_of
from grading.stages.stage import Stage

SDS, PDS = stage_of("01_sds"), stage_of("02_pds")
BOAT = Factors("boat", "red", "in the snow")
USED = "posterior_coefficients"
WRONG = f"""%%todo pds.{USED}
def {USED}(alpha_bar, alpha_bar_prev, beta):
    return beta, alpha_bar, alpha_bar_prev
"""


def graded(course: Path, stage: Stage, cells: Mapping[str, str]) -> Record:
    """What becomes of right answers, but for these cells, and of what else lies in came/."""
    Rules(seed=5, regenerate=0).save(course / "rules.yaml")
    released = course / "release" / stage.folder / f"{stage.folder}.ipynb"
    atomic_write(released, student_text(stage))
    notebook = nbformat.reads(answered_text(stage), as_version=4)
    for cell in notebook.cells:
        function = cell.metadata.get("nbgrader", {}).get("grade_id", "").partition("-")[2]
        cell.source = cells.get(function, cell.source)
    atomic_write(course / "came" / released.name, nbformat.writes(notebook))
    when = datetime.now(timezone.utc)
    submission = Submission(course, "ada", stage.folder)
    take_in(course / "came", submission, received=when)
    try:
        with open_grader(course) as grader:
            record = grade(submission, grader=grader)
    except (CourseError, SandboxError) as error:
        pytest.skip(str(error))
    assert record.status == "graded", record.reason
    return record


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Verdict]:
    """Of stage 2 where all is right but what another answer uses, by function."""
    record = graded(tmp_path_factory.mktemp("class"), PDS, {USED: WRONG})
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


def test_pictures_that_earn_points_beside_a_wrong_function_are_flagged(tmp_path: Path) -> None:
    known = {str(factors): factors for factors in all_factors()}
    hand_in = load_hand_in(SDS.folder)
    for name, settings in hand_in.files.items():
        title = title_of(settings)
        drawing = draw(known.get(title, BOAT), 5000, size=hand_in.size).image
        save_png(tmp_path / "came" / "pictures" / name, Image.fromarray(drawing), title)
    half = "%%todo sds.sds_loss\ndef sds_loss(x0, grad):\n    return (x0 * grad).mean()\n"

    record = graded(tmp_path, SDS, {"sds_loss": half})

    pictures = record.verdicts[-1]
    assert pictures.points > 0, pictures.lines
    (flag,) = [one for one in record.flags if one.kind == WRONG_CODE]
    assert "without a right sds.sds_loss (wrong)" in flag.sentence


def test_a_right_function_among_commands_and_trials_is_graded_and_told_what_was_left_out(
    tmp_path: Path,
) -> None:
    right = "def sds_loss(x0, grad):\n    return (x0 * grad).sum()\n"
    cell = f"%%todo sds.sds_loss\n!pip install x\n{right}print(sds_loss)\n"
    other = "%%todo sds.sample_timesteps\nfiles = !ls\n"
    broken = f"{other}def sample_timesteps(*args, **options):\n    return files\n"

    record = graded(tmp_path, SDS, {"sds_loss": cell, "sample_timesteps": broken})

    verdicts = {verdict.task.split(".")[1]: verdict for verdict in record.verdicts}
    assert verdicts["sds_loss"].outcome == "right"
    assert verdicts["sds_loss"].lines[1:] == (
        "  Line 2 of the cell, !pip install x, is a command to IPython: it is not run and not "
        "graded.",
        "  Line 5 of the cell, print(sds_loss), is no part of the answer: it is not run and not "
        "graded.",
    )
    (line,) = verdicts["sample_timesteps"].lines
    assert line.startswith("line 2 of the cell gives files its value by a command to IPython")
    assert verdicts["sample_timesteps"].outcome == "refused"
