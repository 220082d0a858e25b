"""Chooses small pictures by CLIP: the one to start from, and the one of a run to keep."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from PIL import Image

from distillery.core.images import enlarged
from distillery.metrics.clip_score import ClipScorer
from distillery.models.presets import find_preset
from distillery.pixelart.settings import PixelSettings


def favourite(
    pictures: Sequence[Image.Image], settings: PixelSettings, *, device: torch.device
) -> int:
    """Which of the pictures fits the prompt best, the last of equals; one alone is not scored.

    What is transparent is seen as white.

    Raises:
        CourseError: CLIP's weights cannot be loaded.
    """
    if len(pictures) == 1:
        return 0
    scorer = ClipScorer(find_preset(settings.model).clip_scorer, device=device)
    large = [enlarged(picture).convert("RGB") for picture in pictures]
    scores = scorer.score(large, [settings.prompt] * len(large))
    return max(range(len(scores)), key=lambda number: (scores[number], number))


def moments(settings: PixelSettings) -> list[int]:
    """The steps of the second half after which a run is looked at: even, the last among them.

    The first half is left out, so that what is chosen is distilled and not the start again. Where
    there is nothing to choose there are none.
    """
    if settings.choices == 1 or not settings.prompt:
        return []
    half, last = settings.steps // 2, settings.steps - 1
    return sorted({last - k * half // settings.choices for k in range(settings.choices)})
