"""Pictures side by side over the steps of a run, with a slider and a play button."""

from __future__ import annotations

import html
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from distillery.core.errors import CourseError
from distillery.core.images import to_png_bytes
from distillery.notebook.widgets import LARGEST_SHEET, image_widget

INTERVAL = 300  # milliseconds from one step to the next while it plays
GAP = 4  # pixels between the pictures of a sheet
ON_SHEET = 5  # steps, at most
# Nothing sticks out of a small screen, and no box of it scrolls by itself.
FULL = {"max_width": "100%", "overflow": "hidden"}


@dataclass(frozen=True)
class Frame:
    """What is shown of one step.

    pictures: one for each of the panels.
    caption:  a sentence below them.
    """

    pictures: Sequence[Image.Image]
    caption: str


class Panels(ABC):
    """The steps of a run, one at a time; it begins with the last one.

    Without widgets, some of the steps stand on one sheet, a row each.

    Args:
        names: of the panels, from left to right.
        count: number of steps.

    Raises:
        CourseError: there is no step.
    """

    def __init__(self, names: Sequence[str], count: int) -> None:
        if count < 1:
            raise CourseError("there is no step to look at; take at least one.")
        self.names, self.count = tuple(names), count
        self.box = self._build()

    @abstractmethod
    def frame(self, index: int) -> Frame:
        """What is shown of a step."""

    def controls(self) -> list[Any]:
        """Further widgets, below the slider."""
        return []

    def show(self) -> None:
        """Bring pictures and caption up to date."""
        frame = self.frame(self.slider.value - 1)
        for image, picture in zip(self.images, frame.pictures, strict=True):
            image.value = to_png_bytes(picture)
        self.label.value = _wrapped(frame.caption)

    def _build(self) -> Any:
        try:
            import ipywidgets as w
        except ImportError:
            return None
        self.play = w.Play(
            value=self.count, min=1, max=self.count, interval=INTERVAL, layout={"flex": "0 0 auto"}
        )
        self.slider = w.IntSlider(
            value=self.count,
            min=1,
            max=self.count,
            description="step",
            layout={"flex": "1 1 240px", "width": "auto", "min_width": "0"},
        )
        w.jslink((self.play, "value"), (self.slider, "value"))
        frame = self.frame(self.count - 1)
        self.images = [image_widget(to_png_bytes(picture)) for picture in frame.pictures]
        self.label = w.HTML(value=_wrapped(frame.caption), layout=FULL)
        columns = [
            w.VBox([w.HTML(f"<b>{html.escape(name)}</b>"), image], layout=FULL)
            for name, image in zip(self.names, self.images, strict=True)
        ]
        row = w.HBox(columns, layout={"flex_flow": "row wrap", "align_items": "flex-start"})
        steps = w.HBox(
            [self.play, self.slider],
            layout={"width": "100%", "max_width": "480px", "flex_flow": "row wrap"},
        )
        self.slider.observe(lambda change: self.show(), names="value")
        box = w.VBox([steps, *self.controls(), row, self.label], layout=FULL)
        box.add_class("elastic-panels")
        return box

    def sheet(self) -> Image.Image:
        """Some of the steps, one below the other; the first and the last are among them."""
        rows = min(ON_SHEET, self.count)
        indices = [round(row * (self.count - 1) / max(1, rows - 1)) for row in range(rows)]
        pictures = [self.frame(index).pictures for index in indices]
        widths = [max(picture.width for picture in its) for its in zip(*pictures, strict=True)]
        height = max(picture.height for row in pictures for picture in row)
        wide = sum(widths) + GAP * (len(widths) - 1)
        sheet = Image.new("RGB", (wide, rows * (height + GAP) - GAP), "white")
        for row, its in enumerate(pictures):
            for column, picture in enumerate(its):
                left = sum(widths[:column]) + GAP * column
                sheet.paste(picture, (left, row * (height + GAP)))
        sheet.thumbnail((LARGEST_SHEET, LARGEST_SHEET))
        return sheet

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        """The widget for front ends that can draw it, a sheet for all others."""
        widget = {} if self.box is None else self.box._repr_mimebundle_(**options)
        return {**widget, "image/png": to_png_bytes(self.sheet())}


def _wrapped(text: str) -> str:
    """A text that goes on in the next line where the screen is small."""
    return f'<div style="line-height: 1.4; white-space: normal">{html.escape(text)}</div>'
