"""How every known mistake and every known right answer is graded on hidden inputs.

    python -m benchmarks.verdicts
    python -m benchmarks.verdicts --seeds 25

Each seed is a class with hidden inputs of its own. A mistake must not earn full marks, and must be
called by its name; a right answer, however it is spelt, must earn all. What does not is listed.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections import Counter
from collections.abc import Iterator

import torch

from benchmarks.reply_here import reply_here
from distillery.core.measured import Figure, add_record_option, record, share
from distillery.course.tasks import Task
from grading.core.records import Verdict
from grading.judge.judge_task import Key, judge
from grading.stages import STAGES
from grading.stages.known_answers import Answer, Function
from grading.stages.misconceptions import MISCONCEPTIONS
from grading.stages.variants import VARIANTS

HEADS = ("mistakes", "failed", "named", "right", "full marks")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.verdicts", description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    add_record_option(parser)
    return parser


def main() -> None:
    """Print the table, then what is not as it should be; exit status 1 where there is any."""
    options = parser().parse_args()
    torch.set_num_threads(1)
    keys = [Key(1000 + seed) for seed in range(options.seeds)]
    total: Counter[str] = Counter()
    amiss: list[str] = []
    print(f"{'stage':<14}" + "".join(f"{head:>12}" for head in HEADS))
    for stage in STAGES:
        count: Counter[str] = Counter()
        for key in keys:
            for function in stage.points:
                _count(key.task(f"{stage.module}.{function}"), key, count, amiss)
        print(_row(stage.folder, count), flush=True)
        total += count
    print(_row("all", total))
    failed, named = (total[head] / total["mistakes"] for head in ("failed", "named"))
    full = total["full marks"] / total["right"]
    print(
        f"over {options.seeds} seeds {failed:.1%} of the mistakes fail and {named:.1%} are named; "
        f"{full:.1%} of the right answers get full marks."
    )
    for line in amiss:
        print(line)
    if options.record:
        record(
            "verdicts",
            {
                "failed": share(failed, total["mistakes"]),
                "named": share(named, total["mistakes"]),
                "full": share(full, total["right"]),
                "mistakes": Figure(total["mistakes"] / options.seeds),
                "right": Figure(total["right"] / options.seeds),
            },
            n=total["mistakes"] + total["right"],
            of=f"answers, in {options.seeds} classes",
            seeds=[key.seed for key in keys],
            spread="standard error of a share, as if all verdicts were independent",
        )
    sys.exit(bool(amiss))


def _count(task: Task, key: Key, count: Counter[str], amiss: list[str]) -> None:
    """Grade every known answer to a task."""
    for answer in _of(task, MISCONCEPTIONS):
        verdict = _verdict(task, answer.function)
        failed, named = verdict.points < verdict.worth, verdict.misconception == answer.name
        count.update({"mistakes": 1, "failed": failed, "named": named})
        if not (failed and named):
            said = f"earns {verdict.points:g} and is called {verdict.misconception}"
            amiss.append(f"  {task.name}, {answer.name}, seed {key.seed}: {said}")
    module, function = task.name.split(".")
    reference = getattr(importlib.import_module(f"reference.{module}"), function)
    for right in [reference, *(answer.function for answer in _of(task, VARIANTS))]:
        verdict = _verdict(task, right)
        count.update({"right": 1, "full marks": verdict.points == verdict.worth})
        if verdict.points < verdict.worth:
            said = " ".join(verdict.lines)
            amiss.append(f"  {task.name}, right as {right.__name__}, seed {key.seed}: {said}")


def _of(task: Task, answers: tuple[Answer, ...]) -> Iterator[Answer]:
    return (answer for answer in answers if answer.task == task.name)


def _verdict(task: Task, function: Function) -> Verdict:
    return judge(task, reply_here(function, task), 1.0)[0]


def _row(name: str, count: Counter[str]) -> str:
    return f"{name:<14}" + "".join(f"{count[head]:>12}" for head in HEADS)


if __name__ == "__main__":
    main()
