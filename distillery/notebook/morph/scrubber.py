"""The frames of an animation one by one; what happens in the browser is scrubber.js."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from distillery.core.errors import CourseError
from distillery.core.images import enlarged, grid, to_pil, to_png_bytes
from distillery.notebook.front_end import script, style
from distillery.palettes import to_hex
from distillery.pixelart.sequence import PixelSequence

HERE = Path(__file__).parent
MOST_BYTES = 8 * 2**20  # of all frames; the connection is cut at a message of 10 MB
ON_SHEET = 12  # frames, at most
TILE = 96  # pixels, about, of a frame's longer side on the sheet


@dataclass(frozen=True)
class Film:
    """Frames in their order, and where each of them stands on the path.

    frames:    (F, 3, h, w) in [-1, 1], or indices and one palette.
    fps:       frames a second.
    loop:      the first frame follows the last.
    positions: of the F frames, from 0 to K - 1, or to below K in a loop; nothing if unknown.
    prompts:   of the K keyframes.

    Raises:
        CourseError: there is no frame, or one of these does not fit the others.
    """

    frames: Tensor | PixelSequence
    fps: float = 12.0
    loop: bool = False
    positions: Sequence[float] = ()
    prompts: Sequence[str] = ()

    def __post_init__(self) -> None:
        shape = self._sent.shape
        if 0 in shape or (self._sent is self.frames and (len(shape) != 4 or shape[1] != 3)):
            raise CourseError(
                f"frames must be of shape (F, 3, h, w), at least one; they are {tuple(shape)}."
            )
        if shape.numel() > MOST_BYTES:
            raise CourseError(
                f"{len(self):,} frames of {shape[-2]} x {shape[-1]} pixels are too many to send to "
                "the page; show fewer, or bring them onto a smaller grid."
            )
        if self.positions and len(self.positions) != len(self):
            raise CourseError(
                f"there are {len(self)} frames and {len(self.positions)} positions; give one for "
                "each frame."
            )
        if self.positions and not 0 <= min(self.positions) <= max(self.positions) <= self._last:
            raise CourseError(
                f"positions of {len(self.prompts)} prompts go from 0 to {self._last}; they are "
                f"{min(self.positions):g} to {max(self.positions):g}."
            )

    def __len__(self) -> int:
        return len(self._sent)

    @property
    def _sent(self) -> Tensor:
        """Indices (F, h, w), or colours (F, 3, h, w): a byte of each number goes to the page."""
        return self.frames.indices if isinstance(self.frames, PixelSequence) else self.frames

    @property
    def _last(self) -> int:
        return len(self.prompts) - (not self.loop)

    @property
    def pictures(self) -> Tensor:
        """The frames in colour, (F, 3, h, w) in [-1, 1]."""
        return self.frames.frames if isinstance(self.frames, PixelSequence) else self.frames

    @functools.cached_property
    def cells(self) -> bytes:
        """Row by row, frame by frame: a byte for each index, or three for each colour."""
        if isinstance(self.frames, PixelSequence):
            return self.frames.indices.cpu().to(torch.uint8).numpy().tobytes()
        levels = ((self.frames.detach().float().clamp(-1, 1) + 1) * 127.5).round()
        return levels.to(torch.uint8).movedim(1, -1).cpu().contiguous().numpy().tobytes()

    @property
    def codes(self) -> list[str]:
        """The palette, as "#ff8800"; empty where frames have none."""
        return to_hex(self.frames.palette) if isinstance(self.frames, PixelSequence) else []

    @functools.cached_property
    def steps(self) -> list[float]:
        """How far each frame is from the next, in a loop also the last from the first.

        It is the root of the mean square over pixels and channels, of levels from 0 to 1.
        """
        levels = (self.pictures.detach().float().cpu().clamp(-1, 1) + 1) / 2
        after = levels.roll(-1, 0)
        steps = (after - levels).square().mean(dim=(1, 2, 3)).sqrt().tolist()
        return steps if self.loop and len(self) > 1 else steps[:-1]

    def recoloured(self, palette: Tensor) -> Film:
        """The same frames in another palette of at least as many colours as they use.

        Raises:
            CourseError: they have none, or the palette is too small.
        """
        if not isinstance(self.frames, PixelSequence):
            raise CourseError("these frames have no palette; bring them into one before.")
        most = int(self.frames.indices.max()) + 1
        if len(palette) < most:
            raise CourseError(
                f"the frames use the colours 1 to {most} of their palette; the new one has "
                f"{len(palette)}: add some."
            )
        return replace(self, frames=PixelSequence(self.frames.indices, palette))


class Scrubber:
    """A film at a whole scale: a slider, a play button, keys, and ghosts of the neighbours.

    Left and right go from frame to frame, Home and End to the ends, space plays. Two buttons lay
    the frame before and the one after over the picture, each in a colour of its own, where they
    differ from it; the picture itself goes grey. Bars below the slider say how far each frame is
    from the next. Without anywidget, a sheet of some frames is shown.

    Args:
        film: to begin with. `Scrubber(Film(images))` shows any frames.
    """

    def __init__(self, film: Film) -> None:
        self._film = film
        self.box = self._build()

    @property
    def film(self) -> Film:
        """What is shown; it may be set."""
        return self._film

    @film.setter
    def film(self, film: Film) -> None:
        its_number = len(film) == len(self._film)
        self._film = film
        if self.box is None:
            return
        with self.box.hold_sync():
            if not its_number:
                self.box.frame = 0
            for name, value in _traits(film).items():
                setattr(self.box, name, value)

    @property
    def frame(self) -> int:
        """The number of the frame that is shown, from 0; it may be set."""
        return 0 if self.box is None else int(self.box.frame)

    @frame.setter
    def frame(self, number: int) -> None:
        if not 0 <= number < len(self._film):
            raise CourseError(f"frames are 0 to {len(self._film) - 1}; it was {number}.")
        if self.box is not None:
            self.box.frame = number

    def _build(self) -> Any:
        try:
            widget = _widget_class()
        except ImportError:
            return None
        return widget(**_traits(self._film))

    def sheet(self) -> Image.Image:
        """Some of the frames, evenly chosen, in reading order."""
        count = min(ON_SHEET, len(self._film))
        chosen = torch.linspace(0, len(self._film) - 1, count).round().long()
        tiles = [enlarged(tile, TILE) for tile in to_pil(self._film.pictures[chosen])]
        return grid(tiles, columns=math.ceil(math.sqrt(2 * count)))

    def _repr_mimebundle_(self, **options: Any) -> Any:
        """The widget for front ends that can draw it, a sheet for all others."""
        widget = None if self.box is None else self.box._repr_mimebundle_(**options)
        # anywidget adds metadata, by which Colab finds it.
        data, metadata = widget if isinstance(widget, tuple) else (widget or {}, {})
        return {**data, "image/png": to_png_bytes(self.sheet())}, metadata


def _traits(film: Film) -> dict[str, Any]:
    return {
        "cells": film.cells,
        "size": list(film.pictures.shape[2:]),
        "palette": film.codes,
        "fps": float(film.fps),
        "loop": film.loop,
        "positions": [float(position) for position in film.positions],
        "prompts": list(film.prompts),
        "steps": film.steps,
    }


@functools.cache
def _widget_class() -> type[Any]:
    """The front end's half; made on demand, as anywidget may be missing."""
    import anywidget
    import traitlets as t

    class ScrubberWidget(anywidget.AnyWidget):
        """What `_traits` says of a film; without a palette a cell has three bytes."""

        _esm = script(HERE / "scrubber.js")
        _css = style(HERE / "scrubber.css")
        frame = t.Int().tag(sync=True)
        cells = t.CBytes().tag(sync=True)
        size = t.List(t.Int()).tag(sync=True)
        palette = t.List(t.Unicode()).tag(sync=True)
        fps = t.Float().tag(sync=True)
        loop = t.Bool().tag(sync=True)
        positions = t.List(t.Float()).tag(sync=True)
        prompts = t.List(t.Unicode()).tag(sync=True)
        steps = t.List(t.Float()).tag(sync=True)

    return ScrubberWidget
