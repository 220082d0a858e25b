"""Reads a PDF back that `distillery.crafts.pdf` has made: its pages, and every cell on them."""

from __future__ import annotations

import base64
import re
import zlib
from collections import Counter
from collections.abc import Mapping

STREAM = re.compile(rb"\bstream\r?\n(.*?)\s*endstream", re.DOTALL)
PAGE = re.compile(rb"/Type /Page\b(?!s)")
STAMP = re.compile(rb"/FormXob\.(\w+) Do")
TAIL = re.compile(rb"startxref\s+(\d+)\s+%%EOF\s*$")


def pdf_fault(data: bytes, pages: int, stamps: Mapping[str, int]) -> str:
    """What a reader would find otherwise than this; "" for nothing.

    Args:
        data: the file.
        pages: how many it should have.
        stamps: name of a stamp -> how often it should be drawn on all pages together.
    """
    tail = TAIL.search(data)
    if not data.startswith(b"%PDF-") or tail is None or data[int(tail[1]) :][:4] != b"xref":
        return "its table of contents is missing"
    if (found := len(PAGE.findall(data))) != pages:
        return f"{found} pages read back, of {pages}"
    try:
        drawn = Counter(
            name.decode()
            for stream in STREAM.findall(data)
            for name in STAMP.findall(_unpacked(stream))
        )
    except (ValueError, zlib.error):
        return "a part of it cannot be read"
    off = [name for name, times in stamps.items() if drawn[name] != times]
    return f"{len(off)} of its {len(stamps)} colours read back otherwise" if off else ""


def _unpacked(stream: bytes) -> bytes:
    """A stream that is deflated and in base 85, as reportlab packs all but fonts; else nothing."""
    if not stream.endswith(b"~>"):
        return b""
    return zlib.decompress(base64.a85decode(b"<~" + stream, adobe=True))
