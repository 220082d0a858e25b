"""What stage 5 is checked on."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from distillery.course.case import Case
from distillery.course.functions import named
from distillery.course.kinds.losses import LossesCase
from distillery.course.kinds.passage import PassageCase
from distillery.course.kinds.value import ValueCase
from distillery.models.schedule import scaled_linear_alphas_cumprod
from grading.stages.inputs.random_inputs import (
    EARLY,
    KINDS,
    LATE,
    SEVERAL,
    SINGLE,
    Draws,
    RandomInputs,
    of_kinds,
    of_words,
)
from grading.stages.inputs.small_pictures import guidance_scale, levels, pictures

FLAT = 0.1  # of a gradient, far above the small number that Adam adds
TOLERANCE_OF_PAINT = 2e-3  # a kernel that ends 4 sigma away, square or round, is right too
OTHER_CHANNELS = {SEVERAL: "", SINGLE: KINDS[SINGLE]}
WIDE, FINE = "wide", "fine"
BRUSHES = OTHER_CHANNELS | {WIDE: "with a wide brush", FINE: "with a fine brush"}
FULL, BARE = "full", "bare"
MASKS = OTHER_CHANNELS | {
    FULL: "with paint everywhere",
    BARE: "where one picture has no paint",
}
ONE_STEP, NEAR_HALF, LOW = "one step", "near half", "low"
STRENGTHS = OTHER_CHANNELS | {
    EARLY: "with so little strength that one step is taken",
    LATE: "at strength 1",
    ONE_STEP: "in a way of one step",
    NEAR_HALF: "where strength * N is nearly a half more than a whole number",
    LOW: "at a low strength",
}
NONE, LAST, AT_NOUGHT = "none", "last", "at nought"
BURSTS = OTHER_CHANNELS | {
    NONE: "with no step of Adam",
    LAST: "before the last step",
    AT_NOUGHT: "where the way ends at timestep 0",
    LATE: "with almost only noise",
}
SHARED, HARD, WORDLESS = "shared", "hard", "wordless"
REGIONS = {
    SEVERAL: "",
    SHARED: "where a token has two regions",
    HARD: "with masks of 0 and 1, and nothing outside",
    WORDLESS: "where a region has no words",
}
OVERLAP, COVERED = "overlap", "covered"
PARTS = KINDS | {
    OVERLAP: "where regions overlap",
    COVERED: "where the regions leave nothing",
}


class Canvas(RandomInputs):
    """A fine brush paints tall pictures, a wide one wide ones; others are drawn."""

    def __init__(self, seed: int, kind: str = SEVERAL) -> None:
        super().__init__(seed, kind)
        short, long = sorted(self.size)
        self.size = self.of_kind({FINE: (long, short), WIDE: (short, long)}, self.size)


def paint(inputs: RandomInputs) -> Case:
    """Pictures of strong colour up to the border, under brushes of many widths."""
    limits = {WIDE: (0.6, 1.2), FINE: (0.08, 0.12)}
    width = inputs.number(0.15, inputs.of_kind(limits, (0.1, 0.2)))
    return PassageCase(
        ("images", "width"),
        {"images": pictures(inputs, inputs.batch) + 0.1 * inputs.noise(1, _empty(inputs))},
        {"width": width},
        with_graph=("images",),
        tolerance=TOLERANCE_OF_PAINT,
    )


def faithfulness_loss(inputs: RandomInputs) -> Case:
    """Pictures that go beyond [-1, 1], and masks of which no two have one sum."""
    painting = pictures(inputs, inputs.batch)
    images = 0.7 * painting.roll(1, 3) + 0.6 * inputs.noise(2, painting)
    return LossesCase(
        ("paint", "images", "painting", "mask"),
        {"images": images, "painting": painting, "mask": _painted(inputs)},
        functions={"paint": _operator(inputs)},
        learns="images",
        with_graph=("images",),
    )


def _painted(inputs: RandomInputs) -> Tensor:
    """Where there is paint, (B, 1, H, W): everywhere, nowhere in one, or with soft edges."""
    mask = (1 + 2 * inputs.noise(3, _empty(inputs)[:, :1])).clamp(0, 1)
    shares = torch.linspace(0.5, 1, inputs.batch).view(-1, 1, 1, 1)
    if inputs.kind == FULL:
        return torch.ones_like(mask)
    if inputs.kind == BARE:
        mask[inputs.whole(0, (0, inputs.batch - 1))] = 0
    return shares * mask


def _operator(inputs: RandomInputs) -> dict[str, Any]:
    if inputs.kind in (SEVERAL, FULL):
        return {"function": "area means", "rows": 3, "columns": 4}
    weights = [0.5, inputs.number(0.3, (0.25, 0.35)), inputs.number(0.2, (0.1, 0.2))]
    return {"function": "smear", "weights": weights}


def sdedit_start(inputs: RandomInputs) -> Case:
    """Strengths whose number of steps is the nearest whole number, never the one below alone."""
    steps, strength = _way(inputs)
    alphas_cumprod = _alphas_cumprod(inputs)
    x0 = pictures(inputs, inputs.batch)
    tensors = {
        "x0_src": x0,
        "eps": inputs.noise(4, x0),
        "timesteps": _timesteps(inputs, steps, len(alphas_cumprod)),
        "alphas_cumprod": alphas_cumprod,
    }
    arguments = ("x0_src", "eps", "strength", "timesteps", "alphas_cumprod")
    return ValueCase(arguments, tensors, {"strength": strength})


def _way(inputs: RandomInputs) -> tuple[int, float]:
    """N, and a strength that takes n of N steps: strength * N is n and a part between the bounds.

    The part is never near half a step, where rounding would decide.
    """
    if inputs.kind == ONE_STEP:
        return 1, inputs.number(0.7, (0.6, 0.95))
    steps = inputs.whole(10, (9, 14))
    if inputs.kind == LATE:
        return steps, 1.0
    if inputs.kind == EARLY:
        return steps, round(inputs.number(0, (0.6, 0.9)) / steps, 4)
    taken = 2 if inputs.kind == LOW else inputs.whole(7, (4, 6))
    limits = {SINGLE: (0.1, 0.35), NEAR_HALF: (0.47, 0.48), LOW: (0.1, 0.2)}
    part = inputs.number(-0.2, inputs.of_kind(limits, (-0.4, -0.1)))
    return steps, round((taken + part) / steps, 4)


def _alphas_cumprod(inputs: RandomInputs) -> Tensor:
    """Levels of 1000 timesteps, of another schedule each time; for one picture, of 200."""
    levels = scaled_linear_alphas_cumprod().float() ** inputs.number(1.0, (0.7, 1.4))
    return levels[4::5].contiguous() if inputs.kind == SINGLE else levels


def _timesteps(inputs: RandomInputs, steps: int, count: int) -> Tensor:
    """Falling, (N + 1,), not evenly; the last is -1 or 0.

    A way of one step ends at 0: the check calls once with the timesteps in another order, and an
    answer that looks levels up by `gather` must find no -1 in the place of the first one.
    """
    way = torch.linspace(1, 0, steps + 1)[:-1] ** inputs.number(1.2, (1.1, 1.5))
    first = count - 1 - inputs.whole(9, (1, 20))
    end = 0 if inputs.kind in (LATE, NEAR_HALF, ONE_STEP, AT_NOUGHT) else -1
    return torch.cat([(first * way).round().long(), torch.tensor([end])])


def x0_estimate(inputs: RandomInputs) -> Case:
    """The predicted noise is not quite the noise put in, and has a graph of its own."""
    x0, alpha_bar = pictures(inputs, inputs.batch), levels(inputs)
    eps = inputs.noise(5, x0)
    tensors = {
        "xt": alpha_bar.sqrt() * x0 + (1 - alpha_bar).sqrt() * eps,
        "eps": eps + 0.2 * inputs.noise(6, x0),
        "alpha_bar": alpha_bar,
    }
    return PassageCase(tuple(tensors), tensors, with_graph=("xt", "eps"))


def burst(inputs: RandomInputs) -> Case:
    """Losses with a kink, so that Adam's steps depend on all gradients before."""
    alphas_cumprod = _alphas_cumprod(inputs)
    steps = inputs.whole(8, (6, 9))
    index = {LAST: steps - 1, AT_NOUGHT: steps - 1, LATE: 0}.get(
        inputs.kind, inputs.whole(4, (3, 4))
    )
    x0 = pictures(inputs, inputs.batch)
    tensors = {
        "x0": x0,
        "eps": inputs.noise(7, x0),
        "timesteps": _timesteps(inputs, steps, len(alphas_cumprod)),
        "alphas_cumprod": alphas_cumprod,
    }
    values = {
        "index": index,
        "grad_steps": {NONE: 0, SINGLE: 1}.get(inputs.kind, inputs.whole(6, (4, 8))),
        "learning_rate": inputs.number(0.2, (0.1, 0.3)),
    }
    loss = _loss(inputs)
    tensors["x0"] = _on_a_slope(x0, loss)
    names = ("x0", "eps", "timesteps", "index", "alphas_cumprod", "grad_steps", "learning_rate")
    return ValueCase(("loss_of", *names), tensors, values, functions={"loss_of": loss})


