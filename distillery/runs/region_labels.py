"""Which words apply where, from a picture of labels that was painted beside the colours.

A grey or an indexed picture holds numbers: 0 is nothing, and the k-th of the other values belongs
to the k-th word. In a picture of colours, black and transparent are nothing, and the colours belong
to the words from left to right, as their regions' centres lie.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from distillery.core.errors import CourseError
from distillery.core.images import open_any, opened
from distillery.models.prior import Prior
from distillery.runs.painting_file import MOST_PIXELS, Frame, place_in

MOST_REGIONS = 16  # an antialiased picture has more
SOFT = 0.005  # of the pixels; no brush paints a region so small, but soft edges have such shades
FLAT = "paint each region in one flat colour, with a hard brush, and save a PNG."
SAME_ASPECT = 0.05  # as a difference of logarithms
SHADES = [(230, 60, 50), (50, 110, 230), (60, 170, 80), (240, 190, 40), (160, 80, 200)]


@dataclass(frozen=True)
class Labels:
    """Regions of a picture.

    numbers: (H, W), 0 where there is no region and k in the k-th.
    names:   what each region is in the file, "value 1" or "#ff0000".
    """

    numbers: np.ndarray
    names: Sequence[str]

    @property
    def count(self) -> int:
        return len(self.names)


def read_labels(path: Path, words: Sequence[str], painting: tuple[int, int]) -> Labels:
    """Read a picture of labels for a painting of that size (W, H), a region for each word.

    Raises:
        CourseError: it cannot be read, has another aspect than the painting, has more or fewer
            regions than there are words, or is antialiased.
    """
    with open_any(path, most=MOST_PIXELS) as picture:
        labels = labels_in(picture, str(path))
    return fitting(labels, words, painting, str(path))


def fitting(
    labels: Labels, words: Sequence[str], painting: tuple[int, int], name: str = "the labels"
) -> Labels:
    """The labels, if they fit words and painting; `name` is what a sentence calls them.

    Raises:
        CourseError: they do not.
    """
    height, width = labels.numbers.shape
    if abs(math.log(width / height * painting[1] / painting[0])) > SAME_ASPECT:
        raise CourseError(
            f"{name} is {width} x {height} pixels and the painting {painting[0]} x {painting[1]}; "
            "labels must have the painting's aspect."
        )
    if labels.count > len(words) and _smallest(labels) < SOFT:
        raise CourseError(
            f"{name} has {labels.count} different labels for {counted(len(words), 'word')}, and "
            f"some on very few pixels, as soft edges or a JPEG have; {FLAT}"
        )
    if labels.count != len(words):
        found, given = ", ".join(labels.names) or "nothing but black", ", ".join(words)
        raise CourseError(
            f"{name} has {counted(labels.count, 'region')} ({found}) for "
            f"{counted(len(words), 'word')} ({given}); give one word for each region, and leave "
            "black or transparent what belongs to none."
        )
    return labels


def _smallest(labels: Labels) -> float:
    """The part of the picture that the smallest region covers."""
    return float(np.bincount(labels.numbers.ravel(), minlength=labels.count + 1)[1:].min()) / (
        labels.numbers.size
    )


def counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def labels_in(picture: Image.Image, name: str = "the labels") -> Labels:
    """The regions in an open picture, numbered as the words are.

    Raises:
        CourseError: it is damaged or animated, or there are too many.
    """
    opened(picture, name)  # says in a sentence what is wrong with it
    picture = ImageOps.exif_transpose(picture)
    values, names = _by_number(picture) if _holds_numbers(picture) else _by_colour(picture)
    if len(names) > MOST_REGIONS:
        raise CourseError(
            f"{name} has {len(names)} different labels, as a photograph or an antialiased picture "
            f"does; {FLAT}"
        )
    return Labels(values, names)


def _holds_numbers(picture: Image.Image) -> bool:
    """Grey, or indexed where the first colour of the palette is nothing: black or transparent."""
    if picture.mode == "P":
        first = picture.getpalette("RGBA") or [0]
        clear = picture.info.get("transparency")
        return not any(first[:3]) or clear == 0 or (isinstance(clear, bytes) and clear[0] == 0)
    return picture.mode in ("1", "L") or picture.mode.startswith("I")


def _by_number(picture: Image.Image) -> tuple[np.ndarray, list[str]]:
    numbers = np.asarray(picture).astype(np.int64)
    values, regions = np.unique(numbers, return_inverse=True)
    regions = regions.reshape(numbers.shape)
    if values[0] != 0:
        return regions + 1, [f"value {value}" for value in values]
    return regions, [f"value {value}" for value in values[1:]]


def _by_colour(picture: Image.Image) -> tuple[np.ndarray, list[str]]:
    levels = np.asarray(picture.convert("RGBA")).astype(np.int64)
    codes = (levels[..., 0] << 16) + (levels[..., 1] << 8) + levels[..., 2]
    codes = np.where(levels[..., 3] >= 128, codes, 0)
    colours, regions = np.unique(codes, return_inverse=True)
    regions = regions.reshape(codes.shape)
    columns = np.broadcast_to(np.arange(codes.shape[1]), codes.shape)
    sums = np.bincount(regions.ravel(), columns.ravel().astype(float))
    centres = sums / np.bincount(regions.ravel())
    order = [int(k) for k in np.argsort(centres, kind="stable") if colours[k] != 0]
    number = np.zeros(len(colours), np.int64)
    number[order] = np.arange(1, len(order) + 1)
    return number[regions], [f"#{colours[k]:06x}" for k in order]


def fitted_labels(labels: Labels, frame: Frame) -> Labels:
    """The labels at the picture's size, by the nearest pixel, lying there as the painting does."""
    height, width = labels.numbers.shape
    left, top, w, h = place_in((width, height), frame)
    picture = Image.fromarray(labels.numbers.astype(np.uint8)).resize(
        (w, h), Image.Resampling.NEAREST
    )
    whole = np.zeros(frame, np.int64)
    whole[top : top + h, left : left + w] = np.asarray(picture)
    return Labels(whole, labels.names)


