"""What the wrong numbers are made of: the arguments, and what the networks predict of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import torch
from torch import Tensor

from distillery.course.call_case import CallCase
from distillery.course.case import Case
from distillery.course.probes.factors import fitted
from distillery.course.probes.quantities import constant_named, each_named, has_networks
from distillery.course.probes.views import LONGEST, NEGLIGIBLE, View, listed, number, numbers
from distillery.models.parameterization import add_noise

INDEPENDENT = 2e-4  # smallest singular value of ingredients of length 1
ALIKE = 1e-3  # relative, of weights
MOST_TERMS = 3
MISSING = "no weight"


def made_of_inputs(case: Case, view: View, *, predicted: bool = True) -> Iterator[str]:
    """One input alone, the right inputs with other weights, or the right numbers and one input.

    predicted: count the noise that networks predict among the inputs.
    """
    if not view.pictures or view.numbers_each < 3:
        return
    plain = pictures_in(case, view.wanted.shape)
    offered = plain | (predicted_in(case, view.wanted.shape) if predicted else {})
    told = list(_one_alone(case, view, offered))
    told = told or list(_other_weights(case, view, offered, named=len(offered) > len(plain)))
    yield from told or _one_added(case, view, offered)


def pictures_in(case: Case, shape: torch.Size) -> dict[str, Tensor]:
    return {
        name: tensor
        for name, tensor in case.tensors.items()
        if tensor.shape == shape and tensor.is_floating_point()
    }


def arguments_of(case: CallCase) -> dict[str, Any]:
    """The arguments of a call by name; those with a graph can only be made where graphs are."""
    with torch.enable_grad():
        return case.fresh()


@torch.no_grad()
def predicted_in(case: Case, shape: torch.Size) -> dict[str, Tensor]:
    """The noise that the networks predict in x0 noised to t by eps."""
    if not has_networks(case):
        return {}
    given = arguments_of(case)
    t, eps = given["t"], given["eps"]
    found: dict[str, Tensor] = {}
    if "prior" in given:
        more = {"controls": given["controls"]} if "controls" in given else {}
        xt = add_noise(given["x0"], eps, given["prior"].alpha_bar(t))
        pair = given["prior"].predict_noise(xt, t, given["uncond"], given["text"], **more)
        found |= dict(zip(("eps_uncond", "eps_text"), pair, strict=True))
    if "lora" in given:
        xt = add_noise(given["x0"], eps, given["lora"].alpha_bar(t))
        (found["eps_lora"],) = given["lora"].predict_noise(xt, t, given["text"])
    return {name: its for name, its in found.items() if its.shape == shape}


def _one_alone(case: Case, view: View, offered: dict[str, Tensor]) -> Iterator[str]:
    for name, tensor in offered.items():
        if view.explains(tensor):
            yield f"{view.label} is {name} itself."
            return
        factor = fitted(view, (), tensor)
        if factor is not None:
            named = constant_named(case, view, float(factor))
            yield f"{view.label} is {named or number(factor)} times {name} and nothing else."
            return
        each = fitted(view, (0,), tensor)
        if view.pictures > 1 and each is not None:
            times = each_named(case, each.flatten()) or numbers(each)
            yield f"{view.label} is {name} and nothing else, times {times}."
            return


def _one_added(case: Case, view: View, offered: dict[str, Tensor]) -> Iterator[str]:
    gap = view.came - view.wanted
    for name, tensor in offered.items():
        weights = solved([tensor], gap)
        if weights is None or not view.explains(view.wanted + summed(weights, [tensor])):
            continue
        times = _weight(case, view, weights[0]) or numbers(weights[0])
        yield f"{view.label} is what is wanted plus {name}, times {times}."
        return


def _other_weights(
    case: Case, view: View, offered: dict[str, Tensor], *, named: bool
) -> Iterator[str]:
    """Both as sums of the same two or three inputs, whose weights are compared one by one.

    named: say only weights that have a name. What networks predict depends on all inputs, so that
    weights without a name may be chance.
    """
    for count in range(2, MOST_TERMS + 1):
        for names in combinations(offered, count):
            terms = [offered[name] for name in names]
            right, wrong = solved(terms, view.wanted), solved(terms, view.came)
            if right is None or wrong is None:
                continue
            if view.same(summed(right, terms), view.wanted) and view.explains(summed(wrong, terms)):
                mix = Mix(case, view, dict(zip(names, terms, strict=True)), right, wrong)
                yield from mix.compared(named=named)
                return


@dataclass(frozen=True)
class Mix:
    """The weights (N, B) of the same inputs in the right numbers and in the wrong ones.

    terms: name -> the input (B, C, h, w).
    """

    case: Case
    view: View
    terms: dict[str, Tensor]
    right: Tensor
    wrong: Tensor

    def none(self, weights: Tensor, i: int) -> bool:
        """Whether these weights of an input add next to nothing to either result."""
        return bool((weights.abs() <= self._little[i]).all())

    def equal(self, one: Tensor, other: Tensor, i: int) -> bool:
        near = torch.maximum(ALIKE * other.abs(), self._little[i])
        return bool(((one - other).abs() <= near).all())

    @property
    def _little(self) -> Tensor:
        totals = [its.flatten(1).double().norm(dim=1) for its in (self.view.wanted, self.view.came)]
        lengths = torch.stack([its.flatten(1).double().norm(dim=1) for its in self.terms.values()])
        return ALIKE * torch.minimum(*totals) / lengths

    def compared(self, *, named: bool = False) -> Iterator[str]:
        """Which of the inputs have the right weights, and what is true of the others.

        named: say only weights that have a name.
        """
        good: list[str] = []
        told: dict[str, list[str]] = {}
        for i, name in enumerate(self.terms):
            if self.equal(self.wrong[i], self.right[i], i):
                if not self.none(self.right[i], i):
                    good.append(name)
                continue
            words = self._about_weight(i, named=named)
            if not words:
                return
            told.setdefault(words, []).append(name)
        if told:
            used = {*good, *(name for its in told.values() for name in its)}
            names = [name for name in self.terms if name in used]
            yield from _in_lines(self.view, names, good, told)

    def _about_weight(self, i: int, *, named: bool) -> str:
        """What is true of the weights of one input, or "" if nothing that means something."""
        own, right = self.wrong[i], self.right[i]
        if self.none(own, i) or bool((own.abs() <= ALIKE * right.abs()).all()):
            return MISSING
        if self.equal(own, -right, i):
            return "the other sign"
        for j, name in enumerate(self.terms):
            for sign, its in ((1, "the weight of"), (-1, "minus the weight of")):
                other = sign * self.right[j]
                if j != i and not self.none(other, j) and self.equal(own, other, i):
                    return f"{its} {name}"
        weight = _weight(self.case, self.view, own)
        if weight:
            return f"the weight {weight}"
        if self.none(right, i):
            return "" if named else f"a weight ({numbers(own)}) and should have none"
        if bool((right.abs() <= self._little[i]).any()):  # nothing is so many times 0
            return ""
        ratio = own / right
        times = _weight(self.case, self.view, ratio)
        if not times and _steady(ratio):
            times = number(ratio.mean())
        if not times and not named:
            times = numbers(ratio)
        return f"the right weight times {times}" if times else ""


def _in_lines(
    view: View, names: Sequence[str], good: Sequence[str], told: dict[str, list[str]]
) -> Iterator[str]:
    """One sentence if all of it is short enough, otherwise several."""
    clauses = [f"{listed(good)} {_have(good)} the right weight"] if good else []
    for words, its in told.items():
        verb = "is missing" if len(its) == 1 else "are missing"
        clauses.append(f"{listed(its)} {verb if words == MISSING else f'{_have(its)} {words}'}")
    line = f"{view.label} is a sum of {listed(names)}: {clauses[0]}"
    if len(line) > LONGEST - 1:
        line = f"{view.label}: {clauses[0]}"
    for clause in clauses[1:]:
        if len(line) + len(clause) + 3 > LONGEST:
            yield f"{line}."
            line = f"{view.label}: {clause}"
        else:
            line = f"{line}; {clause}"
    yield f"{line}."


def _have(names: Sequence[str]) -> str:
    return "has" if len(names) == 1 else "have"


def _weight(case: Case, view: View, weights: Tensor) -> str:
    """The name of weights (B,), or the number if it is a plain one, or ""."""
    if not _steady(weights):
        return each_named(case, weights)
    mean = float(weights.mean())
    if abs(mean - round(mean)) <= ALIKE * abs(mean) and abs(mean) < 10:
        return str(round(mean))
    return constant_named(case, view, mean)


def _steady(weights: Tensor) -> bool:
    spread = (weights - weights.mean()).abs().max()
    return bool(spread <= ALIKE * weights.abs().max())


def solved(terms: list[Tensor], total: Tensor) -> Tensor | None:
    """The weights (N, B) of the N terms in the total, or None where terms depend on each other."""
    columns = torch.stack(terms, dim=-1).flatten(1, -2).double()
    lengths = columns.norm(dim=1, keepdim=True)
    if columns.shape[1] < 3 * len(terms) or bool((lengths < NEGLIGIBLE).any()):
        return None
    if bool((torch.linalg.svdvals(columns / lengths)[:, -1] < INDEPENDENT).any()):
        return None
    solved = torch.linalg.lstsq(columns / lengths, total.flatten(1)[..., None].double()).solution
    return (solved[..., 0] / lengths[:, 0]).T


def summed(weights: Tensor, terms: list[Tensor]) -> Tensor:
    return torch.einsum("nb,nb...->b...", weights, torch.stack(terms).double()).float()
