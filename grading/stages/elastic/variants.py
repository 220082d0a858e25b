"""Stage 6 in other right spellings."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from grading.stages.known_answers import right

EPS = "elastic.elastic_eps"
COVER = "elastic.cover"
LOCAL = "elastic.local_score"
REFERENCE = "elastic.from_reference"
READ = "elastic.next_read"
RRG = "elastic.reduced_resolution_guidance"
MERGE = "elastic.merge_views"


@right(EPS)
def eps_by_lerp(local, eps_uncond, eps_text, guidance_scale):
    return local - eps_uncond + torch.lerp(eps_uncond, eps_text, guidance_scale)


@right(EPS)
def eps_by_addcmul(local, eps_uncond, eps_text, guidance_scale):
    return torch.add(local, eps_text.sub(eps_uncond), alpha=guidance_scale)


@right(EPS)
def eps_on_a_copy(local, eps_uncond, eps_text, guidance_scale):
    eps = local.clone()
    eps += guidance_scale * eps_text
    eps -= guidance_scale * eps_uncond
    return eps


@right(COVER)
def cover_by_tensors(side, window, read, shift):
    if read >= side:
        return torch.tensor([[0, side, 0, side]])
    cuts = torch.arange(shift if shift else window, side, window)
    begins = torch.cat([torch.zeros(1, dtype=torch.int64), cuts])
    ends = torch.cat([cuts, torch.tensor([side])])
    firsts = (begins - (read - window) // 2).clamp(0, side - read)
    return torch.stack([firsts, firsts + read, begins, ends], dim=1)


@right(COVER)
def cover_by_a_loop(side, window, read, shift):
    """The middle of a window that is cut off is the same in the end: the border moves it."""
    if side <= read:
        return torch.tensor([(0, side, 0, side)])
    rows, begin, end = [], 0, shift if shift > 0 else window
    while begin < side:
        end = min(end, side)
        first = begin - (read - (end - begin)) // 2
        first = max(0, min(first, side - read))
        rows.append((first, first + read, begin, end))
        begin, end = end, end + window
    return torch.tensor(rows, dtype=torch.int64)


@right(COVER)
def cover_cell_by_cell(side, window, read, shift):
    """Which window each cell is in, and from that where each begins."""
    if side <= read:
        return torch.tensor([[0, side, 0, side]])
    number = (torch.arange(side) - shift) // window
    ends = number.unique(return_counts=True)[1].cumsum(0)
    rows = [
        [max(0, min(begin - (read - window) // 2, side - read)), 0, begin, end]
        for begin, end in zip([0, *ends.tolist()], ends.tolist(), strict=False)
    ]
    table = torch.tensor(rows)
    table[:, 1] = table[:, 0] + read
    return table


@right(LOCAL)
def local_by_masks(predict, xt, rows, columns):
    """Every view at its place in a picture of zeros; each cell is in one of them."""
    pairs = [(row, column) for row in rows for column in columns]
    views = [xt[:, :, row[0] : row[1], column[0] : column[1]] for row, column in pairs]
    h, w = xt.shape[-2:]
    eps = torch.zeros_like(xt)
    y, x = torch.arange(h)[:, None], torch.arange(w)
    for its, (row, column) in zip(predict(torch.stack(views)), pairs, strict=True):
        pad = (int(column[0]), w - int(column[1]), int(row[0]), h - int(row[1]))
        mine = (row[2] <= y) & (y < row[3]) & (column[2] <= x) & (x < column[3])
        eps = torch.where(mine, F.pad(its, pad), eps)
    return eps


@right(LOCAL)
def local_joined(predict, xt, rows, columns):
    m, n = len(rows), len(columns)
    down, across = (
        torch.stack([torch.arange(a, b) for a, b, *_ in table.tolist()])
        for table in (rows, columns)
    )
    views = xt[:, :, down[:, None, :, None], across[None, :, None, :]]
    predicted = predict(views.movedim((2, 3), (0, 1)).flatten(0, 1)).unflatten(0, (m, n))
    bands = []
    for band, (a, _, top, bottom) in zip(predicted, rows.tolist(), strict=True):
        parts = [
            its[..., top - a : bottom - a, left - c : right - c]
            for its, (c, _, left, right) in zip(band, columns.tolist(), strict=True)
        ]
        bands.append(torch.cat(parts, dim=-1))
    return torch.cat(bands, dim=-2)


@right(LOCAL)
def local_cell_by_cell(predict, xt, rows, columns):
    """For each row and column of the picture: in which window, and at which place of it?"""
    views = torch.stack(
        [xt[..., a:b, c:d] for a, b, _, _ in rows.tolist() for c, d, _, _ in columns.tolist()]
    )
    predicted = predict(views).movedim(0, 2)

    def found(table, side):
        places = torch.arange(side)
        which = ((table[:, 2:3] <= places) & (places < table[:, 3:])).int().argmax(0)
        return which, places - table[which, 0]

    (row, y), (column, x) = found(rows, xt.shape[2]), found(columns, xt.shape[3])
    which = row[:, None] * len(columns) + column
    return predicted[:, :, which, y[:, None], x]


@right(REFERENCE)
def reference_by_gather(predict, xt, reads, owner):
    rounds, hr, wr = reads.shape
    flat = xt.flatten(2).expand(rounds, -1, -1, -1)
    index = reads.view(rounds, 1, 1, -1).expand(-1, *xt.shape[:2], -1)
    predicted = predict(flat.gather(3, index).unflatten(3, (hr, wr))).flatten(3)
    batch, depth = predicted.shape[1:3]
    whole = predicted[-1].gather(2, owner.view(1, 1, -1).expand(batch, depth, -1))
    for read, its in zip(reads, predicted, strict=True):
        whole = whole.scatter(2, read.view(1, 1, -1).expand(batch, depth, -1), its)
    return whole.view(batch, depth, *owner.shape)


@right(REFERENCE)
def reference_by_who_read_last(predict, xt, reads, owner):
    """For each cell of the picture: which cell of which round is its noise?"""
    h, w = owner.shape
    references = torch.stack([xt[:, :, read // w, read % w] for read in reads])
    predicted = predict(references)
    source = (len(reads) - 1) * reads[0].numel() + owner.flatten()
    for number, read in enumerate(reads.flatten(1)):
        source[read] = number * len(read) + torch.arange(len(read))
    each = predicted.permute(1, 2, 0, 3, 4).flatten(2)
    return each[:, :, source].unflatten(2, (h, w))


@right(REFERENCE)
def reference_from_the_last_round_back(predict, xt, reads, owner):
    predicted = predict(xt.flatten(2)[..., reads].movedim(2, 0))
    rest = torch.ones(owner.numel(), dtype=torch.bool)
    whole = predicted[-1].flatten(2)[..., owner.flatten()]
    for read, its in reversed(list(zip(reads.flatten(1), predicted.flatten(3), strict=True))):
        new = rest[read]
        whole[..., read[new]] = its[..., new]
        rest[read] = False
    return whole.reshape(*whole.shape[:2], *owner.shape)


@right(READ)
def read_by_loops(groups, read, used, new_p, chance, order):
    new = read.clone()
    for i in range(groups.shape[0]):
        for j in range(groups.shape[1]):
            if chance[i, j] >= new_p:
                continue
            its = [(float(o), int(n)) for o, n in zip(order[i, j], groups[i, j], strict=True)]
            its = [(o, n) for o, n in its if n != -1]
            new[i, j] = max([(o, n) for o, n in its if not used[n]] or its)[1]
    return new


@right(READ)
def read_by_masked_fill(groups, read, used, new_p, chance, order):
    gone = groups < 0
    taken = gone | used[groups]  # -1 looks at the last cell, which does not matter
    taken = torch.where(taken.all(dim=-1, keepdim=True), gone, taken)
    place = order.masked_fill(taken, -math.inf).argmax(dim=-1, keepdim=True)
    best = torch.gather(groups, -1, place).squeeze(-1)
    return torch.where(chance.lt(new_p), best, read)


@right(READ)
def read_by_sorting(groups, read, used, new_p, chance, order):
    rank = order.clone()
    rank[used[groups.clamp(min=0)]] -= 10
    rank[groups == -1] = -100
    best = groups.gather(2, rank.argsort(dim=2, descending=True))[:, :, 0]
    new, keep = best.clone(), ~(chance < new_p)
    new[keep] = read[keep]
    return new


@right(RRG)
def rrg_by_lerp(x0, x0_reference, owner, weight, progress, stop, cosine_scale):
    r = x0_reference.flatten(2).index_select(2, owner.flatten()).view_as(x0)
    if progress + stop >= 1:
        return x0.clone()
    w = weight * (0.5 * (1 + math.cos(math.pi * progress / (1 - stop)))) ** cosine_scale
    return torch.lerp(x0, r, w)


@right(RRG)
def rrg_by_a_squared_cosine(x0, x0_reference, owner, weight, progress, stop, cosine_scale):
    """(1 + cos a) / 2 is the square of cos(a / 2)."""
    wr = x0_reference.shape[3]
    r = x0_reference[:, :, owner // wr, owner % wr]
    part = min(1.0, progress / (1 - stop))
    w = weight * math.cos(math.pi / 2 * part) ** (2 * cosine_scale) if part < 1 else 0.0
    return (1 - w) * x0 + w * r


@right(RRG)
def rrg_by_autograd(x0, x0_reference, owner, weight, progress, stop, cosine_scale):
    r = x0_reference.flatten(2)[:, :, owner]
    with torch.enable_grad():
        free = x0.detach().clone().requires_grad_()
        (gradient,) = torch.autograd.grad((r - free).square().sum(), free)
    w = weight * ((1 + math.cos(math.pi * progress / (1 - stop))) / 2) ** cosine_scale
    return x0 - (w if progress < 1 - stop else 0) * gradient / 2


@right(MERGE)
def merged_by_index(views, tops, lefts, weights, size):
    """All at once: the number of the cell that each place of each view adds to."""
    h, w = size
    a, b = weights.shape
    y, x = tops[:, None] + torch.arange(a), lefts[:, None] + torch.arange(b)
    cells = (y[:, :, None] * w + x[:, None, :]).flatten()
    flat = (weights * views).permute(1, 2, 0, 3, 4).flatten(2)
    total = torch.zeros(*flat.shape[:2], h * w).index_add_(2, cells, flat)
    norm = torch.zeros(h * w).index_add_(0, cells, weights.flatten().repeat(len(views)))
    return (total / norm).view(*flat.shape[:2], h, w)


@right(MERGE)
def merged_by_padding(views, tops, lefts, weights, size):
    (h, w), (a, b) = size, weights.shape
    pads = [
        (left, w - b - left, top, h - a - top)
        for top, left in zip(tops.tolist(), lefts.tolist(), strict=True)
    ]
    masks = torch.stack([F.pad(weights, pad) for pad in pads])
    wholes = torch.stack([F.pad(view, pad) for view, pad in zip(views, pads, strict=True)])
    return torch.einsum("khw,kbchw->bchw", masks / masks.sum(0), wholes)


@right(MERGE)
def merged_as_it_goes(views, tops, lefts, weights, size):
    """A running mean."""
    a, b = weights.shape
    mean, norm = torch.zeros(*views.shape[1:3], *size), torch.zeros(size)
    for view, top, left in zip(views, tops, lefts, strict=True):
        part = mean[:, :, top : top + a, left : left + b]
        its = norm[top : top + a, left : left + b]
        its += weights
        part += weights / its * (view - part)
    return mean
