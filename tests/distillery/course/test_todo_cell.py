"""A TODO cell is read by one rule: what belongs to the answer, and what is refused."""

from __future__ import annotations

import pytest

from distillery.core.errors import CourseError
from distillery.course import todo_cell as cells
from distillery.course.todo_cell import Answer, NotPythonError, read_answer

TASK = "sds.sds_grad"
CODE = "def sds_grad():\n    return 1\n"
LINE = f"%%todo {TASK}\n"


@pytest.mark.parametrize("above", ["", "# mine\n", "\n", "%%time\n", "# a\n\n%%capture x\n"])
def test_a_todo_line_is_found_below_comments_and_timing(above):
    source = f"{above}  %%todo {TASK} \n{CODE}"
    assert cells.task_named(source) == TASK
    assert cells.answer_in(source) == CODE
    assert cells.code_below(source) == above.replace("%%", "# %%") + CODE


@pytest.mark.parametrize("source", [CODE, "", "x = 1\n%%todo sds.sds_grad\n", "%%todo sds\n"])
def test_a_cell_without_a_todo_line_names_no_task_and_stays_as_it_is(source):
    assert cells.task_named(source) is None
    assert cells.answer_in(source) == cells.code_below(source) == source


def test_a_todo_line_alone_has_no_code():
    assert cells.task_named(f"%%todo {TASK}") == TASK
    assert cells.code_below(f"%%todo {TASK}") == ""


def read(body: str, line: str = LINE) -> Answer:
    return read_answer(TASK, line + body)


def quoted(answer: Answer) -> list[str]:
    """The lines that a reader is told of: "2, !pip install x"."""
    return [one.removeprefix("Line ").split(", is ")[0] for one in answer.left_out]


COMMANDS = {
    "a magic": ("%matplotlib inline\n", ["2 of the cell, %matplotlib inline"]),
    "a shell command": ("!pip install x\n", ["2 of the cell, !pip install x"]),
    "on two lines": ("!pip install \\\n    x\n", ["2 of the cell, !pip install \\"]),
    "help": ("?print\nprint??\n", ["2 of the cell, ?print", "3 of the cell, print??"]),
    "a value that nobody uses": ("files = !ls\n", ["2 of the cell, files = !ls"]),
    "timing": ("%%time\n", ["2 of the cell, %%time"]),
}


@pytest.mark.parametrize("case", COMMANDS)
def test_a_command_to_ipython_is_left_out_and_the_rest_keeps_its_lines(case):
    above, lines = COMMANDS[case]
    for body in (above + CODE, CODE + above):
        answer = read(body)
        assert compiled(answer)["sds_grad"]() == 1
        assert answer.code.count("\n") == body.count("\n")
        assert [one.split(", ")[1] for one in quoted(answer)] == [
            one.split(", ")[1] for one in lines
        ]
    assert quoted(read(above + CODE)) == lines
    assert "a command to IPython: it is not run and not graded." in answer.left_out[0]


def compiled(answer: Answer) -> dict:
    names: dict = {"__name__": "guidance.sds"}
    exec(answer.code, names)
    return names


TRIALS = [
    "print(sds_grad())",
    "sds_grad()",
    "sds_grad().sum()",
    "x",
    "check('sds.sds_grad')",
    "display(\n    sds_grad(),\n)",
    "assert sds_grad() == 1, 'no'",
    "if __name__ == '__main__':\n    print(1)",
]


@pytest.mark.parametrize("trial", TRIALS)
def test_a_statement_that_only_tries_the_function_out_is_left_out(trial):
    answer = read(f"SCALE = 2\n{CODE}{trial}\nOTHER = 3\n")
    assert compiled(answer)["sds_grad"]() == 1
    assert compiled(answer)["OTHER"] == 3
    first = trial.split("\n")[0]
    assert quoted(answer) == [f"5 of the cell, {first}"]
    assert "is no part of the answer: it is not run and not graded." in answer.left_out[0]


@pytest.mark.parametrize(
    "statement",
    [
        "torch.manual_seed(0)",
        "torch.set_default_dtype(torch.float64)",
        "CACHE.append(sds_grad())",
        "print(CACHE.append(3))",
        "assert CACHE.pop()",
        "print(x := 3)",
        "for i in range(3):\n    sds_grad()",
        "if True:\n    SCALE = 3",
        "SCALE += 1",
        "del SCALE",
        "y = 1; print(y)",
        "if __name__ == '__main__':\n    print(1)\nelse:\n    SCALE = 3",
        "with torch.no_grad():\n    sds_grad()",
    ],
)
def test_what_may_change_the_function_is_refused_with_its_line(statement):
    body = f"CACHE = []\nSCALE = 2\ndef sds_grad():\n    return SCALE + len(CACHE)\n{statement}\n"
    with pytest.raises(CourseError, match=r"^line 6 of the cell is neither an import nor a"):
        read(body)


