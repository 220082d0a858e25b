"""The twelve things. Each is drawn in a frame that runs from -1 to 1, the ground at y = 1.

A thing takes a brush, its colour and a random generator that decides the details of its shape.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from distillery.toybox.brush import Brush, rgb
from distillery.toybox.shapes import (
    box,
    circle,
    common,
    ellipse,
    polygon,
    polyline,
    ring,
    segment,
    smooth_union,
    union,
    without,
)

Draw = Callable[[Brush, np.ndarray, np.random.Generator], None]

WOOD = rgb(0.42, 0.27, 0.16)
DARK = rgb(0.16, 0.15, 0.19)
CREAM = rgb(0.97, 0.92, 0.80)
GLASS = rgb(0.74, 0.90, 0.98)
LAMP = rgb(1.00, 0.93, 0.62)
LEAF = rgb(0.25, 0.56, 0.24)


def darker(colour: np.ndarray, by: float = 0.35) -> np.ndarray:
    """The colour in shadow."""
    return colour * (1 - by)


def lighter(colour: np.ndarray, by: float = 0.4) -> np.ndarray:
    """The colour in light."""
    return colour + (1 - colour) * by


def house(b: Brush, colour: np.ndarray, g: np.random.Generator) -> None:
    """Walls and a roof; pitch, chimney, door and windows vary."""
    half, eaves = g.uniform(0.62, 0.85), g.uniform(-0.25, 0.05)
    ridge, over = g.uniform(0.0, 0.45), g.uniform(0.1, 0.22)
    if g.random() < 0.6:
        b.solid(box(b.x, b.y, half * 0.35, -0.95, half * 0.62, eaves), darker(colour, 0.45))
    b.solid(box(b.x, b.y, -half, eaves - 0.05, half, 1.0, 0.04), colour)
    roof = [(-half - over, eaves), (-ridge, -0.95), (ridge, -0.95), (half + over, eaves)]
    b.solid(polygon(b.x, b.y, roof, 0.05), darker(colour))
    door = g.choice([-0.5, 0.0, 0.5]) * half
    b.solid(box(b.x, b.y, door - 0.17, 0.35, door + 0.17, 1.0, 0.06), WOOD, outline=0.03)
    pane = LAMP if g.random() < 0.5 else GLASS
    for x in (-0.5 * half, 0.0, 0.5 * half):
        if abs(x - door) > 0.25 * half and (x != 0 or g.random() < 0.3):
            window = box(b.x, b.y, x - 0.15, eaves + 0.2, x + 0.15, eaves + 0.52, 0.03)
            b.solid(window, pane, outline=0.03)


def castle(b: Brush, colour: np.ndarray, g: np.random.Generator) -> None:
    """Two towers and a wall; crenels, pointed roofs, a flag and the gate vary."""
    tower, top, wall = g.uniform(0.26, 0.34), g.uniform(-0.85, -0.5), g.uniform(-0.2, 0.15)
    inner, pointed = 0.88 - 2 * tower, g.random() < 0.45
    crenel = 2 * inner / 7
    teeth = [
        box(b.x, b.y, -inner + k * crenel, wall - 0.16, -inner + (k + 1) * crenel, wall + 0.1)
        for k in (0, 2, 4, 6)
    ]
    b.solid(union(box(b.x, b.y, -inner - 0.05, wall, inner + 0.05, 1.0), *teeth), colour)
    for side in (-1, 1):
        cx = side * (0.9 - tower)
        body = box(b.x, b.y, cx - tower, top, cx + tower, 1.0)
        if pointed:
            b.solid(body, colour)
            peak = max(top - 0.6, -1.15)
            cone = [(cx - tower - 0.1, top), (cx, peak), (cx + tower + 0.1, top)]
            b.solid(polygon(b.x, b.y, cone, 0.03), darker(colour))
        else:
            third = 2 * tower / 3
            tops = [
                box(
                    b.x,
                    b.y,
                    cx + k * third - third / 2.6,
                    top - 0.2,
                    cx + k * third + third / 2.6,
                    1,
                )
                for k in (-1, 0, 1)
            ]
            b.solid(union(body, *tops), colour)
        b.fill(box(b.x, b.y, cx - 0.07, top + 0.3, cx + 0.07, top + 0.6, 0.07), DARK)
    gate = union(circle(b.x, b.y, 0, 0.62, 0.22), box(b.x, b.y, -0.22, 0.62, 0.22, 1.0))
    b.solid(gate, WOOD * 0.8, outline=0.04)


def boat(b: Brush, colour: np.ndarray, g: np.random.Generator) -> None:
    """A hull, a mast and one or two sails."""
    deck, length = g.uniform(0.35, 0.5), g.uniform(0.8, 1.0)
    hull = [(-length, deck), (length, deck), (length * 0.68, 0.98), (-length * 0.68, 0.98)]
    mast = g.uniform(-0.12, 0.12)
    b.solid(box(b.x, b.y, mast - 0.05, -1.0, mast + 0.05, deck), WOOD, outline=0.02)
    big = [(mast + 0.1, -0.9), (mast + 0.1, deck - 0.14), (g.uniform(0.65, 0.85), deck - 0.14)]
    b.solid(polygon(b.x, b.y, big, 0.03), lighter(colour, 0.3))
    if g.random() < 0.75:
        small = [
            (mast - 0.1, -0.7),
            (mast - 0.1, deck - 0.14),
            (g.uniform(-0.75, -0.55), deck - 0.14),
        ]
        b.solid(polygon(b.x, b.y, small, 0.03), lighter(colour, 0.5))
    b.solid(polygon(b.x, b.y, hull, 0.04), colour)
    if g.random() < 0.5:
        b.fill(box(b.x, b.y, -length * 0.78, deck + 0.13, length * 0.78, deck + 0.22), CREAM)


def car(b: Brush, colour: np.ndarray, g: np.random.Generator) -> None:
    """A body and a cabin on two wheels; a hatchback, a saloon or a van."""
    height, front, back = g.uniform(-0.6, -0.4), g.uniform(0.3, 0.6), g.uniform(-0.85, -0.5)
    waist = g.uniform(0.05, 0.2)
    cabin = [(back, waist), (back + 0.15, height), (front - 0.25, height), (front, waist)]
    body = box(b.x, b.y, -1.0, waist, 1.0, 0.72, 0.16)
    b.solid(smooth_union(polygon(b.x, b.y, cabin, 0.08), body, 0.06), colour)
    pane = polygon(
        b.x,
        b.y,
        [
            (back + 0.1, waist),
            (back + 0.22, height + 0.1),
            (front - 0.3, height + 0.1),
            (front - 0.1, waist),
        ],
    )
    post = (back + front) / 2
    b.fill(without(pane, box(b.x, b.y, post - 0.06, -1, post + 0.06, 1)), GLASS)
    b.fill(circle(b.x, b.y, 0.88, waist + 0.2, 0.1), LAMP)
    for x in (-0.55, 0.55):
        b.fill(circle(b.x, b.y, x, 0.72, 0.29), DARK)
        b.fill(circle(b.x, b.y, x, 0.72, 0.13), rgb(0.75, 0.76, 0.8))


def tree(b: Brush, colour: np.ndarray, g: np.random.Generator) -> None:
    """A trunk under a round, a wide or a conical crown."""
    width = g.uniform(0.1, 0.17)
    trunk = [(-width, 1.0), (-width * 0.7, 0.0), (width * 0.7, 0.0), (width, 1.0)]
    b.solid(polygon(b.x, b.y, trunk, 0.02), WOOD, outline=0.03)
    kind = g.integers(3)
    if kind == 2:
        tiers = [
            polygon(b.x, b.y, [(-w, y), (0, y - 0.75), (w, y)], 0.05)
            for w, y in ((0.72, 0.45), (0.58, 0.05), (0.42, -0.32))
        ]
        for tier in tiers:
            b.solid(tier, colour)
        return
    spread = 0.45 if kind == 0 else 0.6
    blobs = [circle(b.x, b.y, 0, -0.35, 0.5)]
    for turn in np.linspace(0, 2 * np.pi, 6, endpoint=False) + g.uniform(0, 1):
        cx, cy = spread * np.cos(turn), -0.38 + 0.32 * np.sin(turn)
        blobs.append(circle(b.x, b.y, cx, cy, g.uniform(0.27, 0.36)))
    b.solid(union(*blobs), colour, roundness=0.3)
    for _ in range(g.integers(0, 5)):
        spot = circle(b.x, b.y, g.uniform(-0.5, 0.5), g.uniform(-0.7, -0.1), 0.08)
        b.fill(spot, lighter(colour, 0.45))


def mushroom(b: Brush, colour: np.ndarray, g: np.random.Generator) -> None:
    """A spotted cap on a pale stalk."""
    rim, wide, stalk = g.uniform(0.0, 0.2), g.uniform(0.75, 0.98), g.uniform(0.16, 0.27)
    stem = [(-stalk, rim - 0.1), (stalk, rim - 0.1), (stalk * 1.4, 1.0), (-stalk * 1.4, 1.0)]
    b.solid(polygon(b.x, b.y, stem, 0.03), CREAM)
    dome = ellipse(b.x, b.y, 0, rim, wide, rim + g.uniform(0.75, 0.95))
    cap = common(dome, b.y - rim - 0.06 * (1 - (b.x / wide) ** 2))
    b.solid(cap, colour, roundness=0.3)
    spot = rgb(0.98, 0.97, 0.94) if colour.min() < 0.75 else rgb(0.62, 0.5, 0.42)
    places = [(-0.5, -0.18), (0.05, -0.5), (0.52, -0.12), (-0.12, -0.02), (-0.3, -0.55)]
    for x, y in places[: g.integers(3, 6)]:
        size = g.uniform(0.09, 0.15)
        b.fill(ellipse(b.x, b.y, x * wide, y * 0.9 + rim * 0.6, size * 1.15, size), spot)


def fish(b: Brush, colour: np.ndarray, g: np.random.Generator) -> None:
    """A body, a tail and fins; it swims in any scene."""
    tall, nose = g.uniform(0.42, 0.6), -0.2
    spread = g.uniform(0.4, 0.6)
    tail = [(0.45, 0.15), (1.0, 0.15 - spread), (0.86, 0.15), (1.0, 0.15 + spread)]
    b.solid(polygon(b.x, b.y, tail, 0.04), darker(colour, 0.25))
    fin = [(-0.35, -tall * 0.5), (0.05, -tall - g.uniform(0.1, 0.3)), (0.35, -tall * 0.4)]
    b.solid(polygon(b.x, b.y, fin, 0.04), darker(colour, 0.25))
    body = common(
        circle(b.x, b.y, nose, 0.15 + 0.75 / tall - tall - 0.1, 0.75 / tall - 0.1),
        circle(b.x, b.y, nose, 0.15 - 0.75 / tall + tall + 0.1, 0.75 / tall - 0.1),
    )
    b.solid(
        smooth_union(body, ellipse(b.x, b.y, nose, 0.15, 0.6, tall), 0.1), colour, roundness=0.3
    )
    for x in (-0.15, 0.1, 0.35)[: g.integers(1, 4)]:
        scale = common(ring(circle(b.x, b.y, x - 0.3, 0.15, 0.3), 0.03), x - 0.15 - b.x)
        b.fill(scale, darker(colour, 0.4))
    b.fill(circle(b.x, b.y, -0.52, 0.03, 0.12), rgb(1, 1, 1))
    b.fill(circle(b.x, b.y, -0.55, 0.03, 0.065), DARK)


def rocket(b: Brush, colour: np.ndarray, g: np.random.Generator) -> None:
    """A pointed hull with fins, a porthole and a flame."""
    wide, fin = g.uniform(0.27, 0.36), g.uniform(0.55, 0.75)
    flame = [(-0.18, 0.6), (0.0, g.uniform(0.98, 1.25)), (0.18, 0.6)]
    b.fill(polygon(b.x, b.y, flame, 0.05), rgb(1.0, 0.62, 0.15))
    b.fill(polygon(b.x, b.y, [(-0.08, 0.6), (0.0, 0.9), (0.08, 0.6)], 0.03), LAMP)
    for side in (-1, 1):
        points = [
            (side * 0.1, 0.2),
            (side * fin, 0.72),
            (side * fin * 0.8, 0.86),
            (side * 0.1, 0.62),
        ]
        b.solid(polygon(b.x, b.y, points, 0.03), darker(colour))
    radius = (wide**2 + 1.75**2) / (2 * wide)
    hull = common(
        circle(b.x, b.y, wide - radius, 0.2, radius),
        circle(b.x, b.y, radius - wide, 0.2, radius),
        b.y - 0.66,
        -1.15 - b.y,
    )
    b.solid(hull, colour)
    b.fill(common(hull + 0.05, b.y + g.uniform(0.62, 0.8)), darker(colour, 0.25))
    for y in (-0.2, 0.28)[: g.integers(1, 3)]:
        b.solid(circle(b.x, b.y, 0, y, 0.14), GLASS, outline=0.05)


def flower(b: Brush, colour: np.ndarray, g: np.random.Generator) -> None:
    """Petals round a yellow heart, on a stem with leaves."""
    cy, lean = g.uniform(-0.42, -0.3), g.uniform(-0.12, 0.12)
    b.solid(polyline(b.x, b.y, [(lean, 1.0), (lean / 2, 0.3), (0, cy)], 0.05), LEAF, outline=0.03)
    for side in (-1, 1):
        if g.random() < 0.85:
            leaf = segment(b.x, b.y, (lean, 0.72), (lean + side * 0.38, g.uniform(0.5, 0.66)), 0.09)
            b.solid(leaf, LEAF, outline=0.03)
    count, reach = g.integers(5, 9), g.uniform(0.36, 0.44)
    turns = np.linspace(0, 2 * np.pi, count, endpoint=False) + g.uniform(0, 1)
    for turn in turns:
        petal = circle(
            b.x, b.y, reach * np.cos(turn), cy + reach * np.sin(turn), reach * 2.55 / count + 0.04
        )
        b.solid(petal, colour)
    heart = rgb(0.98, 0.8, 0.25) if colour[2] < 0.4 and colour[1] < 0.6 else None
    if heart is None:
        heart = rgb(0.95, 0.72, 0.2) if colour.min() > 0.05 else rgb(0.55, 0.33, 0.15)
    b.solid(circle(b.x, b.y, 0, cy, g.uniform(0.17, 0.23)), heart)


def cup(b: Brush, colour: np.ndarray, g: np.random.Generator) -> None:
    """A mug with a handle, full of something warm."""
    top, lip, foot = g.uniform(-0.45, -0.2), g.uniform(0.6, 0.72), g.uniform(0.42, 0.6)
    handle = ring(circle(b.x, b.y, lip, (top + 0.95) / 2, g.uniform(0.28, 0.36)), 0.085)
    b.solid(handle, darker(colour, 0.15), roundness=0.1)
    side = [(-lip, top), (lip, top), (foot, 0.88), (-foot, 0.88)]
    b.solid(polygon(b.x, b.y, side, 0.08), colour, roundness=0.3)
    b.solid(ellipse(b.x, b.y, 0, top, lip, 0.16), darker(colour, 0.2), outline=0.03)
    b.fill(ellipse(b.x, b.y, 0, top + 0.02, lip - 0.1, 0.1), rgb(0.36, 0.22, 0.14))
    for x in (-0.25, 0.0, 0.25)[: g.integers(0, 4)]:
        steam = np.abs(b.x - x - 0.06 * np.sin(9 * b.y + x * 20)) - 0.03
        steam = common(steam, b.y - top + 0.2, top - 0.65 - b.y)
        b.fill(steam, rgb(0.97, 0.97, 0.98), opacity=0.7, softness=0.03)
    if g.random() < 0.4:
        b.fill(common(polygon(b.x, b.y, side), np.abs(b.y - 0.45) - 0.1), lighter(colour, 0.5))


def cat(b: Brush, colour: np.ndarray, g: np.random.Generator) -> None:
    """A sitting cat: two ears, whiskers and a tail."""
    body = ellipse(b.x, b.y, 0, 0.55, g.uniform(0.42, 0.54), 0.47)
    curl = g.uniform(-0.1, 0.25)
    tail = polyline(b.x, b.y, [(0.3, 0.88), (0.72, 0.82), (0.85, 0.5), (0.75, curl)], 0.09)
    b.solid(tail, darker(colour, 0.15), roundness=0.1)
    b.solid(body, colour, roundness=0.3)
    for x in (-0.2, 0.2):
        b.solid(ellipse(b.x, b.y, x, 0.93, 0.15, 0.09), colour, roundness=0.1, outline=0.03)
    ears = g.uniform(-1.02, -0.88)
    head = ellipse(b.x, b.y, 0, -0.25, 0.52, 0.43)
    for side in (-1, 1):
        ear = polygon(
            b.x, b.y, [(side * 0.1, -0.55), (side * 0.46, ears), (side * 0.5, -0.3)], 0.04
        )
        b.solid(ear, colour, roundness=0.12)
    b.solid(head, colour, roundness=0.3)
    eye = rgb(0.55, 0.85, 0.35) if colour[1] < 0.5 else DARK
    for x in (-0.2, 0.2):
        b.fill(ellipse(b.x, b.y, x, -0.27, 0.09, 0.12), eye)
        b.fill(ellipse(b.x, b.y, x, -0.27, 0.045, 0.1), DARK)
    b.fill(
        polygon(b.x, b.y, [(-0.07, -0.1), (0.07, -0.1), (0, -0.02)], 0.02),
        rgb(0.93, 0.5, 0.55),
    )
    for side in (-1, 1):
        for y in (-0.08, 0.04):
            b.fill(
                segment(b.x, b.y, (side * 0.22, -0.05), (side * 0.62, y), 0.018),
                darker(colour, 0.6),
            )


def balloon(b: Brush, colour: np.ndarray, g: np.random.Generator) -> None:
    """A hot-air balloon: gores, ropes and a basket."""
    wide, cy = g.uniform(0.62, 0.74), g.uniform(-0.36, -0.28)
    for x in (-0.17, 0.17):
        b.fill(segment(b.x, b.y, (x * 1.6, 0.25), (x, 0.72), 0.02), WOOD * 0.6)
    basket = box(b.x, b.y, -0.2, 0.68, 0.2, 0.98, 0.06)
    b.solid(basket, rgb(0.66, 0.45, 0.25), outline=0.04)
    skirt = polygon(b.x, b.y, [(-0.45, 0.1), (0.45, 0.1), (0.2, 0.42), (-0.2, 0.42)], 0.02)
    bag = smooth_union(ellipse(b.x, b.y, 0, cy, wide, 0.66), skirt, 0.15)
    b.solid(bag, colour, roundness=0.4)
    stripe = lighter(colour, 0.5) if g.random() < 0.6 else darker(colour, 0.3)
    width = np.sqrt(np.clip(1 - ((b.y - cy) / 0.95) ** 2, 0.02, 1))
    for x in (0.33, 0.0)[: g.integers(1, 3)]:
        gore = np.abs(np.abs(b.x) / width - x) * 0.8 - 0.07
        b.fill(common(gore, bag + 0.06), stripe, opacity=0.85)


DRAW: dict[str, Draw] = {
    "house": house,
    "castle": castle,
    "boat": boat,
    "car": car,
    "tree": tree,
    "mushroom": mushroom,
    "fish": fish,
    "rocket": rocket,
    "flower": flower,
    "cup": cup,
    "cat": cat,
    "balloon": balloon,
}

TILT = {"boat": 0.12, "fish": 0.3, "rocket": 0.4, "balloon": 0.12, "flower": 0.1}
FLOATING = {"fish": 0.5, "rocket": 0.6, "balloon": 0.9}
