"""A stroke painting and its regions under a brush; the brush itself is canvas.js."""

from __future__ import annotations

import functools
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from PIL import Image

from distillery.core.cells import fit_cells
from distillery.core.errors import CourseError
from distillery.core.images import (
    enlarged,
    fit,
    open_any,
    opened,
    read_any,
    save_png,
    to_png_bytes,
    to_rgb,
)
from distillery.notebook.front_end import script, style

HERE = Path(__file__).parent
LARGEST_SIDE = 512  # cells
UNDERLAY_SIDE = 512  # pixels of the longer side of the picture to trace, about
SWATCHES = (
    *("#d61e24", "#f27a18", "#f7d92d", "#269438", "#2c58db", "#8036a8", "#f78bbb", "#f6f5f1"),
    *("#8ec9ee", "#17204a", "#e6c88c", "#77b255", "#2c5a34", "#9aa0a6", "#7a4f2a", "#141414"),
)
# Okabe and Ito's colours, which most eyes tell apart, and grey.
REGION_CODES = (
    *("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#cc79a7", "#d55e00", "#0072b2", "#999999"),
)


class StrokeCanvas:
    """Two layers of one size: colours, and regions with a word for each.

    Brush, eraser, fill, eyedropper, undo and redo, with mouse, pen, finger or keyboard; files for
    both layers; a picture to trace. Cells without paint are transparent: there the model decides.
    Without anywidget both layers stay as they were given, and can be set from Python.

    Args:
        size: (H, W) in pixels, each side 1 to 512; by default that of the painting, or 64 x 64.
        painting: to begin with, of any size; it fills the canvas, and what sticks out is cut off.
        words: of the regions 1, 2 and so on, at most 8.

    Raises:
        CourseError: size, painting or words are of another kind.
    """

    def __init__(
        self,
        size: tuple[int, int] | None = None,
        *,
        painting: Image.Image | None = None,
        words: Sequence[str] = (),
    ) -> None:
        if size is None:
            size = (64, 64) if painting is None else (painting.height, painting.width)
        self.size = _checked_size(size)
        cells = self.size[0] * self.size[1]
        empty = {"colours": bytes(4 * cells), "labels": bytes(cells), "words": [], "underlay": b""}
        self.box = self._build(empty)
        self._state = SimpleNamespace(**empty) if self.box is None else self.box
        self.words = words
        if painting is not None:
            self.painting = painting

    @property
    def painting(self) -> Image.Image:
        """The colours, RGBA; alpha is 255 where there is paint, 0 where not.

        It may be set to a picture of any size. There is paint where its alpha is at least half.
        """
        array = np.frombuffer(bytes(self._state.colours), np.uint8)
        return Image.fromarray(array.reshape(*self.size, 4).copy())

    @painting.setter
    def painting(self, picture: Image.Image | np.ndarray) -> None:
        array = np.array(fit_cells(_rgba(picture), self.size))
        painted = array[..., 3:] >= 128
        array[..., 3] = 255
        self._state.colours = (array * painted).tobytes()
        self._state.said = ""

    @property
    def labels(self) -> Image.Image:
        """The regions, an indexed picture: the row k of its palette is region k, 0 is none."""
        array = np.frombuffer(bytes(self._state.labels), np.uint8)
        picture = Image.fromarray(array.reshape(self.size).copy(), mode="P")
        picture.putpalette([0, 0, 0, *(level for code in REGION_CODES for level in _levels(code))])
        return picture

    @labels.setter
    def labels(self, labels: Image.Image | np.ndarray) -> None:
        array = _labels(labels)
        # Nearest pixels, as there is nothing between two labels.
        picture = Image.fromarray(array)
        if picture.size != self.size[::-1]:
            picture = _filled_with_labels(picture, self.size)
        self._state.labels = picture.tobytes()
        self._state.said = ""

    @property
    def words(self) -> tuple[str, ...]:
        """The words of the regions 1, 2 and so on; an empty one is still to be named."""
        return tuple(self._state.words)

    @words.setter
    def words(self, words: Sequence[str]) -> None:
        if isinstance(words, str) or not all(isinstance(word, str) for word in words):
            raise CourseError(f"the words are a list of texts, one a region; they were {words!r}.")
        if len(words) > len(REGION_CODES):
            raise CourseError(
                f"the canvas has room for {len(REGION_CODES)} regions; {len(words)} words were "
                "given: name fewer."
            )
        self._state.words = [word.strip() for word in words]

    @property
    def is_painted(self) -> bool:
        return any(self._state.colours)

    @property
    def has_regions(self) -> bool:
        return any(self._state.labels)

    def load(self, path: str | Path) -> None:
        """Put a picture file into the colour layer; it fills the canvas, the rest is cut off.

        Raises:
            CourseError: it cannot be read as a picture.
        """
        self.painting = read_any(Path(path))

    def load_labels(self, path: str | Path) -> None:
        """Put a file as `save_labels` writes it into the layer of regions, likewise.

        Raises:
            CourseError: it cannot be read, or holds something else than labels.
        """
        with open_any(Path(path)) as picture:
            self.labels = picture

    def trace(self, picture: Image.Image | str | Path | None) -> None:
        """Lay a picture dimmed under the canvas; it is no part of the painting. None removes it.

        Raises:
            CourseError: a path does not lead to a picture.
        """
        if picture is None:
            self._state.underlay = b""
            return
        seen = picture if isinstance(picture, Image.Image) else read_any(Path(picture))
        factor = max(1, UNDERLAY_SIDE // max(self.size))
        large = (self.size[0] * factor, self.size[1] * factor)
        self._state.underlay = to_png_bytes(fit(to_rgb(seen), large))

    def save(self, path: str | Path) -> None:
        """Write the painting as a PNG with alpha; raises `CourseError` where the disk refuses."""
        save_png(Path(path), self.painting)

    def save_labels(self, path: str | Path) -> None:
        """Write the regions as an indexed PNG; raises `CourseError` where the disk refuses."""
        save_png(Path(path), self.labels)

    def download(self, name: str, picture: Image.Image) -> None:
        """Let the browser save a picture as a PNG file of this name."""
        if self.box is not None:
            self.box.send({"kind": "file", "name": name}, buffers=[to_png_bytes(picture)])

    def on_change(self, act: Callable[[], None]) -> None:
        """Call this whenever a stroke ends, a word changes or a file is loaded."""
        if self.box is not None:
            self.box.observe(lambda change: act(), names=["colours", "labels", "words"])

    def _build(self, state: dict[str, Any]) -> Any:
        try:
            widget = _widget_class()
        except ImportError:
            return None
        codes = {"swatches": list(SWATCHES), "region_codes": list(REGION_CODES)}
        box = widget(size=list(self.size), **state, **codes)
        box.on_msg(self._heard)
        return box

    def _heard(self, box: Any, message: dict[str, Any], buffers: Sequence[Any]) -> None:
        """A file was chosen in the browser, or asked for."""
        box.said = ""
        if message.get("kind") == "save":
            if message.get("layer") == "labels":
                self.download("labels.png", self.labels)
            else:
                self.download("painting.png", self.painting)
        elif message.get("kind") == "open" and buffers:
            loaders = {"labels": self.load_labels, "underlay": self.trace, "colours": self.load}
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder, Path(str(message.get("name"))).name or "picture")
                path.write_bytes(bytes(buffers[0]))
                try:
                    loaders[message["layer"]](path)
                    box.said = self._changed_in(path, message["layer"])
                except CourseError as error:
                    box.said = str(error).replace(f"{folder}/", "")

    def _changed_in(self, path: Path, layer: str) -> str:
        """What the canvas could not take over from a file; empty if nothing is lost."""
        if layer == "colours" and not self.is_painted:
            return f"{path.name} has no paint: all of it is transparent."
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # reading the file for the canvas has said it
            sides = read_any(path).size
        height, width = self.size
        scale = max(width / sides[0], height / sides[1])
        # Less than a row or column of the canvas is nobody's concern.
        if (round(sides[0] * scale), round(sides[1] * scale)) == (width, height):
            return ""
        return (
            f"{path.name} is {sides[0]} wide and {sides[1]} high, of another shape than the "
            "canvas; its middle was taken, the rest is cut off."
        )

    def _repr_mimebundle_(self, **options: Any) -> Any:
        """The widget for front ends that can draw it, the painting for all others."""
        widget = None if self.box is None else self.box._repr_mimebundle_(**options)
        # anywidget adds metadata, by which Colab finds it.
        data, metadata = widget if isinstance(widget, tuple) else (widget or {}, {})
        return {**data, "image/png": to_png_bytes(enlarged(self.painting))}, metadata


