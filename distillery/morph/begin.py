"""A morph: from settings to a run. `python main.py morph`.

The picture is a sheet of all frames. Its folder has the animation as morph.gif, morph.png (APNG)
and morph.mp4, the same as sprites.png with sprites.json, palette.hex, and pictures/, the frames
before they were brought into pixels. As of every run, making.gif and frames/ show how they came
about, at a few places of the path.
"""

from __future__ import annotations

import warnings
from pathlib import Path

from distillery.core.errors import CourseError
from distillery.core.notes import warnings_in_a_line
from distillery.methods.morph import MorphFunctions
from distillery.models.exact import GaussianMixturePrior
from distillery.models.load import load_prior
from distillery.models.presets import trained_side
from distillery.models.prior import Prior
from distillery.models.stable_diffusion import StableDiffusionPrior
from distillery.models.style import load_style
from distillery.morph.files import animation_of, check_files
from distillery.morph.run import MorphRun, film_positions
from distillery.morph.settings import LARGEST_GRID, MorphSettings
from distillery.pixelart.gif_file import gif_bytes
from distillery.pixelart.settings import canvas_for
from distillery.runs.strokes import say_replaced_scheduler

SOURCE_FIELDS = ()
FILM = "morph.gif"  # what a stage hands in of a morph
COARSE = 4  # pixels of a cell's side from which on it does not matter where cells begin


def module_name(settings: MorphSettings) -> str:
    """The module of the seven functions."""
    return f"{settings.implementation}.morph"


def check(settings: MorphSettings) -> None:
    """Read the palette and reckon the size of the files, before any model is loaded.

    Raises:
        CourseError: the palette cannot be used, or the files would be too large.
    """
    check_files(settings)


def completed(settings: MorphSettings) -> MorphSettings:
    """The settings unchanged; nothing has to be filled in."""
    return settings


def keyframes(settings: MorphSettings) -> list[int]:
    """The frame, from 0, at which each keyframe is first seen."""
    positions = film_positions(settings)
    return [int((positions == number).nonzero()[0]) for number in range(len(settings.prompts))]


def load(settings: MorphSettings) -> Prior:
    """The prior of the settings' model, in its style; it is sampled by DDIM whatever it came with.

    Raises:
        CourseError: a part of it cannot be loaded.
    """
    prior = load_prior(settings.model, device=settings.device)
    if settings.lora:
        load_style(prior, settings.lora, scale=settings.lora_scale)
    with warnings_in_a_line():
        say_replaced_scheduler(prior)
    return prior


def drawn_size(prior: Prior, settings: MorphSettings) -> tuple[int, int]:
    """(H, W) in pixels of the pictures before they are brought onto the grid.

    They have about the area that the model was trained for, and the aspect of the grid.

    Raises:
        CourseError: the grid is finer than the pictures, or the prior cannot draw its aspect.
    """
    size = canvas_for(settings.size, trained_side(settings.model))
    if isinstance(prior, GaussianMixturePrior):
        size = prior.image_size
    high, wide = settings.size
    if high > size[0] or wide > size[1]:
        raise CourseError(
            f"a grid of {high} x {wide} is finer than the pictures of {settings.model}, "
            f"{size[0]} x {size[1]} pixels; give a smaller size."
        )
    cells = {drawn / grid for drawn, grid in zip(size, (high, wide), strict=True)}
    if any(cell < COARSE and not cell.is_integer() for cell in cells):
        warnings.warn(
            f"a grid of {high} x {wide} does not divide the pictures of {size[0]} x {size[1]} "
            "pixels, so cells that the model draws are blurred into each other; sizes that do: "
            f"{' and '.join(_dividing(size))}.",
            stacklevel=2,
        )
    return size


def _dividing(size: tuple[int, int]) -> list[str]:
    """The two largest grids whose cells are squares of whole pixels, as the flag takes them."""
    sides = [size[0] // cell for cell in range(1, 9) if size[0] % cell == size[1] % cell == 0]
    fit = [high for high in sides if high * max(size) <= LARGEST_GRID * size[0]]
    return [f"{high},{high * size[1] // size[0]}" for high in fit[:2]]


def begin(
    prior: Prior, method: MorphFunctions, settings: MorphSettings, *, out: Path | None = None
) -> MorphRun:
    """The run before its first step.

    Raises:
        CourseError: settings and prior do not fit together.
    """
    with warnings_in_a_line():
        run = MorphRun(prior, method, settings, size=drawn_size(prior, settings))
    if isinstance(prior, StableDiffusionPrior):
        prior.rest_text_encoders()
    return run


def film(run: MorphRun, settings: MorphSettings) -> bytes:
    """The content of `FILM`, once the run is done; no other file is made for it."""
    return gif_bytes(animation_of(run.pixels(run.images()), settings))
