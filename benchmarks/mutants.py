"""Does grading notice that a right answer was changed a little?

`python -m benchmarks.mutants [STAGE]`; `python -m grading mutants` does the same.

Every reference answer is changed in one place at a time: operators, numbers, signs, axes,
comparisons, arguments, calls and statements. Each such mutant is graded on hidden inputs. It may
pass only if it does what the reference does, bit for bit. Every other mutant that passes is a
survivor, and benchmarks/survivors.yaml says why it may pass.
"""

from __future__ import annotations

import argparse
import ast
import copy
import importlib
import inspect
import os
import signal
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import torch
import yaml

from benchmarks.reply_here import recordings_of
from distillery.core.cli import exit_status
from distillery.core.errors import CourseError
from distillery.core.measured import add_record_option, record, share
from distillery.course.observe import conclude
from distillery.course.record import Recording
from distillery.course.tasks import Task
from grading.judge.judge_task import Key
from grading.stages import STAGES
from grading.stages.stage import Stage

SEEDS = (1, 2, 3)  # graded on the first; compared with the reference, bit for bit, on all
WALL_S = 10
ENOUGH = 0.95  # of the mutants that change behaviour must fail
EXPLAINED = Path(__file__).with_name("survivors.yaml")

Fate = Literal["killed", "unchanged", "survived"]
FATES: tuple[Fate, ...] = ("killed", "unchanged", "survived")
OTHER_OPERATOR: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.Pow: ast.Mult,
    ast.MatMult: ast.Mult,
}
OTHER_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Gt: (ast.Lt, ast.GtE),
    ast.Lt: (ast.Gt, ast.LtE),
    ast.GtE: (ast.Lt, ast.Gt),
    ast.LtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
}
OTHER_NAME = {
    "sum": "mean",
    "mean": "sum",
    "min": "max",
    "max": "min",
    "argmin": "argmax",
    "argmax": "argmin",
    "sqrt": "square",
    "square": "sqrt",
    "rand": "randn",
    "softmax": "log_softmax",
}


@dataclass(frozen=True)
class Mutant:
    """One reference answer, changed in one place.

    change: what became what, in the statement where it stands.
    """

    task: str
    change: str
    function: Callable[..., Any]


def mutants(stage: Stage, function: str) -> list[Mutant]:
    """Every mutant of one reference answer, in the order of its text."""
    module = importlib.import_module(f"reference.{stage.module}")
    tree = ast.parse(inspect.getsource(getattr(module, function))).body[0]
    assert isinstance(tree, ast.FunctionDef)
    del tree.body[0]  # its docstring
    made: dict[str, Mutant] = {}
    for change, changed in changed_in_one_place(tree):
        name = change
        while name in made:
            name += " (again)"
        namespace = dict(vars(module))
        text = ast.unparse(ast.fix_missing_locations(changed))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # 1.0(x) is worth a warning to the compiler
            exec(compile(text, f"<{function}, {name}>", "exec"), namespace)
        made[name] = Mutant(f"{stage.module}.{function}", name, namespace[function])
    return list(made.values())


@dataclass(frozen=True)
class Place:
    """Where a node hangs: in a field of its parent, or at an index of that field's list.

    statement: the one that the node is in, or is.
    """

    node: ast.AST
    parent: ast.AST
    name: str
    index: int | None
    statement: ast.stmt

    def put(self, new: ast.AST) -> None:
        if self.index is None:
            setattr(self.parent, self.name, new)
        else:
            getattr(self.parent, self.name)[self.index] = new


def changed_in_one_place(tree: ast.FunctionDef) -> Iterator[tuple[str, ast.FunctionDef]]:
    """What is changed, and the whole function with that change."""
    for number, place in enumerate(_places(tree)):
        for choice in range(len(_changes(place.node))):
            changed = copy.deepcopy(tree)
            its = list(_places(changed))[number]
            new = _changes(its.node)[choice]
            where = "" if its.node is its.statement else f", in {_words(its.statement)}"
            words = f"{_words(its.node)} -> {_words(new)}{where}"
            its.put(new)
            yield words, changed


