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

from collections.abc import Iterator

from distillery.course.case import Case
from distillery.course.observe import Observation
from distillery.course.probes.factors import empty, mapped, scaled, shifted
from distillery.course.probes.forms import misshapen, right_numbers
from distillery.course.probes.mixes import made_of_inputs
from distillery.course.probes.networks import about_networks
from distillery.course.probes.places import (
    directions,
    reordered,
    right_parts,
    rules,
    same_along,
    winners,
)
from distillery.course.probes.samples import OWN
from distillery.course.probes.spectra import frequencies
from distillery.course.probes.views import LONGEST, View, listed, views

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
    found = [*right_numbers(wanted, came), *misshapen(case, wanted, came)]
    # A result of chance says nothing.
    if not found and came.facts.get("repeatable", True):
        own = OWN.get(case.kind)
        if own:
            found = [*own(case, wanted, came)]
        else:
            asked = [*about_networks(case, wanted, came)]
            found = [*asked, *_of_views(case, wanted, came, only_exact=bool(asked))]
    short = [sentence for sentence in dict.fromkeys(found) if len(sentence) <= LONGEST]
    return short[:MOST]


def _of_views(
    case: Case, wanted: Observation, came: Observation, *, only_exact: bool
) -> Iterator[str]:
    """Which parts are right, and the most telling of each part that is not."""
    parts = views(case, wanted, came)
    good = [view.label for view in parts if view.right]
    wrong = [view for view in parts if not view.right]
    if good and wrong:
        are = "is" if len(good) == 1 else "are"
        yield f"{listed(good)} {are} right."
    for view in wrong:
        told = list(_of_one(case, view, only_exact=only_exact))
        yield from told[: 1 if len(wrong) > 1 else MOST_OF_A_PART]


def _of_one(case: Case, view: View, *, only_exact: bool) -> Iterator[str]:
    """The first probes explain every number; one of them is enough. The others say a part."""
    for exact in (empty, _scaled_of(case), reordered, shifted, _made_of(case), mapped):
        told = list(exact(view))
        if told:
            yield from told
            return
    if only_exact:
        return
    partial = [*same_along(view), *right_parts(case, view), *rules(view), *winners(view)]
    partial += frequencies(view)
    yield from partial or directions(view)


def _scaled_of(case: Case):
    return lambda view: scaled(case, view)


def _made_of(case: Case):
    return lambda view: made_of_inputs(case, view)
