"""What the course says where its repository's address is known: badges, and Colab's first cell.

The address stands in README.md alone, in its badges, so a later build finds it again.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import PurePosixPath

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell

from distillery.core.errors import CourseError

ADDRESS = re.compile(r"https://github\.com/([\w.-]+/[\w.-]+?)(?:\.git)?/?")
TITLE = "# Score Distillery\n\n"
BADGES = re.compile(r"(?<=\n\n)\[!\[Open in Colab\].*\(https://github\.com/(\S+?)\)\n\n")
FIRST = PurePosixPath("notebooks/00_tour/00_tour.ipynb")
SHIELD = "https://img.shields.io/badge"
COLAB_TEXT = """\
{badge}

On Colab, run the next cell first: it brings the course and its libraries, in some minutes. Colab's
machine forgets all files when it stops, so download `guidance/` before you leave."""
COLAB_CODE = """\
import os
import sys

if "google.colab" in sys.modules and not os.path.isdir("../../distillery"):
    if not os.path.isdir("score-distillery"):
        !git clone --quiet --depth 1 {address} score-distillery
    %cd score-distillery/{folder}
    %pip install --quiet --editable ../..
    sys.path.insert(0, os.path.abspath("../.."))"""


def repository_named(address: str) -> str:
    """ "owner/name" of an address on GitHub, which Colab and Binder open; "" of none.

    Raises:
        CourseError: it is another address.
    """
    found = ADDRESS.fullmatch(address)
    if address and not found:
        raise CourseError(
            f"--repository wants https://github.com/OWNER/NAME, which Colab and Binder can open, "
            f"not {address!r}."
        )
    return found[1] if found else ""


def repository_in(readme: str) -> str:
    """ "owner/name" that the badges of a README lead to; "" where it has none."""
    found = BADGES.search(readme)
    return found[1] if found else ""


def badged(readme: str, repository: str) -> str:
    """A README with the badges of that repository, or without any."""
    plain = BADGES.sub("", readme)
    if not repository:
        return plain
    if TITLE not in plain:
        raise CourseError(f"README.md has no line {TITLE.strip()!r} to put the badges under.")
    badges = (
        _badge("Open in Colab", "Colab-open-F9AB00", _colab(repository, FIRST)),
        _badge(
            "Open in Binder",
            "Binder-open-579ACA",
            f"https://mybinder.org/v2/gh/{repository}/HEAD?labpath={FIRST}",
        ),
        _badge("Source", "GitHub-source-555555", f"https://github.com/{repository}"),
    )
    return plain.replace(TITLE, f"{TITLE}{' '.join(badges)}\n\n", 1)


def for_colab(notebook: str, path: PurePosixPath, repository: str) -> str:
    """The text of a notebook that begins with what Colab needs; as it is without a repository."""
    if not repository:
        return notebook
    node = nbformat.reads(notebook, as_version=4)
    badge = _badge("Open in Colab", "Colab-open-F9AB00", _colab(repository, path))
    address = f"https://github.com/{repository}.git"
    node.cells[:0] = [
        new_markdown_cell(COLAB_TEXT.format(badge=badge), id=_id(path, "text")),
        new_code_cell(COLAB_CODE.format(address=address, folder=path.parent), id=_id(path, "code")),
    ]
    return nbformat.writes(node) + "\n"


def _colab(repository: str, path: PurePosixPath) -> str:
    return f"https://colab.research.google.com/github/{repository}/blob/HEAD/{path}"


def _badge(words: str, picture: str, address: str) -> str:
    return f"[![{words}]({SHIELD}/{picture})]({address})"


def _id(path: PurePosixPath, part: str) -> str:
    return hashlib.sha256(f"{path.stem}\ncolab {part}".encode()).hexdigest()[:12]
