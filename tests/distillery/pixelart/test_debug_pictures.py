from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from distillery.models.exact import GaussianMixturePrior
from distillery.models.prior import Control
from distillery.pixelart import debug_pictures, run
from distillery.pixelart.settings import PixelSettings
from reference import pixelart

STEPS = 3


def begun(**changes: object) -> tuple[run.Begun, PixelSettings]:
    """A run on the exact prior that has ControlNets to show something."""
    means = torch.randn(2, 4, 32, 48, generator=torch.Generator().manual_seed(0))
    prior = GaussianMixturePrior(means, std=0.3, names={"a boat": [0]})
    values = {"model": "exact", "size": (8, 12), "side": 39, "palette": "rgb-2", "start": "noise"}
    settings = PixelSettings("a boat", steps=STEPS, **{**values, **changes})
    made = run.begin_run(prior, pixelart, settings)
    edges = torch.zeros(1, 3, 32, 48)
    edges[..., 20:24] = 1
    made.controls.append(Control("canny", edges))
    return made, settings


def after_a_step(**changes: object) -> tuple[run.Begun, PixelSettings]:
    made, settings = begun(**changes)
    next(made.stream(None))
    return made, settings


def test_everything_that_happens_inside_has_a_picture() -> None:
    made, settings = after_a_step()

    pictures = debug_pictures.pictures(made, settings, 0)

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
    assert "gradient" not in debug_pictures.pictures(*begun(), 0)


def test_hard_pictures_hold_the_palettes_colours_alone() -> None:
    made, settings = after_a_step()

    pictures = debug_pictures.pictures(made, settings, 0)

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

    entropy = np.array(debug_pictures.pictures(made, settings, 0)["entropy"])

    assert (entropy[:, : 516 // 2] == 0).all()
    assert (entropy[:, 516 // 2 :] == 255).all()


def test_the_picture_and_the_controls_are_shown_under_one_view() -> None:
    made, settings = after_a_step(mirror=1.0, perspective=0.0, grayscale=0.0)

    seen = np.array(debug_pictures.pictures(made, settings, 0)["augmented_canny"])[..., 0]

    assert (seen[:, 24:28] > 250).all()
    assert (seen[:, :23] < 5).all()


def test_looking_changes_nothing() -> None:
    def logits(look: Callable[[run.Begun, PixelSettings, int], object]) -> torch.Tensor:
        made, settings = begun()
        for step in made.stream(None):
            look(made, settings, step.index)
        return made.canvas.render()

    assert torch.equal(logits(debug_pictures.pictures), logits(lambda *args: None))


def test_the_pictures_of_a_step_are_the_same_every_time(tmp_path) -> None:
    made, settings = after_a_step()

    for folder in ("one", "two"):
        debug_pictures.save(tmp_path / folder, made, settings, 4)

    one, two = ({p.name: p.read_bytes() for p in (tmp_path / f).iterdir()} for f in ("one", "two"))
    assert one == two
    assert "00005_entropy.png" in one
