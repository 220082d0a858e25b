"""How far a learner is: what checks said, what was changed since, what comes next."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from distillery.course.check import check
from distillery.course.progress import FOLDER, keep, progress_lines, stage_progress
from tests.course_copies import ROOT, student_course

TASKS = ("sds.sample_timesteps", "sds.sds_grad", "sds.sds_loss")


@pytest.fixture
def course(tmp_path, monkeypatch):
    folder = student_course(tmp_path)
    monkeypatch.chdir(folder)
    return folder


def answer(course, stage="sds"):
    shutil.copy(ROOT / "reference" / f"{stage}.py", course / "guidance" / f"{stage}.py")


def states(stage="sds"):
    return [item.line.split()[0] for item in stage_progress(stage).items]


def test_before_any_check_all_is_open(course):
    check("sds.sds_grad")  # a stub is still to do, not tried
    assert states() == ["open"] * 4
    assert progress_lines()[-2].endswith(
        "0 of 142 points so far. Next: add_noise in notebooks/00_tour/00_tour.ipynb."
    )


def test_right_tried_and_open_tasks_are_told_apart(course):
    answer(course)
    check("sds.sds_grad")
    file = course / "guidance" / "sds.py"
    file.write_text(file.read_text() + "\n\ndef sds_loss(*given):\n    return 0\n")
    check("sds.sds_loss")
    assert states() == ["open", "right", "tried", "open"]
    assert stage_progress("sds").earned == 4
    lines = progress_lines()
    assert "01_sds        1 h 20   1 of 4 right     4 of 13 points" in lines
    assert "  right  sds_grad (4 points)" in lines
    assert lines[-2].endswith("Next: sample_timesteps in notebooks/01_sds/01_sds.ipynb.")


def test_what_is_changed_after_its_check_earns_nothing_until_the_next(course):
    answer(course)
    for task in TASKS:
        check(task)
    assert stage_progress("sds").earned == 9
    file = course / "guidance" / "sds.py"
    text = file.read_text()
    file.write_text(text.replace("def sds_grad(", "def sds_grad(  # mine\n"))
    assert states() == ["right", "tried", "right", "open"]
    assert "  tried  sds_grad (4 points): changed since its last check" in progress_lines()
    check("sds.sds_grad")
    assert states() == ["right", "right", "right", "open"]


def test_a_function_that_is_not_the_students_counts_for_nothing(course):
    answer(course)
    check("sds.sds_grad", lambda *given: given[0])
    assert states() == ["open"] * 4


def test_pictures_earn_their_share(course):
    keep("sds.pictures", 0.9)
    assert stage_progress("sds").earned == pytest.approx(3.6)
    assert "  tried  pictures (4 points): 3.6 of them so far" in progress_lines()


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"share": "1"}', '{"share": 7}', '{"share": NaN}']
)
def test_a_damaged_note_is_no_note(course, text):
    (course / FOLDER).mkdir(parents=True)
    (course / FOLDER / "sds.sds_grad.json").write_text(text)
    assert states() == ["open"] * 4


def test_where_nothing_can_be_written_checks_go_on(course):
    answer(course)
    (course / "outputs").write_text("a file in the place of the folder")
    assert check("sds.sds_grad").passed
    assert states() == ["open"] * 4


def test_all_right_is_said(course):
    for stage in ("tour", "sds", "pds", "vsd", "pixelart", "strokes", "elastic", "morph"):
        answer(course, stage)
        for item in stage_progress(stage).items:
            keep(f"{stage}.{item.name}", 1.0)
    assert progress_lines()[-2] == "142 of 142 points so far. All of it is right."


def test_the_command_says_the_same_without_torch(course):
    command = [sys.executable, "-X", "importtime", str(ROOT / "main.py"), "progress"]
    done = subprocess.run(command, cwd=course, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == progress_lines()
    assert "| torch" not in done.stderr
