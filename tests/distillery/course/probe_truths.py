"""Whether a sentence of the probes is true, computed anew from the numbers in it.

Every form of sentence has a judge here. A sentence without one raises LookupError.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from math import isclose
from typing import Any

import torch

from distillery.course.case import Case
from distillery.course.observe import Observation
from tests.distillery.course.probe_judges import (
    ASKED,
    NUMBER,
    WITHIN,
    Seen,
    added,
    affine,
    all_but,
    all_but_numbers,
    all_own,
    alone,
    asked_at,
    asked_under,
    axis_of,
    clauses_alone,
    directed,
    distance,
    each,
    factor_of_each,
    factor_of_pictures,
    frequencies,
    function_of,
    kept_rows,
    lengths,
    listed,
    lora_under,
    near,
    only_right,
    other_answers,
    plus_number,
    reordered,
    right_for_one,
    right_parts,
    rule,
    runs,
    sum_of,
    times,
    winners,
)


def is_true(sentence: str, case: Case, wanted: Observation, came: Observation) -> bool:
    """Raises:
    LookupError: no judge knows a sentence of this form.
    """
    sentence = sentence.replace("he denoiser ", "he lora ")  # as a task may call it
    for form, judge in JUDGES:
        match = re.fullmatch(form, sentence)
        if match:
            return bool(judge(Seen(case, wanted, came), *match.groups()))
    raise LookupError(sentence)


def ends_off(seen: Seen, end: str, gap: str, way: str, steps: str) -> bool:
    right, wrong = ends_of(seen, end)
    by = int(gap) * (1 if way == "large" else -1)
    named = wrong_steps(steps, right)
    return all(wrong[s] - right[s] == (by if s in named else 0) for s in right)


def ends_wrong(seen: Seen, end: str, steps: str, low: str, high: str) -> bool:
    right, wrong = ends_of(seen, end)
    gaps = [wrong[s] - right[s] for s in wrong_steps(steps, right)]
    return (min(gaps), max(gaps)) == (int(low), int(high)) and 0 not in gaps


def wrong_steps(text: str, right: dict[int, int]) -> list[int]:
    said = text.split(" (right")[0]
    return [*right] if said == "at every step" else [int(s) for s in re.findall(r"\d+", said)]


def ends_of(seen: Seen, end: str) -> tuple[dict[int, int], dict[int, int]]:
    found = []
    for one in (seen.wanted, seen.came):
        facts, values = one.facts, seen.case.values
        at = {0: facts["range"], values["steps"] - 1: facts["range_at_the_end"]}
        at |= dict(zip(values.get("between", []), facts.get("ranges_between", []), strict=True))
        found.append({step: ends[end == "largest"] for step, ends in at.items()})
    return found[0], found[1]


def upper_half(seen: Seen) -> float:
    step = seen.case.values["between"][1] if "between" in seen.case.values else 0
    middle = sum(ends_of(seen, end)[0][step] for end in ("smallest", "largest")) / 2
    return float((seen.came.samples > middle).float().mean())


def half_ends(seen: Seen, low: str, high: str) -> bool:
    t = seen.came.samples
    usual = float(((t > int(low)) & (t < int(high))).sum()) / (int(high) - int(low) - 1)
    return all(0.35 < float((t == int(end)).sum()) / usual < 0.65 for end in (low, high))


def comes(seen: Seen, t: str, often: str) -> bool:
    low, high = ends_of(seen, "smallest")[0], ends_of(seen, "largest")[0]
    step = seen.case.values["between"][1] if "between" in seen.case.values else 0
    expected = len(seen.came.samples) / (high[step] - low[step] + 1)
    return isclose(
        float((seen.came.samples == int(t)).sum()) / expected, float(often), rel_tol=0.01
    )


def steps_wrong(seen: Seen, wrong: str, good: str | None) -> bool:
    bad = (seen.came.value - seen.wanted.value).abs() > 1e-4 * seen.wanted.value.abs().max()
    said = dict(re.findall(r"the (.+?) from step (\d+) on", wrong))
    first = {
        p: int(b.int().argmax()) + 1 for p, b in zip(seen.case.parts, bad, strict=True) if b.any()
    }
    return {p: int(s) for p, s in said.items()} == first


L = r"(Yours|The \w+|The xt (?:of x0_src )?that the \w+ sees|c0|c1|sigma)"
JUDGES: list[tuple[str, Callable[..., Any]]] = [
    (r"The numbers are right\.", lambda s: s.came.near(s.wanted)),
    (
        r"The other numbers are right\.",
        lambda s: near(s.came.value, s.wanted.value) and not s.came.facts["finite"],
    ),
    (
        r"It is only index (\d+) of what is wanted along axis (\d+)\.",
        lambda s, i, axis: near(
            s.came.value.squeeze(), s.wanted.value.select(int(axis), int(i)).squeeze()
        ),
    ),
    (r"(c0|c1|sigma|c. and \w+|The value|The gradient|The loss) (?:is|are) right\.", right_parts),
    (
        rf"{L} is ({NUMBER}) everywhere\.",
        lambda s, la, n: bool(((s.pair(la)[1] - float(n)).abs() <= WITHIN * abs(float(n))).all()),
    ),
    (
        rf"{L} has (picture|frame|channel|row|column) (\d+) of what is wanted for every \w+\.",
        lambda s, la, a, n: near(
            s.pair(la)[1],
            s.pair(la)[0].narrow(axis_of(s, la, a), int(n) - 1, 1).expand_as(s.pair(la)[0]),
        ),
    ),
    (
        rf"{L} is the same for every (\w+), where it should differ\.",
        lambda s, la, a: near(
            s.pair(la)[1], s.pair(la)[1].narrow(axis_of(s, la, a), 0, 1).expand_as(s.pair(la)[1])
        ),
    ),
    (rf"{L} is what is wanted plus a number(?: for each (\w+))?: (.+)\.", plus_number),
    (rf"{L} is zero everywhere\.", lambda s, la: not s.pair(la)[1].any()),
    (rf"{L} is ({NUMBER}) times what is wanted(?:, which is (.+))?\.", times),
    (rf"{L} is what is wanted with the other sign\.", lambda s, la: times(s, la, "-1", None)),
    (rf"{L} is ({NUMBER}) times what is wanted, (plus|minus) ({NUMBER}): .+", affine),
    (
        rf"{L} is right up to a factor for each picture, and the factor is (.+)\.",
        factor_of_pictures,
    ),
    (rf"{L} is right up to a factor for each (\w+): (.+?)\.( So look.*)?", factor_of_each),
    (rf"{L} is what (c0|c1|sigma) should be\.", lambda s, a, b: near(s.pair(a)[1], s.pair(b)[0])),
    (rf"{L} is a sum of (.+?): (.+)\.", sum_of),
    (rf"{L} is what is wanted plus (\w+), times (.+)\.", added),
    (rf"{L} is (\w+) itself\.", lambda s, la, n: near(s.pair(la)[1], s.term(n))),
    (rf"{L} is (.+) times (\w+) and nothing else\.", alone),
    (
        rf"{L} is(, up to a factor(?: for each picture)?,)? (?:the )?(square|square root|sign|"
        r"absolute value|tanh|1 divided by) (?:of )?what is wanted(?:, number by number)?\.",
        function_of,
    ),
    (
        rf"{L} is right, but cut off(?: below ({NUMBER}))?(?: and)?(?: above ({NUMBER}))?\.",
        lambda s, la, a, b: near(
            s.pair(la)[1], s.pair(la)[0].clamp(float(a or "-inf"), float(b or "inf"))
        ),
    ),
    (
        r"(c0|c1|sigma|The loss) is (.+) times what it should be\.",
        lambda s, la, n: near(
            s.pair(la)[1], each(torch.tensor(listed(n)), s.pair(la)[0]) * s.pair(la)[0], WITHIN
        ),
    ),
    (r"(c0|c1|sigma) is (.+)\.", lambda s, la, n: near(s.pair(la)[1].flatten(), s.said(n).float())),
    (rf"{L}: of (\d+) frequencies (\d+) act that should not, and (\d+) are missing.+", frequencies),
    (
        rf"{L} has the right (\d+) frequencies, but not their strengths\.",
        lambda s, la, n: frequencies(s, la, str(s.pair(la)[0][0, 0].numel()), "0", "0"),
    ),
    (rf"{L}: (.+)\.", clauses_alone),
    (
        rf"{L} is right for picture (\d+) \(t = (\d+)\), wrong for picture (\d+) \(t = (\d+)\)\.",
        right_for_one,
    ),
    (rf"{L} is (right only|wrong only|right) for (\w+?)s? ([\d, and]+) of (\d+)\.", only_right),
    (rf"{L} is right in all but (\d+) of (\d+) pixels\.", all_but),
    (rf"{L} is right in all but (\d+) of (\d+) numbers\.", all_but_numbers),
    (
        rf"{L} should have the (sum|length) ({NUMBER}) over the (\w+)s at every place; it has (.+)"
        r"\.",
        rule,
    ),
    (
        rf"{L} should hold only 0 and 1; it runs from ({NUMBER}) to ({NUMBER})\.",
        lambda s, la, a, b: runs(s, la, a, b, "0", "1"),
    ),
    (rf"{L} runs from ({NUMBER}) to ({NUMBER}); wanted is from ({NUMBER}) to ({NUMBER})\.", runs),
    (rf"{L} (points .+|has nothing .+) \(cosine (.+?)\) and is .+ times as large\.", directed),
    (rf"{L} has the largest number at the right colour in (\d+) of (\d+) pixels\.", winners),
    (rf"{L} has the right (\w+)s, but in (?:another|reverse) order(.*)\.", reordered),
    (r"(Rows? .+) should stay as in (\w+)\.", kept_rows),
    (
        r"Every row of yours is one of the rows of (\w+)\.",
        lambda s, n: all((s.case.tensors[n] == r).all(dim=1).any() for r in s.came.value),
    ),
    (
        r"The xt that the (prior|lora) sees is not x0 noised by eps to t\.",
        lambda s, n: not near(s.came.asked[f"{n}/xt"][: len(s.noised())], s.noised(), ASKED),
    ),
    (
        r"The (prior|lora) is asked about latents that are not x0 noised by eps to t\.",
        lambda s, n: not near(s.came.asked[f"{n}/xt"][: len(s.noised())], s.noised(), ASKED),
    ),
    (r"The (prior|lora) is asked at t = (.+); the pictures are at (.+)\.", asked_at),
    (r"The (prior|lora) is asked about (x0|x0_src) under (\w+)\.", asked_under),
    (
        r"The (prior|lora) is asked under a condition that is not the picture's own\.",
        lambda s, n: not all_own(s, n),
    ),
    (r"The lora is asked under (.+)\.", lora_under),
    (r"What is made of the answers is right\.", lambda s: bool(s.came.asked)),
    (r"The networks' answers are not the right ones, .+", other_answers),
    (r"The loss is the (.+) of the distance between the predicted (\w+) and (.+)\.", distance),
    (r"The (smallest|largest) t is (\d+) too (large|small) (at .+)\.", ends_off),
    (r"The (smallest|largest) t is wrong (at .+), by ([+-]\d+) to ([+-]\d+)\.", ends_wrong),
    (
        rf"The values of t are not whole numbers: the first is ({NUMBER})\.",
        lambda s, n: bool((s.came.samples != s.came.samples.round()).any()),
    ),
    (
        r"(\d+)% of t lie in the upper half of the range\.",
        lambda s, n: isclose(upper_half(s), float(n) / 100, abs_tol=6e-3),
    ),
    (r"Both ends, (\d+) and (\d+), come half as often as the others\.", half_ends),
    (rf"t = (\d+) comes ({NUMBER}) times as often as it should\.", comes),
    (r"Wrong for (.+?)(?:, right for (.+))?\.", steps_wrong),
    (
        rf"The (\w+) stays at ({NUMBER}): it never takes a step\.",
        lambda s, p, n: near(
            s.came.value[s.case.parts.index(p)], torch.full((s.case.values["steps"],), float(n))
        ),
    ),
    (
        r"A single number is left of all of them\.",
        lambda s: s.came.facts["shape"] == [] != s.wanted.facts["shape"],
    ),
    (
        r"A single number is wanted, and (\d+) are left\.",
        lambda s, n: torch.Size(s.came.facts["shape"]).numel() == int(n),
    ),
    (
        r"There is a number for each picture; .+",
        lambda s: s.came.facts["shape"] == [len(next(iter(s.case.tensors.values())))],
    ),
    (r"(Axis \d is \d+ long, not \d+.*)\.", lengths),
    (
        r"Axis (\d), which should be (\d+) long, is lost\.",
        lambda s, a, n: (
            s.came.facts["shape"]
            == [*s.wanted.facts["shape"][: int(a)], *s.wanted.facts["shape"][int(a) + 1 :]]
        ),
    ),
    (
        r"It has (\d) ax[ei]s, where (\d) are wanted\.",
        lambda s, n, m: (
            (len(s.came.facts["shape"]), len(s.wanted.facts["shape"])) == (int(n), int(m))
        ),
    ),
    (
        r"It holds the right numbers with the axes in another order: (.+)\.",
        lambda s, o: near(
            s.came.value, s.wanted.value.permute([int(d) for d in re.findall(r"\d", o)])
        ),
    ),
    (
        r"It holds the right numbers; only axes of length 1 are too many or missing\.",
        lambda s: near(s.came.value.squeeze(), s.wanted.value.squeeze()),
    ),
    (
        r"Only axes of length 1 are too many or missing\.",
        lambda s: (
            [n for n in s.came.facts["shape"] if n > 1]
            == [n for n in s.wanted.facts["shape"] if n > 1]
        ),
    ),
    (
        r"The axes have the right lengths in another order\.",
        lambda s: sorted(s.came.facts["shape"]) == sorted(s.wanted.facts["shape"]),
    ),
]
