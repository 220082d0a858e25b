"""What was executed or drawn for the site, kept under a key of all that its content depends on."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from distillery.core.files import REPOSITORY

PROJECT = "score-distillery"
NOT_LOADED = (".pyc", ".md")  # a model's card changes nothing that it draws
OF_ONE_STAGE = "checks"  # which its notebooks read alone


@dataclass(frozen=True)
class MadeBefore:
    """A folder of what was made, where each thing goes by a key.

    folder: where it lies.
    shared: what everything in it depends on, as a hash.
    root:   of the course.
    """

    folder: Path
    shared: str
    root: Path

    @classmethod
    def under(cls, folder: Path, root: Path = REPOSITORY) -> MadeBefore:
        """The folder for the course as it is now: its given code, its data, the packages here."""
        data = sorted(path for path in (root / "data").iterdir() if path.name != OF_ONE_STAGE)
        read = [content_of(path) for path in (root / "distillery", *data)]
        return cls(folder, _hash(*read, packages()), root)

    def key(self, said: str, *files: Path) -> str:
        """The key of one thing: another one if anything that it depends on is another.

        Args:
            said: what it is made from: the text of a notebook, or a command.
            files: and folders that it reads beside what all things read.
        """
        return _hash(self.shared, said, *(content_of(path) for path in files))[:16]


def content_of(path: Path) -> str:
    """The names and bytes of a file or of all files below a folder, as a hash."""
    found = hashlib.sha256()
    files = [path] if path.is_file() else path.rglob("*")
    for file in sorted(one for one in files if one.is_file() and one.suffix not in NOT_LOADED):
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        found.update(f"{file.relative_to(path.parent).as_posix()} {content}\n".encode())
    return found.hexdigest()


def packages() -> str:
    """Which releases of what the course needs are installed here, a line each."""
    wanted = map(Requirement, metadata.requires(PROJECT) or [])
    names = {one.name for one in wanted if one.marker is None or one.marker.evaluate({"extra": ""})}
    return "\n".join(f"{name} {metadata.version(name)}" for name in sorted(names))


def _hash(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
