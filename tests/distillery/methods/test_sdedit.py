from __future__ import annotations

import pytest
import torch

from distillery.core.errors import CourseError
from distillery.methods.sdedit import sdedit
from distillery.models.exact import GaussianMixturePrior


def two_pictures() -> GaussianMixturePrior:
    means = 3 * torch.randn(2, 3, 4, 6, generator=torch.Generator().manual_seed(2))
    return GaussianMixturePrior(means, std=0.3, names={"first": [0], "second": [1]})


def edited(strength: float, prompts: list[str]) -> torch.Tensor:
    """The first picture, made into what the prompts say."""
    prior = two_pictures()
    x0_src = prior.means[:1].float().expand(len(prompts), -1, -1, -1)
    generator = torch.Generator().manual_seed(0)
    return sdedit(
        prior, x0_src, prompts, strength=strength, guidance_scale=1.0, generator=generator
    )


def nearest(latents: torch.Tensor) -> list[int]:
    means = two_pictures().means.float()
    return (latents[:, None] - means).square().mean((2, 3, 4)).argmin(1).tolist()


def test_the_prompt_wins_with_all_the_noise_and_the_source_with_little() -> None:
    assert nearest(edited(1.0, ["first", "second"])) == [0, 1]
    assert nearest(edited(0.1, ["second", "second"])) == [0, 0]


def test_the_more_strength_the_further_from_the_source() -> None:
    source = two_pictures().means[0].float()
    distances = [
        float((edited(strength, ["second"]) - source).square().mean())
        for strength in (0.1, 0.4, 0.7, 1.0)
    ]
    assert distances == sorted(distances)


def test_a_source_in_the_middle_of_its_mode_comes_back() -> None:
    """With one Gaussian DDIM is a straight contraction, and its mode a fixed point in the mean."""
    prior = two_pictures()
    back = edited(0.3, ["first"] * 200).mean(0)
    torch.testing.assert_close(back, prior.means[0].float(), atol=0.1, rtol=0)


@pytest.mark.parametrize("strength", [0.0, -0.1, 1.01, float("nan")])
def test_a_strength_out_of_range_is_refused(strength: float) -> None:
    with pytest.raises(CourseError, match="strength must be above 0 and at most 1"):
        edited(strength, ["first"])
