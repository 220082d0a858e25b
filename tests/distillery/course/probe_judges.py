"""What the forms of the probes' sentences claim, computed anew: a function for each claim."""

from __future__ import annotations

import re
from collections.abc import Callable
from math import isclose, sqrt
from typing import Any

import torch
from torch import Tensor

from distillery.course.case import Case
from distillery.course.observe import Observation
from distillery.models.parameterization import add_noise, v_from_eps, x0_from_eps

NUMBER = r"-?[\d.]+(?:e[-+]?\d+)?"
WITHIN = 6e-3  # relative; three digits are printed
ASKED = 1e-4  # of latents that a network is asked about; more is another question
SIZES = {
    "the number of all numbers": lambda x: x.numel(),
    "the number of numbers in a picture": lambda x: x[0].numel(),
    "the number of pixels of a picture": lambda x: x[0, 0].numel(),
    "the root of the number of pixels": lambda x: sqrt(x[0, 0].numel()),
}


class Seen:
    """The two results and the inputs, and the parts of them that sentences speak of."""

    def __init__(self, case: Case, wanted: Observation, came: Observation) -> None:
        self.case, self.wanted, self.came = case, wanted, came

    def pair(self, label: str) -> tuple[Tensor, Tensor]:
        """The right and the wrong tensor that a sentence calls so."""
        right, wrong = self.wanted.value, self.came.value
        if label.startswith("The xt"):
            name = "x0_src" if "x0_src" in label else "x0"
            network = "lora" if "lora" in label else "prior"
            rows, right = self.came.asked[f"{network}/xt"], self.noised(name)
            chunks = [c for c in rows.split(len(right)) if len(c) == len(right)]
            known = [self.noised(n) for n in ("x0", "x0_src") if n in self.case.tensors]
            wrong = next(c for c in chunks if not any(near(c, k, ASKED) for k in known))
            return right, wrong
        if label == "The loss":
            return self.wanted.loss, self.came.loss
        if self.case.kind == "passage":
            half = len(right) // 2
            if label == "The value":
                part, depth = slice(half), self.wanted.facts["shape"][1]
            else:
                part, depth = slice(half, None), self.case.tensors[self.case.arguments[0]].shape[1]
            return right[part, :depth], wrong[part, :depth]
        if self.case.parts:
            place = self.case.parts.index(label)
            return right[place], wrong[place]
        return right, wrong

    def noised(self, name: str = "x0") -> Tensor:
        tensors = self.case.tensors
        return add_noise(tensors[name], tensors["eps"], self.level())

    def level(self) -> Tensor:
        return self.case.alphas_cumprod[self.case.tensors["t"]].view(-1, 1, 1, 1)

    def term(self, name: str) -> Tensor:
        """An input, or what the networks answered or should have answered."""
        tensors = self.case.tensors
        if name in tensors:
            return tensors[name]
        if name == "xt":
            return self.noised()
        if name == "x0 - x0_src":
            return tensors["x0"] - tensors["x0_src"]
        given = self.case.fresh()
        more = {"controls": given["controls"]} if "controls" in given else {}
        if name == "eps_lora":
            return given["lora"].predict_noise(self.noised(), given["t"], given["text"])[0]
        src = name.endswith("_src")
        prompt = name.removeprefix("eps_")
        prompt = "uncond" if prompt.startswith("uncond") else prompt
        xt = self.noised("x0_src" if src else "x0")
        return given["prior"].predict_noise(xt, given["t"], given[prompt], **more)[0]

    def said(self, formula: str) -> Tensor:
        """The value of a name such as "1 / sqrt(1 - alpha_bar)", for each picture."""
        tensors = self.case.tensors
        pictures = next((x for x in tensors.values() if x.dim() == 4 and x[0].numel() > 1), None)
        for words, size in SIZES.items():
            if words in formula:
                formula = formula.replace(words, repr(float(size(pictures))))
        for name in re.findall(r"the length of (\w+)", formula):
            length = float(tensors[name].norm())
            formula = formula.replace(f"the length of {name}", repr(length))
        formula = re.sub(r"(?<=[\w)]) (?=[\w(])", " * ", formula)
        known: dict[str, Any] = {"sqrt": lambda x: torch.as_tensor(x, dtype=torch.float64).sqrt()}
        known |= {n: x.flatten().double() for n, x in tensors.items()}
        known |= {"guidance_scale": self.case.values.get("guidance_scale")}
        if "palette" in tensors:
            known["K"] = len(tensors["palette"])
        if "t" in tensors:
            known["alpha_bar"] = self.level().flatten().double()
        if "posterior" in tensors:
            members = zip(("c0", "c1", "sigma"), tensors["posterior"], strict=True)
            known |= {name: its.flatten().double() for name, its in members}
        return torch.as_tensor(eval(formula, {}, known), dtype=torch.float64)


