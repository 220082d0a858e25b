"""Stage 6: what each kind of trial is for, what its inputs are, and that mistakes are named."""

from __future__ import annotations

from functools import cache

import pytest
import torch

from benchmarks.reply_here import reply_here
from distillery.course.observe import observe
from grading.judge.judge_task import Key, judge
from grading.stages.cases import CASES
from grading.stages.elastic.cases import PULLS, RESAMPLING, ROUNDS, SCALES, SIDES, VIEWS, WINDOWS
from grading.stages.elastic.stage import STAGE
from grading.stages.inputs.random_inputs import KINDS, SINGLE
from grading.stages.misconceptions import MISCONCEPTIONS
from reference import elastic

SEEDS = range(31, 37)
EVERY = pytest.mark.parametrize("seed", [0, *SEEDS])
EPS, COVER, LOCAL, REFERENCE, READ, RRG, MERGE = (f"elastic.{its}" for its in STAGE.points)
ALL = (EPS, COVER, LOCAL, REFERENCE, READ, RRG, MERGE)
KNOWN = {answer.name: answer.function for answer in MISCONCEPTIONS}


@cache
def key(seed: int) -> Key:
    return Key(seed)


def trials(task: str, seed: int) -> dict:
    return {words: draw(seed) for words, draw in CASES[task].items()}


def right(task: str):
    return getattr(elastic, task.removeprefix("elastic."))


# What each kind of trial is for: wrong answers that no other one is sure to find.


def with_pictures_exchanged(task: str, place: int, axis: int = 0):
    """The argument at this place has its pictures two places further; one and two stay."""

    def wrong(*arguments):
        moved = arguments[place].roll(2, axis)
        return right(task)(*arguments[:place], moved, *arguments[place + 1 :])

    return wrong


def of_three_channels(task: str, places: tuple[int, ...], axis: int = 1):
    """The arguments at these places without their fourth channel."""

    def wrong(*arguments):
        some = [
            its.narrow(axis, 0, 3) if place in places else its
            for place, its in enumerate(arguments)
        ]
        return right(task)(*some)

    return wrong


def with_another(task: str, place: int, number):
    """The number at this place is replaced by what `number` makes of it."""

    def wrong(*arguments):
        its = list(arguments)
        its[place] = number(its[place])
        return right(task)(*its)

    return wrong


def cover_of_as_much_as_can_be_read(side, window, read, shift):
    if side <= read:
        return torch.tensor([[0, read, 0, side]])
    return elastic.cover(side, window, read, shift)


def cover_in_parts_up_to_what_can_be_read(side, window, read, shift):
    if side == read:
        return elastic.cover(side + 1, window, read, shift)
    return elastic.cover(side, window, read, shift)


def cover_at_once_of_one_cell_more(side, window, read, shift):
    if side <= read + 1:
        return torch.tensor([[0, side, 0, side]])
    return elastic.cover(side, window, read, shift)


def cover_with_some_context(side, window, read, shift):
    if side > read and read < window + 2:
        first = elastic.cover(side, window, read, shift)
        return first + torch.tensor([-1, 1, 0, 0]) * (first[:, :1] > 0)
    return elastic.cover(side, window, read, shift)


def local_of_windows_like_the_first(predict, xt, rows, columns):
    """The first window says how large all of them are."""
    cut = [table.clone() for table in (rows, columns)]
    for table in cut:
        table[:, 3] = torch.minimum(table[:, 3], table[:, 2] + table[0, 3])
    eps = elastic.local_score(predict, xt, *cut)
    is_written = [
        ((table[:, 2:3] <= torch.arange(side)) & (torch.arange(side) < table[:, 3:])).any(0)
        for table, side in zip(cut, xt.shape[2:], strict=True)
    ]
    return torch.where(is_written[0][:, None] & is_written[1], eps, 0.0)


def local_counted_from_the_end(predict, xt, rows, columns):
    """What is behind a window is cut off by a negative number, or not at all at the border."""
    sides = zip((rows, columns), xt.shape[2:], strict=True)
    ends = [
        [None if bottom == side else bottom - b for _, b, _, bottom in table.tolist()]
        for table, side in sides
    ]
    views = [(i, j) for i in range(len(rows)) for j in range(len(columns))]
    read = [(rows[i].tolist(), columns[j].tolist()) for i, j in views]
    eps = torch.empty_like(xt)
    predicted = predict(torch.stack([xt[..., a:b, c:d] for (a, b, *_), (c, d, *_) in read]))
    for its, (i, j), ((a, _, top, bottom), (c, _, left, right)) in zip(
        predicted, views, read, strict=True
    ):
        eps[..., top:bottom, left:right] = its[..., top - a : ends[0][i], left - c : ends[1][j]]
    return eps


