"""What the pieces of stage 7 are: by closed forms, by peft and diffusers, by what they are for."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler
from peft import LoraConfig, inject_adapter_in_model
from torch import Tensor, nn

from distillery.models.exact import GaussianDenoiser
from distillery.models.prior import Condition
from reference import morph

SHAPES = pytest.mark.parametrize(
    "shape",
    [(3, 4, 5, 7), (1, 4, 8, 6), (5, 9), (2, 77, 6)],
    ids=["batch", "single", "flat", "text"],
)
HALVES = pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def rand(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def lengths(vectors: Tensor) -> Tensor:
    return vectors.double().flatten(1).norm(dim=1)


def angles(v0: Tensor, v1: Tensor) -> Tensor:
    product = (v0.double() * v1.double()).flatten(1).sum(1)
    return (product / (lengths(v0) * lengths(v1))).clamp(-1, 1).acos()


# Turning


@SHAPES
def test_the_angle_grows_in_even_steps_and_a_common_length_stays(shape: tuple[int, ...]) -> None:
    v0, v1 = randn(*shape, seed=1), randn(*shape, seed=2)
    long = [-1, *[1] * (len(shape) - 1)]
    v1 = v1 * (lengths(v0) / lengths(v1)).float().view(long)
    whole = angles(v0, v1)
    for part in (0.1, 0.25, 0.5, 0.9):
        turned = morph.slerp(v0, v1, torch.full(shape[:1], part))
        torch.testing.assert_close(lengths(turned), lengths(v0), rtol=1e-5, atol=0)
        torch.testing.assert_close(angles(v0, turned), part * whole, rtol=0, atol=1e-3)
        torch.testing.assert_close(angles(v1, turned), (1 - part) * whole, rtol=0, atol=1e-3)


@SHAPES
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_the_ends_are_the_vectors_themselves(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    v0, v1 = randn(*shape, seed=1).to(dtype), randn(*shape, seed=2).to(dtype)
    for a, end in ((torch.zeros(shape[0]), v0), (torch.ones(shape[0]), v1)):
        turned = morph.slerp(v0, v1, a)
        assert turned.dtype == dtype
        assert torch.equal(turned, end)


def test_noise_keeps_its_deviation_where_a_straight_line_loses_three_tenths() -> None:
    v0, v1 = randn(2, 4, 64, 64, seed=1), randn(2, 4, 64, 64, seed=2)
    middle = torch.full((2,), 0.5)
    assert morph.slerp(v0, v1, middle).std() == pytest.approx(1, abs=0.02)
    assert ((v0 + v1) / 2).std() == pytest.approx(math.sqrt(0.5), abs=0.02)


def slerp_of_numpy(t: float, v0: np.ndarray, v1: np.ndarray) -> np.ndarray:
    """Of one vector in float64, as diffusers' community pipelines interpolate."""
    cosine = np.sum(v0 * v1) / (np.linalg.norm(v0) * np.linalg.norm(v1))
    theta_0 = np.arccos(cosine)
    theta_t = theta_0 * t
    s0 = np.sin(theta_0 - theta_t) / np.sin(theta_0)
    return s0 * v0 + np.sin(theta_t) / np.sin(theta_0) * v1


@HALVES
def test_half_precision_loses_nothing_where_a_sum_of_squares_overflows(dtype: torch.dtype) -> None:
    v0, v1 = (
        60 * randn(2, 4, 32, 32, seed=1),
        60 * (randn(2, 4, 32, 32, seed=1) + randn(2, 4, 32, 32)),
    )
    v0, v1, a = v0.to(dtype), v1.to(dtype), torch.tensor([0.3, 0.6])
    assert v0.flatten(1).float().square().sum(1).min() > 65504
    turned = morph.slerp(v0, v1, a)
    for k in range(2):
        exact = slerp_of_numpy(float(a[k]), v0[k].double().numpy(), v1[k].double().numpy())
        one = float(torch.finfo(dtype).eps)
        torch.testing.assert_close(turned[k].double(), torch.from_numpy(exact), rtol=one, atol=1e-3)


def test_parallel_opposite_and_zero_vectors_take_the_straight_line_and_no_other_does() -> None:
    v, w = randn(1, 6, seed=1), randn(1, 6, seed=2)
    zero, a = torch.zeros_like(v), torch.tensor([0.25] * 5)
    v0, v1 = torch.cat([v, v, zero, v, v]), torch.cat([3 * v, -v, w, zero, w])
    turned = morph.slerp(v0, v1, a)
    line = 0.75 * v0 + 0.25 * v1
    torch.testing.assert_close(turned[:4], line[:4])
    assert (turned[4] - line[4]).abs().max() > 0.01


