"""What the command line makes of the stream of steps: one picture, and how it came about.

    outputs/a_red_boat.png          the picture, of several particles the first; written last
    outputs/a_red_boat/             frames/, making.gif, loss.csv, loss.png and run.yaml;
                                    of several particles particles/, of an edit source.png
    outputs/a_red_boat~unfinished/  frames, settings and checkpoint of a run that is not done
    outputs/sources/                sources of edits that were drawn because none was given

What an earlier run left stays as it is until this one is done, and a run that goes on from its
checkpoint leaves the same bytes as one that was never stopped.
"""

from __future__ import annotations

import hashlib
import io
import math
import shutil
import signal
import sys
import textwrap
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from distillery.core.errors import CourseError
from distillery.core.files import atomic_write, prompt_to_filename
from distillery.core.images import from_pil, load_image, save_gif, save_png, to_png_bytes
from distillery.methods.registry import METHODS
from distillery.methods.settings import Settings
from distillery.methods.source_image import Source, drawn_source, load_source
from distillery.models.presets import suits
from distillery.models.prior import Prior
from distillery.runs.canvas import Canvas, LatentCanvas
from distillery.runs.optimise import (
    Checkpoint,
    Step,
    distill,
    load_checkpoint,
    objective,
    save_checkpoint,
)

FRAMES = 40
FRAMES_PER_SECOND = 12
CHECKPOINT_SECONDS = 5.0


@dataclass(frozen=True)
class Place:
    """Where the files of a prompt lie, under the folder `out`."""

    out: Path
    prompt: str

    @property
    def picture(self) -> Path:
        return self.out / f"{self._stem}.png"

    @property
    def folder(self) -> Path:
        return self.out / self._stem

    @property
    def unfinished(self) -> Path:
        # No stem can end so, because the encoding escapes the tilde of a prompt.
        return self.out / f"{self._stem}~unfinished"

    @property
    def _stem(self) -> str:
        return prompt_to_filename(self.prompt)


@dataclass(frozen=True)
class Begun:
    """A run before its first step: the canvas, the steps to come, and files to keep of it.

    kept: name -> bytes of what lies beside the result from the start, an edit's source.
    """

    canvas: Canvas
    stream: Callable[[Checkpoint | None], Iterator[Step]]
    kept: dict[str, bytes]


def draw(prior: Prior, method: ModuleType, settings: Settings, *, out: Path) -> Place:
    """Distil the picture that the settings ask for into the folder `out`, with a progress bar.

    A run that was stopped goes on from its checkpoint, unless the code of `method` or the source
    picture has changed since; then it starts anew.

    Args:
        method: the module of `settings.loss_type`, from `guidance`, `reference` or the course.

    Raises:
        CourseError: a file cannot be read or written, or there is a checkpoint of a run with other
            settings.
        KeyboardInterrupt: Ctrl-C, after the step under way is done and its checkpoint saved.
    """
    place = Place(out, settings.title)
    begun = _begin(prior, method, settings, out)
    checkpoint = place.unfinished / f"checkpoint-{_fingerprint(method, begun.kept)}.pt"
    # A run of another method or of other settings is not lost to this one; it is refused.
    found = {path: load_checkpoint(path, settings) for path in checkpoints_in(place.unfinished)}
    resume = found.get(checkpoint)
    losses = _follow(begun.stream(resume), prior, settings, place, checkpoint, resume)
    _finish(prior.decode(begun.canvas.render()), losses, settings, place, begun.kept)
    return place


def drawn(
    prior: Prior, method: ModuleType, settings: Settings, *, out: Path = Path("outputs")
) -> Tensor:
    """The pictures of a run that leaves no files, (B, 3, H, W), bit for bit those of `draw`.

    Args:
        out: the folder that `draw` would draw into; a source that is drawn lies there.

    Raises:
        CourseError: the source of an edit cannot be used.
    """
    begun = _begin(prior, method, settings, out)
    for _ in begun.stream(None):
        pass
    return prior.decode(begun.canvas.render().detach())


def begun_by_reference(settings: Settings, out: Path) -> bool:
    """Whether the reference was stopped in `out` at what the settings ask for."""
    try:
        found = Settings.load(Place(out, settings.title).unfinished / "run.yaml")
    except CourseError:
        return False
    return found == replace(settings, implementation="reference")


def checkpoints_in(folder: Path) -> list[Path]:
    try:
        return sorted(folder.glob("checkpoint-*.pt"))
    except OSError:  # a folder that may not be entered; writing there will say so better
        return []


