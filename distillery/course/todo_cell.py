"""What a TODO cell holds: one rule for the cell that runs, for `validate` and for the grader.

A cell may hold imports, constants, helpers and the function of its task. Commands to IPython, and
statements that only try the function out, are no part of the answer: they become comments, which
keep the lines where they are. Nothing of a cell is run here.

Every line number counts from the first line of the cell, as the student's editor does.
"""

from __future__ import annotations

import ast
import re
import symtable
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from textwrap import shorten

from distillery.core.counting import counted
from distillery.core.errors import STILL_TO_DO, CourseError

ALLOWED = (
    ast.Import,
    ast.ImportFrom,
    ast.FunctionDef,
    ast.ClassDef,
    ast.Assign,
    ast.AnnAssign,
)
LONGEST = 100_000  # characters of one answer
MOST_PARSED = 3 * LONGEST  # characters, to find out which lines of a cell are commands
# A comment may stand above the line, and so may a magic that runs everything below it.
_ABOVE = r"[ \t]*(?:#[^\n]*|%%(?:time|timeit|capture)\b[^\n]*)?\n"
TODO_LINE = re.compile(rf"\A((?:{_ABOVE})*)[ \t]*%%todo[ \t]+(\w+)\.(\w+)[^\n]*\n?")
_MAGIC = re.compile(r"^[ \t]*(?=%%)", re.MULTILINE)
_MARK = re.compile(r"^# (>>>|<<<) \w+\.\w+.*$", re.MULTILINE)  # around a cell in its module
# `%matplotlib inline`, `!pip install x`, `?print`; `files = !ls`; `print?`
_COMMAND = re.compile(r"[ \t]*(?:[%!?]|[A-Za-z_][\w., \t]*=[ \t]*[%!]|%{0,2}[\w.*]+\?{1,2}[ \t]*$)")
_TIMING = re.compile(r"%%(time|timeit|capture|prun|memit)\b")
_VALUE_GIVEN = re.compile(r"(?:%time\w*[ \t]+)?([A-Za-z_][\w., \t]*?)[ \t]*=(?!=)")
# Functions whose calls only show something.
SHOWING = {"print", "display", "check", "compare_picture", "show", "help", "type", "repr", "len"}


class NotPythonError(CourseError):
    """The cell cannot be parsed."""


@dataclass(frozen=True)
class Answer:
    """What a TODO cell adds to its module.

    code:     Python, without the `%%todo` line.
    left_out: a sentence for each part of the cell that is no part of the answer.
    """

    code: str
    left_out: tuple[str, ...] = ()


def task_named(source: str) -> str | None:
    """The task that the `%%todo` line of a code cell names, if the cell begins with one."""
    match = TODO_LINE.match(source)
    return f"{match[2]}.{match[3]}" if match else None


def code_below(source: str) -> str:
    """The code of a TODO cell without its `%%todo` line; a cell without that line as it is.

    What stood above the line stays, magics as comments, so that the line numbers of the rest are
    lower by one at most.
    """
    match = TODO_LINE.match(source)
    return _MAGIC.sub("# ", match[1]) + source[match.end() :] if match else source


def answer_in(source: str) -> str:
    """The same without what stood above the line."""
    match = TODO_LINE.match(source)
    return source[match.end() :] if match else source


def python_in(source: str) -> str:
    """The same with commands to IPython as comments, as far as that gives Python."""
    code = answer_in(source)
    try:
        return _without_commands(code)[0]
    except (CourseError, RecursionError, MemoryError):
        return code


def line_first(lines: list[str]) -> list[str]:
    """The lines of a cell with its `%%todo` line above the comments that stand above it.

    IPython wants the line of a magic to be the first; each line here ends in a newline.
    """
    source = "".join(lines)
    match = TODO_LINE.match(source)
    if not match or not match[1].strip():
        return lines
    above = match[1].splitlines(keepends=True)
    magics = [line for line in above if line.lstrip().startswith("%%")]
    others = [line for line in above if line not in magics]
    line = source[match.end(1) : match.end()].lstrip()
    below = source[match.end() :].splitlines(keepends=True)
    return [*magics, line, *others, *below]


def read_answer(task: str, source: str) -> Answer:
    """The answer to a task that a cell with this text holds.

    Args:
        task: "stage.function".
        source: the whole cell, with its `%%todo` line if it has one.

    Raises:
        NotPythonError: it is not Python.
        CourseError: it holds what cannot be a part of the module, imports another stage's
            answers, or does not define the function once.
    """
    if len(source) > LONGEST:
        raise CourseError(f"the cell is longer than {LONGEST} characters.")
    above = 1 if task_named(source) else 0
    text = "\n" * above + code_below(source)
    try:
        with _no_warnings():
            return _read(task, text, above)
    except SyntaxError as error:
        raise NotPythonError(
            f"the cell is not Python (line {error.lineno}: {error.msg})."
        ) from None
    except (RecursionError, MemoryError):
        raise CourseError("the cell is nested too deeply to be read.") from None
    except ValueError as error:
        raise NotPythonError(f"the cell is not Python ({error}).") from None


