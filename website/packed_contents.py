"""What is packed inside a file's bytes: archives, compressed streams and base64, at any depth."""

from __future__ import annotations

import base64
import contextlib
import io
import re
import zipfile
import zlib
from collections.abc import Iterator

DEEPEST = 4  # packed within packed; more is not read
LARGEST = 1 << 26  # bytes of one stream when it is unpacked
AHEAD = 1 << 22  # bytes of a file from which one stream is unpacked; longer ones are read in part
ZIP, GZIP = b"PK\x03\x04", 31  # zlib's number for streams with gzip's head
STREAM = re.compile(rb"\x1f\x8b\x08|\x78[\x01\x5e\x9c\xda]")  # the heads of gzip and of zlib
END = rb"(?:\\n|\s*\n\s*)"  # of a line, in a string of JSON or JavaScript too
BASE64 = re.compile(rb"(?:[A-Za-z0-9+/_-]{60,}" + END + rb")*[A-Za-z0-9+/_-]{24,}")


def whole_and_packed(content: bytes, depth: int = 0) -> Iterator[bytes]:
    """The content itself, and then everything that is packed inside it.

    It is found by its form and not by a file's name: the members of zips, what gzip and zlib have
    compressed (inventories of Sphinx, texts of PNG pictures), and base64 of all of these or of
    plain text.
    """
    yield content
    if depth < DEEPEST:
        for find in (_members, _streams, _decoded):
            for inner in find(content):
                yield from whole_and_packed(inner, depth + 1)


def _members(content: bytes) -> Iterator[bytes]:
    if ZIP not in content or not zipfile.is_zipfile(io.BytesIO(content)):
        return
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for member in archive.infolist():
            # One that is broken or has a password tells nobody anything.
            with contextlib.suppress(zipfile.BadZipFile, zlib.error, RuntimeError):
                yield archive.read(member)


def _streams(content: bytes) -> Iterator[bytes]:
    for head in STREAM.finditer(content):
        gzip = head[0][0] == 0x1F
        unpacking = zlib.decompressobj(GZIP if gzip else zlib.MAX_WBITS)
        try:
            unpacked = unpacking.decompress(content[head.start() : head.start() + AHEAD], LARGEST)
        except zlib.error:  # it only looked like a head
            continue
        if unpacked:
            yield unpacked


def _decoded(content: bytes) -> Iterator[bytes]:
    for found in BASE64.finditer(content):
        signs = re.sub(END, b"", found[0]).translate(bytes.maketrans(b"-_", b"+/"))
        if len(signs) % 4 == 1:  # no base64 has this length; the last sign belongs to what follows
            signs = signs[:-1]
        yield base64.b64decode(signs + b"=" * (-len(signs) % 4))
