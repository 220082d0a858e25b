"""A palette made for a picture: K-means of its colours."""

from __future__ import annotations

import torch
from torch import Tensor

from distillery.core.errors import CourseError
from distillery.palettes.colours import MOST, checked, oklab_to_srgb, srgb_to_oklab
from distillery.palettes.matching import SPACES, Space, squared_distances

STARTS = 4
STEPS = 100
A_TENTH_OF_A_LEVEL = 0.1 / 255
FINE = 2**15  # colours; a picture of more is clustered by the means of cells of the cube


@torch.no_grad()
def kmeans_palette(
    image: Tensor, colours: int, *, generator: torch.Generator, space: Space = "oklab"
) -> Tensor:
    """The `colours` that stand for the pixels of `image` `(B, 3, H, W)` in [-1, 1], dark to light.

    The best of four K-means, each begun by k-means++ (Arthur and Vassilvitskii 2007) and led to
    its end by Lloyd's steps, over the different colours weighted by their pixels. The palette
    `(K, 3)` is rounded to 8 bits; it is found on the CPU.

    Raises:
        CourseError: the picture has fewer different colours, or `colours` is not 2 to 1,000.
    """
    if not 2 <= colours <= MOST:
        raise CourseError(f"a palette has 2 to {MOST:,} colours; {colours:,} were asked for.")
    if space not in SPACES:
        raise CourseError(f"colours are clustered in {' or '.join(SPACES)}; it was {space!r}.")
    distinct, weights = histogram(image)
    if len(distinct) < colours:
        held = "one colour" if len(distinct) == 1 else f"{len(distinct)} different colours"
        raise CourseError(
            f"the picture has {held}, fewer than the {colours} asked for; "
            "ask for fewer, or give another picture."
        )
    there, back = (srgb_to_oklab, oklab_to_srgb) if space == "oklab" else (_same, _same)
    points, weights = _thinned(distinct.float(), weights, enough=4 * colours)
    points = there(points / 255)
    starts = [_plus_plus(points, weights, colours, generator) for _ in range(STARTS)]
    ends = [_lloyd(points, weights, centres) for centres in starts]
    _, centres = min(ends, key=lambda end: end[0])
    palette = distinct_in_8_bits(back(centres), distinct)
    return checked(palette[srgb_to_oklab(palette)[:, 0].argsort()])


def _same(colours: Tensor) -> Tensor:
    return colours


def histogram(image: Tensor) -> tuple[Tensor, Tensor]:
    """The different 8-bit colours `(N, 3)`, int64, and how many pixels have each, `(N,)`."""
    levels = ((image.cpu().float().clamp(-1, 1) + 1) * 127.5).round().to(torch.int32)
    red, green, blue = levels.unbind(dim=1)
    codes, pixels = (red * 65536 + green * 256 + blue).flatten().unique(return_counts=True)
    return torch.stack([codes >> 16, codes >> 8 & 255, codes & 255], dim=1).long(), pixels.float()


def _thinned(points: Tensor, weights: Tensor, *, enough: int) -> tuple[Tensor, Tensor]:
    """Many points as the means of cells, the coarsest that leave `enough`, and their weights."""
    if len(points) <= FINE:
        return points, weights
    for bits in (3, 2, 1):
        steps = torch.tensor([2**16, 2**8, 1])
        codes, cells = ((points.long() >> bits) @ steps).unique(return_inverse=True)
        if len(codes) >= enough:
            mass = cells.bincount(weights)
            return _sums(cells, points, weights, len(codes)) / mass[:, None], mass
    return points, weights


def _sums(labels: Tensor, points: Tensor, weights: Tensor, groups: int) -> Tensor:
    channels = [labels.bincount(weights * channel, groups) for channel in points.unbind(dim=1)]
    return torch.stack(channels, dim=1)


def _plus_plus(points: Tensor, weights: Tensor, colours: int, generator: torch.Generator) -> Tensor:
    """Points `(colours, 3)`, each drawn by its squared distance from those before."""
    chosen = points[_draw(weights, generator)]
    gap = squared_distances(points, chosen)[:, 0]
    while len(chosen) < colours:
        new = points[_draw(weights * gap, generator)]
        chosen = torch.cat([chosen, new])
        gap = gap.minimum(squared_distances(points, new)[:, 0])
    return chosen


def _draw(weights: Tensor, generator: torch.Generator) -> Tensor:
    return torch.multinomial(weights.to(generator.device), 1, generator=generator).cpu()


def _lloyd(points: Tensor, weights: Tensor, centres: Tensor) -> tuple[float, Tensor]:
    """The sum of squared distances and the centres `(K, 3)`, once they have come to rest."""
    for _ in range(STEPS):
        gap, labels = squared_distances(points, centres).min(dim=1)
        mass = labels.bincount(weights, len(centres))
        means = _sums(labels, points, weights, len(centres)) / mass[:, None]
        empty = mass == 0
        # A centre without points takes the place of a point that is badly stood for.
        means[empty] = points[(weights * gap).topk(int(empty.sum())).indices]
        rest = (means - centres).abs().max() < A_TENTH_OF_A_LEVEL
        centres = means
        if rest:
            break
    return float(weights @ gap), centres


def distinct_in_8_bits(centres: Tensor, distinct: Tensor) -> Tensor:
    """The centres rounded; where two fall together, the picture's most distant colour comes in."""
    levels = (centres.clamp(0, 1) * 255).round().long().unique(dim=0)
    while len(levels) < len(centres):
        gap = squared_distances(distinct.float(), levels.float()).min(dim=1).values
        levels = torch.cat([levels, distinct[gap.argmax()][None]])
    return levels.float() / 255
