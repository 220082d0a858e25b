"""The training scripts: resumable at any step, and never shown a held-out combination."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from distillery.toybox import Factors, held_out
from training import loop, tiny_sd
from training.data import captions_for, load_drawings, to_images
from training.tiny_clip import true_of
from training.tokenizer import CONTEXT, new_tokenizer

STEPS = 12


def run(folder, *, stop_at=None):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))

    def loss_of(step):
        if step == stop_at:
            raise KeyboardInterrupt
        return {"loss": net(torch.randn(8, 3)).square().mean()}

    return loop.train("net", net, loss_of, folder=folder, steps=STEPS, learning_rate=0.1, seed=5)


@pytest.mark.parametrize("stop_at", [1, 6, STEPS - 1])
def test_a_killed_training_goes_on_to_the_same_weights(tmp_path, monkeypatch, stop_at):
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0)
    whole = run(tmp_path / "whole").state_dict()
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "killed", stop_at=stop_at)
    resumed = run(tmp_path / "killed").state_dict()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    logs = [(tmp_path / k / "net.jsonl").read_text() for k in ("whole", "killed")]
    assert logs[0] == logs[1]


def test_a_finished_training_is_not_repeated(tmp_path):
    first = run(tmp_path).state_dict()
    again = run(tmp_path, stop_at=0).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_min_snr_caps_the_weight_of_easy_timesteps():
    """The loss on x0 that ε-prediction implies weighs SNR; capped at 5, it is min(SNR, 5) / SNR."""
    alphas_cumprod = torch.tensor([0.99, 0.8, 0.2])
    snr = [99.0, 4.0, 0.25]
    weights = tiny_sd.min_snr(alphas_cumprod, torch.tensor([0, 1, 2]))
    assert torch.allclose(weights, torch.tensor([5 / snr[0], 1.0, 1.0]))


def test_drawings_are_trained_combinations_with_true_labels(tmp_path, monkeypatch):
    monkeypatch.setattr("training.data.SHARD", 6)
    drawings = load_drawings(tmp_path, count=9, seed=2)
    assert drawings.images.shape == (9, 64, 64, 3)
    assert not any(held_out(f) for f in drawings.factors)
    assert drawings.labels.tolist() == [list(f.indices) for f in drawings.factors]
    again = load_drawings(tmp_path, count=9, seed=2)
    assert np.array_equal(drawings.images, again.images)
    images, _ = drawings.batch(4, seed=0, device=torch.device("cpu"))
    assert images.shape == (4, 3, 64, 64)


def test_pixels_map_to_the_range_of_images():
    images = to_images(np.array([[[[0, 255, 127]]]], np.uint8), torch.device("cpu"))
    assert torch.allclose(images.flatten(), torch.tensor([-1.0, 1.0, -1 / 255]), atol=1e-6)


def test_every_word_of_a_caption_is_one_token_and_nothing_is_unknown():
    tokenizer = new_tokenizer()
    words = ["in", "the", "snow", "a", "picture", "of", "an", "orange", "mushroom"]
    assert len(tokenizer(" ".join(words)).input_ids) == len(words) + 2
    for text in ("Ein Schloß, 12.5 m", "城堡", "🚀"):
        ids = tokenizer(text).input_ids[1:-1]
        assert ids
        assert tokenizer.eos_token_id not in ids
    assert tokenizer.eos_token_id == len(tokenizer) - 1


def test_all_captions_fit_the_context():
    tokenizer = new_tokenizer()
    factors = [Factors("mushroom", "orange", "on a frozen river")] * 50
    lengths = [len(tokenizer(text).input_ids) for text in captions_for(factors, seed=0)]
    assert max(lengths) <= CONTEXT


def test_open_captions_are_true_of_more_than_their_own_drawing():
    drawn = [
        Factors("boat", "red", "in the snow"),
        Factors("cup", "red", "in the snow"),
        Factors("boat", "blue", "on the beach"),
    ]
    captions = ["a boat", "a red cup", "on the beach, a blue boat"]
    assert true_of(captions, drawn).tolist() == [[1, 0, 0], [0, 1, 0], [1, 0, 1]]
