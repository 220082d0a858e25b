"""The linear map from latents to colours: exact where the truth is linear, good on drawings."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import adaptive_avg_pool2d, conv2d, interpolate, pad

from distillery.core.errors import CourseError
from distillery.models.latent_rgb import LatentRGB, fit_latent_rgb, latent_rgb
from distillery.models.load import load_prior
from distillery.toybox import SCENES, Factors, draw


def a_map(side: int, channels: int = 5) -> LatentRGB:
    g = torch.Generator().manual_seed(1)
    weight = torch.randn(3, channels, side, side, generator=g)
    return LatentRGB(weight, torch.tensor([0.1, -0.2, 0.3]), factor=4)


def some_latents(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("side", [1, 3])
def test_pictures_that_are_a_linear_map_of_their_latents_give_the_map_back(side: int) -> None:
    truth, latents = a_map(side), some_latents(6, 5, 7, 4)
    bordered = pad(latents, (side // 2,) * 4, mode="replicate")
    colours = conv2d(bordered, truth.weight, truth.bias)
    found = fit_latent_rgb(latents, interpolate(colours, scale_factor=4), side=side)
    torch.testing.assert_close(found.weight, truth.weight, atol=1e-4, rtol=0)
    torch.testing.assert_close(found.bias, truth.bias, atol=1e-4, rtol=0)
    assert found.factor == 4
    assert found.weight.dtype == torch.float32


def test_detail_finer_than_the_latents_does_not_move_the_fit() -> None:
    truth, latents = a_map(1), some_latents(6, 5, 7, 4)
    images = interpolate(conv2d(latents, truth.weight, truth.bias), scale_factor=4)
    checks = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(14, 8)
    found = fit_latent_rgb(latents, images + checks, side=1)
    torch.testing.assert_close(found.weight, truth.weight, atol=1e-4, rtol=0)


def test_a_channel_that_never_changes_does_no_harm() -> None:
    latents = some_latents(4, 3, 6, 6)
    latents[:, 2] = 1.5
    found = fit_latent_rgb(latents, interpolate(latents, scale_factor=2), side=1)
    assert found.weight.isfinite().all()
    torch.testing.assert_close(found.weight[:2, :2, 0, 0], torch.eye(2), atol=1e-4, rtol=0)


@pytest.mark.parametrize("shape", [(1, 5, 6, 9), (3, 5, 1, 4)], ids=str)
def test_the_image_is_as_large_as_the_picture_and_has_a_graph_to_the_latents(shape) -> None:
    latents = some_latents(*shape).requires_grad_()
    image = a_map(3)(latents)
    assert image.shape == (shape[0], 3, 4 * shape[2], 4 * shape[3])
    image[:, :, :4].sum().backward()
    assert latents.grad is not None
    assert latents.grad[:, :, 0].abs().sum() > 0
    assert (latents.grad[:, :, 4:] == 0).all()  # only what is near is seen


def test_each_picture_of_a_batch_is_its_own() -> None:
    latents = some_latents(3, 5, 4, 6)
    torch.testing.assert_close(a_map(3)(latents)[1:2], a_map(3)(latents[1:2]))


@pytest.mark.parametrize("size", [(24, 20), (25, 16), (6, 3)], ids=str)
def test_images_that_are_not_the_same_multiple_of_their_latents_are_refused(size) -> None:
    with pytest.raises(CourseError, match="whole number of times as large as their latents, 6 x 4"):
        fit_latent_rgb(torch.zeros(1, 4, 6, 4), torch.zeros(1, 3, *size))


@pytest.mark.parametrize("model", ["tiny-sd", "tiny-sdxl"])
def test_on_fresh_drawings_of_another_shape_it_explains_most_of_the_colours(model: str) -> None:
    prior = load_prior(model, device="cpu")
    height, width = prior.image_size
    drawings = [
        draw(Factors("castle", "red", scene), 970_000_000 + k, size=(height, 2 * width))
        for k, scene in enumerate(SCENES)
    ]
    levels = torch.stack([torch.from_numpy(drawing.image) for drawing in drawings])
    images = (levels.float() / 127.5 - 1).permute(0, 3, 1, 2)
    latents = prior.encode(images)
    truth, shown = (
        adaptive_avg_pool2d(x, latents.shape[-2:]) for x in (images, latent_rgb(prior)(latents))
    )
    missed = (shown - truth).square().sum()
    assert 1 - missed / (truth - truth.mean((0, 2, 3), keepdim=True)).square().sum() > 0.88
