"""What the cells of a running notebook hold, where that is not what a check looks at.

A check looks at guidance/, and a grader at the cells of the notebook. A kernel knows the cells that
were run in it; for the others there is the notebook's file, as it was last saved. Outside a
notebook there are no cells, and nothing is said.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING

from distillery.core.errors import CourseError, in_short
from distillery.course.saved_text import defines, holds, is_answered, only_outside
from distillery.course.stored_checks import checks_in, given_names, split_task, task_names
from distillery.course.student_files import (
    course_root,
    edited_modules,
    load_again,
    student_file,
)
from distillery.course.todo_cell import is_to_do, read_answer, task_named

if TYPE_CHECKING:
    from IPython.core.interactiveshell import ExecutionInfo, ExecutionResult, InteractiveShell

_DEFINED = re.compile(r"^(?:async[ \t]+)?def[ \t]+(\w+)", re.MULTILINE)
_TODO = re.compile(r"^[ \t]*%%todo[ \t]+(\w+\.\w+)", re.MULTILINE)


@dataclass(frozen=True)
class LastRun:
    """How the last run of a task's cell ended.

    code:    the answer that the cell holds, "" where it could not be read.
    refusal: why it was not saved, "" where it was.
    """

    code: str
    refusal: str


@dataclass
class Kernel:
    """The cells that were run in one kernel.

    tasks: all tasks of the course.
    cell:  the text of the one that is running; None between two cells.
    runs:  task -> how its cell was run last.
    fresh: the tasks that the running cell was saved, or refused, as.
    """

    shell: InteractiveShell
    tasks: frozenset[str]
    cell: str | None = None
    runs: dict[str, LastRun] = field(default_factory=dict)
    fresh: set[str] = field(default_factory=set)

    def saved(self, task: str, code: str) -> None:
        self._note(task, LastRun(code, ""))

    def refused(self, task: str, why: str) -> None:
        self._note(task, LastRun("", why))

    def _note(self, task: str, run: LastRun) -> None:
        self.runs[task] = run
        self.fresh.add(task)

    def source_of(self, task: str, body: str) -> str:
        """The whole cell that a body below a `%%todo` line comes from, as its editor shows it."""
        if self.cell is not None and task_named(self.cell) == task:
            return self.cell
        return f"%%todo {task}\n{body}"

    def before_cell(self, info: ExecutionInfo) -> None:
        """Let the cell begin with the files of guidance/ as they are now."""
        self.cell = info.raw_cell
        self.fresh = set()
        for module, source in edited_modules():
            self._load(module, source)

    def _load(self, module: ModuleType, source: bytes) -> None:
        before = dict(vars(module))
        try:
            load_again(module, source)
        # Whatever the lines of the student's file raise, the cell must run.
        except (Exception, SystemExit) as error:
            name = f"guidance/{Path(str(module.__file__)).name}"
            why = f"{type(error).__name__}: {in_short(Exception(error))}"
            print(f"{name} cannot be loaded ({why}); cells use it as it was before.")
            return
        names = self.shell.user_ns
        for name, value in list(names.items()):
            if isinstance(value, FunctionType) and before.get(name) is value:
                names.pop(name)
                names |= {name: vars(module)[name]} if name in vars(module) else {}

    def after_cell(self, result: ExecutionResult) -> None:
        """Notice a task's function in a cell that saved nothing, for whatever reason."""
        source, self.cell = self.cell or "", None
        for task in self._tasks_in(source) - self.fresh:
            error = result.error_before_exec or result.error_in_exec
            if error and task_named(source) == task:
                self.refused(task, f"its cell stopped with {type(error).__name__}: {error}")
            else:
                line = f"%%todo {task}"
                self.refused(task, f"its cell does not begin with the line {line}.")

    def _tasks_in(self, source: str) -> set[str]:
        """The tasks that a cell names in a `%%todo` line, else those whose function it defines."""
        named = set(_TODO.findall(source)) & self.tasks
        defined = set(_DEFINED.findall(source))
        return named or {task for task in self.tasks if split_task(task)[1] in defined}


_kernel: Kernel | None = None


