"""A craft's grid from pictures of many kinds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from distillery.crafts.grid import read_grid

COLOURS = np.array([(200, 40, 40, 255), (40, 60, 200, 255), (240, 220, 60, 255), (0, 0, 0, 0)])
ROWS = np.random.default_rng(4).integers(0, 4, (9, 14))


def art(mode: str = "RGBA") -> Image.Image:
    return Image.fromarray(COLOURS[ROWS].astype(np.uint8)).convert(mode)


@pytest.mark.parametrize("mode", ["RGBA", "P"])
def test_of_enlarged_pixel_art_each_cell_counts_once(tmp_path: Path, mode: str) -> None:
    small, large = tmp_path / "small.png", tmp_path / "large.png"
    art(mode).save(small)
    art(mode).resize((14 * 40, 9 * 40), Image.Resampling.NEAREST).save(large)

    with pytest.warns(UserWarning, match=r"large\.png is pixel art of 14 x 9 cells, enlarged 40"):
        found = read_grid(large)

    wanted = read_grid(small)
    assert (found.width, found.height, found.total) == (14, 9, wanted.total)
    assert np.array_equal(found.indices, wanted.indices)
    assert np.array_equal(found.palette, wanted.palette)


@pytest.mark.parametrize("mode", ["RGB", "P"])
def test_the_profile_of_a_picture_counts(tmp_path: Path, mode: str) -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = srgb.replace(b"rXYZ", b"----").replace(b"bXYZ", b"rXYZ").replace(b"----", b"bXYZ")
    picture = Image.new("RGB", (3, 2), (200, 0, 0))
    picture.putpixel((0, 0), (0, 0, 120))
    picture.convert(mode, palette=Image.Palette.ADAPTIVE).save(
        tmp_path / "a.png", icc_profile=swapped
    )

    grid = read_grid(tmp_path / "a.png")

    seen = 255 * grid.palette[grid.indices]
    np.testing.assert_allclose(seen[0, 0], (120, 0, 0), atol=2)
    np.testing.assert_allclose(seen[1, 2], (0, 0, 200), atol=2)
