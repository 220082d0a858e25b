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

Latents and noise are float32 (B, C, h, w). Lowercase r in a name's place, (B, C, hr, wr), is the
size of the reference. A cell of a picture of h x w cells has the number row * w + column.
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

    ElasticDiffusion, arXiv 2311.18822, section 3.2. The direction is what the prompt changes in the
    reference. The unconditional noise that it began from is the windows', not the reference's.

        eps = local + s (eps_text - eps_uncond)

    Args:
        local: the unconditional noise, predicted window by window, (B, C, h, w).
        eps_uncond: that of the reference, brought to the picture's size, (B, C, h, w).
        eps_text: the reference's with the prompt, brought to the picture's size, (B, C, h, w).
        guidance_scale: s.

    Returns:
        eps, (B, C, h, w).
    """
    ### BEGIN SOLUTION
    return local + guidance_scale * (eps_text - eps_uncond)
    ### END SOLUTION


def cover(side: int, window: int, read: int, shift: int) -> torch.Tensor:
    """Windows along one side of the picture, and what is read around each.

    ElasticDiffusion, arXiv 2311.18822, section 3.3. The windows lie side by side: the first one
    ends at `shift` if that is above 0, else at `window`; each next one ends `window` later, and the
    last one ends with the side. So every cell is written once. Of each window the network reads
    `read` cells: it is in the middle of them, with (read - window) // 2 cells before a whole window
    [begin, begin + window). Where they would leave the picture, they are moved until they are in
    it.

    If the network can read all of the side, side <= read, there is one window, the whole side.

    Args:
        side: cells of the side, at least 1.
        window: cells that a window writes, from 1 to `read`.
        read: cells that the network reads at once.
        shift: from 0 to window - 1. Another shift puts the seams elsewhere.

    Returns:
        int64 (K, 4), a row for each of the K windows, in their order: the begin and end of what is
        read, the begin and end of what is written. An end is the first cell after it.
    """
    ### BEGIN SOLUTION
    if side <= read:
        return torch.tensor([[0, side, 0, side]])
    inner = list(range(shift if shift > 0 else window, side, window))
    rows = []
    for begin, end in zip([0, *inner], [*inner, side], strict=True):
        whole = end - window if begin == 0 else begin  # the first one may be cut off at its begin
        first = min(max(whole - (read - window) // 2, 0), side - read)
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

    ElasticDiffusion, arXiv 2311.18822, section 3.3. Every row of windows meets every column of
    windows, M * N in all, rows first: the first row of windows from left to right, then the second.
    `predict` is asked once, for all windows. What a window reads around itself helps to predict it
    and is then thrown away.

    Args:
        predict: noise of what the windows read, of (M * N, B, C, a, b), in the same shape.
        xt: (B, C, h, w).
        rows: int64 (M, 4), what `cover` says of the picture's height.
        columns: int64 (N, 4), what `cover` says of its width.

    Returns:
        eps, (B, C, h, w), each cell from its own window.
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

    ElasticDiffusion, arXiv 2311.18822, section 3.4. A reference is made of cells of the picture as
    they are: means of several cells would have too little noise in them. Each of the R rounds reads
    others. `predict` is asked once, for all rounds. Then every cell of the picture that was read
    has what was said of it, in the last round that read it. A cell that was never read has what was
    said of its owner in the last round.

    Args:
        predict: noise of the references (R, B, C, hr, wr), as (R, B, D, hr, wr); D may be 2 C, the
            unconditional noise and that with the prompt.
        xt: (B, C, h, w).
        reads: int64 (R, hr, wr), the number of the cell of the picture that each cell of the
            reference reads; in no round is one read twice.
        owner: int64 (h, w), the number of the reference's cell that each cell belongs to.

    Returns:
        (B, D, h, w).
    """
    ### BEGIN SOLUTION
    references = torch.stack([xt.flatten(2)[..., read] for read in reads])
    said = predict(references)
    whole = said[-1].flatten(2)[..., owner]
    cells = whole.flatten(2)
    for read, its in zip(reads, said, strict=True):
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

    ElasticDiffusion, arXiv 2311.18822, section 3.4. Where `chance` is below `new_p`, a cell of the
    reference reads another one of its group: of those not used yet, the one with the largest
    `order`. If all of them are used, it is the one with the largest `order` of all. Elsewhere it
    reads what it read before.

    Args:
        groups: int64 (hr, wr, M), the numbers of the cells that each cell of the reference may
            read. Small groups are filled up with the number -1, which no cell has.
        read: int64 (hr, wr), what was read in the round before.
        used: bool (h * w,), the cells that were read in any round so far.
        new_p: from 0 to 1.
        chance: uniform in [0, 1), (hr, wr).
        order: uniform in [0, 1), (hr, wr, M).

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

    ElasticDiffusion, arXiv 2311.18822, section 3.5, which takes the gradient of a squared error;
    that of a cell is 2 (x0 - r), so no autograd is needed. With r the reference's x0, each of its
    cells repeated for all the cells it owns, and p the progress,

        x0 + w(p) (r - x0),   w(p) = weight ((1 + cos(pi p / (1 - stop))) / 2)^cosine_scale

    up to p = 1 - stop, and w(p) = 0 from there on. The weight is that of each cell, whatever the
    size of the picture.

    Args:
        x0: the estimate of the picture, (B, C, h, w).
        x0_reference: that of the reference, (B, C, hr, wr).
        owner: int64 (h, w), the number of the reference's cell that each cell belongs to.
        weight: from 0, nothing, to 1, the reference itself, at the first step.
        progress: the part of the way that is done, from 0 to 1.
        stop: the last part of the way, which goes without; from 0 to below 1.
        cosine_scale: at least 0; the larger, the sooner the pull ends.

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

    MultiDiffusion, arXiv 2302.08113, equation 5: among all pictures, the one whose views are
    closest to the given ones, in weighted squared distance. A cell becomes the mean of what all its
    views say of it, each with its weight; the weights of a cell sum to 1 after a division by their
    sum.

    Args:
        views: what is said in each of the K views, (K, B, C, a, b).
        tops: int64 (K,), the first row of each view.
        lefts: int64 (K,), the first column of each view.
        weights: of the places of a view, positive, (a, b).
        size: (h, w) of the picture. Every cell is in a view.

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
