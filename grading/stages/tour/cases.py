"""What stage 0 is checked on."""

from __future__ import annotations

import torch
from torch import Tensor

from distillery.course.case import Case
from distillery.course.kinds.value import ValueCase
from grading.stages.inputs.random_inputs import (
    EARLY,
    KINDS,
    LATE,
    SEVERAL,
    SINGLE,
    THREE,
    Draws,
    RandomInputs,
    of_kinds,
    of_words,
)
from grading.stages.inputs.small_pictures import GUIDANCE_SCALE, levels, pictures

GUIDANCE = {
    SEVERAL: "",
    SINGLE: KINDS[SINGLE],
    EARLY: "without guidance",
    THREE: "with weak guidance",
    LATE: "with strong guidance",
}


def latents(inputs: RandomInputs) -> Tensor:
    """Clean latents (B, C, h, w); those that are not the ordinary ones leave [-1, 1]."""
    return (1.0 if inputs.kind == SEVERAL else 3.0) * pictures(inputs, inputs.batch)


def share_of_signal(inputs: RandomInputs) -> Tensor:
    """alpha_bar, (B, 1, 1, 1); early and late as near to 1 and 0 as 0.0001."""
    if inputs.kind not in (EARLY, LATE):
        return levels(inputs)
    powers = inputs.numbers([], (2.0, 2.5), (3.5, 4.0))
    nearly_none = torch.tensor([10.0**-power for power in powers]).view(-1, 1, 1, 1)
    return 1 - nearly_none if inputs.kind == EARLY else nearly_none


def add_noise(inputs: RandomInputs) -> Case:
    x0 = latents(inputs)
    tensors = {"x0": x0, "eps": inputs.noise(1, x0), "alpha_bar": share_of_signal(inputs)}
    return ValueCase(tuple(tensors), tensors)


def predict_x0(inputs: RandomInputs) -> Case:
    """The noise given is not quite the noise put in, as with a network."""
    x0, alpha_bar = latents(inputs), share_of_signal(inputs)
    eps = inputs.noise(2, x0)
    xt = alpha_bar.sqrt() * x0 + (1 - alpha_bar).sqrt() * eps
    tensors = {"xt": xt, "eps": eps + 0.2 * inputs.noise(3, x0), "alpha_bar": alpha_bar}
    return ValueCase(tuple(tensors), tensors)


def classifier_free_guidance(inputs: RandomInputs) -> Case:
    """The two branches differ by a picture."""
    difference = pictures(inputs, inputs.batch)
    uncond = inputs.noise(4, difference)
    tensors = {"eps_uncond": uncond, "eps_text": uncond - 0.4 * difference}
    exact = {LATE: 100.0, EARLY: 0.0, SINGLE: 1.0}
    bands = {THREE: (0.1, 0.9)}
    drawn = inputs.number(GUIDANCE_SCALE, inputs.of_kind(bands, (5.0, 11.0)))
    return ValueCase(
        (*tensors, "guidance_scale"),
        tensors,
        values={"guidance_scale": exact.get(inputs.kind, drawn)},
    )


CASES: dict[str, Draws] = {
    "tour.add_noise": of_kinds(add_noise, *KINDS),
    "tour.predict_x0": of_kinds(predict_x0, *KINDS),
    "tour.classifier_free_guidance": of_words(classifier_free_guidance, GUIDANCE),
}
