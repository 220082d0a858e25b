"""A kind of check is one file; what records, stores, compares, grades and draws it is common."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest
from safetensors.torch import load, save

from distillery.course import kinds
from distillery.course.kinds import all_from_wire, all_to_wire, find_kinds
from distillery.course.observe import UNREADABLE, conclude, observe
from distillery.course.record import Recording, record
from distillery.course.sentences import say
from distillery.course.tasks import Misconception, Task, Trial, compare, load_task
from grading.judge.judge_task import judge
from grading.sandbox.jobs import Reply
from grading.stages import STAGES

TASKS = [f"{stage.module}.{function}" for stage in STAGES for function in stage.points]

SORTS = '''
"""A function that sorts a list of numbers."""

from dataclasses import dataclass

import torch

from distillery.course.case import Case
from distillery.course.drawing import draw_numbers
from distillery.course.observe import Observation, is_bool, picked, plain, tensor_facts


@dataclass(frozen=True)
class SortsCase(Case):
    kind = "sorts"
    side_conditions = {"in_place": lambda wanted, came: came and not wanted}

    label: str = ""

    def record(self, function):
        given = list(self.values["numbers"])
        result = function(given)
        if not isinstance(result, list):
            return {"type": type(result).__name__}, {}
        facts = {"type": "list", "in_place": given != self.values["numbers"]}
        return facts, {"result": torch.tensor(result)}

    def conclude(self, reported, tensors):
        facts = tensor_facts(tensors["result"], reported) | picked(reported, "in_place")
        return Observation(facts, plain(tensors["result"])[None])

    def forms(self):
        return super().forms() | {"in_place": is_bool}

    def words(self):
        return super().words() | {"in_place": ("a sorted argument", "an unchanged argument")}

    def where(self, place):
        return f"as number {place[1] + 1} of the {self.label}"

    def stored_facts(self):
        return super().stored_facts() | {"label": self.label}

    def draw(self, new, wanted, came):
        return draw_numbers(new, wanted.value, came and came.value, [self.label])


KIND = SortsCase
'''


@pytest.fixture
def sorting(tmp_path, monkeypatch) -> Iterator[Task]:
    """A task of a kind that is one file in a folder of its own."""
    (tmp_path / "sorts.py").write_text(SORTS)
    monkeypatch.setattr(kinds, "__path__", [*kinds.__path__, str(tmp_path)])
    monkeypatch.setattr(kinds, "KINDS", find_kinds())
    case = kinds.KINDS["sorts"](("numbers",), values={"numbers": [3, 1, 2]}, label="list")
    backwards = observe(lambda numbers: sorted(numbers, reverse=True), case)
    wrong = Misconception("backwards", "the largest comes first.", (backwards,))
    trial = Trial("", case, observe(sorted, case))
    yield Task("toy.sorts", 1, "toy.ipynb", (trial,), (wrong,))
    del sys.modules["distillery.course.kinds.sorts"], kinds.sorts


def by_wire(function, task: Task) -> Reply:
    """What a sandbox would reply: case and recording go through JSON and safetensors."""
    (trial,) = task.trials
    facts, tensors = all_to_wire([trial.case])
    (case,) = all_from_wire(json.loads(json.dumps(facts)), load(save(tensors)) if tensors else {})
    assert case == trial.case
    recording = record(function, case)
    facts = json.loads(json.dumps({"recordings": [recording.facts]}))
    return Reply("returned", facts, {f"0/{name}": its for name, its in recording.tensors.items()})


def in_place(numbers: list[int]) -> list[int]:
    numbers.sort()
    return numbers


def test_a_right_answer_of_a_new_kind_is_right(sorting):
    verdict, figure = judge(sorting, by_wire(sorted, sorting), 4)
    assert (verdict.points, verdict.lines, figure) == (4, ("toy.sorts: right.",), None)


def test_a_known_mistake_of_a_new_kind_is_named_and_drawn(sorting):
    reply = by_wire(lambda numbers: sorted(numbers)[::-1], sorting)
    verdict, figure = judge(sorting, reply, 4)
    assert verdict.points == 0
    assert verdict.lines == (
        "toy.sorts: not yet.",
        "  wanted: 1.0000 as number 1 of the list, where they differ most",
        "  got:    3.0000",
        "  This is what you get when the largest comes first.",
    )
    assert figure.startswith(b"\x89PNG")


def test_a_side_condition_of_a_new_kind_is_in_its_words_and_earns_half(sorting):
    verdict, figure = judge(sorting, by_wire(in_place, sorting), 4)
    assert verdict.lines[1:] == (
        "  wanted: an unchanged argument",
        "  got:    a sorted argument",
        "  The numbers are right: 2 of 4 points.",
    )
    assert figure is None


def test_another_type_is_told_by_the_common_words(sorting):
    found = compare(sorting, [observe(lambda numbers: None, sorting.trials[0].case)])
    assert say(found)[1:] == (
        "  wanted: a value of type list",
        "  got:    None; is the return missing?",
    )


def test_a_fact_that_a_kind_does_not_report_is_not_read(sorting):
    case = sorting.trials[0].case
    right = record(sorted, case)
    for facts in (right.facts | {"events": []}, right.facts | {"in_place": 0}):
        came = conclude(replace(right, facts=facts), case)
        assert came.facts == {"type": UNREADABLE}
    assert conclude(Recording({"type": "list"}, {}), case).facts == {"type": "list"}


@pytest.mark.parametrize("task", TASKS)
def test_every_fact_that_is_compared_has_words(task):
    stored = load_task(task)
    wrong = [
        (trial.case, came)
        for known in stored.misconceptions
        for trial, came in zip(stored.trials, known.observations, strict=True)
        if came
    ]
    for case, one in (*((trial.case, trial.wanted) for trial in stored.trials), *wrong):
        words = case.words()
        assert one.facts.keys() <= words.keys()
        for name, fact in one.facts.items():
            said = words[name] if isinstance(words[name], tuple) else (words[name](fact),)
            assert all(isinstance(text, str) and text for text in said)


def test_what_a_sandbox_imports_knows_no_answers_and_draws_nothing():
    code = "import sys, distillery.course.kinds, distillery.course.record; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in ran.stdout.split()}
    assert not loaded & {"grading", "reference", "guidance", "matplotlib", "safetensors", "IPython"}
    assert "distillery.course.tasks" not in ran.stdout.split()
