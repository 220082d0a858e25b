"""From a notebook's answers to the text of the student's module, and nothing of it is run."""

from __future__ import annotations

import ast
import warnings

import nbformat
import pytest
from nbformat import NotebookNode

from distillery.course.todo_cell import LONGEST
from grading.authoring.build import ROOT
from grading.authoring.make_stubs import BEGIN, END, function_text
from grading.judge.assemble_module import left_out, module_for, module_text, released_module
from grading.stages import STAGES
from grading.stages.stage import Stage

SDS = STAGES[1]
RIGHT = "def sds_loss(x0, grad):\n    return (x0 * grad).sum()"


def notebook_with(stage: Stage = SDS, **codes: str) -> NotebookNode:
    """The student's notebook with these codes in its TODO cells."""
    notebook = nbformat.read(ROOT / stage.notebook, as_version=4)
    for cell in notebook.cells:
        function = cell.metadata.get("nbgrader", {}).get("grade_id", "").removeprefix("sds-")
        if function in codes:
            cell.source = f"%%todo sds.{function}\n{codes[function]}"
    return notebook


def outcome_of(code: str) -> tuple[str, str]:
    """Outcome and sentence of a cell that does not get in, for sds_loss."""
    text, early = module_text(SDS, notebook_with(sds_loss=code))
    assert text == released_module(SDS)
    (line,) = early["sds_loss"].lines
    return early["sds_loss"].outcome, line


@pytest.mark.parametrize("stage", STAGES)
def test_a_notebook_as_released_is_all_to_do(stage):
    notebook = nbformat.read(ROOT / stage.notebook, as_version=4)
    text, early = module_text(stage, notebook)
    assert text == (ROOT / "guidance" / f"{stage.module}.py").read_text("utf-8")
    assert {name: verdict.outcome for name, verdict in early.items()} == dict.fromkeys(
        stage.points, "to do"
    )
    for name, verdict in early.items():
        assert verdict.task == f"{stage.module}.{name}"
        assert (verdict.points, verdict.worth) == (0, stage.points[name])
        assert verdict.lines == (stage.sentence(name),)


def test_answers_stand_in_the_module_between_the_marks_of_their_cells():
    codes = {}
    reference = (ROOT / "reference" / "sds.py").read_text("utf-8")
    for function in SDS.points:
        lines = function_text(reference, function).split("\n")
        codes[function] = "\n".join(li for li in lines if li.strip() not in (BEGIN, END))
    text, early = module_text(SDS, notebook_with(**codes))
    assert early == {}
    assert "still to do" not in text
    for function, code in codes.items():
        assert f"saved by its notebook cell\n{code}\n# <<< sds.{function}\n" in text
    assert text.index("def loss(") > text.index("def sds_loss(")


def test_an_answer_brings_its_imports_constants_and_helpers():
    code = f'"""Mine."""\nimport math\nHALF = 0.5\n\ndef half(x):\n    return HALF * x\n\n{RIGHT}'
    text, early = module_text(SDS, notebook_with(sds_loss=code))
    assert "sds_loss" not in early
    assert code in text


def test_comments_and_spaces_alone_are_still_to_do():
    (cell,) = (c for c in notebook_with().cells if c.source.startswith("%%todo sds.sds_loss"))
    stub = cell.source.split("\n", 1)[1]
    assert outcome_of(stub.replace("# your code here", "# what now?\n\n"))[0] == "to do"
    assert outcome_of("")[0] == "to do"
    assert outcome_of("   \n\n")[0] == "to do"
    assert outcome_of("# nothing")[0] == "refused"


