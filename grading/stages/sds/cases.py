"""What stage 1 is checked on."""

from __future__ import annotations

from distillery.course.case import Case
from distillery.course.kinds.draws import DrawsCase
from distillery.course.kinds.gradient import GradientCase
from distillery.course.kinds.value import ValueCase
from grading.stages.inputs.random_inputs import (
    KINDS,
    SEVERAL,
    SINGLE,
    Draws,
    RandomInputs,
    of_kinds,
)
from grading.stages.inputs.small_pictures import (
    asked,
    detailed,
    guidance_scale,
    mixed,
    mixture_of,
    pictures,
    prompts,
    timesteps,
)


def sample_timesteps(inputs: RandomInputs) -> Case:
    t_min = inputs.whole(20, (5, 60))
    values = {
        "steps": inputs.whole(100, (60, 200)),
        "t_min": t_min,
        "t_max": t_min + inputs.whole(20, (15, 20)),
    }
    return DrawsCase(("batch", "step", "steps", "t_min", "t_max", "generator"), values=values)


def sds_grad(inputs: RandomInputs) -> Case:
    """Each latent shows something of both pictures and is asked for the one it shows less of."""
    means, which = pictures(inputs), asked(inputs)
    x0 = mixed(means, which, inputs.numbers([0.4, 0.4], (0.3, 0.45)))
    x0 = detailed(inputs, 18, x0)
    return ValueCase(
        ("prior", "x0", "t", "eps", "text", "uncond", "guidance_scale"),
        {"x0": x0, "t": timesteps(inputs), "eps": inputs.noise(5, x0)},
        values={"guidance_scale": guidance_scale(inputs)},
        prompts={"text": prompts(which), "uncond": [""] * len(x0)},
        mixture=mixture_of(means),
        with_graph=("x0",),
    )


def sds_loss(inputs: RandomInputs) -> Case:
    x0 = pictures(inputs, inputs.batch)
    return GradientCase(("x0", "grad"), {"x0": x0, "grad": x0 - x0.roll(1, 0)}, with_graph=("x0",))


CASES: dict[str, Draws] = {
    "sds.sample_timesteps": of_kinds(sample_timesteps, SEVERAL, SINGLE),
    "sds.sds_grad": of_kinds(sds_grad, *KINDS),
    "sds.sds_loss": of_kinds(sds_loss, SEVERAL, SINGLE),
}
