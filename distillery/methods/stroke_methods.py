"""The methods of stage 5 by name: where each begins, and what it changes on the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from distillery.core.errors import CourseError
from distillery.methods import gradop, low_frequencies, sdedit, x0_guidance
from distillery.methods.guided_ddim import BEGINNING, Change, Noise
from distillery.methods.strokes import Decode, Paint, Painting, StrokeFunctions, first_step


@dataclass(frozen=True)
class Knobs:
    """What can be set. Which of them a method has, `KNOBS` says.

    strength: the part of the way from noise that is left when the method begins to act, above 0 and
        up to 1. SDEdit also begins its way there.
    end: the part that is left when it ceases to act, from 0 and below `strength`.
    num_iterative_steps: how many steps are followed by a burst of optimisation.
    grad_steps_per_iter: how many steps of Adam a burst has.
    learning_rate: of Adam, in units of the latents.
    weight: of the guidance inside a step, times alpha_bar: so x0 moves by weight * (1 - alpha_bar)
        along its own gradient, less as it becomes certain.
    width: of the low-pass filter on latents, as a part of their shorter side; where the filter
        fades, at first.
    last_width: the width at the last step before `end`; between them it grows by a constant factor
        a step.
    """

    strength: float = 0.8
    end: float = 0.0
    num_iterative_steps: int = 3
    grad_steps_per_iter: int = 12
    learning_rate: float = 0.1
    weight: float = 1.0
    width: float = 0.6 / 16
    last_width: float = 0.6 / 16


KNOBS: Mapping[str, tuple[str, ...]] = {
    "sdedit": ("strength",),
    "sdedit-stochastic": ("strength", "end"),
    "gradop+": ("strength", "num_iterative_steps", "grad_steps_per_iter", "learning_rate"),
    "gradop+x0": ("strength", "num_iterative_steps", "grad_steps_per_iter", "learning_rate"),
    "low-frequencies": ("strength", "end", "width"),
    "fading-frequencies": ("strength", "end", "width", "last_width"),
    "x0-guidance": ("strength", "end", "weight"),
}
METHODS = tuple(KNOBS)
DEFAULTS: Mapping[str, Knobs] = {
    "sdedit": Knobs(strength=0.8),
    "sdedit-stochastic": Knobs(strength=0.6, end=0.5),
    "gradop+": Knobs(strength=0.8),
    "gradop+x0": Knobs(strength=0.8),
    "low-frequencies": Knobs(strength=0.95, end=0.7),
    "fading-frequencies": Knobs(strength=0.95, end=0.7, width=0.45 / 16, last_width=0.9 / 16),
    "x0-guidance": Knobs(strength=0.95, end=0.5),
}
NEED_DECODER = ("gradop+", "gradop+x0", "x0-guidance")  # its gradient; the others stay in latents


@dataclass(frozen=True)
class Beginning:
    """What `guided_ddim.steered` needs of a method.

    xt: the latents (B, C, h, w) at timesteps[start].
    start: index of the first step.
    change: what is changed after each step.
    """

    xt: Tensor
    start: int
    change: Change


def begin(
    name: str,
    functions: StrokeFunctions,
    painting: Painting,
    knobs: Knobs,
    *,
    timesteps: Tensor,
    alphas_cumprod: Tensor,
    noise: Noise,
    decode: Decode,
    paint: Paint,
) -> Beginning:
    """Make a method ready to run.

    Every step depends on its index, its latents and `noise` alone. To go on after a step, begin
    anew with the same arguments, and take the saved latents and the step's index + 1 in place of
    the beginning's.

    Args:
        name: one of `METHODS`.
        functions: the student's module.
        painting: for the B pictures.
        knobs: those that the method does not have are left unread.
        timesteps: int64 (steps + 1,), a whole way from noise.
        alphas_cumprod: alpha_bar of every timestep, (T,).
        noise: fresh noise (B, C, h, w) of an index, `guided_ddim.fresh_noise`.
        decode: latents to images with a graph: the decoder, or a linear map.
        paint: the painting operator of the faithfulness loss.

    Raises:
        CourseError: there is no such method, or the knobs leave it no step.
    """
    steps = len(timesteps) - 1
    check(name, knobs, steps=steps)
    first, end = first_step(steps, knobs.strength), first_step(steps, knobs.end)
    way = {"timesteps": timesteps, "alphas_cumprod": alphas_cumprod}

    if name.startswith("sdedit"):
        xt, start, change = sdedit.started(functions, painting, first, **way, noise=noise)
        if name == "sdedit-stochastic":
            fresh = sdedit.stochastic(first, end, **way, noise=noise)
            return Beginning(xt, start, _by_index(first, change, fresh))
        return Beginning(xt, start, change)

    pure = noise(BEGINNING)
    if name.endswith("-frequencies"):
        last_width = knobs.last_width if name == "fading-frequencies" else knobs.width
        widths = even_widths(knobs.width, last_width, first, end)

        def paint_of(index: int) -> Paint:
            return lambda latents: functions.paint(latents, widths[index])

        replaced = low_frequencies.replaced_between(
            first, end, painting, paint_of=paint_of, **way, noise=noise
        )
        return Beginning(pure, 0, replaced)
    loss_of = gradop.loss_on(functions, painting, decode=decode, paint=paint)
    if name == "x0-guidance":

        def weight_of(index: int) -> float:
            alpha_bar = float(alphas_cumprod[timesteps[index]])
            return knobs.weight * alpha_bar if first <= index < end else 0.0

        return Beginning(
            pure, 0, x0_guidance.guided(functions, painting, loss_of, weight_of, **way)
        )
    bursts = gradop.Bursts(
        first, knobs.num_iterative_steps, knobs.grad_steps_per_iter, knobs.learning_rate
    )
    start_of = gradop.as_released if name == "gradop+" else gradop.on_x0
    changed = gradop.with_bursts(functions, painting, loss_of, bursts, start_of, **way, noise=noise)
    return Beginning(pure, 0, changed)


def even_widths(width: float, last_width: float, first: int, end: int) -> dict[int, float]:
    """Index -> width, from `width` at the step `first` to `last_width` at the one before `end`."""
    growth = (last_width / width) ** (1 / max(1, end - 1 - first))
    return {index: width * growth ** (index - first) for index in range(first, end)}


def _by_index(first: int, before: Change, after: Change) -> Change:
    """One change for the steps before `first`, another from there on."""
    return lambda its: (before if its.index < first else after)(its)


def check(name: str, knobs: Knobs, *, steps: int) -> None:
    """Refuse an unknown method, and knobs that leave it no step to act in.

    Raises:
        CourseError: as said.
    """
    if name not in METHODS:
        raise CourseError(f"unknown method {name!r}: choose {', '.join(METHODS)}.")
    if not 0 < knobs.strength <= 1:
        raise CourseError(f"strength must be above 0 and at most 1; it is {knobs.strength!r}.")
    if first_step(steps, knobs.strength) == steps:
        raise CourseError(
            f"a strength of {knobs.strength:g} leaves none of the {steps} steps to take; raise it "
            f"to {1 / steps:g}, or take more steps."
        )
    if "end" in KNOBS[name] and not 0 <= knobs.end < knobs.strength:
        raise CourseError(
            f"end must be from 0 to below the strength, {knobs.strength:g}; it is {knobs.end!r}."
        )
