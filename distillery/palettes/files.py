"""Palette files: `.hex`, `.gpl` of GIMP, `.pal` of Paint Shop Pro or Windows, and PNG strips."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from distillery.core.errors import CourseError
from distillery.core.files import REPOSITORY, atomic_write
from distillery.core.images import read_any, to_png_bytes
from distillery.palettes.colours import MOST, checked, from_hex, lattice, to_hex

OWN = REPOSITORY / "data" / "palettes"
LATTICE = re.compile(r"rgb-([0-9]{1,3})")
LEVELS = re.compile(r"\s*(\d{1,4})\s+(\d{1,4})\s+(\d{1,4})(\s.*)?")
BLOCK = 16  # pixels, the side of a colour in a strip


class Entry(NamedTuple):
    """One colour of a file: where it stands, as "line 3", and its code."""

    place: str
    code: str


def palette_names() -> list[str]:
    """The names of our own palettes, which `load_palette` takes."""
    return sorted(path.stem for path in OWN.glob("*.hex"))


def load_palette(name_or_path: str | Path) -> Tensor:
    """The palette `(K, 3)` of a name or a file, in the file's order.

    A name is one of `palette_names()`, or "rgb-2" to "rgb-10" for a lattice of the RGB cube. A
    `.hex` file has a code in each line, with or without "#"; a `.gpl` file is GIMP's; a `.pal` file
    is JASC's or Microsoft's. Of a `.png` file, each different colour counts once, in the order of
    reading; clear pixels do not count.

    Raises:
        CourseError: there is no such palette, the file is damaged or of another kind, or its
            colours are fewer than 2, more than 1,000, or not all different.
    """
    name = str(name_or_path)
    if name in palette_names():
        return load_palette(OWN / f"{name}.hex")
    if side := LATTICE.fullmatch(name):
        return lattice(int(side[1]))
    path = Path(name_or_path)
    if path.suffix.lower() not in READERS:
        raise CourseError(
            f"{name!r} is not a palette; give the path of a {_kinds()} file, rgb-2 to rgb-10, "
            f"or one of {', '.join(palette_names())}."
        )
    entries = list(READERS[path.suffix.lower()](path))
    return from_hex(
        [entry.code for entry in entries],
        what=str(path),
        places=[entry.place for entry in entries],
    )


def save_palette(colours: Tensor, path: str | Path) -> None:
    """Write a palette `(K, 3)` as `.hex`, `.gpl`, `.pal` (JASC) or `.png`, by the path's suffix.

    The file is whole or absent, and `load_palette` gives the same colours in the same order.

    Raises:
        CourseError: the suffix is unknown, the colours are not a palette, or the file cannot be
            written.
    """
    path = Path(path)
    if path.suffix.lower() not in WRITERS:
        raise CourseError(f"a palette is saved as {_kinds()}; the path was {path}.")
    colours = checked(colours, what=f"the palette for {path.name}")
    atomic_write(path, WRITERS[path.suffix.lower()](colours, path.stem))


def _kinds() -> str:
    *first, last = READERS
    return f"{', '.join(first)} or {last}"


# Reading


def _read_hex(path: Path) -> Iterator[Entry]:
    for place, line in _lines(path):
        yield Entry(place, line)


def _read_gpl(path: Path) -> Iterator[Entry]:
    lines = _lines(path)
    if next(lines, ("", ""))[1].strip() != "GIMP Palette":
        raise CourseError(
            f"{path} does not begin with the line 'GIMP Palette'; export it again from GIMP."
        )
    for place, line in lines:
        if not re.match(r"\s*#|(Name|Columns|Channels):", line):
            yield _entry(path, place, line)


def _read_pal(path: Path) -> Iterator[Entry]:
    data = _bytes(path)
    if data[:4] == b"RIFF":
        yield from _read_riff(path, data)
        return
    lines = list(_lines(path))
    header = [line.strip() for _, line in lines[:3]]
    if header[:2] != ["JASC-PAL", "0100"] or not re.fullmatch("[0-9]{1,9}", "".join(header[2:])):
        raise CourseError(
            f"{path} does not begin with the lines 'JASC-PAL', '0100' and the number of colours; "
            "export it again."
        )
    entries = [_entry(path, place, line) for place, line in lines[3:]]
    if int(header[2]) != len(entries):
        raise CourseError(
            f"{path}, {lines[2][0]}: it says {header[2]} colours and {len(entries)} follow; "
            "export it again, or put the number right."
        )
    yield from entries


def _read_riff(path: Path, data: bytes) -> Iterator[Entry]:
    """A logical palette in RIFF, from Microsoft's Multimedia Programming Interface 1.0 (1991)."""
    try:
        kind, chunk, version, count = struct.unpack_from("<8x4s4s4xHH", data)
        quads = list(struct.iter_unpack("<3Bx", data[24 : 24 + 4 * count]))
    except struct.error:
        kind, chunk, version, count, quads = b"", b"", 0, 0, []
    if (kind, chunk, version) != (b"PAL ", b"data", 0x0300) or len(quads) != count:
        raise CourseError(
            f"{path} is a RIFF palette that is cut short or of another kind; export it again, "
            "as JASC-PAL if you can choose."
        )
    for number, quad in enumerate(quads, start=1):
        yield Entry(f"colour {number}", bytes(quad).hex())


