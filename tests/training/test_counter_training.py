"""What the counter learns from is true of the pictures, and read back it gives the things again."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from distillery.metrics.counter import FAR, Counter, CounterNet
from distillery.models.load import load_prior
from distillery.toybox import Factors, draw_several
from training.counter import losses, targets
from training.counter_pictures import Pictures, drawings, load_pictures, on_cells

THINGS = [Factors(thing, "red", "on the beach") for thing in ("cat", "car", "tree")]
SURE = 20.0  # a logit


class Told(nn.Module):
    """A network that knows the targets."""

    def __init__(self, labels: torch.Tensor) -> None:
        super().__init__()
        on, spots, arrows = targets(labels)
        logits = torch.stack([SURE * (2 * on - 1), torch.logit(spots.clamp(1e-6, 1 - 1e-6))], 1)
        self.told = torch.cat([logits, arrows], 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.told


def test_arrows_point_to_the_middle_of_their_thing():
    labels = torch.zeros(1, 7, 12, dtype=torch.uint8)
    labels[0, 1:4, 2:7], labels[0, 5:6, 8:11] = 1, 2
    on, spots, arrows = targets(labels)
    assert torch.equal(on[0], (labels[0] > 0).float())
    assert spots[0, 2, 4] == spots[0, 5, 9] == 1.0
    assert spots[0, 0, 0] < 0.1
    assert (arrows[0, :, 1, 2] * FAR).tolist() == [1.0, 2.0]
    assert (arrows[0, :, 5, 10] * FAR).tolist() == [0.0, -1.0]
    assert not arrows[0, :, labels[0] == 0].any()


@pytest.mark.parametrize("size", [(64, 64), (64, 128), (192, 128)], ids=str)
def test_targets_read_back_give_the_things_again(size):
    drawing = draw_several(THINGS, 3, size=size)
    cell = 2 if min(size) <= 64 else 4
    labels = on_cells(drawing.labels, cell)
    (found,) = Counter(Told(torch.from_numpy(labels)[None])).things(torch.zeros(1, 3, *size))
    assert len(found) == 3
    whole = labels.repeat(cell, 0).repeat(cell, 1)
    masks = {tuple(thing.mask.flatten().tolist()) for thing in found}
    assert masks == {tuple((whole == number).flatten().tolist()) for number in (1, 2, 3)}


def test_the_loss_is_least_for_what_is_true():
    labels = torch.from_numpy(on_cells(draw_several(THINGS, 3).labels, 2))[None]
    true, other = Told(labels).told, Told(labels.flip(2)).told
    assert losses(true, labels)["loss"] < 0.5 * losses(other, labels)["loss"]


@pytest.mark.parametrize("size", [(64, 64), (128, 64), (128, 128)], ids=str)
def test_pictures_have_a_number_for_each_thing_and_stay_the_same(size):
    drawn = list(drawings(40, size=size, seed=9))
    assert all(image.shape == (*size, 3) and labels.shape == size for image, labels in drawn)
    assert {len(set(np.unique(labels)) - {0}) for _, labels in drawn} >= {0, 1, 2, 3}
    again = list(drawings(40, size=size, seed=9))
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(drawn, again, strict=True))


def test_pictures_are_drawn_once(tmp_path):
    prior = load_prior("tiny-sd", device="cpu")
    pictures = load_pictures(tmp_path, prior, size=(64, 64), count=8, seed=9)
    assert pictures.labels.shape == (8, 32, 32)
    again = load_pictures(tmp_path, prior, size=(64, 64), count=8, seed=10)  # the seed is not asked
    assert np.array_equal(again.images, pictures.images)


def test_labels_are_mirrored_with_their_pictures():
    """The picture of each is its labels, so they must agree after all turns."""
    labels = np.random.default_rng(0).integers(0, 4, (5, 6, 10)).astype(np.uint8)
    pictures = Pictures(np.repeat(labels[..., None], 3, axis=3), labels)
    turned = set()
    for seed in range(12):
        images, some = pictures.batch(4, seed=seed)
        assert torch.allclose((images[:, 1] + 1) * 127.5, some.float(), atol=1e-4)
        turned.add(any(np.array_equal(some[0], one) for one in labels))
    assert turned == {True, False}


def test_the_network_is_small_and_takes_any_multiple_of_its_unit():
    net = CounterNet()
    assert 2 * sum(weight.numel() for weight in net.parameters()) <= 500_000
    assert net(torch.zeros(2, 3, 32, 48)).shape == (2, 4, 16, 24)
