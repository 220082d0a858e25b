"""main.py recolour."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import main
from distillery.palettes import load_palette


def test_recolouring_changes_the_colours_alone(
    undisturbed: dict[str, bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "undisturbed" / "a_red_boat.png"
    capsys.readouterr()

    line = ["recolour", str(picture), "--palette", "rgb-2", "--out", str(tmp_path / "new.png")]
    assert main.main(line) == 0

    assert capsys.readouterr().out == f"{tmp_path / 'new.png'}\n"
    with Image.open(picture) as old, Image.open(tmp_path / "new.png") as new:
        assert np.array_equal(np.array(old), np.array(new))
        levels = (load_palette("rgb-2") * 255).round().int()
        assert new.getpalette() == levels.flatten().tolist()
        assert new.info["prompt"] == "a red boat"


@pytest.mark.parametrize(
    ("palette", "out", "words"),
    [
        ("rgb-3", "new.png", "has 8 colours and the new palette 27"),
        ("rgb-99", "new.png", "rgb-99|2 to 10 levels"),
        ("none.hex", "new.png", "none.hex"),
        ("rgb-2", "new.jpg", "saved as .png"),
    ],
)
def test_an_unfit_recolouring_is_refused(
    palette: str,
    out: str,
    words: str,
    undisturbed: dict[str, bytes],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    picture = tmp_path / "undisturbed" / "a_red_boat.png"
    capsys.readouterr()

    line = ["recolour", str(picture), "--palette", palette, "--out", str(tmp_path / out)]
    assert main.main(line) == 2

    shown = capsys.readouterr()
    assert shown.out == ""
    (sentence,) = shown.err.splitlines()
    assert any(word in sentence for word in words.split("|"))
    assert not (tmp_path / out).exists()


def art() -> Image.Image:
    """Cells of black, green and white, some of them transparent; not indexed."""
    colours = np.array([(0, 0, 0, 255), (9, 160, 9, 255), (255, 255, 255, 255), (9, 9, 9, 0)])
    rows = np.random.default_rng(0).integers(0, 4, (9, 12))
    return Image.fromarray(colours[rows].astype(np.uint8))


@pytest.mark.parametrize("side", [1, 7])
def test_other_pixel_art_gets_its_colours_from_dark_to_light(
    side: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    size = (art().width * side, art().height * side)
    art().resize(size, Image.Resampling.NEAREST).save(tmp_path / "art.png")
    (tmp_path / "three.hex").write_text("ffeecc\n200040\ncc4400\n")

    line = ["recolour", str(tmp_path / "art.png"), "--palette", str(tmp_path / "three.hex")]
    assert main.main([*line, "--out", str(tmp_path / "new.png")]) == 0

    said = capsys.readouterr().err
    assert ("pixel art of 12 x 9 cells, enlarged 7 times" in said) is (side > 1)
    assert "is not indexed: its colours get those of the palette from dark to light." in said
    old = np.asarray(art()).astype(int)
    with Image.open(tmp_path / "new.png") as new:
        assert new.mode == "P"
        seen = np.asarray(new.convert("RGBA")).astype(int)
    for level, wanted in ((0, (0x20, 0, 0x40)), (160, (0xCC, 0x44, 0)), (255, (255, 0xEE, 0xCC))):
        cells = (old[..., 3] == 255) & (old[..., 1] == level)
        assert (seen[cells] == (*wanted, 255)).all()
    assert (seen[old[..., 3] == 0][:, 3] == 0).all()


def test_a_photograph_cannot_be_recoloured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 40, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")

    line = ["recolour", str(tmp_path / "photo.png"), "--palette", "rgb-2"]
    assert main.main([*line, "--out", str(tmp_path / "new.png")]) == 2

    assert "has too many colours to be recoloured" in capsys.readouterr().err
    assert not (tmp_path / "new.png").exists()
