"""Plain figures for the notebooks; each is returned, to be shown as the value of its cell."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from PIL import Image
from torch import Tensor

from distillery.core.errors import CourseError
from distillery.core.images import to_pil
from distillery.notebook.labels_apart import Words, write_beside
from distillery.notebook.whole_titles import with_whole_titles

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
        row_titles: one for each row, written to its left.

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
    return with_whole_titles(figure)


def curves(
    x: Sequence[float],
    lines: Mapping[str, Sequence[float]],
    *,
    x_label: str,
    mark: float | None = None,
    log_x: bool = False,
    log_y: bool = False,
    from_zero: bool = False,
) -> Figure:
    """One small plot for each of the `lines` (name -> values), over the same `x`.

    `mark` draws a dashed line at that x. With `log_y` all have the same logarithmic y axis; with
    `from_zero` each y axis begins at 0, so that a small difference looks small.
    """
    from matplotlib import pyplot

    figure = pyplot.figure(figsize=(3.3 * len(lines), 2.4), layout="constrained")
    for axes, (name, values) in zip(
        figure.subplots(1, len(lines), squeeze=False, sharey=log_y)[0],
        lines.items(),
        strict=True,
    ):
        axes.plot(x, values, marker="o" if len(x) < 20 else "")
        axes.set(title=name, xlabel=x_label, xscale="log" if log_x else "linear")
        axes.grid(alpha=0.3)
        if log_y:
            axes.set_yscale("log")
        if from_zero:
            axes.set_ylim(bottom=0, top=1.1 * max(values))
        if mark is not None:
            axes.axvline(mark, color="grey", linestyle="--", linewidth=1)
        if log_x:
            axes.set_xticks(list(x), [f"{value:g}" for value in x], minor=False)
            axes.minorticks_off()
    pyplot.close(figure)
    return with_whole_titles(figure)


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
    return with_whole_titles(figure)


def overlaid(
    x: Sequence[float],
    panels: Mapping[str, Mapping[str, Sequence[float]]],
    *,
    x_label: str,
    linear_below: Mapping[str, float] | None = None,
    dots: Mapping[str, tuple[Sequence[float], Sequence[float]]] | None = None,
    from_zero: Sequence[str] = (),
) -> Figure:
    """Several lines (name -> values over `x`) in each of the `panels` (title -> lines).

    `linear_below` (title -> value) makes that panel's y axis logarithmic on both sides of zero, and
    linear as near to it as the value. `dots` (title -> their x and y) are drawn over the lines.
    In the panels `from_zero` the y axis begins at 0, so that a small difference looks small.
    """
    from matplotlib import pyplot

    figure = pyplot.figure(figsize=(4.8 * len(panels), 3.2), layout="constrained")
    for axes, (title, lines) in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True
    ):
        for place, (name, values) in enumerate(lines.items()):
            dashed = place % 2  # and on top, so that lines that lie on one another are all seen
            style = {"linestyle": (0, (4, 4)), "zorder": 3} if dashed else {"linewidth": 2.5}
            axes.plot(x, values, label=name, **style)
        if dots and title in dots:
            axes.plot(*dots[title], "o", color="black", markersize=4, zorder=4)
        axes.set(title=title, xlabel=x_label)
        if linear_below and title in linear_below:
            axes.set_yscale("symlog", linthresh=linear_below[title])
        if title in from_zero:
            axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    pyplot.close(figure)
    return with_whole_titles(figure)


def frontier(
    methods: Mapping[str, Sequence[tuple[float, float]]],
    *,
    knobs: Mapping[str, Sequence[object]],
    x_label: str,
    y_label: str,
    legend: Literal["lower right", "upper right"] = "lower right",
) -> Figure:
    """What each method pays (x) and gets (y), a line for each over the settings of its knob.

    Args:
        methods: name -> points (x, y).
        knobs: name -> the setting at each of its points, written next to it.
        legend: where its names stand, in matplotlib's words.
    """
    from matplotlib import pyplot

    figure = pyplot.figure(figsize=(7.0, 4.2), layout="constrained")
    axes, words = figure.subplots(), []
    for name, points in methods.items():
        (line,) = axes.plot(*zip(*points, strict=True), marker="o", alpha=0.8, label=name)
        colour = line.get_color()
        for point, setting in zip(points, knobs[name], strict=True):
            words.append(Words(str(setting), (point[0], point[1]), colour))
    axes.set(xlabel=x_label, ylabel=y_label)
    axes.set_xlim(left=0)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, loc=legend)
    pyplot.close(figure)
    whole = with_whole_titles(figure)
    write_beside(axes, words)
    return whole
