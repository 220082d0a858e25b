"""The eight scenes. Each paints the whole paper and returns the horizon, the height of the ground.

The depth map is painted with the picture: only the far sky has depth 0, and the ground comes nearer
    towards the lower edge.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from distillery.toybox.brush import Paper, rgb
from distillery.toybox.shapes import (
    box,
    circle,
    common,
    ellipse,
    polygon,
    polyline,
    union,
)

Paint = Callable[[Paper, np.random.Generator], float]


def vary(colour: tuple[int, int, int], g: np.random.Generator, by: float = 14) -> np.ndarray:
    """A shade near an 8-bit colour, in [0, 1]."""
    light = g.uniform(-by, by)
    shade = rgb(*colour) + light + 0.6 * g.uniform(-by, by, 3)
    return (np.clip(shade, 0, 255) / 255).astype(np.float32)


def blend(top: np.ndarray, bottom: np.ndarray, t: np.ndarray) -> np.ndarray:
    """From one colour to another along `t` (H, W) in [0, 1]; (H, W, 3)."""
    return top + np.clip(t, 0, 1)[..., None] * (bottom - top)


def waves(paper: Paper, g: np.random.Generator, across: float, down: float) -> np.ndarray:
    """Smooth bumps in [-1, 1] from a few random sines, (H, W)."""
    total = np.zeros_like(paper.x)
    for _ in range(3):
        kx, ky = g.uniform(-across, across), g.uniform(-down, down)
        total += np.sin(kx * paper.x + ky * paper.y + g.uniform(0, 6.3)).astype(np.float32)
    return total / 3


def sky(paper: Paper, top: np.ndarray, bottom: np.ndarray, horizon: float) -> None:
    """A gradient down to the horizon, infinitely far."""
    paper.rgb[:] = blend(top, bottom, paper.y / horizon)


def ground(paper: Paper, edge: np.ndarray, far: np.ndarray, near: np.ndarray) -> np.ndarray:
    """Everything below the line `edge` (H, W); returns its coverage, and fills in its depth."""
    horizon = float(edge.mean())
    t = (paper.y - horizon) / (1 - horizon)
    alpha = np.clip(0.5 - (edge - paper.y) * paper.pixels_per_unit, 0, 1)
    paper.rgb += alpha[..., None] * (blend(far, near, t) - paper.rgb)
    paper.depth += alpha * (0.25 + 0.75 * np.clip(t, 0, 1) - paper.depth)
    return alpha


def clouds(paper: Paper, g: np.random.Generator, colour: np.ndarray, count: int) -> None:
    """Heaps of soft discs in the upper third."""
    for _ in range(count):
        b = paper.at(g.uniform(0, paper.aspect), g.uniform(0.04, 0.26), g.uniform(0.07, 0.13))
        puffs = [
            ellipse(b.x, b.y, x, -0.15 * (1 - abs(x)), g.uniform(0.5, 0.7), g.uniform(0.25, 0.4))
            for x in (-0.7, 0.0, 0.7)
        ]
        b.fill(union(*puffs), colour, softness=0.2, opacity=0.9)


def sun(paper: Paper, g: np.random.Generator, colour: np.ndarray, height: float) -> None:
    """A disc with a glow."""
    cx = g.choice([g.uniform(0.08, 0.3), g.uniform(0.7, 0.92)]) * paper.aspect
    b = paper.at(cx, height, g.uniform(0.06, 0.09))
    glow = circle(b.x, b.y, 0, 0, 1.0)
    b.fill(glow, colour, softness=1.3, opacity=0.45)
    b.fill(glow, colour)


def sides(paper: Paper, g: np.random.Generator, count: int) -> list[float]:
    """Places near the left and the right edge, where things are rare."""
    places = [
        g.uniform(0.0, 0.2) if g.random() < 0.5 else g.uniform(0.8, 1.0) for _ in range(count)
    ]
    return [place * paper.aspect for place in places]


def pine(
    paper: Paper, cx: float, foot: float, scale: float, colour: np.ndarray, depth: float
) -> None:
    """A small conifer."""
    b = paper.at(cx, foot - scale, scale)
    b.depth = None
    tiers = [
        polygon(b.x, b.y, [(-w, y), (0, y - 0.8), (w, y)], 0.02)
        for w, y in ((0.5, 0.85), (0.42, 0.4), (0.3, -0.05))
    ]
    shape = union(*tiers, box(b.x, b.y, -0.08, 0.8, 0.08, 1.0))
    b.fill(shape, colour)


def grass(paper: Paper, g: np.random.Generator) -> float:
    """A meadow under a blue sky, with hills, tufts and maybe clouds."""
    horizon = g.uniform(0.5, 0.64)
    sky(paper, vary((105, 178, 240), g), vary((208, 234, 250), g), horizon)
    clouds(paper, g, vary((248, 250, 253), g, 4), int(g.integers(0, 4)))
    hill = (
        horizon - 0.05 + g.uniform(0.02, 0.06) * np.sin(g.uniform(3, 7) * paper.x + g.uniform(0, 6))
    )
    ground(paper, hill, vary((140, 196, 120), g), vary((120, 180, 100), g))
    edge = horizon + 0.012 * np.sin(g.uniform(4, 9) * paper.x + g.uniform(0, 6))
    near = ground(paper, edge, vary((122, 192, 74), g), vary((66, 142, 48), g))
    paper.rgb += (near * 0.035 * waves(paper, g, 30, 60))[..., None]
    for _ in range(g.integers(8, 16)):
        foot = g.uniform(horizon + 0.06, 1.02)
        b = paper.at(g.uniform(0, paper.aspect), foot, 0.03 + 0.03 * (foot - horizon))
        blades = [
            polygon(
                b.x,
                b.y,
                [(-0.25 + k * 0.3, 0), (k * 1.0, -1.3 + 0.3 * abs(k)), (0.25 + k * 0.3, 0)],
            )
            for k in (-1, 0, 1)
        ]
        b.fill(union(*blades), vary((52, 122, 42), g), opacity=0.8)
    return horizon


def desert(paper: Paper, g: np.random.Generator) -> float:
    """Dunes under a warm sky, with a sun and cacti."""
    horizon = g.uniform(0.5, 0.64)
    sky(paper, vary((250, 180, 105), g), vary((254, 230, 180), g), horizon)
    sun(paper, g, vary((255, 246, 210), g, 5), g.uniform(0.1, 0.28))
    for lift, tone in ((0.06, (226, 172, 104)), (0.0, (236, 194, 124))):
        edge = (
            horizon
            - lift
            + g.uniform(0.02, 0.05) * np.sin(g.uniform(3, 8) * paper.x + g.uniform(0, 6))
        )
        near = ground(paper, edge, vary(tone, g), vary((206, 148, 84), g))
    ripple = np.sin(
        g.uniform(38, 55) * paper.y + 2.0 * np.sin(g.uniform(4, 8) * paper.x + g.uniform(0, 6))
    )
    paper.rgb += (near * 0.035 * ripple)[..., None]
    for cx in sides(paper, g, int(g.integers(1, 4))):
        b = paper.at(cx, horizon + g.uniform(-0.02, 0.06) - 0.07, g.uniform(0.09, 0.13))
        green, arm = vary((70, 132, 66), g), g.choice([-1, 1])
        trunk = box(b.x, b.y, -0.16, -1.0, 0.16, 1.0, 0.15)
        branch = polyline(b.x, b.y, [(0, 0.25), (arm * 0.5, 0.25), (arm * 0.5, -0.3)], 0.12)
        b.solid(union(trunk, branch), green, outline=0.03, roundness=0.12)
    return horizon


def frozen_river(paper: Paper, g: np.random.Generator) -> float:
    """Blue ice between snowy banks, with cracks."""
    horizon = g.uniform(0.46, 0.6)
    sky(paper, vary((160, 200, 236), g), vary((228, 237, 247), g), horizon)
    far = horizon - 0.04 + 0.03 * np.sin(g.uniform(4, 9) * paper.x + g.uniform(0, 6))
    ground(paper, far, vary((205, 216, 230), g, 6), vary((215, 224, 236), g, 6))
    level = np.full_like(paper.x, horizon)
    ground(paper, level, vary((232, 238, 246), g, 6), vary((246, 249, 252), g, 4))
    t = (paper.y - horizon) / (1 - horizon)
    middle = (0.5 + g.uniform(-0.1, 0.1)) * paper.aspect + 0.05 * np.sin(
        5 * paper.y + g.uniform(0, 6)
    )
    half = g.uniform(0.16, 0.28) + g.uniform(0.16, 0.24) * t
    ice = np.clip(
        0.5
        - np.maximum(np.abs(paper.x - middle) - half, horizon - paper.y) * paper.pixels_per_unit,
        0,
        1,
    )
    paper.rgb += ice[..., None] * (
        blend(vary((150, 212, 236), g), vary((86, 168, 214), g), t) - paper.rgb
    )
    b = paper.whole()
    for _ in range(g.integers(3, 6)):
        x, y = middle.mean() + g.uniform(-0.3, 0.3), g.uniform(horizon + 0.05, 0.95)
        points = [(x, y)]
        for _ in range(3):
            x, y = x + g.uniform(-0.12, 0.12), y + g.uniform(-0.05, 0.05)
            points.append((x, y))
        b.fill(polyline(b.x, b.y, points, 0.006), rgb(0.92, 0.98, 1.0), opacity=ice * 0.9)
    return horizon


def waterfall(paper: Paper, g: np.random.Generator) -> float:
    """A cliff, a fall and a pool, with leaves above."""
    horizon = g.uniform(0.6, 0.7)
    rock = vary((112, 104, 98), g, 16)
    paper.rgb[:] = rock + 0.05 * waves(paper, g, 16, 16)[..., None]
    paper.depth[:] = 0.2
    for _ in range(7):
        b = paper.at(g.uniform(0, paper.aspect), g.uniform(0, horizon), g.uniform(0.1, 0.2))
        stone = ellipse(b.x, b.y, 0, 0, 1.0, 0.7)
        b.fill(stone, rock * g.uniform(0.75, 1.15), softness=0.25, opacity=0.6)
    left = g.random() < 0.5
    cx = (g.uniform(0.1, 0.24) if left else g.uniform(0.76, 0.9)) * paper.aspect
    wide = g.uniform(0.09, 0.14)
    b = paper.whole()
    streaks = 0.06 * np.sin(g.uniform(70, 95) * (paper.x - cx) + 1.5 * np.sin(6 * paper.y))
    water = rgb(0.82, 0.92, 0.98) + streaks[..., None]
    b.fill(box(b.x, b.y, cx - wide, -1, cx + wide, horizon), water)
    level = np.full_like(paper.x, horizon)
    near = ground(paper, level, vary((70, 160, 178), g), vary((28, 98, 132), g))
    ripple = np.sin(g.uniform(45, 60) * paper.y + 2 * np.sin(g.uniform(6, 10) * paper.x))
    paper.rgb += (near * 0.035 * ripple)[..., None]
    for _ in range(6):
        foam = paper.at(cx + g.uniform(-1.2, 1.2) * wide, horizon + 0.01, g.uniform(0.03, 0.055))
        foam.fill(ellipse(foam.x, foam.y, 0, 0, 1.0, 0.6), rgb(0.95, 0.98, 1.0), softness=0.3)
    for _ in range(g.integers(7, 12)):
        leaf = paper.at(g.uniform(0, paper.aspect), g.uniform(-0.02, 0.06), g.uniform(0.05, 0.09))
        leaf.solid(
            circle(leaf.x, leaf.y, 0, 0, 0.9), vary((60, 124, 56), g), outline=0.0, roundness=0.5
        )
    return horizon


def night_sky(paper: Paper, g: np.random.Generator) -> float:
    """Stars, a moon and faint clouds; there is no ground."""
    paper.rgb[:] = blend(vary((14, 16, 56), g, 8), vary((58, 44, 112), g, 12), paper.y)
    haze = np.clip(waves(paper, g, 7, 9), 0, 1)
    paper.rgb += haze[..., None] * rgb(0.14, 0.1, 0.22)
    for _ in range(g.integers(14, 26)):
        b = paper.at(g.uniform(0, paper.aspect), g.uniform(0, 1), g.uniform(0.009, 0.02))
        star = circle(b.x, b.y, 0, 0, 0.75)
        b.fill(star, vary((250, 244, 214), g, 6), softness=0.5, opacity=g.uniform(0.6, 1.0))
    cx = g.choice([g.uniform(0.08, 0.22), g.uniform(0.78, 0.92)]) * paper.aspect
    b = paper.at(cx, g.uniform(0.09, 0.2), g.uniform(0.065, 0.09))
    moon = circle(b.x, b.y, 0, 0, 1.0)
    if g.random() < 0.5:
        moon = common(moon, -circle(b.x, b.y, 0.5, -0.25, 0.9))
    b.fill(moon, vary((250, 240, 205), g, 5))
    return 1.0


def snow(paper: Paper, g: np.random.Generator) -> float:
    """A white field under a grey sky, with pines and falling flakes."""
    horizon = g.uniform(0.52, 0.64)
    sky(paper, vary((150, 162, 182), g), vary((206, 213, 224), g, 8), horizon)
    edge = horizon + g.uniform(0.01, 0.03) * np.sin(g.uniform(4, 9) * paper.x + g.uniform(0, 6))
    for cx in np.arange(0.02, paper.aspect, 0.13) + g.uniform(0, 0.1):
        if g.random() < 0.7:
            foot = horizon + 0.03
            pine(
                paper,
                cx + g.uniform(-0.04, 0.04),
                foot,
                g.uniform(0.06, 0.12),
                vary((74, 104, 104), g),
                0.25,
            )
    near = ground(paper, edge, vary((240, 244, 250), g, 5), vary((214, 224, 240), g, 6))
    paper.rgb += (near * 0.02 * waves(paper, g, 12, 24))[..., None]
    for _ in range(g.integers(14, 24)):
        b = paper.at(g.uniform(0, paper.aspect), g.uniform(0, 1), g.uniform(0.01, 0.018))
        b.fill(circle(b.x, b.y, 0, 0, 0.75), rgb(1, 1, 1), softness=0.5)
    return horizon


def beach(paper: Paper, g: np.random.Generator) -> float:
    """Sand, surf and the sea, with a sun, a palm or clouds."""
    horizon = g.uniform(0.36, 0.46)
    shore = horizon + g.uniform(0.13, 0.2)
    sky(paper, vary((90, 186, 236), g), vary((214, 240, 250), g), horizon)
    if g.random() < 0.6:
        sun(paper, g, vary((255, 244, 190), g, 5), g.uniform(0.1, 0.2))
    else:
        clouds(paper, g, vary((250, 251, 253), g, 3), int(g.integers(1, 3)))
    level = np.full_like(paper.x, horizon)
    ground(paper, level, vary((36, 122, 186), g), vary((50, 176, 204), g))
    edge = shore + 0.018 * np.sin(g.uniform(5, 10) * paper.x + g.uniform(0, 6))
    ground(paper, edge - 0.022, rgb(0.95, 0.98, 1.0), rgb(0.95, 0.98, 1.0))
    near = ground(paper, edge, vary((244, 222, 168), g, 8), vary((232, 200, 138), g))
    paper.rgb += (near * 0.015 * waves(paper, g, 30, 40))[..., None]
    if g.random() < 0.55:
        cx = sides(paper, g, 1)[0]
        b = paper.at(cx, shore - 0.14, 0.24, flip=g.random() < 0.5)
        trunk = polyline(b.x, b.y, [(0.25, 1.0), (0.1, 0.3), (0.0, -0.5)], 0.06)
        b.fill(trunk, vary((140, 100, 66), g))
        for turn in np.linspace(-0.4, np.pi + 0.4, 6):
            tip = (0.62 * np.cos(turn), -0.5 - 0.3 * np.sin(turn) + 0.2)
            elbow = (0.36 * np.cos(turn), -0.55 - 0.28 * np.sin(turn))
            b.fill(polyline(b.x, b.y, [(0.0, -0.5), elbow, tip], 0.05), vary((60, 142, 70), g))
    return shore


def forest(paper: Paper, g: np.random.Generator) -> float:
    """Trunks in a green mist, above a mossy floor."""
    horizon = g.uniform(0.58, 0.68)
    sky(paper, vary((150, 190, 130), g), vary((206, 222, 164), g), horizon)
    b = paper.whole()
    for distance in (0.0, 0.5, 1.0):
        bark = vary((118, 132, 92), g, 8) * (1 - distance) + vary((78, 58, 42), g, 8) * distance
        for _ in range(4):
            cx, wide = g.uniform(0, paper.aspect), 0.014 + 0.022 * distance
            if distance == 1.0:
                cx = sides(paper, g, 1)[0]
            lean = g.uniform(-0.03, 0.03)
            trunk = [
                (cx - wide, horizon + 0.05),
                (cx + lean - wide * 0.8, -0.1),
                (cx + lean + wide * 0.8, -0.1),
                (cx + wide, horizon + 0.05),
            ]
            b.fill(polygon(b.x, b.y, trunk), bark)
    for _ in range(g.integers(9, 14)):
        crown = paper.at(g.uniform(0, paper.aspect), g.uniform(-0.04, 0.1), g.uniform(0.1, 0.15))
        disc = circle(crown.x, crown.y, 0, 0, 0.9)
        crown.solid(disc, vary((58, 110, 52), g, 16), outline=0.0, roundness=0.6)
    edge = horizon + 0.015 * np.sin(g.uniform(5, 10) * paper.x + g.uniform(0, 6))
    near = ground(paper, edge, vary((98, 128, 58), g), vary((62, 82, 40), g))
    paper.rgb += (near * 0.03 * waves(paper, g, 25, 50))[..., None]
    for cx in sides(paper, g, int(g.integers(2, 5))):
        bush = paper.at(cx, horizon + g.uniform(0.0, 0.05), g.uniform(0.05, 0.09))
        leaves = union(
            *[circle(bush.x, bush.y, x, -0.2 * (1 - abs(x)), 0.6) for x in (-0.7, 0, 0.7)]
        )
        bush.solid(leaves, vary((50, 104, 50), g), outline=0.0, roundness=0.4)
    return horizon


PAINT: dict[str, Paint] = {
    "on the grass": grass,
    "in the desert": desert,
    "on a frozen river": frozen_river,
    "beside a waterfall": waterfall,
    "in the night sky": night_sky,
    "in the snow": snow,
    "on the beach": beach,
    "in the forest": forest,
}
