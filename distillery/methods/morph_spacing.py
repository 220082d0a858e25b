"""Frames that are equally far apart in what is seen: the arc length of a path, by drawing it.

Even positions do not give even steps. Here a coarse path is drawn first; frames inside its widest
gaps are drawn next, until the path is known well enough; and of all frames known by then those are
picked whose steps are the most even. Nothing is drawn twice.

What is seen of a frame is of several kinds, such as its pixels and what a classifier makes of them;
each kind is a vector of features, (D,). With the Euclidean distances d_k of the kinds, over the
mean step of each kind, two frames are d apart, d^4 = sum_k d_k^4: about as far as they are in the
kind in which they are farthest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor

SMALL = 0.6  # of the mean step: a gap that need not be cut
AT_ONCE = 8  # frames that are drawn before looking again
CHOICES = 8  # of the frames to show, with other weights of the kinds

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
        return positions_in_gaps(
            self.positions,
            self._kinds(),
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
        """The F positions and latents (F, C, h, w) to show.

        The choice is made a few times, each time with more weight on the kind whose steps were the
        least even, and the one counts whose worst kind is the best.
        """
        places = torch.cat([self.wanted, self.positions[-1:]])
        kinds, best, least = self._kinds(), torch.tensor([]), float("inf")
        for _ in range(CHOICES):
            chosen = picked_evenly(self.positions, kinds, places)
            worst = [unevenness(seen[chosen], places) for seen in kinds]
            if max(worst) < least:
                best, least = chosen, max(worst)
            mean = sum(worst) / len(worst)
            kinds = [seen * (its / mean) ** 0.5 for seen, its in zip(kinds, worst, strict=True)]
        return self.positions[best[:-1]], self.latents[best[:-1]]

    def _kinds(self) -> list[Tensor]:
        scales = self._scales or [1.0] * len(self._seen)
        return [part.flatten(1) / scale for part, scale in zip(self._seen, scales, strict=True)]


def steps_of(seen: Tensor) -> Tensor:
    """The distances between neighbours of (M, ...), (M - 1,)."""
    return seen.flatten(1).diff(dim=0).norm(dim=1)


def mean_step(seen: Tensor) -> float:
    """The mean distance between neighbours of (M, ...); 1 if nothing moves at all."""
    return float(steps_of(seen).mean()) or 1.0


def unevenness(seen: Tensor, wanted: Tensor) -> float:
    """The largest step of (F, D) over what it should be by the positions (F,); 1 is even.

    Frames that stand still do not count. It is 1 too where nothing moves at all.
    """
    shares = wanted.diff()
    moving = shares > 0
    steps = steps_of(seen)[moving]
    paces = steps / shares[moving]
    return float(paces.max() / (steps.sum() / shares.sum())) if steps.any() else 1.0


def positions_in_gaps(
    positions: Tensor, kinds: Sequence[Tensor], *, frames: int, most: int
) -> Tensor:
    """Positions to draw next: they cut the widest gaps into even parts, as many as these are wide.

    Args:
        positions: float32 (M,) of the frames known, rising.
        kinds: their features, (M, D) of each kind.
        frames: how many are wanted in the end; gaps that are small beside their mean step are left.
        most: how many positions at most.

    Returns:
        float32 (N,), rising; none if the path is known well enough, or finer than numbers are.
    """
    gaps = sum((steps_of(seen) ** 4 for seen in kinds), torch.zeros(len(positions) - 1)) ** 0.25
    finer = (positions[:-1] + positions[1:]) / 2 > positions[:-1]
    gaps = gaps * finer
    small = SMALL * float(gaps.sum()) / max(1, frames - 1)
    parts = torch.ones(len(gaps))
    for _ in range(most):
        widest = int((gaps / parts).argmax())
        if gaps[widest] / parts[widest] <= small:
            break
        parts[widest] += 1
    cuts = [
        positions[k] + (positions[k + 1] - positions[k]) * torch.arange(1, count) / count
        for k, count in enumerate(parts.int().tolist())
    ]
    new = torch.cat(cuts).unique()
    return new[~torch.isin(new, positions)]


def picked_evenly(positions: Tensor, kinds: Sequence[Tensor], wanted: Tensor) -> Tensor:
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
        kinds: their features, (M, D) of each kind.
        wanted: float32 (F,), as `frame_positions` gives them, from keyframe to keyframe.

    Returns:
        int64 (F,), indices of known frames. A keyframe's is the keyframe, repeated positions are
        repeated frames. Where too few are known, some come twice.
    """
    places, back = wanted.unique(return_inverse=True)
    chosen = torch.zeros(len(places), dtype=torch.long)
    borders = [k for k, place in enumerate(places.tolist()) if place == int(place)]
    known = [int((positions == places[k]).nonzero()) for k in borders]
    for (k, first), (n, last) in pairwise(zip(borders, known, strict=True)):
        shares = places[k : n + 1].diff()
        stretch = [seen[first : last + 1].double() for seen in kinds]
        chosen[k : n + 1] = first + _best_way(stretch, shares)
    return chosen[back]


def _best_way(kinds: Sequence[Tensor], shares: Tensor) -> Tensor:
    """From the first of (M, D) to the last in n steps with shares (n,): indices (n + 1,)."""
    count = len(kinds[0])
    apart = torch.stack([torch.cdist(seen, seen) ** 4 for seen in kinds]).sum(0)
    apart = apart.masked_fill(~torch.ones(count, count).triu().bool(), torch.inf)
    cost = torch.full((count,), torch.inf, dtype=torch.float64)
    cost[0] = 0
    origins = []
    for share in shares:
        cost, origin = (cost[:, None] + apart / share**3).min(0)
        origins.append(origin)
    way = [count - 1]
    for origin in reversed(origins):
        way.append(int(origin[way[-1]]))
    return torch.tensor(way[::-1])
