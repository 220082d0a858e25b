"""Right answers that are changed in one place fail, but for those that are known and explained."""

from __future__ import annotations

import ast
import os
import time

import pytest
import torch

from benchmarks import mutants as module
from benchmarks.mutants import Jury, Mutant, explained, fates, main, mutants
from distillery.core.errors import CourseError
from grading.judge.judge_task import Key
from grading.stages import STAGES

STAGE_OF = {stage.module: stage for stage in STAGES}


@pytest.fixture(scope="module")
def keys():
    torch.set_num_threads(1)
    return [Key(1), Key(2)]


@pytest.mark.parametrize("stage", ["tour", "sds"])
def test_whatever_changes_a_right_answer_fails(stage, keys):
    found = fates(STAGE_OF[stage], keys)
    assert len(found["killed"]) > 50
    assert found["survived"] == []
    assert len(found["unchanged"]) <= 3


@pytest.mark.parametrize("task", sorted({task for task, _ in explained()}))
def test_every_explained_survivor_is_a_mutant_that_survives(task, keys):
    stage, function = task.split(".")
    jury = Jury(STAGE_OF[stage], function, keys)
    made = {mutant.change: mutant for mutant in mutants(STAGE_OF[stage], function)}
    for name, change in explained():
        if name == task:
            assert jury.fate(made[change]) == "survived"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("return a - b", {"-(a - b)", "a", "b", "a + b", "b - a"}),
        ("return a ** b", {"-a ** b", "a", "b", "a * b", "b ** a"}),
        ("return -a", {"--a", "a"}),
        ("return a > b", {"-(a > b)", "a < b", "a >= b"}),
        ("return a[2]", {"-a[2]", "3", "1", "4", "-2"}),
        ("return a.detach()", {"-a.detach()", "a"}),
        ("return f(a, b)", {"-f(a, b)", "f(b, a)"}),
        ("return a.sum(dim=0)", {"-a.sum(dim=0)", "a", "a.mean(dim=0)", "a.sum()", "1", "-1"}),
        ("return f(a, keepdim=True)", {"-f(a, keepdim=True)", "f(a)", "False"}),
        ("a, b = c", {"nothing", "(b, a)"}),
        ("f(a)", {"nothing"}),
        ("return a if b else c", {"-(a if b else c)", "c if b else a"}),
    ],
)
def test_every_kind_of_place_is_changed(line, expected):
    tree = ast.parse(f"def answer(a, b):\n    {line}").body[0]
    made = [words.split(", in ")[0] for words, _ in module.changed_in_one_place(tree)]
    assert {words.split(" -> ")[1].removeprefix("return ") for words in made} == expected


def test_leaving_out_no_grad_leaves_its_statements():
    text = "def answer(x):\n    with torch.no_grad():\n        y = 2 * x\n    return y"
    tree = ast.parse(text).body[0]
    (changed,) = [
        ast.unparse(ast.fix_missing_locations(made))
        for words, made in module.changed_in_one_place(tree)
        if words.startswith("with torch.no_grad(): -> ")
    ]
    assert "no_grad" not in changed
    assert "y = 2 * x" in changed


def hangs(*arguments):
    time.sleep(60)


def leaves(*arguments):
    os._exit(0)


@pytest.mark.parametrize("function", [hangs, leaves])
def test_a_mutant_that_hangs_or_leaves_is_killed(monkeypatch, keys, function):
    monkeypatch.setattr(module, "WALL_S", 1)
    jury = Jury(STAGE_OF["tour"], "add_noise", keys)
    assert jury.fate(Mutant("tour.add_noise", "", function)) == "killed"


def test_the_reference_itself_is_unchanged(keys):
    from reference.tour import add_noise

    jury = Jury(STAGE_OF["tour"], "add_noise", keys)
    assert jury.fate(Mutant("tour.add_noise", "", add_noise)) == "unchanged"


def test_the_command_prints_a_table_and_the_share(monkeypatch, capsys):
    dead, alive = (Mutant("tour.add_noise", words, abs) for words in ("a -> b", "a -> c"))
    found = {"killed": [dead] * 99, "unchanged": [dead], "survived": []}
    monkeypatch.setattr(module, "fates", lambda stage, keys: found)
    assert main(["00_tour"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["00_tour", "100", "99", "1", "0"]
    assert lines[-1] == "100.0% of the 99 mutants that change behaviour fail."
    found["survived"] = [alive]
    assert main(["tour"]) == 1
    assert "NOT EXPLAINED" in capsys.readouterr().out
    monkeypatch.setattr(module, "explained", lambda: {("tour.add_noise", "a -> c"): "why not."})
    assert main(["tour"]) == 0
    assert "    why not." in capsys.readouterr().out
    found["killed"] = [dead] * 9
    assert main(["tour"]) == 1


def test_an_unknown_stage_is_one_clear_sentence():
    with pytest.raises(CourseError, match="there is no stage"):
        main(["05_nothing"])
