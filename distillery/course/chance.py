"""Whether numbers are what independent draws give, and no more even than these."""

from __future__ import annotations

import math

import torch
from torch import Tensor

# What chance decides lies this many standard deviations from its mean once in 10^7 times or less.
SURPRISING = 5.5
SURPRISING_LAG = 7.0  # the same for the largest of as many numbers as there are draws


def unevenness(counts: Tensor, expected: Tensor | float) -> float:
    """How much more counts differ from the expected ones than chance lets them.

    In standard deviations: their chi-square, made normal as Wilson and Hilferty do. Below 0 they
    differ less than those of independent draws.
    """
    freedom = len(counts) - 1
    if freedom == 0:
        return 0.0
    chi_square = float(((counts - expected).square() / expected).sum())
    variance = 2 / (9 * freedom)
    return ((chi_square / freedom) ** (1 / 3) - (1 - variance)) / math.sqrt(variance)


def follows_a_pattern(draws: Tensor) -> bool:
    """Whether draws (N,) go together at some distance, or mirrored about some place."""
    apart = draws.double().nan_to_num()
    apart = apart - apart.mean()
    power = float(apart.square().sum())
    if power == 0:
        return False
    spectrum = torch.fft.rfft(apart)
    shifted = torch.fft.irfft(spectrum * spectrum.conj(), n=len(draws))[1:] / power
    mirrored = torch.fft.irfft(spectrum.square(), n=len(draws)) / (math.sqrt(2) * power)
    limit = SURPRISING_LAG / math.sqrt(len(draws))
    return bool(shifted.abs().max() > limit or mirrored.abs().max() > limit)
