"""What stage 6 is checked on."""

from __future__ import annotations

from typing import Any

import torch
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
from grading.stages.inputs.small_pictures import guidance_scale

OTHER_CHANNELS = {SEVERAL: "", SINGLE: KINDS[SINGLE]}
SCALES = OTHER_CHANNELS | {
    EARLY: "with a guidance scale of 0",
    LATE: "with a guidance scale of 100",
}
FACTORS = ((1, 2), (2, 1), (2, 3), (3, 2))  # cells down and across in a group
COLUMNS = ("read from", "read to", "write from", "write to")
SHIFTED, INSIDE, JUST, ONE_MORE, ODD, BARE, NARROW = (
    "shifted",
    "inside",
    "just",
    "one more",
    "odd",
    "bare",
    "narrow",
)
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
ALONE, STRIP = "alone", "strip"
WINDOWS = OTHER_CHANNELS | {
    SHIFTED: "where windows are cut off at all borders",
    BARE: SIDES[BARE],
    STRIP: "with one row of windows",
    ALONE: "with one window",
}
ONE_ROUND, ALL, UNEVEN, SAME = "one round", "all", "uneven", "same"
ROUNDS = OTHER_CHANNELS | {
    ONE_ROUND: "in one round",
    ALL: "where every cell is read",
    UNEVEN: "where some groups are larger than others",
    SAME: "where the reference is as large as the picture",
}
USED, NEVER, ALWAYS = "used", "never", "always"
RESAMPLING = {
    SEVERAL: "",
    UNEVEN: ROUNDS[UNEVEN],
    USED: "where every cell was used",
    NEVER: "with new_p = 0",
    ALWAYS: "with new_p = 1",
    SAME: "where each group has one cell",
}
START, LEFT_OUT, TO_THE_END, STEADY, NOTHING = (
    "start",
    "left out",
    "to the end",
    "steady",
    "nothing",
)
PULLS = OTHER_CHANNELS | {
    START: "at the start",
    LEFT_OUT: "in the last part of the way",
    TO_THE_END: "where no part of the way goes without",
    STEADY: "with a cosine_scale of 0",
    NOTHING: "with a weight of 0",
    UNEVEN: ROUNDS[UNEVEN],
}
APART, TWICE, EVEN = "apart", "twice", "even"
VIEWS = OTHER_CHANNELS | {
    ALONE: "with one view of the whole",
    APART: "where no views overlap",
    TWICE: "where a view lies on another one",
    EVEN: "where all places count the same",
}


def elastic_eps(inputs: RandomInputs) -> Case:
    """Three noises that have nothing in common."""
    tensors = {
        name: inputs.noise(number, _empty(inputs))
        for number, name in enumerate(("local", "eps_uncond", "eps_text"))
    }
    scale = {"guidance_scale": guidance_scale(inputs)}
    return ValueCase((*tensors, "guidance_scale"), tensors, scale)