def _read_png(path: Path) -> Iterator[Entry]:
    pixels = np.asarray(read_any(path).convert("RGBA")).reshape(-1, 4).astype(np.int64)
    codes = pixels[pixels[:, 3] > 0] @ np.array([65536, 256, 1, 0])
    distinct, first = np.unique(codes, return_index=True)
    if len(distinct) > MOST:
        raise CourseError(
            f"{path} holds {len(distinct):,} colours and is not a strip of a palette, which has at "
            f"most {MOST:,}; to take a few colours from a picture, give it to `main.py pixelart` "
            "as the input image and name no palette."
        )
    for number, code in enumerate(distinct[first.argsort()], start=1):
        yield Entry(f"colour {number}", f"{code:06x}")


def _entry(path: Path, place: str, line: str) -> Entry:
    match = LEVELS.fullmatch(line)
    levels = [int(level) for level in match.groups()[:3]] if match else [256]
    if max(levels) > 255:
        raise CourseError(
            f"{path}, {place}: {line.strip()[:40]!r} is not a colour; write red, green and blue, "
            "each 0 to 255."
        )
    return Entry(place, bytes(levels).hex())


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    """The lines with something in them, and which they are."""
    try:
        text = _bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CourseError(f"{path} is not text in UTF-8; save it as UTF-8.") from error
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            yield f"line {number}", line


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise CourseError(
            f"there is no file {path}; give the path of a {_kinds()} file, rgb-2 to rgb-10, "
            f"or one of {', '.join(palette_names())}."
        ) from error
    # A path with a null character is a ValueError.
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise CourseError(f"cannot read {path}: {reason.lower()}; choose another file.") from error


# Writing


def _write_hex(colours: Tensor, name: str) -> str:
    return "".join(code[1:] + "\n" for code in to_hex(colours))


def _write_gpl(colours: Tensor, name: str) -> str:
    # A file's name may hold what a line of text may not.
    name = " ".join(name.split()).encode(errors="replace").decode()
    rows = [
        f"{red:3d} {green:3d} {blue:3d}\t{code}\n"
        for (red, green, blue), code in zip(_levels(colours), to_hex(colours), strict=True)
    ]
    return f"GIMP Palette\nName: {name}\nColumns: 8\n#\n" + "".join(rows)


def _write_pal(colours: Tensor, name: str) -> str:
    rows = [f"{red} {green} {blue}" for red, green, blue in _levels(colours)]
    return "\r\n".join(["JASC-PAL", "0100", str(len(rows)), *rows, ""])


def _write_png(colours: Tensor, name: str) -> bytes:
    strip = np.array([_levels(colours)], np.uint8).repeat(BLOCK, axis=0).repeat(BLOCK, axis=1)
    return to_png_bytes(Image.fromarray(strip))


def _levels(colours: Tensor) -> list[list[int]]:
    return (colours * 255).round().to(torch.uint8).tolist()


READERS: dict[str, Callable[[Path], Iterator[Entry]]] = {
    ".hex": _read_hex,
    ".gpl": _read_gpl,
    ".pal": _read_pal,
    ".png": _read_png,
}
WRITERS: dict[str, Callable[[Tensor, str], str | bytes]] = {
    ".hex": _write_hex,
    ".gpl": _write_gpl,
    ".pal": _write_pal,
    ".png": _write_png,
}
