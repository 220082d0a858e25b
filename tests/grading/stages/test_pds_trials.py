"""Stage 2: every step of pds_loss is right, mistakes are named at any, and what trials reach."""

from __future__ import annotations

from functools import cache

import pytest
import torch

from benchmarks.reply_here import reply_here
from distillery.course.check import check
from distillery.course.observe import observe
from grading.judge.judge_task import Key, judge
from grading.stages.cases import CASES
from grading.stages.misconceptions import MISCONCEPTIONS
from grading.stages.pds.misconceptions import _direction, _loss
from grading.stages.pds.steps import Step, Steps
from reference.pds import posterior_coefficients, stochastic_latent

PDS = "pds.pds_loss"
SEEDS = range(1, 9)


def right_at(step: Step):
    """pds_loss for this step."""
    return lambda prior, x0, *others: _loss(x0, _direction(step, prior, x0, *others))


STEPS = {
    "t - 1": Step(lambda t: t - 1, jump=True),
    "t - 3, single": Step(lambda t: t - 3),
    "t - 20, jump": Step(lambda t: t - 20, jump=True),
    "t // 2, single": Step(lambda t: t // 2),
    "t // 2, jump": Step(lambda t: t // 2, jump=True),
    "a stride that grows": Step(lambda t: t - 1 - t // 10),
    "the same for all": Step(lambda t: t.min() - 2 + 0 * t, jump=True),
    "0, single": Step(torch.zeros_like),
    "0, jump": Step(torch.zeros_like, jump=True),
}
ANY_STEP = pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)


@cache
def key(seed: int) -> Key:
    return Key(seed)


@ANY_STEP
@pytest.mark.parametrize("seed", [5, 6])
def test_every_step_below_t_gets_full_marks(step, seed):
    task = key(seed).task(PDS)
    verdict, _ = judge(task, reply_here(right_at(step), task), 5.0)
    assert verdict.points == 5.0
    assert verdict.lines[0].startswith("pds.pds_loss: right, with t_prev = ")


@pytest.mark.parametrize("jump", [False, True])
@pytest.mark.parametrize("t_prev", [lambda t: t, lambda t: t + 3, lambda t: t[:1] - 2 + 0 * t])
def test_a_step_that_does_not_go_down_in_every_picture_is_wrong(t_prev, jump):
    assert not check(PDS, right_at(Step(t_prev, jump))).passed


@pytest.mark.parametrize("factor", [0.5, 0.9, 1.01, 2.0])
@ANY_STEP
def test_a_step_times_a_number_is_no_step(step, factor):
    def scaled(*arguments):
        return factor * right_at(step)(*arguments)

    assert not check(PDS, scaled).passed


WITH_A_STEP = [answer for answer in MISCONCEPTIONS if answer.choosing]
# Of a step without a pull, 1/2 ||z - z_src||^2 has no gradient; t_prev = 0 has no step before it.
WITHOUT_A_NAME = {
    "pds_differentiated": {"t - 1", "t - 20, jump", "t // 2, jump", "the same for all", "0, jump"},
    "pds_with_beta_of_t_prev": {"0, single", "0, jump"},
    "pds_upwards": {"t - 1"},  # named, as pds_one_step_up
    "pds_guided_from_text": {"0, single"},  # hidden by the pull until the late trial
    "pds_with_clean_xt_prev": {"0, jump"},  # at t_prev = 0 there is hardly any noise
    "pds_from_t_prev_20": STEPS.keys(),  # each step fails in a way of its own
}


@pytest.mark.parametrize("answer", WITH_A_STEP, ids=lambda answer: answer.name)
def test_a_mistake_is_named_whatever_step_is_taken(answer, capsys):
    for name in STEPS.keys() - WITHOUT_A_NAME.get(answer.name, set()):
        assert check(PDS, answer.choosing(STEPS[name])).misconception == answer.name, name


def test_nearly_every_mistake_is_known_at_any_step():
    assert len(WITH_A_STEP) >= 50
    assert sum(answer.task == PDS for answer in MISCONCEPTIONS) == len(WITH_A_STEP) + 1


@pytest.mark.parametrize("seed", SEEDS)
def test_rounding_stays_far_below_the_tolerance(seed):
    """z is a small difference; in float32 it is least exact for the smallest step."""
    for draw in CASES[PDS].values():
        case = draw(seed)
        value = observe(right_at(STEPS["t - 1"]), case).value
        assert Steps(case).accepted.matching(value, case.tolerance / 1.5)


@pytest.mark.parametrize("seed", [0, *SEEDS])
@pytest.mark.parametrize("task", [PDS, "pds.dds_loss"])
def test_trials_reach_the_ends_of_the_contract(task, seed):
    _, single, early, late = (draw(seed) for draw in CASES[task].values())
    assert [len(case.tensors["x0"]) for case in (single, early, late)] == [1, 2, 2]
    assert single.tensors["x0"].shape[1] == 4
    assert [case.values["guidance_scale"] for case in (single, early, late)] == [0, 1, 100]
    assert 20 in early.tensors["t"].tolist()
    first, second = late.tensors["t"].tolist()
    assert 999 >= first > second + 20
    assert torch.equal(late.tensors["x0"][0], late.tensors["x0_src"][0])
    assert not torch.equal(late.tensors["x0"][1], late.tensors["x0_src"][1])
    assert late.prompts["uncond"] == ["upside down"] * 2


@pytest.mark.parametrize("seed", [0, *SEEDS])
def test_trials_of_one_step_are_small_and_large(seed):
    early, late = list(CASES["pds.posterior_coefficients"].values())[2:]
    assert posterior_coefficients(**early(seed).tensors).sigma.max() < 0.05
    assert late(seed).tensors["beta"].min() > 0.8
    *_, latent = list(CASES["pds.stochastic_latent"].values())[:3]
    assert observe(stochastic_latent, latent(seed)).value.std() > 3  # plain noise has 1


def test_the_verdict_says_which_step_was_taken():
    task = key(5).task(PDS)
    verdict, _ = judge(task, reply_here(right_at(Step(lambda t: t - 2)), task), 1.0)
    assert verdict.lines == (
        "pds.pds_loss: right, with t_prev = t - 2 and the beta of a single step (the published "
        "code's; it pulls towards the source).",
    )