def _on_a_slope(x0: Tensor, loss: dict[str, Any]) -> Tensor:
    """The same but for latents at the bottom of a valley, which are moved up a side of it.

    Adam's first step has the sign of a gradient, however small. Where one is nearly 0, rounding
    would decide. The loss is convex: away from the bottom it is steeper.
    """
    loss_of = named(loss)
    gradient = torch.func.grad(lambda latents: loss_of(latents).sum())(x0)
    return torch.where(gradient.abs() < FLAT, x0 + torch.where(gradient < 0, -0.2, 0.2), x0)


def _loss(inputs: RandomInputs) -> dict[str, Any]:
    return {
        "function": "valleys",
        "centres": inputs.numbers([0.4, -0.3], (0.2, 0.6), (-0.6, -0.2)),
        "curvatures": inputs.numbers([1.0, 4.0], (0.5, 1.5), (3.0, 6.0)),
        "kink": inputs.number(0.5, (0.3, 0.7)),
    }


def region_bias(inputs: RandomInputs) -> Case:
    """Tokens of one region, of none and of two; masks with soft edges that overlap."""
    count = inputs.whole(7, (6, 8))
    values = {
        "tokens": _tokens(inputs, count),
        "count": count,
        "inside": inputs.number(1.5, (1.0, 3.0)),
        "outside": 0.0 if inputs.kind == HARD else inputs.number(-4.0, (-6.0, -3.0)),
    }
    masks = inputs.smooth(8, 3 if inputs.kind == SHARED else 2, 1)[:, 0].add(0.5).clamp(0, 1)
    masks = masks.round() if inputs.kind == HARD else masks
    arguments = ("masks", "tokens", "count", "inside", "outside")
    return ValueCase(arguments, {"masks": masks}, values)


