"""Hidden inputs, and the verdict on what a student's function did with them.

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

from torch import Tensor

from distillery.core.errors import CourseError
from distillery.course.observe import close, conclude
from distillery.course.record import Recording
from distillery.course.sentences import say, says_to_do, shortened, still_to_do, stopped
from distillery.course.tasks import Comparison, Task, compare, split_task
from grading.authoring.observed_tasks import observed_task
from grading.core.records import Outcome, Verdict
from grading.sandbox.jobs import Limits, Raised, Reply
from grading.stages import STAGES

DRAWS_OF_A_CASE = 50  # of ten, nine or ten tell all misconceptions apart
DPI = 80  # of figures
SHADES = 500  # that a figure tells apart, at most
MOST_DRAWN = 500  # figures that are kept
SIDE_CONDITION = 0.5  # of the points, where nothing but side conditions is wrong

OTHER_INPUTS = (
    "  Grading uses other pictures, sizes and levels than the notebook's check: try your function "
    "on others."
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
    """The answer key: what is right and what is known to be wrong on the hidden inputs of a seed.

    The same seed gives the same inputs. Each task is computed when it is first needed, and kept.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._tasks: dict[str, Task] = {}

    def task(self, name: str) -> Task:
        """The task "stage.function" on its hidden inputs.

        Inputs on which a misconception looks like another answer are replaced by new ones.

        Raises:
            CourseError: there is no such task.
        """
        if name not in self._tasks:
            self._tasks[name] = self._observed(name)
        return self._tasks[name]

    def _observed(self, name: str) -> Task:
        module, function = split_task(name)
        stages = [stage for stage in STAGES if stage.module == module and function in stage.points]
        if not stages:
            raise CourseError(f"there is no task {name}; grading/stages/ has a folder a stage.")
        right = getattr(importlib.import_module(f"reference.{module}"), function)
        for attempt in range(DRAWS_OF_A_CASE):
            try:
                return observed_task(stages[0], function, right, self._seed_of(name, attempt))
            except CourseError as error:
                last = error
        raise last

    def _seed_of(self, name: str, attempt: int) -> int:
        """One for each task, so that no hidden input tells anything about another."""
        digest = hashlib.sha256(f"{self.seed} {name} {attempt}".encode()).digest()
        return 1 + int.from_bytes(digest[:7], "big")


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
    if reply.ending != "returned":
        outcome, lines = _without_result(task, reply, limits or Limits())
        return Verdict(task.name, 0.0, worth, outcome, lines), None
    found = compare(task, conclude(Recording(reply.facts, reply.tensors), task.case))
    lines = say(found)
    if found.passed:
        return Verdict(task.name, worth, worth, "right", lines), None
    share, why = _share(found) if partial else (0.0, "")
    points = round(share * worth, 2)
    name = found.misconception.name if found.misconception else None
    if points:
        lines = (*lines, f"  {why}: {points:g} of {worth:g} points.")
    elif name is None:
        lines = (*lines, OTHER_INPUTS)
    png = _png(found)
    figure = None if png is None else f"{task.name}.png"
    return Verdict(task.name, points, worth, "wrong", lines, name, figure), png


def _share(found: Comparison) -> tuple[float, str]:
    """The part of the points that a wrong answer earns, and what for."""
    wanted, came, case = found.task.wanted.facts, found.came.facts, found.task.case
    if came.keys() != wanted.keys():
        return 0.0, ""
    if not found.differing:
        return _share_of_parts(found)
    conditions = case.side_conditions
    only_these = all(
        name in conditions and conditions[name](wanted[name], came[name])
        for name in found.differing
    )
    if only_these and found.right_numbers:
        return SIDE_CONDITION, "The numbers are right"
    return 0.0, ""


def _share_of_parts(found: Comparison) -> tuple[float, str]:
    """Results that are returned side by side count for themselves."""
    right, came, parts = found.task.wanted.value, found.came.value, found.task.case.parts
    if not found.task.case.parts_earn_points or not parts or came is None or right is None:
        return 0.0, ""
    pairs = zip(parts, came, right, strict=True)
    good = [part for part, theirs, ours in pairs if close(theirs, ours, found.came.tolerance)]
    are = "is" if len(good) == 1 else "are"
    return len(good) / len(parts), f"{' and '.join(good)} {are} right"


def _without_result(task: Task, reply: Reply, limits: Limits) -> tuple[Outcome, tuple[str, ...]]:
    """The outcome and its lines where the function did not return."""
    raised, ending = reply.raised, reply.ending
    if raised is not None and _ran_out_of_memory(raised):
        ending = "out of memory"
    if ending == "raised" and raised is not None:
        return _of_exception(task, raised)
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


def _of_exception(task: Task, raised: Raised) -> tuple[Outcome, tuple[str, ...]]:
    if raised.kind == "NotImplementedError" and says_to_do(raised.message[:1000]):
        return "to do", (still_to_do(task),)
    lines = stopped(task, raised.kind, raised.message, raised.line)
    if raised.kind == "NameError":  # has a hint already
        return "stopped", lines
    return "stopped", (*lines, _hint(raised.kind, raised.message[:1000]))


def _hint(kind: str, message: str) -> str:
    """What is different during grading and may be the cause of an exception."""
    module = NO_MODULE.search(message)
    if module:
        return (
            f"  {module[1]} is not installed where grading runs: use only the packages of the "
            "course's environment."
        )
    if kind in ("gaierror", "URLError", "ConnectionError", "MaxRetryError") or any(
        words in message.lower() for words in NETWORK
    ):
        return "  There is no network during grading: a task needs nothing from it."
    if kind in ("FileNotFoundError", "PermissionError") and ABSOLUTE_PATH.search(message):
        return "  A path on your computer does not exist elsewhere: a task needs no files of yours."
    if kind == "EOFError":
        return "  Nobody can answer input() during grading: remove it."
    return OTHER_INPUTS


_drawn: dict[str, bytes] = {}  # by what a figure shows; a class makes the same mistakes


def _png(found: Comparison) -> bytes | None:
    """Target, theirs and difference; None where there is no difference to be seen."""
    if found.right_numbers or not found.task.case.can_draw(found.task.wanted, found.came):
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

    figure = found.task.case.draw(Figure, found.task.wanted, found.came)
    png = io.BytesIO()
    figure.set_dpi(DPI)
    FigureCanvasAgg(figure).print_png(png)
    return png.getvalue()


def _fingerprint(found: Comparison) -> str:
    """Of the task, the target and theirs, as finely as a picture shows them."""
    task, came = found.task, found.came
    digest = hashlib.sha256(task.name.encode())
    target = task.wanted.value
    if target is None or came.value is None:
        digest.update(str(task.case.values).encode())
        digest.update(_bytes(came.samples))
        return digest.hexdigest()
    limit = max(float(target.abs().max()), 1e-3)
    for value in (target, came.value):
        digest.update((SHADES * value / limit).round().numpy().tobytes())
    return digest.hexdigest()


def _bytes(tensor: Tensor | None) -> bytes:
    return b"" if tensor is None else tensor.float().numpy().tobytes()
