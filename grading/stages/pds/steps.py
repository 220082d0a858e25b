"""Every step from t to t_prev that pds_loss may mean, and what an answer does at all of them.

z - z_src = psi A + chi B with weights psi and chi of the step and two directions A and B, which
for a right answer are x0 - x0_src and eps_hat - eps_hat_src (see `reference.pds.identity_pull`).
Most mistakes change the directions, and are found by running them at a few steps. The others
change the weights; they are run at every step, on a batch that has one picture for each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor
from torch.nn.functional import pad

from distillery.course.choices import AcceptedSteps, WeightedSums
from distillery.course.kinds.gradient import GradientCase
from distillery.models.exact import GaussianMixturePrior
from grading.stages.known_answers import Answer
from reference import pds

Sums = TypeVar("Sums", bound=WeightedSums)
MOST_DIRECTIONS = 5
EXACT = 1e-5  # relative; what rounding leaves of a sum that fits is smaller


class Step(NamedTuple):
    """From t down to t_prev(t), with the beta of that jump or of the single step from t - 1."""

    t_prev: Callable[[Tensor], Tensor]
    jump: bool = False

    def beta(self, prior: Any, t: Tensor) -> Tensor:
        before = self.t_prev(t) if self.jump else t - 1
        return 1 - prior.alpha_bar(t) / prior.alpha_bar(before)


class OfPicture(NamedTuple):
    """The part of `WeightedSums` that is of one picture; the directions are (D, C, h, w)."""

    weights: Tensor
    directions: Tensor
    usual: int


PUBLISHED = Step(lambda t: t - 2)
# That tell the two directions apart.
SOME = (
    PUBLISHED,
    Step(lambda t: t - 1),
    Step(lambda t: t - 7),
    Step(lambda t: t // 2),
    Step(lambda t: t // 2, jump=True),
    Step(lambda t: t - 5, jump=True),
)


class Steps:
    """All steps of the pictures of one case.

    accepted: the right values, for every step of every picture.
    """

    def __init__(self, case: GradientCase) -> None:
        self._case = case
        levels = GaussianMixturePrior(**case.mixture).alphas_cumprod
        weights = tuple(_weights(levels, t) for t in case.tensors["t"].tolist())
        arguments = tuple(name for name in case.arguments if name != "eps_prev")
        tensors = {name: tensor for name, tensor in case.tensors.items() if name != "eps_prev"}
        dds = _gradient(pds.dds_loss, replace(case, arguments=arguments, tensors=tensors))
        directions = torch.stack([tensors["x0"] - tensors["x0_src"], dds])
        usual = tuple(_row(PUBLISHED, case.tensors["t"]).tolist())
        self._right = AcceptedSteps(weights, directions, usual)
        self.accepted = _rounded(self._right)

    def sums_of(self, answer: Answer, *, ordinary: bool) -> WeightedSums | None:
        """What a mistake does at every step; None where that is the same, or no sum is found.

        Args:
            ordinary: of the ordinary trial. Weights of its own are many numbers, and are found for
                that one alone.
        """
        if answer.choosing is None:
            return None
        first, *some = (_gradient(answer.choosing(step), self._case) for step in (SOME[0], *SOME))
        if not torch.equal(first, some[0]):  # a result of chance, or not a number
            return None
        if all(torch.equal(value, first) for value in some):
            return None
        sums = self._in_other_directions(some)
        if sums is None and ordinary:
            sums = self._with_other_weights(answer)
        return None if sums is None else _rounded(sums)

    def _in_other_directions(self, some: Sequence[Tensor]) -> WeightedSums | None:
        """With the right weights, or those of another picture where one t is used for all."""
        found = [
            self._directions(place, torch.stack([value[place] for value in some]))
            for place in range(len(some[0]))
        ]
        return _joined(found)

    def _directions(self, place: int, values: Tensor) -> OfPicture | None:
        """Of one picture, from its values at SOME."""
        times = self._case.tensors["t"]
        for other in sorted(range(len(times)), key=lambda i: i != place):
            rows = torch.stack([_row(step, times[other]) for step in SOME])
            weights = self._right.weights[other]
            found = _solved(weights[rows], values, self._right.directions[:, place])
            if found is not None:
                return OfPicture(weights, found, int(rows[0]))
        return None

    def _with_other_weights(self, answer: Answer) -> WeightedSums | None:
        """With weights of its own at every step, in the right directions or others."""
        return _joined([self._few(answer, place) for place in range(len(self._right.weights))])

    def _few(self, answer: Answer, place: int) -> OfPicture | None:
        values = self._at_every_step(answer, place)
        usable = values.isfinite().flatten(1).all(dim=1)
        usual = self._right.usual[place]
        found = _few_directions(values[usable], self._right.directions[:, place])
        if found is None or not usable[usual]:
            return None
        return OfPicture(*found, int(usable[:usual].sum()))

    def _at_every_step(self, answer: Answer, place: int) -> Tensor:
        """The gradients (2t, C, h, w) of one picture, in the order of `AcceptedSteps`."""
        assert answer.choosing is not None
        case, t = self._case, int(self._case.tensors["t"][place])
        many = replace(
            case,
            tensors={
                name: its[place].expand(t, *its.shape[1:]) for name, its in case.tensors.items()
            },
            prompts={name: [its[place]] * t for name, its in case.prompts.items()},
        )
        every = torch.arange(t)
        both = (Step(lambda t: every), Step(lambda t: every, jump=True))
        values = [_gradient(answer.choosing(step), many) for step in both]
        return torch.stack(values, dim=1).flatten(0, 1)


def _row(step: Step, t: Tensor) -> Tensor:
    """Of the weights in `AcceptedSteps`."""
    return 2 * step.t_prev(t) + step.jump


def _weights(levels: Tensor, t: int) -> Tensor:
    """psi and chi (2t, 2), in the order of `AcceptedSteps`; float64, as psi is a small difference.

    Args:
        levels: alpha_bar of all t, as answers get them.
    """
    levels = levels.double()
    alpha_bar, alpha_bar_prev = levels[t], levels[:t].repeat_interleave(2)
    beta = 1 - alpha_bar / alpha_bar_prev
    beta[::2] = 1 - alpha_bar / levels[t - 1]
    c0, c1, sigma = pds.posterior_coefficients(alpha_bar, alpha_bar_prev, beta)
    psi = (alpha_bar_prev.sqrt() - c0 - c1 * alpha_bar.sqrt()) / sigma
    chi = c0 * ((1 - alpha_bar) / alpha_bar).sqrt() / sigma
    return torch.stack([psi, chi], dim=1)


def _solved(weights: Tensor, values: Tensor, right: Tensor) -> Tensor | None:
    """The directions (D, C, h, w) whose sums with these weights (S, D) are the values (S, C, h, w).

    The right ones are kept where they are what is found, up to rounding.
    """
    if not values.isfinite().all():
        return None
    largest = values.abs().flatten(1).amax(dim=1, keepdim=True).clamp(min=1e-9)
    scaled, wanted = weights / largest, values.flatten(1) / largest  # each counts as much
    found = torch.linalg.lstsq(scaled, wanted).solution
    if (scaled @ found - wanted).abs().max() > EXACT:
        return None
    pairs = zip(found.unflatten(1, values.shape[1:]), right, strict=True)
    return torch.stack([ours if _near(its, ours) else its for its, ours in pairs])


def _near(one: Tensor, other: Tensor) -> bool:
    return bool((one - other).abs().max() <= EXACT * other.abs().max())


def _few_directions(values: Tensor, right: Tensor) -> tuple[Tensor, Tensor] | None:
    """Weights (N, D) and directions (D, C, h, w) whose sums are the values (N, C, h, w).

    The right directions are among them, or only others if these are fewer.
    """
    flat = values.flatten(1)
    largest = flat.abs().amax(dim=1, keepdim=True)
    wanted = flat / largest.clamp(min=1e-6 * float(largest.max()))
    bases = [_completed(basis, wanted) for basis in (right.flatten(1), flat[:0])]
    basis = min(bases, key=len)
    if len(basis) > MOST_DIRECTIONS or _misfit(wanted, basis).abs().max() > EXACT:
        return None
    weights = torch.linalg.lstsq(basis.T, flat.T).solution.T
    return weights, basis.unflatten(1, values.shape[1:])


def _completed(basis: Tensor, wanted: Tensor) -> Tensor:
    """A basis (D, P) with what else is needed for these rows (N, P), of which it looks at some."""
    _, sizes, others = torch.linalg.svd(_misfit(wanted[:: len(wanted) // 50 + 1], basis))
    return torch.cat([basis, others[: len(sizes)][sizes > EXACT]])


def _misfit(wanted: Tensor, basis: Tensor) -> Tensor:
    """What is left of rows (N, P) without their parts along the rows (D, P) of a basis."""
    return wanted - torch.linalg.lstsq(basis.T, wanted.T).solution.T @ basis


def _joined(found: Sequence[OfPicture | None]) -> WeightedSums | None:
    """Of all pictures, with zeros for directions that some have not."""
    known = [its for its in found if its is not None]
    if len(known) < len(found):
        return None
    most = max(len(its.directions) for its in known)
    weights = tuple(pad(its.weights, (0, most - len(its.directions))) for its in known)
    directions = [
        pad(its.directions, (0, 0) * 3 + (0, most - len(its.directions))) for its in known
    ]
    usual = tuple(its.usual for its in known)
    return WeightedSums(weights, torch.stack(directions, dim=1), usual)


def _rounded(sums: Sums) -> Sums:
    """In float32, as data/checks holds them."""
    weights = tuple(its.float() for its in sums.weights)
    return replace(sums, weights=weights, directions=sums.directions.float())


def _gradient(function: Callable[..., Tensor], case: GradientCase) -> Tensor:
    """Of a loss, for x0; float64 (B, C, h, w), so that rounding hides nothing."""
    tensors = {
        name: its.double() if its.is_floating_point() else its for name, its in case.tensors.items()
    }
    arguments = replace(case, tensors=tensors).fresh()
    arguments["prior"].alphas_cumprod = arguments["prior"].alphas_cumprod.double()
    loss = function(*arguments.values())
    if not loss.requires_grad:
        return torch.zeros_like(tensors["x0"])
    return torch.autograd.grad(loss, arguments["x0"])[0]
