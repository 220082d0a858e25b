"""Wrong answers to stage 6."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from grading.stages.known_answers import both, wrong

EPS = "elastic.elastic_eps"
COVER = "elastic.cover"
LOCAL = "elastic.local_score"
REFERENCE = "elastic.from_reference"
READ = "elastic.next_read"
RRG = "elastic.reduced_resolution_guidance"
MERGE = "elastic.merge_views"


@wrong(EPS, "it begins at the reference's unconditional noise, not at that of the windows.")
def eps_of_the_reference(local, eps_uncond, eps_text, guidance_scale):
    return eps_uncond + guidance_scale * (eps_text - eps_uncond)


@wrong(EPS, "the direction begins at the windows' noise; both of its ends are the reference's.")
def eps_away_from_the_windows(local, eps_uncond, eps_text, guidance_scale):
    return local + guidance_scale * (eps_text - local)


@wrong(EPS, "the direction is turned round: the picture is led away from the prompt.")
def eps_turned_round(local, eps_uncond, eps_text, guidance_scale):
    return local + guidance_scale * (eps_uncond - eps_text)


@wrong(EPS, "the noise with the prompt is no direction; its unconditional part is to be taken off.")
def eps_without_a_difference(local, eps_uncond, eps_text, guidance_scale):
    return local + guidance_scale * eps_text


@wrong(EPS, "the direction has the weight s - 1, as if the windows knew the prompt already.")
def eps_with_a_weight_too_small_by_1(local, eps_uncond, eps_text, guidance_scale):
    return local + (guidance_scale - 1) * (eps_text - eps_uncond)


@wrong(EPS, "the guidance scale is missing.")
def eps_without_a_scale(local, eps_uncond, eps_text, guidance_scale):
    return local + eps_text - eps_uncond


@wrong(EPS, "the windows' noise is missing: only the direction is followed.")
def eps_of_the_direction_alone(local, eps_uncond, eps_text, guidance_scale):
    return guidance_scale * (eps_text - eps_uncond)


@wrong(EPS, "the direction is added to the reference's noise with the prompt, not to the windows'.")
def eps_from_the_prompt(local, eps_uncond, eps_text, guidance_scale):
    return eps_text + guidance_scale * (eps_text - eps_uncond)


@wrong(EPS, "the guidance scale multiplies the windows' noise too.")
def eps_with_all_of_it_scaled(local, eps_uncond, eps_text, guidance_scale):
    return guidance_scale * (local + eps_text - eps_uncond)


@both(eps_of_the_reference, eps_turned_round)
def eps_of_the_reference_turned_round(local, eps_uncond, eps_text, guidance_scale):
    return eps_uncond + guidance_scale * (eps_uncond - eps_text)


def _written(side, window, shift):
    """The begin and end of each window, as they should be."""
    ends = [*range(shift or window, side, window), side]
    return list(zip([0, *ends[:-1]], ends, strict=True))


def _around(begin, side, window, read):
    """Where what is read around a window begins, as it should be."""
    return min(max(begin - (read - window) // 2, 0), side - read)


def _covered(side, window, read, shift, first=None, written=_written):
    """With another `first(begin, end)`, or with other windows."""
    if side <= read:
        return torch.tensor([[0, side, 0, side]])
    rows = []
    for begin, end in written(side, window, shift):
        start = _around(begin, side, window, read) if first is None else first(begin, end)
        rows.append([start, start + read, begin, end])
    return torch.tensor(rows)


@wrong(COVER, "what is left behind the last whole window is never written.")
def cover_without_the_rest(side, window, read, shift):
    def written(side, window, shift):
        return [
            (begin, end) for begin, end in _written(side, window, shift) if end - begin == window
        ]

    return _covered(side, window, read, shift, written=written)


@wrong(COVER, "the last window is moved inward until it is whole, so some cells are written twice.")
def cover_with_the_last_one_moved(side, window, read, shift):
    def written(side, window, shift):
        *others, (_, end) = _written(side, window, shift)
        return [*others, (side - window, end)]

    return _covered(side, window, read, shift, written=written)


@wrong(COVER, "only the window itself is read: no neighbours help, and each border is a seam.")
def cover_without_context(side, window, read, shift):
    if side <= read:
        return torch.tensor([[0, side, 0, side]])
    return torch.tensor([[*both, *both] for both in _written(side, window, shift)])


@wrong(COVER, "all that is read is written too, so windows write over each other.")
def cover_with_context_written(side, window, read, shift):
    right = _covered(side, window, read, shift)
    return torch.cat([right[:, :2], right[:, :2]], dim=1)


@wrong(COVER, "at the border fewer cells are read; the whole stretch is to be moved inward.")
def cover_cut_off_at_the_border(side, window, read, shift):
    right = _covered(side, window, read, shift, first=lambda begin, _: begin - (read - window) // 2)
    return torch.cat([right[:, :2].clamp(0, side), right[:, 2:]], dim=1)


@wrong(COVER, "all of the context lies before the window; half of it belongs there.")
def cover_with_context_before(side, window, read, shift):
    return _covered(
        side, window, read, shift,
        first=lambda begin, _: min(max(begin - (read - window), 0), side - read),
    )  # fmt: skip


@wrong(COVER, "all of the context lies behind the window; half of it belongs before it.")
def cover_with_context_behind(side, window, read, shift):
    return _covered(side, window, read, shift, first=lambda begin, _: min(begin, side - read))


@wrong(COVER, "the shift is not used, so the seams stay where they are.")
def cover_without_shift(side, window, read, shift):
    return _covered(side, window, read, 0)


@wrong(COVER, "the first window begins at the shift, and what is before it is never written.")
def cover_from_the_shift_on(side, window, read, shift):
    def written(side, window, shift):
        return [both for both in _written(side, window, shift) if both[0] > 0 or not shift]

    return _covered(side, window, read, shift, written=written)


@wrong(COVER, "the first window has lost `shift` cells; it should have as many as that.")
def cover_with_a_first_window_of_the_rest(side, window, read, shift):
    return _covered(side, window, read, (window - shift) % window)


@wrong(COVER, "a shift of 0 makes a first window of no cells.")
def cover_with_an_empty_window(side, window, read, shift):
    def written(side, window, shift):
        return [*[(0, 0)] * (shift == 0), *_written(side, window, shift)]

    return _covered(side, window, read, shift, written=written)


@wrong(COVER, "a side that can be read at once is still cut into windows.")
def cover_of_a_short_side_in_parts(side, window, read, shift):
    its = min(side, read)
    rows = []
    for begin, end in _written(side, window, shift):
        first = _around(begin, side, window, its)
        rows.append([first, first + its, begin, end])
    return torch.tensor(rows)


@wrong(COVER, "what is written comes first in each row; what is read should.")
def cover_with_what_is_written_first(side, window, read, shift):
    return _covered(side, window, read, shift)[:, [2, 3, 0, 1]]


@wrong(COVER, "an end is the last cell; it should be the first one that is no longer in it.")
def cover_with_the_last_cells(side, window, read, shift):
    return _covered(side, window, read, shift) - torch.tensor([0, 1, 0, 1])


@wrong(COVER, "it says how many cells there are, not where they end.")
def cover_with_lengths(side, window, read, shift):
    right = _covered(side, window, read, shift)
    return right - torch.tensor([0, 1, 0, 1]) * right[:, [0, 0, 2, 2]]


@wrong(COVER, "of an odd number of cells around a window, the larger half lies before it.")
def cover_with_the_larger_half_before(side, window, read, shift):
    return _covered(
        side, window, read, shift,
        first=lambda begin, _: min(max(begin - (read - window + 1) // 2, 0), side - read),
    )  # fmt: skip


@both(cover_without_the_rest, cover_with_the_last_cells)
def cover_of_whole_windows_by_last_cells(side, window, read, shift):
    return cover_without_the_rest.function(side, window, read, shift) - torch.tensor([0, 1, 0, 1])


def _views(rows, columns):
    return [(row, column) for row in rows.tolist() for column in columns.tolist()]


def _cut(xt, views):
    return torch.stack([xt[..., a:b, c:d] for (a, b, *_), (c, d, *_) in views])


def _put(eps, eps_views, views):
    """What is to be written of each view, as it should be."""
    for its, ((a, _, top, bottom), (c, _, left, right)) in zip(eps_views, views, strict=True):
        eps[..., top:bottom, left:right] = its[..., top - a : bottom - a, left - c : right - c]
    return eps


@wrong(LOCAL, "a window reads only what it writes: without neighbours, each border is a seam.")
def local_without_context(predict, xt, rows, columns):
    eps = torch.empty_like(xt)
    for (*_, top, bottom), (*_, left, right) in _views(rows, columns):
        its = (..., slice(top, bottom), slice(left, right))
        eps[its] = predict(xt[its][None])[0]
    return eps


@wrong(LOCAL, "what is around a window is written too, over what the window before it wrote.")
def local_with_context_written(predict, xt, rows, columns):
    eps, views = torch.empty_like(xt), _views(rows, columns)
    for its, ((a, b, *_), (c, d, *_)) in zip(predict(_cut(xt, views)), views, strict=True):
        eps[..., a:b, c:d] = its
    return eps


@wrong(LOCAL, "all that windows read is averaged, their context too; each cell has one window.")
def local_averaged(predict, xt, rows, columns):
    eps, count, views = torch.zeros_like(xt), torch.zeros_like(xt), _views(rows, columns)
    for its, ((a, b, *_), (c, d, *_)) in zip(predict(_cut(xt, views)), views, strict=True):
        eps[..., a:b, c:d] += its
        count[..., a:b, c:d] += 1
    return eps / count


@wrong(LOCAL, "all that windows read is added up, their context too.")
def local_added_up(predict, xt, rows, columns):
    eps, views = torch.zeros_like(xt), _views(rows, columns)
    for its, ((a, b, *_), (c, d, *_)) in zip(predict(_cut(xt, views)), views, strict=True):
        eps[..., a:b, c:d] += its
    return eps


@wrong(LOCAL, "windows are in the wrong order: columns first, where rows come first.")
def local_columns_first(predict, xt, rows, columns):
    views = [(row, column) for column in columns.tolist() for row in rows.tolist()]
    return _put(torch.empty_like(xt), predict(_cut(xt, views)), views)


@wrong(LOCAL, "predict is called window by window; call it once for all.")
def local_window_by_window(predict, xt, rows, columns):
    views = _views(rows, columns)
    predicted = [predict(_cut(xt, [view]))[0] for view in views]
    return _put(torch.empty_like(xt), predicted, views)


@wrong(LOCAL, "predict is called for one row of windows after the other; call it once for all.")
def local_row_by_row(predict, xt, rows, columns):
    eps = torch.empty_like(xt)
    for row in rows:
        views = _views(row[None], columns)
        _put(eps, predict(_cut(xt, views)), views)
    return eps


@wrong(LOCAL, "the upper left of what was read is kept, not what lies at the window's place.")
def local_from_the_upper_left(predict, xt, rows, columns):
    eps, views = torch.empty_like(xt), _views(rows, columns)
    for its, ((*_, top, bottom), (*_, left, right)) in zip(
        predict(_cut(xt, views)), views, strict=True
    ):
        eps[..., top:bottom, left:right] = its[..., : bottom - top, : right - left]
    return eps


@wrong(LOCAL, "the middle of what was read is kept; at a border the window does not lie there.")
def local_from_the_middle(predict, xt, rows, columns):
    eps, views = torch.empty_like(xt), _views(rows, columns)
    for its, ((a, b, top, bottom), (c, d, left, right)) in zip(
        predict(_cut(xt, views)), views, strict=True
    ):
        y, x = (b - a - bottom + top) // 2, (d - c - right + left) // 2
        inside = its[..., y : y + bottom - top, x : x + right - left]
        eps[..., top:bottom, left:right] = inside
    return eps


@wrong(LOCAL, "the network is asked about the whole picture, which is larger than it knows.")
def local_of_the_whole(predict, xt, rows, columns):
    return predict(xt[None])[0]


@wrong(LOCAL, "the last row and the last column of windows are left out.")
def local_without_the_last(predict, xt, rows, columns):
    eps, views = torch.zeros_like(xt), _views(rows, columns)
    predicted = predict(_cut(xt, views))
    kept = [k for k, (row, column) in enumerate(views) if not _is_last(xt, row, column)]
    return _put(eps, [predicted[k] for k in kept], [views[k] for k in kept])


def _is_last(xt, row, column):
    h, w = xt.shape[-2:]
    return (row[3] == h and row[2] > 0) or (column[3] == w and column[2] > 0)


@wrong(LOCAL, "the noise is written into xt itself.")
def local_into_xt(predict, xt, rows, columns):
    views = _views(rows, columns)
    return _put(xt, predict(_cut(xt, views)), views)


def _references(xt, reads):
    return torch.stack([xt.flatten(2)[..., read] for read in reads])


def _spread(predicted, owner):
    """Of one round, to the size of the picture, as it should be."""
    return predicted.flatten(2)[..., owner]


def _written_back(whole, predicted, reads):
    """What was predicted for the cells that were read, the last round last."""
    cells = whole.flatten(2).clone()
    for read, its in zip(reads, predicted, strict=True):
        cells[..., read.flatten()] = its.flatten(2)
    return cells.view_as(whole)


@wrong(REFERENCE, "of several rounds that read a cell, the first one counts; the last one should.")
def reference_of_the_first_round(predict, xt, reads, owner):
    predicted = predict(_references(xt, reads))
    return _written_back(_spread(predicted[-1], owner), predicted.flip(0), reads.flip(0))


@wrong(REFERENCE, "the last round is spread over all cells; those that were read have their own.")
def reference_without_writing_back(predict, xt, reads, owner):
    return _spread(predict(_references(xt, reads))[-1], owner)


@wrong(REFERENCE, "cells that were never read have what the first round says, not the last one.")
def reference_filled_from_the_first(predict, xt, reads, owner):
    predicted = predict(_references(xt, reads))
    return _written_back(_spread(predicted[0], owner), predicted, reads)


@wrong(REFERENCE, "cells that were never read have the mean of all rounds, not the last one.")
def reference_filled_from_all(predict, xt, reads, owner):
    predicted = predict(_references(xt, reads))
    return _written_back(_spread(predicted.mean(0), owner), predicted, reads)


@wrong(REFERENCE, "cells that were never read stay 0: there the prompt has no say.")
def reference_not_filled(predict, xt, reads, owner):
    predicted = predict(_references(xt, reads))
    return _written_back(0 * _spread(predicted[-1], owner), predicted, reads)


@wrong(REFERENCE, "the reference is made of means of cells, which have too little noise in them.")
def reference_of_means(predict, xt, reads, owner):
    count = reads[0].numel()
    members = F.one_hot(owner.flatten(), count).to(xt.dtype)
    means = xt.flatten(2) @ members / members.sum(0)
    references = means.unflatten(2, reads.shape[1:]).expand(len(reads), -1, -1, -1, -1)
    predicted = predict(references)
    return _written_back(_spread(predicted[-1], owner), predicted, reads)


@wrong(REFERENCE, "what several rounds say of a cell is averaged; the last one counts.")
def reference_averaged(predict, xt, reads, owner):
    predicted = predict(_references(xt, reads))
    whole = _spread(predicted[-1], owner).flatten(2)
    total, count = torch.zeros_like(whole), torch.zeros(whole.shape[-1])
    for read, its in zip(reads, predicted, strict=True):
        total[..., read.flatten()] += its.flatten(2)
        count[read.flatten()] += 1
    return torch.where(count > 0, total / count.clamp(min=1), whole).unflatten(2, owner.shape)


@wrong(REFERENCE, "the last round is enlarged smoothly, which mixes the noise of neighbours.")
def reference_enlarged_smoothly(predict, xt, reads, owner):
    predicted = predict(_references(xt, reads))
    whole = F.interpolate(predicted[-1], owner.shape, mode="bilinear", align_corners=False)
    return _written_back(whole, predicted, reads)


@wrong(REFERENCE, "cells are shared out by interpolation; `owner` says to which one each belongs.")
def reference_enlarged_without_owner(predict, xt, reads, owner):
    predicted = predict(_references(xt, reads))
    whole = F.interpolate(predicted[-1], owner.shape, mode="nearest")
    return _written_back(whole, predicted, reads)


@wrong(REFERENCE, "cells are counted column by column where they are read.")
def reference_read_by_columns(predict, xt, reads, owner):
    predicted = predict(_references(xt.transpose(2, 3), reads))
    return _written_back(_spread(predicted[-1], owner), predicted, reads)


@wrong(REFERENCE, "cells are counted column by column where they are written back.")
def reference_written_by_columns(predict, xt, reads, owner):
    predicted = predict(_references(xt, reads))
    h, w = owner.shape
    return _written_back(_spread(predicted[-1], owner), predicted, reads % w * h + reads // w)


@wrong(REFERENCE, "predict is called round by round; call it once for all.")
def reference_round_by_round(predict, xt, reads, owner):
    predicted = torch.cat([predict(_references(xt, read[None])) for read in reads])
    return _written_back(_spread(predicted[-1], owner), predicted, reads)


@wrong(REFERENCE, "the last round is returned as it is, as small as the reference.")
def reference_as_it_is(predict, xt, reads, owner):
    return predict(_references(xt, reads))[-1]


def _best(groups, used, order):
    """The number of the cell that is chosen, as it should be."""
    there = groups >= 0
    fresh = there & ~used[groups.clamp(min=0)]
    rank = order + fresh.float() - 2 * (~there).float()
    return _at(groups, rank.argmax(2))


def _at(groups, place):
    return groups.gather(2, place[..., None])[..., 0]


@wrong(READ, "it is turned round: what should be kept is chosen anew, and what should not is kept.")
def read_turned_round(groups, read, used, new_p, chance, order):
    return torch.where(chance >= new_p, _best(groups, used, order), read)


@wrong(READ, "it does not matter what was used, so the rounds read the same cells again.")
def read_used_ones_too(groups, read, used, new_p, chance, order):
    best = _at(groups, order.masked_fill(groups < 0, -1).argmax(2))
    return torch.where(chance < new_p, best, read)


@wrong(READ, "`used` is turned round: cells that were used come first.")
def read_used_ones_first(groups, read, used, new_p, chance, order):
    return torch.where(chance < new_p, _best(groups, ~used, order), read)


@wrong(READ, "-1 is taken for a cell; it only fills up small groups.")
def read_what_is_not_there(groups, read, used, new_p, chance, order):
    rank = order + (~used[groups]).float()
    return torch.where(chance < new_p, _at(groups, rank.argmax(2)), read)


@wrong(READ, "the smallest `order` is taken; the largest is wanted.")
def read_the_smallest(groups, read, used, new_p, chance, order):
    return torch.where(chance < new_p, _best(groups, used, 1 - order), read)


@wrong(READ, "it is the place in the group that is returned, not the number of the cell there.")
def read_places(groups, read, used, new_p, chance, order):
    best = _best(groups, used, order)
    return torch.where(chance < new_p, (groups == best[..., None]).int().argmax(2), read)


@wrong(READ, "where all of a group was used, nothing is chosen any more.")
def read_nothing_more(groups, read, used, new_p, chance, order):
    fresh = (groups >= 0) & ~used[groups.clamp(min=0)]
    chosen = (chance < new_p) & fresh.any(2)
    return torch.where(chosen, _best(groups, used, order), read)


@wrong(READ, "where all of a group was used, what was read just before may not be chosen again.")
def read_another_one(groups, read, used, new_p, chance, order):
    same = (groups == read[..., None]) & ((groups >= 0).sum(2, keepdim=True) > 1)
    best = _best(groups, used, order - same.float() / 2 - same.float() / 2)
    return torch.where(chance < new_p, best, read)


@wrong(READ, "the first unused cell of the group is taken, whatever its `order`.")
def read_the_first(groups, read, used, new_p, chance, order):
    return torch.where(chance < new_p, _best(groups, used, _falling(order)), read)


def _falling(order):
    return torch.linspace(0.9, 0.1, order.shape[2]).expand_as(order)


@wrong(READ, "`chance` is not used: every cell of the reference chooses anew.")
def read_all_anew(groups, read, used, new_p, chance, order):
    return _best(groups, used, order)


@wrong(READ, "cells are marked as used here too; whoever calls this does that.")
def read_and_mark(groups, read, used, new_p, chance, order):
    new = torch.where(chance < new_p, _best(groups, used, order), read)
    used[new.flatten()] = True
    return new


def _weight(weight, progress, stop, cosine_scale):
    """w(p) as it should be."""
    if progress >= 1 - stop:
        return 0.0
    return weight * _decay(progress / (1 - stop)) ** cosine_scale


def _decay(part):
    return (1 + math.cos(math.pi * part)) / 2


def _pull(x0, x0_reference, owner):
    return x0_reference.flatten(2)[..., owner] - x0


@wrong(RRG, "the sign is wrong: the picture is pushed away from the reference.")
def rrg_away(x0, x0_reference, owner, weight, progress, stop, cosine_scale):
    pull = _pull(x0, x0_reference, owner)
    return x0 - _weight(weight, progress, stop, cosine_scale) * pull


@wrong(RRG, "the pull stays as strong as at the start until it stops.")
def rrg_without_decay(x0, x0_reference, owner, weight, progress, stop, cosine_scale):
    return x0 + weight * (progress < 1 - stop) * _pull(x0, x0_reference, owner)


@wrong(RRG, "the pull does not stop: it grows again in the last part of the way.")
def rrg_without_end(x0, x0_reference, owner, weight, progress, stop, cosine_scale):
    its = weight * _decay(progress / (1 - stop)) ** cosine_scale
    return x0 + its * _pull(x0, x0_reference, owner)


@wrong(RRG, "the cosine runs over the whole way; it should reach 0 at 1 - stop.")
def rrg_over_the_whole_way(x0, x0_reference, owner, weight, progress, stop, cosine_scale):
    its = weight * _decay(progress) ** cosine_scale * (progress < 1 - stop)
    return x0 + its * _pull(x0, x0_reference, owner)


@wrong(RRG, "the weight is divided by the number of cells: it would pull weakly in large pictures.")
def rrg_of_a_mean(x0, x0_reference, owner, weight, progress, stop, cosine_scale):
    its = _weight(weight, progress, stop, cosine_scale) / x0[0].numel()
    return x0 + its * _pull(x0, x0_reference, owner)


@wrong(RRG, "the 2 of the gradient is kept, so a weight of 1 goes beyond the reference.")
def rrg_twice(x0, x0_reference, owner, weight, progress, stop, cosine_scale):
    pull = _pull(x0, x0_reference, owner)
    return x0 + 2 * _weight(weight, progress, stop, cosine_scale) * pull


@wrong(RRG, "the half of 1 + cos is missing: the weight begins at 2^cosine_scale times itself.")
def rrg_without_the_half(x0, x0_reference, owner, weight, progress, stop, cosine_scale):
    its = _weight(weight, progress, stop, cosine_scale) * 2**cosine_scale
    return x0 + its * _pull(x0, x0_reference, owner)


@wrong(RRG, "`cosine_scale` multiplies; it should be an exponent.")
def rrg_with_a_factor(x0, x0_reference, owner, weight, progress, stop, cosine_scale):
    its = cosine_scale * _weight(weight, progress, stop, 1)
    return x0 + its * _pull(x0, x0_reference, owner)


@wrong(RRG, "the exponent is on the weight too.")
def rrg_with_the_weight_in_the_power(x0, x0_reference, owner, weight, progress, stop, cosine_scale):
    its = _weight(weight**cosine_scale, progress, stop, cosine_scale)
    return x0 + its * _pull(x0, x0_reference, owner)


@wrong(RRG, "the reference is enlarged smoothly; each cell should have the value of its owner.")
def rrg_enlarged_smoothly(x0, x0_reference, owner, weight, progress, stop, cosine_scale):
    large = F.interpolate(x0_reference, owner.shape, mode="bilinear", align_corners=False)
    return x0 + _weight(weight, progress, stop, cosine_scale) * (large - x0)


@wrong(RRG, "the reference is enlarged by interpolation; `owner` says to which cell each belongs.")
def rrg_enlarged_without_owner(x0, x0_reference, owner, weight, progress, stop, cosine_scale):
    large = F.interpolate(x0_reference, owner.shape, mode="nearest")
    return x0 + _weight(weight, progress, stop, cosine_scale) * (large - x0)


@wrong(RRG, "the reference is added; only its difference from x0 should be.")
def rrg_added(x0, x0_reference, owner, weight, progress, stop, cosine_scale):
    its = _weight(weight, progress, stop, cosine_scale)
    return x0 + its * x0_reference.flatten(2)[..., owner]


@wrong(RRG, "the weight is x0's: it begins as x0 and becomes the reference.")
def rrg_swapped(x0, x0_reference, owner, weight, progress, stop, cosine_scale):
    its = _weight(weight, progress, stop, cosine_scale)
    return x0 + (1 - its) * _pull(x0, x0_reference, owner)


@wrong(RRG, "the pull ends at `stop`; that is how much of the way is left when it ends.")
def rrg_until_stop(x0, x0_reference, owner, weight, progress, stop, cosine_scale):
    its = _weight(weight, progress, 1 - stop, cosine_scale) if stop > 0 else 0.0
    return x0 + its * _pull(x0, x0_reference, owner)


@wrong(RRG, "pi is missing in the cosine.")
def rrg_without_pi(x0, x0_reference, owner, weight, progress, stop, cosine_scale):
    its = _weight(weight, progress, stop, 0)
    its *= ((1 + math.cos(progress / (1 - stop))) / 2) ** cosine_scale
    return x0 + its * _pull(x0, x0_reference, owner)


@both(rrg_away, rrg_without_decay)
def rrg_away_without_decay(x0, x0_reference, owner, weight, progress, stop, cosine_scale):
    return x0 - weight * (progress < 1 - stop) * _pull(x0, x0_reference, owner)


def _insides(tops, lefts, weights):
    a, b = weights.shape
    pairs = zip(tops.tolist(), lefts.tolist(), strict=True)
    return [(..., slice(top, top + a), slice(left, left + b)) for top, left in pairs]


def _sums(views, tops, lefts, weights, size):
    """Of weighted views (B, C, h, w), and of the weights (h, w)."""
    total, norm = views.new_zeros(*views.shape[1:3], *size), views.new_zeros(size)
    for view, inside in zip(views, _insides(tops, lefts, weights), strict=True):
        total[inside] += weights * view
        norm[inside] += weights
    return total, norm


@wrong(MERGE, "the sum is not divided: where views overlap, numbers are too large.")
def merged_by_a_sum(views, tops, lefts, weights, size):
    return _sums(views, tops, lefts, weights, size)[0]


@wrong(MERGE, "the weights are not used: all places of a view count the same.")
def merged_without_weights(views, tops, lefts, weights, size):
    total, norm = _sums(views, tops, lefts, torch.ones_like(weights), size)
    return total / norm


@wrong(MERGE, "the last view that holds a cell has it alone.")
def merged_by_the_last_view(views, tops, lefts, weights, size):
    whole = views.new_zeros(*views.shape[1:3], *size)
    for view, inside in zip(views, _insides(tops, lefts, weights), strict=True):
        whole[inside] = view
    return whole


@wrong(MERGE, "the weights are squared.")
def merged_with_squared_weights(views, tops, lefts, weights, size):
    total, norm = _sums(views, tops, lefts, weights**2, size)
    return total / norm


@wrong(MERGE, "it is divided by the number of views at a cell, not by the sum of their weights.")
def merged_by_counts(views, tops, lefts, weights, size):
    total, _ = _sums(views, tops, lefts, weights, size)
    return total / _sums(views, tops, lefts, torch.ones_like(weights), size)[1]


@wrong(MERGE, "it is divided by at least 1, but weights may sum to less.")
def merged_by_at_least_1(views, tops, lefts, weights, size):
    total, norm = _sums(views, tops, lefts, weights, size)
    return total / norm.clamp(min=1)


@wrong(MERGE, "it is divided by the root of the sum of squared weights, which is no mean.")
def merged_by_a_root(views, tops, lefts, weights, size):
    total, _ = _sums(views, tops, lefts, weights, size)
    return total / _sums(views, tops, lefts, weights**2, size)[1].sqrt()


@wrong(MERGE, "it is divided by the sum of the weights of one view, the same for every cell.")
def merged_by_one_sum(views, tops, lefts, weights, size):
    return _sums(views, tops, lefts, weights, size)[0] / weights.sum()
