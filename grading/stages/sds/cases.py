"""What stage 1 is checked on."""

from __future__ import annotations

from distillery.course.case import Case
from distillery.course.kinds.draws import DrawsCase
from distillery.course.kinds.gradient import GradientCase
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
    of_circumstances,
    of_words,
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

RESCHEDULED = "rescheduled"
GRADIENTS = {
    SEVERAL: "",
    SINGLE: KINDS[SINGLE],
    EARLY: "with a small gradient",
    LATE: "with a large gradient",
}


def sample_timesteps(inputs: RandomInputs) -> Case:
    """A short range, so that a picture shows every timestep of it."""
    t_min = inputs.whole(20, (5, 60))
    return _draws(inputs, t_min, t_min + inputs.whole(20, (15, 20)))


def with_a_long_range(inputs: RandomInputs) -> Case:
    return _draws(inputs, inputs.whole(0, (10, 60)), inputs.whole(0, (900, 990)))


def from_the_first_timestep(inputs: RandomInputs) -> Case:
    return _draws(inputs, 0, inputs.whole(0, (16, 24)))


def of_the_last_timestep(inputs: RandomInputs) -> Case:
    return _draws(inputs, 999, 999)


def with_one_step(inputs: RandomInputs) -> Case:
    t_min = inputs.whole(0, (300, 700))
    return _draws(inputs, t_min, t_min + inputs.whole(0, (1, 5)), steps=1)


def _draws(inputs: RandomInputs, t_min: int, t_max: int, *, steps: int = 0) -> Case:
    """In a run of some length, unless one is given."""
    names = ("batch", "step", "steps", "t_min", "t_max", "generator")
    drawn = inputs.whole(100, (60, 200))
    return DrawsCase(names, values={"steps": steps or drawn, "t_min": t_min, "t_max": t_max})


def sds_grad(inputs: RandomInputs) -> Case:
    """Each latent shows something of both pictures and is asked for the one it shows less of.

    Latents that are not the ordinary ones leave [-1, 1].
    """
    means, which = pictures(inputs), asked(inputs)
    x0 = mixed(means, which, inputs.numbers([0.4, 0.4], (0.3, 0.45)))
    x0 = detailed(inputs, 18, x0)
    if inputs.kind != SEVERAL:
        x0 = 4 * x0
    forbidden = prompts([1 - i for i in which]) if inputs.kind == THREE else [""] * len(x0)
    scales = {THREE: (0.1, 0.9), RESCHEDULED: (150.0, 250.0)}
    other = inputs.number(0.0, inputs.of_kind(scales, (0.0, 0.0)))
    return ValueCase(
        ("prior", "x0", "t", "eps", "text", "uncond", "guidance_scale"),
        {"x0": x0, "t": timesteps(inputs), "eps": inputs.noise(5, x0)},
        values={"guidance_scale": other or guidance_scale(inputs)},
        prompts={"text": prompts(which), "uncond": forbidden},
        mixture=mixture_of(means) | inputs.of_kind({RESCHEDULED: {"power": 1.5}}, {}),
        with_graph=("x0",),
    )


def sds_loss(inputs: RandomInputs) -> Case:
    """The ordinary gradient is the difference of the pictures, so that it can be looked at."""
    x0 = pictures(inputs, inputs.batch)
    size = inputs.of_kind({EARLY: 0.03, LATE: 200.0}, 1.0)
    grad = x0 - x0.roll(1, 0) if inputs.kind == SEVERAL else size * inputs.noise(6, x0)
    return GradientCase(("x0", "grad"), {"x0": x0, "grad": grad}, with_graph=("x0",))


CASES: dict[str, Draws] = {
    "sds.sample_timesteps": of_circumstances(
        sample_timesteps,
        {
            "with a long range": with_a_long_range,
            "with t_min = 0": from_the_first_timestep,
            "with t_min = t_max = 999": of_the_last_timestep,
            "with a run of a single step": with_one_step,
        },
    ),
    "sds.sds_grad": of_words(
        sds_grad,
        KINDS | {THREE: "with a negative prompt", RESCHEDULED: "with another noise schedule"},
    ),
    "sds.sds_loss": of_words(sds_loss, GRADIENTS),
}
