"""Plain figures for the notebooks; each is returned, to be shown as the value of its cell."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from PIL import Image
from torch import Tensor

from distillery.errors import CourseError
from distillery.images import to_pil

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SMOOTHED_FROM = 24  # pixels
Pictures = Tensor | Sequence[Image.Image]


def show(
    pictures: Pictures,
    titles: Sequence[str] | None = None,
    *,
    columns: int = 8,
    row_titles: Sequence[str] | None = None,
) -> Figure:
    """Pictures in rows, each under its title.

    Args:
        pictures: images (B, 3, H, W) in [-1, 1], or PIL pictures.
        titles: one for each picture, or one for each column.
        columns: pictures in a row.
        row_titles: one for each row, written beside it.

    Raises:
        CourseError: there are no pictures.
    """
    from matplotlib import pyplot

    tiles = to_pil(pictures) if isinstance(pictures, Tensor) else list(pictures)
    if not tiles:
        raise CourseError("there are no pictures to show: give at least one.")
    columns = min(columns, len(tiles))
    rows = math.ceil(len(tiles) / columns)
    side = min(1.8, 9.6 / columns)
    titled_rows = math.ceil(len(titles or ()) / columns)
    height = rows * side * tiles[0].height / tiles[0].width + 0.3 * titled_rows
    # Latents and other tiny pictures are looked at for their single values.
    interpolation = "bicubic" if tiles[0].width >= SMOOTHED_FROM else "nearest"
    figure = pyplot.figure(figsize=(side * columns, height), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for place, axes in enumerate(grid.flat):
        axes.set(xticks=[], yticks=[], frame_on=False)
        if place < len(tiles):
            axes.imshow(tiles[place], interpolation=interpolation)
        if titles and place < len(titles):
            axes.set_title(titles[place], fontsize=9)
    for axes, title in zip(grid[:, 0], row_titles or (), strict=False):
        axes.set_ylabel(title, fontsize=9)
    pyplot.close(figure)  # it is shown as the value of the cell, not a second time by the backend
    return figure


def curves(
    x: Sequence[float],
    lines: Mapping[str, Sequence[float]],
    *,
    x_label: str,
    mark: float | None = None,
    log_x: bool = False,
) -> Figure:
    """One small plot for each of the `lines` (name -> values), over the same `x`.

    `mark` draws a dashed line at that x.
    """
    from matplotlib import pyplot

    figure = pyplot.figure(figsize=(3.3 * len(lines), 2.4), layout="constrained")
    for axes, (name, values) in zip(
        figure.subplots(1, len(lines), squeeze=False)[0], lines.items(), strict=True
    ):
        axes.plot(x, values, marker="o" if len(x) < 20 else "")
        axes.set(title=name, xlabel=x_label, xscale="log" if log_x else "linear")
        axes.grid(alpha=0.3)
        if mark is not None:
            axes.axvline(mark, color="grey", linestyle="--", linewidth=1)
        if log_x:
            axes.set_xticks(list(x), [f"{value:g}" for value in x], minor=False)
            axes.minorticks_off()
    pyplot.close(figure)
    return figure


def scatter(clouds: Mapping[str, Tensor], centres: Tensor, others: Tensor) -> Figure:
    """Points in the plane, one panel for each of the `clouds` (name -> (N, 2)).

    `centres` and `others`, both (K, 2), are marked in every panel, the latter in grey.
    """
    from matplotlib import pyplot

    figure = pyplot.figure(figsize=(2.4 * len(clouds), 2.6), layout="constrained")
    panels = figure.subplots(1, len(clouds), squeeze=False, sharex=True, sharey=True)[0]
    for axes, (name, points) in zip(panels, clouds.items(), strict=True):
        axes.scatter(*points.cpu().T.numpy(), s=6, alpha=0.3)
        axes.scatter(*others.T.numpy(), marker="x", color="grey")
        axes.scatter(*centres.T.numpy(), marker="x", color="tab:red")
        axes.set_title(name, fontsize=9)
        axes.set_aspect("equal")
    pyplot.close(figure)
    return figure