@pytest.mark.parametrize(("cosine", "is_line"), [(0.9996, True), (-0.9996, True), (-0.9994, False)])
def test_the_line_begins_at_the_cosine_that_is_written(cosine: float, is_line: bool) -> None:
    v0 = torch.tensor([[1.0, 0.0]])
    v1 = torch.tensor([[cosine, math.sqrt(1 - cosine**2)]])
    turned = morph.slerp(v0, v1, torch.tensor([0.5]))
    assert torch.allclose(turned, (v0 + v1) / 2, atol=1e-6) == is_line


def test_each_sample_turns_by_itself() -> None:
    v0, v1, a = randn(3, 2, 4, 5, seed=1), randn(3, 2, 4, 5, seed=2), torch.tensor([0.1, 0.5, 0.8])
    alone = [morph.slerp(v0[k, None], v1[k, None], a[k, None]) for k in range(3)]
    torch.testing.assert_close(morph.slerp(v0, v1, a), torch.cat(alone))


# Paths

POSITIONS = torch.tensor([0.0, 0.4, 1.0, 1.5, 2.0, 2.9, 3.0])


def test_tokens_turn_one_by_one_between_their_keyframes() -> None:
    tokens = randn(4, 5, 6)
    path = morph.prompt_path(tokens, POSITIONS)
    for frame, position in zip(path, POSITIONS.tolist(), strict=True):
        k = min(int(position), 2)
        for token in range(5):
            pair = (tokens[k, token].double().numpy(), tokens[k + 1, token].double().numpy())
            exact = slerp_of_numpy(position - k, *pair)
            torch.testing.assert_close(
                frame[token].double(), torch.from_numpy(exact), atol=1e-5, rtol=0
            )


@HALVES
def test_frames_at_keyframes_have_their_tokens_to_the_last_bit(dtype: torch.dtype) -> None:
    tokens = randn(3, 4, 6).to(dtype)
    order = [2, 0, 1, 2]
    path = morph.prompt_path(tokens, torch.tensor(order, dtype=torch.float32))
    assert torch.equal(path, tokens[order])


def test_a_token_that_both_prompts_share_stays() -> None:
    tokens = randn(2, 3, 6)
    tokens[:, 0] = tokens[0, 0]
    path = morph.prompt_path(tokens, torch.linspace(0, 1, 5))
    torch.testing.assert_close(path[:, 0], tokens[:1, 0].expand(5, -1))


def test_a_joint_has_one_noise_and_a_closed_path_ends_where_it_began() -> None:
    shape = (4, 8, 6)
    seeds = [7, 11, 13, 7]
    path = morph.noise_path(seeds, POSITIONS, shape)
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    drawn = torch.stack([torch.randn(shape, generator=its) for its in generators])
    assert torch.equal(path[[0, 2, 4, 6]], drawn)
    assert torch.equal(path[0], path[-1])


def test_between_two_keyframes_all_of_the_noise_turns_as_one_vector() -> None:
    path = morph.noise_path([3, 4], torch.tensor([0.0, 0.3, 1.0]), (3, 5, 7)).double()
    exact = slerp_of_numpy(0.3, path[0].numpy(), path[2].numpy())
    torch.testing.assert_close(path[1], torch.from_numpy(exact), rtol=0, atol=1e-5)


def test_noise_moves_evenly_through_a_joint() -> None:
    """Frames just before and just behind it are as far from it as everywhere."""
    path = morph.noise_path([1, 2, 3], torch.tensor([0.98, 0.99, 1.0, 1.01, 1.02]), (4, 16, 12))
    steps = path.diff(dim=0).flatten(1).norm(dim=1)
    assert float(steps.max() / steps.min()) < 1.1


def test_equal_seeds_hold_the_noise_and_no_other_generator_is_touched() -> None:
    before = torch.get_rng_state()
    path = morph.noise_path([5, 5], torch.linspace(0, 1, 4), (3, 5, 7))
    torch.testing.assert_close(path, path[:1].expand_as(path))
    assert torch.equal(torch.get_rng_state(), before)


# The adapter