def check_edit(settings: Settings) -> None:
    """Refuse an edit that lacks its prompt, and a drawing that is given one or a source picture.

    Raises:
        CourseError: says which.
    """
    if not METHODS[settings.loss_type].edits:
        if settings.edit_prompt or settings.src_img_path:
            editing = [name for name, method in METHODS.items() if method.edits]
            raise CourseError(
                f"{settings.loss_type} draws from noise and edits nothing; leave the edit prompt "
                f"and the source picture out, or choose {' or '.join(editing)}."
            )
        return
    if not settings.edit_prompt.strip():
        raise CourseError(
            f"{settings.loss_type} edits a picture: give the prompt of the source and the edit "
            "prompt, and the path of the source picture unless the model shall draw it."
        )
    if settings.edit_prompt.strip() == settings.prompt.strip():
        raise CourseError(
            "the edit prompt is the same as the prompt, so there is nothing to change; say in the "
            "edit prompt what the picture shall show."
        )
    if settings.particles != 1:
        raise CourseError(
            f"an edit changes one picture; particles must be 1, not {settings.particles}."
        )


def _fingerprint(method: ModuleType, kept: dict[str, bytes]) -> str:
    """Eight digits that tell apart versions of a module's code and of the source picture."""
    assert method.__file__ is not None  # only a namespace package has none
    digest = hashlib.sha256(Path(method.__file__).read_bytes())
    for content in kept.values():
        digest.update(content)
    return digest.hexdigest()[:8]


def _begin(prior: Prior, method: ModuleType, settings: Settings, out: Path) -> Begun:
    """The canvas as it is before the first step, and what the method is given beside it."""
    how = METHODS[settings.loss_type]
    generator = torch.Generator(prior.device).manual_seed(settings.seed)
    given: dict[str, Any] = {}
    kept: dict[str, bytes] = {}
    companion = None
    with warnings_in_a_line():
        if how.edits:
            given["source"], kept = _source(prior, settings, out)
            canvas = LatentCanvas.starting_at(given["source"].x0)
        else:
            shape = (settings.particles, prior.latent_channels, *prior.latent_size)
            canvas = LatentCanvas(*shape, generator=generator)
        prompts = [settings.title] * settings.particles
        if how.learns:
            from distillery.runs.companion import lora_companion  # peft takes seconds

            companion = lora_companion(
                method, prior, prompts=prompts, settings=settings, generator=generator
            )
            given["lora"] = companion.model
        loss = objective(
            getattr(method, how.chain),
            prior,
            prompts=prompts,
            settings=settings,
            generator=generator,
            **given,
        )

    def stream(resume: Checkpoint | None) -> Iterator[Step]:
        return distill(
            canvas,
            loss,
            prior=prior,
            settings=settings,
            generator=generator,
            companion=companion,
            resume=resume,
        )

    return Begun(canvas, stream, kept)


def _source(prior: Prior, settings: Settings, out: Path) -> tuple[Source, dict[str, bytes]]:
    """The picture that is edited, as the model sees it, and as it is kept beside the result."""
    path = Path(settings.src_img_path) if settings.src_img_path else _drawn(prior, settings, out)
    picture = load_source(path, prior.image_size)
    kept = {"source.png": to_png_bytes(picture, settings.prompt)}
    mask = path.with_name(f"{path.stem}_mask.png")  # as the toybox's sources have one
    if mask.is_file():
        kept["source_mask.png"] = to_png_bytes(load_source(mask, prior.image_size))
    with torch.no_grad():
        x0 = prior.encode(from_pil(picture).to(prior.device))
    return Source(x0, prior.embed([settings.prompt])), kept


def _drawn(prior: Prior, settings: Settings, out: Path) -> Path:
    """The source of an edit that was given none."""
    return drawn_source(
        prior,
        settings.prompt,
        model=settings.model,
        guidance_scale=suits(settings.model, "sample")["guidance_scale"],
        cache=out / "sources",
        seed=settings.seed,
    )


