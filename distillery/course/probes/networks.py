"""What a network was asked, and what was made of its answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from distillery.course.call_case import ASKED, NETWORKS, CallCase
from distillery.course.case import Case
from distillery.course.observe import Observation
from distillery.course.probes.factors import scaled
from distillery.course.probes.mixes import Mix, arguments_of, made_of_inputs, solved, summed
from distillery.course.probes.places import reordered
from distillery.course.probes.quantities import has_networks
from distillery.course.probes.views import LOSS, PICTURES, View, listed
from distillery.models.parameterization import add_noise, v_from_eps, x0_from_eps

CLOSE = 1e-4
SURE = 1e-5  # relative, of a single number that one of many formulas gives
MEASURES: dict[str, Callable[[Tensor], Tensor]] = {
    "mean square": lambda gap: gap.square().mean(),
    "mean absolute value": lambda gap: gap.abs().mean(),
    "sum of squares": lambda gap: gap.square().sum(),
}


@dataclass(frozen=True)
class Question:
    """One latent that a network is asked about, under one condition.

    picture: "x0" or "x0_src" and its place in the batch; "" where it is none of them as noised.
    prompt:  the name of the condition, or "" where it is none of that place.
    """

    network: str
    picture: str
    place: int
    prompt: str
    t: int
    xt: Tensor
    answer: Tensor


@torch.no_grad()
def about_questions(case: Case, came: Observation) -> Iterator[str]:
    """A wrong xt, t or condition that a network was asked about."""
    if has_networks(case):
        asked = _all_questions(case, came)
        yield from _wrong_latents(case, asked)
        yield from _wrong_times(case, asked)
        yield from _wrong_prompts(case, asked)


def _all_questions(case: CallCase, came: Observation) -> list[Question]:
    return [one for network in NETWORKS for one in _questions(case, network, came.asked)]


def _noised(case: CallCase) -> dict[str, Tensor]:
    given = arguments_of(case)
    network = given["prior"] if "prior" in given else given["lora"]
    level = network.alpha_bar(given["t"])
    return {
        name: add_noise(case.tensors[name], case.tensors["eps"], level)
        for name in ("x0", "x0_src")
        if name in case.tensors
    }


def _questions(case: CallCase, network: str, asked: dict[str, Tensor]) -> list[Question]:
    if f"{network}/xt" not in asked:
        return []
    xt, t, tokens, answers = (asked[f"{network}/{n}"] for n in ASKED)
    pictures, batch = _noised(case), len(case.tensors["x0"])
    found = []
    for row in range(len(xt)):
        name, place = _picture(pictures, xt[row], row % batch)
        prompt = _prompt(case, tokens[row], place)
        found.append(Question(network, name, place, prompt, int(t[row]), xt[row], answers[row]))
    return found


def _picture(pictures: dict[str, Tensor], xt: Tensor, likely: int) -> tuple[str, int]:
    """Which picture this is, if it is noised as it should be."""
    for name, latents in pictures.items():
        for place in (likely, *range(len(latents))):
            right = latents[place]
            if xt.shape == right.shape and bool(
                (xt - right).abs().max() <= CLOSE * right.abs().max()
            ):
                return name, place
    return "", likely


def _prompt(case: CallCase, tokens: Tensor, place: int) -> str:
    given = arguments_of(case)
    for name in case.prompts:
        right = given[name].tokens[place].exp().float()
        if tokens.shape == right.shape and bool((tokens - right).abs().max() <= CLOSE):
            return name
    return ""


def _wrong_latents(case: CallCase, asked: Sequence[Question]) -> Iterator[str]:
    """How the xt that a network sees differs from x0 noised by eps to t."""
    batch, said = len(case.tensors["x0"]), set()
    pictures = _noised(case)
    for network in dict.fromkeys(one.network for one in asked):
        called = case.network_called(network)
        wrong = [one for one in asked if one.network == network and not one.picture]
        for start in range(0, len(wrong) - batch + 1, batch):
            some = wrong[start : start + batch]
            if [one.place for one in some] != list(range(batch)):
                continue
            seen = torch.stack([one.xt for one in some])
            sentence = _about_latents(case, network, pictures, seen)
            if network not in said:
                said.add(network)
                yield sentence
        if wrong and network not in said:
            yield f"The {called} is asked about latents that are not x0 noised by eps to t."


def _about_latents(case: CallCase, network: str, pictures: dict[str, Tensor], seen: Tensor) -> str:
    for name, right in pictures.items():
        label = (
            f"The xt {'of x0_src ' * (name != 'x0')}that the {case.network_called(network)} sees"
        )
        view = View(label, right, seen, PICTURES, CLOSE)
        probes = (
            made_of_inputs(case, view, predicted=False),
            scaled(case, view),
            reordered(view),
        )
        for probe in probes:
            for sentence in probe:
                return sentence
    return f"The xt that the {case.network_called(network)} sees is not x0 noised by eps to t."


def _wrong_times(case: CallCase, asked: Sequence[Question]) -> Iterator[str]:
    right = case.tensors["t"].tolist()
    for network in dict.fromkeys(one.network for one in asked):
        called = case.network_called(network)
        seen = [one for one in asked if one.network == network]
        if any(one.t != right[one.place] for one in seen):
            t = [str(one.t) for one in seen[: len(right)]]
            yield (
                f"The {called} is asked at t = {listed(t)}; "
                f"the pictures are at {listed([str(one) for one in right])}."
            )


def _wrong_prompts(case: CallCase, asked: Sequence[Question]) -> Iterator[str]:
    """Which pictures are asked about under which conditions, where they do not belong together."""
    pairs = {"text": "x0", "text_src": "x0_src"}
    for network in dict.fromkeys(one.network for one in asked):
        called = case.network_called(network)
        seen = [one for one in asked if one.network == network]
        if any(not one.prompt for one in seen):
            yield f"The {called} is asked under a condition that is not the picture's own."
            continue
        for prompt, picture in pairs.items():
            other = {one.picture for one in seen if one.prompt == prompt} - {picture, ""}
            if other:
                yield f"The {called} is asked about {listed(sorted(other))} under {prompt}."
        prompts = {one.prompt for one in seen}
        if network == "lora" and "text" in case.prompts and prompts != {"text"}:
            yield f"The {called} is asked under {listed(sorted(prompts))}."


def _answers(case: CallCase, asked: Sequence[Question]) -> dict[str, Tensor]:
    """The answers by name, such as eps_text, for all pictures of the batch; only whole ones."""
    batch = len(case.tensors["x0"])
    rows: dict[str, dict[int, Tensor]] = {}
    for one in asked:
        rows.setdefault(_called(one), {}).setdefault(one.place, one.answer)
    return {
        name: torch.stack([places[place] for place in range(batch)])
        for name, places in rows.items()
        if len(places) == batch
    }


def _called(one: Question) -> str:
    if one.network == "lora":
        return "eps_lora"
    src = one.picture == "x0_src"
    if src and one.prompt in ("uncond", "text_src"):
        return "eps_uncond_src" if one.prompt == "uncond" else "eps_text_src"
    other = src or one.prompt == "text_src"
    return f"eps_{one.prompt}" + f" of {one.picture or 'x0'}" * other


def _right_answers(case: CallCase) -> dict[str, Tensor]:
    given = arguments_of(case)
    t, found = given["t"], {}
    more = {"controls": given["controls"]} if "controls" in given else {}
    for picture, xt in _noised(case).items():
        src = picture == "x0_src"
        if "prior" in given:
            prompts = ("uncond", "text_src" if src else "text")
            conditions = [given[name] for name in prompts]
            for name, its in zip(
                prompts, given["prior"].predict_noise(xt, t, *conditions, **more), strict=True
            ):
                found[f"eps_{name.removesuffix('_src')}{'_src' * src}"] = its
        if "lora" in given and not src:
            (found["eps_lora"],) = given["lora"].predict_noise(xt, t, given["text"])
    return found


def formula(case: Case, view: View, came: Observation, *, named: bool) -> Iterator[str]:
    """What was made of the networks' answers, against what should be made of them.

    named: say only weights that have a name: of answers to wrong questions others mean nothing.
    """
    if not has_networks(case) or not view.pictures or not came.asked:
        return
    right, theirs = _right_answers(case), _answers(case, _all_questions(case, came))
    if any(its.shape != view.wanted.shape for its in (*right.values(), *theirs.values())):
        return
    should = _decomposed(case, view, right, view.wanted)
    if should is None:
        return
    extras = {name: its for name, its in _inputs(case).items() if name in should}
    known = {name: its for name, its in theirs.items() if name in right} | extras
    others = _other_inputs(case, view, right, theirs, came)
    yield from others
    named = named or bool(others)
    if should.keys() <= known.keys():
        made = summed(torch.stack([*should.values()]), [known[name] for name in should])
        if view.explains(made):
            yield "What is made of the answers is right."
            return
    own = {name: its for name, its in theirs.items() if name in right}
    does = _decomposed(case, view, own, view.came, first=extras)
    if does is not None:
        terms = {
            name: its for name, its in (right | _inputs(case)).items() if name in should | does
        }
        none = torch.zeros(view.pictures, dtype=torch.float64)
        both = [torch.stack([its.get(name, none) for name in terms]) for its in (should, does)]
        yield from Mix(case, view, terms, *both).compared(named=named)


def _other_inputs(
    case: CallCase,
    view: View,
    right: dict[str, Tensor],
    theirs: dict[str, Tensor],
    came: Observation,
) -> list[str]:
    """Said where the answers are wrong to questions whose xt, t and prompts are right."""
    both = right.keys() & theirs.keys()
    if all(view.same(right[name], theirs[name]) for name in both):
        return []
    if any(about_questions(case, came)):
        return []
    return [
        "The networks' answers are not the right ones, although xt, t and the prompts are: "
        "look at what else they are asked with."
    ]


def _decomposed(
    case: CallCase,
    view: View,
    answers: dict[str, Tensor],
    total: Tensor,
    first: Iterable[str] = (),
) -> dict[str, Tensor] | None:
    """The weights (B,) of these answers, and of at most one input, that give the total.

    first: the inputs that are tried before the others.
    """
    inputs = _inputs(case)
    for name in (*first, "", *inputs):
        more = {name: inputs[name]} if name else {}
        terms = answers | more
        weights = solved(list(terms.values()), total) if terms else None
        if weights is not None and view.same(summed(weights, list(terms.values())), total):
            return dict(zip(terms, weights, strict=True))
    return None


def _inputs(case: CallCase) -> dict[str, Tensor]:
    """What the answers may be mixed with."""
    x0 = case.tensors["x0"]
    found = {
        name: its
        for name, its in case.tensors.items()
        if its.shape == x0.shape and its.is_floating_point()
    }
    if "x0_src" in found:
        found["x0 - x0_src"] = found["x0"] - found["x0_src"]
    return found | {"xt": _noised(case)["x0"]}


def as_distance(case: Case, view: View, came: Observation) -> Iterator[str]:
    """Of a loss: the distance between a prediction and an input that it is the mean or sum of."""
    if not has_networks(case) or view.label != LOSS or "lora" not in case.arguments:
        return
    eps = _answers(case, _all_questions(case, came)).get("eps_lora")
    if any(about_questions(case, came)):
        return  # it is about other latents than these
    if eps is None or eps.shape != case.tensors["x0"].shape:
        return
    x0, noise, level = case.tensors["x0"], case.tensors["eps"], arguments_of(case)["lora"].alpha_bar
    level = level(case.tensors["t"])
    xt = add_noise(x0, noise, level)
    predicted = {
        "the predicted eps": eps,
        "the predicted v": v_from_eps(x0_from_eps(xt, eps, level), eps, level),
        "the predicted x0": x0_from_eps(xt, eps, level),
    }
    targets = {"eps": noise, "x0": x0, "xt": xt, "v": v_from_eps(x0, noise, level)}
    targets["v with x0 and eps swapped"] = v_from_eps(noise, x0, level)
    for what, (one, whose), (name, target) in product(MEASURES, predicted.items(), targets.items()):
        value = MEASURES[what](whose - target)
        if abs(float(view.came) - float(value)) <= SURE * abs(float(value)):
            yield f"The loss is the {what} of the distance between {one} and {name}."
            return