def _checked_size(size: tuple[int, ...]) -> tuple[int, int]:
    sides = tuple(size) if isinstance(size, (tuple, list)) else ()
    if len(sides) != 2 or not all(
        isinstance(side, int) and 1 <= side <= LARGEST_SIDE for side in sides
    ):
        raise CourseError(
            "a canvas needs its size (H, W), whole numbers from 1 to "
            f"{LARGEST_SIDE}; it was {size}."
        )
    return sides[0], sides[1]


def _rgba(picture: Image.Image | np.ndarray) -> Image.Image:
    """With alpha; a picture without is painted everywhere."""
    if isinstance(picture, np.ndarray):
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] not in (3, 4):
            raise CourseError(
                "the painting is a PIL picture or a uint8 array (H, W, 4); it was "
                f"{picture.dtype} of {picture.shape}."
            )
        picture = Image.fromarray(picture)
    if not isinstance(picture, Image.Image):
        raise CourseError(
            "the painting is a PIL picture or a uint8 array (H, W, 4); it was "
            f"{type(picture).__name__}: use `load` for a file."
        )
    return opened(picture, "the painting").convert("RGBA")


def _labels(labels: Image.Image | np.ndarray) -> np.ndarray:
    """Checked, uint8 (H, W)."""
    if isinstance(labels, Image.Image):
        if labels.mode not in ("P", "L", "1"):
            raise CourseError(
                "the regions are an indexed or grey PNG with a label in every pixel, 0 for none; "
                f"this picture is {labels.mode}: take one that the canvas has saved."
            )
        labels = np.asarray(labels)
    if labels.ndim != 2 or labels.dtype.kind not in "uib":
        raise CourseError(
            "the regions are a whole number for each cell, (H, W); they were "
            f"{labels.dtype} of {labels.shape}."
        )
    if labels.size == 0 or not 0 <= int(labels.min()) <= int(labels.max()) <= len(REGION_CODES):
        raise CourseError(
            f"the labels of regions are 0 to {len(REGION_CODES)}, 0 for none; these are "
            f"{int(labels.min())} to {int(labels.max())}: give each region its number."
        )
    return labels.astype(np.uint8)


