"""Toybox drawings in other styles: as pixel art, and as stickers.

A styled drawing keeps the truth of the drawing that it is made from: its facts, caption, mask,
labels and depth.
"""

from __future__ import annotations

import colorsys
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from PIL import Image, ImageFilter

from distillery.toybox.drawing import HUES, Drawing

CELL = 2  # pixels across a cell of pixel art
CHECKED = (0.46, 0.54)  # a chequerboard stands for a share of the next colour between these
NEAR = 0.3  # colours that are farther apart in RGB are not mixed by a chequerboard
THIN = 0.3  # a cell is on a thing from this share on, so that masts and tails stay
DETAIL = 60.0  # how much more a pixel counts in its cell if it differs from those around it
FINE = 3  # stickers are cut at so many times the size, which makes their edges smooth
LINE, BORDER = 0.9, 4.0  # widths of a sticker's dark outline and of its white border, in pixels


def _colours(codes: str) -> np.ndarray:
    """Hex codes to (K, 3) in [0, 1]."""
    return np.array([list(bytes.fromhex(code)) for code in codes.split()], np.float32) / 255


INK = _colours("1c1830")[0]

# The middles of nine clusters of 60 drawn scenes in OKLab, from light to dark, then tuned by eye;
# each has a shade for the shadow under a thing.
RAMPS = {
    "on the grass": _colours(
        "f6fafd d2ebfa b0d9f5 8cc6f2 6cb0ea 93cc78 72b84a 58a13a 3f8530 2c6428"
    ),
    "in the desert": _colours(
        "fff5d0 fde0a8 f9ca88 f2b670 dca55f c68f4e a87840 8fa05a 547641 3a5634"
    ),
    "on a frozen river": _colours(
        "ffffff e6eef8 d0e2f2 b8d4ee a0c4e8 8ea6c4 84c8e6 68b2da 4c98c8 5c7ca4"
    ),
    "beside a waterfall": _colours(
        "f0fafe cfe8f5 9cc0cc 3f97a8 267290 1a4c66 83796f 6a625b 544c47 4a8a42 356030"
    ),
    "in the night sky": _colours("fdf2cc c8b8b0 7c6c98 4e3e8c 3a2e70 2d2461 211c51 141340"),
    "in the snow": _colours("ffffff ecf1f9 dce4f0 c4cdda acb8c8 98a5b8 7c8aa0 6e8790 4c686c"),
    "on the beach": _colours(
        "ffffff fff2b8 c6e9f5 9ad5f1 6cbce6 f4dfa8 e4c486 c4a06c 3aa0cc 2478b4 5c9c68 84684e"
    ),
    "in the forest": _colours("d2e2a8 b4cc92 94ac74 748a56 5a7c3c 466430 345026 6a5c42 4f3d2c"),
}
FLAT = {
    "on the grass": _colours("f6fafd a8d8f6 8fcf74 5fb048"),
    "in the desert": _colours("fff5d0 fbd59a e6b066 b88650 5f8a48"),
    "on a frozen river": _colours("e6eff8 c6dcf0 9cc6e8 64b6de"),
    "beside a waterfall": _colours("e4f3fa 3f97a8 22617c 736a62 4a8a42"),
    "in the night sky": _colours("fdf2cc 4a3a86 2d2461"),
    "in the snow": _colours("e0e8f3 aab8cb 4c6c70"),
    "on the beach": _colours("ffffff fff2b8 a0daf4 f4dfa8 2f8ec0 5c9c68 84684e"),
    "in the forest": _colours("c6dc9c 86a062 4c7236 34522a 5a4632"),
}
# What things have besides their own colour: cream, lamps, glass, flames, wood, leaves, tyres, rims.
DETAILS = _colours("fffaf0 f8e0a0 bfe4f8 ffa838 8a5a34 5c3a24 3f8f40 4c5664 2a2632")


def styled(drawing: Drawing, style: str) -> Drawing:
    """The drawing with its picture in a style of `STYLES`, and the same truth.

    Raises:
        ValueError: there is no such style, or a side is odd.
    """
    if style not in STYLES:
        raise ValueError(f"there is no style {style!r}: choose one of {', '.join(STYLES)}")
    return replace(drawing, image=STYLES[style](drawing))


def pixel_art(drawing: Drawing) -> np.ndarray:
    """Cells of 2 × 2 pixels in a few colours, the things in a dark outline; (H, W, 3) uint8.

    The scene takes the colours of its ramp, with a chequerboard between neighbouring ones, which is
    ordered dithering with two thresholds. Things take shades of their colour, and no dithering.

    Raises:
        ValueError: a side is odd.
    """
    height, width = drawing.mask.shape
    if height % CELL or width % CELL:
        raise ValueError(f"pixel art wants even sides, got {height} × {width}: add or cut a row")
    image = drawing.image / np.float32(255)
    everywhere = np.ones_like(drawing.mask)
    around = (drawing.mask < 0.02) + 1e-4 * everywhere
    ramp = RAMPS[_scene(drawing)]
    cells = ramp[_chequered(_means(image, around), ramp)]

    here = _blocks(drawing.mask).mean((1, 3)) >= THIN
    labels = _blocks(drawing.labels).max((1, 3))
    differs = ((image - _blurred(image, 2)) ** 2).sum(-1)
    inside = _means(image, (drawing.mask > 0.98) * (1 + DETAIL * differs) + 1e-4 * everywhere)
    for number, facts in enumerate(drawing.factors, 1):
        palette = np.concatenate([_shades(facts.colour), DETAILS])
        its = here & (labels == number)
        cells[its] = palette[_nearest(inside, palette)][its]
        cells[its & ~_eroded(its)] = INK
    return _bytes(cells.repeat(CELL, 0).repeat(CELL, 1))


