"""`pytest guidance`: a test for each task, which says what its check says.

guidance/conftest.py takes the hooks from here. A right answer passes, one that is still to do is
skipped with its sentence, and a wrong one fails with the lines of the check.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from distillery.core.errors import CourseError
from distillery.course.check import judge
from distillery.course.saved_cells import is_in_notebook
from distillery.course.stored_checks import task_names
from distillery.course.student_files import student_module

NOT_IN_CELL = "not in its cell"  # a property of a test that passes


class StageFile(pytest.File):
    """guidance/<stage>.py; it is imported when its tests run, not when they are collected."""

    def collect(self) -> Iterator[TaskItem]:
        try:
            with self.inside_course():
                names = task_names(self.path.stem)
        except CourseError as error:
            raise self.CollectError(str(error)) from None
        text = self.path.read_text(encoding="utf-8-sig", errors="replace")
        for name in names:
            yield TaskItem.from_parent(self, name=name, line=_line_of(name, text))

    @contextlib.contextmanager
    def inside_course(self) -> Iterator[None]:
        """Work in the file's course: pytest may be started above it, or in another copy."""
        before = os.getcwd()
        os.chdir(self.path.parents[1])
        try:
            yield
        finally:
            os.chdir(before)


class TaskItem(pytest.Item):
    """The check of one function.

    line: of its `def`, from 0; None where the file has none.
    """

    def __init__(self, *, line: int | None, **options: Any) -> None:
        super().__init__(**options)
        self.line = line

    def runtest(self) -> None:
        """Judge the function.

        Raises:
            AssertionError: it is wrong. The text is all that its check says.
        """
        assert isinstance(self.parent, StageFile)
        first = next(item for item in self.session.items if item.parent is self.parent)
        with self.parent.inside_course():
            # A file that does not load is one fault, so one test fails with it.
            if self is not first and not _loads(self.path.stem):
                pytest.skip(f"guidance/{self.path.name} cannot be loaded; {first.name} says why.")
            task = f"{self.path.stem}.{self.name}"
            result = judge(task)
            if result.passed and not is_in_notebook(task):
                self.user_properties.append((NOT_IN_CELL, task))
        if result.to_do:
            pytest.skip(result.lines[0])
        said = "\n".join(result.lines)
        if not result.passed:
            raise AssertionError(said)  # editors call any other exception an error of the test
        self.add_report_section("call", "check", said)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """What the check says, without a traceback, in every `--tb` style."""
        if isinstance(excinfo.value, AssertionError | CourseError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Where editors jump to, and the test's name in reports."""
        return self.path, self.line, self.name


def _line_of(function: str, text: str) -> int | None:
    """The line of its `def`, from 0, also in a text that is not Python."""
    found = re.search(rf"^def {function}\b", text, re.MULTILINE)
    return text.count("\n", 0, found.start()) if found else None


def _loads(stage: str) -> bool:
    try:
        student_module(stage)
    except (Exception, SystemExit):
        return False
    return True


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(
    file_path: Path, parent: pytest.Collector
) -> Generator[None, list[pytest.Collector], list[pytest.Collector]]:
    """Collect a module of a stage as nothing but its tasks, also where its file is named."""
    found = yield
    checks = file_path.parents[1] / "data" / "checks" / f"{file_path.stem}.json"
    if file_path.suffix == ".py" and checks.is_file():
        return [StageFile.from_parent(parent, path=file_path)]
    return found


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Say of a skipped task where its function is, not where this module skips it."""
    report = yield
    if report.skipped and isinstance(item, TaskItem):
        assert isinstance(report.longrepr, tuple)
        reason = report.longrepr[2]
        report.longrepr = (str(item.path), (item.line or 0) + 1, reason)
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which right answers stand in guidance/ alone, where nobody grades them."""
    properties = [one.user_properties for one in terminalreporter.getreports("passed")]
    tasks = [str(task) for its in properties for name, task in its if name == NOT_IN_CELL]
    if tasks:
        terminalreporter.write_line(
            "Only the %%todo cells of the notebooks are graded. As last saved they do not hold "
            f"{', '.join(tasks)}: put the line %load_todo {tasks[0]} alone into its cell, and run "
            "the cell."
        )
