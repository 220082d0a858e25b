"""What a student is told about one task: right, or what was wanted, what came and which mistake."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from distillery.core.errors import STILL_TO_DO, to_do_sentence
from distillery.course.case import Case
from distillery.course.labels import ALSO, CAUSE, GOT, TWO, WANTED
from distillery.course.probes import facts_about, together
from distillery.course.shape_errors import about_shapes
from distillery.course.tasks import Comparison, Task, Trial

LONGEST_LINE = 160
BESIDES = "Besides, there is the difference that stands above."
DIFFER_MOST = "where they differ most"


def say(found: Comparison) -> tuple[str, ...]:
    """One line for a right answer, three to six for a wrong one."""
    task = found.task
    if found.passed:
        how = f", with {found.accepted.sentence}" if found.accepted else "."
        return (f"{task.name}: right{how}",)
    wanted, came = _first_difference(found)
    lines = (
        f"{task.name}: not yet{_in_circumstances(found.trial)}.",
        f"  {WANTED}: {wanted}",
        f"  {GOT + ':':7} {shortened(came)}",
    )
    if found.misconception is None:
        return (*lines, *(f"  {line}" for line in _of_unknown(found)))
    return (*lines, f"  {CAUSE}{found.misconception.sentence}")


def _of_unknown(found: Comparison) -> list[str]:
    """Where no known mistake does the same: two that do together, or what is true of it."""
    try:
        return _told_of(found)
    # What came may be forged in any way; a sentence more must never cost a grade.
    except Exception:
        return []


def _told_of(found: Comparison) -> list[str]:
    task, case, came = found.task, found.trial.case, found.came
    assert came is not None
    wanted = found.trial.nearest(came)
    single = [one for one in task.misconceptions if not one.sentence.startswith(TWO)]
    does = [
        one.observations[found.place] if found.place < len(one.observations) else None
        for one in single
    ]
    both = together(case, wanted, does, came)
    if both is None:
        return facts_about(case, wanted, came)
    first, *second = (single[place].sentence for place in both.known)
    lines = [f"{CAUSE}{first}", *(f"{ALSO}{sentence}" for sentence in second)]
    return [*lines, BESIDES] if both.has_other else lines


def _in_circumstances(trial: Trial) -> str:
    return f", {trial.circumstances}" if trial.circumstances else ""


def _first_difference(found: Comparison) -> tuple[str, str]:
    """What was wanted and what came, for the first thing that differs."""
    case, wanted, came = found.trial.case, found.trial.wanted, found.came
    assert came is not None
    differing = found.trial.differing(came)
    if differing:
        name = differing[0]
        facts = (wanted.facts.get(name), came.facts.get(name))
        return _in_words(case, name, facts[0]), _in_words(case, name, facts[1])
    assert wanted.value is not None
    if came.value is None or came.value.shape != wanted.value.shape:
        return "numbers to compare", "none"
    if came.near(wanted):
        assert wanted.loss is not None
        assert came.loss is not None
        at = _worst_place(came.loss, wanted.loss)
        whose = f" for picture {at[0]}" if at else ""
        return f"a loss of {wanted.loss[at]:.4f}{whose}", f"a loss of {came.loss[at]:.4f}"
    place = _worst_place(came.value, wanted.value)
    what, where = case.what(place), case.where(place)
    return (
        f"{what}{wanted.value[place]:.4f} {where}, {DIFFER_MOST}",
        f"{what}{came.value[place]:.4f}",
    )


def _worst_place(came: Tensor, wanted: Tensor) -> tuple[int, ...]:
    index = (came - wanted).abs().argmax()
    return tuple(int(i) for i in torch.unravel_index(index, wanted.shape))


def _in_words(case: Case, name: str, fact: Any) -> str:
    words = case.words().get(name, str)
    if isinstance(words, tuple):
        yes, no = words
        return yes if fact else no
    return "nothing to compare" if fact is None else words(fact)


def unfinished(wrong: Sequence[str]) -> list[str]:
    """A line on the functions that an answer uses and that are not right themselves."""
    if not wrong:
        return []
    are = "is" if len(wrong) == 1 else "are"
    return [f"  It uses {' and '.join(wrong)}, which {are} not right yet."]


def says_to_do(message: str) -> bool:
    """Whether this is a NotImplementedError of a function that nobody has written yet."""
    return not message or STILL_TO_DO in message


def still_to_do(task: Task) -> str:
    return to_do_sentence(task.name, task.notebook, task.number)


def stopped(task: Task, trial: Trial, kind: str, message: str, line: str) -> tuple[str, ...]:
    """What is said of an exception.

    Args:
        trial: the one in which it came.
        kind: the name of its class.
        line: the last line of the student's own code that it came through, or "".
    """
    where = _in_circumstances(trial)
    lines = [f"{task.name}: it stops with an error{where}.", f"  {shortened(f'{kind}: {message}')}"]
    if line:
        lines.append(f"  in the line: {shortened(line)}")
    if kind == "NameError":
        lines.append(
            "  The function is saved in a file of its own: import and define all it needs in its "
            "cell."
        )
    about = about_shapes(trial.case, message)
    return (*lines, f"  {about}") if about else tuple(lines)


def shortened(text: str) -> str:
    """One line of at most `LONGEST_LINE` printable characters, whatever a student's code says."""
    # A message may have any length; the rest is not even looked at.
    some = " ".join(text[: 20 * LONGEST_LINE].split())
    printable = "".join(one if one.isprintable() else "?" for one in some)
    too_long = len(printable) > LONGEST_LINE
    return printable[: LONGEST_LINE - 3] + "..." if too_long else printable
