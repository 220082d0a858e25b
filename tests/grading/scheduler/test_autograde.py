"""A whole class: in parallel, stopped and gone on with, on one machine or on a cluster."""

from __future__ import annotations

import io
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pytest
from fake_grade import LEAVES_OPEN, environment
from nbgrader.apps import NbGraderAPI
from nbgrader.coursedir import CourseDirectory
from PIL import Image

from benchmarks.sample_class import (
    NAME,
    gradebook,
    graded_notebook,
    grades,
    scores,
    settings,
    submit,
)
from benchmarks.sample_submissions import save, solved
from distillery.core.errors import CourseError
from distillery.core.images import save_png
from distillery.course.submission_pictures import load_hand_in
from grading.core.records import Store
from grading.core.rules import Rules
from grading.core.submission import Submission
from grading.gradebook.plugins import close_grader
from grading.intake.clean_folder import load_intake
from grading.intake.released import load_released
from grading.sandbox.jobs import SandboxError
from grading.sandbox.select_backend import open_sandbox, tried
from grading.scheduler import autograde as command
from grading.scheduler.autograde import autograde
from grading.scheduler.progress import Progress
from grading.scheduler.worker_pool import ATTEMPTS

FULL, HALF, NONE = [2, 2, 2], [1, 1, 1], [0, 0, 0]
RUN = "import sys; from pathlib import Path; from grading.scheduler.autograde import autograde; "
RUN += "autograde('00_tour', Path(sys.argv[1]), jobs=2, grader='fake_grade')"
RUN_MAIN = """
import sys
from grading.scheduler.autograde import autograde, main
autograde.__kwdefaults__["grader"] = "fake_grade"
sys.exit(main(["00_tour", "--course", sys.argv[1], "--jobs", "2"]))
"""


