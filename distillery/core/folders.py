"""The files of a folder, without those that systems leave there, and folders put in place."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path, PurePath

# macOS writes "._boat.png" beside boat.png wherever a disk cannot hold its attributes.
LEFT_BY_SYSTEMS = ("__MACOSX", ".DS_Store", "Thumbs.db", "ehthumbs.db", "desktop.ini")


def is_left_by_system(path: PurePath) -> bool:
    """Whether an operating system wrote this file, or the folder it lies in; nobody wants it."""
    return any(part in LEFT_BY_SYSTEMS or part.startswith("._") for part in path.parts)


def files_of(paths: Iterable[Path], suffixes: Iterable[str], *, under: Path) -> list[Path]:
    """Those that are files with one of these suffixes, in any case, in order of their names.

    Hidden files are left out, and what operating systems leave in folders.

    Args:
        suffixes: in small letters, such as ".png".
        under: the folder that was searched; what it is called itself does not count.
    """
    wanted = set(suffixes)
    return sorted(
        path
        for path in paths
        if path.suffix.lower() in wanted
        and not _is_hidden(path.relative_to(under))
        and path.is_file()
    )


def _is_hidden(path: PurePath) -> bool:
    return any(part.startswith(".") for part in path.parts) or is_left_by_system(path)


def put_in_place(new: Path, folder: Path, *, old: Path) -> None:
    """Move a folder to the place of another one, if there is one, which is moved to `old`.

    All three lie on one disk. If it fails or is interrupted, the other one is in its place again.

    Raises:
        OSError: the place cannot be written.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    there = os.path.lexists(folder)
    if there:
        os.rename(folder, old)
    try:
        os.rename(new, folder)
    except BaseException:
        if there:
            os.rename(old, folder)
        raise
