"""Stage 6, pictures of any size from a model that knows one.

ElasticDiffusion (Haji-Ali, Balakrishnan and Ordonez 2024, arXiv 2311.18822) and MultiDiffusion
(Bar-Tal et al. 2023, arXiv 2302.08113).

Ask a model for a picture twice as wide as it was trained for, and it draws the thing twice.
Classifier-free guidance is a sum of two parts,

    eps = eps_uncond + s (eps_text - eps_uncond).

The second one says *what* is *where*: it is global, and changes little from cell to cell. It can be
had from a small picture, the *reference*. The first one says how neighbouring cells fit together:
it is local, and can be had window by window. So neither call of the network is larger than what the
model knows.

Latents and noise are float32 (B, C, h, w); the reference has hr x wr cells. Cells are counted row
by row, from 0: a cell of the picture has the number row * w + column, one of the reference the
number row * wr + column.
"""

from __future__ import annotations

from collections.abc import Callable

import torch


def elastic_eps(
    local: torch.Tensor,
    eps_uncond: torch.Tensor,
    eps_text: torch.Tensor,
    guidance_scale: float,
) -> torch.Tensor:
    """The noise to follow: the local score of the windows and the global direction.

    ElasticDiffusion, arXiv 2311.18822. The direction is what the prompt changes in the reference.
    What it is added to is the unconditional noise of the windows, not that of the reference.

        eps = local + s (eps_text - eps_uncond)

    Args:
        local: the unconditional noise, predicted window by window, (B, C, h, w).
        eps_uncond: the unconditional noise of the reference, brought to the picture's size,
            (B, C, h, w).
        eps_text: the noise of the reference with the prompt, brought to that size too.
        guidance_scale: s, at least 0.

    Returns:
        eps, (B, C, h, w).
    """
    ### BEGIN SOLUTION
    return local + guidance_scale * (eps_text - eps_uncond)
    ### END SOLUTION