@pytest.fixture
def course(released_course: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    Rules(seed=3).save(released_course / "rules.yaml")
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    return released_course


def run(course: Path, **options: object) -> dict[str, str]:
    return autograde(NAME, course, **{"jobs": 2, "grader": "fake_grade"} | options)


def graded(course: Path) -> list[str]:
    """Students in the order of their grading, with repetitions."""
    path = course / "graded.txt"
    return path.read_text().split() if path.exists() else []


def test_every_submission_of_a_class_ends_in_the_gradebook_whatever_becomes_of_the_others(course):
    for student in ("right_a", "half_b", "dies_c", "dies-once_d", "raises_e", "error_f", "wrong_g"):
        submit(course, student)
    (submit(course, "right_h") / f"{NAME}.ipynb").write_text("<html>")

    errors = run(course)

    unknown = [None] * 3
    assert scores(course) == {
        "right_a": FULL,
        "half_b": HALF,
        "dies_c": unknown,
        "dies-once_d": FULL,
        "raises_e": unknown,
        "error_f": unknown,
        "wrong_g": NONE,
        "right_h": NONE,
    }
    assert sorted(errors) == ["dies_c", "error_f", "raises_e"]
    assert "signal 9" in errors["dies_c"]
    assert "a bug of ours" in errors["raises_e"]
    deaths = sorted(path.stat().st_size for path in course.glob("died-*"))
    assert deaths == [1, ATTEMPTS]
    assert {row[-1] for row in grades(course)["dies_c"]} == {True}


def test_a_hand_in_that_nobody_foresaw_holds_up_nobody_else(course, monkeypatch):
    for student in ("right_a", "half_b"):
        submit(course, student)
    as_ever = command.ensure_taken_in

    def trapped(submission: Submission) -> object:
        if submission.student == "right_a":
            raise MemoryError
        return as_ever(submission)

    monkeypatch.setattr(command, "ensure_taken_in", trapped)
    assert run(course) == {"right_a": "it cannot be taken in: MemoryError"}
    assert scores(course) == {"half_b": HALF}


def test_what_the_sandbox_leaves_open_is_said_once(course, capsys):
    for student in ("right_a", "right_b"):
        submit(course, student)
    run(course)
    assert capsys.readouterr().err.count(f"leaves open: {LEAVES_OPEN}") == 1


def test_by_nbgrader_and_by_us_the_same_answers_get_the_same_real_grades(course):
    try:
        open_sandbox().close()
    except CourseError as error:
        pytest.skip(str(error))
    released = load_released(course, NAME)
    answers = {
        "ann": {},
        "ben": {"add_noise": "def add_noise(x0, eps, alpha_bar):\n    return x0\n"},
    }
    for student, codes in answers.items():
        folder = course / "submitted" / student / NAME
        folder.mkdir(parents=True)
        save(folder, solved(released, **codes))

    errors = autograde(NAME, course, jobs=1)
    ours = grades(course)
    shutil.rmtree(course / "records" / NAME)
    config = settings(course)
    api = NbGraderAPI(CourseDirectory(config=config), config=config)
    theirs = api.autograde(NAME, "*", force=True)
    close_grader()

    assert errors == {}
    assert theirs["success"], theirs["log"]
    assert grades(course) == ours
    assert scores(course) == {"ann": FULL, "ben": [0, 2, 2]}


def test_a_notebook_is_run_for_the_record_in_a_sandbox_and_its_outputs_earn_nothing(course):
    try:
        tried("bubblewrap").close()
    except (CourseError, SandboxError) as error:
        pytest.skip(f"no bubblewrap here: {error}")
    seen, gone = "print(6 * 7)", f"open({str(course / 'gradebook.db')!r})"
    notebook = solved(load_released(course, NAME), add_noise="def add_noise(*_):\n    return 0\n")
    notebook.cells += [nbformat.v4.new_code_cell(code) for code in (seen, gone)]
    folder = course / "submitted" / "ann" / NAME
    folder.mkdir(parents=True)
    save(folder, notebook)

    errors = autograde(NAME, course, jobs=1, execute=True)

    cells = graded_notebook(course, "ann")["cells"]
    shown = {"".join(cell["source"]): cell.get("outputs") for cell in cells}
    assert errors == {}
    # A kernel may send what is printed in several parts.
    assert "".join(part for output in shown[seen] for part in output["text"]) == "42\n"
    assert [output["ename"] for output in shown[gone]] == ["FileNotFoundError"]
    assert scores(course) == {"ann": [0, 2, 2]}


@pytest.fixture
def with_pictures(course: Path) -> Path:
    """The folder of one hand-in of stage 1, with one of the pictures it asks for."""
    Rules(seed=3, regenerate=0).save(course / "rules.yaml")
    folder = course / "submitted" / "right_a" / "01_sds"
    shutil.copytree(course / "release" / "01_sds", folder)
    name = next(iter(load_hand_in("01_sds").files))
    save_png(folder / "pictures" / name, Image.new("RGB", (64, 64), "red"), "a red boat")
    return folder


def test_the_pictures_of_a_class_are_scored_before_anything_is_graded(course, with_pictures):
    assert autograde("01_sds", course, jobs=1, grader="fake_grade") == {}

    intake = load_intake(Submission.in_folder(with_pictures))
    found = Store(course).scores(intake.submission, "tiny-clip")
    assert list(found) == [path.name for path in (with_pictures / "pictures").iterdir()]


def test_a_scorer_that_fails_is_said_and_stops_nobody(course, with_pictures, monkeypatch, capsys):
    run_as_ever = subprocess.run
    fails = [sys.executable, "-c", "import sys; sys.exit('no scorer')"]
    monkeypatch.setattr(command.subprocess, "run", lambda _, **rest: run_as_ever(fails, **rest))

    assert autograde("01_sds", course, jobs=1, grader="fake_grade") == {}

    assert "could not be scored in batches (status 1" in capsys.readouterr().err
    assert "no scorer" in (course / "records" / "workers.log").read_text()
    assert [record.status for record in Store(course).all("01_sds")] == ["graded"]


def test_a_second_run_with_nothing_new_opens_nothing_and_names_the_errors_again(course):
    for student in ("right_a", "error_b"):
        submit(course, student)
    first = run(course)
    opened, done = (course / "opened.txt").read_bytes(), graded(course)
    nothing = RUN + "; assert not {'torch', 'nbgrader', 'distributed'} & set(sys.modules)"

    again = subprocess.run([sys.executable, "-c", nothing, str(course)], check=False)

    assert again.returncode == 0
    assert run(course) == first == {"error_b": "the sandbox is broken."}
    assert (course / "opened.txt").read_bytes() == opened
    assert graded(course) == done


def test_a_worker_loads_torch_only_with_a_grader_that_needs_it():
    code = "from grading.scheduler.worker_pool import follow_parent; follow_parent(); "
    code += "import sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_under_other_rules_the_class_is_graded_again_and_then_left_alone(course):
    for student in ("right_a", "half_b"):
        submit(course, student)
    run(course)
    Rules(seed=3, late_off_per_day=0.2).save(course / "rules.yaml")

    run(course)
    run(course)

    assert sorted(graded(course)) == ["half_b", "half_b", "right_a", "right_a"]


def test_an_extension_or_another_due_date_changes_the_penalty_and_nothing_else(course, capsys):
    for student in ("right_a", "half_b"):
        submit(course, student)  # on the first of November at ten
    run(course)
    with gradebook(course) as opened:
        opened.update_or_create_assignment(NAME, duedate="2026-10-31 09:00:00 UTC")
        (notebook,) = opened.find_submission(NAME, "half_b").notebooks
        notebook.grades[0].manual_score = 2.0  # in place of one
        notebook.grades[0].needs_manual_grade = False
        opened.db.commit()
    before = grades(course)

    capsys.readouterr()
    run(course)
    late, said = penalties(course), capsys.readouterr().err
    with gradebook(course) as opened:
        opened.grant_extension(NAME, "right_a", days=2)
    run(course)

    assert "late penalties changed for half_b, right_a" in said
    assert late == pytest.approx({"right_a": 0.2 * 6, "half_b": 0.2 * 4})  # two days begun
    assert penalties(course) == pytest.approx({"right_a": 0, "half_b": 0.2 * 4})
    assert grades(course) == before
    assert sorted(graded(course)) == ["half_b", "right_a"]


def penalties(course: Path) -> dict[str, float]:
    with gradebook(course) as opened:
        found = opened.assignment_submissions(NAME)
        return {one.student_id: one.late_submission_penalty or 0 for one in found}


def test_points_that_are_released_otherwise_are_refused_before_anything_is_graded(course):
    submit(course, "right_a")
    Rules(seed=3, optional=("tour.add_noise",)).save(course / "rules.yaml")
    with pytest.raises(CourseError, match=r"add_noise was released for 2 points.*says 0: run"):
        run(course)
    assert graded(course) == []


def test_a_student_who_is_not_there_and_a_folder_that_cannot_be_written_are_said(course):
    submit(course, "right_a")
    with pytest.raises(CourseError, match="nobody has no submission of 00_tour"):
        run(course, student="nobody")
    (course / "records" / ".lock").unlink()
    (course / "records" / ".lock").mkdir()
    with pytest.raises(CourseError, match=r"cannot write .*\.lock: is a directory"):
        run(course)


def test_only_what_is_new_is_graded_and_the_last_hand_in_counts(course):
    for student in ("right_a", "half_b"):
        submit(course, student)
    run(course)
    first = load_intake(Submission(course, "half_b", NAME))

    later = "2026-11-0{} 10:00:00.000000 UTC"
    add = own_cell()
    submit(course, "half_b", lambda notebook: notebook["cells"].append(add), time=later.format(2))
    run(course)
    second = load_intake(Submission(course, "half_b", NAME))
    submit(course, "half_b", time=later.format(3))
    run(course)

    assert sorted(graded(course)) == ["half_b", "half_b", "right_a"]
    booked = {r.digest for r in Store(course).all(NAME) if Store(course).is_booked(r)}
    assert first.digest in booked
    assert second.digest not in booked
    assert (
        "a remark of my own"
        not in (course / "autograded" / "half_b" / NAME / f"{NAME}.ipynb").read_text()
    )


def own_cell() -> dict[str, object]:
    return {"cell_type": "markdown", "metadata": {}, "source": "a remark of my own", "id": "m"}


def test_the_same_work_received_at_another_time_is_booked_with_that_time(course):
    submit(course, "right_a")
    run(course)

    submit(course, "right_a", time="2026-11-03 10:00:00.000000 UTC")
    run(course)

    stamp = course / "autograded" / "right_a" / NAME / "timestamp.txt"
    assert stamp.read_text().startswith("2026-11-03 10:00")
    assert graded(course) == ["right_a"]


def test_force_grades_everything_again_and_retry_only_the_grader_errors(course):
    for student in ("right_a", "error_b"):
        submit(course, student)
    run(course)

    run(course, retry_errors=True, student="error_b")
    run(course, force=True)

    assert sorted(graded(course)) == ["error_b"] * 3 + ["right_a"] * 2


def test_a_record_that_was_not_booked_when_the_power_failed_is_booked_once(course):
    submit(course, "half_a")
    run(course)
    (record,) = Store(course).all(NAME)
    before = grades(course)
    Store(course).unmark_booked(record)

    run(course)

    assert grades(course) == before
    assert graded(course) == ["half_a"]
    assert Store(course).is_booked(record)


def test_half_a_record_is_none(course):
    submit(course, "half_a")
    run(course)
    (path,) = (course / "records" / NAME / "half_a").glob("*.json")
    path.write_text(path.read_text()[:200])

    run(course)

    assert graded(course) == ["half_a", "half_a"]
    assert scores(course) == {"half_a": HALF}


@pytest.mark.parametrize("trial", range(3))
def test_a_kill_at_any_moment_loses_and_doubles_nothing(course, trial):
    students = [f"{kind}_{index}" for index in range(3) for kind in ("right", "half", "slow")]
    for student in students:
        submit(course, student)
    chance = random.Random(trial)

    for least in (1, 4):
        with started(course) as process:
            wait_for(course, chance.randint(least, least + 3))
            time.sleep(chance.random() / 10)
            process.kill()
    run(course)

    assert scores(course) == {name: HALF if "half" in name else FULL for name in students}
    records = Store(course).all(NAME)
    assert sorted(record.student for record in records) == sorted(students)
    assert all(Store(course).is_booked(record) for record in records)
    # At most one submission of each of two workers was lost with each kill.
    assert len(graded(course)) <= len(students) + 2 * 2


def test_ctrl_c_stops_with_nothing_half_written_and_says_how_to_go_on(course):
    students = [f"slow_{index}" for index in range(6)]
    for student in students:
        submit(course, student)

    with started(course, RUN_MAIN) as process:
        wait_for(course, 2)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate()

    assert process.returncode == 130
    assert "the same command continues from here" in said
    assert "Traceback" not in said
    run(course)
    assert scores(course) == dict.fromkeys(students, FULL)


@contextmanager
def started(course: Path, code: str = RUN):
    # Ours may have been started with Ctrl-C ignored, as by nohup, and children inherit that.
    code = f"import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n{code}"
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(course)], stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_for(course: Path, count: int) -> None:
    """Until so many gradings have ended."""
    patience = time.monotonic() + 120
    while len(graded(course)) < count and time.monotonic() < patience:
        time.sleep(0.01)


