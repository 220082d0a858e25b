"""Files of a finished animation, beside those of `python main.py morph`, and never over any."""

from __future__ import annotations

import contextlib
from pathlib import Path

from distillery.core.errors import CourseError
from distillery.core.files import atomic_write, shown
from distillery.core.images import to_png_bytes
from distillery.morph.files import SPRITES, animation_of, files_of, segments_of
from distillery.morph.run import film_positions
from distillery.notebook.morph.drawing import Result
from distillery.pixelart.animation_files import sprite_sheet, video_bytes
from distillery.pixelart.gif_file import gif_bytes
from distillery.runs.place import free_place, save_settings
from distillery.runs.run import PICTURE


def gif(result: Result) -> bytes:
    """The animation as a GIF."""
    return gif_bytes(animation_of(result.sequence, result.settings))


def sprites(result: Result) -> tuple[bytes, str]:
    """All its frames as one PNG, and the JSON that says where each is."""
    settings = result.settings
    segments = segments_of(film_positions(settings), settings)
    animation = animation_of(result.sequence, settings)
    return sprite_sheet(animation, name=SPRITES, segments=segments)


def files(result: Result) -> dict[str, bytes]:
    """Name -> content of all that shows the animation in pixels, as the command writes it."""
    settings = result.settings
    animation = animation_of(result.sequence, settings)
    made = files_of(animation, segments_of(film_positions(settings), settings))
    with contextlib.suppress(CourseError):  # without ffmpeg there is everything else
        made["morph.mp4"] = video_bytes(animation)
    return made


def save(result: Result, out: Path) -> Path:
    """Write them below the folder `out`, with the frames before, and the settings.

    The folder is named as the command names it, with a number where that name is taken, so that
    nothing is written over.

    Returns:
        The folder, as short as it can be typed.

    Raises:
        CourseError: the disk refuses.
    """
    title = result.settings.title
    place = free_place(title, out)
    made = files(result)
    picture = made.pop(PICTURE)
    for number, image in enumerate(result.images, 1):
        made[f"pictures/{number:03d}.png"] = to_png_bytes(image, title)
    for name, content in made.items():
        atomic_write(place.folder / name, content)
    save_settings(result.settings, place.folder)
    atomic_write(place.picture, picture)
    return shown(place.folder.resolve())