def local_of_two_rows(predict, xt, rows, columns):
    assert len(rows) > 1
    return elastic.local_score(predict, xt, rows, columns)


def reference_of_two_predictions(predict, xt, reads, owner):
    whole = elastic.from_reference(predict, xt, reads, owner)
    return whole.view(len(xt), 2 * xt.shape[1], *owner.shape)


def reference_of_two_rounds_at_least(predict, xt, reads, owner):
    assert len(reads) > 1
    return elastic.from_reference(predict, xt, reads, owner)


def reference_of_the_last_three_rounds(predict, xt, reads, owner):
    """What only earlier rounds read is not written back."""
    predicted = predict(torch.stack([xt.flatten(2)[..., read] for read in reads]))
    cells = predicted[-1].flatten(2)[..., owner.flatten()]
    for read, its in zip(reads[-3:], predicted[-3:], strict=True):
        cells[..., read.flatten()] = its.flatten(2)
    return cells.unflatten(2, owner.shape)


def reference_of_different_rounds(predict, xt, reads, owner):
    """The network is not asked about the same reference again."""
    kept = list({tuple(read.flatten().tolist()): k for k, read in enumerate(reads)}.values())
    return elastic.from_reference(predict, xt, reads[kept], owner)


def read_of_groups_of_four(groups, read, used, new_p, chance, order):
    hr, wr = read.shape
    return elastic.next_read(groups.view(hr, wr, 4), read, used, new_p, chance, order)


def read_up_to_new_p(groups, read, used, new_p, chance, order):
    return elastic.next_read(groups, read, used, new_p, chance - 1e-9, order)


def merged_of_two_views(views, tops, lefts, weights, size):
    assert len(views) > 1
    return elastic.merge_views(views, tops, lefts, weights, size)


def merged_by_corners(views, tops, lefts, weights, size):
    """Of views with one corner, only the last one is known."""
    corners = zip(tops.tolist(), lefts.tolist(), strict=True)
    kept = list({corner: k for k, corner in enumerate(corners)}.values())
    return elastic.merge_views(views[kept], tops[kept], lefts[kept], weights, size)


def merged_by_a_tenth_at_least(views, tops, lefts, weights, size):
    a, b = weights.shape
    norm = torch.zeros(size)
    for top, left in zip(tops.tolist(), lefts.tolist(), strict=True):
        norm[top : top + a, left : left + b] += weights
    return elastic.merge_views(views, tops, lefts, weights, size) * norm / norm.clamp(min=0.1)


FOUND_BY = {
    (EPS, ""): with_pictures_exchanged(EPS, 0),
    (EPS, KINDS[SINGLE]): of_three_channels(EPS, (0, 1, 2)),
    (EPS, SCALES["early"]): with_another(EPS, 3, lambda scale: max(1.0, scale)),
    (EPS, SCALES["late"]): with_another(EPS, 3, lambda scale: min(30.0, scale)),
    (COVER, SIDES["shifted"]): KNOWN["cover_without_shift"],
    (COVER, SIDES["inside"]): cover_of_as_much_as_can_be_read,
    (COVER, SIDES["just"]): cover_in_parts_up_to_what_can_be_read,
    (COVER, SIDES["one more"]): cover_at_once_of_one_cell_more,
    (COVER, SIDES["odd"]): KNOWN["cover_with_the_larger_half_before"],
    (COVER, SIDES["bare"]): cover_with_some_context,
    (COVER, SIDES["narrow"]): with_another(COVER, 1, lambda window: max(2, window)),
    (LOCAL, ""): with_pictures_exchanged(LOCAL, 1),
    (LOCAL, KINDS[SINGLE]): of_three_channels(LOCAL, (1,)),
    (LOCAL, WINDOWS["shifted"]): local_of_windows_like_the_first,
    (LOCAL, WINDOWS["bare"]): local_counted_from_the_end,
    (LOCAL, WINDOWS["strip"]): local_of_two_rows,
    (REFERENCE, ""): with_pictures_exchanged(REFERENCE, 1),
    (REFERENCE, KINDS[SINGLE]): reference_of_two_predictions,
    (REFERENCE, ROUNDS["one round"]): reference_of_two_rounds_at_least,
    (REFERENCE, ROUNDS["all"]): reference_of_the_last_three_rounds,
    (REFERENCE, ROUNDS["one"]): reference_of_different_rounds,
    (REFERENCE, ROUNDS["uneven"]): KNOWN["reference_enlarged_without_owner"],
    (READ, ""): read_of_groups_of_four,
    (READ, RESAMPLING["uneven"]): KNOWN["read_what_is_not_there"],
    (READ, RESAMPLING["used"]): KNOWN["read_nothing_more"],
    (READ, RESAMPLING["never"]): read_up_to_new_p,
    (READ, RESAMPLING["always"]): with_another(READ, 3, lambda new_p: min(new_p, 0.99)),
    (RRG, ""): with_pictures_exchanged(RRG, 1),
    (RRG, KINDS[SINGLE]): of_three_channels(RRG, (0, 1)),
    (RRG, PULLS["start"]): with_another(RRG, 4, lambda progress: max(progress, 0.05)),
    (RRG, PULLS["left out"]): KNOWN["rrg_without_end"],
    (RRG, PULLS["to the end"]): with_another(RRG, 5, lambda stop: stop or 0.1),
    (RRG, PULLS["steady"]): with_another(RRG, 6, lambda scale: scale or 3.0),
    (RRG, PULLS["nothing"]): with_another(RRG, 3, lambda weight: weight or 1.0),
    (RRG, PULLS["uneven"]): KNOWN["rrg_enlarged_without_owner"],
    (MERGE, ""): with_pictures_exchanged(MERGE, 0, axis=1),
    (MERGE, KINDS[SINGLE]): of_three_channels(MERGE, (0,), axis=2),
    (MERGE, VIEWS["alone"]): merged_of_two_views,
    (MERGE, VIEWS["twice"]): merged_by_corners,
    (MERGE, VIEWS["faint"]): merged_by_a_tenth_at_least,
}


