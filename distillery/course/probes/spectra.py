"""Which frequencies of a picture act, where the right ones are only some of them."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from distillery.course.probes.views import View, number

ACTS = 1e-3  # of the largest amplitude; below that a frequency is rounding


def frequencies(view: View) -> Iterator[str]:
    """Frequencies that act and should not, and those that are missing."""
    if view.wanted.dim() != 4 or not view.pictures or min(view.wanted.shape[2:]) < 4:
        return
    should, do = _acting(view.wanted), _acting(view.came)
    if should.all() or not should.any() or not do.any():
        return
    height, width = view.wanted.shape[2:]
    down, across = torch.fft.fftfreq(height)[:, None], torch.fft.fftfreq(width)[None]
    length = (down.square() + across.square()).sqrt()
    more, fewer = int((do & ~should).sum()), int((should & ~do).sum())
    if not more and not fewer:
        yield f"{view.label} has the right {int(do.sum())} frequencies, but not their strengths."
        return
    lowest = [number(length[acting].min()) for acting in (do, should)]
    yield (
        f"{view.label}: of {do.numel()} frequencies {more} act that should not, and {fewer} are "
        f"missing; the lowest that acts is {lowest[0]}, wanted is {lowest[1]} cycles per pixel."
    )


def _acting(pictures: Tensor) -> Tensor:
    """(h, w): which frequencies any channel of any picture holds."""
    amplitudes = torch.fft.fft2(pictures.double()).abs()
    return (amplitudes > ACTS * amplitudes.max()).flatten(0, 1).any(dim=0)
