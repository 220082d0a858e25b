"""`answer` shows ours beside theirs once theirs is right, and says when answers come."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from course_copies import student_course

from distillery.core.errors import CourseError
from distillery.course.answers import answer, plain_function, written_answers
from distillery.course.saved_text import replaced

ROOT = Path(__file__).resolve().parents[3]
THEIRS = """\
def add_noise(x0, eps, alpha_bar):
    \"\"\"Mine.\"\"\"
    signal = alpha_bar.sqrt()
    return signal * x0 + (1 - alpha_bar).sqrt() * eps
"""
OURS = "return alpha_bar.sqrt() * x0 + (1 - alpha_bar).sqrt() * eps"


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A student's copy of the course, without any answer."""
    folder = student_course(tmp_path / "course")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def clone(bundle: Path) -> Path:
    """A full copy of the course, with the reference and everything still to do."""
    (bundle / "reference").mkdir()
    for name in ("tour.py", "tour.md"):
        shutil.copy(ROOT / "reference" / name, bundle / "reference")
    return bundle


def write(course: Path, code: str) -> None:
    path = course / "guidance" / "tour.py"
    path.write_text(replaced(path.read_text("utf-8"), "tour.add_noise", code), "utf-8")


def test_what_is_right_is_shown_beside_ours_without_docstrings(clone):
    write(clone, THEIRS)
    found = answer("tour.add_noise")
    assert found.sentence == "tour.add_noise: yours is right. Ours does the same:"
    assert found.theirs == THEIRS.replace('    """Mine."""\n', "").rstrip()
    assert found.ours.endswith(f"    {OURS}")
    assert '"""' not in found.ours
    assert "###" not in found.ours
    page = found._repr_html_()
    assert page is not None
    assert page.count("<td") == 2
    assert found._repr_markdown_() is None


@pytest.mark.parametrize("code", ["", THEIRS.replace("+", "-")], ids=["to do", "wrong"])
def test_ours_is_shown_before_only_to_those_who_give_up(clone, code):
    if code:
        write(clone, code)
    found = answer("tour.add_noise")
    assert "is not right yet" in found.sentence
    assert 'answer("tour.add_noise", give_up=True)' in found.sentence
    assert found.ours == ""
    assert OURS not in repr(found)
    given_up = answer("tour.add_noise", give_up=True)
    assert given_up.ours.endswith(f"    {OURS}")
    assert bool(given_up.theirs) == bool(code)
    assert OURS in repr(given_up)


@pytest.mark.parametrize("name", ["add_noise", "bug_hunt_2", "dare_1", "question_1"])
@pytest.mark.parametrize("give_up", [False, True], ids=["", "given up"])
def test_a_students_copy_says_when_answers_come(bundle, name, give_up):
    write(bundle, THEIRS)
    found = answer(f"tour.{name}", give_up=give_up)
    assert "come after the deadline" in found.sentence
    assert (found.text, found.theirs, found.ours) == ("", "", "")


@pytest.mark.parametrize("inside", [".", "score-distillery", "downloads/score-distillery"])
def test_answers_that_were_given_out_are_found_wherever_they_were_unpacked(bundle, inside):
    folder = bundle / inside / "answers"
    folder.mkdir(parents=True)
    for name in ("tour.py", "tour.md"):
        shutil.copy(ROOT / "reference" / name, folder)
    assert answer("tour.add_noise", give_up=True).ours.endswith(OURS)
    assert "suspects.accuse(" in answer("tour.bug_hunt_1").text
    assert "come after the deadline" in answer("sds.sds_grad").sentence


def test_a_written_answer_is_markdown(clone):
    found = answer("tour.question_1")
    assert found._repr_markdown_() == found.text
    assert found._repr_html_() is None
    assert "predict_x0" in repr(found)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("tour.nothing", "it has add_noise, predict_x0"),
        ("tour.dare_99", "has no dare_99; it has question_1"),
        ("nowhere.add_noise", "no checks for a stage"),
        ("add_noise", "a task is named like"),
    ],
)
def test_what_has_no_answer_is_named_with_what_has_one(clone, name, says):
    with pytest.raises(CourseError, match=says):
        answer(name)


@pytest.mark.parametrize(
    "text", ["## dare_1\n\nA.\n\n## dare_1\n\nB.\n", "## dares\n\nA.\n", "## dare_0\n\nA.\n"]
)
def test_a_heading_that_names_no_answer_or_one_twice_is_refused(text):
    with pytest.raises(CourseError, match="must be '## bug_hunt_1'"):
        written_answers(text)


def test_written_answers_are_read_by_their_headings():
    text = "# Title\n\nNot an answer.\n\n## dare_1 · On ice\n\nA.\n\n- B\n\n## question_2\n\nC.\n"
    assert written_answers(text) == {"dare_1": "A.\n\n- B", "question_2": "C."}


def test_a_function_of_one_line_is_shown_whole():
    assert plain_function('def f(x):\n    """Its value."""\n', "f").startswith("def f(x):")
