"""Animations that are handed in: what is checked on the file itself, and its keyframes.

What the course's own command writes always has the right frames, palette and times; a GIF without
them was made in another way and does not count. How it moves depends on the student's functions:
a joint that jumps, a cross-fade, a film that stands still cost points.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt
from PIL import Image

from distillery.core.counting import counted
from distillery.core.errors import CourseError
from distillery.core.gif import Film
from distillery.core.settings import Real
from distillery.palettes import load_palette
from distillery.runs.kind import Kind
from distillery.runs.registry import kind_of

Distances = npt.NDArray[np.float64]

LEAST_STEP = 0.5  # levels of 255 on the mean between neighbours; below, nothing is seen to move
ALIKE = 8.0  # and between keyframes, which differ by held colours alone where the picture is one


class FilmKind(Kind, Protocol):
    """A kind of run that makes an animation.

    FILM: the product that is handed in.
    """

    FILM: str

    def keyframes(self, settings: Any) -> Sequence[int]:
        """The frame, from 0, at which each keyframe is first seen."""
        ...

    def film(self, run: Any, settings: Any) -> bytes:
        """The content of `FILM` of a run that is done, without its other products."""
        ...


def film_kind(settings: Any) -> FilmKind | None:
    """The kind of the settings where it makes an animation, else None."""
    kind = kind_of(settings)
    return cast("FilmKind", kind) if hasattr(kind, "FILM") else None


@dataclass(frozen=True)
class Motion:
    """How an animation must move, from data/hand_in.yaml.

    largest_step: of a step at a keyframe or where the film closes, times the mean of the others.
    least_apart:  how far at least some frame between two keyframes must be from every cross-fade
                  of these, root mean square in levels of 255.

    Raises:
        CourseError: one of them leaves its range.
    """

    largest_step: float
    least_apart: float

    def __post_init__(self) -> None:
        Real(low=1, high=100).check("largest_step", self.largest_step)
        Real(low=0, high=255).check("least_apart", self.least_apart)


@dataclass(frozen=True)
class FilmRules:
    """What an animation must be.

    size:      (h, w) of the grid.
    colours:   of its palette.
    keyframes: the frame, from 0, at which each is first seen.
    prompts:   what each shows.
    """

    frames: int
    size: tuple[int, int]
    colours: int
    fps: float
    loop: bool
    keyframes: tuple[int, ...]
    prompts: tuple[str, ...]

    @property
    def stretches(self) -> list[tuple[int, int]]:
        """The frames of neighbouring keyframes; a loop's last stretch ends at the first frame."""
        ends = [*self.keyframes, *([self.frames] if self.loop else [])]
        return list(pairwise(ends))


def rules_of(settings: Any) -> FilmRules:
    """The rules for an animation that settings draw.

    Raises:
        CourseError: the palette cannot be read.
    """
    kind = film_kind(settings)
    assert kind is not None
    count = settings.palette
    return FilmRules(
        frames=settings.frames,
        size=tuple(settings.size),
        colours=int(count) if count.isdigit() else len(load_palette(count)),
        fps=settings.fps,
        loop=settings.loop,
        keyframes=tuple(kind.keyframes(settings)),
        prompts=tuple(settings.prompts),
    )