def _places(tree: ast.FunctionDef) -> Iterator[Place]:
    """Every expression and statement of the body."""

    def below(parent: ast.AST, statement: ast.stmt) -> Iterator[Place]:
        for name, value in ast.iter_fields(parent):
            if parent is tree and name != "body":
                continue
            for index, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
                inside = child if isinstance(child, ast.stmt) else statement
                if isinstance(child, ast.expr | ast.stmt):
                    yield Place(child, parent, name, index, inside)
                if isinstance(child, ast.AST):
                    yield from below(child, inside)

    return below(tree, tree)


def _words(node: ast.AST) -> str:
    """The first line of its text."""
    if isinstance(node, ast.Pass):
        return "nothing"
    return ast.unparse(ast.fix_missing_locations(node)).splitlines()[0]


def _changes(node: ast.AST) -> list[Any]:
    """What may stand in the place of a node."""
    rules: dict[type[ast.AST], Callable[[Any], list[Any]]] = {
        ast.BinOp: _of_operation,
        ast.UnaryOp: lambda node: [node.operand],
        ast.Compare: _of_comparison,
        ast.Constant: _of_constant,
        ast.Call: _of_call,
        ast.Tuple: _of_tuple,
        ast.IfExp: lambda node: [ast.IfExp(node.test, node.orelse, node.body)],
        ast.Return: lambda node: [ast.Return(ast.UnaryOp(ast.USub(), node.value))],
        ast.With: lambda node: [ast.If(ast.Constant(True), node.body, [])],
        ast.Assign: lambda node: [ast.Pass()],
        ast.Expr: lambda node: [ast.Pass()],
    }
    return rules[type(node)](node) if type(node) in rules else []


def _of_operation(node: ast.BinOp) -> list[ast.expr]:
    """Another operator, the operands the other way round, and each of them alone."""
    changes: list[ast.expr] = [node.left, node.right]
    if type(node.op) in OTHER_OPERATOR:
        changes.append(ast.BinOp(node.left, OTHER_OPERATOR[type(node.op)](), node.right))
    if not isinstance(node.op, ast.Add | ast.Mult):
        changes.append(ast.BinOp(node.right, node.op, node.left))
    return changes


def _of_comparison(node: ast.Compare) -> list[ast.expr]:
    others = OTHER_COMPARISONS.get(type(node.ops[0]), ())
    return [ast.Compare(node.left, [other()], node.comparators) for other in others]


def _of_constant(node: ast.Constant) -> list[ast.expr]:
    value = node.value
    if isinstance(value, bool):
        return [ast.Constant(not value)]
    if isinstance(value, int | float):
        others = [value + 1, value - 1, 2 * value, -value]
        return [ast.Constant(other) for other in dict.fromkeys(others) if other != value]
    return []


def _of_call(node: ast.Call) -> list[ast.expr]:
    """The call left out, a neighbour called, arguments swapped, or an option left out."""
    changes: list[ast.expr] = []
    if isinstance(node.func, ast.Attribute):
        changes += [] if node.args else [node.func.value]
        if node.func.attr in OTHER_NAME:
            other = ast.Attribute(node.func.value, OTHER_NAME[node.func.attr], ast.Load())
            changes.append(ast.Call(other, node.args, node.keywords))
    changes += [ast.Call(node.func, args, node.keywords) for args in _swapped(node.args)]
    for option in node.keywords:
        others = [other for other in node.keywords if other is not option]
        changes.append(ast.Call(node.func, node.args, others))
    return changes


def _of_tuple(node: ast.Tuple) -> list[ast.expr]:
    return [ast.Tuple(parts, node.ctx) for parts in _swapped(node.elts)]


def _swapped(parts: list[ast.expr]) -> list[list[ast.expr]]:
    """The parts with two neighbours swapped, once for every pair."""
    return [
        [*parts[:i], parts[i + 1], parts[i], *parts[i + 2 :]]
        for i in range(len(parts) - 1)
        if ast.dump(parts[i]) != ast.dump(parts[i + 1])
    ]


