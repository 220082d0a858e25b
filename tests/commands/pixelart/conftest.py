"""A short run of main.py pixelart on a random SDXL with random ControlNets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from running import PIXELART_STEPS


@pytest.fixture(scope="session")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture in more than eight colours, not square; nobody may change it."""
    y, x = np.mgrid[0:60, 0:90]
    pixels = np.stack(
        [255 * x / 90, 255 * y / 60, 40 + 150 * ((x - 40) ** 2 + (y - 30) ** 2 < 400)]
    )
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    Image.fromarray(pixels.transpose(1, 2, 0).astype(np.uint8)).save(path)
    return path


@pytest.fixture
def red_boat(tiny_repository: Path, photo: Path) -> list[str]:
    """Arguments for a short run of the reference from a picture; `--out` is left to the test."""
    options = {
        "--prompt": "a red boat",
        "--input_image": str(photo),
        "--size": "8,12",
        "--implementation": "reference",
        "--device": "cpu",
        "--steps": str(PIXELART_STEPS),
        "--set": "side=64",
    }
    words = (word for option in options.items() for word in option)
    return ["pixelart", *words, "--set", "choices=1"]
