"""The lines of every answer in `reference/`, and the search for them in what is published."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from distillery.core.files import REPOSITORY
from grading.authoring.make_stubs import BEGIN, END
from website.packed_contents import whole_and_packed

SHORTEST = 18  # signs of a line of code; shorter ones stand in many texts by chance
SHORTEST_SAID = 40  # and of a line of text, whose end may be a few words
GIVEN = ("guidance/*.py", "notebooks/*/*.py", "distillery/**/*.py", "*.md", "docs/**/*.md")
SIGNS = bytes(range(0x21, 0x7F))  # what is compared: what everybody writes with the same bytes
NO_SIGNS = bytes(byte for byte in range(256) if byte not in SIGNS)
TAG = re.compile(rb"<[^<>]*>")
ESCAPED = re.compile(rb"\\(?:u([0-9a-fA-F]{4})|n|(.))")  # in a string of JSON or JavaScript


@dataclass(frozen=True)
class Answers:
    """The lines that nobody may read before they have answered, in ASCII without white space."""

    lines: frozenset[bytes]

    @classmethod
    def of_the_course(cls, root: Path = REPOSITORY) -> Answers:
        """Those between the solution marks of `reference/*.py`, and the texts of `reference/*.md`.

        What the students' own copy says too (stubs, notebooks, given code) is no secret.
        """
        lines: set[str] = set()
        said: set[str] = set()
        for path in (root / "reference").glob("*.py"):
            lines |= set(_solution_lines(path.read_text(encoding="utf-8")))
        for path in (root / "reference").glob("*.md"):
            text = path.read_text(encoding="utf-8").partition("\n## ")[2]
            said |= {line for line in text.splitlines() if not line.startswith("#")}
        told = b"\n".join(_given_texts(root))
        long = _long(lines, SHORTEST) | _long(said, SHORTEST_SAID)
        return cls(frozenset(line for line in long if line not in told))

    def in_text(self, text: str) -> list[str]:
        """The answers' lines that a text holds."""
        return self.in_bytes(text.encode())

    def in_bytes(self, content: bytes) -> list[str]:
        """The same for a file's bytes, for its text without tags, and for what is packed in it."""
        found: set[bytes] = set()
        for part in whole_and_packed(content):
            for text in _readings(part):
                bare = only_signs(text)
                if len(bare) >= SHORTEST:
                    found |= {line for line in self.lines if line in bare}
        return sorted(line.decode() for line in found)


def only_signs(text: bytes) -> bytes:
    """A text without white space and without what is not ASCII."""
    return text.translate(None, delete=NO_SIGNS)


def _readings(content: bytes) -> Iterable[bytes]:
    """Content as it is, as the text of a page, and as strings of JSON or JavaScript."""
    yield content
    if b"<" in content:
        plain = TAG.sub(b"", content).decode(errors="ignore")
        yield html.unescape(plain).encode()
    if b"\\" in content:
        yield ESCAPED.sub(_unescaped, content)


def _unescaped(escape: re.Match[bytes]) -> bytes:
    if escape[1]:
        return chr(int(escape[1], 16)).encode(errors="ignore")
    return escape[2] or b""


def _long(lines: Iterable[str], shortest: int) -> set[bytes]:
    return {bare for line in lines if len(bare := only_signs(line.encode())) >= shortest}


def _solution_lines(source: str) -> Iterable[str]:
    within = False
    for line in source.splitlines():
        if line.strip() in (BEGIN, END):
            within = line.strip() == BEGIN
        elif within:
            yield line


def _given_texts(root: Path) -> Iterable[bytes]:
    for pattern in GIVEN:
        for path in sorted(root.glob(pattern)):
            yield only_signs(path.read_bytes())
