"""From an answered module to the student's: the text between the solution marks is taken out."""

from __future__ import annotations

import ast
from collections.abc import Callable

from distillery.core.errors import CourseError
from grading.core.nbgrader_config import YOUR_CODE

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
LINE_LENGTH = 100


def answered_functions(source: str) -> list[str]:
    """The functions of a reference module that hold an answer, in order."""
    lines = source.splitlines()
    return [
        node.name
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef)
        and any(line.strip() == BEGIN for line in lines[node.lineno - 1 : node.end_lineno])
    ]


def function_text(source: str, name: str) -> str:
    """A function of the module, with its solution marks."""
    lines = source.splitlines()
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            # A mark after the last statement lies outside what ast counts to the function.
            stop = node.end_lineno or node.lineno
            while stop < len(lines) and lines[stop].strip() == END:
                stop += 1
            return "\n".join(lines[node.lineno - 1 : stop])
    raise CourseError(f"the reference has no function {name}.")


def stub_module(source: str, sentence: Callable[[str], str]) -> str:
    """The whole module with every answer replaced by a stub that says `sentence(function)`."""
    for name in answered_functions(source):
        text = function_text(source, name)
        source = source.replace(text, stub(text, sentence(name)))
    return source


def stub(function: str, sentence: str) -> str:
    """The function with its answer replaced by a place for the student's and a calm refusal."""
    before, indent, after = _around_solution(function)
    return "\n".join([*before, indent + YOUR_CODE, *_refusal(indent, sentence), *after])


def unreached(function: str, sentence: str) -> str:
    """The answered function with the refusal behind its answer.

    nbgrader puts one and the same text in the place of every answer; this is how each released cell
    still ends with its own sentence.
    """
    indent = _around_solution(function)[1]
    return "\n".join([function, *_refusal(indent, sentence)])


def solved(function: str, _: str = "") -> str:
    """The answered function without the marks around its answer."""
    return "\n".join(line for line in function.split("\n") if line.strip() not in (BEGIN, END))


def _around_solution(function: str) -> tuple[list[str], str, list[str]]:
    lines = function.split("\n")
    marks = [line.strip() for line in lines]
    if marks.count(BEGIN) != 1 or marks.count(END) != 1 or marks.index(END) < marks.index(BEGIN):
        raise CourseError(f"{lines[0]!r} must hold one {BEGIN} and after it one {END}.")
    begin, end = marks.index(BEGIN), marks.index(END)
    indent = lines[begin][: len(lines[begin]) - len(lines[begin].lstrip())]
    return lines[:begin], indent, lines[end + 1 :]


def _refusal(indent: str, sentence: str) -> list[str]:
    """`raise NotImplementedError(...)`, laid out as the formatter would."""
    line = f'{indent}raise NotImplementedError("{sentence}")'
    if len(line) <= LINE_LENGTH:
        return [line]
    return [f"{indent}raise NotImplementedError(", f'{indent}    "{sentence}"', f"{indent})"]
