"""Carries out a run of any kind, and writes its files.

    outputs/a_red_boat.png          the picture; written last
    outputs/a_red_boat/             frames/, making.gif, run.yaml, and what the run itself makes;
                                    of a run with figures loss.csv and loss.png;
                                    if asked for making.mp4, verbose/ and tensorboard/
    outputs/a_red_boat~unfinished/  frames, settings and checkpoint of a run that is not done

What an earlier run of the same settings left stays as it is until this one is done, that of others
for good: `distillery.runs.place` says where this one lies then. A run that goes on from its
checkpoint leaves the same bytes as one that was never stopped.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
import textwrap
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL.Image import Image
from tqdm import tqdm

from distillery.core.files import atomic_write
from distillery.core.images import Picture, save_gif, to_png_bytes
from distillery.core.video import save_mp4
from distillery.runs.checkpoint import (
    RunSettings,
    checkpoint_path,
    checkpoints_in,
    load_checkpoint,
    save_checkpoint,
)
from distillery.runs.curves import History, Scalars, figures_curve, figures_table
from distillery.runs.extras import NO_EXTRAS, Extras
from distillery.runs.film import GIF_FPS, frame_indices, frame_path, keep_frames, video_frames
from distillery.runs.interrupt import interrupts_held_back
from distillery.runs.place import (
    Place,
    claimed,
    kept_sentence,
    make_room,
    place_for,
    save_settings,
)
from distillery.runs.run import PICTURE, Checkpoint, Run

CHECKPOINT_SECONDS = 5.0
VERBOSE_TIMES = 8  # in a run
MAY_MAKE = ("making.mp4", "verbose/*.png", "tensorboard/events.*", "loss.csv", "loss.png")


def carry_out(
    run: Run,
    settings: RunSettings,
    *,
    out: Path,
    extras: Extras = NO_EXTRAS,
    overwrite: bool = False,
    sources: str = "",
) -> Place:
    """Take the steps of a run, with a progress bar, and write its files into the folder `out`.

    A run that was stopped goes on from its checkpoint, unless its ingredients have changed since.

    Args:
        settings: those that the run was begun by.
        overwrite: whatever has the first of its names, finished or not.
        sources: the fingerprint of the files that the settings name.

    Raises:
        CourseError: a file cannot be read or written, or there is a checkpoint of a run with other
            settings.
        KeyboardInterrupt: Ctrl-C, after the step under way is done and its checkpoint saved.
    """
    place = place_for(settings, out, sources=sources, overwrite=overwrite)
    if overwrite:
        make_room(place, settings)
    checkpoint = checkpoint_path(place.unfinished, run.ingredients)
    # A run of other settings is not lost to this one; it is refused.
    found = {path: load_checkpoint(path, settings) for path in checkpoints_in(place.unfinished)}
    _say(kept_sentence(place, settings, sources))
    if found.get(checkpoint) is None:
        _say(run.foreword())
    with claimed(place, settings, sources):
        figures = _follow(run, settings, place, checkpoint, found.get(checkpoint), extras)
    _finish(run, figures, settings, place, extras, sources)
    _say(run.afterword())
    return place


def _say(words: str) -> None:
    if words:
        print(words, file=sys.stderr)


def _follow(
    run: Run,
    settings: RunSettings,
    place: Place,
    checkpoint: Path,
    resume: Checkpoint | None,
    extras: Extras,
) -> dict[str, list[float]]:
    """Take the steps, keep frames and checkpoints, and return the figures of all steps."""
    done = 0 if resume is None else resume.index + 1
    history = History(None if resume is None else resume.figures)
    looked_at = set(range(0, run.total, max(1, run.total // VERBOSE_TIMES)))
    frames, last_saved = set(frame_indices(run.total)), time.monotonic()
    bar = tqdm(
        run.steps(resume),
        desc=textwrap.shorten(settings.title, 40, placeholder="..."),
        total=run.total,
        initial=done,
        unit="step",
        mininterval=0.5,
        delay=0.2,  # a run that cannot start says so without a bar above it
    )
    scalars = Scalars(place.unfinished / "tensorboard" if extras.tensorboard else None, done)
    with interrupts_held_back() as interrupted, contextlib.closing(scalars):
        for step in bar:
            history.add(step.figures)
            if scalars.wants(step.index):
                numbers = {name: value.item() for name, value in step.figures.items()}
                scalars.add(step.index, {**numbers, **run.scalars()})
            if step.index in frames:
                atomic_write(frame_path(place.unfinished, step.index), _png(step.picture()))
            if extras.verbose and step.index in looked_at:
                _save_pictures(
                    place.unfinished / "verbose", step.index, run.debug_pictures(step.index)
                )
            late = time.monotonic() - last_saved >= CHECKPOINT_SECONDS
            if late or interrupted() or step.index == run.total - 1:
                save_checkpoint(checkpoint, step, settings, history.read())
                last_saved = time.monotonic()
            if interrupted():
                raise KeyboardInterrupt
    return history.read()


def _png(picture: Picture) -> bytes:
    """As PNG, with the prompt that an image carries in its `info`."""
    return to_png_bytes(picture, picture.info.get("prompt") if isinstance(picture, Image) else None)


def _save_pictures(folder: Path, index: int, pictures: Mapping[str, Picture]) -> None:
    for name, picture in pictures.items():
        atomic_write(folder / f"{index + 1:05d}_{name}.png", to_png_bytes(picture))


def _finish(
    run: Run,
    figures: Mapping[str, Sequence[float]],
    settings: RunSettings,
    place: Place,
    extras: Extras,
    sources: str,
) -> None:
    """Write the final files of the run; this can be stopped and repeated at any point."""
    folder = place.folder
    frames = run.film(keep_frames(place.unfinished, folder, run.total))
    made = {path: path.read_bytes() for path in _made_on_the_way(place.unfinished)}
    files = {path.relative_to(place.unfinished).as_posix(): data for path, data in made.items()}
    save_gif(
        folder / "making.gif", [run.enlarged(frame) for frame in frames], min(extras.fps, GIF_FPS)
    )
    if extras.make_video:
        sheets = video_frames(frames, extras.video_size, run.enlarged)
        save_mp4(folder / "making.mp4", sheets, extras.fps)
    files |= run.products()
    picture = files.pop(PICTURE)
    if figures:
        files["loss.csv"] = figures_table(figures).encode()
        files["loss.png"] = figures_curve(figures)
    for name, content in files.items():
        atomic_write(folder / name, content)
    save_settings(settings, folder, sources)
    kept = {*files, *(["making.mp4"] if extras.make_video else [])}
    _remove_others(folder, [*MAY_MAKE, *run.may_make], kept)
    atomic_write(place.picture, picture)
    # A file that cannot be removed does no harm: the same run would write the same files again.
    shutil.rmtree(place.unfinished, ignore_errors=True)


def _made_on_the_way(unfinished: Path) -> list[Path]:
    return [*unfinished.glob("verbose/*.png"), *unfinished.glob("tensorboard/*")]


def _remove_others(folder: Path, patterns: Sequence[str], kept: set[str]) -> None:
    """Remove what an earlier run left and this one has not made."""
    for pattern in patterns:
        for path in folder.glob(pattern):
            if path.relative_to(folder).as_posix() not in kept:
                path.unlink()