def _read(task: str, text: str, above: int) -> Answer:
    stage, _, function = task.partition(".")
    text, commands, given = _without_commands(text)
    tree = tree_of(text)
    _check_values(tree, given)
    if functions_of(tree).count(function) != 1:
        raise CourseError(f"the cell must define {function}, once.")
    trials = [node for node in tree.body if not _belongs(node)]
    used = globals_used(text)
    for node in trials:
        if not _only_tries(node, tree, used):
            raise CourseError(
                f"line {node.lineno} of the cell is neither an import nor a definition; move it to "
                "another cell."
            )
    for other in sorted(_stages_imported(tree) - {stage}):
        raise CourseError(
            f"it imports guidance.{other}, and only guidance.{stage} is handed in with this stage; "
            "copy what you need of it into the cell."
        )
    lines = text.split("\n")
    left_out = dict(commands)
    for node in trials:
        left_out[node.lineno] = _left_out(
            node.lineno, lines[node.lineno - 1], "no part of the answer"
        )
        _comment_out(lines, node.lineno, node.end_lineno or node.lineno)
    # Some faults, such as a `break` outside a loop, are found by the compiler alone.
    compile("\n".join(lines), "<cell>", "exec", dont_inherit=True)
    # Where a student copied a mark from the file, two answers would be saved as one.
    code = _MARK.sub("#", "\n".join(lines[above:]))
    return Answer(code, _at_most_four([left_out[number] for number in sorted(left_out)]))


def _at_most_four(sentences: list[str]) -> tuple[str, ...]:
    if len(sentences) <= 4:
        return tuple(sentences)
    return (
        *sentences[:3],
        f"The same goes for {counted(len(sentences) - 3, 'other part')} of the cell.",
    )


@contextmanager
def _no_warnings() -> Iterator[None]:
    """Python warns of an invalid escape in a string, for one, when it parses it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def tree_of(code: str) -> ast.Module:
    """The syntax tree of what a student wrote, without a warning.

    Raises:
        SyntaxError, ValueError, RecursionError, MemoryError: it cannot be parsed.
    """
    with _no_warnings():
        return ast.parse(code)


def functions_of(tree: ast.Module) -> list[str]:
    """The functions that a module defines at its top level, in order."""
    return [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]


def is_to_do(code: str, function: str) -> bool:
    """Whether the function is defined there, and only says that it is still to do.

    Raises:
        SyntaxError, ValueError: the code is not Python.
    """
    for node in tree_of(code).body:
        if isinstance(node, ast.FunctionDef) and node.name == function:
            body = [statement for statement in node.body if not _is_text(statement)]
            return len(body) == 1 and isinstance(body[0], ast.Raise) and _says_to_do(body[0])
    return False


def _says_to_do(statement: ast.Raise) -> bool:
    texts = [node.value for node in ast.walk(statement) if isinstance(node, ast.Constant)]
    return any(isinstance(text, str) and STILL_TO_DO in text for text in texts)


# ---- commands to IPython


def _without_commands(text: str) -> tuple[str, dict[int, str], dict[str, int]]:
    """The text with its commands as comments, line -> sentence, and name -> line that gives it.

    A line is a command only where a statement can begin, not within a string or brackets.

    Raises:
        CourseError: a command stands within a function, or begins another cell.
    """
    if _is_python(text):
        return text, {}, {}
    lines = text.split("\n")
    sentences: dict[int, str] = {}
    given: dict[str, int] = {}
    whole = 0  # all lines before this one are whole statements
    left = MOST_PARSED
    for first in [i for i, line in enumerate(lines) if _COMMAND.match(line)]:
        line = lines[first]
        indent = line[: len(line) - len(line.lstrip())]
        before = "\n".join([*lines[whole:first], f"{indent}pass"])
        left -= len(before)
        if left < 0:
            break
        if not _is_python(before):
            continue
        _check_command(first + 1, line, indent)
        match = _VALUE_GIVEN.match(line)
        given |= dict.fromkeys(re.findall(r"\w+", match[1]), first + 1) if match else {}
        sentences[first + 1] = _left_out(first + 1, line, "a command to IPython")
        last = first
        while lines[last].endswith("\\") and last + 1 < len(lines):
            last += 1
        _comment_out(lines, first + 1, last + 1)
        whole = first
    return "\n".join(lines), sentences, given


def _check_command(number: int, line: str, indent: str) -> None:
    what = f"line {number} of the cell, {_quoted(line)},"
    if indent:
        raise CourseError(
            f"{what} is a command to IPython inside a definition, and a module cannot hold it: "
            "remove it, or write it in Python."
        )
    if line.startswith("%%") and not _TIMING.match(line):
        raise CourseError(
            f"{what} is the first line of another cell: put it, and what belongs to it, into a "
            "cell of its own."
        )


def _check_values(tree: ast.Module, given: dict[str, int]) -> None:
    """Refuse a command whose value the rest of the cell uses."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in given:
            raise CourseError(
                f"line {given[node.id]} of the cell gives {node.id} its value by a command to "
                "IPython, and a module cannot hold it: write it in Python."
            )


