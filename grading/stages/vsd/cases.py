"""What stage 3 is checked on."""

from __future__ import annotations

from typing import Any

import torch

from distillery.course.case import Case
from distillery.course.kinds.alternation import AlternationCase
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
)


def _particles(inputs: RandomInputs) -> dict[str, Any]:
    """Mixtures of both pictures, before a LoRA that believes in other mixtures and predicts v."""
    means, which = pictures(inputs), [1 - i for i in asked(inputs)]
    x0 = mixed(means, which, inputs.numbers([0.3, 0.4], (0.25, 0.35), (0.38, 0.48)))
    x0 = detailed(inputs, 19, x0)
    boat, heart = means
    believed = [
        inputs.number(0.8, (0.7, 0.9)) * boat + inputs.number(0.4, (0.3, 0.5)) * heart,
        inputs.number(0.2, (0.1, 0.3)) * boat + inputs.number(0.5, (0.4, 0.6)) * heart,
    ]
    t = inputs.wholes([300, 600], (250, 350), (550, 650))
    return {
        "tensors": {"x0": x0, "t": torch.tensor(t), "eps": inputs.noise(11, x0)},
        "prompts": {"text": prompts(which)},
        "mixture": mixture_of(means) | {"std": inputs.number(2.0, (1.6, 2.4))},
        "denoiser": {
            "means": torch.stack(believed),
            "std": inputs.number(0.5, (0.4, 0.6)),
            "predicts_v": True,
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
    return AlternationCase(
        ("particle_loss", "lora_loss", "particle_optimiser", "lora_optimiser"),
        values={
            "steps": inputs.whole(3, (3, 5)),
            "start": [inputs.number(1.0, (0.5, 1.5)), inputs.number(-0.5, (-1.0, -0.3))],
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
    "vsd.alternating_step": of_kinds(alternating_step, SEVERAL, SINGLE),
}