@pytest.mark.parametrize("rank", [1, 3])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("leading", [(), (4,), (2, 3), (2, 2, 3)])
def test_the_layer_gives_what_pefts_own_gives(
    rank: int, bias: bool, leading: tuple[int, ...]
) -> None:
    torch.manual_seed(0)
    model: Any = inject_adapter_in_model(
        LoraConfig(r=rank, lora_alpha=5, target_modules=["layer"]),
        nn.ModuleDict({"layer": nn.Linear(6, 4, bias=bias)}),
    )
    layer = model["layer"]
    A, B = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    x = randn(*leading, 6, seed=1)
    its = (layer.base_layer.weight, layer.base_layer.bias, A, B, 5.0)
    assert torch.equal(B, torch.zeros_like(B))
    torch.testing.assert_close(morph.lora_forward(x, *its), layer.base_layer(x))
    with torch.no_grad():
        B += randn(*B.shape, seed=2)
    torch.testing.assert_close(morph.lora_forward(x, *its), layer(x))


def test_an_adapter_of_twice_the_rank_made_of_the_same_twice_is_as_strong() -> None:
    x, weight, A, B = randn(3, 6), randn(4, 6), randn(2, 6), randn(4, 2)
    once = morph.lora_forward(x, weight, None, A, B, 3.0)
    twice = morph.lora_forward(x, weight, None, torch.cat([A, A]), torch.cat([B, B], 1), 3.0)
    torch.testing.assert_close(once, twice)


# The loss


def batch(count: int, *, predicts_v: bool) -> tuple[Any, dict[str, Any]]:
    """A denoiser and a batch, one prompt for each picture."""
    denoiser = GaussianDenoiser(randn(2, 3, 4, 5, seed=3), 0.5, predicts_v=predicts_v)
    tokens = torch.eye(2)[torch.arange(count) % 2].log()[:, None]
    x0, eps = randn(2, count, 3, 4, 5, seed=4).unbind()
    t = torch.linspace(50, 950, count).long()
    return denoiser, {"x0": x0, "text": Condition(tokens), "t": t, "eps": eps}


