"""The optimisation loop as a generator: whoever iterates decides when to look and when to stop."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn

from distillery.core.errors import CourseError
from distillery.core.files import atomic_write
from distillery.methods.settings import Settings
from distillery.models.prior import Prior
from distillery.runs.canvas import Canvas

LossFunction = Callable[[Tensor, int], Tensor]
Closure = Callable[[], Tensor]


class Schedule(Protocol):
    """What the loop reads of a run's settings, a dataclass of its method."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def steps(self) -> int: ...

    @property
    def learning_rate(self) -> float: ...

    @property
    def warmup(self) -> int: ...


@dataclass(frozen=True)
class Step:
    """One step done: the canvas is as it is after this step.

    `loss` stays on its device; reading it as a number waits for the device. Nothing may be drawn
    from the loop's generator between steps, or a resumed run would differ.
    """

    index: int
    loss: Tensor
    canvas: Canvas
    optimiser: torch.optim.Optimizer
    generator: torch.Generator
    settings: Schedule
    companion: Companion | None = None


def learning_rate_at(index: int, settings: Schedule) -> float:
    """Linear warm-up to `settings.learning_rate`, then half a cosine down towards zero."""
    if index < settings.warmup:
        return settings.learning_rate * (index + 1) / settings.warmup
    progress = (index - settings.warmup) / (settings.steps - settings.warmup)
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))


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
    """A model that learns beside the canvas, as VSD's LoRA does.

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


def distill(
    canvas: Canvas,
    loss_fn: LossFunction,
    *,
    prior: Prior,
    settings: Schedule,
    generator: torch.Generator,
    companion: Companion | None = None,
    resume: Checkpoint | None = None,
    effort: float = 1.0,
) -> Iterator[Step]:
    """Optimise `canvas` with AdamW, one step at a time.

    Args:
        loss_fn: `loss_fn(x0, index)` with x0 `(B, C, h, w)` gives the scalar to descend.
        generator: the one that `loss_fn` draws from; it is put back where `resume` left it.
        companion: learns in turn with the canvas.
        resume: goes on after that step, and gives the same picture bit for bit.
        effort: the share of the steps that are computed, evenly spread; at the others the canvas
            stays as it is. For trying out what watches a run.
    """
    optimiser = torch.optim.AdamW(canvas.parameters(), settings.learning_rate, weight_decay=0)
    start = 0
    if resume is not None:
        _restore(resume, canvas, optimiser, generator, companion)
        start = resume.index + 1
    for index in range(start, settings.steps):
        if index == start or int((index + 1) * effort) > int(index * effort):
            for group in optimiser.param_groups:
                group["lr"] = learning_rate_at(index, settings)
            loss = _step(canvas, loss_fn, index, prior, optimiser, companion)
        yield Step(index, loss.detach(), canvas, optimiser, generator, settings, companion)


def _restore(
    checkpoint: Checkpoint,
    canvas: Canvas,
    optimiser: torch.optim.Optimizer,
    generator: torch.Generator,
    companion: Companion | None,
) -> None:
    try:
        canvas.load_state_dict(checkpoint.canvas)
        optimiser.load_state_dict(checkpoint.optimiser)
        generator.set_state(checkpoint.generator)
        if companion is not None:
            companion.model.load_state_dict(checkpoint.companion["model"])
            companion.optimiser.load_state_dict(checkpoint.companion["optimiser"])
    # PyTorch says what does not fit at length, and in a type for each kind of misfit.
    except (RuntimeError, ValueError, KeyError) as error:
        raise CourseError(
            "cannot resume: the checkpoint is of another model, whose latents or LoRA have other "
            "shapes; take the model it was made with, or remove the checkpoint to start anew."
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
    x0 = prior.encode(rendered) if canvas.space == "images" else rendered
    if companion is not None:
        own_loss = companion.loss
        return companion.alternate(
            lambda: loss_fn(x0, index),
            lambda: own_loss(x0, index),
            optimiser,
            companion.optimiser,
        )
    loss = loss_fn(x0, index)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return loss


@dataclass(frozen=True)
class Checkpoint:
    """What a run needs to go on after step `index`: the states of its parts, and its losses."""

    index: int
    canvas: dict[str, Any]
    optimiser: dict[str, Any]
    generator: Tensor
    losses: list[float]
    companion: dict[str, Any]


def save_checkpoint(path: Path, step: Step, losses: Sequence[float] = ()) -> None:
    """Write the run's state after `step`, whole or not at all.

    `losses` are those of the whole run so far, for whoever draws their curve.

    Raises:
        CourseError: the disk is full or the folder cannot be written.
    """
    state = {
        "settings": asdict(step.settings),
        "index": step.index,
        "canvas": step.canvas.state_dict(),
        "optimiser": step.optimiser.state_dict(),
        "generator": step.generator.get_state(),
        "losses": list(losses),
        "companion": _companion_state(step.companion),
    }
    buffer = io.BytesIO()
    torch.save(state, buffer)
    atomic_write(path, buffer.getvalue())


def _companion_state(companion: Companion | None) -> dict[str, Any]:
    if companion is None:
        return {}
    return {
        "model": companion.model.state_dict(),
        "optimiser": companion.optimiser.state_dict(),
    }


def load_checkpoint(path: Path, settings: Schedule) -> Checkpoint:
    """Read a run's state.

    Raises:
        CourseError: the file cannot be read, or belongs to a run with other settings.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        saved = state.pop("settings")
        checkpoint = Checkpoint(**state)
    # A damaged file can fail anywhere between unzipping and unpickling.
    except Exception as error:
        raise CourseError(
            f"cannot resume from {path}: it is missing or damaged; remove it to start anew."
        ) from error
    wanted = asdict(settings)
    differing = [name for name in wanted if saved.get(name) != wanted[name]]
    if differing:
        name = differing[0]
        raise CourseError(
            f"cannot resume from {path}: its {name} is {saved.get(name)!r} and the run's is "
            f"{wanted[name]!r}; repeat its settings, or remove the file to start anew."
        )
    return checkpoint