def near(one: Tensor, other: Tensor, within: float = 2e-3) -> bool:
    """Equal within a part of the largest number, that of zeros included."""
    largest = max(float(one.abs().max()), float(other.abs().max()))
    return one.shape == other.shape and bool((one - other).abs().max() <= within * largest)


def listed(text: str) -> list[float]:
    return [float(one) for one in re.findall(NUMBER, text)]


def each(values: Tensor, like: Tensor) -> Tensor:
    """A number or one for each picture, in the shape of a tensor."""
    flat = values.flatten()
    return flat.view(-1, *[1] * (like.dim() - 1)).float() if len(flat) > 1 else flat[0].float()


def times(seen: Seen, label: str, factor: str, name: str | None) -> bool:
    right, wrong = seen.pair(label)
    named = name is None or near(wrong, each(seen.said(name), right) * right)
    return named and near(wrong, float(factor) * right, WITHIN)


def factor_of_pictures(seen: Seen, label: str, name: str) -> bool:
    right, wrong = seen.pair(label)
    return near(wrong, each(seen.said(name), right) * right)


def factor_of_each(seen: Seen, label: str, what: str, _numbers: str, _hint: str) -> bool:
    """Along the rest of the axes the two point the same way or the opposite way."""
    right, wrong = seen.pair(label)
    axis = {"picture": 0, "prompt": 0, "row": 0 if right.dim() == 2 else 2, "channel": 1}.get(what)
    if what == "pixel":
        rows = [x.movedim(1, -1).flatten(0, -2).double() for x in (right, wrong)]
    else:
        rows = [x.movedim(axis, 0).flatten(1).double() for x in (right, wrong)]
    product = (rows[0] * rows[1]).sum(dim=1).abs()
    return torch.allclose(product, rows[0].norm(dim=1) * rows[1].norm(dim=1), rtol=1e-4, atol=1e-9)


def weights(seen: Seen, names: list[str], total: Tensor, answers: bool = True) -> Tensor:
    """The weights (N, B) of some terms in a total; an error if they do not give it."""
    own = theirs_of(seen) if answers else {}
    terms = [own.get(name, None) if name in own else seen.term(name) for name in names]
    columns = torch.stack(terms, dim=-1).flatten(1, -2).double()
    found = torch.linalg.lstsq(columns, total.flatten(1)[..., None].double()).solution
    assert near((columns @ found)[..., 0], total.flatten(1).double()), names
    return found[..., 0].T


def theirs_of(seen: Seen) -> dict[str, Tensor]:
    """The networks' own answers, where the right question was not asked."""
    from distillery.course.probes import networks

    if not seen.came.asked:
        return {}
    asked = networks._all_questions(seen.case, seen.came)
    return networks._answers(seen.case, asked)


def sum_of(seen: Seen, label: str, names: str, clauses: str) -> bool:
    terms = re.split(r", | and ", names)
    right, wrong = seen.pair(label)
    return weighed(seen, label, terms, clauses, right, wrong)


def weighed(
    seen: Seen, label: str, terms: list[str], clauses: str, right: Tensor, wrong: Tensor
) -> bool:
    should = dict(zip(terms, weights(seen, terms, right, answers=False), strict=True))
    does = dict(zip(terms, weights(seen, terms, wrong), strict=True))
    largest = torch.stack(list(should.values())).abs().max(dim=0).values
    verdicts = []
    for clause in clauses.split("; "):
        its, _, said = re.fullmatch(r"(.+?) (has|have|is|are) (.+)", clause).groups()
        for name in re.split(r", | and ", its):
            gap = 3e-3 * largest
            own, asked = does[name], should[name]
            if said == "missing":
                part = own.abs() * seen.term(name).flatten(1).double().norm(dim=1)
                little = part <= 3e-3 * wrong.flatten(1).double().norm(dim=1)
                verdicts.append(bool((little | (own.abs() <= gap)).all()))
                continue
            if said == "the right weight":
                ok = (own - asked).abs() <= gap
            elif said == "the other sign":
                ok = (own + asked).abs() <= gap
            elif said.startswith(("the weight of ", "minus the weight of ")):
                sign = -1 if said.startswith("minus") else 1
                ok = (own - sign * should[said.split("weight of ")[1]]).abs() <= gap
            elif said.startswith("the right weight times "):
                ratio = said.removeprefix("the right weight times ")
                plain = re.fullmatch(rf"{NUMBER}(( and|,) {NUMBER})*", ratio)
                factor = torch.tensor(listed(ratio)).double() if plain else seen.said(ratio)
                ok = (own - factor * asked).abs() <= WITHIN * (own.abs() + largest * 0.1)
            elif said.startswith("a weight ("):
                ok = asked.abs() <= gap
            else:
                ok = (own - seen.said(said.removeprefix("the weight "))).abs() <= gap
            verdicts.append(bool(ok.all()))
    return all(verdicts) and bool(verdicts)