def found_at(task: str, function, seed: int) -> set[str]:
    """The circumstances under which a function does not do what the reference does."""
    found = set()
    for words, case in trials(task, seed).items():
        try:
            same = observe(function, case).equals(observe(right(task), case))
        except Exception:
            same = False
        found |= set() if same else {words}
    return found


ONLY_HIDDEN = [(task, function) for (task, words), function in FOUND_BY.items() if not words]


@pytest.mark.parametrize(("task", "function"), ONLY_HIDDEN, ids=[task for task, _ in ONLY_HIDDEN])
def test_ordinary_hidden_inputs_find_what_visible_ones_let_through(task, function):
    assert "" not in found_at(task, function, 0)
    assert all("" in found_at(task, function, seed) for seed in SEEDS)


def test_every_kind_of_trial_is_there_for_something():
    """Only the ordinary sides have nothing that others do not have."""
    kinds = {(task, words) for task in ALL for words in CASES[task]}
    assert FOUND_BY.keys() == kinds - {(COVER, "")}


@pytest.mark.parametrize(("task", "words"), FOUND_BY)
def test_no_other_kind_is_sure_to_find_what_this_one_finds(task, words):
    found = [found_at(task, FOUND_BY[task, words], seed) for seed in SEEDS]
    assert set.intersection(*found) == {words}


WITH_WORDS = [(task, words) for task, words in FOUND_BY if words]


@pytest.mark.parametrize(("task", "words"), WITH_WORDS)
def test_the_verdict_says_where_an_answer_is_wrong_and_the_mistake_if_it_is_known(task, words):
    function, asked = FOUND_BY[task, words], key(SEEDS[0]).task(task)
    verdict, _ = judge(asked, reply_here(function, asked), 3.0)
    assert verdict.points < 3
    said = " ".join(verdict.lines)
    names = [name for name, its in KNOWN.items() if its is function]
    assert [verdict.misconception] == (names or [None])
    assert names or words in said


def asked_twice(task: str):
    """The network is asked for nothing once more; the numbers are right."""

    def wrong(predict, xt, *others):
        def twice(views):
            predict(views)
            return predict(views)

        return right(task)(twice, xt, *others)

    return wrong


def kept_by_shapes(task: str):
    """A result is computed once for all tensors of these shapes."""
    known: dict = {}

    def wrong(*arguments):
        shapes = tuple(its.shape for its in arguments if isinstance(its, torch.Tensor))
        if shapes not in known:
            known[shapes] = right(task)(*arguments)
        return known[shapes]

    return wrong


@pytest.mark.parametrize("task", [task for task in ALL if task != COVER])
def test_a_result_that_is_kept_for_inputs_of_the_same_shapes_is_seen(task):
    assert all(found_at(task, kept_by_shapes(task), seed) for seed in SEEDS)


