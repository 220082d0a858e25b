"""Right up to a factor, a shift or a simple function of the numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from distillery.course.case import Case
from distillery.course.probes.quantities import constant_named, each_named, has_networks
from distillery.course.probes.views import GRADIENT, NEGLIGIBLE, WHOLE, View, number, numbers

SIMPLE = (2.0, 3.0, 4.0, 0.5, 0.25, 1 / 3, 255.0)
# The axes along which a factor may differ, beside that of pictures.
KEPT = ((1,), (0, 1), (0, 2, 3), (2,), (3,))
Functions = dict[str, Callable[[Tensor], Tensor]]
FUNCTIONS: Functions = {
    "the square of": torch.square,
    "the square root of": torch.sqrt,
    "1 divided by": lambda x: 1 / x,
    "the absolute value of": torch.abs,
}
# Of one or two numbers a picture, one of so many functions may be true by chance.
FUNCTIONS_OF_MANY: Functions = {
    "the exponential of": torch.exp,
    "the sign of": torch.sign,
    "the tanh of": torch.tanh,
    "the sigmoid of": torch.sigmoid,
    "the rounded form of": torch.round,
}


def empty(view: View) -> Iterator[str]:
    """All zeros, or one number everywhere."""
    came = view.came
    if not came.any():
        yield f"{view.label} is zero everywhere."
    elif _is_constant(came) and not _is_constant(view.wanted):
        yield f"{view.label} is {number(came.flatten()[0])} everywhere."


def _is_constant(values: Tensor) -> bool:
    return values.numel() > 1 and bool((values == values.flatten()[0]).all())


def scaled(case: Case, view: View) -> Iterator[str]:
    """A factor that is the same everywhere, or one for each picture, channel, pixel..."""
    factor = fitted(view, ())
    if factor is not None and _is_telling(case, view, float(factor)):
        yield _constant(case, view, float(factor))
        return
    if view.pictures > 1 and (each := fitted(view, (0,))) is not None:
        name = each_named(case, each.flatten())
        if name:
            yield (
                f"{view.label} is right up to a factor for each picture, and the factor is {name}."
            )
            return
        if view.numbers_each > 1:
            yield (
                f"{view.label} is right up to a factor for each picture: {numbers(each)}."
                f"{_advice(case, view)}"
            )
            return
    elif view.axes[:1] == ("prompt",) and (each := fitted(view, (0,))) is not None:
        yield f"{view.label} is right up to a factor for each prompt: {numbers(each)}."
        return
    each = fitted(view, (0,)) if view.axes == ("row", "column") else None
    if each is not None and bool((each.abs() > NEGLIGIBLE).all()):
        yield f"{view.label} is right up to a factor for each row: {numbers(each)}."
        return
    for kept in KEPT if view.pictures and view.numbers_each > 1 else ():
        if (found := fitted(view, kept)) is not None:
            usable = found[found.isfinite()]
            yield (
                f"{view.label} is right up to a factor for each {_called(view, kept)}: "
                f"{numbers(usable)}."
            )
            return


def _advice(case: Case, view: View) -> str:
    """Where to look: what is made of networks' answers has a weight that depends on t."""
    has_weight = has_networks(case) and view.label in (WHOLE, GRADIENT)
    return " So look at the weight." if has_weight else ""


def _called(view: View, kept: tuple[int, ...]) -> str:
    if len(kept) == 3:
        return "pixel"
    return view.axes[kept[-1]] + " of each picture" * (len(kept) == 2)


def _is_telling(case: Case, view: View, factor: float) -> bool:
    """Of a single number any factor would be true; one that means something is not chance."""
    return view.wanted.numel() > 1 or _is_simple(factor) or bool(constant_named(case, view, factor))


def _is_simple(factor: float) -> bool:
    return any(abs(abs(factor) - one) <= 1e-4 * one for one in (1.0, *SIMPLE))


def _constant(case: Case, view: View, factor: float) -> str:
    if abs(factor + 1) <= 1e-3:
        return f"{view.label} is what is wanted with the other sign."
    name = "" if _is_simple(factor) else constant_named(case, view, factor)
    also = f", which is {name}" if name else ""
    return f"{view.label} is {number(factor)} times what is wanted{also}."


