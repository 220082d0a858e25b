"""Hidden inputs, and the verdict on what a student's function did with them.

A reply comes out of a process where a student's code ran, so nothing in it is believed: what can be
computed from its arrays is computed here, beside the reference and every known misconception.
"""

from __future__ import annotations

import hashlib
import importlib
import io
import re
from collections.abc import Callable
from typing import Any

from distillery.core.errors import CourseError
from distillery.course.check import in_short, outcome, picture, says_to_do, still_to_do, stopped
from distillery.course.observe import Observation, Recording, Task, close, conclude, split_task
from grading.authoring.observed_tasks import observed_task
from grading.core.records import Outcome, Verdict
from grading.sandbox.jobs import Limits, Raised, Reply
from grading.stages import STAGES

DRAWS_OF_A_CASE = 50  # of ten, nine or ten tell all misconceptions apart
DPI = 80  # of figures
SHADES = 500  # that a figure tells apart, at most
MOST_DRAWN = 500  # figures that are kept

# What may be broken while the numbers are right: a fact, and whether what came instead of what was
# wanted is only that. Everything else that differs is part of the task itself. What SDXL is told is
# such a part, and so is a graph that is missing: nothing would ever learn.
SIDE_CONDITIONS: dict[str, Callable[[Any, Any], bool]] = {
    "graph": lambda wanted, came: came and not wanted,  # one left on
    "changed": lambda wanted, came: came and not wanted,  # an argument changed in place
    "calls": lambda wanted, came: came > wanted,  # a network asked more often than needed
    "lora_calls": lambda wanted, came: came[0] > wanted[0] and came[1] >= wanted[1],
    "leaks": lambda wanted, came: came and not wanted,  # a gradient for a constant too
}
SIDE_CONDITION = 0.5  # of the points, where nothing else is wrong

