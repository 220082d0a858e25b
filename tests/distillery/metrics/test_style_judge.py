"""The style judge names the style of pictures it has not seen, also of those a decoder drew."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from distillery.core.errors import CourseError
from distillery.metrics.style_judge import KINDS, StyleJudge
from distillery.toybox import all_factors, draw
from distillery.toybox.styles import styled
from training.data import to_images

SEED = 960_000_000  # no training and no measurement uses it


@pytest.fixture(scope="module")
def judge() -> StyleJudge:
    return StyleJudge.load()


def pictures(kind: str, size: tuple[int, int], count: int = 16) -> torch.Tensor:
    drawn = [draw(all_factors()[47 * k], SEED + k, size=size) for k in range(count)]
    images = [d.image if kind == "drawing" else styled(d, kind).image for d in drawn]
    return to_images(np.stack(images), torch.device("cpu"))


@pytest.mark.parametrize("size", [(64, 64), (64, 128), (128, 64)], ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_styles_are_told_apart_at_every_shape(judge, kind, size):
    assert judge.styles(pictures(kind, size)).count(kind) >= 15


def test_pixel_art_without_its_grid_is_no_pixel_art(judge):
    """Enlarged smoothly in place of cell by cell, it has the same colours and no cells."""
    art = pictures("pixel", (64, 64))
    smooth = F.interpolate(F.avg_pool2d(art, 2), scale_factor=2, mode="bicubic")
    assert judge.styles(smooth).count("pixel") <= 4


def test_a_batch_is_judged_as_its_pictures_are(judge):
    images = torch.cat([pictures(kind, (64, 96), 2) for kind in KINDS])
    together = judge.shares(images)
    assert together.shape == (6, 3)
    assert torch.allclose(together.sum(1), torch.ones(6))
    alone = torch.cat([judge.shares(image[None]) for image in images])
    assert torch.allclose(together, alone, atol=1e-5)
    best = [KINDS[k] for k in together.argmax(1).tolist()]
    assert judge.styles(images) == best


@pytest.mark.parametrize("shape", [(3, 64, 64), (1, 4, 64, 64), (1, 3, 16, 64)], ids=str)
def test_other_shapes_are_refused_in_one_sentence(judge, shape):
    with pytest.raises(CourseError, match=r"wants images \(B, 3, H, W\)") as caught:
        judge.shares(torch.zeros(shape))
    assert str(shape) in str(caught.value)
    assert "\n" not in str(caught.value)
