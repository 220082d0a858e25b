from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from distillery.models.prior import Control
from distillery.pixelart.augment import CORNERS, _view, augment
from distillery.pixelart.settings import PixelSettings

EVERYTHING = {"mirror": 0.5, "perspective": 1.0, "perspective_scale": 0.4, "grayscale": 0.5}
NOTHING = dict.fromkeys(("mirror", "perspective", "grayscale"), 0.0)


def settings(**changes: float) -> PixelSettings:
    return PixelSettings("a boat", **{**NOTHING, **changes})


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def picture(batch: int = 3, height: int = 24, width: int = 40) -> torch.Tensor:
    """Smooth, so that resampling changes it little."""
    coarse = torch.rand(batch, 3, 4, 5, generator=generator(9))
    return torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear")


def controls(*images: torch.Tensor) -> list[Control]:
    kinds = ("canny", "depth")
    return [
        Control(kind, image, 0.7, (0.1, 0.9)) for kind, image in zip(kinds, images, strict=False)
    ]


def test_without_chances_everything_stays_to_the_bit() -> None:
    image, edges = picture(), picture(1)

    seen, (control,) = augment(image, controls(edges), settings=settings(), generator=generator())

    assert torch.equal(seen, image)
    assert torch.equal(control.image, edges)


def test_the_picture_and_its_controls_get_the_same_warp() -> None:
    image = picture()
    warps = settings(**{**EVERYTHING, "grayscale": 0.0})

    seen, maps = augment(image, controls(image, image), settings=warps, generator=generator())

    assert not torch.allclose(seen, image, atol=0.1)
    for control in maps:
        assert torch.equal(control.image, seen)
        assert (control.scale, control.window) == (0.7, (0.1, 0.9))
    assert [control.kind for control in maps] == ["canny", "depth"]


def test_a_control_for_all_pictures_is_warped_with_each_of_them() -> None:
    image = picture(1).repeat(3, 1, 1, 1)

    seen, (control,) = augment(
        image, controls(picture(1)), settings=settings(perspective=1.0), generator=generator()
    )

    assert torch.equal(control.image, seen)
    assert not torch.allclose(seen[0], seen[1], atol=0.05)


def test_only_the_picture_turns_grey() -> None:
    image = picture()

    seen, (control,) = augment(
        image, controls(image), settings=settings(grayscale=1.0), generator=generator()
    )

    luma = 0.299 * image[:, 0] + 0.587 * image[:, 1] + 0.114 * image[:, 2]
    torch.testing.assert_close(seen, luma[:, None].expand_as(image))
    assert torch.equal(control.image, image)


def test_mirroring_is_left_for_right() -> None:
    image = picture()

    seen, (control,) = augment(
        image, controls(image), settings=settings(mirror=1.0), generator=generator()
    )

    torch.testing.assert_close(seen, image.flip(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(control.image, image.flip(3), atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", ["mirror", "perspective", "grayscale"])
def test_a_chance_is_kept_for_each_picture_of_its_own(name: str) -> None:
    image = picture(1, 8, 8).repeat(1000, 1, 1, 1)

    seen, _ = augment(image, [], settings=settings(**{name: 0.3}), generator=generator())

    changed = (seen - image).abs().amax((1, 2, 3)) > 1e-3
    assert 0.25 < changed.float().mean() < 0.35


def test_all_chance_comes_from_the_generator() -> None:
    torch.manual_seed(0)
    first, _ = augment(picture(), [], settings=settings(**EVERYTHING), generator=generator(5))
    torch.manual_seed(1)
    again, _ = augment(picture(), [], settings=settings(**EVERYTHING), generator=generator(5))
    other, _ = augment(picture(), [], settings=settings(**EVERYTHING), generator=generator(6))

    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_gradient_reaches_the_picture_and_the_arguments_stay_as_they_are() -> None:
    image, edges = picture().requires_grad_(), picture(1)
    before = image.detach().clone()
    given = controls(edges)

    seen, _ = augment(image, given, settings=settings(**EVERYTHING), generator=generator())
    seen.sum().backward()

    assert image.grad.abs().sum() > 0
    assert torch.equal(image.detach(), before)
    assert torch.equal(given[0].image, picture(1))


def test_a_view_never_leaves_the_picture() -> None:
    """At the largest scale that settings allow; beyond two thirds a view may fold over."""
    white = torch.ones(500, 3, 12, 20)
    corners = torch.tensor(CORNERS) * (1 - 0.6 * torch.rand(500, 4, 2, generator=generator()))
    extreme = torch.tensor(CORNERS) * torch.tensor([0.4, 1.0, 1.0, 1.0])[:, None]

    assert _view(corners, (12, 20)).abs().max() < 1
    assert _view(extreme[None], (12, 20)).abs().max() < 1
    tilts = settings(perspective=1.0, perspective_scale=0.6)
    seen, _ = augment(white, [], settings=tilts, generator=generator())
    torch.testing.assert_close(seen, white)


def test_a_view_is_the_homography_that_takes_the_corners_to_the_given_points() -> None:
    """Against OpenCV, whose matrix takes the corners there by its definition."""
    height, width = 6, 10
    shifts = torch.rand(2, 4, 2, generator=generator())
    targets = torch.tensor(CORNERS) * (1 - 0.6 * shifts)
    down = (np.arange(height) + 0.5) * 2 / height - 1
    across = (np.arange(width) + 0.5) * 2 / width - 1
    points = np.stack(np.meshgrid(across, down), axis=-1).astype(np.float32)

    grid = _view(targets, (height, width))

    for one, target in zip(grid, targets, strict=True):
        matrix = cv2.getPerspectiveTransform(np.array(CORNERS, np.float32), target.numpy())
        expected = cv2.perspectiveTransform(points, matrix)
        torch.testing.assert_close(one, torch.from_numpy(expected), atol=1e-5, rtol=1e-5)


def test_a_view_maps_straight_lines_to_straight_lines() -> None:
    targets = torch.tensor(CORNERS) * (1 - 0.6 * torch.rand(1, 4, 2, generator=generator()))

    (line,) = _view(targets, (9, 15))[:, 4]

    steps = line[1:] - line[:-1]
    turns = steps[1:, 0] * steps[:-1, 1] - steps[1:, 1] * steps[:-1, 0]
    torch.testing.assert_close(turns, torch.zeros(13), atol=1e-6, rtol=0)


def test_a_view_of_the_whole_is_the_identity_also_where_it_is_not_square() -> None:
    grid = _view(torch.tensor(CORNERS)[None], (6, 10))
    image = picture(1, 6, 10)

    seen = torch.nn.functional.grid_sample(image, grid, align_corners=False)

    torch.testing.assert_close(seen, image, atol=1e-5, rtol=0)
