"""From frames to indices of one palette, so that what stands still keeps its colour.

A palette for every frame flashes, and a pixel between two colours flickers with the slightest
change. So the palette is found over all frames, a pixel keeps its colour until another is clearly
nearer, and a dither pattern is fixed to the grid. Colours are compared in OKLab.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from PIL import Image
from torch import Tensor

from distillery.core.counting import counted
from distillery.core.errors import CourseError
from distillery.methods.morph import MorphFunctions
from distillery.palettes.colours import checked, oklab_to_srgb, srgb_to_oklab
from distillery.palettes.matching import distinct_colours, distinct_in_8_bits, squared_distances
from distillery.pixelart.frame_grid import Reduction, on_grid

Dithering = Literal["none", "bayer"]
DITHERINGS: tuple[Dithering, ...] = get_args(Dithering)
MOST_COLOURS = 256
MARGIN = 0.03  # in OKLab, where 0.02 is about what the eye can tell apart
STILL = 0.005  # OKLab, about a level of 8 bits; what moves less from frame to frame is static
FITTED = 2**14  # pixels at most that a palette is found from
STARTS, STEPS = 4, 60  # of k-means
SETTLED = 5e-4  # OKLab; once nothing moves farther, k-means ends
BESIDE = 0.5  # of the squared distance to a colour: a mixture that is no nearer is not worth it
AT_ONCE = 2**24  # distances between pixels and colours


@dataclass(frozen=True)
class PixelSequence:
    """An animation in pixels.

    indices: int64 (F, h, w), rows of the palette.
    palette: (K, 3), sRGB in [0, 1], each colour exact in 8 bits.
    """

    indices: Tensor
    palette: Tensor

    @property
    def frames(self) -> Tensor:
        """The frames in colour, (F, 3, h, w) in [-1, 1]."""
        return 2 * self.palette[self.indices].movedim(-1, 1) - 1


def pixel_sequence(
    frames: Tensor | Sequence[Image.Image],
    functions: MorphFunctions,
    *,
    size: tuple[int, int],
    palette: Tensor | int,
    generator: torch.Generator,
    reduction: Reduction = "auto",
    dithering: Dithering = "none",
    margin: float = MARGIN,
    loop: bool = False,
) -> PixelSequence:
    """Frames on a grid, in one palette.

    Args:
        frames: (F, 3, H, W) in [-1, 1], or pictures of one size.
        functions: the student's module, or the reference.
        size: of the grid, (h, w).
        palette: colours (K, 3) in [0, 1], or how many to find over all frames.
        generator: of the colours that the search begins with, on the CPU.
        reduction: see `on_grid`.
        dithering: "none", or "bayer" for a pattern that is fixed to the grid.
        margin: how much nearer, in OKLab, another colour must be to be taken; 0 keeps nothing.
        loop: the first frame follows the last.

    Raises:
        CourseError: frames, size, palette, dithering or margin cannot be used.
    """
    small = on_grid(frames, size, reduction=reduction).cpu()
    if isinstance(palette, int):
        colours = palette_of(small, palette, functions, generator=generator)
    else:
        colours = checked(palette)
        check_count(len(colours))
    indices = indices_of(small, colours, functions, dithering=dithering, margin=margin, loop=loop)
    return PixelSequence(indices, colours)


def check_count(colours: int) -> None:
    """Raises `CourseError` if an animation cannot have so many colours."""
    if not 2 <= colours <= MOST_COLOURS:
        raise CourseError(
            f"an animation has one palette of 2 to {MOST_COLOURS} colours; it was {colours:,}: "
            "ask for fewer, or name a smaller palette."
        )


def palette_of(
    frames: Tensor, colours: int, functions: MorphFunctions, *, generator: torch.Generator
) -> Tensor:
    """The palette (K, 3) of all frames (F, 3, h, w), dark to light, exact in 8 bits.

    The best of four k-means in OKLab, each begun by k-means++ (Arthur and Vassilvitskii 2007)
    and led on by `functions.shared_palette` until it settles. Of more than 16,384 pixels, so many
    are drawn from all frames.

    Where the frames have fewer colours than asked, the palette is those, and a warning says so.

    Raises:
        CourseError: not 2 to 256 colours are asked for, or all frames are of one.
    """
    check_count(colours)
    distinct = distinct_colours(frames)
    if len(distinct) < 2:
        raise CourseError("all frames are of one and the same colour; a palette needs 2.")
    if len(distinct) <= colours:
        if len(distinct) < colours:
            warnings.warn(
                f"the frames have {counted(len(distinct), 'colour')}, fewer than the {colours} "
                "asked for; the palette is those.",
                stacklevel=2,
            )
        return _dark_to_light(distinct.float() / 255)
    pixels = srgb_to_oklab((frames.movedim(1, -1).reshape(-1, 3) + 1) / 2)
    if len(pixels) > FITTED:
        pixels = pixels[torch.randperm(len(pixels), generator=generator)[:FITTED]]
    ends = [_settled(pixels, colours, functions, generator) for _ in range(STARTS)]
    centres = min(ends, key=lambda ends: float(_gaps(pixels, ends).sum()))
    return _dark_to_light(distinct_in_8_bits(oklab_to_srgb(centres), distinct))


def _settled(
    pixels: Tensor, colours: int, functions: MorphFunctions, generator: torch.Generator
) -> Tensor:
    """The colours (K, 3) that steps of k-means from one start end at."""
    centres = _plus_plus(pixels, colours, generator)
    for _ in range(STEPS):
        before, centres = centres, functions.shared_palette(pixels[None, None], centres)
        if (centres - before).norm(dim=1).max() < SETTLED:
            break
    return centres


def _gaps(pixels: Tensor, centres: Tensor) -> Tensor:
    """The squared distance of each pixel (N, 3) to the nearest colour, (N,)."""
    pieces = pixels.split(max(1, AT_ONCE // len(centres)))
    return torch.cat([squared_distances(piece, centres).amin(dim=1) for piece in pieces])


def _dark_to_light(palette: Tensor) -> Tensor:
    return palette[srgb_to_oklab(palette)[:, 0].argsort()]


def _plus_plus(pixels: Tensor, colours: int, generator: torch.Generator) -> Tensor:
    """Pixels to begin k-means with, each drawn as likely as its distance squared to those before.

    Args:
        pixels: (N, 3).
    """
    first = torch.randint(len(pixels), (1,), generator=generator)
    centres = pixels[first]
    gap = squared_distances(pixels, centres)[:, 0]
    for _ in range(colours - 1):
        chosen = pixels[torch.multinomial(gap + 1e-12, 1, generator=generator)]
        centres = torch.cat([centres, chosen])
        gap = torch.minimum(gap, squared_distances(pixels, chosen)[:, 0])
    return centres


def indices_of(
    frames: Tensor,
    palette: Tensor,
    functions: MorphFunctions,
    *,
    dithering: Dithering = "none",
    margin: float = MARGIN,
    loop: bool = False,
) -> Tensor:
    """Frames (F, 3, h, w) in a palette's colours: rows of it, int64 (F, h, w).

    Without dithering, colours are held by `functions.hold_colours`. With it, they are held before:
    a pixel's true colour stays until it has moved by more than the margin, and the pattern of a
    colour that stays does not change. Frames that loop go round twice, and the second round is
    taken: its first frame follows the last one.

    Raises:
        CourseError: there is no such dithering, or the margin is negative.
    """
    if dithering not in DITHERINGS:
        raise CourseError(f"dithering is {' or '.join(DITHERINGS)}; it was {dithering!r}.")
    if not 0 <= margin <= 1:
        raise CourseError(f"margin must be 0 to 1, a distance in OKLab; it was {margin}.")
    pixels = srgb_to_oklab((frames.movedim(1, -1) + 1) / 2)
    colours = srgb_to_oklab(palette)
    rounds = torch.cat([pixels, pixels]) if loop else pixels
    if dithering == "bayer":
        indices = _ordered(_calmed(rounds, margin)[-len(pixels) :], colours)
    else:
        indices = _held(rounds, colours, functions, margin)[-len(pixels) :]
    return indices


def _held(pixels: Tensor, colours: Tensor, functions: MorphFunctions, margin: float) -> Tensor:
    """`functions.hold_colours` in stretches of frames, since it may keep all distances at once.

    Each stretch begins with the frame before it in its own colours, which are held as they are.
    """
    at_once = max(1, AT_ONCE // (pixels[0].numel() // 3 * len(colours)))
    first, *others = pixels.split(at_once)
    indices = [functions.hold_colours(first, colours, margin)]
    for stretch in others:
        before = colours[indices[-1][-1:]]
        held = functions.hold_colours(torch.cat([before, stretch]), colours, margin)
        indices.append(held[1:])
    return torch.cat(indices)


def _calmed(pixels: Tensor, margin: float) -> Tensor:
    """Pixels (F, h, w, 3) that stay at a colour until they have moved from it by `margin`."""
    calm = [pixels[0]]
    for frame in pixels[1:]:
        moved = (frame - calm[-1]).norm(dim=-1, keepdim=True) > margin
        calm.append(torch.where(moved, frame, calm[-1]))
    return torch.stack(calm)


def bayer() -> Tensor:
    """Bayer's thresholds of 2 x 2 pixels (1973): so few leave flat areas without single dots."""
    return (torch.tensor([[0, 2], [3, 1]]) + 0.5) / 4


