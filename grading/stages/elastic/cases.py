"""What stage 6 is checked on."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from distillery.course.case import Case
from distillery.course.kinds.table import TableCase
from distillery.course.kinds.value import ValueCase
from distillery.methods.reference_cells import Cells, cells
from grading.stages.inputs.random_inputs import (
    EARLY,
    KINDS,
    LATE,
    SEVERAL,
    SINGLE,
    Draws,
    RandomInputs,
    of_words,
)
from grading.stages.inputs.small_pictures import guidance_scale, pictures

OTHER_CHANNELS = {SEVERAL: "", SINGLE: KINDS[SINGLE]}
SCALES = OTHER_CHANNELS | {
    EARLY: "with a guidance scale of 0",
    LATE: "with a guidance scale of 100",
}
FACTORS = ((1, 2), (2, 1), (2, 3), (3, 2))  # cells down and across in a group
COLUMNS = ("read from", "read to", "write from", "write to")
SHIFTED, INSIDE, JUST, ONE_MORE = "shifted", "inside", "just", "one more"
ODD, BARE, NARROW = "odd", "bare", "narrow"
SIDES = {
    SEVERAL: "",
    SHIFTED: "with a shift",
    INSIDE: "where more can be read than there is",
    JUST: "where just the whole side can be read",
    ONE_MORE: "where the side has one cell more than can be read",
    ODD: "where an odd number of cells is read around a window",
    BARE: "where nothing is read around a window",
    NARROW: "with windows of one cell",
}
STRIP = "strip"
WINDOWS = OTHER_CHANNELS | {
    SHIFTED: "where the first windows are smaller",
    BARE: SIDES[BARE],
    STRIP: "with one row of windows",
}
ONE_ROUND, ALL, ONE, UNEVEN = "one round", "all", "one", "uneven"
ROUNDS = OTHER_CHANNELS | {
    ONE_ROUND: "in one round",
    ALL: "where every cell is read",
    ONE: "where all rounds read the same cells",
    UNEVEN: "where some groups are larger than others",
}
USED, NEVER, ALWAYS = "used", "never", "always"
RESAMPLING = {
    SEVERAL: "",
    UNEVEN: ROUNDS[UNEVEN],
    USED: "where every cell was used",
    NEVER: "with new_p = 0",
    ALWAYS: "with new_p = 1",
}
START, LEFT_OUT, TO_THE_END = "start", "left out", "to the end"
STEADY, NOTHING = "steady", "nothing"
PULLS = OTHER_CHANNELS | {
    START: "at the start",
    LEFT_OUT: "in the last part of the way",
    TO_THE_END: "where no part of the way goes without",
    STEADY: "with a cosine_scale of 0",
    NOTHING: "with a weight of 0",
    UNEVEN: ROUNDS[UNEVEN],
}
ALONE, TWICE, FAINT = "alone", "twice", "faint"
VIEWS = OTHER_CHANNELS | {
    ALONE: "with one view of the whole",
    TWICE: "where a view lies on another one",
    FAINT: "where the border of a view counts almost nothing",
}


def elastic_eps(inputs: RandomInputs) -> Case:
    """The direction shows what the prompt asks for; the noises have nothing in common."""
    shown = pictures(inputs, inputs.batch)
    eps_uncond = inputs.noise(1, shown)
    tensors = {
        "local": inputs.noise(2, shown),
        "eps_uncond": eps_uncond,
        "eps_text": eps_uncond + 0.2 * shown + 0.05 * inputs.noise(3, shown),
    }
    scale = {"guidance_scale": guidance_scale(inputs)}
    return ValueCase((*tensors, "guidance_scale"), tensors, scale)


def cover(inputs: RandomInputs) -> Case:
    """Sides that are no multiple of the window."""
    window = 1 if inputs.kind == NARROW else inputs.whole(4, (3, 9))
    around = {ODD: 2 * inputs.whole(1, (1, 6)) + 1, BARE: 0}.get(
        inputs.kind, 2 * inputs.whole(2, (1, 6))
    )
    read = window + around
    full, rest = inputs.whole(5, (4, 6)), inputs.whole(2, (1, window - 1)) if window > 1 else 0
    sides = {INSIDE: read - inputs.whole(1, (1, 2)), JUST: read, ONE_MORE: read + 1}
    values = {
        "side": inputs.of_kind(sides, read + full * window + rest),
        "window": window,
        "read": read,
        "shift": _shift(inputs, window),
    }
    return TableCase(tuple(values), values=values, columns=COLUMNS)


def _shift(inputs: RandomInputs, window: int) -> int:
    shifts = {SHIFTED, INSIDE, JUST}
    return inputs.whole(1, (1, window - 1)) if inputs.kind in shifts else 0


def local_score(inputs: RandomInputs) -> Case:
    """Windows of another size down than across, the last ones or the first ones smaller."""
    h, w = inputs.size
    around = 0 if inputs.kind == BARE else inputs.whole(4, (1, 2))
    down, across = (_window(h, 2), _window(w, 3)) if inputs.drawn else (4, 5)
    shifts = (h % down, w % across) if inputs.kind == SHIFTED else (0, 0)
    rows = _windows(h, down, min(down + around, h - 1), shifts[0])
    if inputs.kind == STRIP:
        rows = torch.tensor([[0, h, 0, h]])
    columns = _windows(w, across, min(across + around, w - 1), shifts[1])
    tensors = {"xt": _noisy(inputs, 4), "rows": rows, "columns": columns}
    return ValueCase(
        ("predict", *tensors), tensors, functions={"predict": _network(inputs, answers=1)}
    )


def _noisy(inputs: RandomInputs, seed: int, size: tuple[int, int] | None = None) -> Tensor:
    """Pictures with a little noise, so that no two cells are alike; their first rows and columns.

    Args:
        size: how many of these.
    """
    h, w = size or inputs.size
    shown = pictures(inputs, inputs.batch)[..., :h, :w]
    return shown + 0.2 * inputs.noise(seed, shown)


def _window(side: int, least: int) -> int:
    """The smallest window from `least` on that leaves a rest."""
    return next(window for window in range(least, side) if side % window)


def _windows(side: int, window: int, read: int, shift: int) -> Tensor:
    """As `cover`, int64 (K, 4)."""
    ends = [*range(shift or window, side, window), side]
    begins = [0, *ends[:-1]]
    firsts = [min(max(begin - (read - window) // 2, 0), side - read) for begin in begins]
    rows = zip(firsts, begins, ends, strict=True)
    return torch.tensor([[first, first + read, begin, end] for first, begin, end in rows])


def _network(inputs: RandomInputs, *, answers: int) -> dict[str, Any]:
    return {
        "function": "looks around",
        "slope": inputs.number(0.05, (0.03, 0.08)),
        "growth": inputs.number(0.1, (0.05, 0.2)),
        "answers": answers,
    }


def from_reference(inputs: RandomInputs) -> Case:
    """Rounds that read some cells again."""
    its = _cells(inputs)
    rounds = 1 if inputs.kind == ONE_ROUND else inputs.whole(3, (2, 3))
    h, w = its.owner.shape
    tensors = {
        "xt": _noisy(inputs, 5, (h, w)),
        "reads": _reads(inputs, its, rounds),
        "owner": its.owner,
    }
    answers = 1 if inputs.kind == SINGLE else 2
    return ValueCase(
        ("predict", *tensors), tensors, functions={"predict": _network(inputs, answers=answers)}
    )


def _cells(inputs: RandomInputs) -> Cells:
    """Groups of 2 x 2 cells, or in hidden ordinary trials of others."""
    h, w = inputs.size
    if inputs.kind == UNEVEN:
        return _mirrored(cells((h, w), (_uneven(h), _uneven(w))))
    down, across = 2, 2
    if inputs.kind == SEVERAL:
        others = [(down, across) for down, across in FACTORS if h // down != w // across]
        down, across = inputs.one_of((2, 2), others)
    hr, wr = h // down, w // across
    return cells((hr * down, wr * across), (hr, wr))


def _uneven(side: int) -> int:
    """So many parts that they are not all of one length."""
    return next(parts for parts in (4, 3) if side % parts)


def _mirrored(its: Cells) -> Cells:
    """The same, with the larger groups at the other end: no interpolation does that."""
    count = its.owner.numel()
    groups = torch.where(its.groups < 0, -1, count - 1 - its.groups).flip(0, 1)
    last = its.groups.shape[0] * its.groups.shape[1] - 1
    return Cells(last - its.owner.flip(0, 1), groups)


def _reads(inputs: RandomInputs, its: Cells, rounds: int) -> Tensor:
    """In each round a cell of each group: any, one after the other, or the same in all rounds."""
    hr, wr, most = its.groups.shape
    if inputs.kind in (ALL, ONE):
        every = its.groups.movedim(2, 0)
        return every[-1:].repeat(most, 1, 1) if inputs.kind == ONE else every.clone()
    places = (_uniform(inputs, 6, rounds, hr, wr) * most).long()
    chosen = its.groups.expand(rounds, hr, wr, most).gather(3, places[..., None])[..., 0]
    return torch.where(chosen >= 0, chosen, its.groups.amax(2))  # of a small group its last cell


def next_read(inputs: RandomInputs) -> Case:
    """About half of the cells choose anew, among groups of which some are used up.

    Where none or all choose anew, few are used up, and a chance lies at the bound.
    """
    its = _cells(inputs)
    hr, wr, most = its.groups.shape
    read = _reads(inputs, its, 1)[0]
    chance, order = _uniform(inputs, 8, hr, wr), _uniform(inputs, 9, hr, wr, most)
    used = _uniform(inputs, 7, its.owner.numel()) < inputs.of_kind({NEVER: 0.3, ALWAYS: 0.3}, 0.6)
    if inputs.kind != UNEVEN:
        # For sure, one cell has a choice, and another is better than what it read before.
        read[0, 0], used[its.groups[0, 0]] = its.groups[0, 0, 1], False
        order[0, 0] = order[0, 0].sort(descending=True).values
        chance[0, 0] = 0.9999 if inputs.kind == ALWAYS else 0.0
    used[read.flatten()] = True
    tensors = {
        "groups": its.groups,
        "read": read,
        "used": torch.ones_like(used) if inputs.kind == USED else used,
        "chance": chance,
        "order": order,
    }
    new_p = {NEVER: 0.0, ALWAYS: 1.0}.get(inputs.kind, inputs.number(0.5, (0.4, 0.7)))
    arguments = ("groups", "read", "used", "new_p", "chance", "order")
    return TableCase(arguments, tensors, {"new_p": new_p})


def _uniform(inputs: RandomInputs, seed: int, *shape: int) -> Tensor:
    """In [0, 1)."""
    return torch.special.ndtr(inputs.noise(seed, torch.empty(shape))).clamp(0, 0.9999)


def reduced_resolution_guidance(inputs: RandomInputs) -> Case:
    """The reference shows the pictures mirrored, coarsely."""
    its = _cells(inputs)
    h, w = its.owner.shape
    x0, coarse = _noisy(inputs, 10, (h, w)), its.groups.shape[:2]
    mirrored = F.interpolate(x0.flip(-1), coarse, mode="area")
    stop = 0.0 if inputs.kind == TO_THE_END else inputs.number(0.2, (0.25, 0.4))
    parts = {START: 0.0, LEFT_OUT: 1 - stop / 4, TO_THE_END: 0.8}
    powers = {LEFT_OUT: (0.5, 0.9), TO_THE_END: (0.5, 0.9)}
    power = inputs.number(3.0, inputs.of_kind(powers, (1.5, 3.0)))
    values = {
        "weight": 0.0 if inputs.kind == NOTHING else inputs.number(0.8, (0.5, 0.9)),
        "progress": round(inputs.of_kind(parts, inputs.number(0.3, (0.1, 0.2))), 3),
        "stop": stop,
        "cosine_scale": 0.0 if inputs.kind == STEADY else power,
    }
    tensors = {
        "x0": x0,
        "x0_reference": mirrored + 0.2 * inputs.noise(11, mirrored),
        "owner": its.owner,
    }
    return ValueCase((*tensors, *values), tensors, values)


def merge_views(inputs: RandomInputs) -> Case:
    """Views of one picture with noise of their own; no two places of a view count the same."""
    (h, w), whole = inputs.size, pictures(inputs, inputs.batch)
    a, b = (h, w) if inputs.kind == ALONE else (h - 2, w // 2)
    corners = [
        (top, left) for top in sorted({0, h - a}) for left in sorted({0, min(b - 1, w - b), w - b})
    ]
    corners = inputs.shuffled(corners + {TWICE: corners[:1], FAINT: [(1, 1)]}.get(inputs.kind, []))
    views = torch.stack([whole[..., top : top + a, left : left + b] for top, left in corners])
    weights = 0.2 + _uniform(inputs, 12, a, b)
    if inputs.kind == FAINT:
        weights *= torch.where(_is_border(a, b), 0.1, 1.0)
    tensors = {
        "views": views + 0.4 * inputs.noise(13, views),
        "tops": torch.tensor([top for top, _ in corners]),
        "lefts": torch.tensor([left for _, left in corners]),
        "weights": weights,
    }
    return ValueCase((*tensors, "size"), tensors, {"size": [h, w]})


def _is_border(a: int, b: int) -> Tensor:
    """Of the places (a, b) of a view, those in its outermost rows and columns."""
    return F.pad(torch.zeros(a - 2, b - 2), (1, 1, 1, 1), value=1.0) > 0


CASES: dict[str, Draws] = {
    "elastic.elastic_eps": of_words(elastic_eps, SCALES),
    "elastic.cover": of_words(cover, SIDES),
    "elastic.local_score": of_words(local_score, WINDOWS),
    "elastic.from_reference": of_words(from_reference, ROUNDS),
    "elastic.next_read": of_words(next_read, RESAMPLING),
    "elastic.reduced_resolution_guidance": of_words(reduced_resolution_guidance, PULLS),
    "elastic.merge_views": of_words(merge_views, VIEWS),
}
