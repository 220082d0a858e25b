"""What stage 2 is checked on."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from distillery.course.case import Case
from distillery.course.kinds.gradient import GradientCase
from distillery.course.kinds.value import ValueCase
from grading.stages.inputs.random_inputs import (
    EARLY,
    KINDS,
    LATE,
    SEVERAL,
    SINGLE,
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
from grading.stages.pds.steps import Steps
from reference import pds

FAINT = 0.25  # of the contrast of pictures
NOISE = 0.1
TOLERANCE_OF_Z = 4e-4
MEMBERS = ["c0", "c1", "sigma"]
UPSIDE_DOWN = "upside down"  # a negative prompt


def _step(inputs: RandomInputs) -> dict[str, Tensor]:
    """Steps whose beta belongs to no jump between their levels.

    Early steps remove little noise, so sigma is small; late ones nearly all.
    """
    alpha_bar = levels(inputs)
    if not inputs.drawn:
        alpha_bar_prev = torch.tensor([0.91, 0.55]).view(2, 1, 1, 1)
        beta = torch.tensor([0.04, 0.3]).view(2, 1, 1, 1)
        return {"alpha_bar": alpha_bar, "alpha_bar_prev": alpha_bar_prev, "beta": beta}
    removed: dict[str, tuple[float, float]] = {SINGLE: (0.9, 0.99), EARLY: (0.02, 0.1)}
    shares = torch.tensor(inputs.numbers([], inputs.of_kind(removed, (0.3, 0.45))))
    alpha_bar_prev = alpha_bar + shares.view_as(alpha_bar) * (1 - alpha_bar)
    if inputs.kind == SEVERAL:
        shares = torch.tensor(inputs.numbers([], (0.6, 0.85))).view_as(alpha_bar)
        beta = shares * (1 - alpha_bar / alpha_bar_prev)
    else:
        limits = {EARLY: ((0.001, 0.0014), (0.0016, 0.002)), LATE: ((0.9, 0.95), (0.95, 0.99))}
        bands = inputs.of_kind(limits, ((0.1, 0.9),))
        beta = torch.tensor(inputs.numbers([], *bands)).view_as(alpha_bar)
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

    Contrast is low and the prior is broad, so that neither prompt is certain; the noise is fainter
    still, because z is a small difference and float32 rounds. The ordinary levels are low, where
    the pull towards the source is strong. A prompt means a picture either way up: if it meant one
    picture, the noise predicted would not depend on what is seen. Drawn edits also show something
    that is in neither, so that both terms of the gradient differ. Of the late trial, the first edit
    is still its source, as at the start of a run, and there is a negative prompt.
    """
    both, source = pictures(inputs), asked(inputs)
    wanted = [1 - i for i in source]
    x0_src = mixed(FAINT * both, source, inputs.numbers([0.8, 0.75], (0.72, 0.83)))
    x0 = mixed(FAINT * both, source, inputs.numbers([0.3, 0.3], (0.25, 0.35)))
    x0_src, x0 = detailed(inputs, 20, x0_src), detailed(inputs, 21, x0)
    if inputs.drawn:
        x0 = x0 + 0.5 * FAINT * inputs.smooth(11, len(x0), inputs.channels)
    if inputs.kind == LATE:
        x0[0] = x0_src[0]
    return {
        "tensors": {
            "x0": x0,
            "x0_src": x0_src,
            "t": torch.tensor(_times(inputs)),
            "eps": NOISE * inputs.noise(9, x0),
        },
        "values": {"guidance_scale": _scale(inputs)},
        "prompts": {
            "text": prompts(wanted),
            "text_src": prompts(source),
            "uncond": [UPSIDE_DOWN if inputs.kind == LATE else ""] * len(x0),
        },
        "mixture": {
            "means": FAINT * torch.cat([both, both.flip(2)]),
            # Distances grow with the number of pixels.
            "std": inputs.of_kind(dict.fromkeys((SINGLE, EARLY, LATE), 1.5), 3) * FAINT,
            "names": {name: [i, i + 2] for i, name in enumerate(NAMES)} | {UPSIDE_DOWN: [2, 3]},
        },
        "with_graph": ("x0", "x0_src"),
        "learns": "x0",
    }


def _times(inputs: RandomInputs) -> list[int]:
    """t, in the late trial the larger one first: an answer that takes it for all goes upwards."""
    if inputs.kind == EARLY:
        return inputs.shuffled([20, inputs.whole(0, (21, 40))])
    if inputs.kind == LATE:
        return [inputs.whole(0, (980, 999)), inputs.whole(0, (900, 950))]
    if inputs.kind == SINGLE:
        return [inputs.whole(0, (200, 900))]
    return inputs.wholes([120, 400], (60, 200), (300, 600))


def _scale(inputs: RandomInputs) -> float:
    """0 where there is some noise: with almost none, no prompt makes a difference."""
    scale = guidance_scale(inputs)
    return {SEVERAL: 2 * scale, SINGLE: 0.0, EARLY: 1.0}.get(inputs.kind, scale)


ARGUMENTS = ("text", "text_src", "uncond", "guidance_scale")


def pds_loss(inputs: RandomInputs) -> Case:
    edit = _edit(inputs)
    edit["tensors"]["eps_prev"] = NOISE * inputs.noise(10, edit["tensors"]["eps"])
    arguments = ("prior", "x0", "x0_src", "t", "eps", "eps_prev", *ARGUMENTS)
    # z is a small difference of large numbers, smallest where t_prev = t - 1.
    return GradientCase(arguments, **edit, tolerance=TOLERANCE_OF_Z)


def dds_loss(inputs: RandomInputs) -> GradientCase:
    arguments = ("prior", "x0", "x0_src", "t", "eps", *ARGUMENTS)
    return GradientCase(arguments, **_edit(inputs))


CASES: dict[str, Draws] = {
    "pds.posterior_coefficients": of_kinds(posterior_coefficients, *KINDS),
    "pds.stochastic_latent": of_kinds(stochastic_latent, *KINDS),
    "pds.pds_loss": of_kinds(pds_loss, *KINDS),
    "pds.dds_loss": of_kinds(dds_loss, *KINDS),
}
OPEN = {"pds.pds_loss": Steps}
