"""The optimisation loop as a generator: its consumer decides when to look and when to stop."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from distillery.core.errors import CourseError
from distillery.core.images import Picture
from distillery.methods.settings import Settings
from distillery.models.prior import Prior
from distillery.runs.canvas import Canvas
from distillery.runs.run import Checkpoint, Step
from distillery.runs.training import warmup_cosine

LossFunction = Callable[[Tensor, int], Tensor]
Closure = Callable[[], Tensor]


class Schedule(Protocol):
    """What the loop reads of a run's settings."""

    @property
    def steps(self) -> int: ...

    @property
    def learning_rate(self) -> float: ...

    @property
    def warmup(self) -> int: ...


def learning_rate_at(index: int, settings: Schedule) -> float:
    """Linear warm-up to `settings.learning_rate`, then half a cosine down towards zero."""
    return warmup_cosine(
        index, steps=settings.steps, warmup=settings.warmup, peak=settings.learning_rate
    )


def objective(
    loss: Callable[..., Tensor],
    prior: Prior,
    *,
    prompts: Sequence[str],
    settings: Settings,
    generator: torch.Generator,
    **given: Any,
) -> LossFunction:
    """A method's `loss` for one latent a prompt, as `distill` wants it.

    `given` goes on to the loss: an edit's `source`, VSD's `lora`.
    """
    text = prior.embed(prompts)
    uncond = prior.embed([settings.negative_prompt] * len(prompts))

    def loss_fn(x0: Tensor, index: int) -> Tensor:
        return loss(
            prior,
            x0,
            text=text,
            uncond=uncond,
            step=index,
            settings=settings,
            generator=generator,
            **given,
        )

    return loss_fn


@dataclass(frozen=True)
class Companion:
    """A model that learns together with the canvas, as VSD's LoRA does.

    model:     whose parameters learn.
    optimiser: steps them.
    loss:      `loss(x0, index)` with x0 `(B, C, h, w)`, what they learn by.
    alternate: `alternate(particle_loss, own_loss, particle_optimiser, own_optimiser)` takes one
               step of both and returns the particles' loss.
    """

    model: nn.Module
    optimiser: torch.optim.Optimizer
    loss: LossFunction
    alternate: Callable[[Closure, Closure, torch.optim.Optimizer, torch.optim.Optimizer], Tensor]


@dataclass(frozen=True, kw_only=True)
class CanvasStep(Step):
    """One step of an optimisation: the canvas is as it is after the latest one."""

    canvas: Canvas
    companion: Companion | None = None

    @property
    def loss(self) -> Tensor:
        """The scalar that the step descended, on its device."""
        return self.figures["loss"]


def distill(
    canvas: Canvas,
    loss_fn: LossFunction,
    *,
    prior: Prior,
    settings: Schedule,
    generator: torch.Generator,
    companion: Companion | None = None,
    resume: Checkpoint | None = None,
    picture: Callable[[], Picture] | None = None,
    effort: float = 1.0,
) -> Iterator[CanvasStep]:
    """Optimise `canvas` with AdamW, one step at a time.

    Args:
        loss_fn: `loss_fn(given, index)` gives the scalar to descend. `given` is x0 (B, C, h, w)
            of a canvas of latents or images, and the logits (B, K, h, w) of one of logits.
        generator: the one that `loss_fn` draws from; it is put back where `resume` left it.
        companion: learns in turn with the canvas.
        resume: goes on after that step, and gives the same picture bit for bit.
        picture: what the steps show of the canvas; by default its images.
        effort: the share of the steps that are computed, evenly spread; at the others the canvas
            stays as it is. For trying out what watches a run.

    Raises:
        CourseError: the state of `resume` does not fit the canvas or the companion.
    """
    optimiser = torch.optim.AdamW(canvas.parameters(), settings.learning_rate, weight_decay=0)

    def state() -> dict[str, Any]:
        return {
            "canvas": canvas.state_dict(),
            "optimiser": optimiser.state_dict(),
            "generator": generator.get_state(),
            "companion": _companion_state(companion),
        }

    start = 0
    if resume is not None:
        _restore(resume.state, canvas, optimiser, generator, companion)
        start = resume.index + 1
    for index in range(start, settings.steps):
        if index == start or int((index + 1) * effort) > int(index * effort):
            for group in optimiser.param_groups:
                group["lr"] = learning_rate_at(index, settings)
            loss = _step(canvas, loss_fn, index, prior, optimiser, companion)
        yield CanvasStep(
            index,
            settings.steps,
            picture or (lambda: images_of(canvas, prior)),
            {"loss": loss.detach()},
            state,
            canvas=canvas,
            companion=companion,
        )


@torch.no_grad()
def images_of(canvas: Canvas, prior: Prior) -> Tensor:
    """What a canvas of latents or images shows, (B, 3, H, W)."""
    rendered = canvas.render()
    return prior.decode(rendered) if canvas.space == "latents" else rendered


def _companion_state(companion: Companion | None) -> dict[str, Any]:
    if companion is None:
        return {}
    return {
        "model": companion.model.state_dict(),
        "optimiser": companion.optimiser.state_dict(),
    }


def _restore(
    state: dict[str, Any],
    canvas: Canvas,
    optimiser: torch.optim.Optimizer,
    generator: torch.Generator,
    companion: Companion | None,
) -> None:
    try:
        canvas.load_state_dict(state["canvas"])
        optimiser.load_state_dict(state["optimiser"])
        generator.set_state(state["generator"])
        if companion is not None:
            companion.model.load_state_dict(state["companion"]["model"])
            companion.optimiser.load_state_dict(state["companion"]["optimiser"])
    # PyTorch reports a mismatch at length, with a different exception for each kind.
    except (RuntimeError, ValueError, KeyError) as error:
        raise CourseError(
            "cannot resume: the checkpoint is of another model, whose latents or LoRA have other "
            "shapes; take the model it was made with, or remove the checkpoint to start again."
        ) from error


def _step(
    canvas: Canvas,
    loss_fn: LossFunction,
    index: int,
    prior: Prior,
    optimiser: torch.optim.Optimizer,
    companion: Companion | None,
) -> Tensor:
    rendered = canvas.render()
    given = prior.encode(rendered) if canvas.space == "images" else rendered
    if companion is not None:
        own_loss = companion.loss
        return companion.alternate(
            lambda: loss_fn(given, index),
            lambda: own_loss(given, index),
            optimiser,
            companion.optimiser,
        )
    loss = loss_fn(given, index)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return loss