def _filled_with_labels(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """What `fit` does, by nearest pixels."""
    from PIL import ImageOps

    return ImageOps.fit(picture, size[::-1], Image.Resampling.NEAREST)


def _levels(code: str) -> list[int]:
    return [int(code[place : place + 2], 16) for place in (1, 3, 5)]


@functools.cache
def _widget_class() -> type[Any]:
    """The front end's half; made on demand, as anywidget may be missing."""
    import anywidget
    import traitlets

    class StrokeCanvasWidget(anywidget.AnyWidget):
        """The layers row by row, four bytes a cell (red, green, blue, alpha) and one.

        `underlay` is a PNG, or nothing. `said` is what went wrong with a file.
        """

        _esm = script(HERE / "canvas.js")
        _css = style(HERE / "canvas.css")
        size = traitlets.List(traitlets.Int()).tag(sync=True)
        colours = traitlets.CBytes().tag(sync=True)
        labels = traitlets.CBytes().tag(sync=True)
        words = traitlets.List(traitlets.Unicode()).tag(sync=True)
        underlay = traitlets.CBytes().tag(sync=True)
        said = traitlets.Unicode().tag(sync=True)
        swatches = traitlets.List(traitlets.Unicode()).tag(sync=True)
        region_codes = traitlets.List(traitlets.Unicode()).tag(sync=True)

    return StrokeCanvasWidget
