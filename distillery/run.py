"""What the command line makes of the stream of steps: one picture, and how it came about.

    outputs/a_red_boat.png          the picture, written last
    outputs/a_red_boat/             frames/, making.gif, loss.csv, loss.png and run.yaml
    outputs/a_red_boat~unfinished/  frames, settings and checkpoint of a run that is not done

What an earlier run left stays as it is until this one is done, and a run that goes on from its
checkpoint leaves the same bytes as one that was never stopped.
"""

from __future__ import annotations

import hashlib
import io
import math
import os
import shutil
import signal
import sys
import textwrap
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, ModuleType

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from distillery.canvas import Canvas, LatentCanvas
from distillery.distill import (
    Checkpoint,
    Settings,
    Step,
    distill,
    load_checkpoint,
    objective,
    save_checkpoint,
)
from distillery.files import atomic_write, prompt_to_filename
from distillery.images import load_image, save_gif, save_png
from distillery.prior import Prior

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


def draw(prior: Prior, method: ModuleType, settings: Settings, *, out: Path) -> Place:
    """Distil the picture of `settings.prompt` into the folder `out`, with a progress bar.

    A run that was stopped goes on from its checkpoint, unless the code of `method` has changed
    since; then it starts anew.

    Args:
        method: a module of `guidance` or `reference`, with its `loss`.

    Raises:
        CourseError: a file cannot be written, or the checkpoint is of a run with other settings.
        KeyboardInterrupt: Ctrl-C, after the step under way is done and its checkpoint saved.
    """
    place = Place(out, settings.prompt)
    checkpoint = place.unfinished / f"checkpoint-{_fingerprint(method)}.pt"
    # Path.exists raises where a folder may not be entered; writing there will say so better.
    resume = load_checkpoint(checkpoint, settings) if os.path.exists(checkpoint) else None
    canvas, stream = _begin(prior, method, settings, resume)
    losses = _follow(stream, prior, settings, place, checkpoint, resume)
    _finish(prior.decode(canvas.render()), losses, settings, place)
    return place


def _fingerprint(method: ModuleType) -> str:
    """Eight digits that tell apart versions of a module's code."""
    assert method.__file__ is not None  # only a namespace package has none
    return hashlib.sha256(Path(method.__file__).read_bytes()).hexdigest()[:8]


def _begin(
    prior: Prior, method: ModuleType, settings: Settings, resume: Checkpoint | None
) -> tuple[Canvas, Iterator[Step]]:
    """The canvas at its first noise, and the stream of steps that will change it."""
    generator = torch.Generator(prior.device).manual_seed(settings.seed)
    canvas = LatentCanvas(1, prior.latent_channels, *prior.latent_size, generator=generator)
    with _warnings_in_a_line():
        loss = objective(
            method.loss, prior, prompts=[settings.prompt], settings=settings, generator=generator
        )
    stream = distill(
        canvas, loss, prior=prior, settings=settings, generator=generator, resume=resume
    )
    return canvas, stream


@contextmanager
def _warnings_in_a_line() -> Iterator[None]:
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
        desc=textwrap.shorten(settings.prompt, 40, placeholder="..."),
        total=settings.steps,
        initial=len(losses),
        unit="step",
        mininterval=0.5,
        delay=0.2,  # a run that cannot start says so without a bar above it
    )
    with _interrupts_held_back() as interrupted:
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
def _interrupts_held_back() -> Iterator[Callable[[], bool]]:
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


def _finish(image: Tensor, losses: Sequence[float], settings: Settings, place: Place) -> None:
    """Write all that remains of the run; it can be stopped and done again at any point."""
    folder, indices = place.folder, frame_indices(settings.steps)
    grown = [_frame(place.unfinished, index) for index in indices]
    kept = [_frame(folder, index) for index in indices]
    for old, new in zip(grown, kept, strict=True):
        atomic_write(new, old.read_bytes())
    for other in set((folder / "frames").glob("*.png")).difference(kept):
        other.unlink()
    save_gif(folder / "making.gif", [load_image(frame) for frame in kept], FRAMES_PER_SECOND)
    atomic_write(folder / "loss.csv", _loss_table(losses))
    atomic_write(folder / "loss.png", _loss_curve(losses))
    settings.save(folder / "run.yaml")
    save_png(place.picture, image, settings.prompt)
    # What cannot be removed does no harm: the same run would finish again to the same files.
    shutil.rmtree(place.unfinished, ignore_errors=True)


def _loss_table(losses: Sequence[float]) -> str:
    rows = (f"{number},{loss!r}" for number, loss in enumerate(losses, start=1))
    return "\n".join(["step,loss", *rows, ""])


def _loss_curve(losses: Sequence[float]) -> bytes:
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
