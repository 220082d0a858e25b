"""An answer is found wherever a site can carry it, and however it is packed."""

from __future__ import annotations

import base64
import gzip
import io
import json
import tarfile
import zipfile
import zlib
from collections.abc import Callable

import pytest
from PIL import Image, PngImagePlugin

from website.answers import Answers, only_signs

LINE = "    return half(x0) < alpha_bar * 'σ' + 1"
ANSWERS = Answers(frozenset({only_signs(LINE.encode())}))
OTHERS = Answers(frozenset({b"returntwice(x0)<alpha_bar*''+1"}))
MODULE = f"def loss(x0):\n{LINE}\n"
INVENTORY = b"# Sphinx inventory version 2\n# Project: A\n# Version:\n# compressed using zlib.\n"


def zipped(content: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("reference/sds.py", content)
    return packed.getvalue()


def tarred(content: bytes) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        member = tarfile.TarInfo("reference/sds.py")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def pictured(content: bytes) -> bytes:
    """As the compressed comment of a PNG picture."""
    said, packed = PngImagePlugin.PngInfo(), io.BytesIO()
    said.add_text("Comment", content.decode("latin-1"), zip=True)
    Image.new("L", (1, 1)).save(packed, "PNG", pnginfo=said)
    return packed.getvalue()


PACKED: dict[str, Callable[[bytes], bytes]] = {
    "text": lambda content: b"\xff\x00" + content,
    "page": lambda content: content.replace(b"<", b"<b>&lt;</b>").replace(b"'", b"&#x27;"),
    "json": lambda content: json.dumps({"source": content.decode()}).encode(),
    "zip": zipped,
    "zip in a zip": lambda content: zipped(zipped(content)),
    "zip behind a program": lambda content: b"#!/bin/sh\n" + zipped(content),
    "gzip": gzip.compress,
    "tar.gz": tarred,
    "inventory": lambda content: INVENTORY + zlib.compress(content, 9),
    "picture": pictured,
    "base64": lambda content: b"data:text/plain;base64," + base64.b64encode(content),
    "base64 of a URL": lambda content: b"?" + base64.urlsafe_b64encode(b"\xff\xfe" + content),
    "base64 in lines": base64.encodebytes,
    "base64 in lines of JSON": lambda it: json.dumps(base64.encodebytes(2 * it).decode()).encode(),
    "zip in base64": lambda content: b'"' + base64.b64encode(zipped(content)) + b'"',
}


@pytest.mark.parametrize("kind", PACKED)
def test_an_answer_is_found_in(kind):
    content = PACKED[kind](MODULE.encode())
    assert ANSWERS.in_bytes(content) == [line.decode() for line in ANSWERS.lines]
    assert OTHERS.in_bytes(content) == []


@pytest.mark.parametrize("kind", ["zip", "gzip", "inventory", "base64"])
def test_what_is_packed_badly_is_read_as_far_as_it_goes(kind):
    content = PACKED[kind](b"x = 1\n" * 99)
    assert ANSWERS.in_bytes(content[: len(content) // 2] + MODULE.encode()) != []
