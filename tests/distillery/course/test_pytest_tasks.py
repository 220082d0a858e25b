"""`pytest guidance` in a student's course: a test for each task, which says what its check says.

pytest is the real one, in processes of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from xml.etree import ElementTree

import pytest
from course_copies import student_course

from distillery.course.saved_text import replaced

ROOT = Path(__file__).resolve().parents[3]
ANSWERS = {
    # right, and with a print of the student's
    "tour.add_noise": """
        def add_noise(x0, eps, alpha_bar):
            print("here", x0.shape)
            return alpha_bar.sqrt() * x0 + (1 - alpha_bar).sqrt() * eps
        """,
    "tour.predict_x0": """
        def predict_x0(xt, eps, alpha_bar):
            return xt - (1 - alpha_bar).sqrt() * eps
        """,
    "pds.dds_loss": """
        def dds_loss(*given, **more):
            raise ValueError("not like this")
        """,
}
CHECKED = ("tour.add_noise", "tour.predict_x0", "pds.dds_loss", "sds.sample_timesteps")
CHECK = f"""
import contextlib, json, sys
from distillery.course.check import check
with contextlib.redirect_stdout(sys.stderr):
    said = {{task: "\\n".join(check(task).lines) for task in {CHECKED}}}
print(json.dumps(said))
"""
# What the adapter of VS Code asks of a test.
EDITOR = """
import json
import os
import pytest


def pytest_sessionfinish(session):
    found = {}
    for item in session.items:
        assert isinstance(item.parent, pytest.File)
        name = "::".join([str(item.path), *item.nodeid.split("::")[1:]])
        found[name] = [str(item.parent.path), item.location[1] + 1, item.name]
    with open(os.environ["FOUND"], "w") as file:
        json.dump(found, file)
"""


def python(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python as a student does, in a folder of the course."""
    env = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200", **environment}
    env.pop("PYTEST_ADDOPTS", None)
    return subprocess.run(
        [sys.executable, *words], cwd=folder, env=env, capture_output=True, text=True, check=False
    )


