"""The text of a student's module, and the places in it where cells are saved.

A saved cell stands between two marks; the rest of the file is the student's own.
"""

from __future__ import annotations

import ast
import re

from distillery.core.errors import CourseError
from distillery.course.stored_checks import split_task, task_names
from distillery.course.student_files import student_file
from distillery.course.todo_cell import functions_of, globals_used, is_to_do, names_used, tree_of

_SAVED = re.compile(r"^# >>> (\w+\.\w+):[^\n]*\n.*?^# <<< \1$", re.MULTILINE | re.DOTALL)


def text_for(task: str) -> str:
    """The text of the module that a task is saved in.

    Raises:
        CourseError: there is no such task, or its file is missing or is not Python.
    """
    stage, function = split_task(task)
    name = f"guidance/{stage}.py"
    try:
        text = student_file(stage).read_bytes().decode("utf-8-sig")
        there = functions_of(tree_of(text))
    except FileNotFoundError:
        raise CourseError(f"there is no {name}; check the name of the stage.") from None
    except (SyntaxError, ValueError) as error:
        raise CourseError(
            f"{name} is not Python ({_place(error)}); fix it, then run this cell again."
        ) from None
    known = {*task_names(stage), *there}
    if function not in known:
        raise CourseError(f"{name} has no {function}; it has {', '.join(sorted(known))}.")
    return text


def replaced(text: str, task: str, code: str) -> str:
    """`text` with an answer where it was saved before, else where the function is, else at the end.

    Raises:
        CourseError: the file would then define one of the answer's functions twice.
    """
    function = split_task(task)[1]
    newline = "\r\n" if "\r\n" in text else "\n"
    begin, end = _marks(task)
    block = [begin, *code.strip("\n").split("\n"), end]
    lines = text.split(newline)
    start, stop = _old_place(lines, tree_of(text), function, begin, end)
    if start == len(lines):
        lines = [*text.rstrip().split(newline), "", "", *block, ""]
    else:
        lines[start:stop] = block
    changed = newline.join(lines)
    _check_single(task, code, changed)
    return changed


def _marks(task: str) -> tuple[str, str]:
    return f"# >>> {task}: this part is saved by its notebook cell", f"# <<< {task}"


def _old_place(
    lines: list[str], tree: ast.Module, function: str, begin: str, end: str
) -> tuple[int, int]:
    """The lines to replace, as a half-open range; an empty range at the end if there are none."""
    if begin in lines and end in lines[lines.index(begin) :]:
        start = lines.index(begin)
        return start, lines.index(end, start) + 1
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == function:
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            return first - 1, node.end_lineno or node.lineno
    return len(lines), len(lines)


def _check_single(task: str, code: str, text: str) -> None:
    """Refuse a second definition further down, which would silently replace the saved one."""
    defined = functions_of(tree_of(text))
    for name in functions_of(tree_of(code)):
        if defined.count(name) > 1:
            stage = split_task(task)[0]
            raise CourseError(
                f"guidance/{stage}.py would define {name} twice; "
                "give the helper another name, or delete the other definition."
            )


def cell_with(text: str, task: str) -> tuple[str, tuple[str, ...]]:
    """A `%%todo` cell with the answer that a module holds, and the names that it lacks.

    Imports that the answer needs are copied too. A helper or a constant that stands elsewhere in
    the module is only named: the student moves it into the cell.

    Raises:
        CourseError: the module has no such function.
    """
    code, tree = saved_code(text, task), tree_of(text)
    lacking = globals_used(code) - _bound(tree_of(code).body)
    imports, others = list[ast.stmt](), list[ast.stmt]()
    for node in tree.body:
        is_import = isinstance(node, ast.Import | ast.ImportFrom)
        (imports if is_import else others).append(node)
    imports = [node for node in imports if _bound([node]) & lacking]
    helpers = (_bound(others) - {*task_names(split_task(task)[0])}) & lacking
    above = [*map(ast.unparse, imports), *["", ""] * bool(imports)]
    return "\n".join([f"%%todo {task}", *above, code]), tuple(sorted(helpers))


def saved_code(text: str, task: str) -> str:
    """The answer to a task in a module: the function, with the helpers that were saved with it.

    Raises:
        CourseError: the module has no such function.
    """
    stage, function = split_task(task)
    lines, (begin, end) = text.splitlines(), _marks(task)
    start, stop = _old_place(lines, tree_of(text), function, begin, end)
    code = "\n".join(line for line in lines[start:stop] if line not in (begin, end))
    if function not in functions_of(tree_of(code)):
        raise CourseError(f"guidance/{stage}.py has no {function} to load.")
    return code


def only_outside(text: str, code: str, given: set[str]) -> list[str]:
    """The names that an answer uses and only the module has, outside of all saved cells.

    Args:
        given: the names of the module as students get it.
    """
    try:
        outside = _bound(tree_of(_SAVED.sub("", text.replace("\r\n", "\n"))).body)
        return sorted((outside - given) & names_used(code) - _bound(tree_of(code).body))
    except (SyntaxError, ValueError, RecursionError):
        return []


def names_of(text: str) -> set[str]:
    """The names that a module defines or imports at its top level."""
    return _bound(tree_of(text).body)


def _bound(statements: list[ast.stmt]) -> set[str]:
    """The names that statements bind where they stand."""
    found: set[str] = set()
    for node in statements:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {(one.asname or one.name).partition(".")[0] for one in node.names}
        else:
            names = (one for one in ast.walk(node) if isinstance(one, ast.Name))
            found |= {one.id for one in names if isinstance(one.ctx, ast.Store)}
    return found


def holds(text: str, task: str, code: str) -> bool:
    """Whether saving this answer would change nothing in a module but comments and spaces."""
    try:
        changed = replaced(text, task, code)
        return ast.dump(tree_of(changed)) == ast.dump(tree_of(text))
    except (CourseError, SyntaxError, ValueError, RecursionError):
        return False


def defines(text: str, task: str) -> bool:
    """Whether a module is Python and has the task's function, even if that is still to do."""
    try:
        return split_task(task)[1] in functions_of(tree_of(text))
    except (SyntaxError, ValueError, RecursionError):
        return False


def is_answered(text: str, task: str) -> bool:
    """Whether a module has the task's function, and not as a stub that is still to do."""
    return defines(text, task) and not is_to_do(text, split_task(task)[1])


def _place(error: Exception) -> str:
    if isinstance(error, SyntaxError):
        return f"line {error.lineno}: {error.msg}"
    return str(error)
