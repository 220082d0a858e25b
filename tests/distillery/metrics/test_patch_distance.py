"""pFD agrees with its formula, and ranks pictures by how they are drawn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchvision.transforms.functional import gaussian_blur

from distillery.core.errors import CourseError
from distillery.methods.sdedit import sdedit
from distillery.metrics.judge import Judge
from distillery.metrics.patch_distance import frechet_distance, patch_distance, patch_features
from distillery.models.load import load_prior
from distillery.toybox import COLOURS, SCENES, THINGS, Factors, draw
from distillery.toybox.paintings import coarse_painting, few_colours

Kinds = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def judge() -> Judge:
    return Judge.load()


def gaussian(n: int, mean: float, scale: float, seed: int) -> torch.Tensor:
    """Samples with exactly this mean and, as covariance, scale^2 times the identity, (n, 3)."""
    x = torch.randn(n, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    x = x - x.mean(0)
    x = x @ torch.linalg.inv(torch.linalg.cholesky(torch.cov(x.T))).T
    return scale * x + mean


def test_the_distance_of_two_gaussians_is_the_closed_form() -> None:
    """For multiples of the identity it is the sum over dimensions of (m - m')^2 + (s - s')^2."""
    first, second = gaussian(50, 1.0, 2.0, 0), gaussian(80, -0.5, 0.5, 1)
    assert frechet_distance(first, second) == pytest.approx(3 * (1.5**2 + 1.5**2), abs=1e-9)
    assert frechet_distance(second, first) == pytest.approx(3 * (1.5**2 + 1.5**2), abs=1e-9)
    assert frechet_distance(first, first.flip(0)) == pytest.approx(0, abs=1e-9)


def test_correlated_gaussians_agree_with_the_square_root_of_the_product() -> None:
    g = torch.Generator().manual_seed(3)
    mixes = [torch.randn(3, 3, generator=g, dtype=torch.float64) for _ in range(2)]
    first, second = (gaussian(60, 0.0, 1.0, k) @ mix.T for k, mix in enumerate(mixes))
    ours, theirs = (mix @ mix.T for mix in mixes)
    # The eigenvalues of C C' are not negative, and their roots sum to the trace of its root.
    root = torch.linalg.eigvals(ours @ theirs).real.sqrt().sum()
    truth = float(ours.trace() + theirs.trace() - 2 * root)
    assert frechet_distance(first, second) == pytest.approx(truth, abs=1e-9)


def test_a_patch_is_a_place_of_the_second_block(judge: Judge) -> None:
    images = torch.zeros(2, 3, 48, 64).uniform_(-1, 1, generator=torch.Generator().manual_seed(0))
    features = patch_features(images, judge)
    assert features.shape == (2 * 12 * 16, 64)
    assert not torch.equal(features[: 12 * 16], features[12 * 16 :])


def test_what_no_screen_can_show_is_not_seen(judge: Judge) -> None:
    images = torch.zeros(1, 3, 16, 24).uniform_(-2, 2, generator=torch.Generator().manual_seed(0))
    assert torch.equal(patch_features(images, judge), patch_features(images.clamp(-1, 1), judge))


def test_pictures_of_another_size_are_refused(judge: Judge) -> None:
    with pytest.raises(CourseError, match=r"these are \(64, 64\) and \(64, 128\)"):
        patch_distance(torch.zeros(1, 3, 64, 64), torch.zeros(1, 3, 64, 128), judge)


@pytest.fixture(scope="module")
def kinds() -> Kinds:
    """Eight scenes, each in several kinds of picture, (8, 3, 64, 64)."""
    scenes = [Factors(*words) for words in zip(THINGS, COLOURS, SCENES, strict=False)]
    prompts = [str(factors) for factors in scenes]
    drawings = [draw(factors, 983_000_000 + k) for k, factors in enumerate(scenes)]
    kinds = {
        "drawn": as_images([drawing.image for drawing in drawings]),
        "flat": as_images([few_colours(drawing) for drawing in drawings]),
        "coarse": as_images([coarse_painting(drawing, k) for k, drawing in enumerate(drawings)]),
    }
    prior, g = load_prior("tiny-sd", device="cpu"), torch.Generator().manual_seed(4)
    how = {"guidance_scale": 5.0, "steps": 10, "generator": g}
    kinds["sampled"] = prior.decode(prior.sample(prompts, **how))
    begin = prior.encode(kinds["coarse"])
    kinds["sdedit"] = prior.decode(sdedit(prior, begin, prompts, strength=0.5, **how))
    return kinds


def as_images(levels: list[np.ndarray]) -> torch.Tensor:
    return torch.from_numpy(np.stack(levels)).permute(0, 3, 1, 2).float() / 127.5 - 1


@pytest.mark.parametrize("kind", ["drawn", "sdedit"])
def test_what_is_drawn_is_nearer_to_samples_than_what_is_painted(
    kind: str, kinds: Kinds, judge: Judge
) -> None:
    """Drawings and SDEdit are not ranked: with this few pictures either can come first."""
    away = {k: patch_distance(images, kinds["sampled"], judge) for k, images in kinds.items()}
    assert away["sampled"] == pytest.approx(0, abs=1e-6)
    assert 0.05 < away[kind] < 0.7 * away["flat"] < 0.9 * away["coarse"]


@pytest.mark.parametrize("kind", ["drawn", "sdedit", "sampled"])
def test_a_blur_takes_pictures_further_away(kind: str, kinds: Kinds, judge: Judge) -> None:
    blurred = gaussian_blur(kinds[kind], 7, 1.0)
    before = patch_distance(kinds[kind], kinds["sampled"], judge)
    assert patch_distance(blurred, kinds["sampled"], judge) > before + 0.03
