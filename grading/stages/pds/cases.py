"""What stage 2 is checked on, and every step from t to t_prev that pds_loss may mean."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from distillery.course.call_case import CountingPrior
from distillery.course.case import Case
from distillery.course.kinds.gradient import GradientCase
from distillery.course.kinds.value import ValueCase
from distillery.course.observe import TOLERANCE, observe
from grading.stages.inputs.random_inputs import (
    KINDS,
    Draws,
    RandomInputs,
    of_kinds,
)
from grading.stages.inputs.small_pictures import (
    NAMES,
    asked,
    detailed,
    guidance_scale,
    levels,
    mixed,
    pictures,
    prompts,
)
from reference import pds

STRIDES = range(1, 21)  # t is at least 20
FAINT = 0.25  # of the contrast of pictures
MEMBERS = ["c0", "c1", "sigma"]
PULLS = "(it pulls towards the source)."
NO_PULL = "psi is zero, so nothing pulls towards the source; DDS weighted by chi(t)."


def _step(inputs: RandomInputs) -> dict[str, Tensor]:
    """Steps whose beta belongs to no jump between their levels."""
    alpha_bar = levels(inputs)
    if not inputs.drawn:
        alpha_bar_prev = torch.tensor([0.91, 0.55]).view(2, 1, 1, 1)
        beta = torch.tensor([0.04, 0.3]).view(2, 1, 1, 1)
    else:
        shares = torch.tensor(inputs.numbers([], (0.3, 0.45))).view_as(alpha_bar)
        alpha_bar_prev = alpha_bar + shares * (1 - alpha_bar)
        shares = torch.tensor(inputs.numbers([], (0.6, 0.85))).view_as(alpha_bar)
        beta = shares * (1 - alpha_bar / alpha_bar_prev)
    return {"alpha_bar": alpha_bar, "alpha_bar_prev": alpha_bar_prev, "beta": beta}


def posterior_coefficients(inputs: RandomInputs) -> Case:
    tensors = _step(inputs)
    return ValueCase(tuple(tensors), tensors, parts=tuple(MEMBERS))


def stochastic_latent(inputs: RandomInputs) -> Case:
    """The noise given is not quite the noise put in, as with a network."""
    x0, step = pictures(inputs, inputs.batch), _step(inputs)
    eps = inputs.noise(6, x0)
    tensors = {
        "xt": step["alpha_bar"].sqrt() * x0 + (1 - step["alpha_bar"]).sqrt() * eps,
        "xt_prev": step["alpha_bar_prev"].sqrt() * x0
        + (1 - step["alpha_bar_prev"]).sqrt() * inputs.noise(7, x0),
        "eps_hat": eps + 0.2 * inputs.noise(8, x0),
        "alpha_bar": step["alpha_bar"],
        "posterior": torch.stack(pds.posterior_coefficients(**step)),
    }
    return ValueCase(tuple(tensors), tensors, triples={"posterior": MEMBERS})


def _edit(inputs: RandomInputs) -> dict[str, Any]:
    """The sources show a little more of one picture, the edits already more of the other.

    Contrast is low and the prior is broad, so that neither prompt is certain; the noise is as
    faint, because z is a small difference and float32 rounds. The levels are low, where the pull
    towards the source is strong. A prompt means a picture either way up: if it meant one picture,
    the noise predicted would not depend on what is seen.
    """
    both, source = pictures(inputs), asked(inputs)
    wanted = [1 - i for i in source]
    x0_src = mixed(FAINT * both, source, inputs.numbers([0.8, 0.75], (0.72, 0.83)))
    x0 = mixed(FAINT * both, source, inputs.numbers([0.3, 0.3], (0.25, 0.35)))
    x0_src, x0 = detailed(inputs, 20, x0_src), detailed(inputs, 21, x0)
    t = inputs.wholes([120, 400], (90, 150), (350, 450))
    return {
        "tensors": {
            "x0": x0,
            "x0_src": x0_src,
            "t": torch.tensor(t),
            "eps": FAINT * inputs.noise(9, x0),
        },
        "values": {"guidance_scale": 2 * guidance_scale(inputs)},
        "prompts": {
            "text": prompts(wanted),
            "text_src": prompts(source),
            "uncond": [""] * len(x0),
        },
        "mixture": {
            "means": FAINT * torch.cat([both, both.flip(2)]),
            "std": 3 * FAINT,
            "names": {name: [i, i + 2] for i, name in enumerate(NAMES)},
        },
        "with_graph": ("x0", "x0_src"),
        "learns": "x0",
    }


ARGUMENTS = ("text", "text_src", "uncond", "guidance_scale")


def pds_loss(inputs: RandomInputs) -> Case:
    edit = _edit(inputs)
    edit["tensors"]["eps_prev"] = FAINT * inputs.noise(10, edit["tensors"]["eps"])
    arguments = ("prior", "x0", "x0_src", "t", "eps", "eps_prev", *ARGUMENTS)
    # z is a small difference of large numbers: of the right spellings one in 600 was off by 1.1e-4.
    return GradientCase(arguments, **edit, tolerance=4e-4 if inputs.drawn else TOLERANCE)


def dds_loss(inputs: RandomInputs) -> GradientCase:
    arguments = ("prior", "x0", "x0_src", "t", "eps", *ARGUMENTS)
    return GradientCase(arguments, **_edit(inputs))


def strides(case: GradientCase) -> tuple[list[str], Tensor, Tensor]:
    """Every self-consistent choice of t_prev and beta, and the gradient that it gives.

    All of them are sums psi (x0 - x0_src) + chi (eps_hat - eps_hat_src) with a psi and a chi of
    their own, as `identity_pull` says.

    Args:
        case: of `pds_loss`.

    Returns:
        what each is called, its weights (N, 2, B) and the two directions (2, B, C, h, w).
    """
    without = tuple(name for name in case.arguments if name != "eps_prev")
    tensors = {name: tensor for name, tensor in case.tensors.items() if name != "eps_prev"}
    difference = observe(pds.dds_loss, replace(case, arguments=without, tensors=tensors)).value
    assert difference is not None
    prior, t = CountingPrior(**case.mixture), tensors["t"]
    sentences, weights = [], []
    for stride in STRIDES:
        for jump in (False, True) if stride > 1 else (False,):
            beta = 1 - prior.alpha_bar(t) / prior.alpha_bar(t - (stride if jump else 1))
            sentences.append(_sentence(stride, jump=jump))
            weights.append(_weights(prior.alpha_bar(t), prior.alpha_bar(t - stride), beta))
    directions = torch.stack([tensors["x0"] - tensors["x0_src"], difference])
    return sentences, torch.stack(weights), directions


def _sentence(stride: int, *, jump: bool) -> str:
    if stride == 1:
        return f"t_prev = t - 1: {NO_PULL}"
    if jump:
        return f"t_prev = t - {stride} and the beta of that jump: {NO_PULL}"
    pulls = PULLS.replace("(", "(the published code's; ") if stride == 2 else PULLS
    return f"t_prev = t - {stride} and the beta of a single step {pulls}"


def _weights(alpha_bar: Tensor, alpha_bar_prev: Tensor, beta: Tensor) -> Tensor:
    """psi and chi, (2, B), in float64 because psi is a small difference."""
    alpha_bar, alpha_bar_prev, beta = alpha_bar.double(), alpha_bar_prev.double(), beta.double()
    c0, c1, sigma = pds.posterior_coefficients(alpha_bar, alpha_bar_prev, beta)
    psi = (alpha_bar_prev.sqrt() - c0 - c1 * alpha_bar.sqrt()) / sigma
    chi = c0 * ((1 - alpha_bar) / alpha_bar).sqrt() / sigma
    return torch.stack([psi, chi]).flatten(1).float()


CASES: dict[str, Draws] = {
    "pds.posterior_coefficients": of_kinds(posterior_coefficients, *KINDS),
    "pds.stochastic_latent": of_kinds(stochastic_latent, *KINDS),
    "pds.pds_loss": of_kinds(pds_loss, *KINDS),
    "pds.dds_loss": of_kinds(dds_loss, *KINDS),
}
ACCEPTED = {"pds.pds_loss": strides}
