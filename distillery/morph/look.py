"""What is seen of a frame, to say how far apart two are."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from distillery.core.images import to_pil
from distillery.methods.morph_drawing import decoded
from distillery.methods.morph_spacing import Look
from distillery.metrics.clip_score import ClipScorer
from distillery.metrics.judge import SIZE, Judge
from distillery.models.presets import find_preset
from distillery.models.prior import Prior

COARSE = 32  # pixels of a side, at which pictures are compared pixel by pixel


def look_at(prior: Prior, model: str) -> Look:
    """What is seen of latents of a model: their pixels, and what a classifier or CLIP sees.

    Models that come with the course are seen by the judge, those of the hub by CLIP. A folder of
    one's own brings neither, and is seen by pixels alone.
    """
    features = _features(model)

    @torch.no_grad()
    def look(latents: Tensor) -> list[Tensor]:
        images = decoded(prior, latents).float().cpu().clamp(-1, 1)
        coarse = min(COARSE, *images.shape[-2:])
        seen = [interpolate(images, (coarse, coarse), mode="area")]
        return seen if features is None else [*seen, features(images)]

    return look


def _features(model: str) -> Callable[[Tensor], Tensor] | None:
    """From pictures (N, 3, H, W) in [-1, 1] to (N, D)."""
    preset = find_preset(model)
    if preset.embedded:
        net = Judge.load().net
        return lambda images: net.features(interpolate(images, (SIZE, SIZE), mode="area"))
    if preset.local or preset.family == "exact":
        return None
    scorer = ClipScorer(preset.clip_scorer, device="cpu")
    return lambda images: scorer.embed_images(to_pil(images))
