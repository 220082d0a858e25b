"""What the readers of palette files share: entries, bytes and lines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from distillery.core.errors import CourseError
from distillery.core.files import decoded


class Entry(NamedTuple):
    """One colour of a file: where it stands, as "line 3", its code, and whether it is seen."""

    place: str
    code: str
    is_clear: bool = False


def levels_entry(place: str, levels: tuple[int, ...]) -> Entry:
    """An entry of red, green, blue and perhaps alpha, each 0 to 255."""
    return Entry(place, bytes(levels[:3]).hex(), is_clear=levels[3:] == (0,))


def lines_of(path: Path, *, old: bool = False) -> Iterator[tuple[str, str]]:
    """The lines with something in them, and which they are.

    Args:
        old: whether text that is not UTF-8 may be in the encodings of old programs, for the sake of
            its names, of which nothing is used.

    Raises:
        CourseError: the file cannot be read, or is no text.
    """
    content = bytes_of(path)
    try:
        text = decoded(content)
    except UnicodeDecodeError as error:
        if not old:
            raise CourseError(f"{path} is not text in UTF-8; save it as UTF-8.") from error
        text = content.decode("latin-1")
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield f"line {number}", line


def bytes_of(path: Path) -> bytes:
    """The content of a palette's file.

    Raises:
        CourseError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise CourseError(f"there is no file {path}; give the path of a palette.") from error
    # A path with a null character is a ValueError.
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise CourseError(f"cannot read {path}: {reason.lower()}; choose another file.") from error
