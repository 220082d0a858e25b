"""The random numbers of the browser's page, number for number; see browser_page/random.js.

Generators of PyTorch cannot be had in a browser. So the page has one of its own, and who wants to
see its picture in Python draws from this twin.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

MASK = 0xFFFFFFFF


def _rotated(value: int, bits: int) -> int:
    return (value << bits | value >> (32 - bits)) & MASK


def _splitmix32(seed: int, count: int) -> list[int]:
    numbers = []
    for index in range(1, count + 1):
        state = (seed + index * 0x9E3779B9) & MASK
        mixed = (state ^ state >> 16) * 0x21F0AAAD & MASK
        mixed = (mixed ^ mixed >> 15) * 0x735A2D97 & MASK
        numbers.append(mixed ^ mixed >> 15)
    return numbers


class PageRandom:
    """xoshiro128** (Blackman and Vigna 2021, arXiv 1805.01407), and normal numbers made of it.

    Args:
        seed: from 0 to 2**32 - 1.
    """

    def __init__(self, seed: int) -> None:
        self.state = _splitmix32(seed, 4)

    def bits(self) -> int:
        """A whole number from 0 to 2**32 - 1."""
        s = self.state
        result = _rotated(s[1] * 5 & MASK, 7) * 9 & MASK
        shifted = s[1] << 9 & MASK
        s[2] ^= s[0]
        s[3] ^= s[1]
        s[1] ^= s[2]
        s[0] ^= s[3]
        s[2] ^= shifted
        s[3] = _rotated(s[3], 11)
        return result

    def uniform(self) -> float:
        """A number between 0 and 1, neither of them."""
        return (self.bits() + 0.5) / 2**32

    def integer(self, first: int, last: int) -> int:
        """A whole number from `first` to `last`, both included."""
        return first + math.floor(self.uniform() * (last - first + 1))

    def normal(self, *shape: int) -> Tensor:
        """Standard normal numbers, float32 of that shape, by Box and Muller's formula (1958)."""
        count = math.prod(shape)
        drawn: list[float] = []
        while len(drawn) < count:
            radius = math.sqrt(-2 * math.log(self.uniform()))
            angle = 2 * math.pi * self.uniform()
            drawn += [radius * math.cos(angle), radius * math.sin(angle)]
        return torch.tensor(drawn[:count], dtype=torch.float64).float().view(shape)
