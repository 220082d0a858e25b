"""Figures of stage 6: pictures of several sizes, windows, reads, and how alike neighbours are."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING

import torch
from PIL import Image
from torch import Tensor

from distillery.core.errors import CourseError
from distillery.core.images import to_pil
from distillery.methods.score_pca import rgb_components
from distillery.notebook.whole_titles import with_whole_titles

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

WIDE = 9.6  # inches of a figure
GAP, ABOVE, LEFT = 0.06, 0.36, 1.0  # inches between tiles, for their titles, and for names of rows
LETTERS = 14  # that fit beside a row
READ, WRITTEN, NEVER = "#a6cee3", "#1f4e79", "#e8e8e8"
FIRST, LATER = "#e69f00", "#56b4e9"  # as in the step viewer


def at_one_scale(
    rows: Mapping[str, Tensor], titles: Mapping[str, Sequence[str]] | None = None
) -> Figure:
    """Rows of pictures, all at one scale: a pixel of a small picture is as large as any other.

    Args:
        rows: name -> images (B, 3, H, W) in [-1, 1]; each row may have another size.
        titles: name of a row -> what stands above each of its pictures.

    Raises:
        CourseError: there is no picture.
    """
    from matplotlib import pyplot

    if not rows or any(not len(images) for images in rows.values()):
        raise CourseError("there are no pictures to show: give at least one in each row.")
    longest = max(len(images) * images.shape[3] for images in rows.values())
    most = max(len(images) for images in rows.values())
    inch = (WIDE - LEFT - GAP * most) / longest  # of a pixel
    above = {name: ABOVE if titles and name in titles else GAP for name in rows}
    height = sum(images.shape[2] * inch + above[name] for name, images in rows.items())
    figure = pyplot.figure(figsize=(WIDE, height))
    top = height
    for name, images in rows.items():
        high, wide = images.shape[2] * inch, images.shape[3] * inch
        top -= above[name] + high
        figure.text(0, (top + high / 2) / height, fill(name, LETTERS), fontsize=9, va="center")
        for place, picture in enumerate(to_pil(images)):
            left = LEFT + place * (wide + GAP)
            axes = figure.add_axes((left / WIDE, top / height, wide / WIDE, high / height))
            axes.imshow(picture, interpolation="bicubic")
            axes.set(xticks=[], yticks=[], frame_on=False)
            if titles and name in titles:
                axes.set_title(titles[name][place], fontsize=8, pad=3)
    pyplot.close(figure)
    return with_whole_titles(figure)


def covers(named: Mapping[str, Tensor]) -> Figure:
    """Windows along a side, one below the other: pale what is read, dark what is written.

    Args:
        named: title -> what `cover` returns, int64 (K, 4).
    """
    from matplotlib import pyplot

    figure = pyplot.figure(figsize=(WIDE, 2.2), layout="constrained")
    panels = figure.subplots(1, len(named), squeeze=False)[0]
    for axes, (title, rows) in zip(panels, named.items(), strict=True):
        for place, (read, to_read, write, to_write) in enumerate(rows.tolist()):
            axes.barh(place, to_read - read, left=read, height=0.8, color=READ)
            axes.barh(place, to_write - write, left=write, height=0.8, color=WRITTEN)
        axes.invert_yaxis()
        axes.set(yticks=range(len(rows)), yticklabels=range(1, len(rows) + 1))
        axes.set(xlabel="cells", xlim=(0, int(rows[:, 1].max())))
        axes.set_title(title, fontsize=9)
    pyplot.close(figure)
    return with_whole_titles(figure)


def windows_over(
    image: Tensor, rows: Tensor, columns: Tensor, *, numbers: Sequence[int], cell: int
) -> Figure:
    """A picture once for each of some windows: dark but for what is read, what is written framed.

    Args:
        image: (1, 3, H, W) in [-1, 1].
        rows: int64 (M, 4), what `cover` says of the height.
        columns: int64 (N, 4), of the width.
        numbers: of windows, row by row from 0.
        cell: pixels of a cell's side.
    """
    from matplotlib import pyplot

    views = [(row, column) for row in rows.tolist() for column in columns.tolist()]
    figure = pyplot.figure(figsize=(WIDE, 1.15 * WIDE / len(numbers)), layout="constrained")
    for axes, number in zip(
        figure.subplots(1, len(numbers), squeeze=False)[0], numbers, strict=True
    ):
        (top, bottom, *high), (left, right, *wide) = views[number]
        shown = 0.35 * (image + 1) - 1
        its = (..., slice(top * cell, bottom * cell), slice(left * cell, right * cell))
        shown[its] = image[its]
        axes.imshow(to_pil(shown)[0], interpolation="bicubic")
        for row, column in views:
            axes.add_patch(_frame(row[2:], column[2:], cell, color="white", linewidth=0.6))
        axes.add_patch(_frame(high, wide, cell, color=FIRST, linewidth=2.5))
        axes.set_title(f"window {number + 1} of {len(views)}", fontsize=9)
        axes.set(xticks=[], yticks=[], frame_on=False)
    pyplot.close(figure)
    return with_whole_titles(figure)


def _frame(
    rows: Sequence[int], columns: Sequence[int], cell: int, *, color: str, linewidth: float
) -> Rectangle:
    from matplotlib import patches

    corner = columns[0] * cell - 0.5, rows[0] * cell - 0.5
    size = (columns[1] - columns[0]) * cell, (rows[1] - rows[0]) * cell
    return patches.Rectangle(corner, *size, fill=False, color=color, linewidth=linewidth)


def reads_drawn(named: Mapping[str, Tensor], owner: Tensor, *, side: int) -> Figure:
    """The cells of a picture: which the first round read, which a later one, and which none.

    Args:
        named: title -> reads (R, hr, wr), a panel each.
        owner: int64 (h, w); lines part the groups of cells that belong together.
        side: only so many cells are shown down and across, from the upper left one.
    """
    from matplotlib import pyplot
    from matplotlib.colors import ListedColormap

    h, w = owner.shape
    owner = owner[:side, :side]
    high, wide = owner.shape
    figure = pyplot.figure(
        figsize=(WIDE, WIDE / len(named) * high / wide + 0.4), layout="constrained"
    )
    panels = figure.subplots(1, len(named), squeeze=False)[0]
    for axes, (title, reads) in zip(panels, named.items(), strict=True):
        kind = torch.zeros(h * w)
        kind[reads.flatten()] = 2
        kind[reads[0].flatten()] = 1
        axes.imshow(
            kind.view(h, w)[:side, :side].numpy(),
            cmap=ListedColormap([NEVER, FIRST, LATER]),
            vmin=-0.5,
            vmax=2.5,
        )
        for row in (owner[1:, 0] != owner[:-1, 0]).nonzero()[:, 0].tolist():
            axes.axhline(row + 0.5, color="white", linewidth=1.2)
        for column in (owner[0, 1:] != owner[0, :-1]).nonzero()[:, 0].tolist():
            axes.axvline(column + 0.5, color="white", linewidth=1.2)
        axes.set_title(title, fontsize=9)
        axes.set(xticks=[], yticks=[], frame_on=False)
    pyplot.close(figure)
    return with_whole_titles(figure)


def maps(named: Mapping[str, Tensor], *, label: str = "") -> Figure:
    """Maps (h, w) beside each other, all in one scale of colours from 0 on."""
    from matplotlib import pyplot

    (h, w), most = next(iter(named.values())).shape, max(float(one.max()) for one in named.values())
    each = (WIDE - 1) / len(named)
    figure = pyplot.figure(figsize=(WIDE, min(3.2, each * h / w) + 0.5), layout="constrained")
    panels = figure.subplots(1, len(named), squeeze=False)[0]
    for axes, (title, one) in zip(panels, named.items(), strict=True):
        drawn = axes.imshow(one.detach().cpu().numpy(), vmin=0, vmax=most, cmap="magma")
        axes.set_title(title, fontsize=9)
        axes.set(xticks=[], yticks=[], frame_on=False)
    figure.colorbar(drawn, ax=panels, label=label, shrink=0.8)
    pyplot.close(figure)
    return with_whole_titles(figure)


def in_colours(values: Tensor, size: tuple[int, int]) -> Image.Image:
    """Three principal components of (C, h, w) as colours, cells enlarged to pixels (H, W)."""
    picture = Image.fromarray(rgb_components(values))
    return picture.resize(size[::-1], Image.Resampling.NEAREST)


def alike(values: Tensor, most: int) -> list[float]:
    """How alike cells are that lie 1, 2, ... `most` cells apart: their correlation.

    The mean over channels and both ways, across and down. White noise has 0 everywhere.

    Args:
        values: (B, C, h, w), with sides above `most`.
    """
    centred = values.detach().double() - values.detach().double().mean((2, 3), keepdim=True)
    spread = centred.square().mean((2, 3)).clamp(min=1e-30)
    found = []
    for apart in range(1, most + 1):
        across = (centred[..., apart:] * centred[..., :-apart]).mean((2, 3))
        down = (centred[..., apart:, :] * centred[..., :-apart, :]).mean((2, 3))
        found.append(float(((across + down) / (2 * spread)).mean()))
    return found


def measured_table(path: Path, *, size: str) -> str:
    """What `python -m benchmarks.elastic --json PATH` has measured at a size, a line for each row.

    Sharpness is divided by that of direct.

    Args:
        size: one of the benchmark's names, "1:2", "2:1", "2x" or "3x".

    Raises:
        CourseError: the file is missing or damaged.
    """
    try:
        rows = [row for row in json.loads(path.read_text(encoding="utf-8")) if row["size"] == size]
        direct = {row["name"]: row["laplacian"] for row in rows}["direct"]
        lines = [
            f"{row['size']:5}{row['name']:30}{row['count']:8}{row['one_right']:11.0%}"
            f"{row['twice']:8.0%}{row['scene']:8.0%}"
            f"{row['laplacian'] / direct:11.2f}{row['samples']:9.0f}"
            for row in rows
        ]
    except (OSError, ValueError, TypeError, KeyError, ZeroDivisionError) as error:
        raise CourseError(f"{path} is missing or damaged; fetch it again.") from error
    head = (
        "size way                            prompts  one right   twice   scene  sharpness  samples"
    )
    return "\n".join([head, *lines])