def _is_python(text: str) -> bool:
    try:
        tree_of(text)
    except (SyntaxError, ValueError):
        return False
    return True


# ---- statements that only try the function out


def _belongs(node: ast.stmt) -> bool:
    return isinstance(node, ALLOWED) or _is_text(node)


def _is_text(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _only_tries(node: ast.stmt, tree: ast.Module, used: set[str]) -> bool:
    """Whether the functions of the cell do the same without this statement.

    It must show or assert something, bind no name, touch no variable that a function uses, and
    share its lines with no other statement.
    """
    within = list(ast.walk(node))
    if any(isinstance(one, ast.NamedExpr | ast.Await | ast.Yield) for one in within):
        return False
    if any(_share_a_line(node, other) for other in tree.body if other is not node):
        return False
    if _is_main_guard(node):  # the module is only ever imported
        return True
    read = {one.id for one in within if isinstance(one, ast.Name)}
    if read & used & _variables(tree):
        return False
    if isinstance(node, ast.Assert):
        return True
    return isinstance(node, ast.Expr) and _shows(node.value, {*SHOWING, *functions_of(tree)})


def _shows(value: ast.expr, callable_names: set[str]) -> bool:
    """Whether an expression has a call of one of these at its root, or no call at all."""
    if not any(isinstance(one, ast.Call) for one in ast.walk(value)):
        return True
    root = value
    while isinstance(root, ast.Call | ast.Attribute | ast.Subscript):
        root = root.func if isinstance(root, ast.Call) else root.value
    return isinstance(root, ast.Name) and root.id in callable_names


def _is_main_guard(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.If)
        and not node.orelse
        and ast.unparse(node.test).replace('"', "'") == "__name__ == '__main__'"
    )


def _share_a_line(one: ast.stmt, other: ast.stmt) -> bool:
    return one.lineno <= (other.end_lineno or 0) and other.lineno <= (one.end_lineno or 0)


def _variables(tree: ast.Module) -> set[str]:
    """The names that assignments at the top level bind."""
    bound = [node for node in tree.body if isinstance(node, ast.Assign | ast.AnnAssign)]
    names = (one for node in bound for one in ast.walk(node) if isinstance(one, ast.Name))
    return {one.id for one in names if isinstance(one.ctx, ast.Store)}


def globals_used(text: str) -> set[str]:
    """The global names that the functions and classes of a module use."""

    def walk(table: symtable.SymbolTable) -> Iterator[str]:
        for child in table.get_children():
            yield from (one.get_name() for one in child.get_symbols() if one.is_global())
            yield from walk(child)

    return set(walk(symtable.symtable(text, "<cell>", "exec")))


def names_used(text: str) -> set[str]:
    """The names that a module and its functions and classes read from outside of themselves."""
    symbols = symtable.symtable(text, "<cell>", "exec").get_symbols()
    return globals_used(text) | {one.get_name() for one in symbols if one.is_referenced()}


def _stages_imported(tree: ast.Module) -> set[str]:
    """The modules of `guidance` that a cell imports by name, also inside its functions."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            package = ".".join(filter(None, ["guidance" * bool(node.level), node.module]))
            names = [f"{package}.{alias.name}" for alias in node.names]
        else:
            continue
        found |= {name.split(".")[1] for name in names if name.startswith("guidance.")}
    return found - {"*"}


def _left_out(number: int, line: str, what: str) -> str:
    return f"Line {number} of the cell, {_quoted(line)}, is {what}: it is not run and not graded."


def _quoted(line: str) -> str:
    return shorten(line, 40, placeholder=" ...")


def _comment_out(lines: list[str], first: int, last: int) -> None:
    """Turn some lines into comments, counted from 1, both included."""
    for index in range(first - 1, last):
        lines[index] = f"# {lines[index]}"
