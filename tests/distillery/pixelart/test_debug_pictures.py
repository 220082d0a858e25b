from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from PIL import Image

from distillery.models.exact import GaussianMixturePrior
from distillery.models.prior import Control
from distillery.pixelart import debug_pictures
from distillery.pixelart.begin import PixelArt, begin
from distillery.pixelart.settings import PixelSettings
from reference import pixelart

STEPS = 3


def begun(**changes: object) -> tuple[PixelArt, PixelSettings]:
    """A run on the exact prior that has ControlNets to show something."""
    means = torch.randn(2, 4, 32, 48, generator=torch.Generator().manual_seed(0))
    prior = GaussianMixturePrior(means, std=0.3, names={"a boat": [0]})
    values = {"model": "exact", "size": (8, 12), "side": 39, "palette": "rgb-2", "start": "noise"}
    settings = PixelSettings("a boat", steps=STEPS, **{**values, **changes})
    made = begin(prior, pixelart, settings)
    edges = torch.zeros(1, 3, 32, 48)
    edges[..., 20:24] = 1
    made.controls.append(Control("canny", edges))
    return made, settings


def pictures_of(made: PixelArt, settings: PixelSettings, index: int) -> Mapping[str, Image.Image]:
    return debug_pictures.pictures(made.canvas, made.start, made.controls, settings, index)


def after_a_step(**changes: object) -> tuple[PixelArt, PixelSettings]:
    made, settings = begun(**changes)
    next(made.steps())
    return made, settings


def test_everything_that_happens_inside_has_a_picture() -> None:
    made, settings = after_a_step()

    pictures = pictures_of(made, settings, 0)

    assert set(pictures) == {
        "hard",
        "soft",
        "gumbel_soft",
        "gumbel_hard",
        "entropy",
        "gradient",
        "augmented",
        "augmented_canny",
    }
    grids = set(pictures) - {"augmented", "augmented_canny"}
    assert {pictures[name].size for name in grids} == {(516, 344)}
    assert pictures["augmented"].size == pictures["augmented_canny"].size == (48, 32)


def test_before_the_first_step_there_is_no_gradient_to_show() -> None:
    assert "gradient" not in pictures_of(*begun(), 0)


def test_hard_pictures_hold_the_palettes_colours_alone() -> None:
    made, settings = after_a_step()

    pictures = pictures_of(made, settings, 0)

    for name in ("hard", "gumbel_hard"):
        assert pictures[name].mode == "P"
        levels = torch.tensor(pictures[name].getpalette()).view(-1, 3)
        assert torch.equal(levels, (made.start.palette * 255).round().long())
    assert not np.array_equal(np.array(pictures["hard"]), np.array(pictures["gumbel_hard"]))


def test_entropy_is_white_where_nothing_is_decided() -> None:
    made, settings = begun()
    with torch.no_grad():
        made.canvas.logits.zero_()
        made.canvas.logits[:, 0, :, :6] = 90

    entropy = np.array(pictures_of(made, settings, 0)["entropy"])

    assert (entropy[:, : 516 // 2] == 0).all()
    assert (entropy[:, 516 // 2 :] == 255).all()


def test_the_picture_and_the_controls_are_shown_under_one_view() -> None:
    made, settings = after_a_step(mirror=1.0, perspective=0.0, grayscale=0.0)

    seen = np.array(pictures_of(made, settings, 0)["augmented_canny"])[..., 0]

    assert (seen[:, 24:28] > 250).all()
    assert (seen[:, :23] < 5).all()


def test_looking_changes_nothing() -> None:
    def logits(look: Callable[[PixelArt, PixelSettings, int], object]) -> torch.Tensor:
        made, settings = begun()
        for step in made.steps():
            look(made, settings, step.index)
        return made.canvas.render()

    assert torch.equal(logits(pictures_of), logits(lambda *args: None))


def test_the_pictures_of_a_step_are_the_same_every_time() -> None:
    made, _ = after_a_step()

    one, two = made.debug_pictures(4), made.debug_pictures(4)

    assert "entropy" in one
    assert {n: p.tobytes() for n, p in one.items()} == {n: p.tobytes() for n, p in two.items()}
