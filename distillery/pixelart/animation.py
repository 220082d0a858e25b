"""An animation in one palette, as it is written to every kind of file."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from distillery.core.errors import CourseError
from distillery.core.gif import LONGEST_SIDE, MOST_FRAMES, MOST_PIXELS, Levels
from distillery.core.images import SHOWN_SIDE
from distillery.pixelart.sequence import check_count

SLOWEST, FASTEST = 0.1, 50  # frames a second
MOST_OF_BORDER = 0.95


@dataclass(frozen=True)
class Animation:
    """Frames on a grid, their one palette, and how they are played.

    indices: int64 (F, h, w), rows of the palette; 2 to 1,000 frames.
    palette: (K, 3), sRGB in [0, 1], 2 to 256 colours, one less where anything is transparent.
    fps:     frames a second, 0.1 to 50. A GIF counts in hundredths of a second, and browsers slow
             down a frame of less than two.
    plays:   how many times; 0 is for ever.
    clear:   bool (F, h, w), what is transparent, or None.
    factor:  a cell is a square of so many pixels in GIF, APNG and MP4.

    Raises:
        CourseError: one of these leaves its range, or the files would be too large.
    """

    indices: Tensor
    palette: Tensor
    fps: float
    plays: int = 0
    clear: Tensor | None = None
    factor: int = 1

    def __post_init__(self) -> None:
        check_count(len(self.palette) + (self.clear is not None))
        check_frames(len(self.indices))
        check_fps(self.fps)
        if not 0 <= self.plays <= 65535:
            raise CourseError(
                f"an animation plays 1 to 65535 times, or 0 for ever; it was {self.plays}."
            )
        _check_size(self.indices.shape, self.factor)
        if self.clear is not None and self.clear.shape != self.indices.shape:
            raise CourseError(
                f"what is transparent must be of the frames' shape {tuple(self.indices.shape)}; "
                f"it was {tuple(self.clear.shape)}."
            )
        low, high = int(self.indices.min()), int(self.indices.max())
        if low < 0 or high >= len(self.palette):
            raise CourseError(
                f"indices must be rows of the palette, 0 to {len(self.palette) - 1}; they are "
                f"{low} to {high}."
            )

    @property
    def rows(self) -> Levels:
        """The colours of the file, (N, 3) in 8 bits; the last is the transparent one's, if any.

        It repeats the first, so that no colour is added to the palette's.
        """
        levels = (self.palette.cpu() * 255).round().to(torch.uint8).numpy()
        return levels if self.clear is None else np.concatenate([levels, levels[:1]])

    @property
    def clear_row(self) -> int | None:
        return None if self.clear is None else len(self.palette)

    @property
    def grids(self) -> Levels:
        """Rows of `rows` at the grid's own size, (F, h, w)."""
        indices = self.indices.cpu()
        if self.clear is not None:
            indices = indices.masked_fill(self.clear.cpu(), len(self.palette))
        return indices.to(torch.uint8).numpy()

    def picture(self, grid: Levels, factor: int) -> Image.Image:
        """Rows (h, w) as an indexed picture with exactly this palette."""
        whole = Image.fromarray(grid.repeat(factor, axis=0).repeat(factor, axis=1), mode="P")
        whole.putpalette(self.rows.tobytes())
        if self.clear_row is not None:
            whole.info["transparency"] = self.clear_row
        return whole

    def on_white(self, grid: Levels, factor: int) -> Image.Image:
        """Rows (h, w) as an RGB picture, white where it is transparent."""
        colours = self.rows.copy()
        if self.clear_row is not None:
            colours[self.clear_row] = 255
        return Image.fromarray(colours[grid].repeat(factor, axis=0).repeat(factor, axis=1))

    def ticks(self, per_second: int) -> list[int]:
        """How long each frame is shown, in whole parts of a second, so that their sum is right."""
        ends = [round(per_second * count / self.fps) for count in range(len(self.indices) + 1)]
        return [end - start for start, end in pairwise(ends)]


def shown_factor(count: int, size: tuple[int, int]) -> int:
    """How many times `count` frames of a grid `size` (h, w) are enlarged to be seen well."""
    height, width = size
    most = int((MOST_PIXELS / (count * height * width)) ** 0.5)
    return max(1, min(round(SHOWN_SIDE / max(size)), most))


def check_frames(count: int) -> None:
    """Raises `CourseError` if an animation cannot have so many frames."""
    if not 2 <= count <= MOST_FRAMES:
        came = "one" if count == 1 else f"{count:,}"
        raise CourseError(
            f"an animation has 2 to {MOST_FRAMES:,} frames; it was {came}: ask for "
            f"{'more' if count < 2 else 'fewer'}."
        )


def check_fps(fps: float) -> None:
    """Raises `CourseError` if frames cannot be shown at this rate in every kind of file."""
    if not SLOWEST <= fps <= FASTEST:
        raise CourseError(
            f"fps must be {SLOWEST} to {FASTEST} frames a second; it was {fps:g}: browsers slow "
            "down the GIFs that are faster."
        )


def _check_size(shape: tuple[int, ...], factor: int) -> None:
    count, height, width = shape
    if min(height, width, factor) < 1:
        raise CourseError(
            f"frames must be of 1 x 1 cells at least, enlarged by 1 at least; they were "
            f"{height} x {width}, enlarged by {factor}."
        )
    longest, pixels = factor * max(height, width), count * height * width * factor**2
    if longest > LONGEST_SIDE or pixels > MOST_PIXELS:
        raise CourseError(
            f"{count:,} frames of {factor * height} x {factor * width} pixels are too many for a "
            f"file; enlarge by less than {factor}, or make fewer frames."
            if factor > 1
            else f"{count:,} frames of {height} x {width} cells are too many for a file; make "
            "fewer or smaller ones."
        )


def background(indices: Tensor) -> Tensor:
    """What lies around the thing in each frame, bool (F, h, w).

    It is what can be reached from the border, from cell to cell by their sides, through the colours
    that `_of_border` names: one of a flat picture, the sky and the sand of a scene.

    Args:
        indices: int64 (F, h, w).
    """
    border = torch.ones(indices.shape[1:], dtype=torch.bool, device=indices.device)
    border[1:-1, 1:-1] = False
    alike = torch.stack([torch.isin(frame, _of_border(frame, border)) for frame in indices])
    reached = alike & border
    while True:
        wider = reached.clone()
        wider[:, 1:] |= reached[:, :-1]
        wider[:, :-1] |= reached[:, 1:]
        wider[:, :, 1:] |= reached[:, :, :-1]
        wider[:, :, :-1] |= reached[:, :, 1:]
        wider &= alike
        if torch.equal(wider, reached):
            return reached
        reached = wider


def _of_border(frame: Tensor, border: Tensor) -> Tensor:
    """The most frequent colour of a frame's border, and of the fewest that make up 95 % of it those
    that lie on two sides or more: a thing that touches one side is no background.
    """
    colours, counts = frame[border].unique(return_counts=True)
    order = counts.argsort(descending=True, stable=True)
    before = counts[order].cumsum(0) - counts[order]
    most = colours[order][before < MOST_OF_BORDER * counts.sum()]
    edges = (frame[0], frame[-1], frame[:, 0], frame[:, -1])
    sides = torch.stack([torch.isin(most, edge[1:-1]) for edge in edges]).sum(dim=0)
    sides[0] = len(edges)
    return most[sides >= 2]
