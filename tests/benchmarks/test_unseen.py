"""Answers made by rule are wrong in the way that is said, and are counted by what is told."""

from __future__ import annotations

import importlib

import pytest
import torch

from benchmarks import unseen
from benchmarks.plausible_mistakes import HABITS, Plausible, kept_by_shape, plausible_mistakes
from benchmarks.unseen import graded
from grading.judge.judge_task import Key

KEYS = [Key(1), Key(2)]


def right(*arguments):
    return importlib.import_module("reference.tour").add_noise(*arguments)


def plausible(function) -> Plausible:
    return Plausible("tour.add_noise", "habits", "", function)


def dies(*arguments):
    raise SystemExit


FATES = {
    "unchanged": lambda *arguments: right(*arguments),
    "passed": lambda x0, eps, alpha_bar: right(x0, eps, alpha_bar) * (1 + 1e-6),
    "named": lambda x0, eps, alpha_bar: alpha_bar * x0 + (1 - alpha_bar) * eps,
    "told": lambda *arguments: right(*arguments).double(),
    "error": dies,
}


@pytest.mark.parametrize("fate", FATES)
def test_an_answer_is_counted_by_what_its_student_is_told(fate):
    assert graded(plausible(FATES[fate]), KEYS).fate == fate


def test_the_same_seed_makes_the_same_answers_and_another_seed_others():
    first, again, other = (
        [one.words for one in plausible_mistakes("sds.sds_grad", each=5, seed=seed)]
        for seed in (0, 0, 1)
    )
    assert first == again
    assert first != other
    assert len(first) == 15 + len(HABITS)
    assert first[15:] == other[15:]


def test_a_result_that_is_kept_for_one_shape_fails():
    assert graded(plausible(kept_by_shape(right)), KEYS).fate in ("told", "named", "numbers")


def test_known_mistakes_are_taken_from_the_task_itself():
    made = list(plausible_mistakes("vsd.lora_loss", each=4, seed=0))
    assert all(one.known.startswith("lora_loss_") for one in made if one.source == "known and more")
    assert {one.source for one in made} == {
        *("two changes", "known and more", "other arguments", "habits")
    }


def test_a_table_is_printed_and_what_passes_is_listed(monkeypatch, capsys):
    monkeypatch.setattr(
        unseen, "plausible_mistakes", lambda *_, **__: [plausible(FATES["passed"])] * 2
    )
    monkeypatch.setattr(unseen, "STAGES", unseen.STAGES[:1])
    threads = torch.get_num_threads()
    assert unseen.main(["tour", "--each", "1"]) == 0
    torch.set_num_threads(threads)
    printed = capsys.readouterr().out
    assert "tour.add_noise, habits" in printed
    assert "of 6 that change something none fails." in printed
