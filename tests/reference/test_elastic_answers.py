"""What the pieces of stage 6 are: by closed forms, by what they are for, by the exact prior."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from distillery.methods.reference_cells import Cells, cells
from distillery.models.exact import GaussianMixturePrior
from distillery.models.prior import guided_noise
from reference import elastic

BATCHES = pytest.mark.parametrize("shape", [(3, 4, 11, 18), (1, 3, 14, 9)], ids=["batch", "single"])
# Size of a picture and of its reference: twice, uneven groups, another factor down than across.
REFERENCES = pytest.mark.parametrize(
    ("size", "reference"),
    [((8, 12), (4, 6)), ((7, 11), (3, 4)), ((6, 12), (6, 3)), ((5, 4), (5, 4))],
    ids=["twice", "uneven", "wide", "itself"],
)


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def rand(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


# The score, split


@BATCHES
def test_a_reference_that_is_the_picture_leaves_plain_guidance(shape: tuple[int, ...]) -> None:
    prior = GaussianMixturePrior(randn(2, *shape[1:]), 0.5, names={"a boat": [0]})
    xt, t = randn(*shape, seed=1), torch.full(shape[:1], 600)
    text, uncond = (prior.embed([prompt] * shape[0]) for prompt in ("a boat", ""))
    eps_uncond, eps_text = prior.predict_noise(xt, t, uncond, text)
    split = elastic.elastic_eps(eps_uncond, eps_uncond, eps_text, 7.5)
    plain = guided_noise(prior, text=text, uncond=uncond, guidance_scale=7.5)
    assert torch.equal(split, plain(xt, t))


@pytest.mark.parametrize("scale", [0.0, 1.0, 7.5])
def test_the_direction_has_the_weight_s_and_the_windows_have_1(scale: float) -> None:
    local, eps_uncond, eps_text = randn(3, 2, 4, 5, 7).unbind()
    nothing = torch.zeros_like(local)
    assert torch.equal(elastic.elastic_eps(local, nothing, nothing, scale), local)
    for eps, weight in ((eps_text, scale), (-eps_uncond, scale)):
        two = (nothing, eps) if eps is eps_text else (-eps, nothing)
        torch.testing.assert_close(elastic.elastic_eps(nothing, *two, scale), weight * eps)


# Covers

SIDES = [
    (side, window, read, shift)
    for side, window, read in itertools.product(range(1, 24), (1, 2, 3, 5), (3, 5, 6, 9))
    if window <= read
    for shift in range(window)
]


def test_every_cell_is_written_once_from_left_to_right() -> None:
    for side, window, read, shift in SIDES:
        table = elastic.cover(side, window, read, shift)
        assert table.dtype == torch.int64
        written = [cell for _, _, begin, end in table.tolist() for cell in range(begin, end)]
        assert written == list(range(side))


def test_windows_end_at_the_shift_and_then_every_window_cells() -> None:
    for side, window, read, shift in SIDES:
        ends = elastic.cover(side, window, read, shift)[:, 3].tolist()
        places = [end for end in range(1, side) if (end - shift) % window == 0]
        assert ends == ([*places, side] if side > read else [side])


def test_what_is_read_is_in_the_picture_and_as_near_to_the_window_as_it_can_be() -> None:
    for side, window, read, shift in SIDES:
        for first, last, begin, end in elastic.cover(side, window, read, shift).tolist():
            assert first <= begin < end <= last
            assert last - first == min(side, read)
            wanted = begin - (read - window) // 2
            inside = range(max(0, side - read) + 1)
            assert first == min(inside, key=lambda place: abs(place - wanted))


def test_another_shift_puts_no_seam_where_one_was() -> None:
    seams = [set(elastic.cover(31, 4, 9, shift)[:-1, 3].tolist()) for shift in range(4)]
    assert sum(len(its) for its in seams) == len(set.union(*seams)) == 30


# The local score


def blur(reach: int):
    """A network that looks so many cells far, in pictures with nothing around them."""

    def predict(views: Tensor) -> Tensor:
        flat = views.flatten(0, 2)[:, None]
        kernel = randn(1, 1, 2 * reach + 1, 2 * reach + 1, seed=5)
        return F.conv2d(flat, kernel, padding=reach).view(views.shape)

    return predict


def covers(shape: tuple[int, ...], window: int, read: int, shift: int) -> tuple[Tensor, Tensor]:
    h, w = shape[2:]
    return elastic.cover(h, window, read, shift), elastic.cover(w, window, read, shift)


@pytest.mark.parametrize("shift", [0, 1, 2])
@BATCHES
def test_with_enough_context_windows_give_what_the_whole_picture_gives(
    shape: tuple[int, ...], shift: int
) -> None:
    xt = randn(*shape)
    eps = elastic.local_score(blur(2), xt, *covers(shape, 3, 7, shift))
    torch.testing.assert_close(eps, blur(2)(xt[None])[0], rtol=1e-4, atol=1e-5)


@BATCHES
def test_without_context_windows_do_not(shape: tuple[int, ...]) -> None:
    xt = randn(*shape)
    eps = elastic.local_score(blur(2), xt, *covers(shape, 3, 3, 0))
    assert (eps - blur(2)(xt[None])[0]).abs().max() > 0.1


@BATCHES
def test_one_window_is_the_whole_picture_to_the_bit(shape: tuple[int, ...]) -> None:
    xt = randn(*shape)
    eps = elastic.local_score(blur(1), xt, *covers(shape, 3, 18, 2))
    assert torch.equal(eps, blur(1)(xt[None])[0])


def test_the_network_is_asked_once_about_rows_of_windows_from_left_to_right() -> None:
    xt = torch.arange(8 * 10.0).view(1, 1, 8, 10)
    asked = []

    def predict(views: Tensor) -> Tensor:
        asked.append(views)
        return views

    assert torch.equal(elastic.local_score(predict, xt, *covers(xt.shape, 2, 4, 0)), xt)
    (views,) = asked
    assert views.shape == (4 * 5, 1, 1, 4, 4)
    # In both directions the first and the last one are moved into the picture.
    corners = [10 * top + left for top in (0, 1, 3, 4) for left in (0, 1, 3, 5, 6)]
    assert views[:, 0, 0, 0, 0].tolist() == corners


# The reference


def some_reads(its: Cells, rounds: int) -> Tensor:
    """Each round reads any cell of each group."""
    order = rand(rounds, *its.groups.shape, seed=2) - 2 * (its.groups < 0).float()
    return its.groups.expand(order.shape).gather(3, order.argmax(3, keepdim=True))[..., 0]


@REFERENCES
def test_a_cell_has_what_was_said_of_it_or_of_its_owner(
    size: tuple[int, int], reference: tuple[int, int]
) -> None:
    its, xt = cells(size, reference), randn(2, 3, *size)
    reads = some_reads(its, 3)
    eps = elastic.from_reference(lambda references: 2 * references, xt, reads, its.owner)
    flat, read = xt.flatten(2), set(reads.flatten().tolist())
    for number, owner in enumerate(its.owner.flatten().tolist()):
        source = number if number in read else int(reads[-1].flatten()[owner])
        assert torch.equal(eps.flatten(2)[..., number], 2 * flat[..., source])


@REFERENCES
def test_the_last_round_that_read_a_cell_counts(
    size: tuple[int, int], reference: tuple[int, int]
) -> None:
    its = cells(size, reference)
    reads = some_reads(its, 4)

    def numbers(references: Tensor) -> Tensor:
        return torch.arange(4.0).view(4, 1, 1, 1, 1).expand(4, 2, 5, *reference)

    whole = elastic.from_reference(numbers, randn(2, 3, *size), reads, its.owner)
    assert whole.shape == (2, 5, *size)
    for number, cell in enumerate(whole.flatten(2).movedim(2, 0)):
        rounds = [k for k, read in enumerate(reads) if (read == number).any()]
        assert (cell == (max(rounds) if rounds else 3)).all()


def test_the_reference_keeps_the_variance_of_the_noise() -> None:
    its, xt = cells((60, 80), (30, 40)), randn(1, 4, 60, 80)
    seen = []
    elastic.from_reference(
        lambda references: seen.append(references) or references, xt, some_reads(its, 2), its.owner
    )
    assert float(seen[0].var()) == pytest.approx(1, abs=0.05)
    assert float(F.avg_pool2d(xt, 2).var()) == pytest.approx(0.25, abs=0.02)  # the mean would not


# Resampling


def rounds(its: Cells, count: int, new_p: float) -> list[Tensor]:
    read = its.groups.amax(2)
    used, found = torch.zeros(its.owner.numel(), dtype=torch.bool), [read]
    for seed in range(count):
        used[read.flatten()] = True
        chance, order = rand(*its.size, seed=seed), rand(*its.groups.shape, seed=100 + seed)
        read = elastic.next_read(its.groups, read, used, new_p, chance, order)
        found.append(read)
    return found


@REFERENCES
def test_cells_are_read_from_their_own_group(
    size: tuple[int, int], reference: tuple[int, int]
) -> None:
    its = cells(size, reference)
    for read in rounds(its, 12, 0.5):
        assert torch.equal(its.owner.flatten()[read].flatten(), torch.arange(read.numel()))


@REFERENCES
def test_no_cell_is_read_twice_before_all_of_its_group_were(
    size: tuple[int, int], reference: tuple[int, int]
) -> None:
    its = cells(size, reference)
    most = its.groups.shape[2]
    found = torch.stack(rounds(its, most - 1, 1.0))
    for i, j in itertools.product(*(range(side) for side in its.size)):
        group = [number for number in its.groups[i, j].tolist() if number >= 0]
        assert set(found[: len(group), i, j].tolist()) == set(group)


def test_nobody_chooses_anew_at_0_and_new_p_of_them_do_otherwise() -> None:
    its = cells((80, 120), (40, 60))
    first, second = rounds(its, 1, 0.0)
    assert torch.equal(first, second)
    nothing = torch.zeros(40, 60)  # is not below 0 either
    used = torch.zeros(its.owner.numel(), dtype=torch.bool)
    same = elastic.next_read(its.groups, first, used, 0.0, nothing, rand(40, 60, 4))
    assert torch.equal(first, same)
    for new_p in (0.3, 0.7, 1.0):
        first, second = rounds(its, 1, new_p)
        assert float((first != second).float().mean()) == pytest.approx(new_p, abs=0.03)


def test_all_cells_of_a_group_that_is_used_up_come_equally_often() -> None:
    its = cells((80, 120), (40, 60))
    used = torch.ones(its.owner.numel(), dtype=torch.bool)
    chance, order = rand(40, 60), rand(40, 60, 4, seed=1)
    read = elastic.next_read(its.groups, its.groups[..., 0], used, 1.0, chance, order)
    share = (its.groups == read[..., None]).float().mean((0, 1))
    torch.testing.assert_close(share, torch.full((4,), 0.25), rtol=0, atol=0.04)


# Reduced-resolution guidance


def pulled(x0: Tensor, r: Tensor, owner: Tensor, **others: float) -> Tensor:
    its = {"weight": 0.7, "progress": 0.3, "stop": 0.2, "cosine_scale": 3.0} | others
    return elastic.reduced_resolution_guidance(x0, r, owner, **its)


@REFERENCES
def test_it_is_a_step_down_the_squared_distance(
    size: tuple[int, int], reference: tuple[int, int]
) -> None:
    """A step of w / 2 along the gradient 2 (x0 - r) of the sum over all cells."""
    its = cells(size, reference)
    x0, r = randn(2, 3, *size).requires_grad_(), randn(2, 3, *reference, seed=1)
    large = torch.stack([r[..., k // reference[1], k % reference[1]] for k in its.owner.flatten()])
    large = large.permute(1, 2, 0).unflatten(2, size)
    (gradient,) = torch.autograd.grad((x0 - large).square().sum(), x0)
    w = 0.7 * ((1 + math.cos(math.pi * 0.3 / 0.8)) / 2) ** 3
    torch.testing.assert_close(pulled(x0, r, its.owner), x0 - w / 2 * gradient)


def test_a_weight_of_1_puts_the_reference_in_its_place_at_the_start() -> None:
    its = cells((7, 11), (3, 4))
    r = randn(2, 4, 3, 4, seed=1)
    whole = pulled(randn(2, 4, 7, 11), r, its.owner, weight=1.0, progress=0.0)
    torch.testing.assert_close(whole, r.flatten(2)[..., its.owner])


def weight_at(progress: float, **others: float) -> float:
    """w(p), as it moves a picture of zeros to a reference of ones."""
    its = cells((4, 6), (2, 3))
    nothing, ones = torch.zeros(1, 1, 4, 6), torch.ones(1, 1, 2, 3)
    return float(pulled(nothing, ones, its.owner, weight=1.0, progress=progress, **others).mean())


@pytest.mark.parametrize("stop", [0.0, 0.2, 0.6])
@pytest.mark.parametrize("cosine_scale", [0.5, 1.0, 3.0])
def test_the_pull_falls_over_a_half_to_0(stop: float, cosine_scale: float) -> None:
    settings = {"stop": stop, "cosine_scale": cosine_scale}
    way = [weight_at(part * (1 - stop), **settings) for part in (0, 0.25, 0.5, 0.75, 0.99)]
    assert way == sorted(way, reverse=True)
    assert way[0] == 1
    assert way[2] == pytest.approx(0.5**cosine_scale)
    assert [weight_at(1 - stop / 2, **settings), weight_at(1.0, **settings)] == [0, 0]


def test_a_cosine_scale_of_0_pulls_evenly_until_it_stops() -> None:
    even = [weight_at(progress, cosine_scale=0.0) for progress in (0.0, 0.5, 0.79, 0.81)]
    assert even == [1, 1, 1, 0]


def test_the_pull_of_a_cell_does_not_depend_on_the_size_of_the_picture() -> None:
    small, large = cells((4, 6), (2, 3)), cells((8, 18), (4, 9))
    x0, r = randn(1, 2, 4, 6), randn(1, 2, 2, 3, seed=1)
    tiles = (1, 1, 2, 3)
    torch.testing.assert_close(
        pulled(x0.repeat(tiles), r.repeat(tiles), large.owner),
        pulled(x0, r, small.owner).repeat(tiles),
    )


# MultiDiffusion


def overlapping(size: tuple[int, int], view: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """The corners of views that cover a picture, each a third of a view further."""
    places = [
        sorted({*range(0, big - small, max(1, small // 3)), big - small})
        for big, small in zip(size, view, strict=True)
    ]
    corners = torch.tensor(list(itertools.product(*places)))
    return corners[:, 0], corners[:, 1]


@pytest.mark.parametrize(("size", "view"), [((7, 10), (4, 5)), ((9, 5), (9, 3)), ((4, 6), (4, 6))])
def test_no_other_picture_has_views_closer_to_the_given_ones(
    size: tuple[int, int], view: tuple[int, int]
) -> None:
    """The least-squares solution, from the system of all its equations."""
    tops, lefts = overlapping(size, view)
    views, weights = randn(len(tops), 2, 3, *view), rand(*view) + 0.1
    equations, wanted = [], []
    for its, top, left in zip(views, tops.tolist(), lefts.tolist(), strict=True):
        for a, b in itertools.product(*(range(side) for side in view)):
            row = torch.zeros(size)
            row[top + a, left + b] = 1
            root = weights[a, b].sqrt()
            equations.append(root * row.flatten())
            wanted.append(root * its[..., a, b].flatten())
    best = torch.linalg.lstsq(torch.stack(equations), torch.stack(wanted)).solution
    merged = elastic.merge_views(views, tops, lefts, weights, size)
    torch.testing.assert_close(merged, best.T.reshape(2, 3, *size), rtol=1e-4, atol=1e-5)


@BATCHES
def test_views_of_one_picture_give_that_picture(shape: tuple[int, ...]) -> None:
    x, (a, b) = randn(*shape), (5, 7)
    tops, lefts = overlapping(shape[2:], (a, b))
    pairs = zip(tops.tolist(), lefts.tolist(), strict=True)
    views = torch.stack([x[..., top : top + a, left : left + b] for top, left in pairs])
    merged = elastic.merge_views(views, tops, lefts, 1e-3 + rand(a, b), shape[2:])
    torch.testing.assert_close(merged, x)


def test_only_the_ratio_of_weights_counts() -> None:
    tops, lefts = overlapping((7, 10), (4, 5))
    views, weights = randn(len(tops), 1, 4, 4, 5), rand(4, 5) + 0.1
    one, other = (
        elastic.merge_views(views, tops, lefts, scale * weights, (7, 10)) for scale in (1.0, 1e-3)
    )
    torch.testing.assert_close(one, other)
