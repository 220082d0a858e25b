"""What the benchmark of stage 7 measures on the pictures of a film, (F, 3, H, W) in [-1, 1]."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from benchmarks.elastic import edges
from distillery.core.images import to_pil
from distillery.methods.morph_spacing import steps_of
from distillery.metrics.clip_score import ClipScorer
from distillery.metrics.counter import Counter
from distillery.metrics.judge import Judge
from distillery.toybox import THINGS

PASSES = 0.95  # of the model's single pictures, by the judge's certainty


class Viewer:
    """Sees pictures by the judge, the counter and CLIP.

    A picture shows one recognisable thing if the counter finds exactly one, and the judge names one
    of the things that were asked for, at least as surely as it does in 95 of 100 single pictures of
    the model.

    Args:
        pictures: what the judge's certainty is measured on, (N, 3, H, W), with their things.
    """

    def __init__(self, pictures: Tensor, things: Sequence[str]) -> None:
        self.judge, self.counter = Judge.load(), Counter.load()
        self._clip = ClipScorer("tiny-clip", device="cpu")
        sure = self._sure(pictures, [{thing} for thing in things])
        self.least = float(sure.quantile(1 - PASSES))

    def features(self, pictures: Tensor) -> Tensor:
        """What the judge's heads see, (F, D)."""
        with torch.no_grad():
            return self.judge.net.features(pictures)

    def clip(self, pictures: Tensor) -> Tensor:
        """CLIP's embeddings, (F, D)."""
        return self._clip.embed_images(to_pil(pictures))

    def recognised(self, pictures: Tensor, asked: Sequence[set[str]]) -> Tensor:
        """Which of the pictures show one recognisable thing, bool (F,).

        Args:
            asked: for each picture the things that may be in it.
        """
        one = torch.tensor([len(found) == 1 for found in self.counter.things(pictures)])
        return one & (self._sure(pictures, asked) >= self.least)

    def _sure(self, pictures: Tensor, asked: Sequence[set[str]]) -> Tensor:
        """The judge's probability of its first choice; 0 where that was not asked for."""
        with torch.no_grad():
            sure, first = self.judge.net(pictures)[0].softmax(1).max(1)
        right = [THINGS[k] in its for k, its in zip(first.tolist(), asked, strict=True)]
        return sure * torch.tensor(right)


def largest_step(seen: Tensor) -> float:
    """The largest step between neighbours over the mean step."""
    steps = steps_of(seen)
    return float(steps.max() / steps.mean())


def chroma(pictures: Tensor) -> Tensor:
    """How far pixels are from grey, the mean of each picture (F,)."""
    grey = pictures.mean(1, keepdim=True)
    return (pictures - grey).norm(dim=1).mean((1, 2))


def sharpness(pictures: Tensor) -> Tensor:
    """The mean of the absolute Laplacian of each picture, (F,)."""
    return edges(pictures).mean(1)


def middle(count: int) -> slice:
    """The middle third of a stretch of `count` frames."""
    return slice(count // 3, count - count // 3)


def in_the_middle(measured: Tensor) -> float:
    """The mean of the middle third of (F,), over that of the two ends."""
    return float(measured[middle(len(measured))].mean() / measured[[0, -1]].mean())