REFUSED = {
    "inside a function": (
        "def sds_grad():\n    %time x = 1\n    return x\n",
        "line 3 of the cell, %time x = 1, is a command to IPython inside a definition",
    ),
    "first in a function": ("def sds_grad():\n    !ls\n    return 1\n", "line 3 of the cell, !ls,"),
    "a value that is used": (
        f"files = !ls\n{CODE}    print(files)\n",
        "line 2 of the cell gives files its value by a command",
    ),
    "a timed value that is used": (
        "%time x = 1\ndef sds_grad():\n    return x\n",
        "line 2 of the cell gives x its value by a command",
    ),
    "another kind of cell": (
        f"%%bash\nls\n{CODE}",
        "line 2 of the cell, %%bash, is the first line",
    ),
    "a second task": (
        f"{CODE}%%todo sds.sds_loss\ndef sds_loss():\n    pass\n",
        "line 4 of the cell, %%todo sds.sds_loss, is the first line of another cell",
    ),
    "too long": (CODE + "#" * cells.LONGEST, "longer than 100000 characters"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_a_module_cannot_hold_is_said_as_what_it_is(case):
    body, says = REFUSED[case]
    with pytest.raises(CourseError, match=says) as refusal:
        read(body)
    assert not isinstance(refusal.value, NotPythonError)


NOT_PYTHON = {
    "brackets": ("def sds_grad():\n    return (\n", LINE, "line 3: '\\(' was never closed"),
    "indentation": ("def sds_grad():\nreturn 1\n", LINE, "line 3: expected an indented"),
    "without the line": ("def sds_grad():\n    return (\n", "", "line 2: '\\('"),
    "below a comment": ("def sds_grad(:\n", f"# mine\n\n{LINE}", "line 4: invalid syntax"),
    "below a command": ("!ls\ndef sds_grad(:\n", LINE, "line 3: invalid syntax"),
    "for the compiler": ("def sds_grad():\n    break\n", LINE, "line 3: 'break' outside loop"),
    "a sign in a string": ('def sds_grad():\n    """a\n%b\n"""\n    return (\n', LINE, "line 6"),
    "a null byte": (f"{CODE}    x = 'a\0b'", LINE, "null bytes"),
}


@pytest.mark.parametrize("case", NOT_PYTHON)
def test_a_fault_in_python_has_the_line_that_the_editor_shows(case):
    body, line, says = NOT_PYTHON[case]
    with pytest.raises(NotPythonError, match=says):
        read(body, line)


def test_a_sign_in_a_string_or_in_brackets_is_no_command():
    body = 'TEXT = """\n%matplotlib inline\n!ls\nwhat?\n"""\nx = (7\n%4)\n' + CODE
    for more in ("", "!ls\n"):
        answer = read(body + more)
        assert compiled(answer)["TEXT"] == "\n%matplotlib inline\n!ls\nwhat?\n"
        assert compiled(answer)["x"] == 3
        assert len(answer.left_out) == bool(more)


def test_text_that_is_compared_with_others_is_python_where_it_can_be():
    assert cells.python_in(f"{LINE}!ls\n{CODE}") == f"# !ls\n{CODE}"
    inside = f"{CODE}    !ls\n"
    assert cells.python_in(LINE + inside) == inside


def test_a_long_cell_of_what_looks_like_commands_is_read_in_little_work(monkeypatch):
    parsed = []
    tree_of = cells.tree_of
    monkeypatch.setattr(cells, "tree_of", lambda code: parsed.append(len(code)) or tree_of(code))
    text = CODE + "    x = 1\n" * 9000 + "    y = (\n" + "%x\n" * 500
    with pytest.raises(NotPythonError, match="was never closed"):
        read(text)
    assert sum(parsed) < cells.MOST_PARSED + 3 * cells.LONGEST


def test_many_parts_that_are_left_out_are_not_all_told():
    assert len(read("!ls\n" * 4 + CODE).left_out) == 4
    answer = read("!ls\n" * 9 + CODE)
    assert len(answer.left_out) == 4
    assert answer.left_out[-1] == "The same goes for 6 other parts of the cell."


def test_marks_that_were_copied_from_the_file_are_no_marks():
    begin = f"# >>> {TASK}: this part is saved by its notebook cell"
    assert read(f"{begin}\n{CODE}# <<< {TASK}\n").code == f"#\n{CODE}#\n"


@pytest.mark.parametrize(
    ("code", "to_do"),
    [
        ("def f(x):\n    'Doc.'\n    raise NotImplementedError('f is still to do: task 1.')", True),
        ("def f(x):\n    x = 1\n    raise NotImplementedError('f is still to do: task 1.')", False),
        ("def f(x):\n    raise NotImplementedError('mine')", False),
        ("def g(x):\n    raise NotImplementedError('f is still to do: task 1.')", False),
        ("def f(x):\n    return x", False),
    ],
)
def test_a_stub_is_known(code, to_do):
    assert cells.is_to_do(code, "f") == to_do


@pytest.mark.parametrize(
    ("source", "hoisted"),
    [
        (f"# mine\n\n{LINE}{CODE}", f"{LINE}# mine\n\n{CODE}"),
        (f"%%time\n# mine\n{LINE}{CODE}", f"%%time\n{LINE}# mine\n{CODE}"),
        (LINE + CODE, LINE + CODE),
        (f"\n{LINE}{CODE}", f"\n{LINE}{CODE}"),
        (f"x = 1\n{LINE}{CODE}", f"x = 1\n{LINE}{CODE}"),
    ],
)
def test_the_line_is_moved_above_comments_for_ipython(source, hoisted):
    assert "".join(cells.line_first(source.splitlines(keepends=True))) == hoisted
