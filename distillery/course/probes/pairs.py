"""Two mistakes at once, known by what each of them does alone.

Nothing is run: of two mistakes the values multiply where one of them is a factor, add where they
act on different terms, and stand side by side where they act on different parts of a result. What
is found must be the only pair that gives the numbers; otherwise nothing is said.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from torch import Tensor

from distillery.course.case import Case
from distillery.course.observe import Observation, close
from distillery.course.probes.factors import fitted
from distillery.course.probes.mixes import pictures_in, solved, summed
from distillery.course.probes.views import View, views

KINDS = ("value", "gradient", "passage")
FEWEST = 12  # numbers; of fewer, pairs may agree by chance


@dataclass(frozen=True)
class Together:
    """Known mistakes that give a result together.

    known:     their places in the list.
    has_other: something else is wrong beside them, which is no matter of numbers.
    """

    known: tuple[int, ...]
    has_other: bool = False


def together(
    case: Case, wanted: Observation, known: Sequence[Observation | None], came: Observation
) -> Together | None:
    """Which of the known mistakes a result shows at once; None if that is not certain.

    Args:
        known: what each known mistake does with the inputs of the case; None where it stops.
    """
    if case.kind not in KINDS or not came.facts.get("repeatable", True):
        return None
    usable = {
        place: one
        for place, one in enumerate(known)
        if one is not None and one.facts.get("repeatable", True) and not came.equals(one)
    }
    return (
        _numbers_and_fact(wanted, usable, came)
        or _one_each(case, wanted, usable, came)
        or _of_values(case, wanted, usable, came)
    )


def _numbers_and_fact(
    wanted: Observation, known: dict[int, Observation], came: Observation
) -> Together | None:
    """The numbers of one mistake, and a fact, such as a graph, of another."""
    other = _differing(wanted, came)
    # Numbers that are not finite are not known.
    if not other or came.value is None or "finite" in other:
        return None
    of_numbers = [
        place
        for place, one in known.items()
        if not _differing(wanted, one) and came.near(one) and close(came.loss, one.loss)
    ]
    if len(of_numbers) != 1 or came.near(wanted):
        return None
    of_facts = [
        place
        for place, one in known.items()
        if _differing(wanted, one) == other and one.near(wanted)
    ]
    if len(of_facts) == 1:
        return Together((of_numbers[0], of_facts[0]))
    return Together((of_numbers[0],), has_other=True)


def _differing(wanted: Observation, one: Observation) -> dict[str, object]:
    names = {*wanted.facts, *one.facts}
    return {
        name: one.facts.get(name) for name in names if one.facts.get(name) != wanted.facts.get(name)
    }


def _one_each(
    case: Case, wanted: Observation, known: dict[int, Observation], came: Observation
) -> Together | None:
    """Each wrong part of the result, such as c0, is that of one mistake."""
    parts = views(case, wanted, came)
    wrong = [number for number, view in enumerate(parts) if not view.right]
    if len(wrong) < 2 or case.kind == "gradient":
        return None
    theirs = {place: views(case, wanted, one) for place, one in known.items()}
    found = []
    for number in wrong:
        places = [
            place
            for place, its in theirs.items()
            if its
            and not its[number].right
            and all(view.right for other, view in enumerate(its) if other != number)
            and parts[number].same(parts[number].came, its[number].came)
        ]
        if len(places) != 1:
            return None
        found += places
    return Together(tuple(found))


def _of_values(
    case: Case, wanted: Observation, known: dict[int, Observation], came: Observation
) -> Together | None:
    """A product with a mistake that is a factor, or the sum of what two mistakes change."""
    parts = views(case, wanted, came)
    facts = wanted.facts
    if not parts or came.facts != facts or parts[0].wanted.numel() < FEWEST or case.parts:
        return None
    view = parts[0]
    if case.kind == "passage" or view.right or fitted(view, _kept(view)) is not None:
        return None
    values = {
        place: one.value
        for place, one in known.items()
        if one.value is not None
        and one.facts == facts
        and one.value.shape == view.wanted.shape
        and not view.same(one.value, view.wanted)
        and bool(one.value.any())
    }
    for pairs in (_products(view, values), _sums(case, view, values)):
        found = list(pairs)
        if found:
            return Together(found[0]) if len(found) == 1 else None
    return None


def _products(view: View, values: dict[int, Tensor]) -> Iterator[tuple[int, int]]:
    """A mistake whose numbers are the right ones up to a factor, times any other's numbers."""
    of_factors = {}
    for place, value in values.items():
        its = View(view.label, view.wanted, value, view.axes, view.tolerance)
        factor = fitted(its, _kept(view))
        if factor is not None:
            of_factors[place] = factor.float()
    for place, factor in of_factors.items():
        for other, value in values.items():
            if other not in of_factors and view.explains(factor * value):
                yield place, other


def _sums(case: Case, view: View, values: dict[int, Tensor]) -> Iterator[tuple[int, int]]:
    """Two mistakes, each of which changes the weight of one input, and not of the same.

    Of mistakes that change more, too many pairs have the same sum.
    """
    if not view.pictures:
        return
    inputs = pictures_in(case, view.wanted.shape)
    changes = {place: _changed(view, inputs, value) for place, value in values.items()}
    for (place, one), (other, its) in combinations(changes.items(), 2):
        apart = one and its and one != its
        if apart and view.explains(values[place] + values[other] - view.wanted):
            yield place, other


def _changed(view: View, inputs: dict[str, Tensor], value: Tensor) -> str:
    """The input that has another weight in this value, if it is just one."""
    for name, tensor in inputs.items():
        weights = solved([tensor], value - view.wanted)
        if weights is not None and view.same(view.wanted + summed(weights, [tensor]), value):
            return name
    return ""


def _kept(view: View) -> tuple[int, ...]:
    """The axis of pictures, along which a factor may differ."""
    return (0,) if view.pictures > 1 else ()
