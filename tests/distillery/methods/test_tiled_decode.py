"""A picture decoded tile by tile is that decoded at once, and shows no seam."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from distillery.methods.tiled_decode import decode_in_tiles
from distillery.models.exact import GaussianMixturePrior
from distillery.models.load import load_prior
from distillery.models.prior import Prior
from distillery.toybox import Factors, draw
from training.data import to_images


class Recorded:
    """An exact prior whose cells are 2 x 3 pixels; it keeps the sizes of what it decodes."""

    device = torch.device("cpu")
    latent_channels, latent_size, image_size = 3, (4, 6), (8, 18)

    def __init__(self) -> None:
        self.sizes: list[tuple[int, ...]] = []

    def decode(self, latents: Tensor) -> Tensor:
        self.sizes.append(tuple(latents.shape))
        return latents.repeat_interleave(2, dim=2).repeat_interleave(3, dim=3)


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.8])
@pytest.mark.parametrize("size", [(4, 6), (3, 2), (4, 17), (13, 6), (9, 20)])
def test_where_cells_know_nothing_of_each_other_tiles_are_the_whole(
    size: tuple[int, int], overlap: float, batch: int
) -> None:
    prior, latents = Recorded(), torch.randn(batch, 3, *size)
    whole = prior.decode(latents)
    prior.sizes.clear()
    torch.testing.assert_close(decode_in_tiles(prior, latents, overlap=overlap), whole)
    tile = min(4, size[0]), min(6, size[1])
    assert set(prior.sizes) == {(batch, 3, *tile)}


def test_the_exact_prior_decodes_in_tiles() -> None:
    prior = GaussianMixturePrior(torch.zeros(1, 4, 1, 1), 1.0, latent_size=(5, 5))
    latents = torch.randn(2, 4, 11, 5)
    torch.testing.assert_close(decode_in_tiles(prior, latents), prior.decode(latents))


@pytest.fixture(scope="module")
def tiny_sd() -> Prior:
    return load_prior("tiny-sd", device="cpu")


def across_borders(images: Tensor) -> Tensor:
    """Mean difference of neighbours every 64 pixels, where tiles without overlap meet."""
    rows, columns = (images[..., 64, :] - images[..., 63, :]), (images[..., 64] - images[..., 63])
    return rows.abs().mean() + columns.abs().mean()


def test_tiles_of_the_course_model_are_close_to_the_whole_and_show_no_seam(
    tiny_sd: Prior,
) -> None:
    asked = (Factors("boat", "red", "on the beach"), Factors("tree", "green", "in the snow"))
    drawn = [draw(factors, 9100 + k, size=(128, 128)) for k, factors in enumerate(asked)]
    images = torch.cat([to_images(one.image[None], tiny_sd.device) for one in drawn])
    latents = tiny_sd.encode(images)
    whole = tiny_sd.decode(latents)
    tiled, hard = (decode_in_tiles(tiny_sd, latents, overlap=overlap) for overlap in (0.25, 0.0))
    assert (tiled - whole).square().mean().sqrt() < 0.1
    assert across_borders(tiled) < 1.2 * across_borders(whole)
    assert across_borders(hard) > 2 * across_borders(whole)