def watch(shell: InteractiveShell) -> Kernel:
    """Follow the cells of a shell from now on."""
    global _kernel
    _kernel = Kernel(shell, frozenset(_all_tasks()))
    shell.events.register("pre_run_cell", _kernel.before_cell)
    shell.events.register("post_run_cell", _kernel.after_cell)
    return _kernel


def forget(shell: InteractiveShell) -> None:
    """Follow them no longer."""
    global _kernel
    if _kernel is not None:
        shell.events.unregister("pre_run_cell", _kernel.before_cell)
        shell.events.unregister("post_run_cell", _kernel.after_cell)
        _kernel = None


def remarks(task: str) -> tuple[str, ...]:
    """What is to be known before a check is read: the cell does not hold what is checked.

    Nothing where it does, or where no cell of a notebook is running.
    """
    if _kernel is None or _kernel.cell is None:
        return ()
    stage, function = split_task(task)
    last = _kernel.runs.get(task)
    if last and last.refusal:
        return (
            f"Your last {function} was not saved: {last.refusal}",
            f"What follows is about the one in guidance/{stage}.py.",
        )
    text = _file_text(stage)
    # Of a file that has no such function, or that is not Python, the check itself says so.
    if not (defines if last else is_answered)(text, task):
        return ()
    code = last.code if last else _code_in_file(task)
    if code is None:
        return (
            f"The cell of {task} has not been run here, and only the cell is graded: run it, and "
            "check again.",
        )
    return _differences(text, task, code)


def is_in_notebook(task: str) -> bool:
    """Whether the notebook's file, as last saved, has the answer of guidance/ or cannot be read."""
    code = _code_in_file(task)
    return code is None or not _differences(_file_text(split_task(task)[0]), task, code)


def only_file_answers(task: str, code: str) -> bool:
    """Whether a cell with this answer is still to do, and guidance/ has an answer already."""
    stage, function = split_task(task)
    return is_to_do(code, function) and is_answered(_file_text(stage), task)


def only_in_file(task: str) -> str:
    """How an answer gets into its cell that was written into the file."""
    stage = split_task(task)[0]
    return (
        f"guidance/{stage}.py holds an answer to {task}, and your notebook's cell does not. Only "
        f"the cells are graded: to copy it there, replace the text of its cell by the line "
        f"%load_todo {task} and run the cell, twice."
    )


def lacks(task: str, names: Sequence[str]) -> str:
    """What is said of a cell that uses names which only the file has."""
    stage, function = split_task(task)
    return (
        f"The cell of {function} uses {', '.join(names)}, which only guidance/{stage}.py has. Only "
        "the cells are graded: move that into the cell, and run it."
    )


def _differences(text: str, task: str, code: str) -> tuple[str, ...]:
    """A sentence on an answer in a cell that is not what its module has; none where it is."""
    stage, function = split_task(task)
    if not holds(text, task, code):
        return (only_in_file(task) if is_to_do(code, function) else _another(stage, function),)
    names = only_outside(text, code, given_names(stage))
    return (lacks(task, names),) if names else ()


def _another(stage: str, function: str) -> str:
    return (
        f"guidance/{stage}.py holds another {function} than your notebook's cell. This check looks "
        "at the file, and only the cell is graded: run the cell, or replace its text by the line "
        f"%load_todo {stage}.{function} if the file's is the better one."
    )


def _file_text(stage: str) -> str:
    try:
        return student_file(stage).read_bytes().decode("utf-8-sig", errors="replace")
    except OSError:
        return ""


def _code_in_file(task: str) -> str | None:
    """The answer in a notebook's file as last saved, "" where its cell has none to read.

    None: there is no such notebook, or no such cell.
    """
    try:
        # Here, because it imports torch, and instructors' commands read cells without.
        from distillery.course.tasks import load_task

        notebook = course_root() / load_task(task).notebook
        cells = json.loads(notebook.read_bytes())["cells"]
        sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    code = None
    for source in sources:
        if task_named(source) == task:
            try:
                code = read_answer(task, source).code
            except CourseError:
                code = ""
    return code


def _all_tasks() -> Iterator[str]:
    for path in checks_in(course_root()):
        yield from (f"{path.stem}.{function}" for function in task_names(path.stem))
