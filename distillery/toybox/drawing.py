"""Drawings from a seed: a picture with its caption, facts, mask and depth."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass, replace

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
REACH = 1.4  # of a thing from its middle, in units of its scale, turned as it may be
LARGEST = 0.35  # scale at which a thing fits into a square, however it is turned
ROOM = 0.12  # how far a thing may lean over into the next one's place, in shares of a place


@dataclass(frozen=True)
class Place:
    """Where a thing is: its middle `cx`, the ground under it at `foot`, and how it is lifted.

    All of it, `scale` too, which is half its height, in heights of the picture.
    """

    cx: float
    foot: float
    scale: float
    lift: float = 0.0

    @property
    def cy(self) -> float:
        """Its middle, from the upper edge."""
        return self.foot - self.lift - self.scale


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
    allows, and a tall picture holds all of it; in a square or a wide one, a tail or a tip of about
    one in twenty ends at the edge.
    """
    g = np.random.default_rng(seed)
    paper = Paper(*size)
    horizon = scenes.PAINT[factors.scene](paper, g)
    scale = g.uniform(0.23, 0.36) * min(1, paper.aspect)
    cx = paper.aspect / 2 + g.uniform(-0.17, 0.17) * paper.aspect
    if paper.aspect < 1:
        cx = _within(cx, scale, paper.aspect)
    labels = np.zeros(size, np.uint8)
    place = standing(factors.thing, cx=cx, scale=scale, horizon=horizon, g=g)
    labels[put(paper, factors, place, horizon=horizon, g=g)] = 1
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
        place = standing(factors.thing, cx=cx, scale=scale, horizon=horizon, g=g)
        labels[put(paper, factors, place, horizon=horizon, g=g)] = label
    first, second = (f"{article(f.colour)} {f.colour} {f.thing}" for f in (front, behind))
    return _finish(paper, labels, (front, behind), f"{first} and {second} {front.scene}")


def draw_several(
    factors: Sequence[Factors], seed: int, *, size: tuple[int, int] = (64, 64)
) -> Drawing:
    """Draw things beside each other in one scene, each of them whole, in any order of depth.

    Every thing has a share of the width and may lean over a little into the next, so neighbours may
    touch or hide a strip of each other. Which is left of which is chance. `size` is (height, width)
    in pixels. The caption names all things.

    Args:
        factors: of the things, at least one; all name the same scene.

    Raises:
        ValueError: there is no thing, or the scenes differ.
    """
    if len({f.scene for f in factors}) != 1:
        raise ValueError(
            f"draw_several wants one thing or more in one scene, got {len(factors)} in the scenes "
            f"{sorted({f.scene for f in factors})}: pass things of the same scene"
        )
    g = np.random.default_rng(seed)
    paper = Paper(*size)
    horizon = scenes.PAINT[factors[0].scene](paper, g)
    share = paper.aspect / len(factors)
    places = []
    for slot, number in enumerate(g.permutation(len(factors))):
        scale = min(LARGEST * min(1, paper.aspect), g.uniform(0.26, 0.42) * share)
        free = max(0.0, (0.5 + ROOM) * share - REACH * scale)
        place = standing(
            factors[number].thing,
            cx=(slot + 0.5) * share + g.uniform(-free, free),
            scale=scale,
            horizon=horizon,
            g=g,
        )
        places.append((place.foot, int(number), _whole(place, paper.aspect)))
    labels = np.zeros(size, np.uint8)
    for _, number, place in sorted(places, key=lambda row: row[:2]):
        labels[put(paper, factors[number], place, horizon=horizon, g=g)] = number + 1
    told = " and ".join(f"{article(f.colour)} {f.colour} {f.thing}" for f in factors)
    return _finish(paper, labels, tuple(factors), f"{told} {factors[0].scene}")


def draw_scene(scene: str, seed: int, *, size: tuple[int, int] = (64, 64)) -> Drawing:
    """Draw a scene with nothing in it; `scene` is a word of `SCENES`, and the caption."""
    paper = Paper(*size)
    scenes.PAINT[scene](paper, np.random.default_rng(seed))
    return _finish(paper, np.zeros(size, np.uint8), (), scene)


def standing(
    thing: str, *, cx: float, scale: float, horizon: float, g: np.random.Generator
) -> Place:
    """A place on the ground of a painted scene, or anywhere in the middle if there is none."""
    if horizon >= 1.0:
        return Place(cx, min(0.98, g.uniform(0.5, 0.66) + scale), scale)
    foot = min(0.97, g.uniform(max(horizon + 0.1, 0.74), 0.95))
    lift = 0.0
    if thing in things.FLOATING:
        lift = g.uniform(0.1, 0.3) * things.FLOATING[thing]
        lift = max(0.0, min(lift, foot - 2 * scale - 0.04))
    return Place(cx, foot, scale, lift)


def put(
    paper: Paper, factors: Factors, place: Place, *, horizon: float, g: np.random.Generator
) -> np.ndarray:
    """Draw a thing in its place on a painted scene.

    Returns:
        Where it is seen, (H, W) bool.
    """
    depth = 0.6
    if horizon < 1.0:
        depth = 0.25 + 0.75 * (place.foot - horizon) / (1 - horizon)
        _shadow(paper, place)
    tilt = things.TILT.get(factors.thing, 0.04)
    brush = paper.at(
        place.cx,
        place.cy,
        place.scale,
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


def _shadow(paper: Paper, place: Place) -> None:
    brush: Brush = paper.at(place.cx, place.foot, place.scale)
    faint = 0.5 / (1 + 4 * place.lift)
    under = ellipse(brush.x, brush.y, 0, 0, 0.95, 0.16)
    brush.fill(under, np.zeros(3, np.float32), opacity=faint, softness=0.35)


def _within(middle: float, scale: float, length: float) -> float:
    """The middle of a thing, moved as little as needed for all of it to lie in [0, length]."""
    return max(REACH * scale, min(middle, length - REACH * scale))


def _whole(place: Place, width: float) -> Place:
    down = _within(place.cy, place.scale, 1.0) - place.cy
    cx = _within(place.cx, place.scale, width)
    return replace(place, cx=cx, foot=place.foot + down)


def _finish(paper: Paper, labels: np.ndarray, factors: tuple[Factors, ...], text: str) -> Drawing:
    image = (np.clip(paper.rgb, 0, 1) * 255 + 0.5).astype(np.uint8)
    return Drawing(image, paper.mask, labels, np.clip(paper.depth, 0, 1), factors, text)
