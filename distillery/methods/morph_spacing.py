"""Frames that are equally far apart in what is seen: the arc length of a path, by drawing it.

Even positions do not give even steps. Here a coarse path is drawn first; the middles of its widest
gaps are drawn next, until the path is known well enough; and of all frames known by then those are
picked whose steps are the most even. Nothing is drawn twice.

What is seen of a frame is a vector of features, (D,); how far apart two frames are is the Euclidean
distance of theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor

SMALL = 0.6  # of the mean step: a gap that need not be halved
AT_ONCE = 8  # gaps that are halved before looking again

Look = Callable[
    [Tensor], Sequence[Tensor]
]  # features (M, ...) of several kinds of latents (M, ...)


class EvenFilm:
    """The frames of a path that is being drawn, and the choice among them.

    First draw what `next_positions` asks for and `add` it, again and again, until it asks for
    nothing; then `film` is the film. All depends on what was added, and on nothing else.

    Args:
        wanted: float32 (F,), as `frame_positions` gives them.
        keyframes: their latents (K, C, h, w); a closed path ends with those of its first.
        look: what is seen of latents, of each by itself.
        extra: how many frames may be drawn beyond the F, as a part of F.
    """

    def __init__(
        self, wanted: Tensor, keyframes: Tensor, look: Look, *, extra: float = 1.0
    ) -> None:
        self.wanted, self._look = wanted, look
        self.positions = torch.arange(len(keyframes), dtype=torch.float32)
        self.latents = keyframes
        self._seen = look(keyframes)
        between = wanted[wanted != wanted.round()].unique()
        self._first = between[::2]
        self._most = len(between) + len(keyframes) + round(extra * len(wanted))
        self._scales: list[float] | None = None

    def next_positions(self) -> Tensor:
        """What to draw now, float32 (N,), rising; none at the end."""
        if self._scales is None:
            return self._first
        return gaps_to_halve(
            self.positions,
            self._features(),
            frames=len(self.wanted),
            most=min(AT_ONCE, self._most - len(self.positions)),
        )

    def add(self, positions: Tensor, latents: Tensor) -> None:
        """Take in frames that were drawn, latents (N, C, h, w) at positions (N,)."""
        order = torch.cat([self.positions, positions]).argsort(stable=True)
        parts = zip(self._seen, self._look(latents), strict=True)
        self._seen = [torch.cat(both)[order] for both in parts]
        self.latents = torch.cat([self.latents, latents])[order]
        self.positions = torch.cat([self.positions, positions])[order]
        if self._scales is None:
            self._scales = [mean_step(part) for part in self._seen]

    def film(self) -> tuple[Tensor, Tensor]:
        """The F positions and latents (F, C, h, w) to show."""
        end = self.positions[-1:]
        chosen = picked_evenly(self.positions, self._features(), torch.cat([self.wanted, end]))
        return self.positions[chosen[:-1]], self.latents[chosen[:-1]]

    def _features(self) -> Tensor:
        return balanced(self._seen, self._scales or [1.0] * len(self._seen))


def balanced(parts: Sequence[Tensor], scales: Sequence[float]) -> Tensor:
    """Features of several kinds as one vector a frame, each kind over its scale, (M, D).

    Args:
        parts: (M, ...) of each kind, such as pixels and what a classifier sees.
        scales: what counts as one step in each kind; see `mean_step`.
    """
    kinds = [part.flatten(1).float() / scale for part, scale in zip(parts, scales, strict=True)]
    return torch.cat(kinds, dim=1)


def steps_of(seen: Tensor) -> Tensor:
    """The distances between neighbours of (M, ...), (M - 1,)."""
    return seen.flatten(1).diff(dim=0).norm(dim=1)


def mean_step(seen: Tensor) -> float:
    """The mean distance between neighbours of (M, ...); 1 if nothing moves at all."""
    return float(steps_of(seen).mean()) or 1.0


def gaps_to_halve(positions: Tensor, seen: Tensor, *, frames: int, most: int) -> Tensor:
    """Positions to draw next: the middles of the widest gaps.

    Args:
        positions: float32 (M,) of the frames known, rising.
        seen: their features (M, D).
        frames: how many are wanted in the end; gaps that are small beside their mean step are left.
        most: how many positions at most.

    Returns:
        float32 (N,), rising; none if the path is known well enough, or finer than numbers are.
    """
    gaps = steps_of(seen)
    middles = (positions[:-1] + positions[1:]) / 2
    open_ = (gaps > SMALL * gaps.sum() / max(1, frames - 1)) & (middles > positions[:-1])
    widest = (gaps * open_).topk(min(most, int(open_.sum()))).indices
    return middles[widest].sort().values


def picked_evenly(positions: Tensor, seen: Tensor, wanted: Tensor) -> Tensor:
    """Which of the known frames to show, so that their steps are as wanted.

    Of all ways to pick one frame after another, the one of the least

        sum_i d_i^4 / w_i^3,

    d_i the distance between the i-th picked frame and the next and w_i how far it should be, as
    part of the stretch between its keyframes. For a given sum of the d_i that is least where every
    d_i is in proportion to w_i (Hoelder's inequality). Squares would not do: a path winds, and one
    long step straight across a winding would be cheap. The best way is found frame by frame, as
    Viterbi's algorithm does.

    Args:
        positions: float32 (M,) of the frames known, rising, with all keyframes among them.
        seen: their features (M, D).
        wanted: float32 (F,), as `frame_positions` gives them, from keyframe to keyframe. Between
            two keyframes there are no more of them than frames known.

    Returns:
        int64 (F,), indices of known frames. A keyframe's is the keyframe, repeated positions are
        repeated frames.
    """
    places, back = wanted.unique(return_inverse=True)
    chosen = torch.zeros(len(places), dtype=torch.long)
    borders = [k for k, place in enumerate(places.tolist()) if place == int(place)]
    known = [int((positions == places[k]).nonzero()) for k in borders]
    for (k, first), (n, last) in pairwise(zip(borders, known, strict=True)):
        shares = places[k : n + 1].diff()
        chosen[k : n + 1] = first + _best_way(seen[first : last + 1], shares)
    return chosen[back]


def _best_way(seen: Tensor, shares: Tensor) -> Tensor:
    """From the first of (M, D) to the last in n steps with shares (n,): indices (n + 1,)."""
    apart = torch.cdist(seen.double(), seen.double()).pow(4)
    forward = torch.ones_like(apart).triu(1).bool()
    apart = apart.masked_fill(~forward, torch.inf)
    cost = torch.full((len(seen),), torch.inf, dtype=torch.float64)
    cost[0] = 0
    came_from = []
    for share in shares:
        cost, origin = (cost[:, None] + apart / share**3).min(0)
        came_from.append(origin)
    way = [len(seen) - 1]
    for origin in reversed(came_from):
        way.append(int(origin[way[-1]]))
    return torch.tensor(way[::-1])