def cover(inputs: RandomInputs) -> Case:
    """Sides that are no multiple of the window."""
    window = 1 if inputs.kind == NARROW else inputs.whole(4, (3, 5))
    around = {ODD: 2 * inputs.whole(1, (1, 3)) + 1, BARE: 0}.get(
        inputs.kind, 2 * inputs.whole(2, (1, 3))
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
    shifts = {SHIFTED, INSIDE, JUST, ODD}
    return inputs.whole(1, (1, window - 1)) if inputs.kind in shifts else 0


def local_score(inputs: RandomInputs) -> Case:
    """Windows of another size down than across."""
    h, w = inputs.size
    around = 0 if inputs.kind == BARE else 2
    shift = 1 if inputs.kind == SHIFTED else 0
    down = inputs.whole(3, (2, 3))
    rows = _windows(h, down, down + around, shift)
    columns = _windows(w, 5 - down, 5 - down + around, shift)
    if inputs.kind in (ALONE, STRIP):
        rows = _windows(h, h, h, 0)
    if inputs.kind == ALONE:
        columns = _windows(w, w, w, 0)
    tensors = {"xt": inputs.noise(1, _empty(inputs)), "rows": rows, "columns": columns}
    return ValueCase(
        ("predict", *tensors), tensors, functions={"predict": _network(inputs, answers=1)}
    )


def _windows(side: int, window: int, read: int, shift: int) -> Tensor:
    """As `cover`, int64 (K, 4)."""
    ends = [*range(shift or window, side, window), side]
    begins = [0, *ends[:-1]]
    firsts = [min(max(begin - (read - window) // 2, 0), max(0, side - read)) for begin in begins]
    return torch.tensor(
        [
            [first, min(first + read, side), begin, end]
            for first, begin, end in zip(firsts, begins, ends, strict=True)
        ]
    )


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
    rounds = {ONE_ROUND: 1, ALL: its.groups.shape[-1]}.get(inputs.kind, inputs.whole(3, (3, 3)))
    tensors = {
        "xt": inputs.noise(2, torch.empty(inputs.batch, inputs.channels, *its.owner.shape)),
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
    if inputs.kind == SAME:
        return cells((h, w), (h, w))
    if inputs.kind == UNEVEN:
        return _mirrored(cells((h, w), (_uneven(h), _uneven(w))))
    down, across = (2, 2) if inputs.kind != SEVERAL else inputs.one_of((2, 2), FACTORS)
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
    """In each round a cell of each group; where all are to be read, one after the other."""
    hr, wr, most = its.groups.shape
    if inputs.kind == ALL:
        places = torch.arange(most).view(-1, 1, 1).expand(most, hr, wr)
    else:
        places = (inputs.noise(3, torch.empty(rounds, hr, wr)) * 10).long() % most
    chosen = its.groups.expand(rounds, hr, wr, most).gather(3, places[..., None])[..., 0]
    return torch.where(chosen >= 0, chosen, its.groups[..., 0])


def next_read(inputs: RandomInputs) -> Case:
    """Half of the cells choose anew, and more than half of all cells were used."""
    its = _cells(inputs)
    hr, wr, most = its.groups.shape
    read = _reads(inputs, its, 1)[0]
    used = inputs.noise(4, torch.empty(its.owner.numel())) > -0.3
    used[read.flatten()] = True
    chance = _uniform(inputs, 5, hr, wr)
    if inputs.kind == NEVER:
        chance[0, 0] = 0.0  # is not below 0
    tensors = {
        "groups": its.groups,
        "read": read,
        "used": torch.ones_like(used) if inputs.kind == USED else used,
        "chance": chance,
        "order": _uniform(inputs, 6, hr, wr, most),
    }
    new_p = {NEVER: 0.0, ALWAYS: 1.0}.get(inputs.kind, inputs.number(0.5, (0.4, 0.7)))
    arguments = ("groups", "read", "used", "new_p", "chance", "order")
    return TableCase(arguments, tensors, {"new_p": new_p})


def _uniform(inputs: RandomInputs, seed: int, *shape: int) -> Tensor:
    """In [0, 1)."""
    return torch.special.ndtr(inputs.noise(seed, torch.empty(shape))).clamp(0, 0.9999)


def reduced_resolution_guidance(inputs: RandomInputs) -> Case:
    its = _cells(inputs)
    x0 = inputs.noise(7, torch.empty(inputs.batch, inputs.channels, *its.owner.shape))
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
        "x0_reference": inputs.noise(8, torch.empty(*x0.shape[:2], *its.groups.shape[:2])),
        "owner": its.owner,
    }
    return ValueCase((*tensors, *values), tensors, values)


def merge_views(inputs: RandomInputs) -> Case:
    """Views that overlap differently, and places of which no two count the same."""
    h, w = inputs.size
    if inputs.kind == APART:
        h, w = h - h % 2, w - w % 2
    tops, lefts, a, b = _places(inputs, h, w)
    corners = [(top, left) for top in tops for left in lefts]
    corners += corners[:1] * (inputs.kind == TWICE)
    corners = inputs.shuffled(corners)
    weights = 0.2 + _uniform(inputs, 9, a, b)
    tensors = {
        "views": inputs.noise(10, torch.empty(len(corners), inputs.batch, inputs.channels, a, b)),
        "tops": torch.tensor([top for top, _ in corners]),
        "lefts": torch.tensor([left for _, left in corners]),
        "weights": torch.full_like(weights, 0.7) if inputs.kind == EVEN else weights,
    }
    return ValueCase((*tensors, "size"), tensors, {"size": [h, w]})


def _places(inputs: RandomInputs, h: int, w: int) -> tuple[list[int], list[int], int, int]:
    """The first rows and columns of views, and their height and width."""
    if inputs.kind == ALONE:
        return [0], [0], h, w
    if inputs.kind == APART:
        return [0, h // 2], [0, w // 2], h // 2, w // 2
    a, b = h - 2, w // 2
    return [0, 2], [0, b - 1, w - b], a, b


def _empty(inputs: RandomInputs) -> Tensor:
    return torch.empty(inputs.batch, inputs.channels, *inputs.size)


CASES: dict[str, Draws] = {
    "elastic.elastic_eps": of_words(elastic_eps, SCALES),
    "elastic.cover": of_words(cover, SIDES),
    "elastic.local_score": of_words(local_score, WINDOWS),
    "elastic.from_reference": of_words(from_reference, ROUNDS),
    "elastic.next_read": of_words(next_read, RESAMPLING),
    "elastic.reduced_resolution_guidance": of_words(reduced_resolution_guidance, PULLS),
    "elastic.merge_views": of_words(merge_views, VIEWS),
}
