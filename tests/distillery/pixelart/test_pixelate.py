"""A folder of pictures becomes pixel art in one palette."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from distillery.core.errors import CourseError
from distillery.palettes import from_hex
from distillery.pixelart.pixelate import pixelate_folder
from reference import morph

RED, GREEN, BLUE, WHITE = (200, 40, 40), (40, 180, 60), (30, 60, 200), (250, 250, 250)


def quarters(
    colours: list[tuple[int, ...]], size: tuple[int, int], mode: str = "RGB"
) -> Image.Image:
    corners = np.array(colours, np.uint8).reshape(2, 2, -1)
    return Image.fromarray(corners).resize(size, Image.Resampling.NEAREST).convert(mode)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in" / "deeper").mkdir(parents=True)
    quarters([RED, GREEN, BLUE, WHITE], (36, 24)).save(tmp_path / "in" / "b.png")
    quarters([WHITE, RED, RED, GREEN], (49, 60)).save(tmp_path / "in" / "a.bmp")
    (tmp_path / "in" / "metadata.jsonl").write_text("{}")
    (tmp_path / "in" / "notes.pdf").write_text("Pillow writes these and reads none")
    return tmp_path / "in"


def colours_of(path: Path) -> set[tuple[int, ...]]:
    with Image.open(path) as picture:
        assert picture.mode == "P"
        return {tuple(row) for row in np.array(picture.convert("RGB")).reshape(-1, 3).tolist()}


def test_pictures_of_different_sizes_share_one_palette(folder, tmp_path) -> None:
    files = pixelate_folder(folder, tmp_path / "out", morph, palette=4, upscale=2)
    assert [file.name for file in files] == ["a.png", "b.png"]
    assert [Image.open(file).size for file in files] == [(16, 20), (12, 8)]
    assert colours_of(files[0]) | colours_of(files[1]) == {RED, GREEN, BLUE, WHITE}
    palettes = [Image.open(file).getpalette() for file in files]
    assert palettes[0] == palettes[1]
    assert len(palettes[0] or []) == 3 * 4


def test_every_cell_is_a_square_and_has_the_pictures_colour(folder, tmp_path) -> None:
    given = from_hex(["c82828", "28b43c", "1e3cc8", "fafafa"])
    file = pixelate_folder(folder, tmp_path / "out", morph, palette=given)[1]
    with Image.open(file) as picture:
        assert picture.size == (36, 24)
        assert np.array_equal(picture.convert("RGB"), quarters([RED, GREEN, BLUE, WHITE], (36, 24)))


def test_what_is_transparent_stays_so_and_has_no_colour_in_the_palette(tmp_path) -> None:
    (tmp_path / "in").mkdir()
    clear = (90, 90, 90, 0)
    corners = [(*RED, 255), clear, (*BLUE, 255), clear]
    quarters(corners, (24, 24), "RGBA").save(tmp_path / "in" / "a.png")
    (file,) = pixelate_folder(tmp_path / "in", tmp_path / "out", morph, palette=2, upscale=1)
    with Image.open(file) as picture:
        cells = np.array(picture.convert("RGBA"))
    assert (cells[:, :2, 3] == 255).all()
    assert (cells[:, 2:, 3] == 0).all()
    assert {tuple(cells[0, 0, :3]), tuple(cells[3, 0, :3])} == {RED, BLUE}


def test_more_stages_melt_a_small_thing_away(tmp_path) -> None:
    (tmp_path / "in").mkdir()
    levels = np.full((54, 54, 3), 250, np.uint8)
    levels[18:25, 18:25] = RED  # 60 % of a cell; of its nine parts it is most of four
    Image.fromarray(levels).save(tmp_path / "in" / "a.png")
    given = from_hex(["c82828", "fafafa"])

    def drawn(depth: int) -> set[tuple[int, ...]]:
        (file,) = pixelate_folder(
            tmp_path / "in", tmp_path / "out", morph, factor=9, palette=given, depth=depth
        )
        return colours_of(file)

    assert drawn(1) == {RED, WHITE}
    assert drawn(2) == {WHITE}


def test_a_folder_that_cannot_be_used_leaves_nothing_behind(folder, tmp_path) -> None:
    out = tmp_path / "out"

    def refused(words: str, **options: Any) -> None:
        with pytest.raises(CourseError, match=words):
            pixelate_folder(
                options.pop("folder", folder), options.pop("out", out), morph, **options
            )
        assert not out.exists()

    refused("there is no folder .*none", folder=tmp_path / "none")
    refused("holds no pictures", folder=folder / "deeper")
    refused("holds the pictures themselves", out=folder)
    refused("factor must be 1 to 64; it was 0", factor=0)
    refused("upscale must be 1 to 64; it was 65", upscale=65)
    refused("depth must be 1 to 4 stages; it was 5", depth=5)
    refused("2 to 256 colours; it was 257", palette=257)
    refused("2 to 256 colours; it was 300", palette=torch.rand(300, 3))
    refused("smaller than a cell of 25 x 25; lower factor", factor=25)
    Image.new("RGB", (30, 30)).save(folder / "a.png")
    refused("a.bmp and a.png would both become a.png")
    (folder / "a.png").write_bytes((folder / "b.png").read_bytes()[:60])
    (folder / "a.bmp").unlink()
    refused("a.png cannot be read as a picture")


def cells(seed: int = 0) -> Image.Image:
    colours = np.array([(*RED, 255), (*BLUE, 255), (*WHITE, 255), (0, 0, 0, 0)], np.uint8)
    return Image.fromarray(colours[np.random.default_rng(seed).integers(0, 4, (9, 12))])


def test_enlarged_pixel_art_keeps_its_cells_whatever_the_factor(tmp_path) -> None:
    (tmp_path / "in").mkdir()
    cells().resize((120, 90), Image.Resampling.NEAREST).save(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "._a.png").write_bytes(b"of macOS")
    (tmp_path / "in" / "Thumbs.db").write_bytes(b"of Windows")

    with pytest.warns(UserWarning, match="12 x 9 cells, enlarged 10 times: each is kept"):
        (file,) = pixelate_folder(tmp_path / "in", tmp_path / "out", morph, palette=3, upscale=1)

    with Image.open(file) as picture:
        seen = np.asarray(picture.convert("RGBA")).astype(int)
    wanted = np.asarray(cells()).astype(int)
    drawn = wanted[..., 3] == 255
    assert (seen[drawn] == wanted[drawn]).all()
    assert (seen[~drawn][:, 3] == 0).all()


def test_edges_beside_what_is_transparent_get_no_other_colour(tmp_path) -> None:
    (tmp_path / "in").mkdir()
    pixels = np.zeros((48, 48, 4), np.uint8)
    pixels[..., :3] = (0, 255, 0)
    pixels[:, :28] = (*RED, 255)
    pixels[:24, :28] = (*BLUE, 255)
    Image.fromarray(pixels).save(tmp_path / "in" / "a.png")

    (file,) = pixelate_folder(tmp_path / "in", tmp_path / "out", morph, palette=2, upscale=1)

    with Image.open(file) as picture:
        seen = np.asarray(picture.convert("RGBA"))
    assert (seen[:, :5, 3] == 255).all()
    assert (seen[:, 5:, 3] == 0).all()
    assert {tuple(level) for level in seen[[0, 7], 4, :3].tolist()} == {RED, BLUE}
