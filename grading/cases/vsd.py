"""What stage 3 is checked on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from distillery.evidence import Case
from grading.cases.pictures import GUIDANCE_SCALE, boats_and_hearts, noise, pictures


def _particles() -> dict[str, Any]:
    """Mixtures of both pictures, before a LoRA that believes in other mixtures and predicts v."""
    boat, heart = pictures()
    x0 = torch.stack([0.7 * boat + 0.3 * heart, 0.4 * boat + 0.6 * heart])
    believed = torch.stack([0.8 * boat + 0.4 * heart, 0.2 * boat + 0.5 * heart])
    return {
        "tensors": {"x0": x0, "t": torch.tensor([300, 600]), "eps": noise(11, x0)},
        "prompts": {"text": ["a heart", "a boat"]},
        "mixture": boats_and_hearts() | {"std": 2.0},
        "denoiser": {"means": believed, "std": 0.5, "predicts_v": True},
        "with_graph": ("x0",),
    }


def vsd_grad() -> Case:
    particles = _particles()
    particles["prompts"]["uncond"] = ["", ""]
    return Case(
        "value",
        ("prior", "lora", "x0", "t", "eps", "text", "uncond", "guidance_scale"),
        values={"guidance_scale": GUIDANCE_SCALE},
        **particles,
    )


def lora_loss() -> Case:
    return Case(
        "gradient",
        ("lora", "x0", "t", "eps", "text"),
        learns="lora",
        loss_counts=True,
        **_particles(),
    )


def alternating_step() -> Case:
    return Case(
        "alternation",
        ("particle_loss", "lora_loss", "particle_optimiser", "lora_optimiser"),
        values={
            "steps": 3,
            "start": [1.0, -0.5],
            "stale": [0.7, -1.3],
            "learning_rates": [0.11, 0.17],
        },
        parts=("particle", "LoRA", "loss returned"),
    )


CASES: dict[str, Callable[[], Case]] = {
    "vsd.vsd_grad": vsd_grad,
    "vsd.lora_loss": lora_loss,
    "vsd.alternating_step": alternating_step,
}
