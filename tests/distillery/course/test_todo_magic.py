"""A `%%todo` cell becomes a part of the student's module, and of nothing else."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell

from distillery.core.errors import CourseError
from distillery.course.student_files import course_root, student_module
from distillery.course.todo_magic import replaced, save

ROOT = Path(__file__).resolve().parents[3]
TASK = "tour.add_noise"
CELL = "def add_noise(x0, eps, alpha_bar):\n    return x0 + {}\n"


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A course folder, with the working directory in one of its notebooks' folders."""
    shutil.copytree(ROOT / "guidance", tmp_path / "guidance")
    shutil.copytree(ROOT / "data" / "checks", tmp_path / "data" / "checks")
    (tmp_path / "distillery").mkdir()
    (tmp_path / "notebooks" / "00_tour").mkdir(parents=True)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path / "notebooks" / "00_tour")
    yield tmp_path
    for name in [name for name in sys.modules if name.split(".")[0] == "guidance"]:
        del sys.modules[name]


def test_the_course_is_found_from_a_notebooks_folder(course):
    assert course_root() == course


def test_the_function_is_saved_and_loaded(course):
    module = save(TASK, CELL.format("eps"))
    assert module.add_noise(1, 2, None) == 3
    assert student_module("tour").add_noise(1, 2, None) == 3


def test_another_process_sees_the_last_of_two_quick_saves_of_one_size(course):
    command = [sys.executable, "-c", "import guidance.tour as t; print(t.add_noise(1, 2, 9))"]
    answers = []
    for name in ("1e0", "2e0"):
        save(TASK, CELL.format(name))
        answers.append(subprocess.check_output(command, cwd=course, text=True).strip())
    assert answers == ["2.0", "3.0"]


def test_the_rest_of_the_file_stays_byte_for_byte(course):
    path = course / "guidance" / "tour.py"
    before = path.read_bytes()
    head, tail = before.split(b"def add_noise")[0], before[before.index(b"def predict_x0") :]
    save(TASK, CELL.format("eps"))
    after = path.read_bytes()
    assert after.startswith(head)
    assert after.endswith(tail)


def test_saving_again_replaces_helpers_imports_and_decorators(course):
    cell = "import math\n\ndef half(x):\n    return x / 2\n\n" + CELL.format("half(eps) * math.pi")
    save(TASK, cell)
    first = (course / "guidance" / "tour.py").read_text()
    save(TASK, cell)
    assert (course / "guidance" / "tour.py").read_text() == first
    save(TASK, "import torch\n\n\n@torch.no_grad()\n" + CELL.format("eps"))
    save(TASK, CELL.format("eps"))
    text = (course / "guidance" / "tour.py").read_text()
    assert "half" not in text
    assert "math" not in text
    assert "no_grad" not in text
    assert text.count("def add_noise") == 1


def test_two_cells_of_one_stage_do_not_disturb_each_other(course):
    save(TASK, CELL.format("eps"))
    save("tour.predict_x0", "def predict_x0(xt, eps, alpha_bar):\n    return xt - eps\n")
    module = save(TASK, CELL.format("2 * eps"))
    assert module.add_noise(1, 2, None) == 5
    assert module.predict_x0(1, 2, None) == -1


def test_a_deleted_function_is_put_back(course):
    path = course / "guidance" / "tour.py"
    path.write_text("import torch\n")
    assert save(TASK, CELL.format("eps")).add_noise(1, 2, None) == 3
    assert path.read_text().startswith("import torch\n")


def test_windows_line_ends_are_kept():
    text = 'def add_noise(x0):\r\n    """Doc."""\r\n\r\n\r\nSIZE = 3\r\n'
    changed = replaced(text, TASK, CELL.format("eps"))
    assert changed.endswith("\r\n\r\n\r\nSIZE = 3\r\n")
    assert "\n" not in changed.replace("\r\n", "")


