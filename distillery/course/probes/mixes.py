"""What the wrong numbers are made of: the arguments, and what the networks predict of them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any

import torch
from torch import Tensor

from distillery.course.call_case import CallCase
from distillery.course.case import Case
from distillery.course.probes.factors import fitted
from distillery.course.probes.quantities import constant_named, each_named
from distillery.course.probes.views import NEGLIGIBLE, View, listed, number, numbers
from distillery.models.parameterization import add_noise

INDEPENDENT = 1e-2  # smallest singular value of ingredients of length 1


def ingredients(case: Case, shape: torch.Size) -> dict[str, Tensor]:
    """The arguments of that shape, and the noise that the networks predict in x0 noised to t."""
    found = {
        name: tensor
        for name, tensor in case.tensors.items()
        if tensor.shape == shape and tensor.is_floating_point()
    }
    if isinstance(case, CallCase) and {"x0", "eps", "t"} <= found.keys() | case.tensors.keys():
        found |= {name: its for name, its in _predicted(case).items() if its.shape == shape}
    return found


@torch.no_grad()
def _predicted(case: CallCase) -> dict[str, Tensor]:
    given: dict[str, Any] = case.fresh()
    t, eps, found = given["t"], given["eps"], {}
    more = {"controls": given["controls"]} if "controls" in given else {}
    for name, prompt in (("x0", "text"), ("x0_src", "text_src")):
        if name not in given or "prior" not in given:
            continue
        xt = add_noise(given[name], eps, given["prior"].alpha_bar(t))
        pair = given["prior"].predict_noise(xt, t, given["uncond"], given[prompt], **more)
        ending = name.removeprefix("x0")
        found |= dict(zip((f"eps_uncond{ending}", f"eps_text{ending}"), pair, strict=True))
    if "lora" in given:
        xt = add_noise(given["x0"], eps, given["lora"].alpha_bar(t))
        (found["eps_lora"],) = given["lora"].predict_noise(xt, t, given["text"])
    return found


def made_of_inputs(case: Case, view: View) -> Iterator[str]:
    """One of the inputs alone, the right numbers and one input, or the right inputs in a wrong mix."""
    if not view.pictures:
        return
    offered = ingredients(case, view.wanted.shape)
    yield from _one_alone(case, view, offered)
    yield from _one_added(case, view, offered)
    yield from _other_mix(case, view, offered)


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
            yield (
                f"{view.label} is {name} and nothing else, times "
                f"{each_named(case, each.flatten()) or numbers(each)}."
            )
            return


def _one_added(case: Case, view: View, offered: dict[str, Tensor]) -> Iterator[str]:
    gap = view.came - view.wanted
    for name, tensor in offered.items():
        weights = _solved([tensor], gap)
        if weights is None or not view.explains(view.wanted + _summed(weights, [tensor])):
            continue
        yield (
            f"{view.label} is what is wanted plus {name}, times {_weights(case, view, weights[0])}."
        )
        return


def _other_mix(case: Case, view: View, offered: dict[str, Tensor]) -> Iterator[str]:
    """Both as sums of the same two or three inputs, whose weights are compared one by one."""
    for count in (2, 3):
        for names in combinations(offered, count):
            terms = [offered[name] for name in names]
            right, wrong = _solved(terms, view.wanted), _solved(terms, view.came)
            if right is None or wrong is None:
                continue
            known = view.same(_summed(right, terms), view.wanted)
            if known and view.explains(_summed(wrong, terms)):
                sentence = _compared(case, view, names, right, wrong)
                if sentence:
                    yield sentence
                    return


def _compared(
    case: Case, view: View, names: tuple[str, ...], right: Tensor, wrong: Tensor
) -> str:
    """Which inputs have the right weights, and what the weights of the others are times."""
    largest = right.abs().max(dim=0).values
    good, bad = [], []
    for name, one, other in zip(names, right, wrong, strict=True):
        if bool(((one - other).abs() <= 1e-3 * largest).all()):
            good.append(name)
        elif bool((other.abs() <= 1e-4 * largest).all()):
            bad.append(f"{name} is missing")
        elif bool((one.abs() <= 1e-4 * largest).all()):
            bad.append(f"{name} does not belong to it")
        else:
            ratio = other / one
            told = _told(case, view, ratio)
            if not told:
                return ""
            bad.append(f"{name} has {told}")
    if not bad:
        return ""
    start = f"{view.label} is a sum of {listed(names)}"
    rest = f"; {listed(good)} {'has' if len(good) == 1 else 'have'} the right weight" if good else ""
    return f"{start}{rest}; {listed(bad)}."


def _told(case: Case, view: View, ratio: Tensor) -> str:
    if bool((ratio + 1).abs().max() < 1e-3):
        return "the other sign"
    if bool((ratio - ratio.mean()).abs().max() <= 1e-3 * ratio.abs().max()):
        name = constant_named(case, view, float(ratio.mean()))
        return f"{number(ratio.mean())} times its weight{f', which is {name}' if name else ''}"
    name = each_named(case, ratio)
    return f"its weight times {name}" if name else ""


def _weights(case: Case, view: View, weights: Tensor) -> str:
    if bool((weights - weights.mean()).abs().max() <= 1e-3 * weights.abs().max()):
        return constant_named(case, view, float(weights.mean())) or number(weights.mean())
    return each_named(case, weights) or numbers(weights)


def _solved(terms: list[Tensor], total: Tensor) -> Tensor | None:
    """The weights (N, B) of the N terms in the total, or None where terms depend on each other."""
    columns = torch.stack(terms, dim=-1).flatten(1, -2).double()
    lengths = columns.norm(dim=1, keepdim=True)
    if bool((lengths < NEGLIGIBLE).any()):
        return None
    if bool((torch.linalg.svdvals(columns / lengths)[:, -1] < INDEPENDENT).any()):
        return None
    solved = torch.linalg.lstsq(columns / lengths, total.flatten(1)[..., None].double()).solution
    return (solved[..., 0] / lengths[:, 0]).T


def _summed(weights: Tensor, terms: list[Tensor]) -> Tensor:
    return torch.einsum("nb,nb...->b...", weights, torch.stack(terms).double()).float()
