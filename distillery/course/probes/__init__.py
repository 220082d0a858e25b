"""What is true of a wrong result that nobody has seen before.

`facts_about` tries a few probes, which know nothing of any task: the shape, a factor, a shift, a
mixture of the inputs, the order, the places that are right. `together` knows two mistakes at once
by what each does alone. A sentence is said only where it holds within the tolerance of the check.

    views       what is compared, a part at a time, and how axes and numbers are called
    quantities  the names of factors: alpha_bar, guidance_scale and so on
    forms, factors, mixes, places, samples      the probes
    pairs       two known mistakes at once
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from distillery.course.case import Case
from distillery.course.observe import Observation
from distillery.course.probes.factors import empty, mapped, named_alone, scaled, shifted
from distillery.course.probes.forms import misshapen, right_numbers
from distillery.course.probes.mixes import made_of_inputs
from distillery.course.probes.networks import about_questions, as_distance, formula
from distillery.course.probes.pairs import Together, together
from distillery.course.probes.places import (
    directions,
    of_inputs,
    ranges,
    ratios,
    reordered,
    right_parts,
    rules,
    same_along,
    shared_order,
    winners,
)
from distillery.course.probes.samples import OWN
from distillery.course.probes.spectra import frequencies
from distillery.course.probes.views import LONGEST, View, listed, views

__all__ = ["Together", "facts_about", "together"]

MOST = 3  # sentences
MOST_OF_A_PART = 2


def facts_about(case: Case, wanted: Observation, came: Observation) -> list[str]:
    """At most three true sentences on how a wrong result differs from the right one.

    Args:
        case: the inputs of both.
        wanted: what a right answer does with them; where several are right, the nearest.
        came: what the wrong answer does with them.

    Returns:
        the sentences, the most telling first; none where nothing is found or nothing is wrong.
    """
    if came.equals(wanted):
        return []
    found = list(_found(case, wanted, came))
    short = [sentence for sentence in dict.fromkeys(found) if len(sentence) <= LONGEST]
    return short[:MOST]


def _found(case: Case, wanted: Observation, came: Observation) -> Iterator[str]:
    if case.kind == "choices":
        # Its facts say in words all that differs; its numbers are shares, which say less.
        return
    of_form = [*right_numbers(wanted, came), *misshapen(case, wanted, came)]
    if of_form or not came.facts.get("repeatable", True):  # a result of chance says nothing
        yield from of_form
    elif case.kind in OWN:
        yield from OWN[case.kind](case, wanted, came)
    else:
        asked = list(about_questions(case, came))
        yield from asked
        yield from _of_views(case, wanted, came, only_exact=bool(asked))


def _of_views(
    case: Case, wanted: Observation, came: Observation, *, only_exact: bool
) -> Iterator[str]:
    """Which parts are right, and the most telling of each part that is not.

    The last resorts, a range and a direction, come after what is said of all other parts.
    """
    parts = views(case, wanted, came)
    good = [view.label for view in parts if view.right]
    wrong = [view for view in parts if not view.right]
    if good and wrong:
        are = "is" if len(good) == 1 else "are"
        yield f"{listed(good)} {are} right."
    order = shared_order(parts)
    if order:
        yield order
        return
    most = 1 if len(wrong) > 1 else MOST_OF_A_PART
    vague: list[str] = []
    for view in wrong:
        told = [
            f"{view.label} is what {other.label} should be."
            for other in parts
            if other is not view and view.same(view.came, other.wanted)
        ]
        told = told or list(_of_one(case, view, came, only_exact=only_exact))
        yield from told[:most]
        if not told and not only_exact:
            vague += [*ranges(view), *directions(view)][:most]
    yield from vague


def _of_one(case: Case, view: View, came: Observation, *, only_exact: bool) -> Iterator[str]:
    """The exact probes explain every number; one of them is enough. The others say a part."""
    exact: tuple[Callable[[], Iterator[str]], ...] = (
        lambda: empty(view),
        lambda: named_alone(case, view),
        lambda: scaled(case, view),
        lambda: reordered(view),
        lambda: shifted(view),
        lambda: formula(case, view, came, named=only_exact),
        lambda: made_of_inputs(case, view),
        lambda: mapped(view),
        lambda: of_inputs(case, view),
        lambda: as_distance(case, view, came),
    )
    for probe in exact:
        told = list(probe())
        if told:
            yield from told
            return
    if not only_exact:
        partial = [*same_along(view), *right_parts(case, view), *rules(view), *winners(view)]
        partial += frequencies(view)
        yield from partial or ratios(view)