@pytest.mark.parametrize("predicts_v", [False, True])
def test_the_error_is_that_of_diffusers_noised_latents_and_targets(predicts_v: bool) -> None:
    denoiser, given = batch(3, predicts_v=predicts_v)
    scheduler = DDPMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False
    )
    x0, eps, t = given["x0"], given["eps"], given["t"]
    xt = scheduler.add_noise(x0, eps, t)
    target = scheduler.get_velocity(x0, eps, t) if predicts_v else eps
    error = (denoiser.predict(xt, t, given["text"]) - target).square().mean()
    loss = morph.finetune_loss(denoiser, **given, preserved=0, prior_weight=3.0)
    torch.testing.assert_close(loss, error, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("preserved", [1, 2, 4])
def test_both_parts_have_their_own_mean_and_the_preserved_one_a_weight(preserved: int) -> None:
    denoiser, given = batch(5, predicts_v=True)

    def of(places: slice) -> Tensor:
        some = {name: its[places] for name, its in given.items() if name != "text"}
        text = Condition(given["text"].tokens[places])
        return morph.finetune_loss(denoiser, **some, text=text, preserved=0, prior_weight=1.0)

    new = 5 - preserved
    loss = morph.finetune_loss(denoiser, **given, preserved=preserved, prior_weight=0.3)
    torch.testing.assert_close(loss, of(slice(0, new)) + 0.3 * of(slice(new, None)))


def test_the_gradient_leads_to_the_picture_as_a_closed_form_says() -> None:
    """A model of one picture m predicts eps + sqrt(alpha_bar / (1 - alpha_bar)) (x0 - m)."""
    denoiser: Any = GaussianDenoiser(randn(1, 3, 4, 5, seed=5), 0.0)
    x0, eps = randn(2, 1, 3, 4, 5, seed=6).unbind()
    t, text = torch.tensor([400]), Condition(torch.zeros(1, 1, 1))
    morph.finetune_loss(denoiser, x0, text, t, eps, 0, 1.0).backward()
    alpha_bar = float(denoiser.alpha_bar(t))
    away = denoiser.means.detach() - x0
    expected = 2 * alpha_bar / (1 - alpha_bar) * away / away.numel()
    torch.testing.assert_close(denoiser.means.grad, expected, rtol=1e-3, atol=1e-6)


# Colours


def test_steps_never_make_the_palette_worse_and_end_where_nothing_moves() -> None:
    frames, palette = rand(4, 6, 7, 3), rand(5, 3, seed=1)
    errors = []
    for _ in range(60):
        distances = (frames[..., None, :] - palette).square().sum(-1)
        errors.append(float(distances.min(-1).values.mean()))
        palette = morph.shared_palette(frames, palette)
    assert all(late <= early + 1e-7 for early, late in pairwise(errors))
    torch.testing.assert_close(morph.shared_palette(frames, palette), palette)


def test_a_colour_moves_to_the_mean_of_its_pixels_in_all_frames() -> None:
    frames, palette = rand(3, 5, 6, 3, seed=2), rand(4, 3, seed=3)
    own: list[list[list[float]]] = [[] for _ in palette]
    for pixel in frames.reshape(-1, 3).tolist():
        apart = [math.dist(pixel, colour) for colour in palette.tolist()]
        own[apart.index(min(apart))].append(pixel)
    means = torch.tensor(
        [[sum(its) / len(its) for its in zip(*pixels, strict=True)] for pixels in own]
    )
    torch.testing.assert_close(morph.shared_palette(frames, palette), means)


def test_frames_count_by_their_pixels_in_any_order_and_unused_colours_stay() -> None:
    frames = torch.cat([torch.zeros(1, 2, 3, 3), torch.full((3, 2, 3, 3), 0.4)])
    frames[1, 0, 0] = 0.1
    palette = torch.tensor([[0.1, 0.1, 0.1], [0.5, 0.5, 0.5], [-3.0, 2.0, 9.0]])
    moved = morph.shared_palette(frames, palette)
    grey = torch.tensor([0.1 / 7, 0.4])[:, None].expand(2, 3)
    torch.testing.assert_close(moved, torch.cat([grey, palette[2:]]))
    torch.testing.assert_close(morph.shared_palette(frames.flip(0), palette), moved)


def test_a_pixel_in_the_middle_belongs_to_the_first_colour_and_the_palette_stays_as_given() -> None:
    frames = torch.tensor([0.5, 1.0]).view(2, 1, 1, 1).expand(2, 1, 1, 3)
    palette = torch.tensor([0.0, 1.0]).view(2, 1).expand(2, 3).clone()
    before = palette.clone()
    moved = morph.shared_palette(frames, palette)
    assert torch.equal(moved[:, 0], torch.tensor([0.5, 1.0]))
    turned = morph.shared_palette(frames, palette.flip(0))
    assert torch.equal(turned[:, 0], torch.tensor([0.75, 0.0]))
    assert torch.equal(palette, before)


def test_a_pixel_goes_over_at_the_margin_and_comes_back_as_late() -> None:
    """Between colours at 0 and 1 with a margin of 0.25, at 0.625 and at 0.375."""
    palette = torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    way = torch.tensor([0.5, 0.625, 0.6875, 0.5, 0.375, 0.3125, 0.6])
    frames = torch.zeros(7, 1, 1, 3)
    frames[:, 0, 0, 0] = way
    assert morph.hold_colours(frames, palette, 0.25).flatten().tolist() == [0, 0, 1, 1, 1, 0, 0]
    assert morph.hold_colours(frames, palette, 0.0).flatten().tolist() == [0, 1, 1, 1, 0, 0, 1]


def test_noise_below_the_margin_changes_no_pixel_and_a_cut_changes_all() -> None:
    palette = rand(6, 3, seed=1)
    first, second = rand(2, 5, 7, 3, seed=2)
    shivering = first + 0.02 * (rand(8, 5, 7, 3, seed=3) - 0.5)
    held = morph.hold_colours(torch.cat([first[None], shivering]), palette, 0.1)
    assert torch.equal(held, held[:1].expand_as(held))
    cut = morph.hold_colours(torch.stack([first, second]), palette, 0.0)
    nearest = (second[:, :, None] - palette).norm(dim=-1).argmin(-1)
    assert torch.equal(cut[1], nearest)


@pytest.mark.parametrize("margin", [0.0, 0.07, 0.3])
def test_no_kept_colour_is_farther_than_the_margin_from_the_nearest(margin: float) -> None:
    frames, palette = rand(9, 4, 6, 3, seed=5), rand(5, 3, seed=6)
    held = morph.hold_colours(frames, palette, margin)
    distances = (frames[..., None, :] - palette).norm(dim=-1)
    kept = distances.gather(3, held[..., None])[..., 0]
    assert float((kept - distances.min(3).values).max()) <= margin + 1e-6
    changed = held[1:] != held[:-1]
    before = distances[1:].gather(3, held[:-1, ..., None])[..., 0]
    needed = before - distances[1:].min(3).values > margin
    assert torch.equal(changed, needed)
