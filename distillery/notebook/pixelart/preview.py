"""Runs that are watched: the picture of chosen colours while it is distilled."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from PIL import Image
from torch import Tensor

from distillery.core.images import Picture, enlarged
from distillery.notebook.pixelart.contact_sheets import checkered
from distillery.notebook.widgets import Explorer, Preview, Watched, follow
from distillery.pixelart.begin import PixelArt
from distillery.runs.optimise import CanvasStep
from distillery.runs.run import Step

BLANK = Image.new("RGBA", (512, 512), (0, 0, 0, 0))


class PixelExplorer(Explorer):
    """An explorer of small pictures; each pixel stays a square of whole pixels."""

    @staticmethod
    def large(picture: Image.Image) -> Image.Image:
        return enlarged(picture)


@dataclass
class WatchedPixels(Watched):
    """What is left of a run; `images` are of chosen colours, `logits` (1, K, h, w) of the frames.

    The images are float32 (1, 3, h, w) in [-1, 1], transparent cells white.
    """

    logits: list[Tensor] = field(default_factory=list)
    explorer = PixelExplorer


def live_pixels(
    run: PixelArt, *, every: int = 10, score: Callable[[Tensor], float] | None = None
) -> WatchedPixels:
    """Take the steps of a run, and show the picture as it grows.

    Interrupting the kernel stops it; what there is by then is kept and returned.

    Args:
        run: before its first step.
        every: steps from one picture to the next.
        score: images (1, 3, h, w) -> how good they are; by it the best frame is chosen.
    """
    watched = WatchedPixels()

    def look(step: CanvasStep) -> Tensor:
        watched.logits.append(step.canvas.render().detach().cpu().clone())
        return run.images().cpu()

    return follow(run.steps(), look, watched, every=every, score=score)


class PixelPreview(Preview):
    """A run with its settings on sliders, begun and stopped by one button, in crisp pixels.

    Args:
        begin: settings -> the run before its first step; its own defaults are where the sliders
            begin.
        first: a small picture to show before the first run; by default an empty checkerboard.
        every: steps from one picture to the next.
        axes: name of a setting -> the values to choose from.

    Raises:
        CourseError: a setting has no default among its values.
    """

    def __init__(
        self,
        begin: Callable[..., PixelArt],
        *,
        first: Image.Image | None = None,
        every: int = 10,
        **axes: Sequence[Any],
    ) -> None:
        @functools.wraps(begin)
        def steps(**chosen: Any) -> Iterable[Step]:
            return begin(**chosen).steps()

        shown = checkered(BLANK) if first is None else first
        super().__init__(steps, first=shown, every=every, **axes)

    @staticmethod
    def large(picture: Picture) -> Image.Image:
        assert isinstance(picture, Image.Image)
        return enlarged(picture)
