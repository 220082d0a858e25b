"""What a check says in a real kernel where the notebook's cell does not hold what it looks at."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from grading.authoring.build import ROOT
from grading.authoring.make_stubs import BEGIN, END, function_text
from grading.stages import STAGES

PATIENCE = 600  # seconds for one cell; only a kernel that hangs takes so long
TOUR = STAGES[0]
TASK = "tour.add_noise"
STUBS = (ROOT / "guidance" / "tour.py").read_text("utf-8")
REFERENCE = (ROOT / "reference" / "tour.py").read_text("utf-8")
STUB = f"%%todo {TASK}\n{function_text(STUBS, 'add_noise')}"
RIGHT = "\n".join(
    line
    for line in function_text(REFERENCE, "add_noise").split("\n")
    if line.strip() not in (BEGIN, END)
)
WRONG = "def add_noise(x0, eps, alpha_bar):\n    return x0 + eps\n"
CELL = f"%%todo {TASK}\n{RIGHT}\n"
CHECK = f"check('{TASK}')"
SAID_RIGHT = "tour.add_noise: right.\n"
GRADED = "Only the cells are graded"


class Student:
    """Somebody with a kernel, a notebook's file and an editor."""

    def __init__(self, root: Path, client: NotebookClient) -> None:
        self.root, self.client = root, client
        self.reply: dict[str, Any] = {}  # of the kernel to the last cell
        client.on_cell_executed = self._keep
        self.module = root / "guidance" / "tour.py"
        self.notebook = root / TOUR.notebook

    def _keep(self, *, execute_reply: dict[str, Any], **_: object) -> None:
        self.reply = execute_reply

    def runs(self, source: str) -> str:
        """Everything that a cell shows."""
        cell = nbformat.v4.new_code_cell(source)
        self.client.nb.cells = [cell]
        with contextlib.suppress(CellExecutionError):
            self.client.execute_cell(cell, 0)
        texts = [out.get("text") or "\n".join(out.get("traceback", [])) for out in cell.outputs]
        return "".join(texts)

    def writes(self, text: str) -> None:
        """Save the module in an editor."""
        self.module.write_text(text, "utf-8")

    def begins(self, *cells: str) -> None:
        """Start anew, with a notebook of these cells and a module of stubs."""
        self.writes(STUBS)
        notebook = nbformat.v4.new_notebook(cells=list(map(nbformat.v4.new_code_cell, cells)))
        self.notebook.write_text(json.dumps(notebook), "utf-8")
        first = (
            "%reload_ext distillery.todo\nfrom distillery import check\nfrom guidance import tour"
        )
        assert self.runs(first) == ""


@pytest.fixture(scope="module")
def with_kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Student]:
    root = tmp_path_factory.mktemp("course")
    shutil.copytree(ROOT / "guidance", root / "guidance", ignore=shutil.ignore_patterns("*.pyc"))
    for name in ("distillery", "data"):
        (root / name).symlink_to(ROOT / name)
    folder = root / TOUR.notebook.parent
    folder.mkdir(parents=True)
    resources = {"metadata": {"path": folder}}
    client = NotebookClient(nbformat.v4.new_notebook(), timeout=PATIENCE, resources=resources)
    with client.setup_kernel():
        yield Student(root, client)


@pytest.fixture
def student(with_kernel: Student) -> Student:
    with_kernel.begins(STUB)
    return with_kernel


def test_a_saved_cell_is_checked_without_a_word(student):
    assert student.runs(CELL) == "guidance/tour.py now holds this add_noise.\n"
    assert student.runs(CHECK) == SAID_RIGHT


def test_an_answer_that_only_the_file_holds_is_said_to_be_so(student):
    student.writes(STUBS.replace(function_text(STUBS, "add_noise"), RIGHT))
    said = student.runs(CHECK)
    assert said.startswith(
        "guidance/tour.py holds an answer to tour.add_noise, and your notebook's"
    )
    assert GRADED in said
    assert said.endswith(SAID_RIGHT)
    assert GRADED in student.runs(STUB)
    assert RIGHT in student.module.read_text("utf-8")
    assert GRADED in student.runs(CHECK)
    student.runs(CELL)
    assert student.runs(CHECK) == SAID_RIGHT


def test_the_answer_of_the_file_is_loaded_into_its_cell(student):
    student.writes(STUBS.replace(function_text(STUBS, "add_noise"), f"import math\n\n\n{RIGHT}"))
    assert "run it again" in student.runs(f"%load_todo {TASK}")
    (payload,) = student.reply["content"]["payload"]
    assert (payload["source"], payload["replace"]) == ("set_next_input", True)
    assert payload["text"] == f"%%todo {TASK}\n{RIGHT}"
    student.runs(payload["text"])
    assert student.runs(CHECK) == SAID_RIGHT


