"""nbgrader keeps the books of what was graded outside, whatever was handed in."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from fake_grade import environment, grade
from nbformat import from_dict
from nbgrader import utils
from nbgrader.apps import NbGraderAPI
from nbgrader.coursedir import CourseDirectory
from traitlets.config import Config

from benchmarks.sample_class import (
    NAME,
    checks,
    gradebook,
    graded_notebook,
    grades,
    scores,
    settings,
    submit,
)
from distillery.core.errors import CourseError
from grading.core.records import Flag, Record, Store, Verdict
from grading.core.rules import Rules, settle
from grading.core.submission import Submission
from grading.gradebook.plugins import UNGRADED, GradeOutside, SaveGrades, configure, points
from grading.gradebook.writer import GradebookWriter
from grading.intake.clean_folder import load_intake
from grading.intake.take_in import ensure_taken_in
from grading.judge.run_notebook import executed_notebook, outputs_of

STDERR = {"name": "stderr", "output_type": "stream", "text": "50%|#####     | a warning\n"}
FULL_MARKS = {
    "data": {"text/plain": "2.0"},
    "execution_count": 7,
    "metadata": {},
    "output_type": "execute_result",
}

CHECK = "sds-sds_grad-check"


@pytest.fixture
def course(released_course: Path) -> Path:
    settle(released_course)
    return released_course


def recorded(course: Path, student: str, **changes: object) -> Record:
    """The record of what a student handed in, by the fake grader."""
    submission = Submission(course, student, NAME)
    ensure_taken_in(submission)
    record = grade(submission, grader=Rules.load(course / "rules.yaml"))
    record = replace(record, **changes)
    Store(course).save(record)
    return record


def book(course: Path, *students: str) -> list[str]:
    writer, store = GradebookWriter(course, NAME), Store(course)
    intakes = [load_intake(Submission(course, student, NAME)) for student in students]
    return [writer.write(store.load(intake.submission)) for intake in intakes]


def autograde(course: Path, student: str = "*", **config: dict[str, object]) -> dict[str, object]:
    """As the button of formgrader does it, or `nbgrader autograde`."""
    chosen = settings(course)
    for section, values in config.items():
        chosen[section].update(values)
    api = NbGraderAPI(CourseDirectory(config=chosen), config=chosen)
    return api.autograde(NAME, student, force=True, create=True)


def shown(cell: dict[str, object]) -> str:
    return "".join("".join(output.get("text", "")) for output in cell["outputs"])


def test_a_check_shows_the_verdict_and_the_gradebook_has_its_points(course):
    submit(course, "half_a")
    recorded(course, "half_a")

    assert book(course, "half_a") == [""]

    assert scores(course) == {"half_a": [1, 1, 1]}
    for cell in checks(graded_notebook(course, "half_a")):
        stream, result = cell["outputs"]
        assert "has 1 of 2 points." in "".join(stream["text"])
        assert stream["name"] == "stdout"
        assert result["data"]["text/plain"] == ["1.0"]


def test_what_a_student_left_in_the_outputs_neither_costs_nor_earns_a_point(course):
    def with_outputs(notebook):
        for cell in notebook["cells"]:
            if cell["cell_type"] == "code":
                cell["outputs"] = [STDERR, FULL_MARKS]

    for student in ("right_a", "wrong_b"):
        submit(course, student, with_outputs)
        recorded(course, student)

    book(course, "right_a", "wrong_b")

    assert scores(course) == {"right_a": [2, 2, 2], "wrong_b": [0, 0, 0]}
    text = json.dumps(graded_notebook(course, "right_a"))
    assert "a warning" not in text


def test_what_no_file_can_hold_and_what_drives_a_terminal_is_taken_out_of_the_lines(course):
    submit(course, "right_a")
    recorded(course, "right_a")

    assert book(course, "right_a") == [""]

    cell = checks(graded_notebook(course, "right_a"))[0]
    assert "add_noise has 2 of 2 points." in shown(cell)
    assert "31m" not in shown(cell)
    assert "\ud800" not in shown(cell)


def test_a_rejected_hand_in_says_why_in_every_check_and_gets_nothing(course):
    folder = submit(course, "right_a")
    (folder / f"{NAME}.ipynb").write_text("<html>")
    record = recorded(course, "right_a")

    assert book(course, "right_a") == [""]

    assert record.status == "rejected"
    assert scores(course) == {"right_a": [0, 0, 0]}
    assert all(record.reason in shown(cell) for cell in checks(graded_notebook(course, "right_a")))


def test_a_grader_error_is_left_to_a_human_and_its_reason_is_for_the_instructor_alone(course):
    submit(course, "right_a")
    recorded(course, "right_a")
    book(course, "right_a")
    recorded(course, "right_a", status="grader error", reason="the <sandbox> broke.")

    assert book(course, "right_a") == [""]

    assert [row[1:] for row in grades(course)["right_a"]] == [(None, None, None, True)] * 3
    note, *cells = graded_notebook(course, "right_a")["cells"]
    assert note["metadata"]["tags"] == ["for-instructor"]
    assert "the &lt;sandbox&gt; broke." in "".join(note["source"])
    assert all(shown(cell) == UNGRADED + "\n" for cell in checks({"cells": cells}))
    assert "broke" not in json.dumps(cells)


def test_flags_are_shown_to_the_instructor_and_to_nobody_else(course):
    submit(course, "right_a", lambda notebook: checks(notebook)[0].update(source="6.0"))
    folder = submit(course, "right_b")
    record = recorded(course, "right_a", flags=(Flag("odd", "it says </pre><script>1</script>"),))
    recorded(course, "right_b")

    book(course, "right_a", "right_b")

    note, *cells = graded_notebook(course, "right_a")["cells"]
    assert "<script>" not in "".join(note["source"])
    assert "&lt;script&gt;" in "".join(note["source"])
    assert "odd" not in json.dumps(cells)
    assert record.points == 6
    assert load_intake(Submission.in_folder(folder)).flags == ()
    assert "For the instructor" not in json.dumps(graded_notebook(course, "right_b"))


def test_a_script_of_a_student_is_not_shown_to_the_grader(course):
    def with_script(notebook):
        for kind in ("markdown", "raw"):
            cell = {"cell_type": kind, "metadata": {}, "source": "<script>alert(1)</script>"}
            notebook["cells"].insert(1, cell)

    submit(course, "right_a", with_script)
    recorded(course, "right_a")

    assert book(course, "right_a") == [""]

    assert "<script" not in json.dumps(graded_notebook(course, "right_a"))


def test_what_a_notebook_gave_when_it_was_run_is_shown_and_earns_nothing(course):
    submit(course, "wrong_a")
    record = recorded(course, "wrong_a")
    ran = json.loads((course / "submitted" / "wrong_a" / NAME / f"{NAME}.ipynb").read_text())
    for cell in ran["cells"]:
        if cell["cell_type"] == "code":
            printed = {"name": "stdout", "output_type": "stream", "text": "it ran\n"}
            cell["outputs"] = [printed, STDERR, FULL_MARKS]
    executed_notebook(Store(course).submission(record)).parent.mkdir()
    executed_notebook(Store(course).submission(record)).write_text(json.dumps(ran))

    assert book(course, "wrong_a") == [""]

    assert scores(course) == {"wrong_a": [0, 0, 0]}
    graded = graded_notebook(course, "wrong_a")
    others = [c for c in graded["cells"] if c["cell_type"] == "code" and c not in checks(graded)]
    assert all("it ran" in shown(cell) for cell in others)
    assert not any("it ran" in shown(cell) for cell in checks(graded))


@pytest.mark.parametrize(
    "text",
    [
        "",
        '{"cells": [{"cell_type": "code"}], "nbformat": 4}',
        '{"cells": [{"cell_type": "code", "id": "a", "metadata": {}, "source": "", '
        '"execution_count": null, "outputs": [{"output_type": "none"}]}], '
        '"metadata": {}, "nbformat": 4, "nbformat_minor": 5}',
    ],
)
def test_an_executed_notebook_that_is_none_shows_nothing(tmp_path, text):
    (tmp_path / "executed.ipynb").write_text(text)

    assert outputs_of(tmp_path / "executed.ipynb") == {}


def test_a_copied_check_stops_nbgrader_alone_and_nobody_here(course):
    def copied(notebook):
        notebook["cells"].append(checks(notebook)[0])

    for student, change in (("half_a", copied), ("right_b", lambda notebook: None)):
        submit(course, student, change)
    stock = settings(course)
    for name in ("Autograde", "AssignLatePenalties", "OverwriteCells"):
        del stock[name]
    stock.Execute.enabled = False

    alone = NbGraderAPI(CourseDirectory(config=stock), config=stock).autograde(NAME, "*")
    for student in ("half_a", "right_b"):
        recorded(course, student)
    here = autograde(course)

    assert not alone["success"]
    assert "old version" in alone["log"]
    assert here["success"], here["log"]
    assert scores(course) == {"half_a": [1, 1, 1], "right_b": [2, 2, 2]}


def test_what_only_nbgrader_collected_is_taken_in_and_graded_on_the_way(course, monkeypatch):
    monkeypatch.setattr(GradeOutside, "grader", "fake_grade")
    folder = submit(course, "half_a", name="my tour (1).ipynb")

    result = autograde(course)

    assert result["success"], result["log"]
    assert load_intake(Submission.in_folder(folder)) is not None
    assert scores(course) == {"half_a": [1, 1, 1]}
    (record,) = Store(course).all(NAME)
    assert Store(course).is_booked(record)


def test_the_button_of_formgrader_tries_a_grader_error_again(course, monkeypatch):
    monkeypatch.setattr(GradeOutside, "grader", "fake_grade")
    submit(course, "right_a")
    recorded(course, "right_a", status="grader error", reason="broken.", verdicts=())

    assert autograde(course, "right_a")["success"]

    assert scores(course) == {"right_a": [2, 2, 2]}


def test_a_grader_is_opened_once_for_a_class_and_anew_for_other_rules(course, monkeypatch):
    monkeypatch.setattr(GradeOutside, "grader", "fake_grade")
    for student in ("right_a", "half_b"):
        submit(course, student)

    autograde(course)
    once = (course / "opened.txt").read_text().count("\n")
    Rules(seed=12).save(course / "rules.yaml")
    submit(course, "wrong_c")
    autograde(course, "wrong_c")

    assert once == 1
    assert (course / "opened.txt").read_text().count("\n") == 2
    assert {record.student: record.seed for record in Store(course).all(NAME)}["wrong_c"] == 12
    autograde(course, "half_b")
    assert {record.student: record.seed for record in Store(course).all(NAME)}["half_b"] == 12


def test_what_a_human_gave_is_kept_and_marked_for_a_second_look(course):
    submit(course, "half_a")
    recorded(course, "half_a")
    book(course, "half_a")
    with gradebook(course) as opened:
        grade = opened.find_grade("tour-add_noise-check", NAME, NAME, "half_a")
        grade.manual_score, grade.extra_credit = 2, 0.5
        comment = opened.find_comment("tour-add_noise", NAME, NAME, "half_a")
        comment.manual_comment = "Well argued."
        opened.db.commit()

    book(course, "half_a")

    assert grades(course)["half_a"][0] == ("tour-add_noise-check", 1, 2, 0.5, True)
    with gradebook(course) as opened:
        comment = opened.find_comment("tour-add_noise", NAME, NAME, "half_a")
        assert comment.comment == "Well argued."


def test_what_an_optional_task_earns_is_extra_credit(tmp_path):
    cell = check_cell(points=0)
    given = SimpleNamespace(name=CHECK, manual_score=None, extra_credit=None)

    save_grade(cell, record_with(points=3.0, worth=4.0), given, tmp_path)

    assert (given.auto_score, given.extra_credit, given.needs_manual_grade) == (0, 3.0, False)


def test_extra_credit_that_a_human_gave_with_a_score_is_kept(tmp_path):
    given = SimpleNamespace(name=CHECK, manual_score=0.0, extra_credit=1.0)

    save_grade(check_cell(points=0), record_with(points=3.0, worth=4.0), given, tmp_path)

    assert (given.extra_credit, given.needs_manual_grade) == (1.0, True)


def test_a_check_without_a_verdict_is_left_to_a_human(tmp_path):
    given = SimpleNamespace(name=CHECK, manual_score=None, extra_credit=None)

    save_grade(
        check_cell(points=4, name="my-own-test"),
        record_with(points=4.0, worth=4.0),
        given,
        tmp_path,
    )

    assert (given.auto_score, given.needs_manual_grade) == (None, True)


def test_extra_credit_that_a_human_gave_without_a_score_is_kept_too(tmp_path):
    given = SimpleNamespace(name=CHECK, manual_score=None, extra_credit=None)
    three = record_with(points=3.0, worth=4.0)
    save_grade(check_cell(points=0), three, given, tmp_path)
    given.extra_credit = 3.5

    save_grade(check_cell(points=0), three, given, tmp_path)

    assert given.extra_credit == 3.5


def test_extra_credit_goes_with_what_earned_it(tmp_path):
    given = SimpleNamespace(name=CHECK, manual_score=None, extra_credit=None)
    save_grade(check_cell(points=0), record_with(points=3.0, worth=4.0), given, tmp_path)
    save_grade(check_cell(points=0), record_with(points=1.0, worth=4.0), given, tmp_path)
    less = given.extra_credit

    # No longer optional.
    save_grade(check_cell(points=4), record_with(points=1.0, worth=4.0), given, tmp_path)

    assert (less, given.auto_score, given.extra_credit) == (1.0, 1.0, None)


def test_points_that_changed_after_the_release_are_refused():
    with pytest.raises(CourseError, match="released for 5 points, and is worth 4"):
        points(record_with(points=3.0, worth=4.0), check_cell(points=5))


def check_cell(points: float, name: str = CHECK):
    its = {"grade": True, "solution": False, "grade_id": name, "points": points}
    return from_dict({"cell_type": "code", "metadata": {"nbgrader": its}, "source": ""})


def record_with(points: float, worth: float) -> Record:
    verdict = Verdict("sds.sds_grad", points, worth, "wrong", ("not yet",))
    return Record("a", "01_sds", "0", 1, "graded", "", (verdict,), (), 0.0)


def save_grade(cell, record: Record, given: SimpleNamespace, course: Path) -> None:
    saving = SaveGrades()
    saving.notebook_id = saving.assignment_id = saving.student_id = ""
    nothing = SimpleNamespace(commit=lambda: None)
    saving.gradebook = SimpleNamespace(find_grade=lambda *names: given, db=nothing)
    place = {"student": record.student, "assignment": record.assignment}
    with utils.chdir(str(course)):
        saving.preprocess_cell(cell, {"record": record, "nbgrader": place}, 0)


def test_being_late_costs_what_the_rules_say_and_an_extension_takes_it_back(course):
    Rules(seed=1, late_off_per_day=0.25).save(course / "rules.yaml")
    submit(course, "right_a")  # on the first of November at ten
    recorded(course, "right_a")
    with gradebook(course) as opened:
        opened.update_or_create_assignment(NAME, duedate="2026-10-31 09:00:00 UTC")

    book(course, "right_a")
    with gradebook(course) as opened:
        late = opened.find_submission(NAME, "right_a").late_submission_penalty
        opened.grant_extension(NAME, "right_a", days=1)
    book(course, "right_a")
    with gradebook(course) as opened:
        extended = opened.find_submission(NAME, "right_a").late_submission_penalty

    assert late == 0.5 * 6  # twenty-five hours are two days begun
    assert extended == 0.25 * 6


def test_a_late_plugin_of_the_instructors_own_stays():
    config = Config()
    config.AssignLatePenalties.plugin_class = "mine.Mild"
    configure(config)
    assert config.AssignLatePenalties.plugin_class == "mine.Mild"


def test_nbgrader_autograde_on_the_command_line_gives_the_same_grades(course):
    students = ("right_a", "half_b", "wrong_c")
    for student in students:
        submit(course, student)
        recorded(course, student)
    book(course, *students)
    before = grades(course)

    command = [str(Path(sysconfig.get_path("scripts"), "nbgrader")), "autograde", NAME, "--force"]
    done = subprocess.run(
        command, cwd=course, env=environment(), capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert grades(course) == before
    assert (course / "graded.txt").read_text().split() == list(students)  # nobody a second time


def test_what_every_command_of_nbgrader_loads_in_a_course_is_without_torch():
    code = "import sys, grading.plugins, grading.feedback, grading.export, grading.exchange; "
    code += "sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
