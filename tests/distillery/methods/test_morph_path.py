from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from distillery.methods.guided_ddim import Prediction
from distillery.methods.morph import Path, noise_along, smoothed, smoothing, text_along
from distillery.models.prior import Condition
from distillery.models.schedule import scaled_linear_alphas_cumprod
from reference import morph

POSITIONS = torch.tensor([0.0, 0.25, 0.75, 1.0, 1.5, 2.0])
SHAPE = (4, 3, 5)


def path(*, dtype: torch.dtype = torch.float32, **options: object) -> Path:
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randn(3, 6, 8, generator=generator).to(dtype)
    pooled = torch.randn(3, 10, generator=generator).to(dtype)
    sizes = torch.tensor([64.0, 96, 0, 0, 64, 96]).expand(3, 6)
    its = Path(Condition(tokens, pooled, sizes), Condition(tokens[:1]), (5, 6, 5), text="slerp")
    return replace(its, **options)


@pytest.mark.parametrize("way", ["slerp", "lerp", "hold"])
def test_frames_at_keyframes_have_their_noise_and_a_path_that_returns_begins_as_it_ends(way):
    noise = noise_along(morph, path(noise=way), POSITIONS, SHAPE)
    assert noise.shape == (6, *SHAPE)
    own = [torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed)) for seed in (5, 6, 5)]
    assert torch.equal(noise[[0, 3, 5]], torch.stack(own))
    assert torch.equal(noise[0], noise[5])


def test_slerp_keeps_the_length_of_noise_and_lerp_loses_it():
    middle, shape = torch.tensor([0.5]), (4, 32, 48)
    full = noise_along(morph, path(), torch.tensor([0.0]), shape).norm()
    turned = noise_along(morph, path(noise="slerp"), middle, shape).norm() / full
    drawn = noise_along(morph, path(noise="lerp"), middle, shape).norm() / full
    assert abs(float(turned) - 1) < 0.02
    assert abs(float(drawn) - 0.5**0.5) < 0.02


@pytest.mark.parametrize("way", ["slerp", "lerp", "hold"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_text_keeps_its_type_and_is_exact_at_keyframes(way, dtype):
    its = path(text=way, dtype=dtype)
    text = text_along(morph, its, POSITIONS)
    assert text.pooled is not None
    assert text.tokens.dtype == text.pooled.dtype == dtype
    assert torch.equal(text.tokens[[0, 3, 5]], its.keyframes.tokens)
    assert torch.equal(text.pooled[[0, 3, 5]], its.keyframes.pooled)
    assert torch.equal(text.time_ids[2], its.keyframes.time_ids[1])


def test_text_goes_token_by_token_and_the_pooled_vector_as_one():
    its = path()
    text, a = text_along(morph, its, POSITIONS[2:3]), torch.tensor([0.75])
    tokens, pooled = its.keyframes.tokens, its.keyframes.pooled
    for k in range(6):
        turned = morph.slerp(tokens[:1, k], tokens[1:2, k], a)
        assert torch.allclose(text.tokens[:, k], turned, atol=1e-6)
    assert torch.allclose(text.pooled, morph.slerp(pooled[:1], pooled[1:2], a), atol=1e-6)


def test_text_that_holds_changes_half_way():
    its = path(text="hold")
    text = text_along(morph, its, torch.tensor([0.49, 0.51, 1.49, 1.51]))
    assert torch.equal(text.tokens, its.keyframes.tokens[[0, 1, 1, 2]])


def test_smoothing_averages_neighbours_and_leaves_the_ends():
    x0 = torch.randn(9, *SHAPE, generator=torch.Generator().manual_seed(3))
    smooth = smoothed(x0, 1.5)
    assert torch.equal(smooth[[0, -1]], x0[[0, -1]])
    assert smooth.diff(dim=0).norm() < 0.5 * x0.diff(dim=0).norm()
    assert torch.allclose(smoothed(x0[:1].expand_as(x0), 1.5), x0[:1].expand_as(x0), atol=1e-6)
    assert torch.allclose(smoothed(x0, 1e-3), x0, atol=1e-6)


def test_frames_are_smoothed_at_noisy_levels_alone():
    timesteps = torch.tensor([900, 600, 300, -1])
    levels = scaled_linear_alphas_cumprod().float()
    change = smoothing(2.0, until=500, timesteps=timesteps, alphas_cumprod=levels)
    x0, eps = torch.randn(2, 5, *SHAPE, generator=torch.Generator().manual_seed(4))

    def after(index: int) -> torch.Tensor:
        return change(Prediction(index, x0, eps, x0, eps))

    expected = levels[300].sqrt() * smoothed(x0, 2.0) + (1 - levels[300]).sqrt() * eps
    assert torch.allclose(after(1), expected, atol=1e-6)
    assert torch.equal(after(2), eps)
