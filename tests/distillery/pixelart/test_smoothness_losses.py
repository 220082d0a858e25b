from __future__ import annotations

import math

import pytest
import torch

from distillery.pixelart import smoothness_losses as smooth
from distillery.pixelart.settings import PixelSettings

LOSSES = [
    smooth.total_variation,
    smooth.laplacian,
    smooth.bilateral,
]


def picture(*rows: list[float]) -> torch.Tensor:
    """The same levels in all three channels, (1, 3, h, w)."""
    return torch.tensor(rows)[None, None].repeat(1, 3, 1, 1)


def noise(batch: int, height: int, width: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(height)
    return 2 * torch.rand(batch, 3, height, width, generator=generator) - 1


def test_mirrored_tiles_meet_in_equal_rows_and_columns() -> None:
    image = noise(2, 3, 5)
    tiles = smooth.mirrored(image).repeat(1, 1, 2, 2)

    assert tiles.shape == (2, 3, 12, 20)
    for side in (image.shape[-2], 2 * image.shape[-2]):
        assert torch.equal(tiles[..., side - 1, :], tiles[..., side, :])
    for side in (image.shape[-1], 2 * image.shape[-1]):
        assert torch.equal(tiles[..., side - 1], tiles[..., side])


def test_total_variation_is_the_mean_step_down_and_across() -> None:
    image = picture([0.0, 0.5, 0.5], [1.0, 0.5, -0.5])

    down = (1.0 + 0.0 + 1.0) / 3
    across = (0.5 + 0.0 + 0.5 + 1.0) / 4
    assert smooth.total_variation(image).item() == pytest.approx(down + across)


def test_laplacian_is_the_mean_distance_from_the_four_neighbours() -> None:
    image = picture([0.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0])

    # The middle differs by 1, its four neighbours by a quarter each; the border repeats itself.
    assert smooth.laplacian(image).item() == pytest.approx((1 + 4 * 0.25) / 9)


def test_bilateral_weighs_every_pair_by_nearness_and_likeness() -> None:
    image = picture([0.0, 0.2], [0.4, 0.0])

    def alike(difference: float) -> float:
        return math.exp(-3 * difference**2 / (2 * smooth.COLOUR**2)) * difference

    beside, across = math.exp(-0.5), math.exp(-1.0)
    rows = beside * (alike(0.2) + alike(0.4)) / 2
    columns = beside * (alike(0.4) + alike(0.2)) / 2
    diagonals = across * (alike(0.0) + alike(0.2))
    expected = (rows + columns + diagonals) / (2 * beside + 2 * across)
    assert smooth.bilateral(image).item() == pytest.approx(expected)


def test_bilateral_leaves_an_edge_alone_and_pulls_at_speckle() -> None:
    edge, speckle = (picture([-level, -level, level, level]) for level in (1.0, 0.1))
    pulls = []
    for image in (edge, speckle):
        image.requires_grad_()
        smooth.bilateral(image).backward()
        pulls.append(image.grad.abs().max())

    assert pulls[0] < 0.01 * pulls[1]


@pytest.mark.parametrize("loss", LOSSES)
def test_a_flat_picture_costs_nothing(loss) -> None:
    assert loss(torch.full((2, 3, 5, 7), 0.3)).item() == pytest.approx(0, abs=1e-7)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_same_speckle_costs_the_same_at_any_size(loss) -> None:
    small, large = loss(noise(1, 24, 40)), loss(noise(1, 96, 160))

    torch.testing.assert_close(small, large, rtol=0.05, atol=0)


@pytest.mark.parametrize("loss", LOSSES)
def test_pictures_of_a_batch_add_up(loss) -> None:
    batch = noise(3, 5, 7)

    torch.testing.assert_close(loss(batch), sum(loss(one[None]) for one in batch))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("size", [(2, 2), (2, 8), (9, 3)])
def test_grids_smaller_than_the_reach_have_a_loss_and_a_gradient(loss, size) -> None:
    image = noise(1, *size).requires_grad_()

    loss(image).backward()

    assert image.grad.isfinite().all()
    assert image.grad.abs().sum() > 0


@pytest.mark.parametrize("loss", LOSSES)
def test_mirroring_and_turning_a_picture_changes_no_loss(loss) -> None:
    image = noise(1, 6, 9)

    torch.testing.assert_close(loss(image), loss(image.flip(3)))
    torch.testing.assert_close(loss(image), loss(image.transpose(2, 3)))


def test_the_settings_weigh_the_losses_and_leave_out_those_of_nought() -> None:
    image = noise(2, 6, 9)
    weights = {"tv": 0.5, "bilateral": 3.0}

    total = smooth.smoothness(image, PixelSettings("a boat", **weights))

    expected = 0.5 * smooth.total_variation(image) + 3 * smooth.bilateral(image)
    torch.testing.assert_close(total, expected)
    assert smooth.smoothness(image, PixelSettings("a boat")) == 0
