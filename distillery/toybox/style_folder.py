"""A style as a folder of pictures with captions, in the form that `datasets` calls imagefolder."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from distillery.core.errors import CourseError
from distillery.core.files import atomic_write
from distillery.toybox.drawing import Drawing, draw
from distillery.toybox.styles import CELL, STYLES, styled
from distillery.toybox.vocabulary import all_factors, held_out


def write_style_folder(
    folder: Path,
    style: str,
    *,
    count: int,
    seed: int,
    size: tuple[int, int] = (64, 64),
    with_held_out: bool = False,
) -> None:
    """Write `count` pictures of a style, and `metadata.jsonl` with their captions.

    Each line of `metadata.jsonl` has `file_name` and `text`. The folder appears when it is whole.

    Args:
        size: height and width in pixels, even.
        with_held_out: also the combinations of facts that no model of the course saw in training.

    Raises:
        CourseError: the folder exists, the style, count or size is none, or the disk is full.
    """
    _check(folder, style, count, size)
    partial = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        lines = []
        for number, drawing in enumerate(_drawings(count, seed, size, with_held_out)):
            name = f"{number:05d}.png"
            atomic_write(partial / name, _png(styled(drawing, style).image))
            lines.append(json.dumps({"file_name": name, "text": drawing.caption}))
        atomic_write(partial / "metadata.jsonl", "".join(f"{line}\n" for line in lines))
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _drawings(count: int, seed: int, size: tuple[int, int], with_held_out: bool) -> list[Drawing]:
    pool = [factors for factors in all_factors() if with_held_out or not held_out(factors)]
    order = np.random.default_rng(seed).permutation(len(pool))
    return [draw(pool[order[k % len(pool)]], seed * 1_000_000 + k, size=size) for k in range(count)]


def _check(folder: Path, style: str, count: int, size: tuple[int, int]) -> None:
    if style not in STYLES:
        raise CourseError(f"there is no style {style!r}; choose one of {', '.join(STYLES)}.")
    if count < 1:
        raise CourseError(f"a style needs at least one picture; the count was {count}.")
    if any(side < 32 or side % CELL for side in size):
        raise CourseError(
            f"the sides of a style's pictures must be even and at least 32; they were {size}."
        )
    if folder.exists():
        raise CourseError(f"{folder} is there already; name a new folder, or remove it first.")


def _png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()
