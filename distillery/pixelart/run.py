"""The program: from settings to files.

    outputs/a_red_boat.png          the picture: indexed, with exactly the palette; written last
    outputs/a_red_boat/             large.png, soft.png, palette.hex, layers/, frames/, making.gif,
                                    start.png and what the ControlNets saw, loss.csv, run.yaml;
                                    if asked for making.mp4, verbose/ and tensorboard/
    outputs/a_red_boat~unfinished/  frames, settings and checkpoint of a run that is not done

As with `distillery.runs.engine`, what an earlier run left stays as it is until this one is done,
and a run that goes on from its checkpoint leaves the same bytes as one that was never stopped.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import textwrap
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from PIL import Image, ImageOps
from torch import Tensor
from tqdm import tqdm

from distillery.core.errors import CourseError, in_short
from distillery.core.files import atomic_write
from distillery.core.images import Picture, read_any, save_gif, save_png, to_png_bytes, to_rgb
from distillery.core.settings import Real
from distillery.core.video import save_mp4
from distillery.models.exact import GaussianMixturePrior
from distillery.models.load import load_controlnets, load_lora, load_prior
from distillery.models.presets import find_preset
from distillery.models.prior import Control, Prior
from distillery.models.stable_diffusion import StableDiffusionPrior
from distillery.palettes import save_palette
from distillery.pixelart import debug_pictures
from distillery.pixelart.canvas import PaletteCanvas
from distillery.pixelart.clip_choice import favourite, moments
from distillery.pixelart.indexed_png import enlarged, indexed, layers
from distillery.pixelart.initial_grid import Start, begin, controls_for
from distillery.pixelart.settings import PixelSettings
from distillery.runs.engine import (
    Place,
    checkpoints_in,
    frame_indices,
    interrupts_held_back,
    loss_curve,
    loss_table,
)
from distillery.runs.optimise import Checkpoint, Step, distill, load_checkpoint, save_checkpoint

CHECKPOINT_SECONDS = 5.0
SCALARS_EVERY = 10  # steps
VERBOSE_TIMES = 8  # in a run
GIF_FPS = 50  # a GIF counts in hundredths of a second, and browsers slow down those of one
MADE_BY_SOME = (  # what not every run makes
    "layers/*.png",
    "control_*.png",
    "start.png",
    "making.mp4",
    "verbose/*.png",
    "tensorboard/events.*",
)


@dataclass(frozen=True)
class Extras:
    """What is kept beside the picture; nothing of it changes the picture.

    video_size: (H, W) that the frames are centred in; None is the enlarged picture's own size.
    """

    verbose: bool = False
    make_video: bool = False
    video_size: tuple[int, int] | None = None
    fps: float = 12
    tensorboard: bool = False

    def __post_init__(self) -> None:
        Real(low=1, high=60).check("fps", self.fps)
        if self.video_size is not None and not all(
            16 <= side <= 4096 and side % 2 == 0 for side in self.video_size
        ):
            raise CourseError(
                "video_size must be two even numbers from 16 to 4096, height and width; it is "
                f"{self.video_size!r}."
            )


@dataclass(frozen=True)
class Begun:
    """A run before its first step.

    At the end of its `stream` the canvas is as it was at the moment that CLIP likes best, where the
    settings leave it a choice.
    """

    start: Start
    controls: list[Control]
    canvas: PaletteCanvas
    stream: Callable[[Checkpoint | None], Iterator[Step]]


def with_prompt(settings: PixelSettings) -> PixelSettings:
    """The settings with a caption of the input image where there is no prompt."""
    if settings.prompt.strip():
        return settings
    from distillery.models.annotators import caption

    picture = to_rgb(read_any(Path(settings.input_image)))
    words = caption(picture, model=find_preset(settings.model).captioner)
    if not words:
        raise CourseError(
            f"no caption was found for {settings.input_image}; say in the prompt what to draw."
        )
    return replace(settings, prompt=words)


def load(settings: PixelSettings) -> Prior:
    """The prior that the settings ask for, with its autoencoder, ControlNets and LoRA.

    Raises:
        CourseError: a part of it cannot be had.
    """
    prior = load_prior(settings.model, device=settings.device, vae=settings.vae or None)
    if isinstance(prior, GaussianMixturePrior) and prior.image_size != settings.canvas:
        raise CourseError(
            f"{settings.model} knows pictures of {prior.image_size[0]} x {prior.image_size[1]} "
            f"pixels alone and would be shown {settings.canvas[0]} x {settings.canvas[1]}; "
            "choose tiny-sdxl or another diffusion model."
        )
    scales = {"canny": settings.canny, "depth": settings.depth}
    if settings.start != "noise":
        load_controlnets(prior, settings.model, [kind for kind, scale in scales.items() if scale])
    if settings.lora:
        load_lora(prior, settings.lora, scale=settings.lora_scale)
    return prior


def begin_run(prior: Prior, method: ModuleType, settings: PixelSettings) -> Begun:
    """The canvas as it is before the first step, and the steps to come.

    Args:
        method: `reference.pixelart` or `guidance.pixelart`.

    Raises:
        CourseError: the input image or the palette cannot be used.
    """
    generator = torch.Generator(prior.device).manual_seed(settings.seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # `start.check` has said how the picture does not fit
        start = begin(prior, method, settings, generator=generator)
        controls = controls_for(start.picture, settings)
    canvas = PaletteCanvas(
        settings.sureness * start.logits,
        clip_norm=settings.clip_norm,
        moments=moments(settings),
    )
    text = prior.embed([settings.prompt])
    uncond = prior.embed([settings.negative_prompt])
    if isinstance(prior, StableDiffusionPrior):
        prior.rest_text_encoders()

    def loss(logits: Tensor, index: int) -> Tensor:
        return method.loss(
            prior,
            logits,
            palette=start.palette,
            text=text,
            uncond=uncond,
            controls=controls,
            step=index,
            settings=settings,
            generator=generator,
            clear=start.clear,
        )

    def stream(resume: Checkpoint | None) -> Iterator[Step]:
        for step in distill(
            canvas, loss, prior=prior, settings=settings, generator=generator, resume=resume
        ):
            canvas.keep(step.index)
            yield step
        if canvas.moments:
            grids = [
                indexed(logits.argmax(dim=0), start.palette, start.clear) for logits in canvas.kept
            ]
            canvas.take(favourite(grids, settings, device=prior.device))

    return Begun(start, controls, canvas, stream)


def draw(
    prior: Prior, method: ModuleType, settings: PixelSettings, *, out: Path, extras: Extras
) -> Place:
    """Make the picture that the settings ask for in the folder `out`, with a progress bar.

    A run that was stopped goes on from its checkpoint, unless the code of `method` has changed.

    Raises:
        CourseError: a file cannot be read or written, or there is a checkpoint of a run with other
            settings.
        KeyboardInterrupt: Ctrl-C, after the step under way is done and its checkpoint saved.
    """
    place = Place(out, settings.prompt)
    begun = begin_run(prior, method, settings)
    checkpoint = place.unfinished / f"checkpoint-{_fingerprint(method, begun)}.pt"
    found = {path: load_checkpoint(path, settings) for path in checkpoints_in(place.unfinished)}
    losses = _follow(begun, settings, place, checkpoint, found.get(checkpoint), extras)
    _finish(begun, losses, settings, place, extras)
    return place


def _fingerprint(method: ModuleType, begun: Begun) -> str:
    """Eight digits that tell apart versions of the method's code and of the start."""
    assert method.__file__ is not None
    digest = hashlib.sha256(Path(method.__file__).read_bytes())
    start = begun.start
    for part in (start.logits, start.palette, start.clear):
        digest.update(b"" if part is None else part.cpu().numpy().tobytes())
    return digest.hexdigest()[:8]


