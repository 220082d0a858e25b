"""The reference of ElasticDiffusion: a small picture made of some of the large one's cells.

Two integer tensors say all of it: which cell of the reference a cell belongs to (`owner`), and
which cell of the picture each cell of the reference reads (`read`).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor

from distillery.methods.any_size import ElasticFunctions
from distillery.models.prior import Prior


@dataclass(frozen=True)
class Cells:
    """How the h x w cells of a picture belong to the hr x wr cells of its reference.

    owner:  int64 (h, w), the number of the reference's cell.
    groups: int64 (hr, wr, M), the numbers of the cells that belong to each; -1 where there are
            fewer than M.
    """

    owner: Tensor
    groups: Tensor

    @property
    def size(self) -> tuple[int, int]:
        """(hr, wr)."""
        return self.groups.shape[0], self.groups.shape[1]


def cells(size: tuple[int, int], reference: tuple[int, int]) -> Cells:
    """Share out the cells of a picture among those of a reference, rows and columns each evenly.

    Args:
        size: (h, w) of the picture.
        reference: (hr, wr), no side larger than the picture's.
    """
    rows, columns = (
        torch.arange(side) * small // side for side, small in zip(size, reference, strict=True)
    )
    owner = rows[:, None] * reference[1] + columns
    down, across = (
        _members(part, small) for part, small in zip((rows, columns), reference, strict=True)
    )
    numbers = down[:, None, :, None] * size[1] + across[None, :, None, :]
    there = (down >= 0)[:, None, :, None] & (across >= 0)[None, :, None, :]
    return Cells(owner, torch.where(there, numbers, -1).flatten(2))


def _members(owner: Tensor, count: int) -> Tensor:
    """The places that belong to each owner, (count, m), filled up with -1."""
    most = int(owner.bincount(minlength=count).max())
    members = torch.full((count, most), -1)
    for number in range(count):
        its = (owner == number).nonzero()[:, 0]
        members[number, : len(its)] = its
    return members


def details(x: Tensor, owner: Tensor) -> Tensor:
    """What x (B, C, h, w) has beyond the mean of each group, the cells that have one owner."""
    its = owner.flatten().to(x.device)
    sums = x.new_zeros(*x.shape[:2], int(its.max()) + 1).index_add_(2, its, x.flatten(2))
    means = sums / its.bincount()
    return x - means[..., its].view_as(x)


def same_aspect(
    size: tuple[int, int], trained: tuple[int, int], *, multiple: int
) -> tuple[int, int]:
    """(hr, wr) of the picture's aspect and about the trained area, sides multiples of `multiple`.

    No side is larger than the picture's.
    """
    factor = sqrt(trained[0] * trained[1] / (size[0] * size[1]))
    if factor >= 1:
        return size
    high, wide = (min(side, max(1, round(side * factor / multiple)) * multiple) for side in size)
    return high, wide


def inside_trained(size: tuple[int, int], trained: tuple[int, int]) -> tuple[int, int]:
    """(hr, wr) of the picture's aspect, the longer side that of the trained size, as published."""
    factor = max(1, size[0] / trained[0], size[1] / trained[1])
    return max(1, int(size[0] / factor)), max(1, int(size[1] / factor))


def all_reads(
    functions: ElasticFunctions, cells: Cells, *, rounds: int, new_p: float, seed: int
) -> Tensor:
    """What the reference reads, round by round.

    Args:
        rounds: how many follow the first one.
        new_p: the part of the cells that read another one, in each round.
        seed: the same one gives the same reads.

    Returns:
        int64 (rounds + 1, hr, wr).
    """
    generator = torch.Generator().manual_seed(seed)
    groups = cells.groups
    used = torch.zeros(cells.owner.numel(), dtype=torch.bool)
    read = groups[..., 0]  # of every group the upper left cell
    reads = [read]
    for _ in range(rounds):
        used[read.flatten()] = True
        chance = torch.rand(cells.size, generator=generator)
        order = torch.rand(groups.shape, generator=generator)
        read = functions.next_read(groups, read, used, new_p, chance, order)
        reads.append(read)
    return torch.stack(reads)


def reference_size(prior: Prior, size: tuple[int, int]) -> tuple[int, int]:
    """The unpadded reference of a picture of `size`, (h, w) in cells: `same_aspect` for a prior."""
    trained = prior.latent_size
    coarsest = prior.coarsest_attention(trained)
    multiple = max(1, trained[0] // coarsest[0], trained[1] // coarsest[1])
    return same_aspect(size, trained, multiple=multiple)


def reference_of(prior: Prior, size: tuple[int, int], *, padded: bool) -> tuple[int, int]:
    """(hr, wr) of the reference of a picture of `size`, as published or of about trained area."""
    return inside_trained(size, prior.latent_size) if padded else reference_size(prior, size)


def small_size(prior: Prior, size: tuple[int, int]) -> tuple[int, int]:
    """Of the small picture that is drawn first and enlarged, for one of `size`, (h, w) in cells.

    It has the picture's aspect. With the trained area it would be long enough for two things, and
    inside the trained size it would be too flat for one; so it is half way between, by the
    geometric mean. Sides are even.
    """
    trained = prior.latent_size
    area = sqrt(trained[0] * trained[1] / (size[0] * size[1]))
    inside = min(big / side for big, side in zip(trained, size, strict=True))
    if area >= 1:
        return size
    factor = sqrt(area * min(1, inside))
    high, wide = (min(side, max(1, round(side * factor / 2)) * 2) for side in size)
    return high, wide
