"""A folder of pictures with captions, as `datasets` reads one (its "imagefolder").

    pictures/metadata.jsonl    {"file_name": "boat.png", "text": "a red boat"} on each line
    pictures/metadata.csv      or the same as a table with the columns file_name and text, between
                               which a comma, a semicolon or a tab may stand
    pictures/boat.png
    pictures/boat.txt          or, without metadata, a text beside each picture

What a caption is called may be text, caption or prompt. Spaces round the name of a column, a byte
order mark and the backslashes of Windows do no harm. Hidden files, and `._boat.png` of macOS, are
passed over. The folder may hold all of this in a folder called `train`.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from distillery.core.errors import CourseError, in_short
from distillery.core.files import read_text
from distillery.core.folders import files_of
from distillery.core.images import check_is_still, fit, from_pil, open_any, read_any, to_rgb
from distillery.core.picture_file import HEIC_SUFFIXES

METADATA = ("metadata.jsonl", "metadata.csv")
CAPTION = ("text", "caption", "prompt")  # what datasets, kohya's scripts and others call it
PICTURES = (
    *(".png", ".jpg", ".jpeg", ".webp", ".avif", ".bmp", ".gif", ".tif", ".tiff"),
    *HEIC_SUFFIXES,
)
FEWEST = 2
MOST_COLOURS = 256  # of a picture that may be pixel art


@dataclass(frozen=True)
class Example:
    """A picture's file and its caption."""

    path: Path
    caption: str


