"""Windows and reference of ElasticDiffusion, drawn over the picture of every step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image, ImageDraw, ImageEnhance
from torch import Tensor

from distillery.notebook.elastic.panels import Frame, Panels
from distillery.notebook.elastic.recording import Moment

LARGEST = 384  # pixels of a picture's longer side on the screen, about
FIRST, LATER = "#e69f00", "#56b4e9"  # of Okabe and Ito's colours, which most eyes tell apart
DIM = 0.45  # brightness of what one window does not read
UNREAD = 0.25  # brightness of what the reference did not read
NAMES = ("windows", "cells that the reference read", "reference")


class StepViewer(Panels):
    """Three pictures of a step: its windows, the cells that the reference read, and the reference.

    The first is the estimate of x0. Thin lines are the borders of what the windows write. One
    window is drawn in orange, and what the network reads for it is bright; a second slider chooses
    it. In the second picture, a cell that the first round read has an orange dot, one of a later
    round a blue dot, and what no round read is dark. The reference is the estimate in it, to which
    the picture is pulled where the weight of that is not 0.

    Args:
        moments: of `recorded`.

    Raises:
        CourseError: there is no moment.
    """

    def __init__(self, moments: Sequence[Moment]) -> None:
        self._moments = moments
        most = max((len(windows(moment)) for moment in moments), default=1)
        self._most, self._window = most, (most - 1) // 2
        super().__init__(NAMES, len(moments))

    def frame(self, index: int) -> Frame:
        """What is shown of a step, with the chosen window; at some steps there are fewer."""
        moment = self._moments[index]
        its = windows(moment)
        chosen = min(self._window, len(its) - 1)
        factor = max(1, round(LARGEST / max(moment.picture.size)))
        pictures = (
            with_windows(moment, its[chosen], factor),
            with_reads(moment, factor),
            _large(moment.reference, factor),
        )
        return Frame(pictures, said(moment, chosen))

    def controls(self) -> list[Any]:
        """A slider for the window, where there are several."""
        import ipywidgets as w

        self.chooser = w.IntSlider(
            value=self._window + 1,
            min=1,
            max=self._most,
            description="window",
            layout={"width": "100%", "max_width": "480px"},
        )
        self.chooser.observe(lambda change: self._choose(change["new"]), names="value")
        return [self.chooser] if self._most > 1 else []

    def _choose(self, number: int) -> None:
        self._window = number - 1
        self.show()


def windows(moment: Moment) -> list[tuple[list[int], list[int]]]:
    """Row and column of `cover` for each window, rows first."""
    return [(row, column) for row in moment.rows.tolist() for column in moment.columns.tolist()]


def said(moment: Moment, chosen: int) -> str:
    """What is seen, in numbers."""
    reads = moment.reads
    part = len(reads.unique()) / (moment.size[0] * moment.size[1])
    high, wide = reads.shape[1:]
    rounds = f"{len(reads)} rounds" if len(reads) > 1 else "one round"
    count = len(windows(moment))
    place = f"window {chosen + 1} of {count}" if count > 1 else "one window"
    return (
        f"step {moment.index + 1}: {place}; the reference has {high} x {wide} cells, and in "
        f"{rounds} it read {part:.0%} of the picture's."
    )


def with_windows(moment: Moment, window: tuple[list[int], list[int]], factor: int) -> Image.Image:
    """The picture with the borders of all windows; what is read for one of them is bright."""
    picture = _large(moment.picture, factor)
    down, across = picture.height / moment.size[0], picture.width / moment.size[1]

    def box(rows: Sequence[int], columns: Sequence[int]) -> tuple[int, int, int, int]:
        """Left, top, right and bottom in pixels, of a begin and an end each way."""
        (top, bottom), (left, right) = rows, columns
        return round(left * across), round(top * down), round(right * across), round(bottom * down)

    row, column = window
    read = box(row[:2], column[:2])
    shown = ImageEnhance.Brightness(picture).enhance(DIM)
    shown.paste(picture.crop(read), read[:2])
    pen = ImageDraw.Draw(shown)
    for its_row, its_column in windows(moment):
        left, top, right, bottom = box(its_row[2:], its_column[2:])
        # Black inside white is seen on snow and at night.
        pen.rectangle((left, top, right - 1, bottom - 1), outline="white")
        pen.rectangle((left + 1, top + 1, right - 2, bottom - 2), outline="black")
    left, top, right, bottom = box(row[2:], column[2:])
    pen.rectangle((left, top, right - 1, bottom - 1), outline=FIRST, width=3)
    return shown


def with_reads(moment: Moment, factor: int) -> Image.Image:
    """The picture, dark where no round of the reference read it, and dots where one did."""
    first, later = (_where(its, moment.size) for its in (moment.reads[:1], moment.reads[1:]))
    picture = _large(moment.picture, factor)
    brightness = torch.where(first | later, 255, round(255 * UNREAD)).to(torch.uint8).numpy()
    mask = Image.fromarray(brightness).resize(picture.size, Image.Resampling.NEAREST)
    shown = Image.composite(picture, Image.new("RGB", picture.size), mask)
    pen = ImageDraw.Draw(shown)
    down, across = picture.height / moment.size[0], picture.width / moment.size[1]
    radius = max(1.0, min(down, across) / 5)
    for cells, colour in ((later & ~first, LATER), (first, FIRST)):
        for row, column in cells.nonzero().tolist():
            y, x = (row + 0.5) * down, (column + 0.5) * across
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
    return shown


def _where(reads: Tensor, size: tuple[int, int]) -> Tensor:
    """The cells that were read, bool (h, w)."""
    there = torch.zeros(size[0] * size[1], dtype=torch.bool)
    there[reads.flatten()] = True
    return there.view(size)


def _large(picture: Image.Image, factor: int) -> Image.Image:
    size = (picture.width * factor, picture.height * factor)
    return picture.resize(size, Image.Resampling.BICUBIC)
