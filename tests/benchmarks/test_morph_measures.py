from __future__ import annotations

import pytest
import torch

from benchmarks.morph_measures import chroma, in_the_middle, largest_step, middle, sharpness


def test_one_jump_in_an_even_film_is_the_largest_step():
    places = torch.tensor([0.0, 1, 2, 3, 7, 8, 9])
    film = places[:, None, None, None].expand(7, 3, 4, 6)
    assert largest_step(film) == pytest.approx(4 / (9 / 6))
    assert largest_step(film[:4]) == pytest.approx(1)


def test_grey_has_no_chroma_and_a_plain_picture_no_sharpness():
    grey = torch.rand(2, 1, 8, 12).expand(2, 3, 8, 12)
    assert chroma(grey).abs().max() < 1e-6
    plain = torch.tensor([1.0, -1, -1]).view(1, 3, 1, 1).expand(2, 3, 8, 12)
    assert chroma(plain).tolist() == pytest.approx([(16 / 9 + 8 / 9) ** 0.5] * 2)
    assert sharpness(plain).abs().max() < 1e-6
    assert (sharpness(grey) > 0.1).all()


@pytest.mark.parametrize(("count", "expected"), [(24, (8, 16)), (25, (8, 17)), (3, (1, 2))])
def test_the_middle_third_lies_in_the_middle(count, expected):
    chosen = middle(count)
    assert (chosen.start, chosen.stop) == expected


def test_the_middle_is_compared_with_the_two_ends():
    measured = torch.tensor([2.0, 9, 1, 1, 9, 4])
    assert in_the_middle(measured) == pytest.approx(1 / 3)