def clauses_alone(seen: Seen, label: str, clauses: str) -> bool:
    """The rest of a sum that a sentence before this one names, or all inputs that fit."""
    right, wrong = seen.pair(label)
    for terms in sums(seen, label):
        try:
            if weighed(seen, label, terms, clauses, right, wrong):
                return True
        except (AssertionError, KeyError, AttributeError):
            continue
    return False


def sums(seen: Seen, label: str) -> list[list[str]]:
    tensors = seen.case.tensors
    inputs = [n for n, x in tensors.items() if x.shape == seen.wanted.value.shape]
    if label.startswith("The xt") or "prior" not in seen.case.arguments:
        return [inputs]
    asked = ["eps_uncond", "eps_text"]
    asked += ["eps_uncond_src", "eps_text_src"] if "x0_src" in tensors else []
    asked += ["eps_lora"] if "lora" in seen.case.arguments else []
    more = [*inputs, "xt"] + (["x0 - x0_src"] if "x0_src" in tensors else [])
    if not label.startswith("The gradient") or "x0_src" not in tensors:
        inputs = [n for n in inputs if n != "x0_src"]
    return [asked, *([*asked, name] for name in more), *([*asked, a, "x0 - x0_src"] for a in more)]


def only_right(seen: Seen, label: str, how: str, axis: str, places: str, of: str) -> bool:
    right, wrong = seen.pair(label)
    number = axis_of(seen, label, axis)
    gap = (wrong - right).abs().movedim(number, 0).flatten(1).max(dim=1).values
    bad = gap > seen.came.tolerance * right.abs().max()
    named = [int(one) - 1 for one in re.findall(r"\d+", places)]
    should = torch.zeros(len(bad), dtype=torch.bool)
    should[named] = True
    return len(bad) == int(of) and torch.equal(bad if how == "wrong only" else ~bad, should)


def right_for_one(seen: Seen, label: str, good: str, t: str, bad: str, other: str) -> bool:
    right, wrong = seen.pair(label)
    is_near = [near(wrong[i], right[i]) for i in range(len(right))]
    t_of = seen.case.tensors["t"].tolist()
    return (
        is_near[int(good) - 1]
        and not is_near[int(bad) - 1]
        and (t_of[int(good) - 1], t_of[int(bad) - 1]) == (int(t), int(other))
    )


def all_but(seen: Seen, label: str, count: str, of: str) -> bool:
    right, wrong = seen.pair(label)
    bad = ((wrong - right).abs() > seen.came.tolerance * right.abs().max()).any(dim=1)
    return (int(bad.sum()), bad.numel()) == (int(count), int(of))


def all_but_numbers(seen: Seen, label: str, count: str, of: str) -> bool:
    right, wrong = seen.pair(label)
    bad = (wrong - right).abs() > seen.came.tolerance * right.abs().max()
    return (int(bad.sum()), bad.numel()) == (int(count), int(of))


def rule(seen: Seen, label: str, what: str, value: str, axis: str, has: str) -> bool:
    right, wrong = seen.pair(label)
    number = {"colour": 1, "channel": 1, "picture": 0, "row": -2, "column": -1}[axis]
    measure = torch.Tensor.sum if what == "sum" else torch.Tensor.norm
    ours, theirs = measure(right, dim=number), measure(wrong, dim=number)
    is_rule = bool((ours - float(value)).abs().max() < 1e-2)
    ends = listed(has)
    return (
        is_rule
        and isclose(float(theirs.min()), ends[0], rel_tol=1e-2, abs_tol=1e-2)
        and isclose(float(theirs.max()), ends[-1], rel_tol=1e-2, abs_tol=1e-2)
    )