def read_folder(folder: Path) -> list[Example]:
    """All pictures of a folder with their captions, in the order of their names.

    Raises:
        CourseError: the folder is missing, or holds no captions, fewer than two pictures, a caption
            without a picture or a picture without a caption; or its metadata cannot be read.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise CourseError(
            f"there is no folder {folder}; give one that holds pictures and captions."
        )
    base = folder / "train" if _is_nested(folder) else folder
    pictures = _pictures_in(base)
    captions = _captions(base, pictures)
    without = [name for name in pictures if not captions.get(name)]
    if without and len(without) < len(pictures):
        raise CourseError(
            f"{len(without)} of the {len(pictures)} pictures in {base} have no caption, the first "
            f"is {without[0]}; write what it shows, or take it out of the folder."
        )
    if without or not pictures:
        what = "pictures without captions" if pictures else "no pictures"
        raise CourseError(
            f"{base} holds {what}; put pictures there and a metadata.jsonl with file_name and text "
            "of each."
        )
    if len(pictures) < FEWEST:
        raise CourseError(
            f"{base} holds one picture; a style needs at least {FEWEST}, and some dozens to be "
            "learned well."
        )
    return [Example(path, captions[name]) for name, path in pictures.items()]


def _is_nested(folder: Path) -> bool:
    own = any((folder / name).is_file() for name in METADATA)
    return not own and (folder / "train").is_dir() and not _pictures_in(folder, deep=False)


def _pictures_in(folder: Path, *, deep: bool = True) -> dict[str, Path]:
    """Name relative to the folder -> path, without what is hidden."""
    found = files_of(folder.rglob("*") if deep else folder.glob("*"), PICTURES, under=folder)
    return {path.relative_to(folder).as_posix(): path for path in found}


def _captions(base: Path, pictures: Mapping[str, Path]) -> dict[str, str]:
    """Name of a picture -> caption, from the metadata or else from the texts beside them."""
    file = next((base / name for name in METADATA if (base / name).is_file()), None)
    if file is None:
        texts = {name: path.with_suffix(".txt") for name, path in pictures.items()}
        return {name: read_text(text).strip() for name, text in texts.items() if text.is_file()}
    captions: dict[str, str] = {}
    for where, row in _rows(file):
        name, caption = _entry(where, row)
        if name in captions:
            raise CourseError(f"{where} names {name} a second time; keep one caption of it.")
        if name not in pictures:
            raise CourseError(
                f"{where} has a caption of {name}, and {base} holds no such picture; add it, or "
                "remove the line."
            )
        captions[name] = caption
    return captions


def _rows(file: Path) -> Iterator[tuple[str, dict[str, object]]]:
    """Each entry of a file of metadata, and what a sentence calls the place it stands at."""
    text = read_text(file)
    if file.suffix == ".csv":
        # A row that is longer than the header would have a key of None.
        reader = csv.DictReader(
            io.StringIO(text, newline=""),
            delimiter=_delimiter(text),
            skipinitialspace=True,
            restkey="",
        )
        try:
            for row in reader:
                yield f"line {reader.line_num} of {file}", {k.strip(): v for k, v in row.items()}
        except csv.Error as error:
            raise CourseError(
                f"line {reader.line_num + 1} of {file} cannot be read as a row of a table "
                f"({in_short(error)}); is a quotation mark missing there?"
            ) from error
        return
    for number, line in enumerate(text.split("\n"), start=1):
        where = f"line {number} of {file}"
        if not line.strip():
            continue
        try:
            read = json.loads(line)
        except (ValueError, RecursionError):  # of brackets in brackets
            read = None
        if not isinstance(read, dict):
            raise CourseError(
                f"{where} is not an object in JSON; write one such as "
                '{"file_name": "boat.png", "text": "a red boat"} on each line.'
            )
        yield where, {str(name).strip(): value for name, value in read.items()}


def _delimiter(text: str) -> str:
    """What stands between the columns of a table, by its first line.

    Excel writes a semicolon in countries where the comma is for decimals; a tab is common too.
    """
    header = text.partition("\n")[0]
    return max(",;\t", key=header.count)


def _entry(where: str, row: Mapping[str, object]) -> tuple[str, str]:
    """Name and caption of one picture."""
    column = next((name for name in CAPTION if name in row), None)
    if column is None or "file_name" not in row:
        raise CourseError(
            f"{where} has {', '.join(filter(None, row)) or 'nothing'}; file_name and text are "
            "needed there."
        )
    name, caption = row["file_name"], row[column]
    if not isinstance(name, str) or not isinstance(caption, str) or not caption.strip():
        raise CourseError(
            f"{where} does not hold the name of a picture and a caption of it as text; write both."
        )
    try:
        caption.encode()
    except UnicodeEncodeError as error:
        raise CourseError(
            f"the caption on {where} is not valid text in UTF-8; type it again."
        ) from error
    path = PurePosixPath(name.strip().replace("\\", "/"))
    return path.as_posix(), caption.strip()


def check_pictures(examples: Sequence[Example]) -> None:
    """Refuse files that are no pictures or several, by their beginnings; none is decoded here.

    Raises:
        CourseError: one of them cannot be opened, or is animated.
    """
    for example in examples:
        with open_any(example.path) as picture:
            check_is_still(picture, str(example.path))


def load_pictures(examples: Sequence[Example], size: tuple[int, int]) -> Tensor:
    """The pictures (N, 3, H, W) in [-1, 1], each brought to `size` (H, W) by `fitted`.

    Raises:
        CourseError: one of them is damaged or animated, or cannot be brought to the size.
    """
    pictures = []
    for example in examples:
        picture = to_rgb(read_any(example.path))
        pictures.append(from_pil(fitted(picture, size, str(example.path))))
    return torch.cat(pictures)


def fitted(picture: Image.Image, size: tuple[int, int], name: str = "the picture") -> Image.Image:
    """A picture of `size` (H, W): enlarged or scaled down to fill it, cropped about the centre.

    Pixel art, a picture of at most 256 colours whose cells are no more than the pixels of `size`,
    keeps its grid: a cell becomes a square of whole pixels, and the edges cut no cell. All other
    pictures are resampled by Lanczos' filter.

    Args:
        picture: RGB.
        name: what a sentence calls it.

    Raises:
        CourseError: it is pixel art that would lose more than a third of a side in that way.
    """
    if picture.size == size[::-1]:
        return picture
    pixels = np.asarray(picture)
    if picture.getcolors(MOST_COLOURS) is None:
        return fit(picture, size)
    cell = cell_side(pixels)
    cells = pixels[::cell, ::cell]
    if any(count > side for count, side in zip(cells.shape[:2], size, strict=True)):
        return fit(picture, size)
    rows, columns = cells.shape[:2]
    factor = _factor((rows, columns), size)
    kept = (size[0] // factor, size[1] // factor) if factor else (0, 0)
    if 3 * kept[0] < 2 * rows or 3 * kept[1] < 2 * columns:
        raise CourseError(
            f"{name} is pixel art of {rows} x {columns} cells, and no whole factor brings it to "
            f"{size[0]} x {size[1]} pixels with more than two thirds of its sides; crop it "
            "yourself."
        )
    top, left = (rows - kept[0]) // 2, (columns - kept[1]) // 2
    cut = cells[top : top + kept[0], left : left + kept[1]]
    return Image.fromarray(cut.repeat(factor, 0).repeat(factor, 1))


def cell_side(pixels: np.ndarray) -> int:
    """Side in pixels of the cells of pixels (H, W, 3): the largest squares of one colour each that
    they are made of, side by side from the corner on; 1 where there are none."""
    sides = [*pixels.shape[:2]]
    for axis in (0, 1):
        differs = (np.diff(pixels.astype(np.int16), axis=axis) != 0).any(axis=(1 - axis, 2))
        sides += (np.flatnonzero(differs) + 1).tolist()
    return math.gcd(*sides)


def _factor(cells: tuple[int, int], size: tuple[int, int]) -> int:
    """The smallest that divides both sides of `size` and makes the cells cover it, or 0."""
    least = max(math.ceil(side / count) for side, count in zip(size, cells, strict=True))
    common = math.gcd(*size)
    return next((f for f in range(least, common + 1) if common % f == 0), 0)
