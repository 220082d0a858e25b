"""The adapter for parts of large pictures: what its training cuts, says and leaves alone."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from distillery.core.files import REPOSITORY
from distillery.models.load import load_lora, load_prior
from distillery.models.stable_diffusion import StableDiffusionPrior
from distillery.toybox import draw, held_out
from training import measure_any_size, tiny_sd_any_size
from training.data import to_images


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


def test_a_trained_adapter_is_small_and_loads_and_at_scale_0_changes_nothing(
    prior, tmp_path, monkeypatch
):
    few = tuple(replace(size, scenes=2) for size in tiny_sd_any_size.SIZES)
    monkeypatch.setattr(tiny_sd_any_size, "SIZES", few)
    monkeypatch.setattr(tiny_sd_any_size, "BATCH", 2)
    monkeypatch.setattr(tiny_sd_any_size, "STEPS", 2)

    (tmp_path / "tiny-sd").symlink_to(REPOSITORY / "data" / "models" / "tiny-sd")

    tiny_sd_any_size.train(build=tmp_path / "build", models=tmp_path)

    folder = tmp_path / "tiny-sd-any-size"

    assert sum(file.stat().st_size for file in folder.iterdir()) <= 3e6
    xt = torch.randn(2, 4, 16, 24, generator=torch.Generator().manual_seed(0))
    t, nothing = torch.tensor([600, 90]), prior.embed(["", ""])
    (base,) = prior.predict_noise(xt, t, nothing)
    for scale, far in ((0.0, False), (1.0, True)):
        loaded = load_prior("tiny-sd", device="cpu")
        load_lora(loaded, str(folder), scale=scale)
        (eps,) = loaded.predict_noise(xt, t, nothing)
        assert ((eps - base).abs().max() > 1e-4) == far


def test_windows_for_measuring_are_new_and_their_error_is_that_of_the_noise(prior):
    x0 = measure_any_size.fresh_windows(prior, (64, 128), 3)
    assert x0.shape == (3, 4, 16, 16)
    assert torch.equal(x0, measure_any_size.fresh_windows(prior, (64, 128), 3))

    # One that finds no noise errs by all of it.
    blind = SimpleNamespace(
        alpha_bar=prior.alpha_bar, embed=prior.embed, predict_noise=lambda xt, *_: (0 * xt,)
    )
    assert measure_any_size.noise_error(blind, x0, 300) == pytest.approx(np.ones(3), abs=0.15)
    known = measure_any_size.noise_error(prior, x0, 300)
    assert known.shape == (3,)
    assert (known < 0.5).all()