def test_a_loaded_cell_has_its_imports_and_says_which_helpers_to_move(student):
    body = "def add_noise(x0, eps, alpha_bar):\n    return half(x0) + math.pi * eps + add_noise.x"
    helpers = "import math\nimport os\n\n\ndef half(x):\n    return x / 2\n\n\n"
    student.writes(STUBS.replace(function_text(STUBS, "add_noise"), helpers + body))
    assert "Move half from guidance/ into it first" in student.runs(f"%load_todo {TASK}")
    (payload,) = student.reply["content"]["payload"]
    assert payload["text"] == f"%%todo {TASK}\nimport math\n\n\n{body}"


def test_a_cell_with_something_in_it_is_not_replaced(student):
    assert "put %load_todo tour.add_noise into a cell alone" in student.runs(
        f"%load_todo {TASK}\n{RIGHT}"
    )
    assert student.reply["content"]["payload"] == []


def test_a_notebooks_file_that_holds_the_answer_needs_no_run(student):
    student.begins("x = 1", CELL)
    student.writes(STUBS.replace(function_text(STUBS, "add_noise"), RIGHT))
    assert student.runs(CHECK) == SAID_RIGHT
    student.begins(CELL.replace("eps", "eps * 2"))
    student.writes(STUBS.replace(function_text(STUBS, "add_noise"), RIGHT))
    assert student.runs(CHECK).startswith("guidance/tour.py holds another add_noise")


def test_where_no_file_can_be_asked_the_cell_is_to_be_run(student):
    student.notebook.unlink()
    assert "is still to do" in student.runs(CHECK)
    student.writes(STUBS.replace(function_text(STUBS, "add_noise"), RIGHT))
    said = student.runs(CHECK)
    assert said.startswith("The cell of tour.add_noise has not been run here, and only the cell")
    assert said.endswith(SAID_RIGHT)


NOT_SAVED = {
    "a syntax error": (
        f"{CELL}    return (\n",
        "the cell is not Python (line {last}: '(' was never",
    ),
    "another stage's answer": (
        f"{CELL}\nfrom guidance.sds import sds_loss\n",
        "it imports guidance.sds, and only guidance.tour",
    ),
    "a statement": (
        f"{CELL}\nfor i in range(3):\n    pass\n",
        "is neither an import nor a definition",
    ),
    "a name that is missing": (f"{CELL}\nX = missing\n", "loading it stops with NameError"),
    "a deleted line": (WRONG, f"its cell does not begin with the line %%todo {TASK}."),
    "a deleted line, and no Python": (
        "def add_noise(:\n",
        f"its cell does not begin with the line %%todo {TASK}.",
    ),
    "a misspelt line": (
        CELL.replace("%%todo", "%%tood"),
        f"its cell does not begin with the line %%todo {TASK}.",
    ),
    "a line of one sign": (
        CELL.replace("%%todo", "%todo"),
        f"its cell does not begin with the line %%todo {TASK}.",
    ),
    "a line below code": ("x = 1\n" + CELL, "its cell does not begin with the line"),
    "an empty cell": (f"%%todo {TASK}\n", "its cell stopped with UsageError"),
    "another command of IPython": (f"{CELL}    %pdb\n", "%pdb, is a command to IPython inside"),
}


@pytest.mark.parametrize("case", NOT_SAVED)
def test_a_version_that_was_not_saved_is_not_taken_for_the_one_that_was(student, case):
    cell, why = NOT_SAVED[case]
    student.runs(CELL)
    shown = student.runs(cell)
    said = student.runs(CHECK)
    why = why.format(last=cell.count("\n"))
    assert said.startswith("Your last add_noise was not saved: ")
    assert why in said
    assert "What follows is about the one in guidance/tour.py." in said
    assert said.endswith(SAID_RIGHT)
    assert "Traceback" not in shown or "deleted" in case or "sign" in case or "code" in case
    student.runs(CELL)
    assert student.runs(CHECK) == SAID_RIGHT


def test_a_wrong_name_in_the_line_is_said_of_the_function_that_the_cell_defines(student):
    student.runs(CELL)
    assert "guidance/tour.py has no add_nose" in student.runs(CELL.replace(TASK, "tour.add_nose"))
    assert "Your last add_noise was not saved" in student.runs(CHECK)


