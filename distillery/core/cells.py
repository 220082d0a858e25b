"""Enlarged pixel art: a picture made of squares of one colour each, known again as its cells."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import reduce

import numpy as np
from PIL import Image, ImageOps

from distillery.core.images import fit

LOSSY = ("JPEG", "MPO")  # in which no square stays one colour
LARGE = 512  # pixels; a picture with a longer side is no grid of single pixels
# Bits of chance that so many lines would lie on one lattice: below SURE, no offset is believed, and
# below LIKELY no cell.
SURE, LIKELY = 10.0, 6.0
FEW = 64  # colours, at most, of a sprite whose cells are single pixels
SHORTEST = 8  # cells, of a side of pixel art that is enlarged as such
PIXELS_A_COLOUR = 4  # at least, on the average, in such a sprite


@dataclass(frozen=True, eq=False)
class Cells:
    """The cells of enlarged pixel art.

    picture: one pixel for each cell, in the mode of the enlarged picture.
    side:    of a cell, in pixels of the enlarged picture.
    """

    picture: Image.Image
    side: int

    def words(self, name: object) -> str:
        """The beginning of a note: what `name` was taken for."""
        width, height = self.picture.size
        return f"{name} is pixel art of {width} x {height} cells, enlarged {self.side} times"


def enlarged_cells(picture: Image.Image) -> Cells | None:
    """The cells that a picture consists of, or None where it is no enlarged pixel art.

    Every square of n x n pixels, for the largest n, is of one colour. The squares may begin at an
    offset: pieces of them along the border are left out where they are of one colour, and are
    cells where they are not. Flat pictures of a few large areas are not taken for pixel art, nor
    are JPEG files.

    Args:
        picture: in mode RGB, RGBA, L or P; of what is transparent the colour does not count.
    """
    if picture.format in LOSSY:
        return None
    pixels = _packed(picture)
    if _gcd(*np.diff(_changes(pixels[:: -(-len(pixels) // 64)]))) == 1:
        return None  # as in nearly every picture; the rest would take seconds of a photograph
    columns, rows = _changes(pixels), _changes(pixels.T)
    if not (len(columns) or len(rows)):
        return None
    height, width = pixels.shape
    side = _gcd(height, width, *columns, *rows)
    left = top = 0
    lattice = _gcd(*np.diff(columns), *np.diff(rows))
    if lattice > side and _is_sure(columns, rows, lattice):
        side, left, top = lattice, int(columns[0] % lattice), int(rows[0] % lattice)
    if side == 1:
        return None
    across, down = _starts(pixels, side, left), _starts(pixels.T, side, top)
    if len(across) * len(down) < 2:
        return None
    if max(width, height) <= LARGE and not _is_drawn(across, down, columns, rows, side):
        return None
    return Cells(_taken(picture, down, across), side)


def blocks_of(picture: Image.Image, size: tuple[int, int]) -> Image.Image | None:
    """The picture with one pixel for each cell of a grid of `size` (h, w) that it fills exactly.

    None where a cell is no square, or not of one colour.
    """
    (height, width), side = size, picture.width // size[1]
    if side < 1 or picture.size != (side * width, side * height):
        return None
    pixels = _packed(picture)
    cells = pixels[::side, ::side]
    if (cells.repeat(side, 0).repeat(side, 1) != pixels).any():
        return None
    return _taken(picture, np.arange(height) * side, np.arange(width) * side)


def cells_to_enlarge(picture: Image.Image, size: tuple[int, int]) -> Image.Image | None:
    """Pixel art with one pixel for each cell, if the frame `size` (h, w) has room for all of them.

    None of what is no pixel art, or has a side below 8 cells. Of a small picture each pixel counts
    as a cell where its colours are few and come again, as in sprites.

    Args:
        picture: in mode RGB or RGBA.
    """
    found = enlarged_cells(picture)
    art = picture if found is None else found.picture
    if art.height > size[0] or art.width > size[1] or min(art.size) < SHORTEST:
        return None
    if found is None:
        most = min(FEW, art.width * art.height // PIXELS_A_COLOUR)
        if picture.format in LOSSY or picture.getcolors(most) is None:
            return None
    return art


def fit_cells(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """As `images.fit`, but that pixel art is enlarged cell by cell, and gets no new colours.

    Where the frame is no whole number of times as large, pixels that two cells share are mixed.
    """
    cells = cells_to_enlarge(picture, size)
    if cells is None:
        return fit(picture, size)
    times = math.ceil(max(size[0] / cells.height, size[1] / cells.width))
    large = (times * cells.width, times * cells.height)
    squares = cells.resize(large, Image.Resampling.NEAREST)
    return ImageOps.fit(squares, size[::-1], Image.Resampling.BOX)


def _packed(picture: Image.Image) -> np.ndarray:
    """One number for each pixel's colour, (H, W)."""
    if picture.mode in ("P", "L"):
        return np.asarray(picture)
    levels = np.asarray(picture.convert("RGBA"))
    return np.where(levels[..., 3] == 0, 0, levels.view(np.uint32)[..., 0])


def _changes(pixels: np.ndarray) -> np.ndarray:
    """The columns that differ somewhere from the one on their left."""
    return np.flatnonzero((pixels[:, 1:] != pixels[:, :-1]).any(axis=0)) + 1


def _gcd(*numbers: int) -> int:
    return reduce(math.gcd, (int(number) for number in numbers), 0)


def _is_sure(columns: np.ndarray, rows: np.ndarray, lattice: int) -> bool:
    """Whether lines at these places would hardly lie on one lattice by chance."""
    fewest, lines = min(len(columns), len(rows)), len(columns) + len(rows)
    return fewest >= 4 and (lines - 2) * math.log2(lattice) >= SURE


def _starts(pixels: np.ndarray, side: int, offset: int) -> np.ndarray:
    """Where along the second axis cells begin; pieces of one colour at the border are left out."""
    length = pixels.shape[1]
    starts = list(range(offset, length, side))
    if offset and not _is_flat(pixels[:, :offset]):
        starts.insert(0, 0)
    if length - starts[-1] < side and _is_flat(pixels[:, starts[-1] :]):
        starts.pop()
    return np.array(starts)


def _is_flat(pixels: np.ndarray) -> bool:
    return bool((pixels == pixels[0, 0]).all())


def _is_drawn(
    across: np.ndarray, down: np.ndarray, columns: np.ndarray, rows: np.ndarray, side: int
) -> bool:
    """Whether the cells are those of a drawing, and not a few large areas as in a flag.

    Args:
        across, down: where cells begin.
        columns, rows: where colours change; between small drawings' cells they mostly do.
        side: of a cell.
    """
    if (len(columns) + len(rows)) * math.log2(side) < LIKELY:
        return False
    if max(len(across), len(down)) >= 8:
        return True
    return min(len(across), len(down)) >= 3 and all(
        2 * len(changes) > len(starts) - 1 for changes, starts in ((columns, across), (rows, down))
    )


def _taken(picture: Image.Image, rows: np.ndarray, columns: np.ndarray) -> Image.Image:
    made = Image.fromarray(np.asarray(picture)[np.ix_(rows, columns)], mode=picture.mode)
    if picture.mode == "P":
        made.putpalette(picture.getpalette("RGB") or [])
    made.info = dict(picture.info)
    return made
