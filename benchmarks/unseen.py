"""How answers that nobody wrote by hand are graded, and what their students are told.

    python -m benchmarks.unseen
    python -m benchmarks.unseen --each 40 --seed 3 --show numbers

`benchmarks.verdicts` tries the known mistakes, which the grader names by design. This one
makes answers by rule (`benchmarks.plausible_mistakes`) that nobody has looked at, grades each on
the visible inputs and on the hidden ones of a class, and counts them by what is said:

    unchanged   it does what the reference does, bit for bit, in three classes: no mistake
    passed      full marks, although it is not the same bit for bit; all of them are listed
    error       it stops with an error, which is shown with the circumstances
    named       a known mistake, alone or with another, is named
    told        not named, but something specific is said that holds: a fact that differs, or one
                of the probes of `distillery.course.probes`
    numbers     only two numbers, and where they differ most

A name can be wrong where an answer is made of a known mistake and another is named; "otherwise"
counts these. They are not always false: two mistakes may do the same on all inputs.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import warnings
from collections import Counter
from dataclasses import dataclass

import torch

from benchmarks.mutants import WALL_S, alike
from benchmarks.plausible_mistakes import Plausible, plausible_mistakes
from benchmarks.reply_here import recordings_of, reply_here
from distillery.core.cli import exit_status
from distillery.core.errors import CourseError
from distillery.core.measured import Figure, add_record_option, record, share
from distillery.course.labels import CAUSE
from distillery.course.sentences import DIFFER_MOST
from grading.judge import judge_task
from grading.judge.judge_task import Key, judge
from grading.stages import STAGES

FATES = ("unchanged", "passed", "error", "named", "told", "numbers")
FAILED = ("error", "named", "told", "numbers")
OTHERWISE = "otherwise"
SHOWN = 160  # characters of what was done
CLASSES = 3  # in which an unchanged answer is compared with the reference


@dataclass(frozen=True)
class Graded:
    """What becomes of an answer; `misconception` is the one that is named."""

    fate: str
    misconception: str | None
    lines: tuple[str, ...]


def graded(answer: Plausible, keys: list[Key]) -> Graded:
    """Grade it in a child process, which may hang or die of it."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(WALL_S)
        os.close(reading)
        with os.fdopen(writing, "w") as pipe:
            one = _graded(answer, keys)
            json.dump([one.fate, one.misconception, one.lines], pipe)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    if not said:
        return Graded("error", None, ("it did not return.",))
    fate, misconception, lines = json.loads(said)
    return Graded(fate, misconception, tuple(lines))


def _graded(answer: Plausible, keys: list[Key]) -> Graded:
    warnings.simplefilter("ignore")
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115, the process ends with it
    # How it looks is of no interest here, and takes longest.
    judge_task._drawing = lambda found: b""
    task = keys[0].task(answer.task)
    verdict, _ = judge(task, reply_here(answer.function, task), 1.0)
    lines, name = verdict.lines, verdict.misconception
    if verdict.outcome == "right":
        return Graded("unchanged" if _is_unchanged(answer, keys) else "passed", name, lines)
    if verdict.outcome != "wrong":
        return Graded("error", name, lines)
    if any(line.strip().startswith(CAUSE) for line in lines):
        return Graded("named", name, lines)
    # Where something else than a number differs, the line says what.
    is_bare = len(lines) <= 3 + _is_of_other_inputs(lines) and DIFFER_MOST in lines[1]
    return Graded("numbers" if is_bare else "told", name, lines)


def _is_of_other_inputs(lines: tuple[str, ...]) -> bool:
    return lines[-1] == judge_task.OTHER_INPUTS


def _is_unchanged(answer: Plausible, keys: list[Key]) -> bool:
    module, name = answer.task.split(".")
    right = getattr(sys.modules[f"reference.{module}"], name)
    try:
        return all(
            alike(mine, its)
            for key in keys
            for mine, its in zip(
                recordings_of(answer.function, key.task(answer.task)),
                recordings_of(right, key.task(answer.task)),
                strict=True,
            )
        )
    except Exception:
        return False


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.unseen", description=__doc__)
    parser.add_argument("stage", nargs="?", help="such as 01_sds or sds (default: all)")
    parser.add_argument("--each", type=int, default=10, help="of every source, for each task")
    parser.add_argument("--seed", type=int, default=0, help="of the choice among them")
    parser.add_argument("--show", choices=FATES, default="passed", help="list these")
    add_record_option(parser)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """List what `--show` asks for, then print the tables."""
    options = parser().parse_args(arguments)
    stages = [one for one in STAGES if options.stage in (None, one.folder, one.module)]
    if not stages:
        known = ", ".join(stage.folder for stage in STAGES)
        raise CourseError(f"there is no stage {options.stage!r}; there are {known}.")
    torch.set_num_threads(1)  # a forked child inherits no threads
    keys = [Key(7000 + options.seed + place) for place in range(CLASSES)]
    by_source: dict[str, Counter[str]] = {}
    by_stage: dict[str, Counter[str]] = {}
    for stage in stages:
        for function in stage.points:
            task = f"{stage.module}.{function}"
            for key in keys:
                key.task(task)
            for answer in plausible_mistakes(task, each=options.each, seed=options.seed):
                one = graded(answer, keys)
                found = Counter([one.fate])
                if one.misconception and answer.known and one.misconception != answer.known:
                    found[OTHERWISE] += 1
                by_source.setdefault(answer.source, Counter()).update(found)
                by_stage.setdefault(stage.folder, Counter()).update(found)
                if one.fate == options.show:
                    words = f"{answer.source}: {answer.words}"[:SHOWN]
                    print(f"  {task}, {words}\n    " + "\n    ".join(one.lines), flush=True)
    total = sum(by_stage.values(), Counter())
    for rows in (by_stage, by_source, {"all": total}):
        print(f"{'':<17}{'made':>7}" + "".join(f"{fate:>11}" for fate in (*FATES, OTHERWISE)))
        for name, count in rows.items():
            print(_row(name, count))
    print(_summary(total))
    if options.record:
        _record(total, [key.seed for key in keys])
    return 0


def _record(total: Counter[str], seeds: list[int]) -> None:
    failed = sum(total[fate] for fate in FAILED)
    changed = failed + total["passed"]
    record(
        "unseen",
        {
            "failed": share(failed / changed, changed),
            "named": share(total["named"] / failed, failed),
            "specific": share(1 - total["numbers"] / failed, failed),
            "passed": Figure(total["passed"]),
        },
        n=changed,
        of="answers that do something else than the right one",
        seeds=seeds,
        spread="standard error of a share",
    )


def _row(name: str, count: Counter[str]) -> str:
    made = sum(count[fate] for fate in FATES)
    return f"{name:<17}{made:>7}" + "".join(f"{count[fate]:>11}" for fate in (*FATES, OTHERWISE))


def _summary(total: Counter[str]) -> str:
    failed = sum(total[fate] for fate in FAILED)
    changed = failed + total["passed"]
    if not failed:
        return f"of {changed} that change something none fails."
    specific = failed - total["numbers"]
    return (
        f"of {changed} that change something {failed / changed:.1%} fail; of these "
        f"{total['named'] / failed:.0%} are named and {specific / failed:.0%} are told something "
        "specific."
    )


if __name__ == "__main__":
    sys.exit(exit_status(main))
