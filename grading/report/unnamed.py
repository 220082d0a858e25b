"""Wrong answers that no known mistake explains, grouped by what they have in common.

Answers are alike where the check says the same facts of them, such as "Yours is 2 times what is
wanted."; where it says none, where the same was wanted and the same came.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from distillery.core.counting import counted
from distillery.course.labels import GOT, WANTED
from grading.core.records import Record, Verdict
from grading.feedback.text import one_line
from grading.judge.judge_task import OTHER_INPUTS

KNOWN = ("right", "to do")
OWN_CODE = "in the line:"  # quotes a student, so it is different for each
LONGEST = 300  # characters of a text
MOST_NAMED = 6  # students in a line on a terminal; the page names all


@dataclass(frozen=True)
class Alike:
    """Students with the same wrong answer to a task.

    said: what the check says of all of them.
    example: of the first of them, in which inputs it is wrong, what was wanted and what came; ""
        where nothing came.
    """

    task: str
    said: str
    students: tuple[str, ...]
    example: str

    @property
    def count(self) -> int:
        return len(self.students)


def alike(records: Iterable[Record]) -> list[Alike]:
    """The groups of the graded records, the largest first."""
    found: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for record in records:
        for verdict in record.verdicts if record.status == "graded" else ():
            if said := unnamed(verdict):
                student = (record.student, _example(verdict))
                found.setdefault((verdict.task, said), []).append(student)
    groups = [
        Alike(task, said, tuple(sorted(name for name, _ in whose)), min(whose)[1])
        for (task, said), whose in found.items()
    ]
    return sorted(groups, key=lambda one: (-one.count, one.task, one.said))


def unnamed(verdict: Verdict) -> str:
    """What the check says of a wrong answer that makes no known mistake; "" of other answers."""
    if verdict.misconception or verdict.outcome in KNOWN or not verdict.lines:
        return ""
    first, *others = (line.strip() for line in verdict.lines)
    values = [line for line in others if line.startswith((f"{WANTED}:", f"{GOT}:"))]
    facts = [line for line in others if line not in values and not _is_of_no_use(line)]
    # Without any of them, as where the time was up, the first line says it all.
    said = " ".join(facts) or "; ".join(values) or first.removeprefix(f"{verdict.task}:")
    return one_line(" ".join(said.split()), LONGEST)


def _is_of_no_use(line: str) -> bool:
    return not line or line == OTHER_INPUTS.strip() or line.startswith(OWN_CODE)


def _example(verdict: Verdict) -> str:
    first, *others = (" ".join(line.split()) for line in verdict.lines)
    values = [line for line in others if line.startswith((f"{WANTED}:", f"{GOT}:"))]
    where = first.removeprefix(f"{verdict.task}:").strip().rstrip(".")
    return one_line("; ".join([where, *values]), LONGEST) if values else ""


def text_table(groups: Sequence[Alike]) -> list[str]:
    """A line for each group, for a terminal."""
    width = max([0, *(len(one.task) for one in groups)])
    return [
        f"{_students(one.count):>12}  {one_line(one.task, LONGEST):<{width}}  {one.said} "
        f"({_names(one.students)})"
        for one in groups
    ]


def _names(students: Sequence[str]) -> str:
    more = [f"{len(students) - MOST_NAMED} more"] if len(students) > MOST_NAMED else []
    return one_line(", ".join([*students[:MOST_NAMED], *more]), LONGEST)


def _students(count: int) -> str:
    return counted(count, "student")
