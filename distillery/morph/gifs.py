"""Pixel Giffusion's calls, for Python.

    from distillery.morph.gifs import gif_chain, make_gif

    make_gif("a snowy cabin", "a castle")
    gif_chain(["a red boat", "a blue car", "a green tree"], speed=200, num_frames=40)

Each draws the animation and gives the path of its GIF. What differs from the original: all frames
have one palette, noise is shared at the joints, and nothing jumps there.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from distillery.core.errors import CourseError
from distillery.core.notes import warnings_in_a_line
from distillery.core.settings import Real, Whole
from distillery.morph.settings import MOST_FRAMES, MorphSettings, frames_of
from distillery.runs.kind import draw
from distillery.runs.registry import kind_named

FRAMES, SPEED = 20, 200.0  # of make_gif: for a pair of prompts, and milliseconds of each


def make_gif(
    first: str, second: str, num_frames: int = FRAMES, speed: float = SPEED, **options: Any
) -> Path:
    """Morph from one prompt to another; arguments and errors are those of `gif_chain`."""
    return gif_chain([first, second], speed, num_frames, **options)


def gif_chain(
    prompts: Sequence[str],
    speed: float = SPEED,
    num_frames: int = 40,
    *,
    out: str | Path = "outputs",
    overwrite: bool = False,
    **options: Any,
) -> Path:
    """Morph from prompt to prompt.

    Args:
        speed: milliseconds of a frame, 20 to 1000.
        num_frames: from each prompt to the next, both included.
        out: folder of the files.
        overwrite: an earlier result of other settings; without it that is kept.
        options: further settings of `python main.py morph` by name: `loop`, `lora`, `palette`,
            `size`, `seeds`, `implementation`, ...

    Raises:
        CourseError: one of them cannot be used, or the files cannot be written.
    """
    if isinstance(prompts, str):
        raise CourseError(f"prompts must be a list of prompts; it is {prompts!r}.")
    fps = 1000 / Real(low=20, high=1000).check("speed", speed)
    Whole(2, MOST_FRAMES).check("num_frames", num_frames)
    if len(prompts) < 2:
        raise CourseError(f"a morph goes from prompt to prompt; give two or more: {prompts!r}.")
    frames = frames_of(len(prompts), num_frames, loop=options.get("loop", False))
    for name in {"frames", "fps"} & options.keys():
        raise CourseError(f"{name} is said by num_frames and speed; leave it out.")
    settings = MorphSettings.load(
        None, **{"prompts": tuple(prompts), "frames": frames, "fps": fps, **options}
    )
    kind = kind_named("morph")
    with warnings_in_a_line():
        kind.check(settings)
        settings = kind.completed(settings)
        prior = kind.load(settings)
    method = importlib.import_module(kind.module_name(settings))
    place = draw(kind, prior, method, settings, out=Path(out), overwrite=overwrite)
    return place.folder / "morph.gif"
