"""What stage 0 is checked on."""

from __future__ import annotations

from collections.abc import Callable

from distillery.evidence import Case
from grading.cases.pictures import GUIDANCE_SCALE, levels, noise, pictures


def add_noise() -> Case:
    x0 = pictures()
    tensors = {"x0": x0, "eps": noise(1, x0), "alpha_bar": levels()}
    return Case("value", tuple(tensors), tensors)


def predict_x0() -> Case:
    """The noise given is not quite the noise put in, as with a network."""
    x0, alpha_bar = pictures(), levels()
    eps = noise(2, x0)
    xt = alpha_bar.sqrt() * x0 + (1 - alpha_bar).sqrt() * eps
    tensors = {"xt": xt, "eps": eps + 0.2 * noise(3, x0), "alpha_bar": alpha_bar}
    return Case("value", tuple(tensors), tensors)


def classifier_free_guidance() -> Case:
    """The two branches differ by a picture."""
    uncond = noise(4, pictures())
    tensors = {"eps_uncond": uncond, "eps_text": uncond - 0.4 * pictures()}
    return Case(
        "value", (*tensors, "guidance_scale"), tensors, values={"guidance_scale": GUIDANCE_SCALE}
    )


CASES: dict[str, Callable[[], Case]] = {
    "tour.add_noise": add_noise,
    "tour.predict_x0": predict_x0,
    "tour.classifier_free_guidance": classifier_free_guidance,
}
