"""Stitches as the bytes of a PES or DST file, and what a machine would read in them.

Both are written and read by pystitch, the maintained successor of pyembroidery.
"""

from __future__ import annotations

import io
import re
import unicodedata
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pystitch

UNITS = 10  # of the file formats in a millimetre
LONGEST_STITCH = 12.1  # mm; the maximum of DST
DST_HEADER = 512  # bytes; the stitches begin after them
END_OF_HEADER = b"\x1a"
MOST_NAMED = 29  # colours whose shortest lines fit into that header

Points = list[tuple[float, float]]


@dataclass(frozen=True)
class Block:
    """Everything that is sewn with one thread.

    index: of its colour in the palette.
    hex: that colour.
    runs: needle points in mm from the centre, y down; the thread is cut between two runs.
    """

    index: int
    hex: str
    runs: tuple[Points, ...]

    @property
    def stitches(self) -> int:
        return sum(len(run) for run in self.runs)


def pes_bytes(blocks: Sequence[Block], title: str) -> bytes:
    """A PES file of version 6, with the colours of the blocks."""
    pattern = _pattern(blocks, title)
    for block in blocks:
        thread = pystitch.EmbThread()
        thread.set_hex_color(block.hex)
        thread.description, thread.catalog_number = block.hex, str(block.index)
        pattern.add_thread(thread)
    return _encoded(pystitch.PesWriter, pattern, version="6")


def dst_bytes(blocks: Sequence[Block], title: str) -> bytes:
    """A DST file whose header of 512 bytes names the first 29 colours, or all if they are fewer."""
    # pystitch's own extended header has a line for every colour, and goes beyond 512 bytes.
    plain = _encoded(pystitch.DstWriter, _pattern(blocks, title), version="default")
    header = plain[: plain.index(END_OF_HEADER)]
    room = DST_HEADER - len(header) - len(END_OF_HEADER)
    lines = [_colour_line(block, f"{block.hex},{block.index}") for block in blocks]
    if sum(map(len, lines)) > room:
        lines = [_colour_line(block, ",") for block in blocks[:MOST_NAMED]]
    header += b"".join(lines) + END_OF_HEADER
    return header.ljust(DST_HEADER) + plain[DST_HEADER:]


def _colour_line(block: Block, words: str) -> bytes:
    """One of a DST's extended header: colour, description, number of a maker's catalogue."""
    return f"TC:{block.hex},{words}\r".encode()


def _encoded(writer: Any, pattern: pystitch.EmbPattern, *, version: str) -> bytes:
    buffer = io.BytesIO()
    settings = {
        "version": version,
        "tie_on": True,
        "tie_off": True,
        "max_stitch": LONGEST_STITCH * UNITS,
    }
    pystitch.EmbPattern.write_embroidery(writer, pattern, buffer, settings)
    return buffer.getvalue()


def _label(title: str) -> str:
    """The first eight letters of a title; machines know those of ASCII alone."""
    plain = unicodedata.normalize("NFKD", title)
    label = re.sub(r"[^A-Za-z0-9 _-]", "", plain)[:8].strip()
    if label:
        return label
    warnings.warn(
        f"an embroidery machine can show no letter of the title {title!r}; it shows Picture.",
        stacklevel=5,
    )
    return "Picture"


def _pattern(blocks: Sequence[Block], title: str) -> pystitch.EmbPattern:
    pattern = pystitch.EmbPattern()
    # Both formats give the name a few bytes of ASCII.
    pattern.metadata("name", _label(title))
    for number, block in enumerate(blocks):
        if number:
            pattern.color_change()
        for run in block.runs:
            # An explicit move: otherwise the writer would sew the last part of the way.
            pattern.move_abs(*_units(run[0]))
            for point in run:
                pattern.stitch_abs(*_units(point))
            pattern.trim()
    pattern.end()
    return pattern


def _units(point: tuple[float, float]) -> tuple[int, int]:
    return round(point[0] * UNITS), round(point[1] * UNITS)


def pes_fault(data: bytes, blocks: Sequence[Block]) -> str:
    """What a machine would read in a PES file otherwise than these blocks; "" for nothing."""
    pattern = pystitch.read_pes(io.BytesIO(data))
    return _fault(pattern, blocks, [block.hex for block in blocks])


def dst_fault(data: bytes, blocks: Sequence[Block]) -> str:
    """The same of a DST file, which names at most the first 29 colours."""
    if not data.startswith(b"LA:") or END_OF_HEADER not in data[:DST_HEADER]:
        return f"its header does not end within {DST_HEADER} bytes"
    pattern = pystitch.read_dst(io.BytesIO(data))
    return _fault(pattern, blocks, [block.hex for block in blocks[:MOST_NAMED]])


def _fault(pattern: pystitch.EmbPattern, blocks: Sequence[Block], colours: list[str]) -> str:
    if [thread.hex_color() for thread in pattern.threadlist] != colours:
        return "its colours read back otherwise"
    sewn: list[list[tuple[int, int]]] = [[]]
    for x, y, flags in pattern.stitches:
        command = flags & pystitch.COMMAND_MASK
        if command == pystitch.COLOR_CHANGE:
            sewn.append([])
        elif command == pystitch.STITCH:
            sewn[-1].append((int(x), int(y)))
    if len(sewn) != len(blocks):
        return f"{len(sewn)} threads read back, of {len(blocks)}"
    for number, (block, points) in enumerate(zip(blocks, sewn, strict=True), 1):
        # The writer adds small stitches that tie the thread in and off, and leaves none out.
        there = iter(points)
        if not all(_units(point) in there for run in block.runs for point in run):
            return f"the stitches of thread {number} read back otherwise"
    return ""
