"""The methods of stage 5 by name: where each begins, and what it changes on the way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from torch import Tensor

from distillery.core.errors import CourseError
from distillery.core.names import meant
from distillery.methods import gradop, low_frequencies, sdedit, x0_guidance
from distillery.methods.guided_ddim import BEGINNING, Change, Noise, Prediction, first_step
from distillery.methods.strokes import Decode, Paint, Painting, StrokeFunctions


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
    width: of the low-pass filter on latents, as a part of their shorter side.
    """

    strength: float = 0.8
    end: float = 0.0
    num_iterative_steps: int = 3
    grad_steps_per_iter: int = 12
    learning_rate: float = 0.1
    weight: float = 1.0
    width: float = 0.6 / 16


KNOBS: Mapping[str, tuple[str, ...]] = {
    "sdedit": ("strength",),
    "sdedit-stochastic": ("strength", "end"),
    "gradop+": ("strength", "num_iterative_steps", "grad_steps_per_iter", "learning_rate"),
    "gradop+x0": ("strength", "num_iterative_steps", "grad_steps_per_iter", "learning_rate"),
    "low-frequencies": ("strength", "end", "width"),
    "x0-guidance": ("strength", "end", "weight"),
}
METHODS = tuple(KNOBS)
DEFAULTS: Mapping[str, Knobs] = {
    "sdedit": Knobs(strength=0.8),
    "sdedit-stochastic": Knobs(strength=0.6, end=0.5),
    "gradop+": Knobs(strength=0.8),
    "gradop+x0": Knobs(strength=0.8),
    "low-frequencies": Knobs(strength=0.95, end=0.7),
    "x0-guidance": Knobs(strength=0.95, end=0.5),
}
NEED_DECODER = ("gradop+", "gradop+x0", "x0-guidance")  # the others stay in latents


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
    check(name, knobs, steps=len(timesteps) - 1)
    loss_of = gradop.loss_on(functions, painting, decode=decode, paint=paint)
    task = _Task(functions, painting, knobs, timesteps, alphas_cumprod, noise, loss_of)
    return _BEGINNINGS[name](task)


@dataclass(frozen=True)
class _Task:
    """What `begin` was given, for the method's own beginning."""

    functions: StrokeFunctions
    painting: Painting
    knobs: Knobs
    timesteps: Tensor
    alphas_cumprod: Tensor
    noise: Noise
    loss_of: Callable[[Tensor], Tensor]

    @property
    def way(self) -> dict[str, Tensor]:
        """The levels, as all methods name them."""
        return {"timesteps": self.timesteps, "alphas_cumprod": self.alphas_cumprod}

    @property
    def steps(self) -> int:
        """Of a whole way."""
        return len(self.timesteps) - 1

    @property
    def first(self) -> int:
        """The index of the first step at which the method acts."""
        return first_step(self.steps, self.knobs.strength)

    @property
    def end(self) -> int:
        """The index of the first step at which it does no more."""
        return first_step(self.steps, self.knobs.end)

    def from_noise(self, change: Change) -> Beginning:
        """A whole way, from pure noise."""
        return Beginning(self.noise(BEGINNING), 0, change)


def _sdedit(task: _Task) -> Beginning:
    xt, start, change = sdedit.started(
        task.functions, task.painting, task.first, **task.way, noise=task.noise
    )
    return Beginning(xt, start, change)


def _sdedit_stochastic(task: _Task) -> Beginning:
    begun = _sdedit(task)
    fresh = sdedit.stochastic(task.first, task.end, **task.way, noise=task.noise)

    def change(its: Prediction) -> Tensor:
        return (begun.change if its.index < task.first else fresh)(its)

    return replace(begun, change=change)


def _low_frequencies(task: _Task) -> Beginning:
    def paint(latents: Tensor) -> Tensor:
        return task.functions.paint(latents, task.knobs.width)

    return task.from_noise(
        low_frequencies.replaced_between(
            task.first, task.end, task.painting, paint=paint, **task.way, noise=task.noise
        )
    )


def _gradop(start_of: Callable[[Prediction], Tensor], task: _Task) -> Beginning:
    knobs = task.knobs
    bursts = gradop.Bursts(
        task.first, knobs.num_iterative_steps, knobs.grad_steps_per_iter, knobs.learning_rate
    )
    changed = gradop.with_bursts(
        task.functions,
        task.painting,
        task.loss_of,
        bursts,
        start_of,
        **task.way,
        noise=task.noise,
    )
    return task.from_noise(changed)


def _x0_guidance(task: _Task) -> Beginning:
    def weight_of(index: int) -> float:
        alpha_bar = float(task.alphas_cumprod[task.timesteps[index]])
        return task.knobs.weight * alpha_bar if task.first <= index < task.end else 0.0

    return task.from_noise(
        x0_guidance.guided(task.functions, task.painting, task.loss_of, weight_of, **task.way)
    )


_BEGINNINGS: Mapping[str, Callable[[_Task], Beginning]] = {
    "sdedit": _sdedit,
    "sdedit-stochastic": _sdedit_stochastic,
    "gradop+": partial(_gradop, gradop.as_released),
    "gradop+x0": partial(_gradop, gradop.on_x0),
    "low-frequencies": _low_frequencies,
    "x0-guidance": _x0_guidance,
}


def check(name: str, knobs: Knobs, *, steps: int) -> None:
    """Refuse an unknown method, and knobs that leave it no step to act in.

    Raises:
        CourseError: as said.
    """
    if name not in METHODS:
        raise CourseError(
            f"unknown method {name!r}: choose {', '.join(METHODS)}{meant(name, METHODS)}."
        )
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
