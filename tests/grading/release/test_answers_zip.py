"""What is given out after the deadline has every answer, in words, in code and as a notebook."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import nbformat
import pytest
from course_copies import student_course

from distillery.core.errors import CourseError
from distillery.course.answers import answer
from distillery.course.line_up import LineUp
from grading.authoring.build import (
    ROOT,
    class_text,
    sequel_texts,
    solved_text,
    student_text,
    written,
)
from grading.authoring.notebooks import student_notebook
from grading.authoring.written_answers import check_places, folded, said, shown
from grading.release import course_folder
from grading.release.answers_zip import answers_of, give_out
from grading.stages import STAGES
from grading.stages.stage import Stage

TOUR = STAGES[0]
STAGE = pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.folder)
PERCENT = """\
# %%
# %load_ext distillery.todo
from distillery.course.answers import answer
from distillery.course.check import check

# %%
# TODO tour.add_noise

# %%
check("tour.add_noise")

# %%
# TODO tour.predict_x0

# %%
check("tour.predict_x0")

# %%
# TODO tour.classifier_free_guidance

# %%
check("tour.classifier_free_guidance")

# %% [markdown]
# {answer to question_1}
#
# {answer to bug_hunt_1}
#
# {answer to bug_hunt_2}
#
# {answers to dares}
"""


def text_cells(stage: Stage, kind: str) -> str:
    """The texts of all notebooks of a stage: of a full copy, of a class, or with all answers."""
    answers = written(stage)
    make, show = {
        "full": (student_text, folded(stage, answers)),
        "class": (class_text, said(stage)),
        "answered": (solved_text, shown(answers)),
    }[kind]
    notebooks = [make(stage), *sequel_texts(stage, ROOT, show).values()]
    cells = [cell for text in notebooks for cell in nbformat.reads(text, as_version=4).cells]
    return "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A course whose notebook of stage 0 is a few cells; its packages are the repository's."""
    root = student_course(tmp_path / "course")
    shutil.copytree(ROOT / "reference", root / "reference")
    source = root / TOUR.notebook.with_suffix(".py")
    source.parent.mkdir(parents=True)
    source.write_text(PERCENT, "utf-8")
    return root


def test_the_zip_is_unpacked_over_a_students_course_and_its_answers_are_found(
    small, tmp_path, monkeypatch
):
    said: list[str] = []
    path = give_out(TOUR, tmp_path / "class", root=small, say=said.append)
    assert path == answers_of(tmp_path / "class", TOUR.folder)
    assert "running the answered notebook" in said[0]
    student = student_course(tmp_path / "score-distillery")
    with zipfile.ZipFile(path) as archive:
        assert sorted(archive.namelist()) == [
            "score-distillery/answers/00_tour.ipynb",
            "score-distillery/answers/tour.md",
            "score-distillery/answers/tour.py",
        ]
        archive.extractall(tmp_path)
    monkeypatch.chdir(student)
    assert "SOLUTION" not in (student / "answers" / "tour.py").read_text("utf-8")
    for function in TOUR.points:
        assert answer(f"tour.{function}", give_up=True).ours.startswith(f"def {function}(")
    for name, text in written(TOUR).items():
        assert answer(f"tour.{name}").text == text
    notebook = nbformat.read(student / "answers" / "00_tour.ipynb", as_version=4)
    printed = "".join(o.text for c in notebook.cells for o in c.get("outputs", []) if "text" in o)
    assert printed.count(": right") == len(TOUR.points)
    text = "\n".join(cell.source for cell in notebook.cells)
    assert all(its in text for its in written(TOUR).values())
    assert "ours replace your functions in `guidance/`" in notebook.cells[1].source


def test_an_answered_notebook_that_stops_gives_no_answers_out(small, tmp_path):
    source = small / TOUR.notebook.with_suffix(".py")
    source.write_text(PERCENT + "\n# %%\n1 / 0\n", "utf-8")
    with pytest.raises(CourseError, match=r"cell 9 of .* stops with ZeroDivisionError"):
        give_out(TOUR, tmp_path / "class", root=small, say=lambda line: None)
    assert not answers_of(tmp_path / "class", TOUR.folder).exists()


