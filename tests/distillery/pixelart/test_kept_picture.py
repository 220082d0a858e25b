"""A picture that the embedded captioner does not know is kept to, and no words steer the run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from distillery.core.errors import CourseError
from distillery.core.images import from_pil
from distillery.models.exact import GaussianMixturePrior
from distillery.models.presets import find_preset
from distillery.palettes import Space, load_palette, nearest, srgb_to_oklab
from distillery.pixelart import begin
from distillery.pixelart.caption import described
from distillery.pixelart.initial_grid import fitted_palette
from distillery.pixelart.kept_picture import misfit, refined
from distillery.pixelart.settings import PixelSettings
from distillery.toybox import COLOURS, SCENES, THINGS, Factors, draw
from reference import pixelart

SIZE = (16, 16)


def view(seed: int, side: int = 128) -> Image.Image:
    """Hills under a sky with leaves and grain: as restless as a photograph, and no toybox."""
    g = np.random.default_rng(seed)
    y, x = np.mgrid[0:side, 0:side] / side
    hills = 0.5 + 0.1 * np.sin(9 * x + g.uniform(0, 6)) + 0.05 * np.sin(31 * x)
    sky = np.stack([0.5 + 0.3 * y, 0.6 + 0.2 * y, 0.8 - 0.2 * y])
    wood = np.stack([0.3 + 0.2 * x, 0.32 + 0.1 * y, 0.15 + 0.1 * x])
    coarse = F.interpolate(torch.from_numpy(g.normal(0, 1, (1, 3, 24, 24))), (side, side))[0]
    pixels = np.where(y > hills, wood, sky) + 0.1 * coarse.numpy() * (y > hills)
    pixels = pixels + g.normal(0, 0.04, pixels.shape)
    return Image.fromarray((255 * pixels.clip(0, 1)).astype(np.uint8).transpose(1, 2, 0))


@pytest.fixture
def photograph(tmp_path: Path) -> Path:
    view(0).save(tmp_path / "my view.png")
    return tmp_path / "my view.png"


def kept(photograph: Path, **changes: object) -> begin.PixelArt:
    """A run without words, from the photograph; the prior plays no part in it."""
    few = {"size": SIZE, "side": 128, "steps": 5, "implementation": "reference"}
    settings = PixelSettings("", input_image=str(photograph), **{**few, **changes})
    prior = GaussianMixturePrior(torch.zeros(1, 4, 32, 32), std=0.05, names={"nothing": [0]})
    run = begin.begin(prior, pixelart, settings)
    for _ in run.steps():
        pass
    return run


def distance(one: Tensor, other: Tensor) -> float:
    lab, its = (srgb_to_oklab((each.movedim(1, 3) + 1) / 2) for each in (one, other))
    return float((lab - its).norm(dim=-1).mean())


@pytest.mark.parametrize("space", ["srgb", "oklab"])
def test_it_lies_nearer_to_the_picture_than_nearest_colours(space: Space, tmp_path: Path) -> None:
    """Seen in cells and in pixels, on the mean of four pictures; in each at least as near."""
    found = []
    for seed in range(4):
        view(seed).save(tmp_path / "view.png")
        picture = from_pil(view(seed))
        cells = F.interpolate(picture, SIZE, mode="area")
        palette = fitted_palette(cells, 8, pixelart, torch.Generator().manual_seed(0))
        plain = 2 * palette[nearest(cells, palette, space=space)].movedim(3, 1) - 1
        for each in (kept(tmp_path / "view.png").images(), plain):
            large = F.interpolate(each, picture.shape[-2:])
            found.append([distance(each, cells), distance(large, picture)])
    ours, theirs = np.array(found).reshape(4, 2, 2).swapaxes(0, 1)
    assert (ours <= theirs + 1e-4).all()
    assert (ours.mean(axis=0) < theirs.mean(axis=0)).all()


def test_a_palette_that_was_named_stays_as_it_is(photograph: Path) -> None:
    assert torch.equal(kept(photograph, palette="dusk").start.palette, load_palette("dusk"))


def test_a_refined_palette_has_as_many_different_colours_exact_in_8_bits() -> None:
    picture = from_pil(view(1))
    cells = F.interpolate(picture, SIZE, mode="area")
    palette = (cells[0].flatten(1).T[::37][:7] + 1) / 2
    palette = (255 * palette).round() / 255

    moved = refined(picture, palette, SIZE)

    assert moved.shape == palette.shape
    assert len(moved.unique(dim=0)) == len(palette)
    assert torch.equal((255 * moved).round() / 255, moved)
    lowest = [misfit(picture, one, SIZE).amin(dim=1).mean() for one in (moved, palette)]
    assert lowest[0] < lowest[1]


def test_cells_that_nobody_sees_do_not_move_the_palette() -> None:
    picture = from_pil(view(1))
    palette = torch.tensor([[0.2, 0.2, 0.1], [0.6, 0.7, 0.8]])
    clear = torch.zeros(SIZE, dtype=torch.bool)
    clear[:8] = True
    other = picture.clone()
    other[:, :, :64] = torch.tensor([1.0, -1.0, -1.0]).view(1, 3, 1, 1)

    assert torch.allclose(
        refined(picture, palette, SIZE, clear), refined(other, palette, SIZE, clear), atol=0.02
    )


def test_it_is_named_after_the_picture_and_carries_its_name(photograph: Path) -> None:
    run = kept(photograph)

    assert run.settings.title == "my view"
    assert run.picture().info["prompt"] == "my view"


def test_what_is_no_toybox_is_said_and_has_no_prompt(photograph: Path) -> None:
    silent = PixelSettings("", input_image=str(photograph))
    with pytest.warns(UserWarning, match="keeps to the picture"):
        assert begin.completed(silent).prompt == ""

    drawn = PixelSettings("", input_image=str(photograph), start="generated")
    with pytest.raises(CourseError, match="say in the prompt what to draw"):
        begin.completed(drawn)


def test_drawings_of_the_toybox_are_believed() -> None:
    preset, g = find_preset("tiny-sdxl"), np.random.default_rng(5)
    believed = 0
    for seed in range(12):
        factors = Factors(*(str(g.choice(words)) for words in (THINGS, COLOURS, SCENES)))
        drawing = Image.fromarray(draw(factors, 900 + seed, size=(64, 64)).image)
        believed += described(drawing, preset)[1]
    assert believed >= 11
    assert not any(described(view(seed), preset)[1] for seed in range(3))
