"""Where on a path each frame of a film stands: how frames are shared out, holds and easing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from distillery.core.errors import CourseError

# How far a frame is from the one keyframe to the next, of how much of the time has gone.
EASINGS: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": lambda a: a,
    "smooth": lambda a: a * a * (3 - 2 * a),
    "in": lambda a: a * a,
    "out": lambda a: a * (2 - a),
}


def frame_positions(
    keyframes: int,
    frames: int,
    *,
    holds: Sequence[int] = (),
    easing: str = "linear",
    loop: bool = False,
) -> Tensor:
    """The position of every frame of a film.

    Every keyframe has a frame of its own, and the stretches between keyframes have equally many
    frames, or one more. A film that loops goes on from its last keyframe to its first; the first
    keyframe's frame, which would come again at the end, is not shown twice.

    Args:
        keyframes: K, at least 2.
        frames: F, of the whole film, holds included.
        holds: for how many frames more the film stands still at each of the K keyframes; by default
            it never does.
        easing: one of `EASINGS`.
        loop: whether the path closes.

    Returns:
        float32 (F,), not falling, from 0 to K - 1, or to below K if it loops. Those of keyframes
        are whole numbers exactly.

    Raises:
        CourseError: there are too few keyframes or frames, holds do not fit, or there is no such
            easing.
    """
    stretches = keyframes if loop else keyframes - 1
    waits = list(holds) or [0] * keyframes
    if keyframes < 2:
        raise CourseError(f"a path leads through 2 keyframes or more; this one has {keyframes}.")
    if len(waits) != keyframes or min(waits) < 0:
        raise CourseError(
            f"holds must be {keyframes} whole numbers from 0 on, one for each keyframe; "
            f"they are {waits}."
        )
    if easing not in EASINGS:
        raise CourseError(f"unknown easing {easing!r}: choose {', '.join(EASINGS)}.")
    steps = frames - sum(waits) - (not loop)
    if steps < stretches:
        raise CourseError(
            f"{frames} frames are too few for {keyframes} keyframes with {sum(waits)} frames of "
            f"holding: take at least {frames + stretches - steps}."
        )
    borders = [round(steps * number / stretches) for number in range(stretches + 1)]
    film: list[Tensor] = []
    for number, (begin, end) in enumerate(pairwise(borders)):
        a = torch.arange(end - begin) / (end - begin)
        film += [torch.full((waits[number],), float(number)), number + EASINGS[easing](a)]
    if not loop:
        film.append(torch.full((waits[-1] + 1,), float(stretches)))
    return torch.cat(film)