def _follow(
    begun: Begun,
    settings: PixelSettings,
    place: Place,
    checkpoint: Path,
    resume: Checkpoint | None,
    extras: Extras,
) -> list[float]:
    """Go through the steps, keep frames and checkpoints, and return the losses of all of them."""
    losses = list(resume.losses) if resume else []
    pending: list[Tensor] = []
    frames, last_saved = set(frame_indices(settings.steps)), time.monotonic()
    looked_at = set(range(0, settings.steps, max(1, settings.steps // VERBOSE_TIMES)))
    bar = tqdm(
        begun.stream(resume),
        desc=textwrap.shorten(settings.prompt, 40, placeholder="..."),
        total=settings.steps,
        initial=len(losses),
        unit="step",
        mininterval=0.5,
        delay=0.2,
    )
    scalars = Scalars(place.unfinished / "tensorboard" if extras.tensorboard else None, len(losses))
    with interrupts_held_back() as interrupted, contextlib.closing(scalars):
        for step in bar:
            pending.append(step.loss)
            scalars.add(step, begun.canvas)
            if step.index in frames:
                _save_indexed(_frame(place.unfinished, step.index), begun, settings.prompt)
            if extras.verbose and step.index in looked_at:
                debug_pictures.save(place.unfinished / "verbose", begun, settings, step.index)
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


def _frame(folder: Path, index: int) -> Path:
    return folder / "frames" / f"{index + 1:05d}.png"


def _save_indexed(path: Path, begun: Begun, prompt: str) -> None:
    picture = indexed(begun.canvas.indices()[0], begun.start.palette, begun.start.clear)
    atomic_write(path, to_png_bytes(picture, prompt))


def _finish(
    begun: Begun,
    losses: Sequence[float],
    settings: PixelSettings,
    place: Place,
    extras: Extras,
) -> None:
    """Write all that remains of the run; it can be stopped and done again at any point."""
    folder = place.folder
    frames = _keep_frames(place, settings)
    result = indexed(begun.canvas.indices()[0], begun.start.palette, begun.start.clear)
    if result.tobytes() != frames[-1].tobytes():  # an earlier moment was chosen
        frames.append(result)
    shown = [enlarged(frame) for frame in frames]
    save_gif(folder / "making.gif", shown, min(extras.fps, GIF_FPS))
    if extras.make_video:
        save_mp4(folder / "making.mp4", _framed(frames, extras.video_size), extras.fps)
    pictures = _pictures(begun)
    for name, picture in pictures.items():
        save_png(folder / name, picture)
    grown = _grown(place)
    for name, path in grown.items():
        atomic_write(folder / name, path.read_bytes())
    save_palette(begun.start.palette, folder / "palette.hex")
    atomic_write(folder / "loss.csv", loss_table(losses))
    atomic_write(folder / "loss.png", loss_curve(losses))
    taken = settings.steps - 1 if begun.canvas.taken is None else begun.canvas.taken
    ends = {"soft_and_hard": agreement(begun.canvas), "steps_to_result": taken + 1}
    atomic_write(folder / "agreement.json", json.dumps(ends))
    settings.save(folder / "run.yaml")
    _remove_others(folder, {*pictures, *grown, *(["making.mp4"] if extras.make_video else [])})
    _save_indexed(place.picture, begun, settings.prompt)
    shutil.rmtree(place.unfinished, ignore_errors=True)


def _pictures(begun: Begun) -> dict[str, Picture]:
    """What is kept of the canvas and of what it began from, by file name."""
    start, weights = begun.start, begun.canvas.render().detach().softmax(dim=1)[0]
    soft = 2 * torch.einsum("khw,kc->chw", weights, start.palette) - 1
    if start.clear is not None:
        weights, soft = weights.masked_fill(start.clear, 0), soft.masked_fill(start.clear, 1)
    hard = indexed(begun.canvas.indices()[0], start.palette, start.clear)
    pictures: dict[str, Picture] = {"large.png": enlarged(hard), "soft.png": soft}
    for number, layer in enumerate(layers(weights, start.palette)):
        pictures[f"layers/{number:03d}.png"] = layer
    for control in begun.controls:
        pictures[f"control_{control.kind}.png"] = 2 * control.image - 1
    if start.picture is not None:
        pictures["start.png"] = start.picture
    return pictures


def _grown(place: Place) -> dict[str, Path]:
    """The files that the steps themselves have written, by the name that they are kept under."""
    folder = place.unfinished
    found = [*folder.glob("verbose/*.png"), *folder.glob("tensorboard/*")]
    return {path.relative_to(folder).as_posix(): path for path in found}


def _remove_others(folder: Path, kept: set[str]) -> None:
    """Remove what an earlier run left and this one has not made."""
    for pattern in MADE_BY_SOME:
        for path in folder.glob(pattern):
            if path.relative_to(folder).as_posix() not in kept:
                path.unlink()


def agreement(canvas: PaletteCanvas) -> float:
    """The share of pixels where the chosen colour has more than half of the weight.

    There the soft picture shows the colour that the hard one has.
    """
    return float((canvas.render().detach().softmax(dim=1).amax(dim=1) > 0.5).float().mean())


def _keep_frames(place: Place, settings: PixelSettings) -> list[Image.Image]:
    indices = frame_indices(settings.steps)
    kept = [_frame(place.folder, index) for index in indices]
    for index, path in zip(indices, kept, strict=True):
        atomic_write(path, _frame(place.unfinished, index).read_bytes())
    for other in set((place.folder / "frames").glob("*.png")).difference(kept):
        other.unlink()
    return [Image.open(path) for path in kept]


def _framed(frames: Sequence[Image.Image], size: tuple[int, int] | None) -> list[Image.Image]:
    """Frames for a video of `size` (H, W): enlarged by a whole number, centred on white."""
    if size is None:
        width, height = enlarged(frames[0]).size
        size = (height + height % 2, width + width % 2)
    height, width = size
    sheets = []
    for frame in frames:
        sheet = Image.new("RGB", (width, height), "white")
        picture = frame.convert("RGB")
        factor = min(width // frame.width, height // frame.height)
        if factor:
            large = (factor * frame.width, factor * frame.height)
            picture = picture.resize(large, Image.Resampling.NEAREST)
        else:  # the grid is finer than the video
            picture = ImageOps.contain(picture, (width, height), Image.Resampling.BOX)
        sheet.paste(picture, ((width - picture.width) // 2, (height - picture.height) // 2))
        sheets.append(sheet)
    return sheets


class Scalars:
    """TensorBoard's curves of a run under way; without a folder it writes nothing."""

    def __init__(self, folder: Path | None, first: int) -> None:
        self._folder, self._first = folder, first
        self._writer: Any = None

    def add(self, step: Step, canvas: PaletteCanvas) -> None:
        """Note the loss, the entropy and how far soft and hard picture agree.

        Raises:
            CourseError: the folder cannot be written.
        """
        if self._folder is None or step.index % SCALARS_EVERY:
            return
        figures = {
            "loss": step.loss.item(),
            "entropy": canvas.entropy().mean().item(),
            "agreement": agreement(canvas),
        }
        writer = self._opened(self._folder)
        for name, value in figures.items():
            writer.add_scalar(name, value, step.index)

    def _opened(self, folder: Path) -> Any:
        if self._writer is None:
            from tensorboardX import SummaryWriter

            try:
                self._writer = SummaryWriter(str(folder), purge_step=self._first or None)
            except OSError as error:
                raise CourseError(
                    f"cannot write {folder}: {in_short(error)}; choose a folder that can be "
                    "written."
                ) from error
        return self._writer

    def close(self) -> None:
        """Write what is still in memory."""
        if self._writer is not None:
            self._writer.close()
