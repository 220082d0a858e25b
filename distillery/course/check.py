"""`check("sds.sds_grad")`: is the function right, and if not, which mistake is it?"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from distillery.core.errors import STILL_TO_DO
from distillery.course.observe import Observation, observe
from distillery.course.progress import keep
from distillery.course.saved_cells import remarks
from distillery.course.sentences import say, says_to_do, still_to_do, stopped, unfinished
from distillery.course.stored_checks import split_task
from distillery.course.student_files import student_file, student_module
from distillery.course.tasks import Task, compare, load_task
from distillery.notebook.stopped_cell import stopped_in_a_line
from distillery.notebook.validate import Points, fail_in_validate, no_stderr_in_validate

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Result:
    """The result of a check.

    lines:   what a student reads.
    remarks: what comes before them where the notebook's cell does not hold what was checked.
    """

    task: str
    passed: bool
    lines: tuple[str, ...]
    misconception: str | None = None
    remarks: tuple[str, ...] = ()

    @property
    def to_do(self) -> bool:
        """Whether the function, or one that it calls, is still to do."""
        return STILL_TO_DO in self.lines[0]

    def points(self, worth: float) -> Points:
        """All the points or none; as the last value of a cell it is what nbgrader reads.

        Raises:
            CourseError: in nbgrader's Validate, which shows its text, where the function is not
                right, or the cell, which is graded, does not hold it.
        """
        if self.remarks or not self.passed:
            fail_in_validate((*self.remarks, *self.lines))
        return Points(worth if self.passed else 0, worth)

    def _ipython_display_(self) -> None:
        """Nothing more to show under the cell."""


def check(task: str, function: Callable[..., Any] | None = None) -> Result:
    """Check one function of the course and print the result, in a few lines.

    In a notebook whose cell does not hold what is checked, a sentence before them says so.

    Args:
        task: "stage.function"; that function of guidance/<stage>.py is checked.
        function: check this one instead.

    Raises:
        CourseError: there is no such task. Exceptions of the checked function are not raised.
    """
    with no_stderr_in_validate(), stopped_in_a_line(_stopped_by_hand(task)):
        result = replace(judge(task, function), remarks=() if function else remarks(task))
    print("\n".join([*result.remarks, *result.lines]))
    return result


def _stopped_by_hand(task: str) -> str:
    return (
        f"stopped: {task} had not returned. If it always takes so long, look for a loop in it that "
        "does not end."
    )


def judge(task: str, function: Callable[..., Any] | None = None) -> Result:
    """The result of a check, which prints nothing; arguments and errors are those of `check`.

    What is said of the student's own function is kept for `my_progress`.
    """
    result = _result(load_task(task), function)
    if function is None:
        keep(task, None if result.to_do else float(result.passed))
    return result


def _result(task: Task, function: Callable[..., Any] | None) -> Result:
    came: list[Observation] = []
    try:
        tested = function or _student_function(task.name)
        for trial in task.trials:
            came.append(observe(tested, trial.case))
    except NotImplementedError as error:
        if says_to_do(str(error)) and _seems_right(task, came):
            return Result(task.name, False, (str(error) or still_to_do(task),))
        return _stopped_or_wrong(task, came, error, function)
    except (Exception, SystemExit) as error:
        return _stopped_or_wrong(task, came, error, function)
    return _compared(task, came, function)


def _seems_right(task: Task, came: list[Observation]) -> bool:
    """Whether it is right in the trials so far."""
    return all(trial.passes(its) for trial, its in zip(task.trials, came, strict=False))


def _stopped_or_wrong(
    task: Task,
    came: list[Observation],
    error: BaseException,
    function: Callable[..., Any] | None,
) -> Result:
    """Said of the first trial in which it is not right, which may come before the error."""
    if not _seems_right(task, came):
        return _compared(task, came, function)
    line = _own_line(task, error)
    lines = stopped(task, task.trials[len(came)], type(error).__name__, str(error), line)
    return Result(task.name, False, lines)


def _compared(task: Task, came: list[Observation], function: Callable[..., Any] | None) -> Result:
    found = compare(task, came)
    name = found.misconception.name if found.misconception else None
    result = Result(task.name, found.passed, say(found), name)
    if not result.passed and result.misconception is None and function is None:
        stage = split_task(task.name)[0]
        wrong = [name for name in task.uses if not _is_right(load_task(f"{stage}.{name}"))]
        return replace(result, lines=(*result.lines, *unfinished(wrong)))
    return result


def _is_right(task: Task) -> bool:
    try:
        function = _student_function(task.name)
        return task.passes([observe(function, trial.case) for trial in task.trials])
    except (Exception, SystemExit):
        return False


def _student_function(task: str) -> Callable[..., Any]:
    stage, name = split_task(task)
    function = getattr(student_module(stage), name, None)
    if function is None:
        raise NotImplementedError(
            f"guidance/{stage}.py holds no {name}, so it {STILL_TO_DO}: run its %%todo cell."
        )
    return function


def _own_line(task: Task, error: BaseException) -> str:
    """The last line of the student's own code that the exception came through."""
    file = str(student_file(split_task(task.name)[0]))
    if isinstance(error, SyntaxError) and error.filename == file:
        return (error.text or "").strip()
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame.line or "" for frame in frames if frame.filename == file]
    return own[-1] if own else ""


def compare_picture(task: str, function: Callable[..., Any] | None = None) -> Figure:
    """Draw target, yours and their difference on the ordinary inputs, a row for each latent.

    For a sampler it is a histogram, and for a result of a few numbers a bar for each. Arguments and
    errors are those of `check`. Where the function returns nothing that can be drawn, only the
    target is drawn.
    """
    from matplotlib import pyplot

    trial = load_task(task).trials[0]
    wanted, came = trial.wanted, None
    try:
        with stopped_in_a_line(_stopped_by_hand(task)):
            came = observe(function or _student_function(task), trial.case)
    except (Exception, SystemExit):
        pass
    else:
        accepted = trial.matching(came)
        wanted = replace(wanted, value=accepted.value) if accepted else wanted
    figure = trial.case.draw(pyplot.figure, wanted, came)
    pyplot.close(figure)  # it is shown as the value of the cell, not a second time by the backend
    return figure