def fitted(view: View, kept: tuple[int, ...], other: Tensor | None = None) -> Tensor | None:
    """The factors, one for each index along the axes kept, that make the wrong of the right.

    Args:
        other: fit this in place of the right tensor.

    Returns:
        the factors, NaN where both are zero, or None where no factors do.
    """
    right = view.wanted if other is None else other
    if any(axis >= right.dim() for axis in kept):
        return None
    rest = [axis for axis in range(right.dim()) if axis not in kept]
    right, wrong = right.double(), view.came.double()
    if rest:
        power = right.square().sum(dim=rest, keepdim=True)
        product = (right * wrong).sum(dim=rest, keepdim=True)
    else:
        power, product = right.square(), right * wrong
    factors = product / power
    fit = torch.where(power > NEGLIGIBLE**2, factors * right, torch.zeros_like(wrong)).float()
    groups = int((power > NEGLIGIBLE**2).sum())
    trivial = len(kept) > 1 and (right.abs() > NEGLIGIBLE).sum() < 2 * groups
    known = bool((factors.nan_to_num() != 0).any())
    # Of numbers that are next to nothing beside the largest, any factor would be true.
    peaks = wrong.abs().amax(dim=rest) if rest else wrong.abs()
    faint = (peaks > 0) & (peaks < 10 * view.tolerance * peaks.max())
    if not known or trivial or bool(faint.any()):
        return None
    return factors if view.explains(fit) else None


def shifted(view: View) -> Iterator[str]:
    """A number that is added, everywhere or for each picture or channel; or a factor and a sum."""
    gap = view.came - view.wanted
    if view.wanted.numel() < 3:
        return
    for kept in ((), (0,), (1,)):
        if kept and not view.pictures:
            continue
        rest = [axis for axis in range(gap.dim()) if axis not in kept]
        mean = gap.mean(dim=rest, keepdim=True)
        if view.explains(view.wanted + mean):
            each = f" for each {view.axes[kept[0]]}" if kept else ""
            yield f"{view.label} is what is wanted plus a number{each}: {numbers(mean)}."
            return
    right, wrong = view.wanted.flatten().double(), view.came.flatten().double()
    spread = right.var() * (len(right) - 1)
    if spread < NEGLIGIBLE:
        return
    slope = ((right - right.mean()) * (wrong - wrong.mean())).sum() / spread
    start = wrong.mean() - slope * right.mean()
    if abs(slope) > 1e-3 and view.explains((slope * view.wanted.double() + start).float()):
        sign = "plus" if start > 0 else "minus"
        yield (
            f"{view.label} is {number(slope)} times what is wanted, {sign} {number(abs(start))}: "
            "its range is another."
        )


def mapped(view: View) -> Iterator[str]:
    """A simple function of each number, or the right numbers cut off at a limit."""
    offered = FUNCTIONS if view.numbers_each < 3 else FUNCTIONS | FUNCTIONS_OF_MANY
    for name, function in offered.items():
        made = function(view.wanted)
        if not bool(made.isfinite().all()):
            continue
        each = ", number by number" if made.numel() > 1 else ""
        if view.explains(made):
            yield f"{view.label} is {name} what is wanted{each}."
            return
        if view.numbers_each > 2 and made.numel() > 2:
            kept = (0,) if view.pictures > 1 else ()
            if fitted(view, kept, made) is not None:
                weight = " for each picture" if kept else ""
                yield f"{view.label} is, up to a factor{weight}, {name} what is wanted{each}."
                return
    low, high = float(view.came.min()), float(view.came.max())
    if view.wanted.numel() > 5 and low < high and view.explains(view.wanted.clamp(low, high)):
        ends = [
            f"{word} {number(end)}"
            for word, end, farthest in (
                ("below", low, float(view.wanted.min())),
                ("above", high, float(view.wanted.max())),
            )
            if abs(end - farthest) > view.tolerance * view.wanted.abs().max()
        ]
        yield f"{view.label} is right, but cut off {' and '.join(ends)}."


def named_alone(case: Case, view: View) -> Iterator[str]:
    """Of one number for each picture: the name that it has by itself."""
    if view.pictures > 1 and view.numbers_each == 1:
        name = each_named(case, view.came.flatten())
        if name:
            yield f"{view.label} is {name}."
