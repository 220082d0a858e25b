"""The drawings of a film, round by round, so that a run can stop and go on after every step.

The first round draws the keyframes, one by one. What follows depends on the film:

    uniform     one round of all other drawings together
    even        rounds that draw some of them, look, and draw where the widest gaps are
    in a chain  a round of one step for each other drawing, which grows from the one before
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from distillery.methods.guided_ddim import Change, Prediction, first_step
from distillery.methods.morph import smoothing
from distillery.methods.morph_drawing import (
    Drawing,
    drawn_after,
    keyframe_steps,
    steps_between,
)
from distillery.methods.morph_spacing import AT_ONCE, EvenFilm, Look

EXTRA = 1  # drawings beyond the frames of an even film, as a part of these
SMOOTH_UNTIL = 0.3  # of the timesteps: below, frames are smoothed no more


@dataclass(frozen=True)
class Doing:
    """A step within a round.

    index: of the step in its round.
    xt:    the latents after it, (N, C, h, w), finished after the last.
    x0:    the estimates of the finished latents, (N, C, h, w).
    """

    index: int
    xt: Tensor
    x0: Tensor


class Rounds:
    """The rounds of a film; `take` what each has finished, and in the end `latents` are all.

    Args:
        places: float32 (N,), the positions to draw, rising, keyframes among them.
        look:   gives what is seen of latents, for an even film; None draws at an even pace.
        strength: below 1, drawings grow in a chain, each from this much noise over the one before.
        smoothing: of x0 along the drawings, a sigma in frames; 0 smooths nothing.
    """

    def __init__(
        self,
        drawing: Drawing,
        places: Tensor,
        *,
        look: Callable[[], Look] | None = None,
        strength: float = 1.0,
        smoothing: float = 0.0,
    ) -> None:
        self._drawing, self._places, self._look = drawing, places, look
        self._strength, self._sigma = strength, smoothing
        is_key = places == places.round()
        self._keys, self._others = places[is_key], places[~is_key]
        self._even: EvenFilm | None = None
        self.done: list[Tensor] = []  # the latents of each round that is done
        self.drawn: list[Tensor] = []  # the positions of each

    @property
    def lengths(self) -> list[int]:
        """How many steps each round has; one that is not needed takes them at once."""
        steps = len(self._drawing.timesteps) - 1
        if not len(self._others):
            return [steps]
        if self._strength < 1:
            return [steps] + [1] * len(self._others)
        if self._look is None:
            return [steps, steps]
        after_the_first = len(self._others) // 2 + EXTRA * len(self._places)
        return [steps] * (3 + math.ceil(after_the_first / AT_ONCE))

    @property
    def samples(self) -> int:
        """How many frames are drawn at most, the keyframes left out."""
        even = self._strength == 1 and self._look is not None
        return len(self._others) + EXTRA * len(self._places) * even

    def steps(self, start: int = 0, xt: Tensor | None = None) -> Iterator[Doing]:
        """The steps of the next round, or those from `start` on with the latents `xt` before it."""
        positions, length = self.to_draw(), self.lengths[len(self.done)]
        if not len(positions):
            nothing = self.done[0][:0]
            return (Doing(index, nothing, nothing) for index in range(start, length))
        if not self.done:
            return self._keyframes(start, xt)
        if self._strength < 1:
            return iter([Doing(0, one, one) for one in [self._grown(positions)]])
        change = None if self._look else self._smoothing(positions)
        ways = steps_between(self._drawing, positions, start=start, xt=xt, change=change)
        return (Doing(step.index, step.xt, step.x0) for step in ways)

    def take(self, latents: Tensor) -> None:
        """Take in what the next round has finished."""
        positions = self.to_draw()
        self.done.append(latents)
        self.drawn.append(positions)
        if self._look is None or self._strength < 1 or not len(self._others):
            return
        if self._even is None:
            closed = self._drawing.path.closed
            keys = torch.cat([latents, latents[:1]]) if closed else latents
            self._even = EvenFilm(self._places, keys, self._look(), extra=EXTRA)
        elif len(positions):
            self._even.add(positions, latents)

    @property
    def latents(self) -> Tensor:
        """The finished latents of all places, (N, C, h, w)."""
        if self._even is not None:
            return self._even.film()[1]
        return torch.cat(self.done)[torch.cat(self.drawn).argsort().to(self.done[0].device)]

    def to_draw(self) -> Tensor:
        """The positions of the next round, float32 (N,)."""
        number = len(self.done)
        if number == 0:
            return self._keys
        if self._strength < 1:
            return self._others[number - 1 : number]
        if self._even is None:
            return self._others
        asked = self._even.next_positions()
        return self._lacking(self._even) if number == len(self.lengths) - 1 else asked

    def _lacking(self, even: EvenFilm) -> Tensor:
        """Places of a stretch where fewer drawings are known than are to be shown.

        Where nothing moves, or all moves in one jump, hardly any are asked for.
        """
        known, wanted = even.positions.floor(), self._others.floor()
        few = [bool((known == stretch).sum() - 1 < (wanted == stretch).sum()) for stretch in wanted]
        new = ~torch.isin(self._others, even.positions)
        return self._others[torch.tensor(few) & new]

    def _keyframes(self, start: int, xt: Tensor | None) -> Iterator[Doing]:
        ways = [
            keyframe_steps(
                self._drawing, int(key), start=start, xt=None if xt is None else xt[k : k + 1]
            )
            for k, key in enumerate(self._keys)
        ]
        for together in zip(*ways, strict=True):
            xts, x0s = ([getattr(step, name) for step in together] for name in ("xt", "x0"))
            yield Doing(together[0].index, torch.cat(xts), torch.cat(x0s))

    def _grown(self, position: Tensor) -> Tensor:
        """The drawing (1, C, h, w) at a position (1,), from the one before it."""
        before = torch.cat(self.drawn)
        nearest = before.masked_fill(before > position, -1).argmax()
        steps = len(self._drawing.timesteps) - 1
        first = min(steps - 1, first_step(steps, self._strength))
        return drawn_after(
            self._drawing, torch.cat(self.done)[nearest][None], position, first=first
        )

    def _smoothing(self, positions: Tensor) -> Change | None:
        """Smooths each stretch between two keyframes by itself."""
        if not self._sigma:
            return None
        levels = self._drawing.prior.alphas_cumprod
        one = smoothing(
            self._sigma,
            until=int(SMOOTH_UNTIL * len(levels)),
            timesteps=self._drawing.timesteps,
            alphas_cumprod=levels,
        )
        _, counts = positions.floor().unique_consecutive(return_counts=True)

        def change(done: Prediction) -> Tensor:
            parts = [part.split(counts.tolist()) for part in _latents_of(done)]
            return torch.cat(
                [one(Prediction(done.index, *its)) for its in zip(*parts, strict=True)]
            )

        return change


def _latents_of(done: Prediction) -> Sequence[Tensor]:
    return done.xt, done.eps, done.x0, done.xt_next
