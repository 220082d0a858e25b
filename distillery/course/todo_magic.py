"""`%%todo sds.sds_grad`: the cell magic that makes a cell's function part of the student's module.

    %load_ext distillery.todo

The cell is saved into guidance/sds.py, where it replaces the function's old definition, so every
later cell, every other notebook, main.py and the tests use exactly this code. After `%load_ext`,
`from guidance import sds` works in every notebook of the course, and a function that is still to do
says so in one sentence.
"""

from __future__ import annotations

import ast
from pathlib import Path
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING

from distillery.core.errors import STILL_TO_DO, CourseError
from distillery.core.files import atomic_write
from distillery.course.student_files import (
    course_root,
    forget_bytecode,
    import_guidance_from,
    student_file,
    student_module,
)
from distillery.course.tasks import split_task, task_names
from distillery.notebook.validate import is_validating, without_what_earns_nothing

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

ALLOWED = (
    ast.Import,
    ast.ImportFrom,
    ast.FunctionDef,
    ast.ClassDef,
    ast.Assign,
    ast.AnnAssign,
)


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Called by `%load_ext distillery.todo`."""

    def todo(line: str, cell: str) -> None:
        """%%todo stage.function: save this cell's function into guidance/<stage>.py."""
        from IPython.core.error import UsageError

        try:
            module = save(line.strip(), cell)
        except CourseError as error:
            raise UsageError(str(error)) from None
        stage, function = split_task(line.strip())
        shell.user_ns[function] = getattr(module, function)
        print(f"guidance/{stage}.py now holds this {function}.")

    import_guidance_from(course_root())
    shell.magics_manager.register_function(todo, magic_kind="cell", magic_name="todo")
    shell.set_custom_exc((NotImplementedError, CourseError), show_calmly)
    if is_validating():
        shell.input_transformers_cleanup.append(without_what_earns_nothing)


def show_calmly(
    shell: InteractiveShell,
    kind: type[BaseException],
    error: BaseException,
    trace: TracebackType,
    tb_offset: int | None = None,
) -> None:
    """Show a sentence for the reader without its traceback, and every other exception as usual.

    Both count as errors, so "run all cells" stops there.
    """
    if isinstance(error, CourseError) or STILL_TO_DO in str(error):
        # IPython's own hook, which asks the exception before it formats the traceback.
        error._render_traceback_ = lambda: [str(error)]  # type: ignore[attr-defined]
    shell.showtraceback((kind, error, trace), tb_offset=tb_offset)


def save(task: str, cell: str) -> ModuleType:
    """Replace the old function by the cell's code and return the module, loaded again.

    Args:
        task: "stage.function".
        cell: imports, constants, helpers and the function itself. They are kept together between
            two marker comments, so saving again replaces all of them; the rest of the file stays
            the same, byte for byte.

    Raises:
        CourseError: the task is unknown, the cell or the file cannot be used, or the new module
            cannot be loaded. The file stays as it was.
    """
    stage, function = split_task(task)
    file = student_file(stage)
    text = _read(file)
    check_cell(task, function, cell)
    known = {*task_names(stage), *_functions(ast.parse(text))}
    if function not in known:
        raise CourseError(
            f"guidance/{stage}.py has no {function}; it has {', '.join(sorted(known))}."
        )
    changed = replaced(text, task, cell)
    _check_loads(task, file, changed)
    atomic_write(file, changed.encode())
    forget_bytecode(file)
    return student_module(stage)


def replaced(text: str, task: str, cell: str) -> str:
    """`text` with the cell where it was saved before, else where the function is, else at the end.

    Raises:
        CourseError: the file would then define one of the cell's functions twice.
    """
    function = split_task(task)[1]
    newline = "\r\n" if "\r\n" in text else "\n"
    begin, end = f"# >>> {task}: this part is saved by its notebook cell", f"# <<< {task}"
    block = [begin, *cell.strip("\n").split("\n"), end]
    lines = text.split(newline)
    start, stop = _old_place(lines, ast.parse(text), function, begin, end)
    if start == len(lines):
        lines = [*text.rstrip().split(newline), "", "", *block, ""]
    else:
        lines[start:stop] = block
    changed = newline.join(lines)
    _check_single(task, cell, changed)
    return changed


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


def _read(file: Path) -> str:
    name = f"guidance/{file.name}"
    try:
        text = file.read_bytes().decode()
        ast.parse(text)
    except FileNotFoundError:
        raise CourseError(f"there is no {name}; check the name of the stage.") from None
    except (SyntaxError, ValueError) as error:
        raise CourseError(
            f"{name} is not Python ({_place(error)}); fix it, then run this cell again."
        ) from None
    return text


def check_cell(task: str, function: str, cell: str) -> None:
    """Check that a cell holds only imports, constants, helpers and the function; nothing is run.

    Raises:
        CourseError: the cell holds something else, imports another stage's answers, or is not
            Python.
    """
    try:
        body = ast.parse(cell).body
    except (SyntaxError, ValueError) as error:
        raise CourseError(
            f"{task} was not saved: the cell is not Python ({_place(error)})."
        ) from None
    if _functions(ast.Module(body, [])).count(function) != 1:
        raise CourseError(f"{task} was not saved: the cell must define {function}, once.")
    for node in body:
        if not isinstance(node, ALLOWED) and not _is_text(node):
            raise CourseError(
                f"{task} was not saved: line {node.lineno} of the cell is neither an import nor a "
                "definition; move it to another cell."
            )
    stage = split_task(task)[0]
    for other in sorted(_stages_imported(body) - {stage}):
        raise CourseError(
            f"{task} was not saved: it imports guidance.{other}, and only guidance.{stage} is "
            "handed in with this stage; copy what you need of it into the cell."
        )


def _stages_imported(body: list[ast.stmt]) -> set[str]:
    """The modules of `guidance` that a cell imports by name, also inside its functions."""
    found = set()
    for node in ast.walk(ast.Module(body, [])):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            package = ".".join(filter(None, ["guidance" * bool(node.level), node.module]))
            names = [f"{package}.{alias.name}" for alias in node.names]
        else:
            continue
        found |= {name.split(".")[1] for name in names if name.startswith("guidance.")}
    return found - {"*"}


def _check_single(task: str, cell: str, text: str) -> None:
    """Refuse a second definition further down, which would silently replace the saved one."""
    defined = _functions(ast.parse(text))
    for name in _functions(ast.parse(cell)):
        if defined.count(name) > 1:
            stage = split_task(task)[0]
            raise CourseError(
                f"{task} was not saved: guidance/{stage}.py would define {name} twice; "
                "give the helper another name, or delete the other definition."
            )


def _check_loads(task: str, file: Path, text: str) -> None:
    """Run the new text in a temporary module before anything is written."""
    trial = ModuleType(f"guidance.{file.stem}")
    trial.__file__ = str(file)
    try:
        exec(compile(text, str(file), "exec"), vars(trial))
    # Whatever the student's top-level lines raise, the old file must stay.
    except Exception as error:
        raise CourseError(
            f"{task} was not saved: loading it stops with {type(error).__name__}: {error}."
        ) from None


def _functions(tree: ast.Module) -> list[str]:
    return [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]


def _is_text(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _place(error: Exception) -> str:
    if isinstance(error, SyntaxError):
        return f"line {error.lineno}: {error.msg}"
    return str(error)
