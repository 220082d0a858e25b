"""What stage 1 is checked on."""

from __future__ import annotations

from collections.abc import Callable

import torch

from distillery.evidence import Case
from grading.cases.pictures import GUIDANCE_SCALE, boats_and_hearts, noise, pictures


def sample_timesteps() -> Case:
    values = {"steps": 100, "t_min": 20, "t_max": 40}
    return Case("draws", ("batch", "step", "steps", "t_min", "t_max", "generator"), values=values)


def sds_grad() -> Case:
    """Each latent shows something of both pictures and is asked for the one it shows less of."""
    boat, heart = pictures()
    x0 = torch.stack([0.4 * boat + 0.6 * heart, 0.6 * boat + 0.4 * heart])
    return Case(
        "value",
        ("prior", "x0", "t", "eps", "text", "uncond", "guidance_scale"),
        {"x0": x0, "t": torch.tensor([350, 700]), "eps": noise(5, x0)},
        values={"guidance_scale": GUIDANCE_SCALE},
        prompts={"text": ["a boat", "a heart"], "uncond": ["", ""]},
        mixture=boats_and_hearts(),
        with_graph=("x0",),
    )


def sds_loss() -> Case:
    boat, heart = pictures()
    tensors = {"x0": pictures(), "grad": torch.stack([boat - heart, heart - boat])}
    return Case("gradient", tuple(tensors), tensors, with_graph=("x0",))


CASES: dict[str, Callable[[], Case]] = {
    "sds.sample_timesteps": sample_timesteps,
    "sds.sds_grad": sds_grad,
    "sds.sds_loss": sds_loss,
}