@pytest.mark.parametrize("task", [LOCAL, REFERENCE])
def test_a_network_that_is_asked_twice_costs_half_of_the_points_and_is_told(task):
    asked = key(SEEDS[0]).task(task)
    verdict, _ = judge(asked, reply_here(asked_twice(task), asked), 3.0)
    assert verdict.points == 1.5
    assert "2 calls to predict" in " ".join(verdict.lines)


# What the inputs are.


@EVERY
def test_the_directions_show_something_and_scales_reach_both_ends(seed):
    its = list(trials(EPS, seed).values())
    assert [case.values["guidance_scale"] for case in its[1:]] == [1, 0, 100]
    for case in its:
        assert len({tuple(tensor.shape) for tensor in case.tensors.values()}) == 1
        assert case.tensors["local"].shape[2] != case.tensors["local"].shape[3]


@EVERY
def test_sides_are_of_all_kinds(seed):
    its = {words: case.values for words, case in trials(COVER, seed).items()}
    for values in its.values():
        assert 1 <= values["window"] <= values["read"]
        assert 0 <= values["shift"] < values["window"] or values["shift"] == 0
        assert values["side"] >= 1
    gaps = {words: values["side"] - values["read"] for words, values in its.items()}
    assert gaps[SIDES["inside"]] < 0
    assert gaps[SIDES["just"]] == 0
    assert gaps[SIDES["one more"]] == 1
    around = {words: values["read"] - values["window"] for words, values in its.items()}
    assert around[SIDES["odd"]] % 2 == 1
    assert around[SIDES["bare"]] == 0
    assert [words for words, values in its.items() if values["shift"]] == [
        SIDES[kind] for kind in ("shifted", "inside", "just")
    ]
    assert min(around[""], around[SIDES["shifted"]]) >= 2


@EVERY
def test_windows_cover_the_picture_as_covers_do(seed):
    """So that an answer may rely on all that `cover` says."""
    for words, case in trials(LOCAL, seed).items():
        for name, side in zip(("rows", "columns"), case.tensors["xt"].shape[2:], strict=True):
            table = case.tensors[name]
            read = int(table[0, 1] - table[0, 0])
            cut = int(table[0, 3])
            window = max(cut, int((table[:, 3] - table[:, 2]).max()))
            assert torch.equal(elastic.cover(side, window, read, cut % window), table)
        assert (len(case.tensors["rows"]) == 1) == (words == WINDOWS["strip"])


@EVERY
def test_references_are_read_from_groups_that_hold_all_cells_once(seed):
    for words, case in trials(REFERENCE, seed).items():
        owner, reads = case.tensors["owner"], case.tensors["reads"]
        for read in reads:
            assert torch.equal(owner.flatten()[read].flatten(), torch.arange(read.numel()))
        assert case.tensors["xt"].shape[2:] == owner.shape
        share = reads.unique().numel() / owner.numel()
        assert (share == 1) == (words == ROUNDS["all"])
    sizes = trials(REFERENCE, seed)[ROUNDS["uneven"]].tensors["owner"].flatten().bincount()
    assert len(sizes.unique()) > 1


@EVERY
def test_groups_are_used_up_filled_up_or_neither(seed):
    for words, case in trials(READ, seed).items():
        groups, used = case.tensors["groups"], case.tensors["used"]
        assert used[case.tensors["read"].flatten()].all()
        assert sorted(groups[groups >= 0].tolist()) == list(range(len(used)))
        assert bool((groups < 0).any()) == (words == RESAMPLING["uneven"])
        assert bool(used.all()) == (words == RESAMPLING["used"])
        for name in ("chance", "order"):
            assert 0 <= case.tensors[name].min() <= case.tensors[name].max() < 1
        assert case.values["new_p"] in (0, 1) or 0.3 < case.values["new_p"] < 0.8


@EVERY
def test_the_pull_is_seen_wherever_there_is_one(seed):
    for words, case in trials(RRG, seed).items():
        pulled = elastic.reduced_resolution_guidance(*case.fresh().values())
        moved = (pulled - case.tensors["x0"]).abs().max()
        is_none = words in (PULLS["left out"], PULLS["nothing"])
        assert (moved == 0) if is_none else (moved > 0.1)


@EVERY
def test_views_reach_every_cell_and_overlap(seed):
    for words, case in trials(MERGE, seed).items():
        tops, lefts, weights = (case.tensors[name] for name in ("tops", "lefts", "weights"))
        h, w = case.values["size"]
        count = torch.zeros(h, w)
        for top, left in zip(tops.tolist(), lefts.tolist(), strict=True):
            count[top : top + weights.shape[0], left : left + weights.shape[1]] += 1
        assert count.min() >= 1
        assert count.max() >= 2 or words == VIEWS["alone"]
        assert weights.min() > 0.01