def _tokens(inputs: RandomInputs, count: int) -> list[list[int]]:
    """Of each region. The first and the last token of a prompt are of none."""
    one, two, three, *_ = inputs.shuffled(range(1, count - 1))
    if inputs.kind == SHARED:
        return [[one, two], [two], [three, two]]
    if inputs.kind == WORDLESS:
        return [[], [one, two]]
    return [[one, three], [two]]


def compose_scores(inputs: RandomInputs) -> Case:
    like = _empty(inputs)
    count = 3 if inputs.kind in (OVERLAP, COVERED) else inputs.whole(2, (3, 3))
    masks = inputs.smooth(9, count, 1).add(0.2).clamp(0, 1)
    if inputs.kind == COVERED:
        masks = torch.nn.functional.one_hot(masks.argmax(0), count).movedim(-1, 0).float()
    elif inputs.kind != OVERLAP:
        masks = masks / masks.sum(0).clamp(min=1)
    tensors = {
        "eps_uncond": inputs.noise(10, like),
        "eps_whole": inputs.noise(11, like),
        "eps_parts": inputs.noise(12, like.expand(count, *like.shape)),
        "masks": masks,
    }
    return ValueCase(
        (*tensors, "guidance_scale"), tensors, {"guidance_scale": guidance_scale(inputs)}
    )


def _empty(inputs: RandomInputs) -> Tensor:
    return torch.empty(inputs.batch, inputs.channels, *inputs.size)


CASES: dict[str, Draws] = {
    "strokes.paint": of_words(paint, BRUSHES, inputs=Canvas),
    "strokes.faithfulness_loss": of_words(faithfulness_loss, MASKS),
    "strokes.sdedit_start": of_words(sdedit_start, STRENGTHS),
    "strokes.x0_estimate": of_kinds(x0_estimate, *KINDS),
    "strokes.burst": of_words(burst, BURSTS),
    "strokes.region_bias": of_words(region_bias, REGIONS),
    "strokes.compose_scores": of_words(compose_scores, PARTS),
}
