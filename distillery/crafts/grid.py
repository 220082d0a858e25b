"""A picture as a grid of cells, each with one palette colour or empty."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from distillery.core.errors import CourseError

EMPTY = -1
LARGEST_SIDE = 512
MOST_COLOURS = 256


@dataclass(frozen=True, eq=False)
class Grid:
    """Cells and their colours; the input of every writer.

    indices: int64 (H, W); -1 is an empty cell.
    palette: float32 (K, 3), sRGB in [0, 1]; no two used colours are equal in 8 bits.
    """

    indices: np.ndarray
    palette: np.ndarray

    @property
    def height(self) -> int:
        return int(self.indices.shape[0])

    @property
    def width(self) -> int:
        return int(self.indices.shape[1])

    @property
    def total(self) -> int:
        """Number of cells that are not empty."""
        return int((self.indices != EMPTY).sum())

    def counts(self) -> dict[int, int]:
        """Number of cells of every used colour, the most frequent first."""
        numbers = np.bincount(self.indices[self.indices != EMPTY], minlength=len(self.palette))
        order = np.argsort(-numbers, kind="stable")
        return {int(index): int(numbers[index]) for index in order if numbers[index]}


def as_grid(indices: Any, palette: Any) -> Grid:
    """Check a grid and its palette, numpy or torch, and merge equal colours.

    Raises:
        CourseError: a shape, a type, an index or a level is wrong, or all cells are empty.
    """
    cells, colours = _as_array(indices), _as_array(palette).astype(np.float32)
    if cells.ndim != 2 or not np.issubdtype(cells.dtype, np.integer):
        raise CourseError(
            f"a grid of indices is int64 (H, W); it is {cells.dtype} {cells.shape}: "
            "give one picture, and indices instead of colours."
        )
    if colours.ndim != 2 or colours.shape[1] != 3 or not len(colours):
        raise CourseError(f"a palette is float32 (K, 3); it is {colours.shape}.")
    if not ((colours >= 0) & (colours <= 1)).all():
        raise CourseError(
            "a palette holds sRGB levels from 0 to 1; divide levels of 8 bits by 255."
        )
    _check_size(cells.shape[1], cells.shape[0])
    if cells.min() < EMPTY or cells.max() >= len(colours):
        raise CourseError(
            f"indices go from -1 (empty) to {len(colours) - 1} for {len(colours)} colours; "
            f"these go from {cells.min()} to {cells.max()}."
        )
    if (cells == EMPTY).all():
        raise CourseError("every cell of the picture is transparent; there is nothing to make.")
    return _without_twins(cells.astype(np.int64), colours)


def _as_array(values: Any) -> np.ndarray:
    # A torch tensor may be on another device and require a gradient.
    return np.asarray(values.detach().cpu() if hasattr(values, "detach") else values)


def _check_size(width: int, height: int, name: str = "the picture") -> None:
    if max(width, height) > LARGEST_SIDE:
        raise CourseError(
            f"{name} has {width} × {height} cells, and a craft at most {LARGEST_SIDE} a side; "
            "scale it down to one pixel a cell."
        )
    if width * height < 2:
        raise CourseError(f"{name} has {width} × {height} cells; a craft needs at least two.")


def _without_twins(cells: np.ndarray, colours: np.ndarray) -> Grid:
    levels = to_levels(colours).astype(np.int64)
    packed = (levels[:, 0] << 16) | (levels[:, 1] << 8) | levels[:, 2]
    _, first, twin = np.unique(packed, return_index=True, return_inverse=True)
    cells = np.where(cells == EMPTY, EMPTY, first[twin.reshape(-1)][cells])
    used = len(np.unique(cells[cells != EMPTY]))
    if used > MOST_COLOURS:
        raise CourseError(
            f"the picture uses {used} colours, and a craft at most {MOST_COLOURS}; "
            "reduce it to a palette first."
        )
    return Grid(cells, colours)


def to_levels(colours: np.ndarray) -> np.ndarray:
    """sRGB in [0, 1] as the nearest 8-bit levels, uint8 of the same shape."""
    return np.rint(np.asarray(colours, dtype=np.float64) * 255).clip(0, 255).astype(np.uint8)


def to_hex(colour: Any) -> str:
    """One sRGB colour in [0, 1] as "#rrggbb"."""
    return "#" + to_levels(np.asarray(colour)).tobytes().hex()


def read_grid(path: Path) -> Grid:
    """Read a picture with few colours, one pixel per cell.

    An indexed PNG keeps its palette and the order of its colours; for any other picture the palette
    is the colours that occur. Pixels that are more than half transparent become empty cells. Of
    pixel art that was enlarged each cell counts once, and a warning says so.

    Raises:
        CourseError: it cannot be read, has more than 256 colours, or is too large or too small.
    """
    from distillery.core.cells import enlarged_cells
    from distillery.core.images import read_any

    picture = read_any(path)
    if (art := enlarged_cells(picture)) is not None:
        warnings.warn(f"{art.words(path)}: each cell counts once.", stacklevel=2)
        picture = art.picture
    picture = picture.convert("RGBA")
    _check_size(*picture.size, name=str(path))
    pixels = np.asarray(picture).astype(np.int64)
    packed = (pixels[..., 0] << 16) | (pixels[..., 1] << 8) | pixels[..., 2]
    opaque = pixels[..., 3] >= 128
    found = np.unique(packed[opaque])
    if len(found) > MOST_COLOURS:
        raise CourseError(
            f"{path} has {len(found):,} colours, and a craft at most {MOST_COLOURS}; "
            "save it as an indexed PNG with few colours."
        )
    if not len(found):
        raise CourseError(f"{path} is transparent everywhere; there is nothing to make.")
    colours = _written_palette(path, found)
    order = np.argsort(colours, kind="stable")
    place = np.searchsorted(colours[order], np.where(opaque, packed, found[0]))
    indices = np.where(opaque, order[place], EMPTY)
    levels = np.stack([colours >> 16, colours >> 8 & 255, colours & 255], axis=1)
    return as_grid(indices, (levels / 255).astype(np.float32))


def _written_palette(path: Path, found: np.ndarray) -> np.ndarray:
    """The palette of an indexed file, packed; the colours `found` for any other file."""
    from distillery.core.images import read_indexed

    indexed = read_indexed(path)
    if indexed is None:
        return found
    levels = np.asarray(indexed.getpalette("RGB"), dtype=np.int64).reshape(-1, 3)
    packed = (levels[:, 0] << 16) | (levels[:, 1] << 8) | levels[:, 2]
    return packed if np.isin(found, packed).all() else found


def preview(grid: Grid, colours: np.ndarray, *, longest: int = 1200) -> Image.Image:
    """The picture as RGB, with every cell enlarged to a square; empty cells are white.

    Args:
        grid: what to draw.
        colours: (K, 3) sRGB in [0, 1] to draw with: of the palette, the threads or the beads.
        longest: approximate maximum of the larger side, in pixels.
    """
    with_white = np.concatenate([to_levels(colours), np.full((1, 3), 255, dtype=np.uint8)])
    picture = Image.fromarray(with_white[grid.indices])
    scale = max(1, longest // max(picture.size))
    size = (picture.width * scale, picture.height * scale)
    return picture.resize(size, Image.Resampling.NEAREST)
