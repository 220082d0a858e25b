from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from distillery.core.errors import CourseError
from distillery.core.images import enlarged, to_png_bytes
from distillery.palettes import from_hex, lattice
from distillery.pixelart.indexed_png import indexed, layers, recoloured

PALETTE = from_hex(["f4f4f4", "b13e53", "1a1c2c", "41a6f6", "ffcd75"])
LEVELS = (PALETTE * 255).round().int()
GRID = torch.arange(6 * 10).view(6, 10) % 5
CLEAR = GRID.roll(1, 0) == 2


def saved(picture: Image.Image, tmp_path: Path) -> Image.Image:
    """The picture as whoever opens the file sees it."""
    (tmp_path / "picture.png").write_bytes(to_png_bytes(picture))
    opened = Image.open(tmp_path / "picture.png")
    opened.load()
    return opened


def test_an_indexed_png_holds_exactly_the_palette_in_its_order(tmp_path: Path) -> None:
    opened = saved(indexed(GRID, PALETTE), tmp_path)

    assert opened.mode == "P"
    assert opened.size == (10, 6)
    assert opened.getpalette() == LEVELS.flatten().tolist()
    assert np.array_equal(np.array(opened), GRID.numpy())
    assert "transparency" not in opened.info
    assert np.array_equal(np.array(opened.convert("RGB")), LEVELS[GRID].numpy())


def test_transparent_cells_have_a_row_of_their_own_behind_the_palette(tmp_path: Path) -> None:
    opened = saved(indexed(GRID, PALETTE, CLEAR), tmp_path)

    assert opened.getpalette() == [*LEVELS.flatten().tolist(), 255, 255, 255]
    assert opened.info["transparency"] == 5
    seen = np.array(opened.convert("RGBA"))
    assert np.array_equal(seen[..., 3] == 0, CLEAR.numpy())
    assert np.array_equal(seen[~CLEAR.numpy()][:, :3], LEVELS[GRID[~CLEAR]].numpy())


def test_colours_that_no_pixel_has_stay_in_the_palette(tmp_path: Path) -> None:
    opened = saved(indexed(torch.zeros(4, 4, dtype=torch.int64), PALETTE), tmp_path)

    assert len(opened.getpalette()) == 15


def test_an_indexed_png_holds_256_colours_and_no_more() -> None:
    many = lattice(7)
    grid = torch.arange(256).view(16, 16)

    assert len(indexed(grid, many[:256]).getpalette()) == 3 * 256
    with pytest.raises(CourseError, match="needs 257: name a smaller"):
        indexed(grid, many[:257])
    with pytest.raises(CourseError, match="needs 257, one of them for what is transparent"):
        indexed(grid, many[:256], torch.zeros(16, 16, dtype=torch.bool))


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((32, 32), (512, 512)),
        ((48, 32), (528, 352)),
        ((600, 300), (600, 300)),
        ((2, 8), (128, 512)),
    ],
)
def test_enlarging_makes_every_pixel_a_whole_square(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    pixels = np.random.default_rng(0).integers(0, 5, size[::-1]).astype(np.uint8)
    picture = Image.fromarray(pixels, mode="P")
    picture.putpalette(LEVELS.flatten().tolist())

    large = enlarged(picture)

    factor = expected[0] // size[0]
    assert large.size == expected
    assert large.mode == "P"
    assert np.array_equal(np.array(large), pixels.repeat(factor, 0).repeat(factor, 1))


def test_the_layers_together_are_the_soft_picture() -> None:
    weights = torch.rand(5, 6, 10, generator=torch.Generator().manual_seed(0)).softmax(dim=0)

    pictures = layers(weights, PALETTE)

    assert [picture.mode for picture in pictures] == ["RGBA"] * 5
    arrays = torch.stack([torch.from_numpy(np.array(picture)) for picture in pictures]).double()
    assert torch.equal(arrays[:, 0, 0, :3], LEVELS.double())
    together = (arrays[..., :3] * arrays[..., 3:] / 255).sum(dim=0)
    soft = torch.einsum("khw,kc->hwc", weights, PALETTE) * 255
    assert (together - soft).abs().max() <= 0.5 * 5  # half a level of alpha from each layer


def test_a_layer_is_opaque_where_its_colour_is_certain() -> None:
    weights = torch.nn.functional.one_hot(GRID, 5).movedim(2, 0).float()

    alphas = [np.array(layer.getchannel("A")) for layer in layers(weights, PALETTE)]

    for k, alpha in enumerate(alphas):
        assert np.array_equal(alpha == 255, (k == GRID).numpy())
        assert set(np.unique(alpha)) <= {0, 255}


@pytest.mark.parametrize("clear", [None, CLEAR])
def test_recolouring_keeps_every_index(clear: torch.Tensor | None, tmp_path: Path) -> None:
    other = PALETTE.flip(0) * 0.5
    picture = saved(indexed(GRID, PALETTE, clear), tmp_path)

    again = saved(recoloured(picture, other), tmp_path)

    assert np.array_equal(np.array(again), np.array(picture))
    assert again.getpalette()[:15] == (other * 255).round().int().flatten().tolist()
    assert again.info.get("transparency") == picture.info.get("transparency")


def test_recolouring_finds_a_transparent_row_in_front(tmp_path: Path) -> None:
    picture = indexed(GRID, PALETTE)
    picture.info["transparency"] = 0

    again = saved(recoloured(saved(picture, tmp_path), PALETTE[1:]), tmp_path)

    seen = np.array(again.convert("RGBA"))
    assert np.array_equal(seen[..., 3] == 0, (GRID == 0).numpy())
    assert np.array_equal(seen[seen[..., 3] > 0][:, :3], LEVELS[GRID[GRID > 0]].numpy())


def test_recolouring_with_another_length_is_refused() -> None:
    with pytest.raises(CourseError, match="has 5 colours and the new palette 4"):
        recoloured(indexed(GRID, PALETTE), PALETTE[:4])
    with pytest.raises(CourseError, match="has 5 colours and the new palette 6"):
        recoloured(indexed(GRID, PALETTE, CLEAR), lattice(2)[:6])


def test_only_indexed_pictures_are_recoloured(tmp_path: Path) -> None:
    with pytest.raises(CourseError, match="this one is RGB"):
        recoloured(indexed(GRID, PALETTE).convert("RGB"), PALETTE)
    half = indexed(GRID, PALETTE)
    half.info["transparency"] = bytes([255, 128, 0, 255, 255])
    with pytest.raises(CourseError, match="half-transparent"):
        recoloured(saved(half, tmp_path), PALETTE)
