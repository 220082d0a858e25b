"""Drawings from a seed: a picture with its caption, facts, mask and depth."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import numpy as np

from distillery.toybox import scenes, things
from distillery.toybox.brush import Brush, Paper
from distillery.toybox.shapes import ellipse
from distillery.toybox.vocabulary import Factors, article, caption

HUES = {
    "red": (0.995, 0.86, 0.84),
    "orange": (0.075, 0.90, 0.95),
    "yellow": (0.142, 0.82, 0.97),
    "green": (0.36, 0.74, 0.58),
    "blue": (0.625, 0.80, 0.86),
    "purple": (0.775, 0.68, 0.66),
    "pink": (0.925, 0.44, 0.97),
    "white": (0.12, 0.02, 0.965),
}

WIDEST = 1.4  # beyond this aspect, two things side by side grow no more: the height limits them


@dataclass(frozen=True)
class Drawing:
    """One scene and its truth.

    `image` (H, W, 3) uint8 sRGB; `mask` (H, W) float32, 1 on the things; `labels` (H, W) uint8, k
    where the k-th thing is seen, from 1 on, and 0 on the scene; `depth` (H, W) float32, 1 nearest
    and 0 infinitely far; `factors`, one for each thing, the first in front.
    """

    image: np.ndarray
    mask: np.ndarray
    labels: np.ndarray
    depth: np.ndarray
    factors: tuple[Factors, ...]
    caption: str


def draw(factors: Factors, seed: int, *, size: tuple[int, int] = (64, 64)) -> Drawing:
    """Draw one thing in its scene; `size` is (height, width) in pixels.

    The same seed gives the same scene at every resolution. A thing is as large as the shorter side
    allows, so a tall picture holds all of it.
    """
    g = np.random.default_rng(seed)
    paper = Paper(*size)
    horizon = scenes.PAINT[factors.scene](paper, g)
    scale = g.uniform(0.23, 0.36) * min(1, paper.aspect)
    cx = paper.aspect / 2 + g.uniform(-0.17, 0.17) * paper.aspect
    labels = np.zeros(size, np.uint8)
    labels[place(paper, factors, cx=cx, scale=scale, horizon=horizon, g=g)] = 1
    return _finish(paper, labels, (factors,), caption(factors, g))


def draw_two(
    front: Factors, behind: Factors, seed: int, *, size: tuple[int, int] = (64, 64)
) -> Drawing:
    """Draw two things side by side in the scene of the first; the caption names both.

    They are smaller than a single thing, unless the picture is wide.

    Raises:
        ValueError: the two scenes differ.
    """
    if front.scene != behind.scene:
        raise ValueError(
            f"both things need one scene, got {front.scene!r} and {behind.scene!r}: pass the same"
        )
    g = np.random.default_rng(seed)
    paper = Paper(*size)
    horizon = scenes.PAINT[front.scene](paper, g)
    side = 1 if g.random() < 0.5 else -1
    middle, apart = paper.aspect / 2, 0.23 * paper.aspect
    labels = np.zeros(size, np.uint8)
    for label, factors, sign in ((2, behind, -side), (1, front, side)):
        cx = middle + sign * apart * g.uniform(0.9, 1.1)
        scale = g.uniform(0.19, 0.24) * min(WIDEST, paper.aspect)
        labels[place(paper, factors, cx=cx, scale=scale, horizon=horizon, g=g)] = label
    first, second = (f"{article(f.colour)} {f.colour} {f.thing}" for f in (front, behind))
    return _finish(paper, labels, (front, behind), f"{first} and {second} {front.scene}")


def place(
    paper: Paper,
    factors: Factors,
    *,
    cx: float,
    scale: float,
    horizon: float,
    g: np.random.Generator,
) -> np.ndarray:
    """Stand a thing on the ground of a painted scene, or let it float if there is none.

    Returns:
        Where it is seen, (H, W) bool.
    """
    afloat = horizon >= 1.0
    if afloat:
        foot = min(0.98, g.uniform(0.5, 0.66) + scale)
    else:
        foot = min(0.97, g.uniform(max(horizon + 0.1, 0.74), 0.95))
    lift = 0.0
    if factors.thing in things.FLOATING and not afloat:
        lift = g.uniform(0.1, 0.3) * things.FLOATING[factors.thing]
        lift = max(0.0, min(lift, foot - 2 * scale - 0.04))
    depth = 0.6 if afloat else 0.25 + 0.75 * (foot - horizon) / (1 - horizon)
    if not afloat:
        _shadow(paper, cx, foot, scale, lift)
    tilt = things.TILT.get(factors.thing, 0.04)
    brush = paper.at(
        cx,
        foot - lift - scale,
        scale,
        angle=g.uniform(-tilt, tilt),
        flip=bool(g.random() < 0.5),
    )
    brush.depth = float(np.clip(depth, 0, 1))
    brush.light = _light(g)
    others = paper.mask.copy()
    paper.mask[:] = 0
    things.DRAW[factors.thing](brush, shade_of(factors.colour, g), g)
    seen = paper.mask >= 0.5
    np.maximum(paper.mask, others, out=paper.mask)
    return seen


def shade_of(colour: str, g: np.random.Generator) -> np.ndarray:
    """A random shade with the colour's name, (3,) float32 in [0, 1]."""
    hue, saturation, value = HUES[colour]
    hue += g.uniform(-0.012, 0.012)
    saturation = np.clip(saturation + g.uniform(-0.07, 0.07) * (saturation > 0.1), 0, 1)
    value = np.clip(value + g.uniform(-0.08, 0.05), 0, 1)
    return np.array(colorsys.hsv_to_rgb(hue % 1.0, saturation, value), np.float32)


def _light(g: np.random.Generator) -> tuple[float, float]:
    angle = g.uniform(-0.8, 0.8)
    return float(np.sin(angle)), float(-np.cos(angle))


def _shadow(paper: Paper, cx: float, foot: float, scale: float, lift: float) -> None:
    brush: Brush = paper.at(cx, foot, scale)
    faint = 0.5 / (1 + 4 * lift)
    under = ellipse(brush.x, brush.y, 0, 0, 0.95, 0.16)
    brush.fill(under, np.zeros(3, np.float32), opacity=faint, softness=0.35)


def _finish(paper: Paper, labels: np.ndarray, factors: tuple[Factors, ...], text: str) -> Drawing:
    image = (np.clip(paper.rgb, 0, 1) * 255 + 0.5).astype(np.uint8)
    return Drawing(image, paper.mask, labels, np.clip(paper.depth, 0, 1), factors, text)
