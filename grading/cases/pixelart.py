"""What stage 4 is checked on: two small drawings in four colours, wider than high."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from distillery.evidence import Case
from grading.cases.pictures import GUIDANCE_SCALE, noise

# All four are equally far, in L1, from mid-grey: that pixel cannot be told which is nearest.
COLOURS = {
    ".": (0.25, 0.5, 1.0),  # sky
    "#": (0.875, 0.25, 0.375),  # red
    "o": (0.875, 0.75, 0.625),  # cream
    "~": (0.25, 0.75, 0.25),  # grass
}
MUSHROOM = """
.#####.
##o##o#
..ooo..
..ooo..
~~~~~~~
"""
HOUSE = """
...#...
.#####.
.ooooo.
.oo.oo.
~~~.~~~
"""


def palette() -> Tensor:
    """(4, 3) in [0, 1]"""
    return torch.tensor(list(COLOURS.values()))


def chosen() -> Tensor:
    """One-hot weights (2, 4, 5, 7) of the two drawings."""
    letters = list(COLOURS)
    indices = [
        [[letters.index(letter) for letter in row] for row in rows.split()]
        for rows in (MUSHROOM, HOUSE)
    ]
    return torch.nn.functional.one_hot(torch.tensor(indices)).movedim(-1, 1).float()


def drawings() -> Tensor:
    """(2, 3, 5, 7) in [-1, 1]"""
    return 2 * torch.einsum("bkhw,kc->bchw", chosen(), palette()) - 1


def logits(seed: int) -> Tensor:
    """The drawings, not yet sure of themselves."""
    return 2 * chosen() + noise(seed, chosen())


def paint() -> Case:
    tensors = {"weights": logits(12).softmax(dim=1), "palette": palette()}
    return Case("value", tuple(tensors), tensors, with_graph=("weights",))


def gumbel_softmax() -> Case:
    """Shares of 24,000 pixels have standard deviations of 0.0028 and less; 0.02 passes."""
    taus = [0.5, 2.0]
    parts = [f"{what} at tau {tau:g}" for what in ("wins", "mean weight") for tau in taus]
    return Case(
        "choices",
        ("logits", "tau", "generator"),
        {"logits": torch.tensor([2.5, 1.0, 0.0, -2.0]).view(1, 4, 1, 1)},
        values={"taus": taus},
        parts=tuple(parts),
        tolerance=0.03,
    )


def straight_through() -> Case:
    return Case("passage", ("logits",), {"logits": logits(13)}, with_graph=("logits",))


def logits_from_image() -> Case:
    """Colours beside those of the palette, and one pixel at the same distance from all."""
    image = (drawings() + 0.3 * noise(14, drawings())).clamp(-1, 1)
    image[0, :, 1, 1] = 0.0
    tensors = {"image": image, "palette": palette()}
    return Case("value", tuple(tensors), tensors)


def kmeans_step() -> Case:
    """Pixels of two drawings, two centres that are the same and one that is nearest to none.

    Their numbers are fractions of 32, so that distances that are equal are equal in float32; the
    last pixel is as near to the first centre as to the third.
    """
    pixels = drawings()[:, :, ::2, ::2].movedim(1, -1).flatten(0, 2)[:22]
    pixels = ((pixels + 0.5 * noise(15, pixels)) * 32).round() / 32
    centres = torch.tensor(
        [
            [-0.5, 0.25, 0.75],
            [-0.5, 0.25, 0.75],
            [0.5, -0.5, 0.25],
            [-0.25, 0.5, -0.5],
            [3.0, 3.0, -3.0],
        ]
    )
    between = (centres[:1] + centres[2:3]) / 2
    return Case(
        "value", ("pixels", "centres"), {"pixels": torch.cat([pixels, between]), "centres": centres}
    )


def fft_loss() -> Case:
    """So wide that a circle of frequencies is an oval of lines of the transform."""
    image = torch.nn.functional.pad(drawings(), (3, 3, 1, 0), mode="replicate")
    image = image + 0.3 * noise(16, image)
    return Case("gradient", ("image",), {"image": image}, with_graph=("image",), loss_counts=True)


def bounded_timesteps() -> Case:
    """Bounds that are no halves; the first one between would be another if it were cut off."""
    values = {
        "steps": 100,
        "between": [5, 20, 40, 70],
        "t_min": 20,
        "t_max": 40,
        "t_bound": 30,
        "bound_reached": 0.4,
    }
    names = ("batch", "step", "steps", "t_min", "t_max", "t_bound", "bound_reached", "generator")
    return Case("draws", names, values=values)


def sdxl_grad() -> Case:
    """Each latent shows something of both drawings and is asked for the one it shows less of.

    The depths act in the second half of the way alone: on the first latent.
    """
    mushroom, house = drawings()
    x0 = torch.stack([0.4 * mushroom + 0.6 * house, 0.6 * mushroom + 0.4 * house])
    edges = (drawings() > 0).float()
    depths = torch.linspace(0, 1, 7).expand(2, 3, 5, 7)
    return Case(
        "value",
        ("prior", "x0", "t", "eps", "text", "uncond", "guidance_scale", "size", "controls"),
        {
            "x0": x0,
            "t": torch.tensor([350, 700]),
            "eps": noise(17, x0),
            "controls": torch.stack([edges, depths]),
        },
        controls=[
            {"kind": "canny", "scale": 0.5, "window": [0.0, 1.0]},
            {"kind": "depth", "scale": 0.3, "window": [0.5, 1.0]},
        ],
        values={"guidance_scale": GUIDANCE_SCALE, "size": [40, 56]},
        prompts={"text": ["a mushroom", "a house"], "uncond": ["", ""]},
        mixture={"means": drawings(), "std": 0.3, "names": {"a mushroom": [0], "a house": [1]}},
        with_graph=("x0",),
    )


CASES: dict[str, Callable[[], Case]] = {
    "pixelart.paint": paint,
    "pixelart.gumbel_softmax": gumbel_softmax,
    "pixelart.straight_through": straight_through,
    "pixelart.logits_from_image": logits_from_image,
    "pixelart.kmeans_step": kmeans_step,
    "pixelart.fft_loss": fft_loss,
    "pixelart.bounded_timesteps": bounded_timesteps,
    "pixelart.sdxl_grad": sdxl_grad,
}