def sticker(drawing: Drawing) -> np.ndarray:
    """Flat colours, and things cut out with a dark outline in a white border; (H, W, 3) uint8."""
    height, width = drawing.mask.shape
    image = np.stack([_enlarged(drawing.image[..., c]) for c in range(3)], -1) / np.float32(255)
    palette = FLAT[_scene(drawing)]
    fine = palette[_tidied(_nearest(_blurred(image, FINE), palette), 9)]
    cut = [
        _enlarged(np.where(drawing.labels == k, 255 * drawing.mask, 0).astype(np.uint8)) >= 128
        for k in range(1, len(drawing.factors) + 1)
    ]
    for mask in cut:
        fine[_grown(mask, BORDER * FINE)] = 1.0
    for facts, mask in zip(drawing.factors, cut, strict=True):
        palette = np.concatenate([_shades(facts.colour)[1:3], DETAILS])
        inside = palette[_tidied(_nearest(image, palette), 7)]
        fine[mask] = INK
        core = ~_grown(~mask, LINE * FINE)
        fine[core] = inside[core]
    return _bytes(fine.reshape(height, FINE, width, FINE, 3).mean((1, 3)))


STYLES: dict[str, Callable[[Drawing], np.ndarray]] = {"pixel": pixel_art, "sticker": sticker}


def _scene(drawing: Drawing) -> str:
    # The caption of a drawing without things is its scene.
    return drawing.factors[0].scene if drawing.factors else drawing.caption


def _shades(colour: str) -> np.ndarray:
    """Light, plain, shaded and dark, (4, 3). Shade turns towards red, as hand-mixed ramps do."""
    if colour == "white":
        return _colours("ffffff f4f0e6 c9c4d0 8f8aa4")
    hue, saturation, value = HUES[colour]
    plain = np.array(colorsys.hsv_to_rgb(hue, saturation, value))
    darker = [
        colorsys.hsv_to_rgb((hue - turn) % 1, min(1, saturation * 1.03), value * share)
        for turn, share in ((0.02, 0.72), (0.03, 0.48))
    ]
    return np.array([plain + 0.45 * (1 - plain), plain, *darker], np.float32)


def _chequered(image: np.ndarray, ramp: np.ndarray) -> np.ndarray:
    """Rows of `ramp` for an image (H, W, 3), a chequerboard of two of them where it is between."""
    order = _distances(image, ramp).argsort(-1, kind="stable")
    first, second = order[..., :2].min(-1), order[..., :2].max(-1)
    gap = ramp[second] - ramp[first]
    length = (gap**2).sum(-1)
    share = ((image - ramp[first]) * gap).sum(-1) / length
    rows, columns = np.indices(share.shape)
    threshold = np.where((rows + columns) % 2 == 0, *CHECKED)
    mixed = np.where(share > threshold, second, first)
    return np.where(length < NEAR**2, mixed, order[..., 0])


def _nearest(image: np.ndarray, palette: np.ndarray) -> np.ndarray:
    return _distances(image, palette).argmin(-1)


def _distances(image: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """Squared, in sRGB, of (H, W, 3) to (K, 3): (H, W, K)."""
    return ((image[..., None, :] - palette) ** 2).sum(-1)


def _blocks(values: np.ndarray) -> np.ndarray:
    """(H, W, ...) as (H / 2, 2, W / 2, 2, ...)."""
    height, width = values.shape[:2]
    return values.reshape(height // CELL, CELL, width // CELL, CELL, *values.shape[2:])


def _means(image: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The weighted mean of an image (H, W, 3) in every cell."""
    total = _blocks(weights).sum((1, 3))
    return _blocks(image * weights[..., None]).sum((1, 3)) / total[..., None]


def _blurred(image: np.ndarray, times: int) -> np.ndarray:
    """Means of 3 × 3 pixels, taken `times` times."""
    for _ in range(times):
        padded = np.pad(image, ((1, 1), (1, 1), (0, 0)), mode="edge")
        rows = padded[:-2] + padded[1:-1] + padded[2:]
        image = (rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]) / 9
    return image


def _eroded(here: np.ndarray) -> np.ndarray:
    """Without the cells that touch another by a side; the picture's own edge is no edge."""
    padded = np.pad(here, 1, mode="edge")
    return here & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]


def _grown(here: np.ndarray, radius: float) -> np.ndarray:
    """Everything within `radius` pixels of `here` (H, W) bool, by a disc, row by row."""
    reach = int(radius)
    height, width = here.shape
    padded = np.pad(here, reach)
    before = np.pad(padded.cumsum(1), ((0, 0), (1, 0)))
    grown = np.zeros_like(here)
    for down in range(-reach, reach + 1):
        half = int((radius**2 - down**2) ** 0.5)
        rows = before[reach + down : reach + down + height]
        first, last = reach - half, reach + half + 1
        grown |= rows[:, last : last + width] > rows[:, first : first + width]
    return grown


def _enlarged(channel: np.ndarray) -> np.ndarray:
    height, width = channel.shape
    size = (width * FINE, height * FINE)
    return np.asarray(Image.fromarray(channel).resize(size, Image.Resampling.BICUBIC))


def _tidied(indices: np.ndarray, side: int) -> np.ndarray:
    """Every index becomes the commonest in a square round it, which removes slivers."""
    picture = Image.fromarray(indices.astype(np.uint8))
    return np.asarray(picture.filter(ImageFilter.ModeFilter(side)))


def _bytes(image: np.ndarray) -> np.ndarray:
    return (image * 255 + 0.5).astype(np.uint8)