class Jury:
    """Grades the mutants of one task.

    Args:
        keys: the hidden inputs; the first of them is graded on.
    """

    def __init__(self, stage: Stage, function: str, keys: list[Key]) -> None:
        right = getattr(importlib.import_module(f"reference.{stage.module}"), function)
        self._tasks = [key.task(f"{stage.module}.{function}") for key in keys]
        self._right = [recordings_of(right, task) for task in self._tasks]

    def fate(self, mutant: Mutant) -> Fate:
        """Run it in a child process, which may hang or die of it."""
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            signal.alarm(WALL_S)
            os.write(writing, FATES.index(self._fate(mutant)).to_bytes(1, "big"))
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            said = pipe.read()
        os.waitpid(child, 0)
        return FATES[said[0]] if said else "killed"

    def _fate(self, mutant: Mutant) -> Fate:
        warnings.simplefilter("ignore")
        try:
            recordings: list[list[Recording]] = []
            for task in self._tasks:
                recordings.append(recordings_of(mutant.function, task))
                if not recordings[1:] and not _passes(recordings[0], task):
                    return "killed"
        except (Exception, SystemExit):
            # On other inputs than those that it was graded on, it may be anything.
            return "survived" if recordings else "killed"
        pairs = zip(chain(*recordings), chain(*self._right), strict=True)
        return "unchanged" if all(alike(one, other) for one, other in pairs) else "survived"


def _passes(recordings: list[Recording], task: Task) -> bool:
    pairs = zip(recordings, task.trials, strict=True)
    return task.passes([conclude(recording, trial.case) for recording, trial in pairs])


def alike(one: Recording, other: Recording) -> bool:
    """The same facts, and the same arrays bit for bit."""
    return (
        one.facts == other.facts
        and one.tensors.keys() == other.tensors.keys()
        and all(torch.equal(one.tensors[name], other.tensors[name]) for name in one.tensors)
    )


def fates(stage: Stage, keys: list[Key]) -> dict[Fate, list[Mutant]]:
    """What becomes of every mutant of a stage."""
    found: dict[Fate, list[Mutant]] = {fate: [] for fate in FATES}
    for function in stage.points:
        jury = Jury(stage, function, keys)
        for mutant in mutants(stage, function):
            found[jury.fate(mutant)].append(mutant)
    return found


def explained() -> dict[tuple[str, str], str]:
    """(task, change) -> why it is let through."""
    tasks = yaml.safe_load(EXPLAINED.read_text(encoding="utf-8"))
    return {
        (task, change): group["why"]
        for task, groups in tasks.items()
        for group in groups
        for change in group["changes"]
    }


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mutants", description=__doc__)
    parser.add_argument("stage", nargs="?", help="such as 01_sds or sds (default: all)")
    add_record_option(parser)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Print what becomes of the mutants; 1 if too many survive, or one without an explanation."""
    options = parser().parse_args(arguments)
    stages = [one for one in STAGES if options.stage in (None, one.folder, one.module)]
    if not stages:
        known = ", ".join(stage.folder for stage in STAGES)
        raise CourseError(f"there is no stage {options.stage!r}; there are {known}.")
    torch.set_num_threads(1)  # a forked child inherits no threads
    keys, reasons = [Key(seed) for seed in SEEDS], explained()
    total: Counter[Fate] = Counter()
    print("stage         mutants   killed   unchanged   survived")
    unexplained = 0
    for stage in stages:
        found = fates(stage, keys)
        count = Counter({fate: len(found[fate]) for fate in FATES})
        total += count
        print(_row(stage.folder, count))
        for mutant in found["survived"]:
            why = reasons.get((mutant.task, mutant.change))
            unexplained += why is None
            print(f"  {mutant.task}: {mutant.change}\n    {why or 'NOT EXPLAINED'}")
    print(_row("all", total))
    changing = total["killed"] + total["survived"]
    failing = total["killed"] / changing
    print(f"{failing:.1%} of the {changing} mutants that change behaviour fail.")
    if options.record:
        record(
            "mutants",
            {"failed": share(failing, changing)},
            n=changing,
            of="answers changed in one place that behave differently",
            seeds=SEEDS,
            spread="standard error of a share",
        )
    return int(failing < ENOUGH or unexplained > 0)


def _row(name: str, count: Counter[Fate]) -> str:
    killed, unchanged, survived = (count[fate] for fate in FATES)
    return f"{name:<14}{sum(count.values()):>7}{killed:>9}{unchanged:>12}{survived:>11}"


if __name__ == "__main__":
    sys.exit(exit_status(main))
