"""`%%todo sds.sds_grad`: the cell magic that makes a cell's function part of the student's module.

    %load_ext distillery.todo

The cell is saved into guidance/sds.py, where it replaces the function's old definition, so every
later cell, every other notebook, main.py and the tests use exactly this code. After `%load_ext`,
`from guidance import sds` works in every notebook of the course, every cell begins with the files
of guidance/ as they are then, and a function that is still to do says so in one sentence.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING

from distillery.core.errors import STILL_TO_DO, CourseError
from distillery.core.files import atomic_write
from distillery.course import saved_cells
from distillery.course.saved_cells import Kernel
from distillery.course.saved_text import cell_with, replaced, text_for
from distillery.course.stored_checks import split_task
from distillery.course.student_files import (
    course_root,
    forget_bytecode,
    import_guidance_from,
    student_file,
    student_module,
)
from distillery.course.todo_cell import line_first, read_answer
from distillery.notebook.validate import is_validating, without_what_earns_nothing

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Called by `%load_ext distillery.todo`."""

    def todo(line: str, cell: str) -> None:
        """%%todo stage.function: save this cell's function into guidance/<stage>.py."""
        from IPython.core.error import UsageError

        try:
            run_todo_cell(kernel, line.strip(), cell)
        except CourseError as error:
            raise UsageError(str(error)) from None

    def load_todo(line: str) -> None:
        """%load_todo stage.function: turn this cell into one with the answer in guidance/."""
        from IPython.core.error import UsageError

        try:
            load_into_cell(kernel, line.strip())
        except CourseError as error:
            raise UsageError(str(error)) from None

    import_guidance_from(course_root())
    kernel = saved_cells.watch(shell)
    shell.magics_manager.register_function(todo, magic_kind="cell", magic_name="todo")
    shell.magics_manager.register_function(load_todo)
    shell.input_transformers_cleanup.append(line_first)
    # `cat` alone would run the command, which waits for ever for a line that nobody can type.
    aliases = shell.alias_manager
    if aliases is not None and aliases.is_alias("cat"):
        aliases.undefine_alias("cat")
    shell.set_custom_exc((NotImplementedError, CourseError), show_calmly)
    if is_validating():
        shell.input_transformers_cleanup.append(without_what_earns_nothing)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Called by `%unload_ext distillery.todo`, and first of all by `%reload_ext`."""
    saved_cells.forget(shell)
    del shell.magics_manager.magics["cell"]["todo"]
    del shell.magics_manager.magics["line"]["load_todo"]
    shell.input_transformers_cleanup.remove(line_first)
    shell.set_custom_exc((), show_calmly)


def run_todo_cell(kernel: Kernel, task: str, body: str) -> None:
    """What running a `%%todo` cell does: save its answer, use it in this notebook, and say so.

    Args:
        body: what stands below the `%%todo` line.

    Raises:
        CourseError: it was not saved, and why.
    """
    source = kernel.source_of(task, body)
    try:
        stage, function = split_task(task)
        text_for(task)  # an unknown name comes before anything that the cell lacks
        answer = read_answer(task, source)
        if saved_cells.only_file_answers(task, answer.code):
            print(saved_cells.only_in_file(task))
            module = student_module(stage)
        else:
            module = save(task, source)
            print(f"guidance/{stage}.py now holds this {function}.")
            print("".join(f"{sentence}\n" for sentence in answer.left_out), end="")
    except CourseError as error:
        kernel.refused(task, str(error))
        raise CourseError(f"{task} was not saved: {error}") from None
    kernel.saved(task, answer.code)
    kernel.shell.user_ns[function] = getattr(module, function)


def load_into_cell(kernel: Kernel, task: str) -> None:
    """Replace the text of the running cell by a `%%todo` cell with the file's answer.

    Raises:
        CourseError: there is no such answer, or the cell holds something else that would be lost.
    """
    if len((kernel.cell or "").split()) > 2:
        raise CourseError(f"put %load_todo {task} into a cell alone: it replaces the whole cell.")
    text, helpers = cell_with(text_for(task), task)
    kernel.shell.set_next_input(text, replace=True)
    print("This cell now holds the answer of the file: run it again.")
    if helpers:
        print(f"Move {', '.join(helpers)} from guidance/ into it first: its function needs that.")


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
        cell: the whole cell: imports, constants, helpers and the function itself. They are kept
            together between two marker comments, so saving again replaces all of them; the rest of
            the file stays the same, byte for byte.

    Raises:
        CourseError: the task is unknown, the cell or the file cannot be used, or the new module
            cannot be loaded. The file stays as it was.
    """
    file = student_file(split_task(task)[0])
    text = text_for(task)
    changed = replaced(text, task, read_answer(task, cell).code)
    _check_loads(file, changed)
    atomic_write(file, changed.encode())
    forget_bytecode(file)
    return student_module(file.stem)


def _check_loads(file: Path, text: str) -> None:
    """Run the new text in a temporary module before anything is written."""
    trial = ModuleType(f"guidance.{file.stem}")
    trial.__file__ = str(file)
    try:
        exec(compile(text, str(file), "exec"), vars(trial))
    # Whatever the student's top-level lines raise, the old file must stay.
    except (Exception, SystemExit) as error:
        raise CourseError(f"loading it stops with {type(error).__name__}: {error}.") from None
