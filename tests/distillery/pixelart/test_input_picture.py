"""Sprites come onto the grid with their own colours."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from distillery.pixelart.input_picture import read_input
from distillery.pixelart.settings import PixelSettings

COLOURS = np.array([(200, 40, 40, 255), (40, 60, 200, 255), (240, 220, 60, 255), (0, 0, 0, 0)])


def sprite(height: int = 16, width: int = 16) -> Image.Image:
    rows = np.random.default_rng(2).integers(0, 4, (height, width))
    return Image.fromarray(COLOURS[rows].astype(np.uint8))


def larger(picture: Image.Image, side: int) -> Image.Image:
    size = (picture.width * side, picture.height * side)
    return picture.resize(size, Image.Resampling.NEAREST)


def settings(path: Path, size: tuple[int, int], **changes: Any) -> PixelSettings:
    given = {"input_image": str(path), "start": "image", "palette": "dusk", "transparent": True}
    return PixelSettings(prompt="a boat", size=size, **{**given, **changes})


def levels(small: torch.Tensor) -> np.ndarray:
    return ((small[0].permute(1, 2, 0).numpy() + 1) * 127.5).round().astype(int)


def saved(folder: Path, picture: Image.Image) -> Path:
    picture.save(folder / "sprite.png")
    return folder / "sprite.png"


@pytest.mark.parametrize("size", [(16, 16), (20, 12)], ids=["square", "upright"])
@pytest.mark.parametrize("side", [1, 2, 5, 32])
def test_a_picture_that_is_the_grid_is_copied_cell_by_cell(
    tmp_path: Path, size: tuple[int, int], side: int
) -> None:
    art = sprite(*size)
    cells = np.asarray(art).astype(int)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        given = read_input(settings(saved(tmp_path, larger(art, side)), size))
    said = [f"enlarged {side} times: each is copied" in str(note.message) for note in caught]
    assert said == [True] * (side > 1)

    drawn = cells[..., 3] > 0
    assert np.array_equal(given.clear.numpy(), ~drawn)
    assert np.array_equal(levels(given.small)[drawn], cells[drawn][:, :3])
    assert given.picture.shape[-2:] == settings(tmp_path / "sprite.png", size).canvas


def test_a_cell_may_fill_several_of_the_grid(tmp_path: Path) -> None:
    art = sprite(8, 8)

    given = read_input(settings(saved(tmp_path, art), (16, 16)))

    assert np.array_equal(levels(given.small)[::2, ::2], levels(given.small)[1::2, 1::2])
    drawn = np.asarray(art)[..., 3] > 0
    assert np.array_equal(levels(given.small)[::2, ::2][drawn], np.asarray(art)[drawn][:, :3])


def test_enlarged_art_on_a_finer_grid_is_copied_and_on_another_one_that_is_said(
    tmp_path: Path,
) -> None:
    path = saved(tmp_path, larger(sprite(), 10))

    with pytest.warns(UserWarning, match="16 x 16 cells, enlarged 10 times: each is copied"):
        read_input(settings(path, (32, 32)))
    with pytest.warns(UserWarning, match="a grid of size 16,16 would keep each"):
        read_input(settings(path, (12, 12)))


def disc(alpha_inside: float = 1.0) -> Image.Image:
    """Red with soft edges; what is clear is green, and nothing of that is seen."""
    y, x = np.mgrid[:150, :150]
    alpha = np.clip(60.5 - np.hypot(y - 74.5, x - 74.5), 0, alpha_inside)
    pixels = np.zeros((150, 150, 4), np.uint8)
    pixels[..., :3] = np.where(alpha[..., None] > 0, (200, 40, 40), (0, 255, 0))
    pixels[..., 3] = np.rint(255 * alpha)
    return Image.fromarray(pixels)


def test_edges_beside_what_is_transparent_keep_their_colour(tmp_path: Path) -> None:
    given = read_input(settings(saved(tmp_path, disc()), (24, 24)))

    drawn = ~given.clear.numpy()
    assert 0.4 < drawn.mean() < 0.6
    np.testing.assert_allclose(levels(given.small)[drawn], [[200, 40, 40]] * drawn.sum(), atol=2)


def test_over_white_edges_keep_their_colour_and_glass_is_seen_through(tmp_path: Path) -> None:
    solid = read_input(settings(saved(tmp_path, disc()), (24, 24), transparent=False))
    glass = read_input(settings(saved(tmp_path, disc(0.4)), (24, 24), transparent=False))

    for given, inside in ((solid, (200, 40, 40)), (glass, (233, 169, 169))):
        cells = levels(given.small)
        white = (cells == 255).all(axis=2)
        assert 0.4 < 1 - white.mean() < 0.6
        np.testing.assert_allclose(cells[~white], [inside] * (~white).sum(), atol=4)


def test_a_drawing_gets_no_colours_beyond_its_own(tmp_path: Path) -> None:
    """Lanczos' filter overshoots: beside a grey edge it makes lighter and darker stripes."""
    picture = Image.new("L", (90, 90), 100)
    picture.paste(160, (0, 0, 37, 90))

    given = read_input(settings(saved(tmp_path, picture), (16, 16)))

    assert (levels(given.small).min(), levels(given.small).max()) == (100, 160)
    assert (levels(given.picture).min(), levels(given.picture).max()) == (100, 160)


def test_over_white_nothing_is_clear(tmp_path: Path) -> None:
    art = sprite()

    given = read_input(settings(saved(tmp_path, art), (16, 16), transparent=False))

    assert given.clear is None
    assert (levels(given.small)[np.asarray(art)[..., 3] == 0] == 255).all()
