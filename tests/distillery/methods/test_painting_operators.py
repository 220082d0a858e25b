from __future__ import annotations

import pytest
import torch
from torch import Tensor

from distillery.core.errors import CourseError
from distillery.methods.painting_operators import (
    OPERATORS,
    area,
    median_in_palette,
    operator,
    palettes_of,
)
from distillery.methods.strokes import Painting
from reference import strokes

EVERY = pytest.mark.parametrize("name", OPERATORS)


def pictures(batch: int, height: int, across: int) -> Tensor:
    generator = torch.Generator().manual_seed(4)
    return torch.rand(batch, 3, height, across, generator=generator) * 2 - 1


def painting(image: Tensor) -> Painting:
    return Painting(image, torch.ones_like(image[:, :1]), image)


def of(name: str, image: Tensor, width: float = 0.2) -> Tensor:
    return operator(name, strokes, painting(image), width)(image)


@EVERY
@pytest.mark.parametrize("size", [(1, 1), (12, 20), (31, 17)])
@pytest.mark.parametrize("batch", [1, 3])
def test_a_picture_of_one_colour_stays_as_it_is(
    name: str, batch: int, size: tuple[int, int]
) -> None:
    colours = torch.tensor([51, 204, 102]).view(1, 3, 1, 1) / 127.5 - 1
    flat = colours.expand(batch, 3, *size)
    torch.testing.assert_close(of(name, flat), flat, atol=1e-5, rtol=0)


@EVERY
def test_pictures_of_a_batch_are_painted_each_for_itself(name: str) -> None:
    three = pictures(3, 12, 20)
    apart = torch.cat([of(name, one[None]) for one in three])
    torch.testing.assert_close(of(name, three), apart, atol=1e-6, rtol=0)


@EVERY
def test_twice_the_size_is_painted_alike(name: str) -> None:
    small = pictures(1, 6, 8).repeat_interleave(3, 2).repeat_interleave(3, 3)
    large = small.repeat_interleave(2, 2).repeat_interleave(2, 3)
    halved = torch.nn.functional.avg_pool2d(of(name, large, 1 / 3), 2)
    assert (halved - of(name, small, 1 / 3)).abs().mean() < 0.02


@EVERY
def test_a_few_steps_down_the_gradient_bring_a_picture_nearer_to_the_painting(name: str) -> None:
    goal = pictures(2, 6, 9).repeat_interleave(3, 2).repeat_interleave(3, 3)
    paint = operator(name, strokes, painting(goal), 1 / 6)
    mask = torch.ones_like(goal[:, :1])
    images = torch.zeros_like(goal).requires_grad_()

    def loss() -> Tensor:
        return strokes.faithfulness_loss(paint, images, goal, mask).sum()

    before = float(loss().detach())
    optimiser = torch.optim.SGD([images], lr=20.0)
    for _ in range(20):
        optimiser.zero_grad()
        loss().backward()
        optimiser.step()
    assert float(loss().detach()) < 0.6 * before


def test_the_area_s_squares_have_the_means_of_their_pixels() -> None:
    images = pictures(2, 4, 6)
    painted = area(images, width=0.5)
    for top in (0, 2):
        for left in (0, 2, 4):
            square = (..., slice(top, top + 2), slice(left, left + 2))
            mean = images[square].mean((2, 3), keepdim=True)
            torch.testing.assert_close(painted[square], mean.expand(-1, -1, 2, 2))


def test_the_median_leaves_out_a_speck_and_keeps_to_the_palette() -> None:
    images = torch.full((1, 3, 10, 14), -1.0)
    images[..., 7:] = 1.0
    clean = images.clone()
    images[..., 4, 2] = 0.3
    painted = median_in_palette(images, width=0.3, palettes=palettes_of(clean, 2))
    torch.testing.assert_close(painted, clean)


def test_the_median_s_gradient_goes_to_the_cell_in_the_middle() -> None:
    images = torch.tensor([0.1, 0.9, 0.4]).view(1, 1, 1, 3).repeat(1, 3, 3, 1)
    images[0, :, 1, 1] = 0.45
    images.requires_grad_()
    painted = median_in_palette(images, width=1.0, palettes=torch.zeros(1, 1, 3))
    painted[0, 0, 1, 1].backward()
    assert images.grad is not None
    assert images.grad.sum() == 1
    assert images.grad[0, 0].max() == 1


def test_a_palette_has_the_colours_of_its_own_picture() -> None:
    colours = torch.tensor([[255, 0, 0], [0, 0, 255], [12, 34, 56]]) / 127.5 - 1
    images = colours.T.reshape(1, 3, 1, 3).repeat(1, 1, 4, 2)
    found = palettes_of(torch.cat([images, images[:, [2, 0, 1]]]), 6)
    assert found.shape == (2, 6, 3)
    for palette, order in zip(found, ([0, 1, 2], [2, 0, 1]), strict=True):
        distances = torch.cdist(colours[:, order], palette)
        assert distances.amin(1).max() < 1e-5
        assert distances.amin(0).max() < 1e-5


def test_an_unknown_operator_is_refused() -> None:
    with pytest.raises(CourseError, match="unknown painting operator 'oil': choose gaussian, area"):
        of("oil", pictures(1, 4, 4))