def test_two_do_not_grade_the_same_course_at_once(course):
    submit(course, "right_a")

    with command._alone(course), pytest.raises(CourseError, match="another run is grading"):
        run(course)

    assert run(course) == {}


def test_a_worker_that_cannot_open_its_grader_is_no_fault_of_the_class(course):
    submit(course, "right_a")

    with pytest.raises(CourseError, match="python -m grading doctor"):
        run(course, grader="no_such_module")

    assert Store(course).all(NAME) == []


def test_a_folder_that_is_no_course_is_left_alone(tmp_path):
    with pytest.raises(CourseError, match="python -m grading release"):
        autograde(NAME, tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_without_hand_ins_or_for_an_unknown_stage_it_is_said_what_to_do(course):
    with pytest.raises(CourseError, match="collect"):
        run(course)
    with pytest.raises(CourseError, match="there is no stage '07_none'"):
        autograde("07_none", course)
    with pytest.raises(CourseError, match="--jobs must be 1 or more"):
        command.main([NAME, "--course", str(course), "--jobs", "0"])


def test_an_assignment_that_is_not_in_the_gradebook_is_refused_before_anything_is_graded(course):
    submit(course, "right_a")
    (course / "gradebook.db").unlink()

    with pytest.raises(CourseError, match="gradebook"):
        run(course)

    assert graded(course) == []


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_a_bar_says_what_is_done_and_how_it_ended():
    screen = Screen()
    progress = Progress("01_sds", 4, stream=screen)

    progress.ended("ann", "graded")
    progress.ended("cem", "grader error")
    progress.refresh()
    progress.close()

    last = screen.getvalue().rsplit("\r", 1)[-1]
    assert last.startswith("01_sds:  50%")
    assert " 2/4 " in last
    assert "1 graded, 1 grader error" in last


def test_without_a_terminal_every_submission_is_a_plain_line():
    now = [0.0]
    stream = io.StringIO()
    progress = Progress("01_sds", 2, stream=stream, clock=lambda: now[0])
    now[0] = 60.0

    progress.refresh()
    progress.ended("ann", "graded")
    progress.ended("ben", "rejected")
    progress.close()

    assert stream.getvalue() == (
        "01_sds: 1 of 2, 1 a minute, 01:00 to go: ann graded\n"
        "01_sds: 2 of 2, 2 a minute, 00:00 to go: ben rejected\n"
    )
