"""Scores of the pictures of a folder, by CLIP, and of edits by what is kept of their sources.

`eval.py` is the command; it says what the numbers mean.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from itertools import count
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from distillery.core.errors import CourseError
from distillery.core.files import atomic_write, read_record, shown
from distillery.core.folders import files_of
from distillery.core.images import enlarged, from_pil, load_image, open_any, prompt_of
from distillery.core.names import numbered
from distillery.core.program import MAIN
from distillery.metrics.clip_score import ClipScorer
from distillery.metrics.source_similarity import Lpips, inside_mask, outside_mask, ssim

SCORED = (".png", ".jpg", ".jpeg")
IDENTITY = ("ssim", "lpips", "outside", "inside")
# What a run has made beside a sheet of many pictures: an animation, or a LoRA.
OF_A_SHEET = ("morph.gif", "pytorch_lora_weights.safetensors")

Array = npt.NDArray[Any]


def evaluate(folder: Path, clip: str, *, lpips: bool = False) -> dict[str, Any]:
    """The scorer, the mean score, and file, prompt and score of each picture, in order of name.

    Edits also have an "identity", and where there are any, "mean_identity" is their mean.

    Raises:
        CourseError: there is nothing to score, or something that is not a picture, or the weights
            of a scorer cannot be loaded.
    """
    pictures = load(files_to_score(folder))
    prompts = [prompt_of(file, picture) for file, picture in pictures.items()]
    scorer = ClipScorer(clip)
    # The pictures that share a batch change the last digits of a score.
    shown = [as_shown(picture) for picture in pictures.values()]
    scores = [round(score, 6) for score in scorer.score(shown, prompts)]
    rows = [
        {"file": file.name, "prompt": prompt, "score": score}
        for file, prompt, score in zip(pictures, prompts, scores, strict=True)
    ]
    evaluation = {"scorer": scorer.id, "mean": round(fmean(scores), 6), "pictures": rows}
    identities = identities_of(pictures, lpips=lpips)
    for row in rows:
        if row["file"] in identities:
            row["identity"] = identities[row["file"]]
    if identities:
        evaluation["mean_identity"] = mean_identity(list(identities.values()))
    return evaluation


def as_shown(picture: Image.Image) -> Image.Image:
    """The picture as people see it: that of pixel art large, with every pixel a square."""
    return enlarged(picture) if picture.info.get("indexed") else picture


def pixel_distance(one: Array, other: Array) -> float:
    """Mean absolute difference of two pictures of one shape, (H, W, 3), in levels of 255."""
    return float(np.abs(one.astype(np.float32) - other.astype(np.float32)).mean())


def identities_of(pictures: dict[Path, Image.Image], *, lpips: bool) -> dict[str, dict[str, float]]:
    """How near each edit is to its source, by the name of its file."""
    edits = [file for file in pictures if source_of(file).is_file()]
    if not edits:
        return {}
    perceptual = Lpips() if lpips else None
    return {file.name: identity_of(file, pictures[file], perceptual) for file in edits}


def source_of(file: Path) -> Path:
    return file.with_suffix("") / "source.png"


def identity_of(file: Path, picture: Image.Image, perceptual: Lpips | None) -> dict[str, float]:
    """The numbers of `IDENTITY` that an edit has."""
    source_file = source_of(file)
    mask_file = source_file.with_name("source_mask.png")
    image, source = from_pil(picture), from_pil(load_image(source_file))
    try:
        numbers = {"ssim": ssim(image, source)}
        if perceptual is not None:
            numbers["lpips"] = perceptual(image, source)
        if mask_file.is_file():
            mask = (from_pil(load_image(mask_file).convert("L"))[:, :1] + 1) / 2
            numbers["outside"] = outside_mask(image, source, mask)
            numbers["inside"] = inside_mask(image, source, mask)
    except CourseError as error:
        raise CourseError(
            f"{file.name} does not match the pictures in its folder: {error}"
        ) from error
    return {name: round(float(number), 6) for name, number in numbers.items()}


def mean_identity(identities: Sequence[dict[str, float]]) -> dict[str, float]:
    """The mean of each number over the edits that have it."""
    columns = {name: [row[name] for row in identities if name in row] for name in IDENTITY}
    return {name: round(fmean(column), 6) for name, column in columns.items() if column}


def files_to_score(folder: Path) -> list[Path]:
    """The pictures right inside the folder; what lies deeper tells how a picture was made.

    Sheets are left out, since they are no picture of their names.
    """
    if not folder.is_dir():
        raise CourseError(f"there is no folder {folder}; name the one that holds the pictures.")
    files, sheets = files_of(folder.iterdir(), SCORED, under=folder), sheets_in(folder)
    if not files:
        raise CourseError(
            f"{folder} holds no .png or .jpg to score; draw a picture with {MAIN} first."
        )
    if len(files) == len(sheets):
        raise CourseError(
            f"{folder} holds no .png or .jpg to score but sheets of frames or of a style; draw a "
            f"picture with {MAIN} first."
        )
    return [file for file in files if file not in sheets]


def sheets_in(folder: Path) -> list[Path]:
    """The pictures right inside the folder that show the frames of an animation, or a style."""
    return [
        file
        for file in files_of(folder.iterdir(), SCORED, under=folder)
        if any((file.with_suffix("") / name).is_file() for name in OF_A_SHEET)
    ]


def load(files: Sequence[Path]) -> dict[Path, Image.Image]:
    """Read the pictures; a folder with anything else in it is refused as a whole.

    Raises:
        CourseError: names the files that are no pictures.
    """
    pictures, unreadable = {}, []
    for file in files:
        try:
            pictures[file] = load_picture(file)
        except CourseError:
            unreadable.append(file.name)
    if unreadable:
        raise CourseError(
            f"{files[0].parent} has files that cannot be read as pictures, cut short or of another "
            f"kind: {', '.join(unreadable)}; remove or draw them again."
        )
    return pictures


def load_picture(file: Path) -> Image.Image:
    """Read a picture as RGB; that of pixel art is known by "indexed" in its `info`.

    Raises:
        CourseError: it cannot be read.
    """
    picture = load_image(file)
    with open_any(file) as opened:
        picture.info["indexed"] = opened.mode == "P"
    return picture


def write_beside(folder: Path, evaluation: dict[str, Any], *, overwrite: bool) -> Path:
    """Write an evaluation into the folder, as eval.json or by the next free name.

    An earlier evaluation by the same scorer gives way, as long as no kind of number goes with it.
    One by another scorer is kept, as is what `evaluate` has not written; a sentence says so.

    Raises:
        CourseError: the file cannot be written.
    """
    first = folder / "eval.json"
    names = (folder / f"{numbered('eval', number)}.json" for number in count(1))
    free = (one for one in names if not os.path.lexists(one) or _continues(one, evaluation))
    file = first if overwrite else next(free)
    write(file, evaluation)
    if file != first:
        print(
            f"note: {shown(first)} is kept, because {_other(first, evaluation)}; this evaluation "
            f"is {shown(file)} (--overwrite writes over the earlier one).",
            file=sys.stderr,
        )
    return file


def _other(file: Path, evaluation: dict[str, Any]) -> str:
    scorer = read_record(file).get("scorer")
    if scorer == evaluation["scorer"]:
        return "it has numbers that this one has not"
    return f"it is by {scorer}" if scorer else "it is no evaluation"


def _continues(file: Path, evaluation: dict[str, Any]) -> bool:
    """Whether a file is an earlier evaluation by the same scorer, of no more kinds of numbers."""
    earlier: dict[str, Any] = dict(read_record(file))
    numbers = earlier.get("mean_identity", {})
    same = earlier.get("scorer") == evaluation["scorer"] and isinstance(numbers, dict)
    return same and set(numbers) <= set(evaluation.get("mean_identity", {}))


def write(path: Path, evaluation: dict[str, Any]) -> None:
    """Write what `evaluate` found as JSON; raises `CourseError` where that is impossible."""
    atomic_write(path, json.dumps(evaluation, indent=2, ensure_ascii=False) + "\n")


def table(evaluation: dict[str, Any]) -> str:
    """A line for each picture and one for the mean; edits add columns, and a heading to them."""
    mean = evaluation.get("mean_identity", {})
    lines = [
        line(row["score"], row.get("identity", {}), mean, row["prompt"])
        for row in evaluation["pictures"]
    ]
    lines.append(line(evaluation["mean"], mean, mean, f"mean, by {evaluation['scorer']}"))
    if mean:
        lines.insert(0, "".join(f"{name:>7}  " for name in ("clip", *mean)).rstrip())
    return "\n".join(lines)


def line(score: float, numbers: dict[str, float], columns: Iterable[str], text: str) -> str:
    cells = [f"{numbers[name]:7.4f}" if name in numbers else " " * 7 for name in columns]
    return "  ".join([f"{score:7.4f}", *cells, text])
