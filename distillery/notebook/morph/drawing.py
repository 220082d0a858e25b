"""From what a page asks for to the run of `python main.py morph`, and to its film."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol

from torch import Tensor

from distillery.methods.morph import MorphFunctions
from distillery.models.prior import Prior
from distillery.morph import begin
from distillery.morph.run import MorphRun, film_positions
from distillery.morph.settings import MorphSettings
from distillery.notebook.morph.scrubber import Film
from distillery.pixelart.sequence import PixelSequence
from distillery.runs.run import Step

MODELS_KEPT = 3  # in memory: the plain model and two styles


class Drawn(Protocol):
    """The part of a run that a page needs; see `MorphRun`."""

    total: int

    def steps(self) -> Iterator[Step]: ...

    def preview(self) -> Tensor: ...

    def finished(self) -> tuple[Tensor, Tensor]: ...

    def images(self) -> Tensor: ...

    def pixels(self, images: Tensor) -> PixelSequence: ...


Begin = Callable[[MorphSettings], Drawn]


def drawn_by(functions: MorphFunctions) -> Begin:
    """What a page draws with: the run of the command. A model is loaded when it is first needed.

    Args:
        functions: the module of the seven functions.
    """

    @functools.lru_cache(MODELS_KEPT)
    def loaded(model: str, lora: str, scale: float) -> Prior:
        settings = MorphSettings(prompts=("a", "b"), model=model, lora=lora, lora_scale=scale)
        return begin.load(settings)

    def begun(settings: MorphSettings) -> MorphRun:
        begin.check(settings)
        prior = loaded(settings.model, settings.lora, settings.lora_scale)
        return begin.begin(prior, functions, settings)

    return begun


@dataclass(frozen=True)
class Result:
    """A finished animation.

    settings: that it was drawn by.
    images:   its frames before they were brought into pixels, (F, 3, H, W) in [-1, 1].
    film:     its frames in pixels.
    """

    settings: MorphSettings
    images: Tensor
    film: Film

    @property
    def sequence(self) -> PixelSequence:
        """Indices and palette of the film."""
        frames = self.film.frames
        assert isinstance(frames, PixelSequence)
        return frames

    def recoloured(self, palette: Tensor, rows: Tensor) -> Result:
        """With another palette (N, 3), where each colour of before has one of `rows`."""
        frames = PixelSequence(rows[self.sequence.indices], palette)
        return replace(self, film=replace(self.film, frames=frames))


def result_of(run: Drawn, settings: MorphSettings) -> Result:
    """What a run has drawn, in pixels."""
    images = run.images()
    film = Film(
        run.pixels(images),
        fps=settings.fps,
        loop=settings.loop,
        positions=film_positions(settings).tolist(),
        prompts=settings.prompts,
    )
    return Result(settings, images, film)


def film_so_far(run: Drawn, settings: MorphSettings) -> Film | None:
    """What a run that was stopped has finished, in pixels; None if that is nothing."""
    positions, images = run.finished()
    if not len(images):
        return None
    return Film(
        run.pixels(images),
        fps=settings.fps,
        loop=settings.loop,
        positions=positions.tolist(),
        prompts=settings.prompts,
    )


def keyframes_alone(settings: MorphSettings) -> MorphSettings:
    """The settings of a film of nothing but the keyframes."""
    count = len(settings.prompts)
    return replace(settings, frames=count, holds=(0,), loop=False, spacing="uniform")
