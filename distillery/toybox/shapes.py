"""Signed distance functions: negative inside a shape, positive outside, zero on its edge.

A shape given by its distance is drawn at any resolution, and antialiasing, outlines, rounded
corners, glows and soft shadows are all thresholds of the same number. `x` and `y` are coordinate
arrays of one shape; y points down, angles are in radians. See Inigo Quilez, "2D distance
functions", for the formulas' geometry.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

Field = np.ndarray
Point = tuple[float, float]


def circle(x: Field, y: Field, cx: float, cy: float, radius: float) -> Field:
    """A disc."""
    return np.hypot(x - cx, y - cy) - radius


def ellipse(x: Field, y: Field, cx: float, cy: float, rx: float, ry: float) -> Field:
    """An axis-aligned ellipse; the distance is first-order exact near the edge."""
    u, v = (x - cx) / rx, (y - cy) / ry
    level = np.hypot(u, v)
    slope = np.hypot(u / rx, v / ry) + 1e-6
    return level * (level - 1) / slope


def box(
    x: Field, y: Field, x0: float, y0: float, x1: float, y1: float, rounding: float = 0.0
) -> Field:
    """The rectangle from (x0, y0) to (x1, y1), corners rounded by `rounding`."""
    qx = np.abs(x - (x0 + x1) / 2) - (x1 - x0) / 2 + rounding
    qy = np.abs(y - (y0 + y1) / 2) - (y1 - y0) / 2 + rounding
    outside = np.hypot(np.maximum(qx, 0), np.maximum(qy, 0))
    return outside + np.minimum(np.maximum(qx, qy), 0) - rounding


def segment(x: Field, y: Field, a: Point, b: Point, radius: float) -> Field:
    """A line from `a` to `b` with round ends, `2 * radius` thick."""
    return np.sqrt(_segment_squared(x, y, a, b)) - radius


def polyline(x: Field, y: Field, points: Sequence[Point], radius: float) -> Field:
    """Segments joined end to end."""
    squared = [_segment_squared(x, y, a, b) for a, b in pairwise(points)]
    return np.sqrt(np.minimum.reduce(squared)) - radius


def polygon(x: Field, y: Field, points: Sequence[Point], rounding: float = 0.0) -> Field:
    """A simple polygon, its corners rounded outwards by `rounding`."""
    inside = np.zeros(x.shape, bool)
    squared = np.full(x.shape, np.inf, np.float32)
    for (ax, ay), (bx, by) in zip(points, [*points[1:], points[0]], strict=True):
        np.minimum(squared, _segment_squared(x, y, (ax, ay), (bx, by)), out=squared)
        if ay != by:
            crosses = (ay > y) != (by > y)
            inside ^= crosses & (x < (bx - ax) / (by - ay) * (y - ay) + ax)
    distance = np.sqrt(squared)
    return np.where(inside, -distance, distance) - rounding


def ring(distance: Field, radius: float) -> Field:
    """The outline of a shape, `2 * radius` thick."""
    return np.abs(distance) - radius


def union(*distances: Field) -> Field:
    """All the shapes together."""
    return np.minimum.reduce(distances)


def smooth_union(a: Field, b: Field, radius: float) -> Field:
    """Two shapes grown together, the joint rounded by `radius`."""
    h = np.clip(0.5 + 0.5 * (b - a) / radius, 0, 1)
    return b + (a - b) * h - radius * h * (1 - h)


def common(*distances: Field) -> Field:
    """What the shapes have in common."""
    return np.maximum.reduce(distances)


def without(a: Field, b: Field) -> Field:
    """The first shape with the second cut away."""
    return np.maximum(a, -b)


def _segment_squared(x: Field, y: Field, a: Point, b: Point) -> Field:
    px, py = x - a[0], y - a[1]
    bx, by = b[0] - a[0], b[1] - a[1]
    h = np.clip((px * bx + py * by) / (bx * bx + by * by + 1e-9), 0, 1)
    dx, dy = px - h * bx, py - h * by
    return dx * dx + dy * dy
