"""Identity metrics: their closed forms, and that they tell an edit from a regeneration."""

from __future__ import annotations

from collections.abc import Callable
from urllib.error import URLError

import pytest
import torch
import torchvision
from PIL import Image
from torch import Tensor

from distillery.core.errors import CourseError
from distillery.core.images import from_pil
from distillery.metrics.source_similarity import Lpips, inside_mask, outside_mask, ssim
from distillery.toybox import Drawing, Factors, draw

Metric = Callable[[Tensor, Tensor, Tensor], Tensor]


def random_images(batch: int, height: int = 24, width: int = 40, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(batch, 3, height, width, generator=generator) * 2 - 1


def left_half(batch: int) -> Tensor:
    mask = torch.zeros(batch, 1, 24, 40)
    mask[..., :20] = 1
    return mask


def test_a_picture_is_wholly_like_itself_and_not_like_its_negative() -> None:
    images = random_images(3)

    torch.testing.assert_close(ssim(images, images), torch.ones(3))
    assert (ssim(images, -images) < -0.9).all()


def test_ssim_of_two_flat_pictures_is_that_of_their_means() -> None:
    # Without contrast only the first factor of the formula is left; c1 = 0.01^2.
    levels = [(0.5, 0.5), (0.25, 0.75), (0.9, 0.1)]
    first, second = (
        torch.tensor([2 * pair[k] - 1 for pair in levels]).view(3, 1, 1, 1).expand(3, 3, 16, 24)
        for k in (0, 1)
    )
    wanted = [(2 * a * b + 1e-4) / (a * a + b * b + 1e-4) for a, b in levels]

    torch.testing.assert_close(ssim(first, second), torch.tensor(wanted), atol=1e-4, rtol=0)


def test_ssim_clamps_what_strong_guidance_pushed_out_of_range() -> None:
    images = random_images(2)

    torch.testing.assert_close(ssim(3 * images, images), ssim((3 * images).clamp(-1, 1), images))


def test_a_difference_counts_on_its_own_side_of_the_mask() -> None:
    sources = torch.zeros(2, 3, 24, 40)
    images = sources.clone()
    images[0, :, :, :20] = 0.5
    images[1, 0, :, 20:] = -0.6

    mask = left_half(2)
    torch.testing.assert_close(inside_mask(images, sources, mask), torch.tensor([0.5, 0.0]))
    torch.testing.assert_close(outside_mask(images, sources, mask), torch.tensor([0.0, 0.2]))


def test_a_pixel_at_the_mask_s_edge_counts_in_part() -> None:
    sources, images = torch.zeros(1, 3, 8, 12), torch.zeros(1, 3, 8, 12)
    images[..., 0] = 1
    mask = torch.ones(1, 1, 8, 12)
    mask[..., :2] = 0.25

    outside = outside_mask(images, sources, mask)

    torch.testing.assert_close(outside, torch.tensor([0.75 * 8 / (0.75 * 16)]))


def test_a_mask_without_an_outside_or_an_inside_is_refused() -> None:
    images, mask = random_images(2), left_half(2)
    mask[1] = 1
    with pytest.raises(CourseError, match="leaves nothing of the picture outside"):
        outside_mask(images, images, mask)
    with pytest.raises(CourseError, match="the mask is empty"):
        inside_mask(images, images, 1 - mask)


@pytest.mark.parametrize("metric", [outside_mask, inside_mask])
def test_shapes_that_would_only_broadcast_are_refused(metric: Metric) -> None:
    images = random_images(2)
    with pytest.raises(CourseError, match=r"must have one shape; they have \(2, 3, 24, 40\)"):
        metric(images, images[:1], left_half(2))
    with pytest.raises(CourseError, match=r"the mask must be \(2, 1, 24, 40\)"):
        metric(images, images, left_half(1))


def test_ssim_refuses_other_shapes_and_pictures_below_8_pixels() -> None:
    with pytest.raises(CourseError, match="must have one shape"):
        ssim(random_images(2), random_images(1))
    with pytest.raises(CourseError, match=r"8 pixels a side; they have \(7, 40\)"):
        ssim(random_images(1, height=7), random_images(1, height=7))


def tensor(drawing: Drawing) -> Tensor:
    return from_pil(Image.fromarray(drawing.image))


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (Factors("boat", "red", "on a frozen river"), Factors("boat", "blue", "on a frozen river")),
        (Factors("cat", "orange", "in the forest"), Factors("cat", "green", "in the forest")),
        (Factors("car", "yellow", "on the grass"), Factors("car", "white", "on the grass")),
    ],
    ids=str,
)
def test_a_full_regeneration_scores_visibly_worse_than_an_edit(
    source: Factors, target: Factors
) -> None:
    """With one seed only the thing's colour changes; with another, all but the words."""
    drawing = draw(source, 700_000_100, size=(64, 80))
    edit = draw(target, 700_000_100, size=(64, 80))
    others = [draw(target, 700_000_200 + k, size=(64, 80)) for k in range(8)]
    x0 = tensor(drawing).expand(8, -1, -1, -1)
    mask = torch.from_numpy(drawing.mask).expand(8, 1, -1, -1)
    anew = torch.cat([tensor(other) for other in others])

    assert ssim(tensor(edit), x0[:1]) > ssim(anew, x0).max() + 0.2
    assert outside_mask(tensor(edit), x0[:1], mask[:1]) < 0.1 * outside_mask(anew, x0, mask).min()


@pytest.fixture
def random_alexnet(monkeypatch: pytest.MonkeyPatch) -> None:
    """AlexNet's weights as if they were at hand; random ones see differences too."""
    torch.manual_seed(0)
    weights = torchvision.models.alexnet(weights=None).state_dict()
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", lambda *a, **k: weights)


@pytest.mark.usefixtures("random_alexnet")
def test_lpips_is_0_for_the_same_picture_and_grows_with_the_difference() -> None:
    images = random_images(3, height=64, width=80)
    distances = [
        Lpips()(images, (images + amount * random_images(3, 64, 80, seed=1)).clamp(-1, 1))
        for amount in (0.0, 0.1, 0.5)
    ]

    assert [distance.shape for distance in distances] == [(3,)] * 3
    torch.testing.assert_close(distances[0], torch.zeros(3))
    assert (distances[0] < distances[1]).all()
    assert (distances[1] < distances[2]).all()


@pytest.mark.usefixtures("random_alexnet")
def test_lpips_of_a_batch_is_that_of_each_pair_also_of_small_pictures_out_of_range() -> None:
    images, sources = 1.5 * random_images(2, 16, 24), random_images(2, 16, 24, seed=1)
    lpips = Lpips()

    alone = [lpips(images[k : k + 1], sources[k : k + 1]) for k in range(2)]

    torch.testing.assert_close(lpips(images, sources), torch.cat(alone))


def test_lpips_without_weights_says_so_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*args: object, **options: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", offline)

    with pytest.raises(CourseError, match=r"AlexNet's weights .*no route to host.*--lpips\."):
        Lpips()
