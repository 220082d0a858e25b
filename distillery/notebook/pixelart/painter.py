"""An index grid under a brush, to start pixel art from; the brush itself is painter.js."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from distillery.core.errors import CourseError
from distillery.core.images import enlarged, save_png, to_png_bytes
from distillery.notebook.front_end import script, style
from distillery.palettes import load_palette, srgb_to_oklab, to_hex
from distillery.pixelart.indexed_png import indexed
from distillery.pixelart.settings import LARGEST_SIDE

HERE = Path(__file__).parent
MOST = 256  # colours, what a byte tells apart


class Painter:
    """A grid of cells, each a colour of a palette, painted with the mouse or the keyboard.

    Brush, fill, and pick, also by the right button; undo and redo, also by Ctrl+Z and Ctrl+Y.
    Without anywidget the grid stays as it was given, and can be set from Python.

    Args:
        palette: a name, a file, or colours (K, 3) in [0, 1], at most 256.
        size: (h, w) of an empty grid, all in the lightest colour.
        indices: the grid to begin with instead, int64 (h, w).

    Raises:
        CourseError: there are more colours, or no such grid.
    """

    def __init__(
        self,
        palette: Tensor | str,
        size: tuple[int, int] | None = None,
        *,
        indices: Tensor | None = None,
    ) -> None:
        self.palette = palette if isinstance(palette, Tensor) else load_palette(palette)
        if len(self.palette) > MOST:
            raise CourseError(
                f"the painter has room for {MOST} colours; this palette has "
                f"{len(self.palette):,}: take a smaller one."
            )
        self.blank = int(srgb_to_oklab(self.palette)[:, 0].argmax())
        self.size = _checked_size(size if indices is None else tuple(indices.shape))
        if indices is None:
            indices = torch.full(self.size, self.blank)
        self._cells = self._checked(indices)
        self.box = self._build()

    @property
    def indices(self) -> Tensor:
        """The grid as it stands, int64 (h, w); it may be set, and undone in the widget."""
        cells = self._cells if self.box is None else self.box.indices
        return torch.frombuffer(bytearray(cells), dtype=torch.uint8).view(self.size).long()

    @indices.setter
    def indices(self, indices: Tensor) -> None:
        self._cells = self._checked(indices)
        if self.box is not None:
            self.box.indices = self._cells

    @property
    def picture(self) -> Image.Image:
        """The grid as an indexed picture with exactly the palette."""
        return indexed(self.indices, self.palette)

    def save(self, path: str | Path) -> None:
        """Write an indexed PNG, which `pixelart --start painted --input_image` begins from.

        Raises:
            CourseError: the disk refuses.
        """
        save_png(Path(path), self.picture)

    def _checked(self, indices: Tensor) -> bytes:
        if tuple(indices.shape) != self.size or indices.is_floating_point():
            raise CourseError(
                f"the grid holds whole numbers of shape {self.size}; they were "
                f"{indices.dtype} of {tuple(indices.shape)}."
            )
        if not 0 <= int(indices.min()) <= int(indices.max()) < len(self.palette):
            raise CourseError(
                f"the palette's rows are 0 to {len(self.palette) - 1}; the grid has "
                f"{int(indices.min())} to {int(indices.max())}."
            )
        return indices.cpu().to(torch.uint8).numpy().tobytes()

    def _build(self) -> Any:
        try:
            widget = _widget_class()
        except ImportError:
            return None
        return widget(
            indices=self._cells,
            palette=to_hex(self.palette),
            size=list(self.size),
            blank=self.blank,
        )

    def _repr_mimebundle_(self, **options: Any) -> Any:
        """The widget for front ends that can draw it, the picture for all others."""
        widget = None if self.box is None else self.box._repr_mimebundle_(**options)
        # anywidget adds metadata, by which Colab finds it.
        data, metadata = widget if isinstance(widget, tuple) else (widget or {}, {})
        return {**data, "image/png": to_png_bytes(enlarged(self.picture))}, metadata


def _checked_size(size: tuple[int, ...] | None) -> tuple[int, int]:
    if size is None or len(size) != 2 or not all(1 <= side <= LARGEST_SIDE for side in size):
        raise CourseError(
            f"a painter needs the grid's size (h, w), each 1 to {LARGEST_SIDE}, or its indices; "
            f"the size was {size}."
        )
    return int(size[0]), int(size[1])


@functools.cache
def _widget_class() -> type[Any]:
    """The front end's half; made on demand, as anywidget may be missing."""
    import anywidget
    import traitlets

    class PainterWidget(anywidget.AnyWidget):
        """Cells row by row, a byte each; colours as "#ff8800"; height and width; the empty one."""

        _esm = script(HERE / "painter.js")
        _css = style(HERE / "painter.css")
        indices = traitlets.CBytes().tag(sync=True)
        palette = traitlets.List(traitlets.Unicode()).tag(sync=True)
        size = traitlets.List(traitlets.Int()).tag(sync=True)
        blank = traitlets.Int().tag(sync=True)

    return PainterWidget