def results_in(report: Path) -> dict[str, tuple[str, str]]:
    """Module and test -> what became of it, and what was said, from a report in JUnit's format."""
    found = {}
    for case in ElementTree.parse(report).iter("testcase"):
        (ending,) = [one for one in case if one.tag in ("failure", "skipped", "error")] or [None]
        name = f"{case.get('classname')}.{case.get('name')}".removeprefix("guidance.")
        found[name] = ("passed", "") if ending is None else (ending.tag, ending.get("message", ""))
        assert ending is None or ending.tag == "skipped" or ending.text == ending.get("message")
    return found


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One answer is right, one wrong, one raises; two modules do not even load."""
    course = student_course(tmp_path_factory.mktemp("student") / "course")
    for task, code in ANSWERS.items():
        write(course, task, code)
    sds, vsd = course / "guidance" / "sds.py", course / "guidance" / "vsd.py"
    sds.write_text(sds.read_text("utf-8").replace("\nimport torch\n", "\nimport torhc\n"), "utf-8")
    vsd.write_text(vsd.read_text("utf-8") + "\ndef broken(:\n", "utf-8")
    return course


def write(course: Path, task: str, code: str) -> None:
    path = course / "guidance" / f"{task.split('.')[0]}.py"
    path.write_text(replaced(path.read_text("utf-8"), task, dedent(code)), "utf-8")


def test_each_task_ends_as_its_check_says_and_shows_nothing_of_ours(course: Path) -> None:
    ran = python(course, "-m", "pytest", "--junitxml=report.xml")
    assert ran.returncode == 1, ran.stdout
    found = results_in(course / "report.xml")
    said = json.loads(python(course, "-c", CHECK).stdout)
    assert found["tour.add_noise"] == ("passed", "")
    for task in CHECKED[1:]:
        assert found[task] == ("failure", said[task])
        assert f"\n{said[task]}\n" in ran.stdout
    assert said["tour.predict_x0"].count("\n") == 3  # the mistake is named
    assert "ValueError: not like this" in said["pds.dds_loss"]
    to_do = "tour.classifier_free_guidance is still to do: notebooks/00_tour/00_tour.ipynb, task 3."
    assert found["tour.classifier_free_guidance"] == ("skipped", to_do)
    assert to_do in ran.stdout
    assert not [word for word in ("Traceback", "pytest_tasks", "check.py") if word in ran.stdout]


def test_a_module_that_does_not_load_is_one_failure_with_the_line(course: Path) -> None:
    ran = python(course, "-m", "pytest", "guidance/sds.py", "guidance/vsd.py", "--junitxml=r.xml")
    assert ran.returncode == 1
    found = results_in(course / "r.xml")
    assert [name for name, its in found.items() if its[0] == "failure"] == [
        "sds.sample_timesteps",
        "vsd.vsd_grad",
    ]
    assert found["sds.sds_grad"] == (
        "skipped",
        "guidance/sds.py cannot be loaded; sample_timesteps says why.",
    )
    assert found["sds.sample_timesteps"][1].endswith("\n  in the line: import torhc")
    assert found["vsd.vsd_grad"][1].endswith("\n  in the line: def broken(:")
    assert "error" not in ran.stdout.splitlines()[-1]


def test_one_task_is_chosen_by_its_name_and_the_last_failure_again(course: Path) -> None:
    ran = python(course, "-m", "pytest", "guidance", "-k", "sds_grad or predict_x0", "-q")
    assert "2 failed, 40 deselected" in ran.stdout
    assert "in the line: import torhc" in ran.stdout  # the other test of the module is not run
    again = python(course / "guidance", "-m", "pytest", "--lf", "-x", "-q")
    assert again.stdout.splitlines()[-1].startswith("1 failed")


def test_a_right_answer_that_only_the_file_holds_is_named_at_the_end(course: Path) -> None:
    notebook = course / "notebooks" / "00_tour" / "00_tour.ipynb"
    notebook.parent.mkdir(parents=True)
    for code, said in (("x = 1", 0), ("def add_noise(): ...", 1), (ANSWERS["tour.add_noise"], 0)):
        source = f"%%todo tour.add_noise\n{dedent(code)}"
        if code == "x = 1":
            source = code  # no cell can be asked
        notebook.write_text(json.dumps({"cells": [{"cell_type": "code", "source": [source]}]}))
        ran = python(course, "-m", "pytest", "guidance/tour.py", "-q")
        assert "1 failed, 1 passed, 1 skipped" in ran.stdout
        assert (
            ran.stdout.count("are graded. As last saved they do not hold tour.add_noise:") == said
        )
    notebook.unlink()


def test_workers_share_the_tasks(course: Path) -> None:
    pytest.importorskip("xdist")
    ran = python(course, "-m", "pytest", "guidance/tour.py", "-n", "2")
    assert "1 failed, 1 passed, 1 skipped" in ran.stdout


def test_an_editor_finds_each_function_and_runs_it_from_elsewhere(
    course: Path, tmp_path: Path
) -> None:
    (tmp_path / "editor.py").write_text(EDITOR)
    (tmp_path / "elsewhere").mkdir()
    environment = {"FOUND": str(tmp_path / "found.json"), "PYTHONPATH": str(tmp_path)}
    words = ("-m", "pytest", "-p", "editor", f"--rootdir={course}")
    ran = python(course, *words, "--collect-only", ".", **environment)
    assert ran.returncode == 0, ran.stdout
    found = json.loads((tmp_path / "found.json").read_text())
    assert len(found) == 42
    for file, line, name in found.values():
        assert Path(file).read_text("utf-8").splitlines()[line - 1].startswith(f"def {name}(")
    (right,) = [one for one in found if one.endswith("tour.py::add_noise")]
    ran = python(tmp_path / "elsewhere", *words, right, **environment)
    assert "1 passed" in ran.stdout, ran.stdout


def test_the_projects_own_tests_leave_the_stubs_alone() -> None:
    settings = (ROOT / "pyproject.toml").read_text("utf-8")
    assert 'testpaths = ["tests"]' in settings
    ran = python(ROOT, "-m", "pytest", "guidance", "-k", "sds_grad", "--collect-only", "-q")
    assert ran.stdout.splitlines()[0] == "guidance/sds.py::sds_grad"