@contextmanager
def warnings_in_a_line() -> Iterator[None]:
    """Show warnings without the place in the code that they came from."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for warning in caught:
        print(f"note: {warning.message}", file=sys.stderr)


def _follow(
    stream: Iterator[Step],
    prior: Prior,
    settings: Settings,
    place: Place,
    checkpoint: Path,
    resume: Checkpoint | None,
) -> list[float]:
    """Go through the steps, keep frames and checkpoints, and return the losses of all of them."""
    losses = list(resume.losses) if resume else []
    pending: list[Tensor] = []  # reading a loss at once would make every step wait for the device
    frames, last_saved = set(frame_indices(settings.steps)), time.monotonic()
    bar = tqdm(
        stream,
        desc=textwrap.shorten(settings.title, 40, placeholder="..."),
        total=settings.steps,
        initial=len(losses),
        unit="step",
        mininterval=0.5,
        delay=0.2,  # a run that cannot start says so without a bar above it
    )
    with interrupts_held_back() as interrupted:
        for step in bar:
            pending.append(step.loss)
            if step.index in frames:
                save_png(_frame(place.unfinished, step.index), prior.decode(step.canvas.render()))
            late = time.monotonic() - last_saved >= CHECKPOINT_SECONDS
            if late or interrupted() or step.index == settings.steps - 1:
                losses += torch.stack(pending).tolist()
                pending.clear()
                settings.save(place.unfinished / "run.yaml")
                save_checkpoint(checkpoint, step, losses)
                last_saved = time.monotonic()
            if interrupted():
                raise KeyboardInterrupt
    return losses


@contextmanager
def interrupts_held_back() -> Iterator[Callable[[], bool]]:
    """Keep the first Ctrl-C, which the yielded function reports; a second one stops at once.

    Half a step would leave a canvas that no checkpoint describes.
    """
    held: list[int] = []

    def hold(number: int, frame: FrameType | None) -> None:
        if held:
            raise KeyboardInterrupt
        held.append(number)

    before = signal.signal(signal.SIGINT, hold)
    try:
        yield lambda: bool(held)
    finally:
        signal.signal(signal.SIGINT, before)


def frame_indices(steps: int) -> list[int]:
    """The steps after which a frame is kept: about `FRAMES`, evenly spaced, the last among them."""
    every = math.ceil(steps / FRAMES)
    return [*range(every - 1, steps - 1, every), steps - 1]


def _frame(folder: Path, index: int) -> Path:
    return folder / "frames" / f"{index + 1:05d}.png"


def _finish(
    images: Tensor,
    losses: Sequence[float],
    settings: Settings,
    place: Place,
    kept_from_start: dict[str, bytes],
) -> None:
    """Write all that remains of the run; it can be stopped and done again at any point."""
    folder, indices = place.folder, frame_indices(settings.steps)
    grown = [_frame(place.unfinished, index) for index in indices]
    kept = [_frame(folder, index) for index in indices]
    for old, new in zip(grown, kept, strict=True):
        atomic_write(new, old.read_bytes())
    for other in set((folder / "frames").glob("*.png")).difference(kept):
        other.unlink()
    save_gif(folder / "making.gif", [load_image(frame) for frame in kept], FRAMES_PER_SECOND)
    atomic_write(folder / "loss.csv", loss_table(losses))
    atomic_write(folder / "loss.png", loss_curve(losses))
    for name, content in kept_from_start.items():
        atomic_write(folder / name, content)
    _save_particles(folder / "particles", images, settings.title)
    settings.save(folder / "run.yaml")
    save_png(place.picture, images[0], settings.title)
    # What cannot be removed does no harm: the same run would finish again to the same files.
    shutil.rmtree(place.unfinished, ignore_errors=True)


def _save_particles(folder: Path, images: Tensor, title: str) -> None:
    """Each of several pictures in a file of its own; a single one has its place already."""
    paths = [folder / f"{number + 1:03d}.png" for number in range(len(images))]
    if len(paths) == 1:
        paths = []
    for path, image in zip(paths, images, strict=False):
        save_png(path, image, title)
    for other in set(folder.glob("*.png")).difference(paths):
        other.unlink()


def loss_table(losses: Sequence[float]) -> str:
    rows = (f"{number},{loss!r}" for number, loss in enumerate(losses, start=1))
    return "\n".join(["step,loss", *rows, ""])


def loss_curve(losses: Sequence[float]) -> bytes:
    """Every loss as a dot, and their running mean, as a PNG."""
    from matplotlib.figure import Figure  # takes a second, and only the end of a run needs it

    window = max(1, len(losses) // 20)
    mean = np.convolve(losses, np.full(window, 1 / window), mode="valid")
    steps = np.arange(1, len(losses) + 1)
    figure = Figure(figsize=(6, 3), layout="constrained")
    axes = figure.subplots()
    axes.plot(steps, losses, ".", markersize=2, alpha=0.4)
    axes.plot(steps[window - 1 :], mean)
    axes.set(xlabel="step", ylabel="loss", yscale="log")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    return buffer.getvalue()
