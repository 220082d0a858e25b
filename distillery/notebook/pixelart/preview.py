"""Runs that are watched: the picture of chosen colours while it is distilled."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from PIL import Image
from torch import Tensor

from distillery.core.images import enlarged
from distillery.notebook.pixelart.contact_sheets import checkered
from distillery.notebook.widgets import Explorer, Preview, Run, follow
from distillery.pixelart.canvas import PaletteCanvas
from distillery.pixelart.indexed_png import indexed
from distillery.pixelart.run import Begun
from distillery.runs.optimise import Step

BLANK = Image.new("RGBA", (512, 512), (0, 0, 0, 0))


class PixelExplorer(Explorer):
    """An explorer of small pictures; each pixel stays a square of whole pixels."""

    @staticmethod
    def large(picture: Image.Image) -> Image.Image:
        return enlarged(picture)


@dataclass
class PixelRun(Run):
    """What is left of a run; `images` are of chosen colours, `logits` (1, K, h, w) of the frames.

    The images are float32 (1, 3, h, w) in [-1, 1], transparent cells white.
    """

    logits: list[Tensor] = field(default_factory=list)
    explorer = PixelExplorer


def live_pixels(
    begun: Begun, *, every: int = 10, score: Callable[[Tensor], float] | None = None
) -> PixelRun:
    """Run what `begin_run` has begun, and show the picture as it grows.

    Interrupting the kernel stops it; what there is by then is kept and returned.

    Args:
        begun: the run.
        every: steps from one picture to the next.
        score: images (1, 3, h, w) -> how good they are; by it the best frame is chosen.
    """
    run = PixelRun()

    def look(canvas: PaletteCanvas) -> Tensor:
        run.logits.append(canvas.render().detach().cpu().clone())
        return _chosen(canvas, begun)

    return follow(begun.stream(None), look, run, every=every, score=score)


def _chosen(canvas: PaletteCanvas, begun: Begun) -> Tensor:
    images = 2 * begun.start.palette[canvas.indices()].movedim(3, 1) - 1
    if begun.start.clear is not None:
        images = images.masked_fill(begun.start.clear, 1.0)
    return images.cpu()


class PixelPreview(Preview):
    """A run with its settings on sliders, begun and stopped by one button, in crisp pixels.

    Args:
        begin: settings -> what `begin_run` returns; its own defaults are where the sliders begin.
        first: a small picture to show before the first run; by default an empty checkerboard.
        every: steps from one picture to the next.
        axes: name of a setting -> the values to choose from.

    Raises:
        CourseError: a setting has no default among its values.
    """

    def __init__(
        self,
        begin: Callable[..., Begun],
        *,
        first: Image.Image | None = None,
        every: int = 10,
        **axes: Sequence[Any],
    ) -> None:
        begun: list[Begun] = []

        @functools.wraps(begin)
        def stream(**chosen: Any) -> Iterable[Step]:
            begun[:] = [begin(**chosen)]
            return begun[0].stream(None)

        def look(canvas: PaletteCanvas) -> Image.Image:
            start = begun[0].start
            return enlarged(indexed(canvas.indices()[0], start.palette, start.clear))

        shown = checkered(BLANK) if first is None else enlarged(first)
        self._set_up(stream, look, first=shown, every=every, axes=axes)