def test_answers_are_given_out_only_of_stages_that_are_named(monkeypatch, capsys, tmp_path):
    with pytest.raises(CourseError, match="name the stages whose deadline is over"):
        course_folder.main(["--answers", "--course", str(tmp_path)])
    made = []
    monkeypatch.setattr(
        course_folder, "give_out", lambda stage, course, say: made.append(stage) or Path("a.zip")
    )
    assert course_folder.main(["--answers", "sds", "--course", str(tmp_path)]) == 0
    assert [stage.folder for stage in made] == ["01_sds"]
    assert "hand it to your students" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


@STAGE
def test_every_case_dare_and_question_of_a_notebook_has_an_answer_and_no_other(stage):
    text = text_cells(stage, "class")
    hunt, dares = text.partition("## Bug hunt")[2].split("## Dares")
    dares = dares.partition("## What you")[0]
    cases = re.findall(r"^### Case (\d+)", hunt, re.MULTILINE)
    numbers = re.findall(r"^(?:### Dare )?(\d+)(?: ·|\. \*\*)", dares, re.MULTILINE)
    asked = {f"bug_hunt_{case}" for case in cases} | {f"dare_{number}" for number in numbers}
    questions = {name for name in written(stage) if name.startswith("question_")}
    assert len(questions) == len(re.findall(r"^### A question", text, re.MULTILINE))
    assert set(written(stage)) == asked | questions
    assert all(len(its) > 40 for its in written(stage).values())


@STAGE
def test_solutions_are_folded_in_a_full_copy_told_of_in_a_class_and_open_afterwards(stage):
    full, plain, after = (text_cells(stage, kind) for kind in ("full", "class", "answered"))
    for name, its in written(stage).items():
        fold = f"<details><summary>Solution</summary>\n\n{its}\n\n</details>"
        assert (fold in full) == name.startswith("bug_hunt_")
        assert its not in plain
        assert its in after
    assert f'`answer("{stage.module}.bug_hunt_2")` shows our answer.' in plain
    assert f'`answer("{stage.module}.dare_1")` says' in plain
    assert full.count("<details>") == full.count("</details>")


@STAGE
def test_the_answer_to_a_line_up_has_every_letter_right(stage, capsys):
    texts = [class_text(stage), *sequel_texts(stage, ROOT, said(stage)).values()]
    code = [c.source for text in texts for c in nbformat.reads(text, as_version=4).cells]
    (made,) = [c for c in code if c.startswith("suspects = LineUp(")]
    names: dict[str, object] = {"LineUp": LineUp}
    exec(made.replace("suspects.figure()", ""), names)
    (accused,) = re.findall(r"`(suspects\.accuse\(.*\))`", written(stage)["bug_hunt_1"])
    exec(accused, names)
    assert capsys.readouterr().out == "5 of 5 are right.\n"


def test_a_place_without_an_answer_and_an_answer_without_a_place_are_refused():
    with pytest.raises(CourseError, match="have places for bug_hunt_1, bug_hunt_2, dares"):
        check_places(TOUR, PERCENT, {"dare_1": "A."})
    with pytest.raises(CourseError, match=r"reference/tour\.md answers bug_hunt_3"):
        check_places(TOUR, "# %%\n1\n", {"bug_hunt_3": "A."})
    reference = (ROOT / "reference" / "tour.py").read_text("utf-8")
    with pytest.raises(CourseError, match="must stand alone on its line"):
        student_notebook(TOUR, PERCENT.replace("{answer to q", "See {answer to q"), reference)


def test_nothing_of_the_instructors_is_needed_to_ask_for_an_answer():
    code = "import sys, distillery.course.answers; print('grading' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert ran.stdout == "False\n"
