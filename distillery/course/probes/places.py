"""Where the numbers are right: which pictures, channels or pixels, in which order and range."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import permutations

import torch
from torch import Tensor

from distillery.course.case import Case
from distillery.course.probes.views import GRADIENT, View, listed, number, numbers, places

FEW = 0.05  # of the numbers
MOST_ORDERED = 4  # pictures whose orders are all tried


def same_along(view: View) -> Iterator[str]:
    """The same for all pictures, channels, rows or columns, where it should differ."""
    for axis, name in enumerate(view.axes):
        length = view.wanted.shape[axis]
        if length < 2 or not name:
            continue
        first = view.came.narrow(axis, 0, 1).expand_as(view.came)
        should = view.wanted.narrow(axis, 0, 1).expand_as(view.wanted)
        if view.same(view.came, first) and not view.same(view.wanted, should):
            yield f"{view.label} is the same for every {name}, where it should differ."
            return


def reordered(view: View) -> Iterator[str]:
    """The right pictures, channels, rows or columns in another order, or turned."""
    for axis, name in enumerate(view.axes):
        length = view.wanted.shape[axis]
        if name and length > 1 and (order := _order(view, axis)) is not None:
            used = set(order)
            if len(used) == length:
                if order == list(reversed(range(length))) and length > 2:
                    how = "in reverse order"
                else:
                    how = "in another order"
                    if length <= 6:
                        how += f": {listed([str(index + 1) for index in order])}"
                yield f"{view.label} has the right {name}s, but {how}."
                return
            if len(used) == 1:
                one = places(name, [*used])
                yield f"{view.label} has {one} of what is wanted for every {name}."
                return
    square = view.wanted.dim() == 4 and view.wanted.shape[2] == view.wanted.shape[3]
    if square and view.explains(view.wanted.transpose(2, 3)):
        yield f"{view.label} is right, with rows and columns swapped."


def shared_order(parts: Sequence[View]) -> str:
    """Of parts of a number for each picture: the same other order of the pictures in all of them.

    In a single part, which has so few numbers, it might be chance.
    """
    if len(parts) < 2 or not 1 < parts[0].pictures <= MOST_ORDERED:
        return ""
    for order in permutations(range(parts[0].pictures)):
        if list(order) != sorted(order) and all(
            part.explains(part.wanted[list(order)]) for part in parts
        ):
            counted = listed([str(place + 1) for place in order])
            return f"All parts are right, but the pictures are in another order: {counted}."
    return ""


def ratios(view: View) -> Iterator[str]:
    """Of a number for each picture: how many times the right one it is."""
    if view.pictures and view.numbers_each == 1 and bool((view.wanted != 0).all()):
        yield f"{view.label} is {numbers(view.came / view.wanted)} times what it should be."


def _order(view: View, axis: int) -> list[int] | None:
    """For every index of the wrong numbers the one of the right ones that is the same."""
    right, wrong = view.wanted.movedim(axis, 0), view.came.movedim(axis, 0)
    if right[0].numel() < 3:
        return None
    found = []
    for one in wrong:
        same = [index for index, other in enumerate(right) if view.same(one, other)]
        if len(same) != 1:
            return None
        found += same
    return None if found == list(range(len(found))) else found


def right_parts(case: Case, view: View) -> Iterator[str]:
    """Which pictures, channels, rows or columns are right, or how few numbers are not."""
    largest = view.wanted.abs().max()
    wrong = (view.came - view.wanted).abs() > view.tolerance * largest
    if not wrong.any() or wrong.numel() < 4:
        return
    for axis, name in enumerate(view.axes):
        others = [other for other in range(wrong.dim()) if other != axis]
        bad = wrong.any(dim=others)
        if name and bad.any() and not bad.all() and _counts(view, axis, ~bad):
            yield _split(case, view, name, bad)
            return
    count = int(wrong.sum())
    if view.axes[:1] == ("picture",):
        pixels = int(wrong.any(dim=1).sum())
        total = wrong.numel() // wrong.shape[1]
        if 2 * pixels < total:
            yield f"{view.label} is right in all but {pixels} of {total} pixels."
            return
    if count <= FEW * wrong.numel():
        yield f"{view.label} is right in all but {count} of {wrong.numel()} numbers."


def _counts(view: View, axis: int, good: Tensor) -> bool:
    """Whether the right pictures, rows or columns are large and many enough to mean something."""
    right = view.wanted.movedim(axis, 0)[good]
    large = bool(right.abs().max() > 0.1 * view.wanted.abs().max())
    return large and (axis < 2 or int(good.sum()) >= len(good) / 2)


def _split(case: Case, view: View, name: str, bad: Tensor) -> str:
    good = [index for index in range(len(bad)) if not bad[index]]
    wrong = [index for index in range(len(bad)) if bad[index]]
    t = case.tensors.get("t", torch.empty(0))
    has_times = t.shape == bad.shape and not t.is_floating_point()
    if name == "picture" and has_times and len(good) == len(wrong) == 1:
        times = f"t = {int(t[good[0]])}", f"t = {int(t[wrong[0]])}"
        return (
            f"{view.label} is right for picture {good[0] + 1} ({times[0]}), "
            f"wrong for picture {wrong[0] + 1} ({times[1]})."
        )
    fewer, which = (good, "right only") if len(good) <= len(wrong) else (wrong, "wrong only")
    if len(fewer) > 4:
        return f"{view.label} is right for {len(good)} of {len(bad)} {name}s."
    return f"{view.label} is {which} for {places(name, fewer)} of {len(bad)}."


def rules(view: View) -> Iterator[str]:
    """A sum or length along an axis, or a range, that the right numbers have and these do not."""
    if view.wanted.dim() < 2:
        return
    exact = view.wanted.unique().tolist() == [0, 1]
    if exact and not bool(((view.came == 0) | (view.came == 1)).all()):
        yield f"{view.label} should hold only 0 and 1; it runs {_range(view.came)}."
        return
    for axis in range(view.wanted.dim()):
        name = view.axes[axis]
        if view.wanted.shape[axis] < 2:
            continue
        over = f"over the {name}s" if name else f"along axis {axis}"
        for what, measure in (("sum", torch.Tensor.sum), ("length", torch.Tensor.norm)):
            right, wrong = measure(view.wanted, dim=axis), measure(view.came, dim=axis)
            one = _constant(right, view)
            if right.numel() > 1 and one is not None and _constant(wrong, view) != one:
                yield (
                    f"{view.label} should have the {what} {number(one)} {over} at every place; "
                    f"it has {_span(wrong)}."
                )
                return


def _constant(values: Tensor, view: View) -> float | None:
    middle = float((values.max() + values.min()) / 2)
    largest = max(float(view.wanted.abs().max()), 1e-3)
    same = float(values.max() - values.min()) <= 10 * view.tolerance * largest
    return (round(middle, 3) + 0.0) if same else None


def _span(values: Tensor) -> str:
    ends = list(dict.fromkeys([number(values.min()), number(values.max())]))
    return " to ".join(ends)


def _range(values: Tensor) -> str:
    return f"from {number(values.min())} to {number(values.max())}"


def of_inputs(case: Case, view: View) -> Iterator[str]:
    """Of a table: rows of an input, or rows that should stay as they were given."""
    if view.wanted.dim() != 2:
        return
    for name, given in case.tensors.items():
        if given.dim() != 2 or given.shape[1] != view.wanted.shape[1]:
            continue
        taken = [bool((given == row).all(dim=1).any()) for row in view.came]
        if all(taken) and view.wanted.shape != given.shape:
            yield f"Every row of yours is one of the rows of {name}."
        if given.shape == view.wanted.shape:
            kept = (view.wanted == given).all(dim=1)
            moved = kept & (view.came != given).any(dim=1)
            stay = [row for row in range(len(kept)) if moved[row]]
            if stay and len(stay) <= 4:
                yield f"{places('row', stay).capitalize()} should stay as in {name}."


def winners(view: View) -> Iterator[str]:
    """In how many pixels the largest number belongs to the right colour."""
    if view.axes[1:2] != ("colour",) or view.label == GRADIENT:
        return
    same = view.wanted.argmax(dim=1) == view.came.argmax(dim=1)
    yield (
        f"{view.label} has the largest number at the right colour in {int(same.sum())} of "
        f"{same.numel()} pixels."
    )


def directions(view: View) -> Iterator[str]:
    """How large it is, and whether it points the way it should: a last resort, always true."""
    if view.wanted.numel() < 12 or not view.wanted.any() or not view.came.any():
        return
    if view.pictures:
        right, wrong = view.wanted.flatten(1).double(), view.came.flatten(1).double()
    else:
        right, wrong = view.wanted.flatten()[None].double(), view.came.flatten()[None].double()
    if not (right.any(dim=1) & wrong.any(dim=1)).all():
        return
    cosines = torch.nn.functional.cosine_similarity(right, wrong, dim=1)
    lengths = wrong.norm(dim=1) / right.norm(dim=1)
    each = " for each picture" if len(cosines) > 1 else ""
    if bool((cosines > 0.99).all()):
        way = "points almost the way it should"
    elif bool((cosines < -0.5).all()):
        way = "points away from where it should"
    elif bool((cosines.abs() < 0.1).all()):
        way = "has nothing to do with what is wanted"
    else:
        way = "points only partly the way it should"
    yield (
        f"{view.label} {way} (cosine {_spread(cosines)}{each}) "
        f"and is {_spread(lengths)} times as large."
    )


def ranges(view: View) -> Iterator[str]:
    """From where to where the numbers run, if that is clearly another range."""
    if view.wanted.numel() < 12:
        return
    width = float(view.wanted.max() - view.wanted.min())
    off = max(
        abs(float(view.came.max() - view.wanted.max())),
        abs(float(view.came.min() - view.wanted.min())),
    )
    if off > 0.1 * width:
        yield f"{view.label} runs {_range(view.came)}; wanted is {_range(view.wanted)}."


def _spread(values: Tensor) -> str:
    texts = [f"{float(one):.3g}" for one in values]
    return texts[0] if len(set(texts)) == 1 else numbers(values)