def test_the_docstring_may_go():
    text, early = module_text(SDS, notebook_with(sds_loss=RIGHT))
    assert "sds_loss" not in early
    assert RIGHT in text


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("def sds_loss(x0, grad):\n    return (", "line 3: '(' was never closed"),
        ("def sds_loss(x0, grad):\nreturn 1", "line 3: expected an indented block"),
        ("%matplotlib inline\ndef sds_loss(:", "line 3: invalid syntax"),
        (RIGHT + "\n    x = 'a\0b'", "null bytes"),
        (RIGHT + "\n    x = " + "(" * 5000 + ")" * 5000, "too many nested parentheses"),
    ],
)
def test_what_is_not_python_is_stopped_with_its_line(code, says):
    outcome, line = outcome_of(code)
    assert outcome == "stopped"
    assert line.startswith("the cell is not Python (")
    assert says in line


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("x = 1", "must define sds_loss, once"),
        (f"{RIGHT}\n\n{RIGHT}", "must define sds_loss, once"),
        ("def sds_grad(): ...", "must define sds_loss, once"),
        (f"class A:\n    {RIGHT.splitlines()[0]} ...", "must define sds_loss, once"),
        (f"{RIGHT}\n\nseed(1)", "line 5 of the cell is neither an import nor a definition"),
        (f"import os\nos.abort()\n{RIGHT}", "line 3 of the cell is neither"),
        (f"files = !ls\n{RIGHT} * len(files)", "line 2 of the cell gives files its value"),
        (f"def loss(x):\n    return x\n\n{RIGHT}", "would define loss twice"),
        (f"{RIGHT}\n# {'x' * LONGEST}", f"longer than {LONGEST} characters"),
        (f"{RIGHT}\n    y = {'-' * 50_000}1", "nested too deeply"),
        (f"{RIGHT}\n    y = {'+'.join('1' * 40_000)}", "nested too deeply"),
    ],
)
def test_what_such_a_cell_may_not_hold_is_refused(code, says):
    outcome, line = outcome_of(code)
    assert outcome == "refused"
    assert says in line
    assert "was not saved" not in line


def test_what_is_no_part_of_the_answer_is_left_out_and_told():
    notebook = notebook_with(sds_loss=f"%matplotlib inline\n{RIGHT}\n\nprint(sds_loss)")
    text, early = module_text(SDS, notebook)
    assert "sds_loss" not in early
    block = f"# %matplotlib inline\n{RIGHT}\n\n# print(sds_loss)\n# <<< sds.sds_loss\n"
    assert block in text
    assert block in module_for(SDS, notebook, "sds_loss")
    assert [line.split(", ")[:2] for line in left_out(SDS, notebook, "sds_loss")] == [
        ["Line 2 of the cell", "%matplotlib inline"],
        ["Line 6 of the cell", "print(sds_loss)"],
    ]
    assert left_out(SDS, notebook, "sds_grad") == ()


def test_a_helper_of_two_cells_is_refused_in_the_second():
    helper = "def helper(x):\n    return x\n\n"
    codes = {
        "sds_grad": helper + "def sds_grad(*args):\n    return helper(args[1])",
        "sds_loss": helper + RIGHT,
    }
    text, early = module_text(SDS, notebook_with(**codes))
    assert early["sds_loss"].outcome == "refused"
    assert "would define helper twice" in early["sds_loss"].lines[0]
    assert "sds_grad" not in early
    assert text.count("def helper") == 1


def test_the_marks_of_another_cell_cannot_remove_it():
    begin = "# >>> sds.sds_loss: this part is saved by its notebook cell"
    codes = {
        "sds_grad": f"{begin}\ndef sds_grad(*args):\n    return args[1]\n# <<< sds.sds_loss",
        "sds_loss": RIGHT,
    }
    text, early = module_text(SDS, notebook_with(**codes))
    assert list(early) == ["sample_timesteps"]
    names = [node.name for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)]
    assert names == [*SDS.points, "loss"]


def test_nothing_is_run_and_nothing_is_warned_of(tmp_path):
    witness = tmp_path / "ran"
    code = f"ran = open({str(witness)!r}, 'w')\n{RIGHT}\n    pattern = '\\d'"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        text, early = module_text(SDS, notebook_with(sds_loss=code))
    assert code in text
    assert "sds_loss" not in early
    assert not witness.exists()


def test_of_several_cells_the_one_that_nbgrader_knows_counts():
    notebook = notebook_with(sds_loss=RIGHT)
    notebook.cells.append(nbformat.v4.new_code_cell("%%todo sds.sds_loss\nnot python"))
    text, early = module_text(SDS, notebook)
    assert RIGHT in text
    assert "sds_loss" not in early