def runs(seen: Seen, label: str, a: str, b: str, c: str, d: str) -> bool:
    right, wrong = seen.pair(label)
    ends = [wrong.min(), wrong.max(), right.min(), right.max()]
    return all(
        isclose(float(x), float(y), rel_tol=WITHIN, abs_tol=1e-6)
        for x, y in zip(ends, (a, b, c, d), strict=True)
    )


def directed(seen: Seen, label: str, way: str, cosines: str) -> bool:
    right, wrong = seen.pair(label)
    each_one = "each picture" in cosines
    pairs = [*zip(right.flatten(1), wrong.flatten(1), strict=True)]
    pairs = pairs if each_one else [(right.flatten(), wrong.flatten())]
    own = [float(torch.cosine_similarity(a.double(), b.double(), dim=0)) for a, b in pairs]
    means = {
        "points almost the way it should": lambda c: c > 0.99,
        "points away from where it should": lambda c: c < -0.5,
        "has nothing to do with what is wanted": lambda c: abs(c) < 0.1,
        "points only partly the way it should": lambda c: True,
    }
    said = listed(cosines)
    close = all(any(isclose(c, s, abs_tol=6e-3) for s in said) or len(own) > 4 for c in own)
    return close and all(means[way](c) for c in own)


FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "square": torch.square,
    "square root": torch.sqrt,
    "sign": torch.sign,
    "absolute value": torch.abs,
    "tanh": torch.tanh,
    "1 divided by": torch.reciprocal,
}


def function_of(seen: Seen, label: str, factor: str | None, what: str) -> bool:
    right, wrong = seen.pair(label)
    made = FUNCTIONS[what](right)
    if factor is None:
        return near(wrong, made)
    return all(
        abs(float(torch.cosine_similarity(a.flatten().double(), b.flatten().double(), dim=0)))
        > 1 - 1e-6
        for a, b in (zip(wrong, made, strict=True) if "each" in factor else [(wrong, made)])
    )


def affine(seen: Seen, label: str, slope: str, sign: str, start: str) -> bool:
    right, wrong = seen.pair(label)
    offset = float(start) * (1 if sign == "plus" else -1)
    return near(wrong, float(slope) * right + offset, 2 * WITHIN)


def added(seen: Seen, label: str, name: str, weight: str) -> bool:
    right, wrong = seen.pair(label)
    plain = re.fullmatch(rf"{NUMBER}( and {NUMBER})*", weight)
    values = torch.tensor(listed(weight)) if plain else seen.said(weight)
    term = seen.term(name)
    return near(wrong - right, each(values, term) * term, WITHIN)


def alone(seen: Seen, label: str, weight: str, name: str) -> bool:
    return near(seen.pair(label)[1], each(seen.said(weight), seen.term(name)) * seen.term(name))


def winners(seen: Seen, label: str, count: str, of: str) -> bool:
    right, wrong = seen.pair(label)
    same = right.argmax(dim=1) == wrong.argmax(dim=1)
    return (int(same.sum()), same.numel()) == (int(count), int(of))


def reordered(seen: Seen, label: str, axis: str, order: str) -> bool:
    right, wrong = seen.pair(label)
    number = {"picture": 0, "channel": 1, "row": right.dim() - 2, "column": right.dim() - 1}[axis]
    if right.shape[number] > 6:  # too many to list
        rows = [sorted(x.movedim(number, 0).flatten(1).tolist()) for x in (right, wrong)]
        return near(*(torch.tensor(one) for one in rows))
    places = [int(one) - 1 for one in re.findall(r"\d+", order)]
    index = places or [*range(right.shape[number])][::-1]
    return near(wrong, right.index_select(number, torch.tensor(index)))


def frequencies(seen: Seen, label: str, of: str, more: str, fewer: str) -> bool:
    held = [
        (torch.fft.fft2(x.double()).abs() > 1e-3 * torch.fft.fft2(x.double()).abs().max())
        .flatten(0, 1)
        .any(dim=0)
        for x in seen.pair(label)
    ]
    found = held[0].numel(), int((held[1] & ~held[0]).sum()), int((held[0] & ~held[1]).sum())
    return found == (int(of), int(more), int(fewer))


def right_parts(seen: Seen, names: str) -> bool:
    return all(near(*seen.pair(name), seen.came.tolerance) for name in re.split(", | and ", names))


