"""The adapter for parts of large pictures: what its training cuts, says and leaves alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from distillery.models.load import load_prior
from distillery.models.stable_diffusion import StableDiffusionPrior
from distillery.toybox import draw, held_out
from training import tiny_sd_any_size
from training.data import to_images
from training.tiny_sd_two_things import new_adapter


@pytest.fixture(scope="module")
def prior() -> StableDiffusionPrior:
    prior = load_prior("tiny-sd", device="cpu")
    assert isinstance(prior, StableDiffusionPrior)
    return prior


def test_windows_lie_anywhere_in_their_own_picture():
    rows = torch.arange(6.0).view(1, 1, 6, 1).expand(300, 1, 6, 5)
    columns = torch.arange(5.0).expand(300, 1, 6, 5)
    number = torch.arange(300.0).view(300, 1, 1, 1).expand(300, 1, 6, 5)
    latents = torch.cat([rows, columns, number], dim=1)

    cut = tiny_sd_any_size.windows(latents, (4, 5), np.random.default_rng(0))

    assert cut.shape == (300, 3, 4, 5)
    tops = cut[:, 0, 0, 0]
    assert torch.equal(cut[:, 0, :, 0], tops[:, None] + torch.arange(4.0))
    assert torch.equal(cut[:, 1], columns[:, 0, :4])  # as wide as the picture: there is one place
    assert torch.equal(cut[:, 2, 0, 0], torch.arange(300.0))
    assert (tops.long().bincount(minlength=3) > 70).all()


def test_scenes_are_trained_ones_encoded_whole_and_read_again_as_they_were(prior, tmp_path):
    size = replace(tiny_sd_any_size.SIZES[2], scenes=3)
    path = tmp_path / "new" / "scenes.pt"

    made = tiny_sd_any_size.load_scenes(prior, size, path)
    read = tiny_sd_any_size.load_scenes(prior, size, path)

    assert made.latents.shape == (3, 4, 16, 32)
    assert torch.equal(made.latents, read.latents)
    assert made.factors == read.factors
    assert not any(held_out(f) for f in made.factors)
    seed = tiny_sd_any_size.first_seed(size) + 1
    drawing = draw(made.factors[1], seed, size=(size.height, size.width))
    with torch.no_grad():
        alone = prior.encode(to_images(drawing.image[None], torch.device("cpu")))
    torch.testing.assert_close(made.latents[1:2], alone, atol=1e-3, rtol=1e-3)


def test_no_two_sizes_share_a_drawing():
    seeds = [
        {tiny_sd_any_size.first_seed(size) + k for k in range(size.scenes)}
        for size in tiny_sd_any_size.SIZES
    ]
    assert len(set.union(*seeds)) == sum(size.scenes for size in tiny_sd_any_size.SIZES)


def test_a_batch_is_of_all_sizes_and_most_windows_have_no_caption(prior):
    small = [replace(size, scenes=1) for size in tiny_sd_any_size.SIZES]
    factors = [tiny_sd_any_size.trained_factors()[k] for k in (3, 90, 200, 400)]
    scenes = [
        tiny_sd_any_size.Scenes(
            torch.full((1, 4, size.height // 4, size.width // 4), float(k)), [factors[k]]
        )
        for k, size in enumerate(small)
    ]
    cells, texts = [], []
    for seed in range(20):
        cut, its = tiny_sd_any_size.batch(scenes, (16, 16), np.random.default_rng(seed))
        cells.append(cut)
        texts += its

    all_cells = torch.cat(cells)
    assert all_cells.shape == (20 * tiny_sd_any_size.BATCH, 4, 16, 16)
    shares = all_cells[:, 0, 0, 0].long().bincount(minlength=4) / len(all_cells)
    wanted = torch.tensor([size.share for size in tiny_sd_any_size.SIZES])
    torch.testing.assert_close(shares, wanted, atol=0.07, rtol=0)
    said = [(k, text) for k, text in zip(all_cells[:, 0, 0, 0].long(), texts, strict=True) if text]
    assert 0.17 < len(said) / len(texts) < 0.33
    assert all(factors[k].thing in text for k, text in said)


def test_the_adapter_fits_in_three_megabytes():
    prior = load_prior("tiny-sd", device="cpu")
    assert isinstance(prior, StableDiffusionPrior)
    factors = new_adapter(prior, rank=tiny_sd_any_size.RANK)
    assert 2 * sum(factor.numel() for factor in factors) <= 2.95e6
