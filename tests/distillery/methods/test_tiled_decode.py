"""Decoding tile by tile: nothing larger than the trained size, and no seams."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from distillery.methods.tiled_decode import decode_in_tiles
from distillery.models.exact import GaussianMixturePrior
from distillery.models.load import load_prior


def pointwise(trained: tuple[int, int]) -> GaussianMixturePrior:
    """A prior whose pictures are its latents, cell by cell."""
    return GaussianMixturePrior(torch.zeros(1, 3, 1, 1), 1.0, latent_size=trained)


@pytest.mark.parametrize("size", [(8, 6), (17, 23), (5, 30), (9, 6), (3, 4), (64, 7)])
@pytest.mark.parametrize("batch", [1, 3])
def test_where_a_pixel_depends_on_its_cell_alone_it_is_decoded_as_at_once(
    size: tuple[int, int], batch: int
) -> None:
    latents = torch.randn(batch, 3, *size)

    torch.testing.assert_close(decode_in_tiles(pointwise((8, 6)), latents), latents)


def test_the_decoder_is_never_given_more_than_the_trained_size(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    prior, shapes = pointwise((8, 6)), []
    decode = prior.decode

    def heard(latents: torch.Tensor) -> torch.Tensor:
        shapes.append(tuple(latents.shape))
        return decode(latents)

    monkeypatch.setattr(prior, "decode", heard)
    decode_in_tiles(prior, torch.randn(2, 3, 20, 20))

    assert set(shapes) == {(1, 3, 8, 6)}


def test_one_tile_is_decoded_to_the_bit(tiny_sd_folder: Path) -> None:
    prior = load_prior(tiny_sd_folder, device="cpu")
    latents = torch.randn(1, 4, *prior.latent_size)

    assert torch.equal(decode_in_tiles(prior, latents), prior.decode(latents))


def test_there_is_no_seam_where_tiles_that_are_cut_apart_have_one() -> None:
    """The step from pixel to pixel at the border of tiles, divided by that of the whole."""
    prior = load_prior("tiny-sd", device="cpu")
    noise = torch.randn(1, 4, 4, 8, generator=torch.Generator().manual_seed(0))
    latents = torch.nn.functional.interpolate(noise, (16, 32), mode="bicubic")
    whole = prior.decode(latents)

    def step(images: torch.Tensor) -> float:
        border = images[..., 64] - images[..., 63]
        return float(border.abs().mean() / (whole[..., 64] - whole[..., 63]).abs().mean())

    cut = torch.cat([prior.decode(part) for part in latents.chunk(2, 3)], 3)
    tiled = decode_in_tiles(prior, latents)

    assert step(cut) > 1.5
    assert 0.9 < step(tiled) < 1.05
    assert (tiled - whole).abs().mean() < 0.1
