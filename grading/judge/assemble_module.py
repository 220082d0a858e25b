"""Put the answers of a repaired notebook into the text of a module, without running them."""

from __future__ import annotations

import ast
from contextlib import suppress
from functools import lru_cache
from typing import Any

from distillery.core.errors import CourseError
from distillery.course.saved_text import replaced
from distillery.course.todo_cell import Answer, NotPythonError, code_below, read_answer, task_named
from grading.authoring.build import ROOT
from grading.authoring.make_stubs import function_text, stub, stub_module
from grading.core.notebook_cells import grade_id_of, todo_id
from grading.core.parse_code import parsed
from grading.core.records import Outcome, Verdict
from grading.stages.stage import Stage


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
            answer = _answer(stage, function, notebook)
            text = _with_answer(text, task, answer)
        except _NotPutInError as error:
            early[function] = Verdict(task, 0.0, worth, error.outcome, (str(error),))
    return text, early


def left_out(stage: Stage, notebook: Any, function: str) -> tuple[str, ...]:
    """Sentences on parts of a function's cell that are not graded, such as `%matplotlib inline`."""
    try:
        return _answer(stage, function, notebook).left_out
    except _NotPutInError:
        return ()


def module_for(stage: Stage, notebook: Any, function: str) -> str:
    """The same text with only the answers that a function needs.

    Code at the top level of a cell runs when the module is loaded. With all answers, one cell that
    never ends, or kills its process, would fail every task. Only plain names are followed.
    """
    answers: dict[str, Answer] = {}
    for name in stage.points:
        # `module_text` reports which answers cannot be put in, and why.
        with suppress(_NotPutInError):
            answers[name] = _answer(stage, name, notebook)
    text = released_module(stage)
    codes = {name: answer.code for name, answer in answers.items()}
    needed = _needed(function, codes, _names(text)[0] - set(stage.points))
    for name, answer in answers.items():
        if name in needed:
            with suppress(_NotPutInError):
                text = _with_answer(text, f"{stage.module}.{name}", answer)
    return text


def _needed(function: str, codes: dict[str, str], there: set[str]) -> set[str]:
    """This function and those whose cells define names that its cell uses.

    there: names that the module defines without any answer.
    """
    names = {name: _names(code) for name, code in codes.items()}
    needed, grown = {function} & set(codes), True
    while grown:
        lacking = set[str]().union(*(names[n][1] for n in needed)) - there
        lacking -= set().union(*(names[n][0] for n in needed))
        more = {name for name in codes if names[name][0] & lacking}
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


def _answer(stage: Stage, function: str, notebook: Any) -> Answer:
    """The answer that a notebook gives for a function.

    Raises:
        _NotPutInError: it is still to do, or its cell cannot be a part of the module.
    """
    task, source = f"{stage.module}.{function}", _source(stage, function, notebook)
    answer = _read(task, source) if code_below(source).strip() else None
    if isinstance(answer, CourseError):
        outcome: Outcome = "stopped" if isinstance(answer, NotPythonError) else "refused"
        raise _NotPutInError(outcome, str(answer))
    if answer is None or _is_stub(stage, function, answer.code):
        raise _NotPutInError("to do", stage.sentence(function))
    return answer


@lru_cache(maxsize=32)
def _read(task: str, source: str) -> Answer | CourseError:
    """The answer, or why there is none; kept, because each function of a stage asks for all."""
    try:
        return read_answer(task, source)
    except CourseError as error:
        return error


def _source(stage: Stage, function: str, notebook: Any) -> str:
    """The text of the cell that answers a function; "" where there is none."""
    task = f"{stage.module}.{function}"
    by_id, by_line = "", ""
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code" and task_named(cell["source"]) == task:
            by_line = cell["source"]
            if grade_id_of(cell) == todo_id(task):
                by_id = by_line
    return by_id or by_line


def _with_answer(text: str, task: str, answer: Answer) -> str:
    """The module's text with one more answer.

    Raises:
        _NotPutInError: the answer cannot be put in.
    """
    try:
        return replaced(text, task, answer.code)
    except CourseError as error:
        raise _NotPutInError("refused", str(error)) from None


def _is_stub(stage: Stage, function: str, code: str) -> bool:
    """Whether a cell is as released, apart from comments and spaces."""
    released = stub(function_text(_reference(stage.module), function), stage.sentence(function))
    return ast.dump(parsed(code)) == ast.dump(ast.parse(released))
