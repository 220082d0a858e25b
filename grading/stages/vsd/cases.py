"""What stage 3 is checked on."""

from __future__ import annotations

from typing import Any

import torch

from distillery.course.case import Case
from distillery.course.kinds.alternation import AlternationCase
from distillery.course.kinds.gradient import GradientCase
from distillery.course.kinds.value import ValueCase
from grading.stages.inputs.random_inputs import (
    EARLY,
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


def _particles(inputs: RandomInputs) -> dict[str, Any]:
    """Mixtures of both pictures, before a LoRA that believes in other mixtures.

    It predicts v, but eps where there is a single picture.
    """
    means, which = pictures(inputs), [1 - i for i in asked(inputs)]
    x0 = mixed(means, which, inputs.numbers([0.3, 0.4], (0.25, 0.35), (0.38, 0.48)))
    x0 = detailed(inputs, 19, x0)
    boat, heart = means
    believed = [
        inputs.number(0.8, (0.7, 0.9)) * boat + inputs.number(0.4, (0.3, 0.5)) * heart,
        inputs.number(0.2, (0.1, 0.3)) * boat + inputs.number(0.5, (0.4, 0.6)) * heart,
    ]
    return {
        "tensors": {"x0": x0, "t": timesteps(inputs), "eps": inputs.noise(11, x0)},
        "prompts": {"text": prompts(which)},
        "mixture": mixture_of(means) | {"std": inputs.number(2.0, (1.6, 2.4))},
        "denoiser": {
            "means": torch.stack(believed),
            "std": inputs.number(0.5, (0.4, 0.6)),
            "predicts_v": inputs.kind != SINGLE,
        },
        "with_graph": ("x0",),
    }


def vsd_grad(inputs: RandomInputs) -> Case:
    particles = _particles(inputs)
    particles["prompts"]["uncond"] = [""] * inputs.batch
    return ValueCase(
        ("prior", "lora", "x0", "t", "eps", "text", "uncond", "guidance_scale"),
        values={"guidance_scale": guidance_scale(inputs)},
        **particles,
    )


def lora_loss(inputs: RandomInputs) -> Case:
    return GradientCase(
        ("lora", "x0", "t", "eps", "text"),
        learns="lora",
        loss_counts=True,
        **_particles(inputs),
    )


def alternating_step(inputs: RandomInputs) -> Case:
    start = [inputs.number(1.0, (0.5, 1.5)), inputs.number(-0.5, (-1.0, -0.3))]
    return _alternation(inputs, "SGD", start)


def _with_adam(seed: int) -> Case:
    """Adam remembers earlier gradients, so a step that is left out shows in all later ones.

    There are two groups of parameters, and all of them have old gradients.
    """
    inputs = RandomInputs(seed, SINGLE)
    start = [inputs.number(0, (1.5, 2.5)), inputs.number(0, (0.3, 0.8))]
    return _alternation(inputs, "Adam", start, groups=2)


def _with_a_loss_of_0(seed: int) -> Case:
    """The particles' loss is (p - 2 l)^2 + p: 0 at p = -1/4 and l = 1/8, where its slope is not."""
    return _alternation(RandomInputs(seed, EARLY), "SGD", [-0.25, 0.125])


def _alternation(
    inputs: RandomInputs, optimiser: str, start: list[float], *, groups: int = 1
) -> Case:
    return AlternationCase(
        ("particle_loss", "lora_loss", "particle_optimiser", "lora_optimiser"),
        values={
            "steps": inputs.whole(3, (3, 5)),
            "optimiser": optimiser,
            "groups": groups,
            "start": start,
            "stale": [inputs.number(0.7, (0.4, 1.0)), inputs.number(-1.3, (-1.6, -1.0))],
            "learning_rates": [
                inputs.number(0.11, (0.07, 0.13)),
                inputs.number(0.17, (0.15, 0.22)),
            ],
        },
        parts=("particle", "LoRA", "loss returned"),
    )


CASES: dict[str, Draws] = {
    "vsd.vsd_grad": of_kinds(vsd_grad, *KINDS),
    "vsd.lora_loss": of_kinds(lora_loss, *KINDS),
    "vsd.alternating_step": {
        **of_kinds(alternating_step, SEVERAL),
        "with Adam, and two groups of parameters": _with_adam,
        "with a particles' loss of 0 at the start": _with_a_loss_of_0,
    },
}