def _ordered(pixels: Tensor, colours: Tensor) -> Tensor:
    """Of the two nearest colours of each pixel (F, h, w, 3), the one that the pattern says.

    The nearer the pixel lies to one of the two, the more places of the pattern get that one. A
    pixel that does not lie between them gets the nearest.
    """
    height, width = pixels.shape[1:3]
    pattern = bayer().repeat(-(-height // 2), -(-width // 2))[:height, :width].flatten()
    frames = []
    for frame in pixels:
        points = frame.reshape(-1, 3)
        gaps, near = squared_distances(points, colours).topk(2, largest=False)
        # In the order of the palette: which of the two is nearer must not turn the pattern round.
        low, high = near.sort(dim=1).values.unbind(dim=1)
        along = colours[high] - colours[low]
        part = ((points - colours[low]) * along).sum(1) / along.square().sum(1)
        beside = (points - torch.lerp(colours[low], colours[high], part[:, None])).square().sum(1)
        mixed = torch.where(part > pattern, high, low)
        frames.append(torch.where(beside < BESIDE * gaps[:, 0], mixed, near[:, 0]))
    return torch.stack(frames).view(-1, height, width)


def changes(frames: Tensor, indices: Tensor, *, loop: bool = False) -> float:
    """Of the pixels that are static from one frame to the next, the share whose index changes.

    Args:
        frames: (F, 3, h, w) in [-1, 1] before any palette. A pixel is static where its colour
            moves by at most 0.005 in OKLab.
        indices: (F, h, w).
        loop: the first frame follows the last.

    Returns:
        0 to 1; 0 where nothing is static.
    """
    pixels = srgb_to_oklab((frames.movedim(1, -1) + 1) / 2)
    if loop:
        pixels, indices = torch.cat([pixels, pixels[:1]]), torch.cat([indices, indices[:1]])
    static = (pixels[1:] - pixels[:-1]).norm(dim=-1) <= STILL
    changed = indices[1:] != indices[:-1]
    return float((static & changed).sum() / static.sum().clamp(min=1))