def test_a_helper_of_the_same_name_in_another_cell_that_was_saved_is_nothing(student):
    student.runs(CELL.replace("def add_noise", "def sds_loss(x):\n    return x\n\n\ndef add_noise"))
    assert student.runs("check('sds.sds_loss')").startswith("sds.sds_loss is still to do")


def test_an_edit_after_the_save_is_seen(student):
    student.runs(CELL)
    saved = student.module.read_text("utf-8")
    student.writes(
        saved.replace("    return", "    # spaces and comments are no edit\n\n    return")
    )
    assert student.runs(CHECK) == SAID_RIGHT
    student.writes(saved.replace("return ", "return 2 * "))
    said = student.runs(CHECK)
    assert said.startswith("guidance/tour.py holds another add_noise than your notebook's cell.")
    assert "tour.add_noise: not yet." in said


@pytest.mark.parametrize(
    ("outside", "inside"),
    [
        ("import math", "math.sqrt(1) * "),
        ("def one():\n    return 1", "one() * "),
        ("ONE = 1", "ONE * "),
    ],
)
def test_what_only_the_file_has_is_missing_in_the_cell(student, outside, inside):
    student.writes(f"{STUBS}\n\n{outside}\n")
    cell = CELL.replace("return ", f"return {inside}")
    student.runs(cell)
    said = student.runs(CHECK)
    name = inside.split(".")[0].split("(")[0].split(" ")[0]
    assert said.startswith(f"The cell of add_noise uses {name}, which only guidance/tour.py has.")
    assert said.endswith(SAID_RIGHT)
    student.writes(STUBS)
    student.runs(cell.replace("\ndef", f"\n{outside}\ndef"))
    assert student.runs(CHECK) == SAID_RIGHT


def test_what_another_cell_defines_is_graded_with_it(student):
    body = "def predict_x0(xt, eps, alpha_bar):\n    return one() * xt\n"
    student.runs(f"%%todo tour.predict_x0\ndef one():\n    return 1\n\n\n{body}")
    student.runs(CELL.replace("return ", "return one() * "))
    assert student.runs(CHECK) == SAID_RIGHT


def test_every_cell_begins_with_the_files_as_they_are(student):
    student.runs("import guidance.tour\nbefore = tour\n" + CHECK)
    student.writes("def add_noise(x0, eps, alpha_bar):\n    return 1\n")
    assert student.runs("print(tour.add_noise(0, 0, 0), tour is before)") == "1 True\n"
    student.writes("def add_noise(x0, eps, alpha_bar):\n    return 2\n")  # as long, in one second
    assert student.runs("print(guidance.tour.add_noise(0, 0, 0))") == "2\n"


def test_a_name_that_is_gone_from_the_file_is_gone(student):
    student.runs(CELL)
    student.writes(student.module.read_text("utf-8").replace("def add_noise", "def add_nose"))
    assert student.runs(CHECK).startswith("guidance/tour.py holds no add_noise")
    assert "NameError" in student.runs("add_noise")
    assert "AttributeError" in student.runs("tour.add_noise")


def test_a_broken_file_is_said_once_and_cells_go_on(student):
    student.runs(CELL)
    student.writes("def broken(:\n")
    said = student.runs("print(tour.add_noise.__name__)")
    assert said.startswith("guidance/tour.py cannot be loaded (SyntaxError: invalid syntax")
    assert said.endswith("cells use it as it was before.\nadd_noise\n")
    assert student.runs("print(1)") == "1\n"
    assert student.runs(CHECK).startswith("tour.add_noise: it stops with an error.")


def test_what_is_no_part_of_the_answer_is_left_out_and_not_run(student):
    witness = student.root / "ran"
    body = f"!touch {witness}\n%%time\n{RIGHT}\n\nprint(add_noise)\n"
    lines = student.runs(f"%%todo {TASK}\n{body}").splitlines()
    assert lines[0] == "guidance/tour.py now holds this add_noise."
    assert [line.split(", is ")[0][:24] for line in lines[1:]] == [
        "Line 2 of the cell, !tou",
        "Line 3 of the cell, %%ti",
        f"Line {body.count(chr(10)) + 1} of the cell, pri"[:24],
    ]
    assert not witness.exists()
    assert student.runs(CHECK) == SAID_RIGHT


@pytest.mark.parametrize("above", ["# mine\n\n", "%%time\n", "%%time\n# mine\n"])
def test_lines_are_counted_as_the_editor_shows_them(student, above):
    assert "now holds this add_noise" in student.runs(above + CELL)
    shown = student.runs(f"{above}%%todo {TASK}\ndef add_noise(:\n")
    assert f"the cell is not Python (line {above.count(chr(10)) + 2}: invalid syntax)" in shown