def cover(side: int, window: int, read: int, shift: int) -> torch.Tensor:
    """Windows along one side of the picture, and what is read around each.

    ElasticDiffusion, arXiv 2311.18822, its local signal. Windows lie side by side, so that every
    cell is written once. The first one ends at `shift` if that is above 0, otherwise at `window`.
    Each next one ends `window` later, and the last one ends with the side. So the first and the
    last may be smaller than the others.

    For each window the network reads `read` cells. They begin (read - window) // 2 cells before the
    window, and are moved, as little as possible, to where all of them are in the picture.

    If the network can read all of the side, side <= read, there is only one window, the whole side,
    and just that is read.

    Args:
        side: cells of the side, at least 1.
        window: cells that a window writes, from 1 to `read`.
        read: cells that the network reads at once.
        shift: from 0 to window - 1. Another shift puts the seams elsewhere.

    Returns:
        int64 (K, 4), a row for each of the K windows, in their order along the side: where what is
        read begins and ends, and where what is written begins and ends. An end is the first cell
        that is no longer in it.
    """
    ### BEGIN SOLUTION
    if side <= read:
        return torch.tensor([[0, side, 0, side]])
    inner = list(range(shift or window, side, window))
    rows = []
    for begin, end in zip([0, *inner], [*inner, side], strict=True):
        first = min(max(begin - (read - window) // 2, 0), side - read)
        rows.append([first, first + read, begin, end])
    return torch.tensor(rows)
    ### END SOLUTION


def local_score(
    predict: Callable[[torch.Tensor], torch.Tensor],
    xt: torch.Tensor,
    rows: torch.Tensor,
    columns: torch.Tensor,
) -> torch.Tensor:
    """The unconditional noise of a large picture, window by window.

    ElasticDiffusion, arXiv 2311.18822, its local signal. `cover` says where windows begin and end
    down the picture and across it. There is a window for each of its M rows and each of its N
    columns, M * N in all. `predict` is called once, for all of them, in this order: the first row
    from left to right, then the second row. What is read around a window helps to predict it. Only
    what is to be written is kept.

    Args:
        predict: the unconditional noise of what the windows read: of (M * N, B, C, a, b), in the
            same shape.
        xt: (B, C, h, w).
        rows: int64 (M, 4), what `cover` returns for the height h.
        columns: int64 (N, 4), what it returns for the width w.

    Returns:
        eps, (B, C, h, w), each cell from the window that writes it.
    """
    ### BEGIN SOLUTION
    views = [(row, column) for row in rows.tolist() for column in columns.tolist()]
    eps_views = predict(
        torch.stack(
            [xt[..., top:bottom, left:right] for (top, bottom, *_), (left, right, *_) in views]
        )
    )
    eps = torch.empty_like(xt)
    for eps_view, ((top, _, *wanted), (left, _, *wide)) in zip(eps_views, views, strict=True):
        inside = eps_view[..., wanted[0] - top : wanted[1] - top, wide[0] - left : wide[1] - left]
        eps[..., slice(*wanted), slice(*wide)] = inside
    return eps
    ### END SOLUTION


def from_reference(
    predict: Callable[[torch.Tensor], torch.Tensor],
    xt: torch.Tensor,
    reads: torch.Tensor,
    owner: torch.Tensor,
) -> torch.Tensor:
    """What the network says of references, brought to the size of the picture.

    ElasticDiffusion, arXiv 2311.18822, its global signal. A reference is made of cells of the
    picture as they are: the mean of several cells would have too little noise in it. There are R
    references, one a round, of other cells each. `predict` is called once, for all of them, in the
    order of the rounds. Then every cell of the picture gets its noise:

    - a cell that was read, what was predicted for it. If several rounds read it, the last one
      counts.
    - a cell that was never read, what was predicted in the last round for the cell of the reference
      that it belongs to.

    Args:
        predict: the noise of the references (R, B, C, hr, wr), as (R, B, D, hr, wr). D may be
            another number than C: 2 C, for example, for two predictions side by side.
        xt: (B, C, h, w).
        reads: int64 (R, hr, wr), for each cell of a reference the number of the cell of the picture
            that it reads. No round reads a cell twice.
        owner: int64 (h, w), for each cell of the picture the number of the reference's cell that it
            belongs to.

    Returns:
        (B, D, h, w).
    """
    ### BEGIN SOLUTION
    references = torch.stack([xt.flatten(2)[..., read] for read in reads])
    predicted = predict(references)
    whole = predicted[-1].flatten(2)[..., owner]
    cells = whole.flatten(2)
    for read, its in zip(reads, predicted, strict=True):
        cells[..., read.flatten()] = its.flatten(2)
    return cells.view_as(whole)
    ### END SOLUTION


def next_read(
    groups: torch.Tensor,
    read: torch.Tensor,
    used: torch.Tensor,
    new_p: float,
    chance: torch.Tensor,
    order: torch.Tensor,
) -> torch.Tensor:
    """A round of resampling: some cells of the reference read another cell of their group.

    ElasticDiffusion, arXiv 2311.18822, its resampling. A cell of the reference stands for a group
    of cells of the picture, and reads one of them. In this round

    - where `chance` is not below `new_p`, it reads what it read in the round before;
    - where it is below, it chooses anew among the cells of its group that were not used yet, or
      among all of the group if every one has been used. It reads the one with the largest `order`.

    Args:
        groups: int64 (hr, wr, M), the numbers of the cells in each group. Every group has a cell;
            those of fewer than M are filled up with -1, which is no cell.
        read: int64 (hr, wr), what was read in the round before.
        used: bool (h * w,), whether each cell of the picture was read in any round so far.
        new_p: from 0, all read what they read before, to 1, all choose anew.
        chance: uniform in [0, 1), (hr, wr).
        order: uniform in [0, 1), (hr, wr, M), a number for each cell in `groups`.

    Returns:
        int64 (hr, wr), what is read now.
    """
    ### BEGIN SOLUTION
    there = groups >= 0
    fresh = there & ~used[groups.clamp(min=0)]
    # Fresh cells come before used ones, and what is not there after all.
    rank = order + fresh.to(order.dtype) - 2 * (~there).to(order.dtype)
    best = groups.gather(2, rank.argmax(2, keepdim=True))[..., 0]
    return torch.where(chance < new_p, best, read)
    ### END SOLUTION


def reduced_resolution_guidance(
    x0: torch.Tensor,
    x0_reference: torch.Tensor,
    owner: torch.Tensor,
    weight: float,
    progress: float,
    stop: float,
    cosine_scale: float,
) -> torch.Tensor:
    """Pull the picture towards the reference, less and less.

    ElasticDiffusion, arXiv 2311.18822. It takes the gradient of a squared error, for each
    cell 2 (x0 - r), so no autograd is needed. Here r is the estimate of the reference, brought to
    the size of the picture: each cell has the value of the reference's cell that it belongs to.
    With p the progress, the new estimate is

        x0 + w(p) (r - x0),   w(p) = weight ((1 + cos(pi p / (1 - stop))) / 2)^cosine_scale

    for p below 1 - stop. From there on it is x0. The weight is that of each cell, so the pull does
    not depend on the size of the picture.

    Args:
        x0: the estimate of the picture, (B, C, h, w).
        x0_reference: that of the reference, (B, C, hr, wr).
        owner: int64 (h, w), for each cell of the picture the number of the reference's cell that it
            belongs to.
        weight: w(0), from 0, no pull, to 1, where x0 becomes r.
        progress: p, the part of the way that is done, from 0 to 1.
        stop: the last part of the way, which goes without a pull; from 0 to below 1.
        cosine_scale: at least 0; the larger, the sooner the pull is weak.

    Returns:
        The new x0, (B, C, h, w).
    """
    ### BEGIN SOLUTION
    if progress >= 1 - stop:
        return x0
    decay = (1 + torch.tensor(torch.pi * progress / (1 - stop)).cos()) / 2
    pulled = x0_reference.flatten(2)[..., owner]
    return x0 + weight * float(decay**cosine_scale) * (pulled - x0)
    ### END SOLUTION


def merge_views(
    views: torch.Tensor,
    tops: torch.Tensor,
    lefts: torch.Tensor,
    weights: torch.Tensor,
    size: tuple[int, int],
) -> torch.Tensor:
    """The weighted mean of views that overlap.

    MultiDiffusion, arXiv 2302.08113, in closed form: among all pictures, the one whose views are
    closest to the given ones, in weighted squared distance. So each cell becomes the weighted mean
    of what the views that hold it have there,

        sum of weight * value / sum of weight.

    Args:
        views: the K views, (K, B, C, a, b).
        tops: int64 (K,), the row of the picture where each view begins.
        lefts: int64 (K,), the column where it begins.
        weights: above 0, (a, b), the same for all views: what each place of a view counts.
        size: (h, w) of the picture. Every cell of it is in at least one view.

    Returns:
        (B, C, h, w).
    """
    ### BEGIN SOLUTION
    _, batch, channels, high, wide = views.shape
    total = views.new_zeros(batch, channels, *size)
    norm = views.new_zeros(size)
    for view, top, left in zip(views, tops.tolist(), lefts.tolist(), strict=True):
        inside = (slice(top, top + high), slice(left, left + wide))
        total[(..., *inside)] += weights * view
        norm[inside] += weights
    return total / norm
    ### END SOLUTION