def masks_of(labels: Labels, words: Sequence[str], prior: Prior) -> Tensor:
    """The masks (K, H, W) of the regions, 1 inside.

    Raises:
        CourseError: a region has less than half a cell of the prior's coarsest attention.
    """
    numbers = torch.from_numpy(labels.numbers)
    masks = torch.stack([numbers == k + 1 for k in range(labels.count)]).float()
    rows, columns = prior.coarsest_attention(
        prior.latent_size_of((numbers.shape[0], numbers.shape[1]))
    )
    least = math.ceil(0.5 * numbers.numel() / (rows * columns))
    for word, mask in zip(words, masks, strict=True):
        if mask.sum() < least:
            raise CourseError(
                f"the region of {word!r} has {counted(int(mask.sum()), 'pixel')} at the picture's "
                f"size, {numbers.shape[1]} x {numbers.shape[0]}, and the model hears of no region "
                f"below {least}; paint it larger."
            )
    return masks


def where(labels: Labels, words: Sequence[str]) -> str:
    """Which word got which region, in a sentence."""
    return "; ".join(
        f"{word!r} belongs to {name}, {_place(labels.numbers == k + 1)}"
        for k, (word, name) in enumerate(zip(words, labels.names, strict=True))
    )


def _place(mask: np.ndarray) -> str:
    rows, columns = np.nonzero(mask)
    x, y = columns.mean() / mask.shape[1], rows.mean() / mask.shape[0]
    across = "left" if x < 0.4 else "right" if x > 0.6 else "in the middle"
    down = "above, " if y < 0.33 else "below, " if y > 0.67 else ""
    return f"{down}{across}, {mask.mean():.0%} of the picture"


def picture_of(labels: Labels) -> Image.Image:
    """The labels as an indexed picture that `read_labels` reads again, each in a colour."""
    picture = Image.fromarray(labels.numbers.astype(np.uint8), mode="P")
    shades = [SHADES[k % len(SHADES)] for k in range(labels.count)]
    picture.putpalette([0, 0, 0, *(level for shade in shades for level in shade)])
    return picture
