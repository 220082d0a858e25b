"""What stage 0 is checked on."""

from __future__ import annotations

from distillery.course.case import Case
from distillery.course.kinds.value import ValueCase
from grading.stages.inputs.random_inputs import (
    KINDS,
    Draws,
    RandomInputs,
    of_kinds,
)
from grading.stages.inputs.small_pictures import guidance_scale, levels, pictures


def add_noise(inputs: RandomInputs) -> Case:
    x0 = pictures(inputs, inputs.batch)
    tensors = {"x0": x0, "eps": inputs.noise(1, x0), "alpha_bar": levels(inputs)}
    return ValueCase(tuple(tensors), tensors)


def predict_x0(inputs: RandomInputs) -> Case:
    """The noise given is not quite the noise put in, as with a network."""
    x0, alpha_bar = pictures(inputs, inputs.batch), levels(inputs)
    eps = inputs.noise(2, x0)
    xt = alpha_bar.sqrt() * x0 + (1 - alpha_bar).sqrt() * eps
    tensors = {"xt": xt, "eps": eps + 0.2 * inputs.noise(3, x0), "alpha_bar": alpha_bar}
    return ValueCase(tuple(tensors), tensors)


def classifier_free_guidance(inputs: RandomInputs) -> Case:
    """The two branches differ by a picture."""
    difference = pictures(inputs, inputs.batch)
    uncond = inputs.noise(4, difference)
    tensors = {"eps_uncond": uncond, "eps_text": uncond - 0.4 * difference}
    return ValueCase(
        (*tensors, "guidance_scale"),
        tensors,
        values={"guidance_scale": guidance_scale(inputs)},
    )


CASES: dict[str, Draws] = {
    "tour.add_noise": of_kinds(add_noise, *KINDS),
    "tour.predict_x0": of_kinds(predict_x0, *KINDS),
    "tour.classifier_free_guidance": of_kinds(classifier_free_guidance, *KINDS),
}
