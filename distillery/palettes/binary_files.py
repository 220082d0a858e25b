"""Palettes in bytes: Microsoft's RIFF, and Adobe's swatch exchange, colour swatches and tables."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from distillery.core.errors import CourseError
from distillery.palettes.entries import Entry, bytes_of, levels_entry

NO_ENTRY = 0xFFFF  # in place of the transparent entry of a table that has none


def read_riff(path: Path) -> Iterator[Entry]:
    """A logical palette in RIFF, from Microsoft's Multimedia Programming Interface 1.0 (1991).

    Other chunks may come before the one that holds the colours.
    """
    data = bytes_of(path)
    colours = _riff_chunk(data, b"data") if data[8:12] == b"PAL " else b""
    version, count = struct.unpack_from("<HH", colours) if len(colours) >= 4 else (0, 0)
    if version != 0x0300 or len(colours) < 4 + 4 * count:
        raise CourseError(
            f"{path} is a RIFF palette that is cut short or of another kind; export it again, "
            "as JASC-PAL if you can choose."
        )
    for number in range(count):
        yield levels_entry(f"colour {number + 1}", tuple(colours[4 + 4 * number :][:3]))


def _riff_chunk(data: bytes, wanted: bytes) -> bytes:
    """The content of the first chunk of that name, empty where there is none."""
    at = 12
    while at + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, at)
        if name == wanted:
            return data[at + 8 : at + 8 + size]
        at += 8 + size + size % 2  # chunks begin at even places
    return b""


def read_table(path: Path) -> Iterator[Entry]:
    """Adobe's colour table: 256 colours, and perhaps how many count and which is transparent."""
    data = bytes_of(path)
    if len(data) not in (768, 772):
        raise CourseError(
            f"{path} has {len(data):,} bytes, and a colour table of Adobe's 768 or 772; export it "
            "again."
        )
    count, clear = struct.unpack(">HH", data[768:]) if len(data) == 772 else (256, NO_ENTRY)
    if count > 256:
        raise CourseError(
            f"{path} says that it holds {count:,} colours, and a colour table has at most 256; "
            "export it again."
        )
    for number in range(count or 256):
        levels = (*data[3 * number :][:3], 0 if number == clear else 255)
        yield levels_entry(f"colour {number + 1}", levels)


def read_swatches(path: Path) -> Iterator[Entry]:
    """Photoshop's colour swatches, version 1 or 2; of a file with both, version 1."""
    data = bytes_of(path)
    try:
        version, count = struct.unpack_from(">HH", data)
        if version not in (1, 2):
            raise ValueError("its version is not known")
        at = 4
        for number in range(1, count + 1):
            space, *parts = struct.unpack_from(">5H", data, at)
            at += 10
            if version == 2:
                (length,) = struct.unpack_from(">I", data, at)
                at += 4 + 2 * length
                if at > len(data):
                    raise ValueError("a name is cut short")
            place = f"colour {number}"
            yield Entry(place, _code(_swatch(path, place, space, parts)))
    except (struct.error, ValueError) as error:
        raise CourseError(
            f"{path} is no file of colour swatches of Adobe's, or is cut short; export it again."
        ) from error


def _swatch(path: Path, place: str, space: int, parts: list[int]) -> list[float]:
    """sRGB in [0, 1] of a swatch in the spaces of Adobe's Photoshop File Formats."""
    if space == 0:
        return [part / 65535 for part in parts[:3]]
    if space == 1:
        return _srgb("hsv", [parts[0] / 65535 * 360, parts[1] / 65535, parts[2] / 65535])
    if space == 2:  # 0 is all of an ink
        return _of_inks([1 - part / 65535 for part in parts])
    if space == 7:
        signed = [part - 65536 if part > 32767 else part for part in parts]
        return _srgb("lab", [signed[0] / 100, signed[1] / 100, signed[2] / 100])
    if space == 8:  # black ink: Photoshop's own "75% Gray" is 7500
        return [1 - parts[0] / 10000] * 3
    if space == 9:
        return _of_inks([part / 10000 for part in parts])
    raise CourseError(
        f"{path}, {place} is in Adobe's colour space number {space}, that of a printer's colour "
        "book; convert it to RGB in the program that wrote it."
    )


def read_exchange(path: Path) -> Iterator[Entry]:
    """Adobe's swatch exchange: blocks of groups and colours, each colour with a name."""
    data = bytes_of(path)
    if data[4:6] == b"\xe0\xa5":
        raise CourseError(
            f"{path} is a drawing of Aseprite's and no swatch exchange of Adobe's; export its "
            "palette as .gpl, or the drawing as .png."
        )
    try:
        if data[:4] != b"ASEF":
            raise ValueError("its first letters are not ASEF")
        (blocks,) = struct.unpack_from(">I", data, 8)
        at, number = 12, 0
        for _ in range(blocks):
            kind, length = struct.unpack_from(">HI", data, at)
            block = data[at + 6 : at + 6 + length]
            if len(block) < length:
                raise ValueError("a block is cut short")
            at += 6 + length
            if kind == 1:
                number += 1
                yield Entry(f"colour {number}", _code(_exchanged(block)))
    except (struct.error, ValueError) as error:
        raise CourseError(
            f"{path} is no swatch exchange of Adobe's, or is cut short; export it again."
        ) from error


def _exchanged(block: bytes) -> list[float]:
    """sRGB in [0, 1] of one colour's block."""
    (letters,) = struct.unpack_from(">H", block)
    model = block[2 + 2 * letters :][:4].upper()
    readers: dict[bytes, tuple[int, Callable[[list[float]], list[float]]]] = {
        b"RGB ": (3, list),
        b"CMYK": (4, _of_inks),
        b"LAB ": (3, lambda lab: _srgb("lab", [100 * lab[0], lab[1], lab[2]])),
        b"GRAY": (1, lambda grey: grey * 3),
    }
    if model not in readers:
        raise ValueError("a colour model is not known")
    count, convert = readers[model]
    return convert(list(struct.unpack_from(f">{count}f", block, 6 + 2 * letters)))


def _of_inks(inks: list[float]) -> list[float]:
    """sRGB of cyan, magenta, yellow and black in [0, 1], as screens show them without a profile."""
    return [(1 - ink) * (1 - inks[3]) for ink in inks[:3]]


def _srgb(space: str, parts: list[float]) -> list[float]:
    from coloraide import Color

    colour: Any = Color(space, parts).convert("srgb").clip()
    return list(colour.coords())


def _code(levels: list[float]) -> str:
    if not all(math.isfinite(level) for level in levels):
        raise ValueError("a level is no number")
    return bytes(round(255 * min(max(level, 0.0), 1.0)) for level in levels).hex()
