"""The adapter for scenes of two things: what its training draws, says and leaves alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from distillery.models.load import load_prior
from distillery.models.stable_diffusion import StableDiffusionPrior
from distillery.toybox import held_out
from training import measure_two_things, tiny_sd_two_things


@pytest.fixture(scope="module")
def prior() -> StableDiffusionPrior:
    prior = load_prior("tiny-sd", device="cpu")
    assert isinstance(prior, StableDiffusionPrior)
    return prior


@pytest.mark.parametrize("size", [(64, 128), (64, 64)])
def test_scenes_show_two_different_trained_things_and_their_boxes_hold_them(size):
    for seed in range(6):
        drawing = tiny_sd_two_things.draw_scene(seed, size)
        front, behind = drawing.factors
        assert front.thing != behind.thing
        assert not held_out(front)
        assert not held_out(behind)
        for label, box in enumerate(tiny_sd_two_things.boxes_of(drawing.labels), start=1):
            top, left, bottom, right = (
                round(part * side) for part, side in zip(box, (*size, *size), strict=True)
            )
            seen = drawing.labels == label
            assert seen[top:bottom, left:right].sum() == seen.sum()
            assert seen[top].any()
            assert seen[bottom - 1].any()
            assert seen[:, left].any()
            assert seen[:, right - 1].any()


def test_regions_lie_round_their_things_in_one_of_three_shapes():
    boxes = torch.tensor([[[0.2, 0.6, 0.8, 0.9], [0.3, 0.1, 0.7, 0.4]]]).repeat(60, 1, 1)

    masks = tiny_sd_two_things.random_masks(boxes, (16, 32))

    assert masks.shape == (60, 2, 16, 32)
    assert masks[:, 0, 8, 24].all()  # the middles of the boxes
    assert masks[:, 1, 8, 8].all()
    areas = masks.mean((2, 3))
    assert (areas == 0.5).all(1).any()  # halves
    assert areas.amin() >= 0.1
    assert not (masks[:, 0] * masks[:, 1])[areas.eq(0.5).all(1)].any()


def test_captions_name_both_things_and_hold_their_words(prior):
    g = np.random.default_rng(0)
    for seed in range(20):
        pair = tiny_sd_two_things.draw_scene(seed, (64, 64)).factors
        caption = tiny_sd_two_things.caption_of((pair[0], pair[1]), g)
        assert caption.sentence.endswith(pair[0].scene)
        for factors, words, part in zip(pair, caption.words, caption.parts, strict=True):
            assert words in caption.sentence
            assert words.endswith(factors.thing)
            assert part in (words, f"{words} {factors.scene}")


def test_the_adapter_begins_as_the_base_and_leaves_its_weights_alone():
    prior = load_prior("tiny-sd", device="cpu")
    assert isinstance(prior, StableDiffusionPrior)
    xt, t = torch.randn(1, 4, 16, 32), torch.tensor([400])
    text = prior.embed(["a red boat and a blue house in the snow"])
    (before,) = prior.predict_noise(xt, t, text)

    factors = tiny_sd_two_things.new_adapter(prior, rank=tiny_sd_two_things.RANK)

    (after,) = prior.predict_noise(xt, t, text)
    torch.testing.assert_close(after, before, atol=1e-5, rtol=1e-4)
    learning = {id(weight) for weight in prior.unet.parameters() if weight.requires_grad}
    assert learning == {id(factor) for factor in factors}
    assert 2 * sum(factor.numel() for factor in factors) <= 3e6


def test_a_batch_is_told_of_regions_in_both_ways_and_of_none(prior):
    g = np.random.default_rng(0)
    pairs = [tiny_sd_two_things.draw_scene(seed, (64, 64)).factors for seed in range(40)]
    captions = [tiny_sd_two_things.caption_of((a, b), g) for a, b in pairs]
    masks = torch.zeros(40, 2, 16, 16)
    masks[:, 0, :, :8] = masks[:, 1, :, 8:] = 1
    torch.manual_seed(0)

    condition = tiny_sd_two_things.told(prior, captions, masks)

    assert condition.attention_bias is not None
    bias = condition.attention_bias
    count = bias.shape[1] // 3
    regional = bias[:, 0, 0, 0] != 0  # there the whole sentence is heard nowhere
    hard = ~regional & bias.flatten(1).any(1)
    assert 10 <= regional.sum() <= 26
    assert 4 <= hard.sum() <= 18
    plain = ~regional & ~hard
    assert plain.any()
    assert torch.equal(condition.tokens[plain, :count], condition.tokens[plain, count : 2 * count])
    assert (bias[regional][:, count, :, :8] == 0).all()
    assert (bias[regional][:, count, :, 8:] < -20).all()


def test_scenes_for_measuring_say_and_paint_what_the_drawing_shows():
    for scene in measure_two_things.scenes(6, size=(64, 128), seed=5):
        left, right = scene.sides
        assert scene.prompt == f"{scene.words[0]} and {scene.words[1]} {left.scene}"
        for k, (side, half) in enumerate(((left, slice(0, 64)), (right, slice(64, 128)))):
            label = 1 + scene.drawing.factors.index(side)
            seen = torch.from_numpy(scene.drawing.labels == label)
            assert seen[:, half].sum() > 0.9 * seen.sum()
            assert scene.masks[k][seen].mean() > 0.9