def strip_of(film: Film, rules: FilmRules) -> Image.Image:
    """The frames one below the other, each at the size of its grid, as one RGB picture.

    So it is compared and counted as any other picture.

    Raises:
        CourseError: the file breaks a rule; its message is the end of a sentence about it.
    """
    height, width = rules.size
    count, H, W = film.frames.shape[:3]
    if count != rules.frames:
        raise CourseError(f"it has {counted(count, 'frame')}, and is drawn with {rules.frames}")
    factor = H // height
    if not factor or (factor * height, factor * width) != (H, W):
        raise CourseError(
            f"it is {H} x {W} pixels, and a grid of {height} x {width} is enlarged by a whole "
            "number"
        )
    cells = film.frames[:, factor // 2 :: factor, factor // 2 :: factor]
    if not np.array_equal(cells.repeat(factor, axis=1).repeat(factor, axis=2), film.frames):
        raise CourseError("its cells are no squares of one colour")
    if film.palettes or not film.colours:
        raise CourseError("it has not one palette for all frames")
    if film.colours != rules.colours:
        raise CourseError(
            f"it has {counted(film.colours, 'colour')}, and is drawn with {rules.colours}"
        )
    if film.plays:
        raise CourseError(f"it does not loop for ever, and plays {counted(film.plays, 'time')}")
    length, wanted = sum(film.durations), round(100 * rules.frames / rules.fps)
    if length != wanted or max(film.durations) - min(film.durations) > 1:
        raise CourseError(
            f"its frames last {length / 100:g} seconds, and {rules.frames} frames at {rules.fps:g} "
            f"a second last {wanted / 100:g}, each as long as the others"
        )
    return Image.fromarray(cells.reshape(count * height, width, 3))


def keyframes_of(strip: Image.Image, rules: FilmRules) -> list[tuple[Image.Image, str]]:
    """The frames of a strip that show a keyframe for the first time, with their prompts."""
    height, width = rules.size
    tops = [height * frame for frame in rules.keyframes]
    shown = [strip.crop((0, top, width, top + height)) for top in tops]
    return list(zip(shown, rules.prompts, strict=True))


def flaws_of(strip: Image.Image, rules: FilmRules, motion: Motion) -> list[str]:
    """What is wrong with how an animation moves, in sentences; each names its measure."""
    height, width = rules.size
    frames = np.asarray(strip, np.float64).reshape(rules.frames, height, width, 3)
    after = np.roll(frames, -1, axis=0) if rules.loop else frames[1:]
    steps = np.abs(after - frames[: len(after)]).mean(axis=(1, 2, 3))
    mean = float(steps.mean())
    if mean < LEAST_STEP:
        return [f"nothing moves: neighbouring frames differ by {mean:.1f} levels of 255."]
    found = [*_still(frames, rules), *_jumps(steps, rules, motion.largest_step)]
    return found or _fades(frames, rules, motion.least_apart)


def _still(frames: Distances, rules: FilmRules) -> list[str]:
    """Sentences on neighbouring keyframes that are one and the same picture."""
    return [
        f"keyframes {number} and {_after(number, rules)} are the same picture."
        for number, (start, end) in enumerate(rules.stretches, start=1)
        if np.abs(frames[start] - frames[end % len(frames)]).mean() < ALIKE
    ]


def _jumps(steps: Distances, rules: FilmRules, most: float) -> list[str]:
    """Sentences on steps before and after keyframes, beside the mean of all others."""
    around = {
        number: [at for at in (frame - 1, frame) if at in range(-rules.loop, len(steps))]
        for number, frame in enumerate(rules.keyframes, start=1)
    }
    others = np.delete(steps, [at for places in around.values() for at in places])
    mean, sentences = max(float(others.mean()) if len(others) else 0.0, LEAST_STEP), []
    for number, places in around.items():
        largest = max(float(steps[at]) for at in places) / mean
        if largest > most:
            frame = rules.keyframes[number - 1]
            where = f"at keyframe {number}, frame {frame + 1}" if frame else "where it closes"
            sentences.append(
                f"it jumps {where}: a step there is {largest:.1f} times the mean of those between "
                f"keyframes, and at most {most:g} times is allowed."
            )
    return sentences


def _fades(frames: Distances, rules: FilmRules, least: float) -> list[str]:
    """Sentences on stretches in which every frame is nearly a mixture of the two keyframes."""
    sentences = []
    for number, (start, end) in enumerate(rules.stretches, start=1):
        between = frames[start + 1 : end]
        if not len(between):
            continue
        from_, to = frames[start], frames[end % len(frames)]
        way = to - from_
        along = (between - from_).reshape(len(between), -1) @ way.ravel() / (way**2).sum()
        mixtures = from_ + along.clip(0, 1)[:, None, None, None] * way
        apart = float(np.sqrt(((between - mixtures) ** 2).mean(axis=(1, 2, 3))).max())
        if apart < least:
            sentences.append(
                f"from keyframe {number} to {_after(number, rules)} it is a cross-fade: no frame "
                f"is more than {apart:.0f} levels of 255 from a mixture of the two, and "
                f"{least:g} are wanted."
            )
    return sentences


def _after(number: int, rules: FilmRules) -> int:
    return number % len(rules.keyframes) + 1
