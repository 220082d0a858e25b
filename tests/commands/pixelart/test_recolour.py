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
