"""Palette files: codes, those of GIMP, Paint Shop Pro, Windows, paint.net, Adobe; PNG strips."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from distillery.core.errors import CourseError
from distillery.core.files import REPOSITORY, atomic_write
from distillery.core.folders import files_of
from distillery.core.images import read_any, to_png_bytes
from distillery.core.program import MAIN
from distillery.palettes.binary_files import read_exchange, read_riff, read_swatches, read_table
from distillery.palettes.colours import MOST, checked, from_hex, lattice, to_hex
from distillery.palettes.entries import Entry, bytes_of
from distillery.palettes.text_files import read_gimp, read_hex, read_jasc, read_paint_net

OWN = REPOSITORY / "data" / "palettes"
LATTICE = re.compile(r"rgb-([0-9]{1,3})")
BLOCK = 16  # pixels, the side of a colour in a strip
Reader = Callable[[Path], Iterator[Entry]]


def palette_names() -> list[str]:
    """The names of our own palettes, which `load_palette` takes."""
    return [path.stem for path in files_of(OWN.iterdir(), (".hex",), under=OWN)]


def load_palette(name_or_path: str | Path) -> Tensor:
    """The palette `(K, 3)` of a name or a file, in the file's order.

    A name is one of `palette_names()`, or "rgb-2" to "rgb-10" for a lattice of the RGB cube. A
    `.hex` file has a code in each line, with or without "#"; a `.gpl` file is GIMP's; a `.pal` file
    is JASC's or Microsoft's; a `.txt` file is paint.net's, or codes again; `.ase`, `.aco` and
    `.act` are Adobe's. Of a `.png` file the pixels count, in the order of reading. A file that
    begins as another of these kinds is read as that one.

    Each different colour counts once, where it stands first, and what is wholly transparent does
    not count. A warning says how many entries that leaves out of a file, unless it is a picture.

    Raises:
        CourseError: there is no such palette, the file is damaged or of another kind, or its
            different colours are fewer than 2 or more than 1,000.
    """
    name = str(name_or_path)
    if name in palette_names():
        return load_palette(OWN / f"{name}.hex")
    if side := LATTICE.fullmatch(name):
        return lattice(int(side[1]))
    path = Path(name_or_path)
    if path.suffix.lower() not in READERS or not os.path.exists(path):
        missing = path.suffix.lower() in READERS
        what = f"there is no file {path}" if missing else f"{name!r} is not a palette"
        raise CourseError(
            f"{what}; give the path of a {_kinds(READERS)} file, rgb-2 to rgb-10, "
            f"or one of {', '.join(palette_names())}."
        )
    entries = _kept(path, list(_reader(path)(path)))
    return from_hex(
        [entry.code for entry in entries],
        what=str(path),
        places=[entry.place for entry in entries],
    )


def _kept(path: Path, entries: list[Entry]) -> list[Entry]:
    """Those that are seen, each different colour once."""
    seen = [entry for entry in entries if not entry.is_clear]
    first: dict[str, Entry] = {}
    for entry in seen:
        first.setdefault(entry.code.strip().lower().removeprefix("#"), entry)
    kept = list(first.values())
    if len(kept) == len(entries):
        return kept
    clear, repeated = len(entries) - len(seen), len(seen) - len(kept)
    parts = [f"{clear} transparent"] * (clear > 0) + [f"{repeated} repeated"] * (repeated > 0)
    warnings.warn(
        f"{path} has {len(entries)} entries, {' and '.join(parts)}; its palette is the "
        f"{len(kept)} different colours.",
        stacklevel=3,
    )
    return kept


def save_palette(colours: Tensor, path: str | Path) -> None:
    """Write a palette `(K, 3)` as `.hex`, `.gpl`, `.pal` (JASC) or `.png`, by the path's suffix.

    The file is whole or absent, and `load_palette` gives the same colours in the same order.

    Raises:
        CourseError: the suffix is unknown, the colours are not a palette, or the file cannot be
            written.
    """
    path = Path(path)
    if path.suffix.lower() not in WRITERS:
        raise CourseError(f"a palette is saved as {_kinds(WRITERS)}; the path was {path}.")
    colours = checked(colours, what=f"the palette for {path.name}")
    atomic_write(path, WRITERS[path.suffix.lower()](colours, path.stem))


def _kinds(suffixes: Iterable[str]) -> str:
    *first, last = suffixes
    return f"{', '.join(first)} or {last}"


# Reading


def _reader(path: Path) -> Reader:
    """That of the kind which the file's first bytes tell, else of its ending."""
    start = bytes_of(path)[:64]
    if start[:4] == b"RIFF" and start[8:12] == b"PAL ":
        return read_riff
    # A byte order mark may come before text, and zeros between its letters in UTF-16.
    words = start.replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xff\xfe\r\n\t ").lower()
    told = (reader for first, reader in SIGNATURES.items() if words.startswith(first))
    return next(told, READERS[path.suffix.lower()])


def _read_pal(path: Path) -> Iterator[Entry]:
    return read_riff(path) if bytes_of(path)[:4] == b"RIFF" else read_jasc(path)


def _read_png(path: Path) -> Iterator[Entry]:
    pixels = np.asarray(read_any(path).convert("RGBA")).reshape(-1, 4).astype(np.int64)
    codes = pixels[pixels[:, 3] > 0] @ np.array([65536, 256, 1, 0])
    distinct, first = np.unique(codes, return_index=True)
    if len(distinct) > MOST:
        raise CourseError(
            f"{path} holds {len(distinct):,} colours and is not a strip of a palette, which has at "
            f"most {MOST:,}; to take a few colours from a picture, give it to `{MAIN} pixelart` "
            "as the input image and name no palette."
        )
    for number, code in enumerate(distinct[first.argsort()], start=1):
        yield Entry(f"colour {number}", f"{code:06x}")


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


SIGNATURES: dict[bytes, Reader] = {
    b"gimp palette": read_gimp,
    b"jasc-pal": read_jasc,
    b"asef": read_exchange,
    b"\x89png": _read_png,
}
READERS: dict[str, Reader] = {
    ".hex": read_hex,
    ".gpl": read_gimp,
    ".pal": _read_pal,
    ".txt": read_paint_net,
    ".ase": read_exchange,
    ".aco": read_swatches,
    ".act": read_table,
    ".png": _read_png,
}
WRITERS: dict[str, Callable[[Tensor, str], str | bytes]] = {
    ".hex": _write_hex,
    ".gpl": _write_gpl,
    ".pal": _write_pal,
    ".png": _write_png,
}