ELSEWHERE = "  Grading uses other pictures, sizes and levels than the notebook's check."
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
    """What is right, and what is known to be wrong, on inputs that one seed hides.

    Two of one seed are the same. Each task is computed when it is first asked for, and kept.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._tasks: dict[str, Task] = {}

    def task(self, name: str) -> Task:
        """The task "stage.function" on its hidden inputs.

        Inputs on which a misconception looks like another answer are drawn anew.

        Raises:
            CourseError: there is no such task.
        """
        if name not in self._tasks:
            self._tasks[name] = self._drawn(name)
        return self._tasks[name]

    def _drawn(self, name: str) -> Task:
        module, function = split_task(name)
        stages = [stage for stage in STAGES if stage.module == module and function in stage.points]
        if not stages:
            raise CourseError(f"there is no task {name}; grading/stages/stage.py lists them.")
        right = getattr(importlib.import_module(f"reference.{module}"), function)
        for attempt in range(DRAWS_OF_A_CASE):
            try:
                return observed_task(stages[0], function, right, self._seed_of(name, attempt))
            except CourseError as error:
                last = error
        raise last

    def _seed_of(self, name: str, attempt: int) -> int:
        """One for each task, so that no hidden input says anything of another."""
        digest = hashlib.sha256(f"{self.seed} {name} {attempt}".encode()).digest()
        return 1 + int.from_bytes(digest[:7], "big")


def judge(
    task: Task, reply: Reply, worth: float, *, limits: Limits | None = None, partial: bool = True
) -> tuple[Verdict, bytes | None]:
    """The verdict on one task of one submission, and a picture where there is one to draw.

    Args:
        task: of a `Key`.
        reply: what a sandbox gave back; nothing in it is believed.
        worth: the points of a right answer.
        limits: those of the sandbox, which are named where one was reached.
        partial: give some points where the numbers are right and a side condition is not, or where
            some parts of the answer are right.

    Returns:
        the verdict and, where the answer is wrong, a PNG of target, theirs and difference.
    """
    if reply.ending == "returned":
        return _of_recording(task, Recording(reply.facts, reply.tensors), worth, partial)
    ending, lines = _without_recording(task, reply, limits or Limits())
    return Verdict(task.name, 0.0, worth, ending, lines), None


def _of_recording(
    task: Task, recording: Recording, worth: float, partial: bool
) -> tuple[Verdict, bytes | None]:
    came = conclude(recording, task.case)
    result = outcome(task, came)
    if result.passed:
        return Verdict(task.name, worth, worth, "right", result.lines), None
    share, why = _share(task, came) if partial else (0.0, "")
    points = round(share * worth, 2)
    lines = list(result.lines)
    if points:
        lines.append(f"  {why}: {points:g} of {worth:g} points.")
    elif result.misconception is None:
        lines.append(ELSEWHERE)
    # Where only a side condition is broken, there is no difference to be seen.
    png = None if _has_right_numbers(task, came) else _png(task, came, recording)
    figure = None if png is None else f"{task.name}.png"
    name = result.misconception
    return Verdict(task.name, points, worth, "wrong", tuple(lines), name, figure), png


def _share(task: Task, came: Observation) -> tuple[float, str]:
    """The part of the points that a wrong answer earns, and what for."""
    wanted = task.wanted.facts
    if came.facts.keys() != wanted.keys():
        return 0.0, ""
    broken = [name for name in wanted if came.facts[name] != wanted[name]]
    if not broken:
        return _share_of_parts(task, came)
    aside = all(
        name in SIDE_CONDITIONS and SIDE_CONDITIONS[name](wanted[name], came.facts[name])
        for name in broken
    )
    if aside and _has_right_numbers(task, came):
        return SIDE_CONDITION, "The numbers are right"
    return 0.0, ""


def _has_right_numbers(task: Task, came: Observation) -> bool:
    if came.value is None:
        return False
    right = [task.wanted.value, *(one.value for one in task.accepted)]
    near = any(close(came.value, value, came.tolerance) for value in right)
    return near and close(came.loss, task.wanted.loss)


def _share_of_parts(task: Task, came: Observation) -> tuple[float, str]:
    """Results that are returned side by side count for themselves.

    Shares of colours and the trajectory of an alternation are parts too, but of one result.
    """
    right, parts = task.wanted.value, task.case.parts
    if task.case.kind != "value" or not parts or came.value is None or right is None:
        return 0.0, ""
    pairs = zip(parts, came.value, right, strict=True)
    good = [part for part, theirs, ours in pairs if close(theirs, ours, came.tolerance)]
    are = "is" if len(good) == 1 else "are"
    return len(good) / len(parts), f"{' and '.join(good)} {are} right"


def _without_recording(task: Task, reply: Reply, limits: Limits) -> tuple[Outcome, tuple[str, ...]]:
    """The outcome and its lines where the function did not return."""
    raised, ending = reply.raised, reply.ending
    if raised is not None and _ran_out(raised):
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
            f"it wrote or gave back more than is allowed, {limits.reply_bytes // 2**20} MB.",
        ),
    }
    died: tuple[Outcome, str] = ("died", "its process ended before the function returned.")
    its_outcome, sentence = sentences.get(ending, died)
    line = [f"  in the line: {in_short(raised.line)}"] if raised and raised.line else []
    return its_outcome, (f"{task.name}: {sentence}", *line)


def _ran_out(raised: Raised) -> bool:
    """Whether an allocation failed, which is how a limit on memory is often met."""
    return raised.kind == "MemoryError" or "DefaultCPUAllocator" in raised.message[:1000]


def _of_exception(task: Task, raised: Raised) -> tuple[Outcome, tuple[str, ...]]:
    if raised.kind == "NotImplementedError" and says_to_do(raised.message[:1000]):
        return "to do", (still_to_do(task),)
    lines = stopped(task, raised.kind, raised.message, raised.line)
    if raised.kind == "NameError":  # has a hint already
        return "stopped", lines
    return "stopped", (*lines, _hint(raised.kind, raised.message[:1000]))


def _hint(kind: str, message: str) -> str:
    """What is different where grading happens, and may be the reason of an exception."""
    module = NO_MODULE.search(message)
    if module:
        return f"  {module[1]} is not there when grading; use what the course's environment holds."
    if kind in ("gaierror", "URLError", "ConnectionError", "MaxRetryError") or any(
        words in message.lower() for words in NETWORK
    ):
        return "  There is no network when grading."
    if kind in ("FileNotFoundError", "PermissionError") and ABSOLUTE_PATH.search(message):
        return "  A path on one computer is none on another: a task needs no files of yours."
    if kind == "EOFError":
        return "  Nobody can answer input() when grading."
    return ELSEWHERE


_drawn: dict[str, bytes] = {}  # by what is to be seen; a class makes the same mistakes


def _png(task: Task, came: Observation, recording: Recording) -> bytes | None:
    """Target, theirs and difference; None where theirs cannot be drawn beside the target."""
    if not _can_be_drawn(task, came):
        return None
    seen = _fingerprint(task, came, recording)
    if seen not in _drawn:
        if len(_drawn) == MOST_DRAWN:
            _drawn.clear()
        _drawn[seen] = _drawing(task, recording)
    return _drawn[seen]


def _drawing(task: Task, recording: Recording) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = picture(task, recording, Figure)
    png = io.BytesIO()
    figure.set_dpi(DPI)
    FigureCanvasAgg(figure).print_png(png)
    return png.getvalue()


def _fingerprint(task: Task, came: Observation, recording: Recording) -> str:
    """Of the task, the target and theirs, as finely as a picture shows them."""
    digest = hashlib.sha256(task.name.encode())
    target, theirs = task.wanted.value, came.value
    if target is None or theirs is None:
        for name, tensor in sorted(recording.tensors.items()):
            # NumPy does not take every shape of nothing.
            digest.update(
                name.encode() + (tensor.float().numpy().tobytes() if tensor.numel() else b"")
            )
        digest.update(str(task.case.values).encode())
        return digest.hexdigest()
    limit = max(float(target.abs().max()), 1e-3)
    for value in (target, theirs):
        digest.update((SHADES * value / limit).round().numpy().tobytes())
    return digest.hexdigest()


def _can_be_drawn(task: Task, came: Observation) -> bool:
    if task.case.kind == "draws":
        return came.facts["type"] == "Tensor" and "range" in came.facts
    target = task.wanted.value
    return came.value is not None and target is not None and came.value.shape == target.shape
