"""Copies are pointed at, and right answers that are alike by nature are not."""

from __future__ import annotations

import ast
import inspect
import itertools
import json
import random
import re
import textwrap
from pathlib import Path

import nbformat
import pytest

from grading.authoring.build import ROOT
from grading.authoring.make_stubs import function_text
from grading.judge import similarity
from grading.judge.assemble_module import released_module
from grading.judge.similarity import HINT, REFERENCE, alike, own_text, unusual_pairs
from grading.stages import STAGES
from grading.stages.variants import VARIANTS

STAGE = STAGES[1]
TASK = "sds.sds_grad"
STUB = function_text(released_module(STAGE), "sds_grad")
RIGHT = own_text(function_text((ROOT / "reference" / "sds.py").read_text(), "sds_grad"), STUB)
KNOWN = set(similarity.WORDS.findall(released_module(STAGE)))


def variants(task: str = TASK) -> dict[str, str]:
    """Right answers, each spelt on its own."""
    found = {}
    for answer in VARIANTS:
        if answer.task == task:
            source = textwrap.dedent(inspect.getsource(answer.function))
            found[answer.name] = own_text(source[source.index("def ") :], STUB)
    return found


def renamed(text: str) -> str:
    """The same code with other names for everything that it assigns."""
    tree = ast.parse(textwrap.dedent(text))
    stored = {
        node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    for index, name in enumerate(sorted(stored)):
        text = re.sub(rf"\b{name}\b", f"value_{index}", text)
    return text


def body(text: str) -> str:
    """Without its def line, so that it parses with its lines moved to the left."""
    return "\n".join(line for line in text.split("\n") if not line.startswith("def "))


def test_right_answers_spelt_on_their_own_are_not_flagged():
    tasks = {answer.task for answer in VARIANTS if answer.task.startswith("sds.")}
    for task in sorted(tasks):
        stub = function_text(released_module(STAGE), task.split(".")[1])
        reference = (ROOT / "reference" / "sds.py").read_text()
        right = own_text(function_text(reference, task.split(".")[1]), stub)
        assert alike(task, variants(task), right, KNOWN) == []


def test_a_copy_with_other_names_is_flagged():
    answers = {name: body(text) for name, text in variants().items()}
    copied = max(answers, key=lambda name: len(answers[name]))
    answers["copyist"] = renamed(answers[copied])
    assert answers["copyist"] != answers[copied]
    (pair,) = alike(TASK, answers, RIGHT, KNOWN)
    assert {pair.one, pair.other} == {copied, "copyist"}
    assert pair.alike > 0.95
    assert pair.same == ""
    assert "alike apart from names" in pair.sentence


@pytest.mark.parametrize(("usual", "flagged"), [(0.5, 1), (0.7, 0)])
def test_alike_is_unusual_only_far_above_what_half_of_the_pairs_are(monkeypatch, usual, flagged):
    students = [f"student{index}" for index in range(10)]
    likeness = dict.fromkeys(itertools.combinations(students, 2), usual)
    likeness["student2", "student5"] = 0.9
    monkeypatch.setattr(similarity, "_similarity", lambda texts: likeness)
    pairs = alike(TASK, {name: f"    return {name}" for name in students}, RIGHT, KNOWN)
    assert [(pair.one, pair.other) for pair in pairs] == [("student2", "student5")] * flagged


def test_what_half_the_class_writes_is_not_flagged():
    answers = variants() | {f"student{index}": body(RIGHT) for index in range(12)}
    assert alike(TASK, answers, RIGHT, KNOWN) == []


def test_the_same_comment_is_the_strongest_hint_however_short_the_code():
    line = "    return 1 - alpha_bar  # no idea why, but it wors\n"
    answers = {f"student{index}": f"    return {index} * alpha_bar" for index in range(20)}
    answers |= {"ann": line, "bob": "    x = 0\n" + line}
    (pair,) = alike(TASK, answers, RIGHT, KNOWN)
    assert (pair.one, pair.other) == ("ann", "bob")
    assert "no idea why, but it wors" in pair.sentence


def test_a_long_text_that_is_the_same_letter_for_letter_is_flagged():
    rng = random.Random(0)
    long = "\n".join(f"    a{n} = b{rng.randrange(99)} * {n}" for n in range(20))
    answers = variants() | {"ann": long, "bob": long}
    pairs = alike(TASK, answers, RIGHT, KNOWN)
    assert [(pair.one, pair.other) for pair in pairs] == [("ann", "bob")]
    assert "letter for letter" in pairs[0].sentence


def test_the_courses_own_answer_is_flagged_in_one_students_hands():
    commented = RIGHT + "  # as in the paper"
    pairs = alike(TASK, variants() | {"ann": commented}, commented, KNOWN)
    assert [(pair.one, pair.other) for pair in pairs if pair.same] == [("ann", REFERENCE)]


def test_short_answers_are_never_compared():
    answers = {"ann": "    return x0 * grad", "bob": "    return x0 * grad"}
    assert alike(TASK, answers, RIGHT, KNOWN) == []


def test_the_released_lines_and_docstrings_are_no_answer():
    code = STUB.replace("    # your code here", "    # mine\n    return x0")
    assert own_text(code, STUB) == "    # mine\n    return x0"
    assert own_text(STUB, STUB) == ""


@pytest.mark.parametrize(
    "code",
    ["(" * 5000, "\ud800 = '\u202e'\n" * 20, "x = 1\n" * 10**6, "\0", "def f(:\n" * 50, "'" * 999],
)
def test_hostile_answers_are_compared_like_any_other(code):
    text = own_text(code, STUB)
    assert len(text) <= similarity.LONGEST
    alike(TASK, variants() | {"ann": text, "bob": text[::-1]}, RIGHT, KNOWN)


def hand_in(course: Path, student: str, code: str) -> None:
    cell = nbformat.v4.new_code_cell(
        f"%%todo {TASK}\n{code}", metadata={"nbgrader": {"grade_id": "sds-sds_grad"}}
    )
    path = course / "submitted" / student / STAGE.folder / f"{STAGE.folder}.ipynb"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(nbformat.v4.new_notebook(cells=[cell])), encoding="utf-8")


def test_a_class_is_compared_by_what_it_handed_in(tmp_path, capsys):
    for name, text in variants().items():
        hand_in(tmp_path, name, text)
    for name in ("ann", "bob"):
        hand_in(tmp_path, name, "x = 1  # copied from my brother\n" + "import os\nos._exit(1)\n")
    pairs = unusual_pairs(tmp_path, STAGE, sorted([*variants(), "ann", "bob", "gone"]))
    assert [(pair.task, pair.one, pair.other) for pair in pairs] == [(TASK, "ann", "bob")]
    assert similarity.main([STAGE.folder, "--course", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "copied from my brother" in printed
    assert HINT in printed
