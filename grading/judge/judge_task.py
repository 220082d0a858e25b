"""The answer key, and the verdict on what a student's function did.

The walk from a reply of the sandbox to a verdict goes one way, each module entered once:

    grade         runs the function in the sandbox, where the case's `record` calls it
    judge         here, with the reply:
      conclude    its facts and tensors -> Observation, by the case's `conclude`
      compare     with what is wanted and all known mistakes -> Comparison
      say         the lines for the student, by the case's `words`
      _share      the part of the points, by the case's `side_conditions` and `parts`
      _png        target, theirs and difference, by the case's `draw`

A reply comes from a process where a student's code ran, so nothing in it is trusted: what follows
from its tensors is computed here. The kinds of cases are in `distillery.course.kinds`.
"""

from __future__ import annotations

import hashlib
import importlib
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from torch import Tensor

from distillery.core.counting import counted
from distillery.core.errors import CourseError
from distillery.course.observe import UNREADABLE, Observation, close, conclude
from distillery.course.record import Recording, under
from distillery.course.sentences import say, says_to_do, shortened, still_to_do, stopped
from distillery.course.stored_checks import split_task
from distillery.course.tasks import Comparison, Task, Trial, compare
from grading.authoring.observed_tasks import observed_task, observed_trials
from grading.core.records import Outcome, Verdict
from grading.sandbox.jobs import Limits, Raised, Reply
from grading.stages import STAGES

DPI = 80  # of figures
SHADES = 500  # that a figure tells apart, at most
MOST_DRAWN = 500  # figures that are kept
SIDE_CONDITION = 0.5  # of the points, where nothing but side conditions is wrong

OTHER_INPUTS = (
    "  Grading uses other pictures, sizes and levels than the notebook's check, in addition: try "
    "your function on others."
)
NETWORK = (
    "network",
    "unreachable",
    "name resolution",
    "name or service not known",
    "connection refused",
    "offline mode",
    "max retries",
)
ABSOLUTE_PATH = re.compile(r"""['"](/|~|[A-Za-z]:[\\/])""")
NO_MODULE = re.compile(r"No module named '([\w.]{1,60})'")


