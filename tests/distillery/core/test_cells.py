"""Enlarged pixel art is known again as its cells, and nothing else is."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageOps

from distillery.core.cells import blocks_of, enlarged_cells
from distillery.core.images import read_any


def art(width: int = 12, height: int = 10, mode: str = "RGB", seed: int = 0) -> Image.Image:
    """Cells in four colours at random, one of them transparent where the mode has alpha."""
    colours = np.array(
        [(20, 30, 40, 255), (200, 40, 40, 255), (240, 230, 90, 255), (0, 90, 0, 0)], np.uint8
    )
    rows = np.random.default_rng(seed).integers(0, len(colours), (height, width))
    return Image.fromarray(colours[rows]).convert(mode)


def larger(picture: Image.Image, side: int) -> Image.Image:
    size = (picture.width * side, picture.height * side)
    return picture.resize(size, Image.Resampling.NEAREST)


@pytest.mark.parametrize("side", [2, 3, 7, 32])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L"])
@pytest.mark.parametrize("size", [(12, 10), (9, 31), (4, 4)], ids=["12x10", "9x31", "4x4"])
def test_each_square_of_one_colour_is_a_cell(side: int, mode: str, size: tuple[int, int]) -> None:
    cells = art(*size, mode=mode)

    found = enlarged_cells(larger(cells, side))

    assert found is not None
    assert (found.side, found.picture.mode) == (side, mode)
    assert found.picture.tobytes() == cells.tobytes()
    if mode == "P":
        assert found.picture.getpalette() == cells.getpalette()


@pytest.mark.parametrize("border", [1, 5, 13])
def test_squares_may_begin_at_an_offset_in_a_border_of_one_colour(border: int) -> None:
    cells = art()
    framed = ImageOps.expand(larger(cells, 16), border, fill=(9, 9, 9))

    found = enlarged_cells(framed)

    assert found is not None
    assert found.side == 16
    assert found.picture.tobytes() == cells.tobytes()


def test_of_a_part_of_a_picture_the_cells_that_are_cut_through_are_cells_too() -> None:
    cells = art(14, 12)
    part = larger(cells, 8).crop((3, 5, 14 * 8 - 2, 12 * 8 - 6))

    found = enlarged_cells(part)

    assert found is not None
    assert found.picture.tobytes() == cells.tobytes()


def test_what_is_transparent_may_have_any_colour() -> None:
    cells = art(mode="RGBA")
    pixels = np.array(larger(cells, 8))
    hidden = pixels[..., 3] == 0
    noise = np.random.default_rng(1).integers(0, 256, (hidden.sum(), 3))
    pixels[hidden, :3] = noise

    found = enlarged_cells(Image.fromarray(pixels))

    assert found is not None
    assert found.picture.getchannel("A").tobytes() == cells.getchannel("A").tobytes()


def flag() -> Image.Image:
    picture = Image.new("RGB", (30, 20), "blue")
    picture.paste("white", (10, 0, 20, 20))
    return picture


def corner() -> Image.Image:
    picture = Image.new("RGB", (48, 48), "blue")
    picture.paste("white", (0, 0, 28, 20))
    return picture


@pytest.mark.parametrize(
    "picture",
    [corner(), art(), flag(), Image.new("RGB", (64, 64), "red"), art(64, 64, seed=3)],
    ids=["corner", "native", "flag", "plain", "native of 64"],
)
def test_single_pixels_and_a_few_large_areas_are_no_enlarged_art(picture: Image.Image) -> None:
    assert enlarged_cells(picture) is None


def test_one_pixel_of_another_colour_makes_it_another_picture() -> None:
    picture = larger(art(), 8)
    picture.putpixel((13, 14), (1, 2, 3))

    assert enlarged_cells(picture) is None


def test_a_jpeg_is_never_taken_for_cells(tmp_path) -> None:
    larger(art(8, 8), 16).save(tmp_path / "art.jpg", quality=100, subsampling=0)
    larger(art(8, 8), 16).save(tmp_path / "art.png")

    assert enlarged_cells(read_any(tmp_path / "art.jpg")) is None
    assert enlarged_cells(read_any(tmp_path / "art.png")) is not None


def test_a_grid_that_is_known_takes_its_blocks_from_a_picture() -> None:
    cells = art(6, 4)

    assert blocks_of(cells, (4, 6)).tobytes() == cells.tobytes()
    assert blocks_of(larger(cells, 9), (4, 6)).tobytes() == cells.tobytes()
    assert blocks_of(larger(cells, 9), (8, 12)) is None
    assert blocks_of(larger(cells, 9).crop((0, 0, 53, 36)), (4, 6)) is None
    assert blocks_of(cells, (8, 12)) is None
