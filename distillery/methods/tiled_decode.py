"""Latents of any size to pixels, a tile at a time, so that memory does not grow with the picture.

A decoder normalises over all of what it is given, so a tile alone has other colours than the same
part of the whole, and where tiles are put side by side one sees it; the release of ElasticDiffusion
warns of seams. Here tiles overlap by half, and one fades into the next.
"""

from __future__ import annotations

import torch
from torch import Tensor

from distillery.methods.any_size import pixels_per_cell
from distillery.methods.multidiffusion import starts
from distillery.models.prior import Prior


def decode_in_tiles(prior: Prior, latents: Tensor) -> Tensor:
    """Images (B, 3, H, W) of latents (B, C, h, w), by tiles of the size the model was trained for.

    Each picture of the batch is decoded by itself, tile by tile. What is no larger than a tile is
    decoded at once, and so exactly as by `prior.decode`.
    """
    return torch.cat([_one(prior, one[None]) for one in latents])


def _one(prior: Prior, latents: Tensor) -> Tensor:
    size, trained = latents.shape[-2:], prior.latent_size
    scale = pixels_per_cell(prior)
    rows, columns = (
        _fading(side, min(side, tile), pixels)
        for side, tile, pixels in zip(size, trained, scale, strict=True)
    )
    high, wide = (side * pixels for side, pixels in zip(size, scale, strict=True))
    image = torch.zeros(1, 3, high, wide, device=latents.device)
    for top, down in rows:
        for left, across in columns:
            tile = latents[..., top : top + trained[0], left : left + trained[1]]
            y, x = top * scale[0], left * scale[1]
            weights = (down[:, None] * across).to(latents.device)
            image[..., y : y + len(down), x : x + len(across)] += weights * prior.decode(tile)
    return image


def _fading(side: int, tile: int, pixels: int) -> list[tuple[int, Tensor]]:
    """Where tiles begin along a side, in cells, and the weights of a tile's pixels.

    A tile counts most in its middle, and the weights of all tiles sum to 1 at each pixel.
    """
    begins = starts(side, tile, max(1, tile // 2)).tolist()
    length = tile * pixels
    tent = torch.minimum(torch.arange(1, length + 1), torch.arange(length, 0, -1)).float()
    total = torch.zeros(side * pixels)
    for begin in begins:
        total[begin * pixels :][:length] += tent
    return [(begin, tent / total[begin * pixels :][:length]) for begin in begins]
