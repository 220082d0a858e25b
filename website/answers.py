"""The lines of every answer in `reference/`, and the search for them in what is published."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from distillery.core.files import REPOSITORY
from grading.authoring.make_stubs import BEGIN, END

SHORTEST = 18  # signs of a line of code; shorter ones stand in many texts by chance
SHORTEST_SAID = 40  # and of a line of text, whose end may be a few words
GIVEN = ("guidance/*.py", "notebooks/*/*.py", "distillery/**/*.py", "*.md", "docs/**/*.md")
TAG = re.compile(rb"<[^<>]*>")
ENTITIES = {b"&lt;": b"<", b"&gt;": b">", b"&quot;": b'"', b"&#39;": b"'", b"&amp;": b"&"}


@dataclass(frozen=True)
class Answers:
    """The lines that nobody may read before they have answered, without any white space."""

    lines: frozenset[str]

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
        told = "".join(_given_texts(root))
        long = _long(lines, SHORTEST) | _long(said, SHORTEST_SAID)
        return cls(frozenset(line for line in long if line not in told))

    def in_text(self, text: str) -> list[str]:
        """The answers' lines that a text holds."""
        bare = without_space(text)
        return sorted(line for line in self.lines if line in bare)

    def in_bytes(self, content: bytes) -> list[str]:
        """The same for a file's bytes; of a page, also of its text without the tags."""
        texts = [content.decode("utf-8", errors="ignore")]
        if b"<" in content:
            plain = TAG.sub(b"", content)
            for entity, sign in ENTITIES.items():
                plain = plain.replace(entity, sign)
            texts.append(plain.decode("utf-8", errors="ignore"))
        if b"\\" in content:  # a string in a file of JSON or JavaScript
            texts.append(texts[0].replace("\\n", "\n").replace('\\"', '"'))
        return sorted({line for text in texts for line in self.in_text(text)})


def without_space(text: str) -> str:
    return re.sub(r"\s+", "", text)


def _long(lines: Iterable[str], shortest: int) -> set[str]:
    return {bare for line in lines if len(bare := without_space(line)) >= shortest}


def _solution_lines(source: str) -> Iterable[str]:
    within = False
    for line in source.splitlines():
        if line.strip() in (BEGIN, END):
            within = line.strip() == BEGIN
        elif within:
            yield line


def _given_texts(root: Path) -> Iterable[str]:
    for pattern in GIVEN:
        for path in sorted(root.glob(pattern)):
            yield without_space(path.read_text(encoding="utf-8"))
            yield "\n"
