"""What is kept of the counter's error: every share, and the worst of all sizes."""

from __future__ import annotations

import pytest

from training.measure_counter import figures


def test_the_worst_size_is_kept_beside_all_of_them() -> None:
    rows = {
        ((64, 64), 1, False): {"count": 1.0, "one right": 0.9},
        ((64, 128), 1, False): {"count": 0.9},
        ((64, 64), 1, True): {"count": 0.8},
    }
    kept = figures(rows, 80)
    assert kept["one"].value == 0.9
    assert kept["one_vae"].value == kept["one_64x64_vae_count"].value == 0.8
    assert kept["one_64x64_drawn_one_right"].value == 0.9
    # Half as many pictures go through the autoencoder.
    assert kept["one_vae"].spread == pytest.approx((0.8 * 0.2 / 40) ** 0.5)
