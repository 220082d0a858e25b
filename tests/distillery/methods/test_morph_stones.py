from __future__ import annotations

import pytest
import torch

from distillery.methods.morph import all_prompts, path_of
from distillery.methods.morph_stones import stepping_stones
from distillery.models.exact import GaussianMixturePrior


@pytest.mark.parametrize(
    ("first", "second", "stones"),
    [
        (
            "a red boat on a frozen river",
            "a yellow castle in the night sky",
            ["a red boat in the night sky", "a yellow boat in the night sky"],
        ),
        ("a purple house", "an orange fish", ["an orange house"]),
        ("a red cat", "a red dog in the snow", ["a red cat in the snow"]),
        ("a snowy cabin in winter", "a castle in a storm", ["a snowy cabin in a storm"]),
        ("a hat on a cat in snow", "a hat on a dog in rain", ["a hat on a cat in rain"]),
        ("a cat, at night", "a dog, at noon", ["a cat, at noon"]),
        ("a snowy cabin", "a castle", []),
        ("a cat", "a cat", []),
        ("in a forest", "on a boat", []),
        ("", "a cat in snow", []),
        ("of", "the", []),
    ],
)
def test_stones_change_one_thing_at_a_time_the_place_first(first, second, stones):
    assert stepping_stones(first, second) == stones
    assert len(stepping_stones(second, first)) == len(stones)


def test_stones_stand_evenly_between_their_keyframes():
    said, stands = all_prompts(["a red cat", "a blue dog", "a blue fox"])
    assert said == ["a red cat", "a blue cat", "a blue dog", "a blue fox"]
    assert stands == [0, 0.5, 1, 2]


def test_a_path_goes_from_stone_to_stone():
    means = torch.zeros(4, 4, 2, 3)
    names = {"x b": [0], "y b": [1], "y d": [2], "y e": [3]}
    path = path_of(GaussianMixturePrior(means, 0.5, names=names), ["x b", "y d", "y e"], [1, 2, 3])
    start, a = path.between(torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0]))
    assert start.tolist() == [0, 0, 1, 1, 2, 2, 2]
    assert a.tolist() == [0, 0.5, 0, 0.5, 0, 0.5, 1]
    assert len(path.prompts) == 4
    assert len(path.keyframes) == 3


def test_only_the_default_way_has_stones():
    prior = GaussianMixturePrior(torch.zeros(2, 4, 2, 3), 0.5, names={"x b": [0], "y d": [1]})
    assert len(path_of(prior, ["x b", "y d"], [1, 2], text="mix").prompts) == 2
