"""What stage 4 is checked on: two small drawings in four colours, wider than high."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from distillery.course.case import Case
from distillery.course.kinds.choices import ChoicesCase
from distillery.course.kinds.draws import DrawsCase
from distillery.course.kinds.gradient import GradientCase
from distillery.course.kinds.passage import PassageCase
from distillery.course.kinds.value import ValueCase
from grading.stages.inputs.random_inputs import (
    EARLY,
    LATE,
    SEVERAL,
    SINGLE,
    Draws,
    of_circumstances,
    of_words,
)
from grading.stages.inputs.small_pictures import (
    asked,
    detailed,
    guidance_scale,
    mixed,
    mixture_of,
    prompts,
    timesteps,
)
from grading.stages.pixelart.inputs import (
    NAMES,
    RandomInputs,
    any_colours,
    any_picture,
    chosen,
    drawings,
    edges_and_depths,
    either,
    in_steps,
    logits,
    means_of,
    painted,
    palette,
    spots,
)


def paint(inputs: RandomInputs) -> Case:
    return _painting(logits(inputs, 12).softmax(dim=1), palette(inputs))


def with_two_pure_colours(inputs: RandomInputs) -> Case:
    """One picture, whose weights are all 0 or 1."""
    weights = torch.nn.functional.one_hot(either(inputs), 2).movedim(-1, 1).float()
    return _painting(weights, any_colours(inputs, 12, 2))


def with_twelve_colours(inputs: RandomInputs) -> Case:
    weights = (2 * inputs.noise(12, torch.empty(2, 12, *inputs.size))).softmax(dim=1)
    return _painting(weights, any_colours(inputs, 13, 12))


def with_a_palette_for_each_picture(inputs: RandomInputs) -> Case:
    """Three pictures, and as many colours: neither axis can be told from the other by its length.

    The weights are not square, so no axis of theirs is as long as the batch.
    """
    weights = (2 * inputs.noise(12, torch.empty(3, 3, 5, 7))).softmax(dim=1)
    palettes = torch.stack([any_colours(inputs, seed, 3) for seed in (13, 15, 16)])
    return _painting(weights, palettes)


def _painting(weights: Tensor, palette: Tensor) -> Case:
    tensors = {"weights": weights, "palette": palette}
    return PassageCase(tuple(tensors), tensors, with_graph=("weights",), of_weights=True)


def gumbel_softmax(inputs: RandomInputs) -> Case:
    """Logits that differ from pixel to pixel and from picture to picture."""
    return _choices(inputs, logits(inputs, 11)[:3])


def with_two_colours(inputs: RandomInputs) -> Case:
    """One picture."""
    return _choices(inputs, inputs.noise(11, torch.empty(1, 2, 5, 7)))


def with_rare_colours(inputs: RandomInputs) -> Case:
    """Two of three colours are so rarely wanted that only the tails of the noise choose them."""
    ordinary = inputs.noise(11, torch.empty(3, 3, 7, 5)) / 4
    rare = torch.tensor(inputs.shuffled([0.0, -4.5, -6.0])).view(1, 3, 1, 1)
    return _choices(inputs, ordinary + rare)


def _choices(inputs: RandomInputs, logits: Tensor) -> Case:
    """The shares are told to students; what is right is decided by the distribution of the noise.

    Shares of 12,000 pixels have standard deviations of 0.005 and less, so that 0.04 passes.
    """
    taus = [inputs.number(0.5, (0.3, 0.45)), inputs.number(2.0, (1.6, 2.4))]
    parts = [f"{what} at tau {tau:g}" for what in ("wins", "mean weight") for tau in taus]
    return ChoicesCase(
        ("logits", "tau", "generator"),
        {"logits": logits},
        values={"taus": taus},
        parts=tuple(parts),
        tolerance=0.1,
    )


def straight_through(inputs: RandomInputs) -> Case:
    return _through(logits(inputs, 13))


def with_two_logits(inputs: RandomInputs) -> Case:
    """One picture."""
    return _through(inputs.noise(13, torch.empty(1, 2, *inputs.size)))


def with_logits_far_apart(inputs: RandomInputs) -> Case:
    """The last of the colours is never chosen, and softmax is nearly one-hot in most pixels.

    In one pixel all others are the same, and in one the two largest.
    """
    wanted = 8 * inputs.noise(13, torch.empty(2, 9, *inputs.size))
    wanted[0, :, inputs.whole(0, (0, 4)), inputs.whole(0, (0, 4))] = 1.5
    wanted[1, inputs.shuffled(range(8))[:2], inputs.whole(0, (0, 4)), 2] = 20.0
    wanted[:, -1] = -40.0
    return _through(wanted)


def _through(logits: Tensor) -> Case:
    return PassageCase(("logits",), {"logits": logits}, with_graph=("logits",), one_hot=True)


def logits_from_image(inputs: RandomInputs) -> Case:
    """Colours that are not in the palette, and one pixel at the same distance from all."""
    colours = palette(inputs)
    image = painted(chosen(inputs), colours)
    image = in_steps((image + 0.3 * inputs.noise(14, image)).clamp(-1, 1), 32)
    image[0, :, inputs.whole(1, (0, 4)), inputs.whole(1, (0, 4))] = 0.0
    return _start(image, colours)


def with_two_colours_to_start_from(inputs: RandomInputs) -> Case:
    """One picture, of one size for all seeds: a result that is kept for a shape is seen."""
    image = any_picture(inputs, 1).flatten(2)[..., :35].view(1, 3, 5, 7)
    return _start(image, any_colours(inputs, 15, 2))


def with_twelve_colours_to_start_from(inputs: RandomInputs) -> Case:
    """Some pixels have a colour of the palette; one colour is far from all others."""
    colours = torch.cat([0.5 + any_colours(inputs, 15, 11) / 4, torch.zeros(1, 3)])
    image = any_picture(inputs, 2)
    image[..., 0] = (2 * colours[:2] - 1)[:, :, None]
    return _start(image, colours)


def with_a_palette_of_one_colour(inputs: RandomInputs) -> Case:
    """Four times the same: all distances are the same at every pixel."""
    colours = torch.tensor([inputs.shuffled([0.25, 0.5, 0.875])]).expand(4, 3).clone()
    return _start(any_picture(inputs, 2), colours)


def _start(image: Tensor, palette: Tensor) -> Case:
    tensors = {"image": image, "palette": palette}
    return ValueCase(tuple(tensors), tensors)


def kmeans_step(inputs: RandomInputs) -> Case:
    """Pixels of two drawings, two centres that are the same and one that is nearest to none.

    Their numbers are fractions of 32, so that distances that are equal are equal in float32; the
    last pixel is as near to the first centre as to the third.
    """
    pixels = drawings(inputs, 2)[:, :, ::2, ::2].movedim(1, -1).flatten(0, 2)
    pixels = pixels[: inputs.whole(22, (19, 22))]
    pixels = in_steps(pixels + 0.5 * inputs.noise(15, pixels), 32)
    centres = torch.tensor(
        [
            [-0.5, 0.25, 0.75],
            [-0.5, 0.25, 0.75],
            [0.5, -0.5, 0.25],
            [-0.25, 0.5, -0.5],
            [3.0, 3.0, -3.0],
        ]
    )
    if inputs.drawn:  # one more, with a single pixel
        centres = torch.cat([centres, torch.tensor([[-2.0, -2.0, 2.0]])])
        pixels = torch.cat([pixels, centres[-1:] + 0.25])
    # Mirrored and with their colours swapped, the centres lie to each other as they did.
    axes, signs = inputs.shuffled(range(3)), torch.tensor(inputs.signs(3))
    between = (centres[:1] + centres[2:3]) / 2
    pixels, between, centres = (points[:, axes] * signs for points in (pixels, between, centres))
    order = inputs.shuffled(range(len(centres)))
    return _points(torch.cat([pixels, between]), centres[order])


def with_one_centre(inputs: RandomInputs) -> Case:
    """All pixels are its own, some of them outside [0, 1]."""
    return _points(spots(inputs, 15, inputs.whole(0, (5, 9))), spots(inputs, 19, 1))


def with_more_centres_than_pixels(inputs: RandomInputs) -> Case:
    """As many for all seeds: a result that is kept for a shape is seen."""
    return _points(spots(inputs, 15, 4), spots(inputs, 19, 7))


def with_many_pixels(inputs: RandomInputs) -> Case:
    """Far from 0, and with two centres that are the same."""
    centres = spots(inputs, 19, inputs.whole(0, (5, 7)))
    centres[inputs.whole(0, (1, 3))] = centres[0]
    return _points(spots(inputs, 15, 60) + 2, centres + 2)


def _points(pixels: Tensor, centres: Tensor) -> Case:
    return ValueCase(("pixels", "centres"), {"pixels": pixels, "centres": centres})


def fft_loss(inputs: RandomInputs) -> Case:
    """So wide that a circle of frequencies is an oval of lines of the transform."""
    image = torch.nn.functional.pad(drawings(inputs), (3, 3, 1, 0), mode="replicate")
    if inputs.drawn:
        image = drawings(inputs)
        sides = ((7, 13), (6, 14), (7, 15), (6, 15), (13, 7), (15, 7), (14, 6))
        image = torch.nn.functional.interpolate(image, inputs.one_of((6, 13), sides))
    return _speckled(image + 0.3 * inputs.noise(16, image))


def with_one_narrow_picture(inputs: RandomInputs) -> Case:
    size = inputs.one_of((0, 0), ((3, 9), (2, 11), (9, 3), (11, 2)))
    return _speckled(inputs.noise(16, torch.empty(1, 3, *size)))


def with_a_grey_picture(inputs: RandomInputs) -> Case:
    """All amplitudes of one of the two are exactly 0, where an absolute value has a corner."""
    image = inputs.noise(16, torch.empty(2, 3, *inputs.one_of((0, 0), ((5, 7), (7, 5)))))
    image[inputs.whole(0, (0, 1))] = 0.0
    return _speckled(image)


def upright(inputs: RandomInputs) -> Case:
    """Frequencies (1/8, 1/8) lie on the bound of SD-πXL, just below ours."""
    return _speckled(inputs.noise(16, torch.empty(1, 3, 16, 8)))


def lying(inputs: RandomInputs) -> Case:
    """As many pixels as upright."""
    return _speckled(inputs.noise(16, torch.empty(1, 3, 8, 16)))


def _speckled(image: Tensor) -> Case:
    return GradientCase(("image",), {"image": image}, with_graph=("image",), loss_counts=True)


def bounded_timesteps(inputs: RandomInputs) -> Case:
    """A short range, so that a picture shows every timestep of it."""
    if not inputs.drawn:
        return _draws(t_min=20, t_max=40, t_bound=30, reached=0.4, between=[5, 20, 40, 70])
    t_min, reached = inputs.whole(0, (5, 60)), inputs.one_of(0.4, (0.25, 0.4, 0.5))
    t_bound = t_min + 20 - inputs.one_of(0, (7, 9, 11))
    return _on_the_way(inputs, t_min=t_min, t_max=t_min + 20, t_bound=t_bound, reached=reached)


def with_a_steep_fall(inputs: RandomInputs) -> Case:
    """The bound falls by more than one timestep a step, so a neighbouring step has another."""
    t_min, t_max = inputs.whole(0, (1, 60)), inputs.whole(0, (850, 999))
    t_bound = t_max - _fall(inputs, 500, 650, end=40)
    return _on_the_way(inputs, t_min=t_min, t_max=t_max, t_bound=t_bound, reached=0.4)


def with_a_fall_to_nought(inputs: RandomInputs) -> Case:
    t_max = inputs.one_of(0, (17, 19, 23))
    return _on_the_way(inputs, t_min=0, t_max=t_max, t_bound=0, reached=0.4)


def with_a_fall_over_the_run(inputs: RandomInputs) -> Case:
    t_min = inputs.whole(0, (100, 300))
    t_bound = t_min + inputs.whole(0, (20, 60))
    t_max = t_bound + _fall(inputs, 300, 400, end=STEPS)
    return _on_the_way(inputs, t_min=t_min, t_max=t_max, t_bound=t_bound, reached=1.0)


def with_one_step(inputs: RandomInputs) -> Case:
    t_min = inputs.whole(0, (500, 700))
    return _draws(1, t_min=t_min, t_max=t_min + 30, t_bound=t_min + 10, reached=0.5)


def with_no_fall(inputs: RandomInputs) -> Case:
    t_min = inputs.whole(0, (300, 500))
    return _draws(t_min=t_min, t_max=t_min + 50, t_bound=t_min + 20, reached=0.0)


STEPS = 100  # of runs in all trials: what is kept from one is wrong in the next


def _fall(inputs: RandomInputs, least: int, most: int, *, end: int) -> int:
    """How far a bound falls in so many steps; with what it has to be rounded by at most of them."""
    return inputs.one_of(0, [fall for fall in range(least, most) if math.gcd(fall, end) == 1])


def _on_the_way(
    inputs: RandomInputs, *, t_min: int, t_max: int, t_bound: int, reached: float
) -> Case:
    """Looks at steps on, at the end of and behind the fall, at none whose rounding is in doubt.

    Rounding adds something to one of those on the way and takes something from another.
    """
    end = round(STEPS * reached)
    part = {step: (t_max + step / end * (t_bound - t_max)) % 1 for step in range(2, end)}
    up = [step for step, its in part.items() if 0.6 < its < 0.95]
    down = [step for step, its in part.items() if 0.05 < its < 0.4]
    between = [inputs.one_of(0, up), inputs.one_of(0, down)]
    if end < STEPS:
        between += [end, inputs.whole(0, (end + 5, STEPS - 5))]
    return _draws(t_min=t_min, t_max=t_max, t_bound=t_bound, reached=reached, between=between)


def _draws(
    steps: int = STEPS,
    *,
    t_min: int,
    t_max: int,
    t_bound: int,
    reached: float,
    between: Sequence[int] = (),
) -> Case:
    values: dict[str, Any] = {"steps": steps} | ({"between": sorted(between)} if between else {})
    values |= {"t_min": t_min, "t_max": t_max, "t_bound": t_bound, "bound_reached": reached}
    names = ("batch", "step", "steps", "t_min", "t_max", "t_bound", "bound_reached", "generator")
    return DrawsCase(names, values=values)


def sdxl_grad(inputs: RandomInputs) -> Case:
    """Each latent shows something of both drawings and is asked for the one it shows less of.

    The depths act in the second half of the way alone: on the latents of small t. What the network
    is told of the size is another than 8 times the latents'.
    """
    means, which = means_of(inputs), asked(inputs)
    x0 = mixed(means, which, inputs.numbers([0.4, 0.4], (0.3, 0.45)))
    x0 = detailed(inputs, 22, x0)
    height, width = inputs.size
    controls, pictures = edges_and_depths(inputs, mixed(means, which, [1.0] * len(x0))[:, :3])
    other = prompts([1 - i for i in which], NAMES)
    return ValueCase(
        ("prior", "x0", "t", "eps", "text", "uncond", "guidance_scale", "size", "controls"),
        {"x0": x0, "t": timesteps(inputs), "eps": inputs.noise(17, x0)} | pictures,
        controls=controls,
        values={
            "guidance_scale": guidance_scale(inputs),
            "size": [inputs.whole(8 * side, (100, 999)) for side in (height, width)],
        }
        | ({} if pictures else {"controls": []}),
        prompts={
            "text": prompts(which, NAMES),
            "uncond": inputs.of_kind({SINGLE: other}, [""] * len(x0)),
        },
        regions=inputs.of_kind({LATE: {"text": 2.0}}, {}),
        mixture=mixture_of(means, NAMES),
        with_graph=("x0",),
    )


CASES: dict[str, Draws] = {
    "pixelart.paint": of_circumstances(
        paint,
        {
            "with one picture in two pure colours": with_two_pure_colours,
            "with a palette of 12 colours": with_twelve_colours,
            "with a palette for each picture": with_a_palette_for_each_picture,
        },
        inputs=RandomInputs,
    ),
    "pixelart.gumbel_softmax": of_circumstances(
        gumbel_softmax,
        {
            "with one picture and two colours": with_two_colours,
            "with colours that are rarely wanted": with_rare_colours,
        },
        inputs=RandomInputs,
    ),
    "pixelart.straight_through": of_circumstances(
        straight_through,
        {
            "with one picture and two colours": with_two_logits,
            "with logits that are far apart, or equal": with_logits_far_apart,
        },
        inputs=RandomInputs,
    ),
    "pixelart.logits_from_image": of_circumstances(
        logits_from_image,
        {
            "with one picture and two colours": with_two_colours_to_start_from,
            "with a palette of 12 colours": with_twelve_colours_to_start_from,
            "with a palette of four equal colours": with_a_palette_of_one_colour,
        },
        inputs=RandomInputs,
    ),
    "pixelart.kmeans_step": of_circumstances(
        kmeans_step,
        {
            "with one centre": with_one_centre,
            "with more centres than pixels": with_more_centres_than_pixels,
            "with many pixels": with_many_pixels,
        },
        inputs=RandomInputs,
    ),
    "pixelart.fft_loss": of_circumstances(
        fft_loss,
        {
            "with one narrow picture": with_one_narrow_picture,
            "with a grey picture beside another": with_a_grey_picture,
            "with a picture of 16 × 8": upright,
            "with a picture of 8 × 16": lying,
        },
        inputs=RandomInputs,
    ),
    "pixelart.bounded_timesteps": of_circumstances(
        bounded_timesteps,
        {
            "with a bound that falls fast": with_a_steep_fall,
            "with t_min and t_bound 0": with_a_fall_to_nought,
            "with bound_reached 1": with_a_fall_over_the_run,
            "with a run of a single step": with_one_step,
            "with bound_reached 0": with_no_fall,
        },
        inputs=RandomInputs,
    ),
    "pixelart.sdxl_grad": of_words(
        sdxl_grad,
        {
            SEVERAL: "",
            SINGLE: "with one picture of 4 channels and a negative prompt",
            EARLY: "with almost no noise and without controls",
            LATE: "with almost only noise and a region for the prompt",
        },
        inputs=RandomInputs,
    ),
}
