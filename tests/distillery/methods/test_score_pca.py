"""Three principal components as colours."""

from __future__ import annotations

import pytest
import torch

from distillery.methods.score_pca import principal_axes, rgb_components


def values(channels: int = 4, size: tuple[int, int] = (5, 7), seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    scale = torch.tensor([3.0, 0.1, 1.0, 2.0, 0.5])[:channels, None, None]
    return scale * torch.randn(channels, *size, generator=generator) + 10


@pytest.mark.parametrize("channels", [3, 4, 5])
def test_the_axes_are_those_of_a_singular_value_decomposition(channels):
    its = values(channels)
    axes = principal_axes(its)
    flat = its.double().flatten(1)
    left, _, _ = torch.linalg.svd(flat - flat.mean(1, keepdim=True), full_matrices=False)
    torch.testing.assert_close((axes @ left[:, :3]).abs(), torch.eye(3).double())
    assert (axes.gather(1, axes.abs().argmax(1, keepdim=True)) > 0).all()


def test_red_is_the_component_that_varies_most_from_0_to_255():
    its = torch.zeros(4, 3, 6)
    its[2] = torch.arange(6.0)  # from left to right
    its[0] = 0.1 * torch.arange(3.0)[:, None]
    colours = rgb_components(its)
    assert colours.shape == (3, 6, 3)
    assert colours[1, :, 0].tolist() == [0, 51, 102, 153, 204, 255]
    assert colours[:, 4, 1].tolist() == [0, 128, 255]
    assert (colours[..., 2] == 128).all()  # there is nothing else


def test_few_channels_and_the_same_everywhere_leave_grey():
    assert (rgb_components(values(2))[..., 2] == 128).all()
    assert (rgb_components(torch.full((4, 2, 3), 0.3)) == 128).all()


def test_the_next_step_keeps_order_and_side_of_the_axes_before():
    first = values()
    before = principal_axes(first)
    turned = before[[2, 0, 1]] * torch.tensor([[-1.0], [1.0], [-1.0]])
    torch.testing.assert_close(principal_axes(first, like=turned), turned)
    # Two components swap their rank from one step to the next.
    second = first * torch.tensor([0.6, 1.0, 1.0, 1.2])[:, None, None]
    alike = (principal_axes(second, like=before) * before).sum(1)
    assert (alike > 0.9).all()
    assert (principal_axes(second) * before).sum(1)[0] < 0.5