def asked_at(seen: Seen, network: str, t: str, right: str) -> bool:
    own = seen.came.asked[f"{network}/t"].long().tolist()
    return own[: len(listed(t))] == listed(t) and seen.case.tensors["t"].tolist() == listed(right)


def asked_under(seen: Seen, network: str, pictures: str, prompt: str) -> bool:
    tokens = seen.case.fresh()[prompt].tokens.exp()
    rows = zip(*(seen.came.asked[f"{network}/{n}"] for n in ("xt", "tokens")), strict=True)
    batch = len(tokens)
    return any(
        near(xt, seen.noised(pictures)[i % batch]) and near(its, tokens[i % batch].float())
        for i, (xt, its) in enumerate(rows)
    )


def lora_under(seen: Seen, prompts: str) -> bool:
    given = seen.case.fresh()
    right = [given[name].tokens.exp().float() for name in re.split(" and ", prompts)]
    return all(
        any(near(row, one[i % len(one)]) for one in right)
        for i, row in enumerate(seen.came.asked["lora/tokens"])
    )


def distance(seen: Seen, what: str, one: str, other: str) -> bool:
    x0, eps, level, xt = *(seen.case.tensors[n] for n in ("x0", "eps")), seen.level(), seen.noised()
    predicted = seen.term("eps_lora")
    x0_hat = x0_from_eps(xt, predicted, level)
    whose = {"eps": predicted, "v": v_from_eps(x0_hat, predicted, level), "x0": x0_hat}
    targets = {"eps": eps, "x0": x0, "xt": xt, "v": v_from_eps(x0, eps, level)}
    targets["v with x0 and eps swapped"] = v_from_eps(eps, x0, level)
    gap = whose[one] - targets[other]
    value = {
        "mean square": gap.square().mean(),
        "mean absolute value": gap.abs().mean(),
        "sum of squares": gap.square().sum(),
    }[what]
    return near(value[None], seen.came.loss[None], 1e-4)


def lengths(seen: Seen, text: str) -> bool:
    own, asked = seen.came.facts["shape"], seen.wanted.facts["shape"]
    said = re.findall(r"xis (\d) is (\d+) long, not (\d+)", text)
    differing = [axis for axis in range(len(own)) if own[axis] != asked[axis]]
    return differing == [int(a) for a, _, _ in said] and all(
        (own[int(a)], asked[int(a)]) == (int(n), int(m)) for a, n, m in said
    )


def other_answers(seen: Seen) -> bool:
    own = theirs_of(seen)
    return not all(near(its, seen.term(name), 1e-4) for name, its in own.items())


def all_own(seen: Seen, network: str) -> bool:
    """Whether every latent is asked about under one of the conditions of its own picture."""
    given = seen.case.fresh()
    right = [given[name].tokens.exp().float() for name in seen.case.prompts]
    pictures = [seen.noised(name) for name in ("x0", "x0_src") if name in seen.case.tensors]
    for i, (xt, own) in enumerate(
        zip(*(seen.came.asked[f"{network}/{n}"] for n in ("xt", "tokens")), strict=True)
    ):
        batch = len(pictures[0])
        places = [p for its in pictures for p in range(batch) if near(xt, its[p])] or [i % batch]
        if not any(near(own, its[p]) for its in right for p in places):
            return False
    return True


def axis_of(seen: Seen, label: str, name: str) -> int:
    last = seen.pair(label)[0].dim() - 1
    first = {"picture": 0, "frame": 0, "prompt": 0, "channel": 1, "colour": 1}
    return (first | {"row": last - 1, "column": last})[name]


def plus_number(seen: Seen, label: str, name: str | None, said: str) -> bool:
    right, wrong = seen.pair(label)
    gap = wrong - right
    rows = gap.movedim(axis_of(seen, label, name), 0).flatten(1) if name else gap.flatten()[None]
    means = rows.mean(dim=1)
    ends = listed(said)
    return near(rows, means[:, None].expand_as(rows), 1e-2) and (
        isclose(float(means.min()), min(ends), rel_tol=WITHIN, abs_tol=1e-5)
        and isclose(float(means.max()), max(ends), rel_tol=WITHIN, abs_tol=1e-5)
    )


def kept_rows(seen: Seen, rows: str, name: str) -> bool:
    places, given = [int(r) - 1 for r in re.findall(r"\d+", rows)], seen.case.tensors[name]
    right, wrong = seen.pair("Yours")
    return torch.equal(right[places], given[places]) and not bool(
        (wrong[places] == given[places]).all(dim=1).any()
    )