class Key:
    """The answer key: what is right on the visible inputs, and on the hidden inputs of a seed.

    Grading judges both, so it never lets through what the notebook's check does not. The same seed
    gives the same inputs. Each task is computed when it is first needed, and kept.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._tasks: dict[str, Task] = {}

    def task(self, name: str) -> Task:
        """The task "stage.function" with its visible trials and then its hidden ones.

        Raises:
            CourseError: there is no such task.
        """
        if name not in self._tasks:
            visible, right = _visible(name)
            hidden = observed_trials(name, right, self._seed_of(name))
            self._tasks[name] = replace(
                visible, trials=(*visible.trials, *hidden), hidden=len(hidden)
            )
        return self._tasks[name]

    def _seed_of(self, name: str) -> int:
        """One for each task, so that no hidden input tells anything about another."""
        digest = hashlib.sha256(f"{self.seed} {name}".encode()).digest()
        return 1 + int.from_bytes(digest[:7], "big")


@cache
def _visible(name: str) -> tuple[Task, Callable[..., Any]]:
    """A task as students have it, and its right answer."""
    module, function = split_task(name)
    stages = [stage for stage in STAGES if stage.module == module and function in stage.points]
    if not stages:
        raise CourseError(f"there is no task {name}; grading/stages/ has a folder a stage.")
    right = getattr(importlib.import_module(f"reference.{module}"), function)
    return observed_task(stages[0], function, right), right


def judge(
    task: Task, reply: Reply, worth: float, *, limits: Limits | None = None, partial: bool = True
) -> tuple[Verdict, bytes | None]:
    """The verdict on one task of one submission, and a picture where there is one to draw.

    Args:
        task: of a `Key`.
        reply: what a sandbox gave back; nothing in it is trusted.
        worth: the points of a right answer.
        limits: those of the sandbox, which are named where one was reached.
        partial: give some points where the numbers are right and a side condition is not, or where
            some parts of the answer are right.

    Returns:
        the verdict and, where the answer is wrong, a PNG of target, theirs and difference.
    """
    came = _observations(task, reply)
    found = compare(task, came)
    if reply.ending != "returned" and (reply.ending != "raised" or all(found.rights[: len(came)])):
        outcome, lines = _without_result(task, found, reply, limits or Limits())
        return Verdict(task.name, 0.0, worth, outcome, lines), None
    lines = say(found)
    if found.passed:
        return Verdict(task.name, worth, worth, "right", lines), None
    share, why = _share(found) if partial else (0.0, "")
    points = round(share * worth, 2)
    name = found.misconception.name if found.misconception else None
    if points:
        others = (line for line in lines if line != f"  {why}.")
        lines = (*others, f"  {why}: {points:g} of {counted(worth, 'point')}.")
    if found.seems_right:
        lines = (*lines, OTHER_INPUTS)
    png = _png(found)
    figure = None if png is None else f"{task.name}.png"
    return Verdict(task.name, points, worth, "wrong", lines, name, figure), png


def _observations(task: Task, reply: Reply) -> list[Observation]:
    """What a reply shows of each trial; of those after an exception, nothing."""
    said = reply.facts.get("recordings")
    recordings = said if isinstance(said, list) else []
    came = [
        conclude(Recording(facts, under(f"{place}/", reply.tensors)), trial.case)
        for place, (facts, trial) in enumerate(zip(recordings, task.trials, strict=False))
    ]
    if reply.ending == "returned":
        lacking = len(task.trials) - len(came)
        return [*came, *[Observation({"type": UNREADABLE})] * lacking]
    return came


def _share(found: Comparison) -> tuple[float, str]:
    """The part of the points that a wrong answer earns, and what for."""
    pairs = [
        (trial, came)
        for trial, came in zip(found.task.trials, found.observations, strict=True)
        if came is not None and came.facts.keys() == trial.wanted.facts.keys()
    ]
    if len(pairs) < len(found.task.trials):
        return 0.0, ""
    differing = [(trial, came) for trial, came in pairs if trial.differing(came)]
    if not differing:
        return _share_of_parts(pairs)
    numbers = all(trial.has_right_numbers(came) for trial, came in pairs)
    if numbers and all(_differs_beside_the_task(trial, came) for trial, came in differing):
        return SIDE_CONDITION, "The numbers are right"
    return 0.0, ""


def _differs_beside_the_task(trial: Trial, came: Observation) -> bool:
    """Only in facts that are side conditions."""
    conditions, wanted = trial.case.side_conditions, trial.wanted.facts
    return all(
        name in conditions and conditions[name](wanted[name], came.facts[name])
        for name in trial.differing(came)
    )


def _share_of_parts(pairs: Sequence[tuple[Trial, Observation]]) -> tuple[float, str]:
    """Results returned side by side count for themselves; right is right in every trial."""
    parts = pairs[0][0].case.parts
    if not parts or not pairs[0][0].case.parts_earn_points:
        return 0.0, ""
    good = [
        part for place, part in enumerate(parts) if all(_is_right(*pair, place) for pair in pairs)
    ]
    are = "is" if len(good) == 1 else "are"
    return len(good) / len(parts), f"{' and '.join(good)} {are} right"


def _is_right(trial: Trial, came: Observation, place: int) -> bool:
    """Whether the part of the value at this place is right."""
    theirs, ours = came.value, trial.wanted.value
    if theirs is None or ours is None or len(theirs) != len(ours):
        return False
    return close(theirs[place], ours[place], came.tolerance)


def _without_result(
    task: Task, found: Comparison, reply: Reply, limits: Limits
) -> tuple[Outcome, tuple[str, ...]]:
    """The outcome and its lines where the function did not return."""
    raised, ending = reply.raised, reply.ending
    if raised is not None and _ran_out_of_memory(raised):
        ending = "out of memory"
    if ending == "raised" and raised is not None:
        return _of_exception(found, raised)
    sentences: dict[str, tuple[Outcome, str]] = {
        "timed out": (
            "timed out",
            f"it did not return within {limits.wall_s:g} seconds, the limit for one task.",
        ),
        "out of memory": (
            "out of memory",
            f"it needed more than {limits.memory_mb} MB of memory, the limit for one task.",
        ),
        "too much": (
            "stopped",
            f"it wrote or returned more than {limits.reply_bytes // 2**20} MB, the limit for one "
            "task.",
        ),
    }
    died: tuple[Outcome, str] = ("died", "its process ended before the function returned.")
    outcome, sentence = sentences.get(ending, died)
    line = [f"  in the line: {shortened(raised.line)}"] if raised and raised.line else []
    return outcome, (f"{task.name}: {sentence}", *line)


def _ran_out_of_memory(raised: Raised) -> bool:
    """Whether an allocation failed, which is how a limit on memory often shows."""
    return raised.kind == "MemoryError" or "DefaultCPUAllocator" in raised.message[:1000]


def _of_exception(found: Comparison, raised: Raised) -> tuple[Outcome, tuple[str, ...]]:
    task = found.task
    if raised.kind == "NotImplementedError" and says_to_do(raised.message[:1000]):
        return "to do", (still_to_do(task),)
    lines = stopped(task, found.trial, raised.kind, raised.message, raised.line)
    hint = _hint(raised.kind, raised.message[:1000])
    last = (OTHER_INPUTS,) if found.seems_right else ()
    return "stopped", (*lines, *hint, *last)


def _hint(kind: str, message: str) -> tuple[str, ...]:
    """What is different during grading and may be the cause of an exception."""
    module = NO_MODULE.search(message)
    if module:
        return (
            f"  {module[1]} is not installed where grading runs: use only the packages of the "
            "course's environment.",
        )
    if kind in ("gaierror", "URLError", "ConnectionError", "MaxRetryError") or any(
        words in message.lower() for words in NETWORK
    ):
        return ("  There is no network during grading: a task needs nothing from it.",)
    if kind in ("FileNotFoundError", "PermissionError") and ABSOLUTE_PATH.search(message):
        return (
            "  A path on your computer does not exist elsewhere: a task needs no files of yours.",
        )
    if kind == "EOFError":
        return ("  Nobody can answer input() during grading: remove it.",)
    return ()


_drawn: dict[str, bytes] = {}  # by what a figure shows; a class makes the same mistakes


def _png(found: Comparison) -> bytes | None:
    """Target, theirs and difference; None where there is no difference to be seen."""
    trial, came = found.trial, found.came
    assert came is not None
    if trial.has_right_numbers(came) or not trial.case.can_draw(trial.wanted, came):
        return None
    seen = _fingerprint(found)
    if seen not in _drawn:
        if len(_drawn) == MOST_DRAWN:
            _drawn.clear()
        _drawn[seen] = _drawing(found)
    return _drawn[seen]


def _drawing(found: Comparison) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = found.trial.case.draw(Figure, found.trial.wanted, found.came)
    png = io.BytesIO()
    figure.set_dpi(DPI)
    FigureCanvasAgg(figure).print_png(png)
    return png.getvalue()


def _fingerprint(found: Comparison) -> str:
    """Of the task, the target and theirs, as finely as a picture shows them."""
    trial, came = found.trial, found.came
    assert came is not None
    digest = hashlib.sha256(found.task.name.encode())
    target = trial.wanted.value
    if target is None or came.value is None:
        digest.update(str(trial.case.values).encode())
        digest.update(_bytes(came.samples))
        return digest.hexdigest()
    limit = max(float(target.abs().max()), 1e-3)
    for value in (target, came.value):
        digest.update((SHADES * value / limit).round().numpy().tobytes())
    return digest.hexdigest()


def _bytes(tensor: Tensor | None) -> bytes:
    return b"" if tensor is None else tensor.float().numpy().tobytes()
