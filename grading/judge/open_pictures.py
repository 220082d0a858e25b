"""Open the pictures of a clean folder; a process of its own decodes them.

An animation becomes one picture, the strip of its frames, and is treated like any other then.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from distillery.core.errors import CourseError
from distillery.course.films import film_kind, rules_of, strip_of
from distillery.course.submission_pictures import HandIn, PictureSettings
from grading.core.limits import LARGEST_PICTURE
from grading.sandbox.decode_gif import decode_gif
from grading.sandbox.decode_png import decode

FOLDER = "pictures"


@dataclass(frozen=True)
class SubmittedPictures:
    """The pictures of a submission.

    pictures: file name -> RGB, only files that the stage asks for.
    refused:  file name -> why it counts as missing, the end of a sentence.
    """

    pictures: dict[str, Image.Image] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)


def open_pictures(folder: Path, hand_in: HandIn) -> SubmittedPictures:
    """The pictures of a clean folder that the stage asks for and that have the right size.

    Never raises, whatever is in the folder.
    """
    contents: dict[str, bytes] = {}
    strips: dict[str, Image.Image] = {}
    refused: dict[str, str] = {}
    for name, settings in hand_in.files.items():
        content = read_file(folder / FOLDER / name, LARGEST_PICTURE)
        if isinstance(content, str):
            refused[name] = content
        elif content is None:
            continue
        elif film_kind(settings) is None:
            contents[name] = content
        else:
            strip = _strip(content, settings)
            if isinstance(strip, str):
                refused[name] = strip
            else:
                strips[name] = strip
    pictures, unreadable = decode(contents) if contents else ({}, {})
    refused |= unreadable
    for name in list(pictures):
        wrong_size = _wrong_size(pictures[name], hand_in.size)
        if wrong_size:
            refused[name] = wrong_size
            del pictures[name]
    pictures |= strips
    in_order = [name for name in hand_in.files if name in pictures]
    return SubmittedPictures({name: pictures[name] for name in in_order}, refused)


def _strip(content: bytes, settings: PictureSettings) -> Image.Image | str:
    """The frames of a GIF one below the other, or why it does not count."""
    film = decode_gif(content)
    if isinstance(film, str):
        return film
    try:
        return strip_of(film, rules_of(settings))
    except CourseError as error:
        return str(error)


def _wrong_size(picture: Image.Image, size: tuple[int, int]) -> str:
    height, width = size
    if picture.size == (width, height):
        return ""
    return f"it is {picture.width} x {picture.height} pixels, and is drawn as {width} x {height}"


def read_file(path: Path, most: int) -> bytes | str | None:
    """The bytes of a regular file, None where there is none, or why it is not read."""
    try:
        # Follow no link, and wait for no pipe.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError:
        return "it is not a file that can be read"
    try:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            return "it is not a file that can be read"
        if about.st_size > most:
            return f"it has more than {most // 2**20} MB"
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(most)
    finally:
        os.close(descriptor)
