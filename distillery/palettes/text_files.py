"""Palettes in text: lists of codes, and the files of GIMP, Paint Shop Pro and paint.net."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from distillery.core.errors import CourseError
from distillery.palettes.entries import Entry, levels_entry, lines_of

LEVELS = re.compile(r"\s*(\d{1,4})\s+(\d{1,4})\s+(\d{1,4})(?:\s+(\d{1,4}))?(\s.*)?")
ARGB = re.compile(r"\s*(?:0x|#)?([0-9a-fA-F]{2})([0-9a-fA-F]{6})\s*")


def read_hex(path: Path) -> Iterator[Entry]:
    """A code in each line, with or without "#" or "0x"; ";" and "//" begin comments."""
    for place, line in lines_of(path):
        code = re.split(";|//", line)[0].strip()
        if code:
            yield Entry(place, re.sub("^0[xX]", "", code))


def read_paint_net(path: Path) -> Iterator[Entry]:
    """Codes of alpha, red, green and blue after comments; or plain codes, as in a .hex file."""
    for entry in read_hex(path):
        match = ARGB.fullmatch(entry.code)
        yield Entry(entry.place, match[2], match[1] == "00") if match else entry


def read_gimp(path: Path) -> Iterator[Entry]:
    """GIMP's palettes; "Channels: RGBA" of Aseprite says that alpha follows the three levels."""
    lines = lines_of(path, old=True)
    if next(lines, ("", ""))[1].strip().lower() != "gimp palette":
        raise CourseError(
            f"{path} does not begin with the line 'GIMP Palette'; export it again from GIMP."
        )
    has_alpha = False
    for place, line in lines:
        if re.match(r"\s*Channels:\s*RGBA\s*$", line, re.IGNORECASE):
            has_alpha = True
        if not re.match(r"\s*#|\s*[a-z]+\s*:", line, re.IGNORECASE):
            yield _entry(path, place, line, has_alpha=has_alpha)


def read_jasc(path: Path) -> Iterator[Entry]:
    """Palettes of Jasc's Paint Shop Pro; a fourth number is alpha."""
    lines = list(lines_of(path, old=True))
    header = [line.strip() for _, line in lines[:3]]
    if header[:2] != ["JASC-PAL", "0100"] or not re.fullmatch("[0-9]{1,9}", "".join(header[2:])):
        raise CourseError(
            f"{path} does not begin with the lines 'JASC-PAL', '0100' and the number of colours; "
            "export it again."
        )
    entries = [_entry(path, place, line, has_alpha=True) for place, line in lines[3:]]
    if int(header[2]) != len(entries):
        raise CourseError(
            f"{path}, {lines[2][0]}: it says {header[2]} colours and {len(entries)} follow; "
            "export it again, or put the number right."
        )
    yield from entries


def _entry(path: Path, place: str, line: str, *, has_alpha: bool) -> Entry:
    match = LEVELS.fullmatch(line)
    numbers = match.groups()[: 4 if has_alpha else 3] if match else ()
    levels = tuple(int(number) for number in numbers if number is not None)
    if not levels or max(levels) > 255:
        raise CourseError(
            f"{path}, {place}: {line.strip()[:40]!r} is not a colour; write red, green and blue, "
            "each 0 to 255."
        )
    return levels_entry(place, levels)