REFUSED = {
    "not Python": ("def add_noise(x0:\n", "line 1"),
    "another function": ("def add_nose(x0, eps, alpha_bar):\n    pass\n", "must define add_noise"),
    "no function": ("add_noise = 3\n", "must define add_noise"),
    "twice": (CELL.format(1) + CELL.format(2), "once"),
    "something to run": (CELL.format("eps") + "seed(3)\n", "line 3"),
    "a magic inside": (CELL.format("eps") + "    %pdb\n", "line 3 of the cell, %pdb, is a command"),
    "Python that ends": (CELL.format("eps") + "x = exit()\n", "loading it stops with SystemExit"),
    "a package that is not there": ("import no_such_package\n" + CELL.format(1), "no_such_package"),
    "another stage": ("from guidance.sds import sds_loss\n" + CELL.format(1), r"guidance\.sds"),
    "another stage by its name": ("from . import sds as s\n" + CELL.format(1), r"guidance\.sds"),
    "another stage inside": (
        CELL.format(1) + "    import guidance.vsd\n",
        r"imports guidance\.vsd, and only guidance\.tour is handed in",
    ),
    "a helper that is another task": (
        "def predict_x0():\n    pass\n\n" + CELL.format("eps"),
        "predict_x0 twice",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_cell_that_cannot_be_used_leaves_the_file_alone(course, case):
    cell, expected = REFUSED[case]
    before = (course / "guidance" / "tour.py").read_bytes()
    with pytest.raises(CourseError, match=expected):
        save(TASK, cell)
    assert (course / "guidance" / "tour.py").read_bytes() == before


@pytest.mark.parametrize("task", ["tour", "tour.nothing", "nowhere.add_noise", ""])
def test_an_unknown_task_is_refused(course, task):
    name = task.partition(".")[2] or "add_noise"
    with pytest.raises(CourseError):
        save(task, f"def {name}():\n    pass\n")


def test_a_broken_file_is_not_made_worse(course):
    path = course / "guidance" / "tour.py"
    path.write_text("def broken(:\n")
    with pytest.raises(CourseError, match=r"guidance/tour\.py is not Python"):
        save(TASK, CELL.format("eps"))
    assert path.read_text() == "def broken(:\n"


def test_the_magic_binds_the_function_and_says_so(course, capsys):
    shell = InteractiveShell()
    shell.run_line_magic("load_ext", "distillery.todo")
    for name in ("eps", "2 * eps"):
        assert shell.run_cell(f"%%todo {TASK}\n" + CELL.format(name)).success
    assert shell.user_ns["add_noise"](1, 2, None) == 5
    assert capsys.readouterr().out.splitlines()[-1] == "guidance/tour.py now holds this add_noise."


def test_the_magic_refuses_in_one_line(course, capsys):
    shell = InteractiveShell()
    shell.run_line_magic("load_ext", "distillery.todo")
    assert not shell.run_cell(f"%%todo {TASK}\nx = 1\n").success
    message = "".join(capsys.readouterr())
    assert "must define add_noise" in message
    assert "Traceback" not in message


SENTENCE = "tour.add_noise is still to do: notebooks/00_tour/00_tour.ipynb, task 1."


@pytest.mark.parametrize(
    ("raising", "shown", "traceback"),
    [
        (f"NotImplementedError({SENTENCE!r})", SENTENCE, False),
        ("CourseError('the canvas is too small.')", "the canvas is too small.", False),
        ("NotImplementedError('an operator')", "an operator", True),
        ("ValueError('wrong')", "wrong", True),
    ],
)
def test_what_is_meant_for_the_reader_comes_without_a_traceback(
    course, capsys, raising, shown, traceback
):
    shell = InteractiveShell()
    shell.run_line_magic("load_ext", "distillery.todo")
    cell = f"from distillery.core.errors import CourseError\nraise {raising}"
    assert not shell.run_cell(cell).success
    out = capsys.readouterr().out
    assert shown in out
    assert ("Traceback" in out) == traceback
    assert traceback or out.strip() == shown


def test_the_extension_makes_the_courses_own_guidance_importable(course):
    shell = InteractiveShell()
    shell.run_line_magic("load_ext", "distillery.todo")
    assert shell.run_cell("from guidance import tour; where = tour.__file__").success
    assert Path(shell.user_ns["where"]) == course / "guidance" / "tour.py"


def test_a_name_that_is_not_imported_is_not_taken_for_a_command_that_waits(course):
    shell = InteractiveShell()
    shell.alias_manager.define_alias("cat", "cat")
    assert shell.transform_cell("cat").startswith("get_ipython()")
    shell.run_line_magic("load_ext", "distillery.todo")
    assert shell.transform_cell("cat") == "cat\n"
    assert isinstance(shell.run_cell("cat").error_in_exec, NameError)
