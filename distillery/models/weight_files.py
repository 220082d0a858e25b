"""Finding files of weights, and saying in words why one cannot be read."""

from __future__ import annotations

import os
from pathlib import Path

from safetensors import SafetensorError, safe_open

from distillery.core.files import REPOSITORY

LFS_POINTER = b"version https://git-lfs"
PICKLES = (".bin", ".ckpt", ".pt", ".pth")


def course_path(source: str | Path) -> Path:
    """The file or folder of that name: here, at home ("~"), or else in the course's folder."""
    place = Path(os.path.expanduser(source))  # Path's own raises where there is no such user
    ours = REPOSITORY / place
    return ours if ours.exists() and not place.exists() else place


def fault_of(file: Path) -> str:
    """Why a file is not whole weights in safetensors, in words; "" where it is."""
    try:
        with open(file, "rb") as opened:
            beginning = opened.read(len(LFS_POINTER))
    except OSError as error:
        return f"cannot be read ({(error.strerror or str(error)).lower()})"
    if beginning == LFS_POINTER:
        return "is a pointer of Git LFS instead of the weights, so run `git lfs pull`"
    if file.suffix.lower() in PICKLES:
        return "is a pickle, which may run code when it is read, so convert it to safetensors"
    try:
        with safe_open(file, framework="pt"):
            return ""
    except (SafetensorError, OSError):
        return "is cut short or damaged"


def is_whole(file: Path) -> bool:
    """Whether a file of weights in safetensors can be read."""
    return not fault_of(file)
