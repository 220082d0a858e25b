"""Values with a choice left open: which choice they show, and what is said of steps."""

from __future__ import annotations

import pytest
import torch

from distillery.course.choices import AcceptedSteps, WeightedSums

DIRECTIONS = torch.randn(2, 3, 1, 4, 5, generator=torch.Generator().manual_seed(0))
SUMS = WeightedSums(
    (
        torch.tensor([[1.0, 0.0], [0.5, 2.0]]),
        torch.tensor([[0.0, 1.0], [3.0, 1.0], [1.0, -1.0]]),
        torch.tensor([[2.0, 2.0]]),
    ),
    DIRECTIONS,
    (0, 0, 0),
)


@pytest.mark.parametrize("rows", [[0, 0, 0], [1, 2, 0], [0, 1, 0]])
def test_each_picture_has_a_choice_of_its_own(rows):
    chosen, total = SUMS.chosen(SUMS.total(rows) + 1e-6, 1e-4)
    assert chosen == rows
    assert torch.equal(total, SUMS.total(rows))


def test_other_weights_are_no_choice():
    value = SUMS.total([0, 1, 0])
    value[1] += 0.01 * DIRECTIONS[0, 1]
    assert SUMS.chosen(value, 1e-4) is None
    assert SUMS.chosen(value, 0.1) is not None


def test_what_lies_beside_the_directions_is_no_choice():
    value = SUMS.total([0, 1, 0])
    value[2, 0, 0, 0] += 0.1
    assert SUMS.chosen(value, 1e-4) is None


def test_another_shape_is_no_choice():
    assert SUMS.chosen(torch.zeros(3, 1, 4), 1e-4) is None


def test_a_direction_that_is_zero_leaves_the_other():
    sums = WeightedSums(SUMS.weights, DIRECTIONS * torch.tensor([0.0, 1.0]).view(2, 1, 1, 1, 1), ())
    assert sums.chosen(sums.total([1, 2, 0]), 1e-4)[0] == [1, 2, 0]


def test_sums_are_restored_as_they_were_stored():
    again = WeightedSums.restored(SUMS.stored())
    assert torch.equal(again.directions, SUMS.directions)
    assert all(map(torch.equal, again.weights, SUMS.weights))
    assert again.usual == SUMS.usual
    assert WeightedSums.restored({}) is None


def steps(*times: int) -> AcceptedSteps:
    """Any weights will do; they are different."""
    generator = torch.Generator().manual_seed(1)
    weights = tuple(torch.randn(2 * t, 2, generator=generator) for t in times)
    return AcceptedSteps(weights, DIRECTIONS[:, : len(times)], ())


SINGLE, JUMP = 0, 1
SAID = [
    ([(18, SINGLE), (38, SINGLE)], "t_prev = t - 2 and the beta of a single step (the published"),
    ([(15, SINGLE), (35, SINGLE)], "t_prev = t - 5 and the beta of a single step (it pulls"),
    ([(15, JUMP), (35, JUMP)], "t_prev = t - 5 and the beta of that jump: psi is zero"),
    ([(19, JUMP), (39, SINGLE)], "t_prev = t - 1: psi is zero"),
    ([(10, JUMP), (20, JUMP)], "t_prev = t // 2 and the beta of that jump: psi is zero"),
    ([(10, SINGLE), (20, SINGLE)], "t_prev = t // 2 and the beta of a single step (it pulls"),
    ([(3, SINGLE), (7, SINGLE)], "t_prev = 3 for t = 20, t_prev = 7 for t = 40 and the beta of a"),
    (
        [(3, JUMP), (39, SINGLE)],
        "t_prev = 3 for t = 20, t_prev = 39 for t = 40 and the beta of th",
    ),
    ([(3, JUMP), (7, SINGLE)], "and the beta of a single step for some, of the jump for others."),
]


@pytest.mark.parametrize(("chosen", "words"), SAID)
def test_the_steps_that_were_taken_are_told(chosen, words):
    accepted = steps(20, 40)
    value = accepted.total([2 * t_prev + beta for t_prev, beta in chosen])
    found = accepted.matching(value, 1e-4)
    assert words in found.sentence
    assert torch.equal(found.value, value)
