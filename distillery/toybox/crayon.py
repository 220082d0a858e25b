"""Strokes by a hand that is not quite steady: paths that wobble, pressure that changes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

FINE = 4  # strokes are drawn this much larger, for smooth edges

Point = tuple[float, float]


class Sheet:
    """A sheet of `height` × `width` pixels without paint.

    `size` is (height, width). Lengths and places are in pixels, x to the right and y down.
    """

    def __init__(self, height: int, width: int) -> None:
        self.size = (height, width)
        self._paint = np.zeros((height, width, 3))  # times alpha
        self._alpha = np.zeros((height, width))

    def stroke(
        self,
        path: np.ndarray,
        radius: float,
        colour: np.ndarray,
        g: np.random.Generator,
        *,
        pressure: tuple[float, float] = (0.75, 1.0),
    ) -> None:
        """Draw along `path` (n, 2) in `colour` (3,), [0, 255], above what is there.

        Pressure, between the two given, changes on the way: it makes the line wider and denser.
        """
        height, width = self.size
        line = Image.new("L", (width * FINE, height * FINE))
        pen = ImageDraw.Draw(line)
        low, high = pressure
        pressures = low + (high - low) * (0.5 + 0.5 * smooth(len(path), 9, g))
        for (x, y), press in zip(path * FINE, pressures, strict=True):
            r = max(0.5, radius * FINE * (0.55 + 0.45 * press))
            pen.ellipse((x - r, y - r, x + r, y + r), fill=round(255 * press))
        covered = np.asarray(line.reduce(FINE)) / 255
        self._paint += covered[..., None] * (colour - self._paint)
        self._alpha += covered * (1 - self._alpha)

    def rgba(self) -> np.ndarray:
        """What was painted, (H, W, 4) uint8; alpha is 0 where nothing was."""
        colour = self._paint / np.maximum(self._alpha, 1e-9)[..., None]
        levels = np.concatenate([colour, 255 * self._alpha[..., None]], axis=-1)
        return (np.clip(levels, 0, 255) + 0.5).astype(np.uint8)


def wandering(corners: Sequence[Point], by: float, g: np.random.Generator) -> np.ndarray:
    """A path (n, 2) along the corners, half a pixel a step, off by about `by` pixels."""
    ends = np.array(corners, float)
    lengths = np.hypot(*np.diff(ends, axis=0).T)
    way = np.concatenate([[0.0], lengths.cumsum()])
    steps = max(2, int(2 * way[-1]))
    at = np.linspace(0, way[-1], steps)
    path = np.stack([np.interp(at, way, axis) for axis in ends.T], axis=1)
    knots = max(3, len(ends))
    return path + by * np.stack([smooth(steps, knots, g), smooth(steps, knots, g)], axis=1)


def hatching(
    region: np.ndarray, *, angle: float, spacing: float, g: np.random.Generator
) -> list[tuple[Point, Point]]:
    """Parallel lines across a region (H, W) bool, to and fro, with ends that are a little off.

    Args:
        angle: of the lines, in radians; 0 is level.
        spacing: between them, in pixels.
    """
    rows, columns = np.nonzero(region)
    c, s = np.cos(angle), np.sin(angle)
    along, across = c * (columns + 0.5) + s * (rows + 0.5), c * (rows + 0.5) - s * (columns + 0.5)
    lines: list[tuple[Point, Point]] = []
    for v in np.arange(across.min() + spacing / 2, across.max() + spacing / 2, spacing):
        near = along[np.abs(across - v) < max(0.75, spacing / 4)]
        if not len(near):
            continue
        ends = np.array([near.min(), near.max()]) + 0.3 * spacing * g.normal(size=2)
        places = [(c * u - s * v, s * u + c * v) for u in ends[:: 1 if len(lines) % 2 else -1]]
        lines.append((places[0], places[1]))
    return lines


def smooth(count: int, knots: int, g: np.random.Generator) -> np.ndarray:
    """Numbers in about [-1, 1] that change smoothly, (count,)."""
    values = g.uniform(-1, 1, knots)
    at = np.linspace(0, knots - 1, count)
    near = np.floor(at).astype(int).clip(0, knots - 2)
    t = at - near
    t = t * t * (3 - 2 * t)
    return values[near] * (1 - t) + values[near + 1] * t
