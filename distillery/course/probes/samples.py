"""What is special about draws, about choices of colours, and about steps taken in turn."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from distillery.course.case import Case
from distillery.course.observe import Observation
from distillery.course.probes.views import listed, number


def about_draws(case: Case, wanted: Observation, came: Observation) -> Iterator[str]:
    """Which ends are missed, at which steps, and how often the ends come."""
    drawn = came.samples
    if drawn is None or came.facts.get("varies_in_batch") is False:
        return
    if drawn.is_floating_point() and bool((drawn != drawn.round()).any()):
        yield f"The values of t are not whole numbers: the first is {number(drawn.flatten()[0])}."
        return
    off = list(_ends(case, wanted, came))
    yield from off or _how_often(case, wanted, came)


def _ranges(case: Case, seen: Observation) -> list[tuple[int, list[int]]]:
    """The steps that are looked at, in order, with the smallest and the largest t of each."""
    facts, last = seen.facts, case.values["steps"] - 1
    between = zip(case.values.get("between", ()), facts.get("ranges_between", ()), strict=False)
    found = [(0, facts.get("range")), *between, (last, facts.get("range_at_the_end"))]
    return sorted((step, ends) for step, ends in found if ends is not None)


def _ends(case: Case, wanted: Observation, came: Observation) -> Iterator[str]:
    right, wrong = _ranges(case, wanted), _ranges(case, came)
    if not wrong or len(right) != len(wrong):
        return
    for end, what in ((0, "smallest"), (1, "largest")):
        off = {
            step: its[end] - ends[end]
            for (step, ends), (_, its) in zip(right, wrong, strict=True)
            if its[end] != ends[end]
        }
        if not off:
            continue
        gaps = set(off.values())
        at = "at every step" if len(off) == len(right) else f"at step {listed(_str(off))}"
        if len(off) < len(right):
            good = [step for step, _ in right if step not in off]
            at += f" (right at step {listed(_str(good))})"
        if len(gaps) == 1:
            (gap,) = gaps
            yield f"The {what} t is {abs(gap)} too {'large' if gap > 0 else 'small'} {at}."
        else:
            yield f"The {what} t is wrong {at}, by {min(gaps):+d} to {max(gaps):+d}."


def _how_often(case: Case, wanted: Observation, came: Observation) -> Iterator[str]:
    drawn = came.samples
    if drawn is None or drawn.dim() != 1 or len(drawn) < 100 or not came.facts.get("uneven"):
        return
    low, high = _wanted_ends(case, wanted)
    t = drawn.float().nan_to_num()
    values, counts = t.unique(return_counts=True)
    expected = len(t) / (high - low + 1)
    count = dict(zip(values.tolist(), counts.tolist(), strict=True))
    inside = [count.get(float(one), 0) for one in range(low + 1, high)]
    ends = [count.get(float(one), 0) / expected for one in (low, high)]
    even_inside = inside and max(inside) < 1.5 * expected and min(inside) > 0.6 * expected
    if even_inside and all(0.35 < end < 0.65 for end in ends):
        yield f"Both ends, {low} and {high}, come half as often as the others."
        return
    for end, share in zip((low, high), ends, strict=True):
        if even_inside and share > 1.5:
            yield f"t = {end} comes {number(share)} times as often as it should."
            return
    missing = [one for one in range(low, high + 1) if count.get(float(one), 0) == 0]
    if missing:
        yield f"{len(missing)} of the {high - low + 1} values wanted never come."
    most = int(counts.argmax())
    if counts[most] > 2 * expected:
        times = number(float(counts[most]) / expected)
        yield f"t = {number(values[most])} comes {times} times as often as it should."
    middle = (low + high) / 2
    share = float((t > middle).float().mean())
    if not 0.4 < share < 0.6:
        yield f"{share:.0%} of t lie in the upper half of the range."


def _wanted_ends(case: Case, wanted: Observation) -> tuple[int, int]:
    """Of the step that the samples are of."""
    if "between" in case.values:
        low, high = wanted.facts["ranges_between"][1]
    else:
        low, high = wanted.facts["range"]
    return low, high


def about_steps(case: Case, wanted: Observation, came: Observation) -> Iterator[str]:
    """After which step each number is wrong for the first time."""
    right, wrong = wanted.value, came.value
    if right is None or wrong is None or right.shape != wrong.shape:
        return
    largest = right.abs().max()
    bad = (wrong - right).abs() > came.tolerance * largest
    if not bad.any():
        return
    good = [part for part, its in zip(case.parts, bad, strict=True) if not its.any()]
    first = {
        part: int(its.int().argmax()) + 1
        for part, its in zip(case.parts, bad, strict=True)
        if its.any()
    }
    told = [f"the {part} from step {step} on" for part, step in first.items()]
    right_ones = f", right for the {listed(good)}" if good else ""
    yield f"Wrong for {listed(told)}{right_ones}."
    start = case.values["start"]
    for part, its, begun in zip(case.parts, wrong, start, strict=False):
        if bool((its - begun).abs().max() <= came.tolerance):
            yield f"The {part} stays at {number(begun)}: it never takes a step."


def _str(values: Iterable[object]) -> list[str]:
    return [str(one) for one in values]


OWN = {"draws": about_draws, "alternation": about_steps}
