"""Decode a large picture tile by tile, so that memory does not grow with it, and no seam shows.

A decoder pads the edge of what it is given, and some of its layers divide by the mean size of all
that they see. So tiles differ where they meet, also in tone. Here they overlap and fade into each
other, so that no edge shows; what is left is a tone that is a little off. diffusers' own tiles
(`enable_tiling`) do so too, but only those of an autoencoder; these work with every prior.
"""

from __future__ import annotations

import torch
from torch import Tensor

from distillery.methods.any_size import pixels_per_cell
from distillery.methods.multidiffusion import starts
from distillery.models.prior import Prior


@torch.no_grad()
def decode_in_tiles(prior: Prior, latents: Tensor, *, overlap: float = 0.25) -> Tensor:
    """Pictures (B, 3, H, W) of latents (B, C, h, w), one tile of the trained size at a time.

    Args:
        overlap: the part of a tile's side that it shares with the next one, from 0 to below 1. The
            larger, the slower tiles fade, and the more tiles there are.
    """
    (h, w), (down, across) = latents.shape[-2:], pixels_per_cell(prior)
    a, b = (min(pair) for pair in zip((h, w), prior.latent_size, strict=True))
    tops, lefts = (
        starts(side, tile, max(1, round((1 - overlap) * tile))).tolist()
        for side, tile in ((h, a), (w, b))
    )
    weights = _ramp(a * down)[:, None] * _ramp(b * across)
    total = torch.zeros(len(latents), 3, h * down, w * across, device=latents.device)
    norm = torch.zeros(h * down, w * across, device=latents.device)
    for top, left in ((top, left) for top in tops for left in lefts):
        tile = prior.decode(latents[..., top : top + a, left : left + b])
        rows = slice(top * down, (top + a) * down)
        columns = slice(left * across, (left + b) * across)
        total[..., rows, columns] += weights.to(tile.device) * tile
        norm[rows, columns] += weights.to(norm.device)
    return total / norm


def _ramp(side: int) -> Tensor:
    """How much each pixel along a tile counts: the more, the farther it is from both ends."""
    place = torch.arange(side) + 0.5
    return torch.minimum(place, side - place)
