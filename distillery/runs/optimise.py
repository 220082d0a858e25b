"""The optimisation loop as a generator: whoever iterates decides when to look and when to stop."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Protocol

import torch
import yaml
from torch import Tensor, nn

from distillery.core.errors import CourseError
from distillery.core.files import atomic_write
from distillery.core.validation import check_real, check_text, check_whole, read_settings
from distillery.models.presets import find_preset, guidance_default
from distillery.models.prior import Prior
from distillery.runs.canvas import Canvas

IMPLEMENTATIONS = ("reference", "guidance")
TEXTS = (
    "prompt",
    "negative_prompt",
    "edit_prompt",
    "src_img_path",
    "loss_type",
    "model",
    "implementation",
    "device",
)
MODEL_DEFAULT: Any = None  # replaced by the preset's value, so that a saved run names its number

LossFunction = Callable[[Tensor, int], Tensor]
Closure = Callable[[], Tensor]


@dataclass(frozen=True)
class Settings:
    """Everything that decides a picture; what is left out takes the model's default.

    prompt:         what to draw; of an edit, what the source shows.
    edit_prompt:    what an edit shall show.
    src_img_path:   the picture that an edit starts from; without it the model draws one.
    loss_type:      a name of `catalogue.METHODS`.
    model:          a preset's name or a diffusers folder.
    implementation: "reference" (the course's) or "guidance" (the student's).
    guidance_scale: s in eps_uncond + s * (eps_text - eps_uncond).
    particles:      how many pictures of the prompt are distilled together.
    warmup:         steps over which the learning rate rises, by default a tenth of all.
    t_min, t_max:   range of the timesteps, both included.
    identity:       factor on PDS's pull towards the source.
    lora_rank, lora_learning_rate: of VSD's LoRA.
    device:         where it is drawn; the same seed gives another picture on another device.

    Raises:
        CourseError: a value is of the wrong kind or out of its range.
    """

    prompt: str
    edit_prompt: str = ""
    src_img_path: str = ""
    negative_prompt: str = ""
    loss_type: str = "sds"
    model: str = "tiny-sd"
    implementation: str = "guidance"
    guidance_scale: float = MODEL_DEFAULT
    steps: int = MODEL_DEFAULT
    seed: int = 0
    particles: int = 1
    learning_rate: float = MODEL_DEFAULT
    warmup: int = MODEL_DEFAULT
    t_min: int = 20
    t_max: int = 980
    identity: float = MODEL_DEFAULT
    lora_rank: int = 4
    lora_learning_rate: float = MODEL_DEFAULT
    device: str = "auto"

    def __post_init__(self) -> None:
        for name in TEXTS:
            check_text(name, getattr(self, name))
        if not self.prompt.strip():
            raise CourseError("the prompt is empty: say in a few words what to draw.")
        if self.implementation not in IMPLEMENTATIONS:
            raise CourseError(
                f"unknown implementation {self.implementation!r}: "
                f"choose {' or '.join(IMPLEMENTATIONS)}."
            )
        self._fill_in_defaults()
        check_real("guidance_scale", self.guidance_scale)
        check_real("identity", self.identity)
        check_real("learning_rate", self.learning_rate, above=0)
        check_real("lora_learning_rate", self.lora_learning_rate, above=0)
        check_whole("lora_rank", self.lora_rank, 1, 10_000)
        check_whole("particles", self.particles, 1, 1000)
        check_whole("steps", self.steps, 1, 1_000_000)
        check_whole("warmup", self.warmup, 0, self.steps)
        check_whole("seed", self.seed, 0, 2**63 - 1)
        check_whole("t_max", self.t_max, 0, 999)
        check_whole("t_min", self.t_min, 0, self.t_max)

    def _fill_in_defaults(self) -> None:
        preset = find_preset(self.model)
        defaults = {
            "guidance_scale": guidance_default(self.model, self.loss_type),
            "steps": preset.steps,
            "learning_rate": preset.learning_rate,
            "identity": preset.identity,
            "lora_learning_rate": preset.lora_learning_rate,
        }
        for name, value in defaults.items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)
        if self.warmup is None and isinstance(self.steps, int):
            object.__setattr__(self, "warmup", self.steps // 10)

    @property
    def title(self) -> str:
        """What the finished picture shall show."""
        return self.edit_prompt or self.prompt

    def save(self, path: Path) -> None:
        """Write the settings as YAML; raises `CourseError` where that is impossible."""
        atomic_write(path, yaml.safe_dump(asdict(self), sort_keys=False, allow_unicode=True))

    @classmethod
    def load(cls, path: Path, **changes: Any) -> Settings:
        """Read settings that `save` wrote, or that were written by hand, and change some of them.

        A changed number of steps sets the warm-up anew.

        Raises:
            CourseError: the file is missing, is not YAML, or holds an unknown or unfit setting.
        """
        known = [field.name for field in fields(cls)]
        values = read_settings(path, known, needed=["prompt"])
        if "steps" in changes:
            values.pop("warmup", None)
        return cls(**{**values, **changes})


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
) -> Iterator[Step]:
    """Optimise `canvas` with AdamW, one step at a time.

    Args:
        loss_fn: `loss_fn(x0, index)` with x0 `(B, C, h, w)` gives the scalar to descend.
        generator: the one that `loss_fn` draws from; it is put back where `resume` left it.
        companion: learns in turn with the canvas.
        resume: goes on after that step, and gives the same picture bit for bit.
    """
    optimiser = torch.optim.AdamW(canvas.parameters(), settings.learning_rate, weight_decay=0)
    start = 0
    if resume is not None:
        _restore(resume, canvas, optimiser, generator, companion)
        start = resume.index + 1
    for index in range(start, settings.steps):
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
