"""Put the answers of a repaired notebook into the text of a module, without running them."""

from __future__ import annotations

import ast
import re
import warnings
from contextlib import suppress
from functools import lru_cache
from typing import Any

from distillery.core.errors import CourseError
from distillery.course.todo_magic import check_cell, replaced
from grading.authoring.build import ROOT
from grading.authoring.make_stubs import function_text, stub, stub_module
from grading.core.notebook_cells import code_below, grade_id_of, task_named, todo_id
from grading.core.parse_code import parsed
from grading.core.records import Outcome, Verdict
from grading.stages.stage import Stage

LONGEST = 100_000  # characters of one answer
MARK = re.compile(r"^# (>>>|<<<) \w+\.\w+.*$", re.MULTILINE)  # around a saved cell


class _NotPutInError(Exception):
    """An answer stays out of the module."""

    def __init__(self, outcome: Outcome, sentence: str) -> None:
        super().__init__(sentence)
        self.outcome = outcome


def module_text(stage: Stage, notebook: Any) -> tuple[str, dict[str, Verdict]]:
    """guidance/<module>.py with a notebook's answers, and the verdicts that need no run.

    The rest of the file is that of the released stub, whatever the student's own copy says. Where
    an answer cannot be put in, the stub stays.

    Args:
        notebook: repaired, of format 4.

    Returns:
        The text, and function -> verdict of those that are "to do", "stopped" (not Python) or
        "refused" (not what a cell of this kind may hold).
    """
    text, early = released_module(stage), {}
    for function, worth in stage.points.items():
        task = f"{stage.module}.{function}"
        try:
            text = _with_answer(text, stage, function, _answer(stage, function, notebook))
        except _NotPutInError as error:
            early[function] = Verdict(task, 0.0, worth, error.outcome, (str(error),))
    return text, early


def module_for(stage: Stage, notebook: Any, function: str) -> str:
    """The same text with only the answers that a function needs.

    Code at the top level of a cell runs when the module is loaded. With all answers, one cell that
    never ends, or kills its process, would fail every task. Only plain names are followed.
    """
    answers = {name: _answer(stage, name, notebook) for name in stage.points}
    text = released_module(stage)
    needed = _needed(function, answers, _names(text)[0] - set(stage.points))
    for name in stage.points:
        if name in needed:
            # `module_text` reports which answers cannot be put in, and why.
            with suppress(_NotPutInError):
                text = _with_answer(text, stage, name, answers[name])
    return text


def _needed(function: str, answers: dict[str, str], there: set[str]) -> set[str]:
    """This function and those whose cells define names that its cell uses.

    there: names that the module defines without any answer.
    """
    names = {name: _names(answer) for name, answer in answers.items()}
    needed, grown = {function}, True
    while grown:
        lacking = set().union(*(names[n][1] for n in needed)) - there
        lacking -= set().union(*(names[n][0] for n in needed))
        more = {name for name in answers if names[name][0] & lacking}
        grown, needed = not more <= needed, needed | more
    return needed


def _names(code: str) -> tuple[set[str], set[str]]:
    """The names that a cell defines at its top level, and every name in it."""
    tree = parsed(code)
    defined = {getattr(node, "name", "") for node in tree.body}
    for statement in tree.body:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            aliases = statement.names
            defined |= {(alias.asname or alias.name).partition(".")[0] for alias in aliases}
        if isinstance(statement, ast.Assign | ast.AnnAssign):
            inside = ast.walk(statement)
            defined |= {
                node.id
                for node in inside
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
            }
    return defined - {""}, {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


@lru_cache
def _reference(module: str) -> str:
    return (ROOT / "reference" / f"{module}.py").read_text("utf-8")


def released_module(stage: Stage) -> str:
    """The module as students get it, every answer a stub."""
    return stub_module(_reference(stage.module), stage.sentence)


def _answer(stage: Stage, function: str, notebook: Any) -> str:
    """The code of the cell that answers a function; "" where there is none."""
    task = f"{stage.module}.{function}"
    by_id, by_line = "", ""
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code" and task_named(cell["source"]) == task:
            by_line = code_below(cell["source"])
            if grade_id_of(cell) == todo_id(task):
                by_id = by_line
    return by_id or by_line


def _with_answer(text: str, stage: Stage, function: str, cell: str) -> str:
    """The module's text with one more answer.

    Raises:
        _NotPutInError: the answer cannot be put in.
    """
    task = f"{stage.module}.{function}"
    # Where a student copied such a line from the file, two answers would be saved as one.
    cell = MARK.sub("#", cell)
    if len(cell) > LONGEST:
        raise _NotPutInError("refused", f"the cell is longer than {LONGEST} characters.")
    if not cell.strip():
        raise _NotPutInError("to do", stage.sentence(function))
    try:
        with warnings.catch_warnings():
            # Such as a warning of an invalid escape in a string.
            warnings.simplefilter("ignore")
            if _is_stub(stage, function, cell):
                raise _NotPutInError("to do", stage.sentence(function))
            check_cell(task, function, cell)
            changed = replaced(text, task, cell)
    except CourseError as error:
        sentence = str(error).removeprefix(f"{task} was not saved: ")
        raise _NotPutInError("refused", sentence) from None
    except SyntaxError as error:
        sentence = f"the cell is not Python (line {error.lineno}: {error.msg})."
        raise _NotPutInError("stopped", sentence) from None
    except (RecursionError, MemoryError):
        raise _NotPutInError("refused", "the cell is nested too deeply to be read.") from None
    except ValueError as error:
        raise _NotPutInError("stopped", f"the cell is not Python ({error}).") from None
    return changed


def _is_stub(stage: Stage, function: str, cell: str) -> bool:
    """Whether a cell is as released, apart from comments and spaces."""
    released = stub(function_text(_reference(stage.module), function), stage.sentence(function))
    return ast.dump(ast.parse(cell)) == ast.dump(ast.parse(released))
