"""How the cells of a picture are shared among those of its reference, and what it reads."""

from __future__ import annotations

import itertools

import pytest
import torch

from distillery.methods.reference_cells import (
    all_reads,
    cells,
    inside_trained,
    reference_size,
    same_aspect,
    small_size,
)
from distillery.models.exact import GaussianMixturePrior
from distillery.models.load import load_prior
from reference import elastic as functions

PAIRS = (
    ((8, 8), (4, 4)),
    ((6, 15), (2, 3)),
    ((16, 32), (12, 24)),
    ((7, 11), (3, 4)),
    ((5, 5), (5, 5)),
    ((9, 4), (2, 4)),
)
EVERY = pytest.mark.parametrize(("size", "reference"), PAIRS)


@EVERY
def test_every_cell_is_in_the_group_of_its_owner_alone(
    size: tuple[int, int], reference: tuple[int, int]
) -> None:
    shared = cells(size, reference)
    assert shared.size == reference
    assert shared.owner.shape == size
    groups = shared.groups.flatten(0, 1)
    numbers = groups[groups >= 0]
    assert numbers.sort().values.tolist() == list(range(size[0] * size[1]))
    for owner, group in enumerate(groups.tolist()):
        for number in group:
            assert number == -1 or shared.owner.flatten()[number] == owner


@EVERY
def test_the_groups_lie_side_by_side_and_differ_by_no_more_than_one_row_or_column(
    size: tuple[int, int], reference: tuple[int, int]
) -> None:
    owner = cells(size, reference).owner
    rows, columns = owner // reference[1], owner % reference[1]
    assert (rows == rows[:, :1]).all()
    assert (columns == columns[:1]).all()
    for line, count in ((rows[:, 0], reference[0]), (columns[0], reference[1])):
        assert line.tolist() == sorted(line.tolist())
        heights = line.bincount(minlength=count)
        assert heights.min() >= 1
        assert heights.max() - heights.min() <= 1


@pytest.mark.parametrize(
    ("size", "trained", "multiple", "wanted"),
    [
        ((16, 32), (16, 16), 4, (12, 24)),
        ((32, 16), (16, 16), 4, (24, 12)),
        ((32, 32), (16, 16), 4, (16, 16)),
        ((48, 48), (16, 16), 4, (16, 16)),
        ((16, 64), (16, 16), 4, (8, 32)),
        ((16, 16), (16, 16), 4, (16, 16)),
        ((10, 12), (16, 16), 4, (10, 12)),
        ((9, 28), (16, 16), 4, (9, 28)),
        ((128, 256), (128, 128), 8, (88, 184)),
        ((2, 400), (16, 16), 4, (2, 228)),
    ],
)
def test_a_reference_has_the_aspect_and_about_the_trained_area(
    size: tuple[int, int], trained: tuple[int, int], multiple: int, wanted: tuple[int, int]
) -> None:
    assert same_aspect(size, trained, multiple=multiple) == wanted


def test_no_reference_is_larger_than_the_picture_or_empty() -> None:
    for size in itertools.product((1, 2, 5, 16, 33, 70), repeat=2):
        for small in (
            same_aspect(size, (16, 16), multiple=4),
            inside_trained(size, (16, 16)),
        ):
            assert 1 <= small[0] <= size[0]
            assert 1 <= small[1] <= size[1]
        assert max(inside_trained(size, (16, 16))) <= 16


def test_a_padded_reference_has_the_longer_side_of_the_trained_size() -> None:
    assert inside_trained((16, 32), (16, 16)) == (8, 16)
    assert inside_trained((48, 24), (16, 16)) == (16, 8)
    assert inside_trained((8, 12), (16, 16)) == (8, 12)
    assert inside_trained((20, 30), (10, 30)) == (10, 15)


def test_the_sides_of_a_reference_are_what_the_network_halves_evenly() -> None:
    sd = load_prior("tiny-sd", device="cpu")
    assert sd.latent_size == (16, 16)
    assert reference_size(sd, (16, 32)) == (12, 24)
    exact = GaussianMixturePrior(torch.zeros(1, 1, 1, 1), 1.0, latent_size=(6, 10))
    assert reference_size(exact, (12, 20)) == (6, 10)
    assert reference_size(exact, (6, 20)) == (4, 14)


@pytest.mark.parametrize(
    ("size", "wanted"),
    [
        ((16, 32), (10, 20)),
        ((32, 16), (20, 10)),
        ((32, 32), (16, 16)),
        ((48, 48), (16, 16)),
        ((16, 64), (6, 22)),
        ((16, 16), (16, 16)),
        ((9, 28), (9, 28)),
        ((1, 400), (1, 72)),
    ],
)
def test_a_small_picture_is_between_the_trained_area_and_the_trained_sides(
    size: tuple[int, int], wanted: tuple[int, int]
) -> None:
    prior = GaussianMixturePrior(torch.zeros(1, 1, 1, 1), 1.0, latent_size=(16, 16))
    assert small_size(prior, size) == wanted


@EVERY
@pytest.mark.parametrize("new_p", [0.0, 0.4, 1.0])
def test_a_cell_of_the_reference_reads_its_own_group(
    size: tuple[int, int], reference: tuple[int, int], new_p: float
) -> None:
    shared = cells(size, reference)
    reads = all_reads(functions, shared, rounds=4, new_p=new_p, seed=2)
    assert reads.shape == (5, *reference)
    owners = shared.owner.flatten()[reads]
    assert (owners.flatten(1) == torch.arange(owners[0].numel())).all()


def test_at_first_the_upper_left_cell_of_each_group_is_read() -> None:
    reads = all_reads(functions, cells((4, 6), (2, 2)), rounds=0, new_p=1.0, seed=0)
    assert reads.tolist() == [[[0, 3], [12, 15]]]


def test_rounds_enough_read_every_cell_and_none_again_before() -> None:
    shared = cells((6, 9), (2, 3))  # groups of 9
    reads = all_reads(functions, shared, rounds=8, new_p=1.0, seed=1)
    assert reads.flatten().sort().values.tolist() == list(range(54))
    again = all_reads(functions, shared, rounds=30, new_p=1.0, seed=1)
    assert torch.equal(again[:9], reads)


def test_about_the_part_new_p_of_the_cells_reads_another_one_in_each_round() -> None:
    reads = all_reads(functions, cells((80, 80), (40, 40)), rounds=1, new_p=0.3, seed=4)
    assert (reads[0] != reads[1]).float().mean() == pytest.approx(0.3, abs=0.05)


def test_the_seed_says_what_is_read() -> None:
    one, same, other = (
        all_reads(functions, cells((8, 8), (4, 4)), rounds=2, new_p=0.5, seed=seed)
        for seed in (1, 1, 2)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_the_cells_that_are_read_have_all_the_noise_and_a_mean_has_not() -> None:
    xt = torch.randn(2, 3, 60, 60, generator=torch.Generator().manual_seed(0))
    shared = cells((60, 60), (20, 20))
    for read in all_reads(functions, shared, rounds=3, new_p=0.5, seed=0):
        assert xt.flatten(2)[..., read].std() == pytest.approx(1, abs=0.05)
    groups = xt.flatten(2)[..., shared.groups].mean(-1)
    assert groups.std() == pytest.approx(1 / 3, abs=0.05)
