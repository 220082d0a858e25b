"""The paper that a scene is painted on, and the brush that paints signed-distance shapes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Colour = Sequence[float] | np.ndarray


def rgb(red: float, green: float, blue: float) -> np.ndarray:
    """A colour, (3,) float32."""
    return np.array([red, green, blue], np.float32)


class Paper:
    """A sheet of `height` × `width` pixels, one unit high; the origin is its upper left corner.

    `rgb` (H, W, 3) and `mask`, `depth` (H, W) are float32 in [0, 1]. The mask is 1 on things; the
    depth is 1 nearest the viewer and 0 infinitely far.
    """

    def __init__(self, height: int, width: int) -> None:
        self.rgb = np.zeros((height, width, 3), np.float32)
        self.mask = np.zeros((height, width), np.float32)
        self.depth = np.zeros((height, width), np.float32)
        rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
        self.x, self.y = (columns + 0.5) / height, (rows + 0.5) / height
        self.aspect = width / height
        self.pixels_per_unit = float(height)

    def whole(self) -> Brush:
        """A brush over the whole sheet, in the sheet's own units."""
        return Brush(self, (slice(None), slice(None)), self.x, self.y, self.pixels_per_unit)

    def at(
        self, cx: float, cy: float, scale: float, *, angle: float = 0.0, flip: bool = False
    ) -> Brush:
        """A brush whose unit is `scale`, centred on (cx, cy), turned by `angle`, maybe mirrored.

        It reaches 1.7 units from its centre: shapes must stay within.
        """
        height, width = self.mask.shape
        n, reach = self.pixels_per_unit, 1.7 * scale
        rows = slice(max(0, int((cy - reach) * n)), max(0, min(height, int((cy + reach) * n) + 1)))
        columns = slice(
            max(0, int((cx - reach) * n)), max(0, min(width, int((cx + reach) * n) + 1))
        )
        x, y = (self.x[rows, columns] - cx) / scale, (self.y[rows, columns] - cy) / scale
        c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        x, y = c * x + s * y, c * y - s * x
        return Brush(self, (rows, columns), -x if flip else x, y, n * scale)


class Brush:
    """Paints into a window of the paper in local coordinates `x`, `y`.

    With `depth` set, what it paints is a thing: it also goes into the mask and the depth map.
    """

    def __init__(
        self,
        paper: Paper,
        window: tuple[slice, slice],
        x: np.ndarray,
        y: np.ndarray,
        pixels_per_unit: float,
    ) -> None:
        self.x, self.y, self.pixels_per_unit = x, y, pixels_per_unit
        self._rgb, self._mask = paper.rgb[window], paper.mask[window]
        self._depth = paper.depth[window]
        self.depth: float | None = None
        self.light: tuple[float, float] = (-0.6, -0.8)

    def coverage(self, distance: np.ndarray, softness: float = 0.0) -> np.ndarray:
        """How much of every pixel is inside, [0, 1]; `softness` blurs the edge, in units."""
        width = 1.0 / self.pixels_per_unit + softness
        return np.clip(0.5 - distance / width, 0, 1)

    def fill(
        self,
        distance: np.ndarray,
        colour: Colour,
        *,
        opacity: float | np.ndarray = 1.0,
        softness: float = 0.0,
    ) -> None:
        """Flat colour; `colour` is (3,) or (H, W, 3) in [0, 1]."""
        self._lay(self.coverage(distance, softness) * opacity, colour)

    def solid(
        self,
        distance: np.ndarray,
        colour: Colour,
        *,
        roundness: float = 0.22,
        outline: float = 0.045,
    ) -> None:
        """A body: lit from `light`, darker round the edge, with a dark outline of its colour.

        `roundness` is how far from the edge the surface turns away from the viewer, `outline`
        half the thickness of the line, both in units.
        """
        if distance.size == 0:
            return
        base = np.asarray(colour, np.float32)
        edge = np.clip(1 + distance / roundness, 0, 1) ** 2
        down, right = _gradient(distance)
        steep = np.sqrt(down * down + right * right) + 1e-6
        facing = (right * self.light[0] + down * self.light[1]) / steep
        shade = 1.0 + edge * (0.34 * facing - 0.06)
        body = base * np.minimum(shade, 1.0)[..., None]
        body += (1 - base) * (np.maximum(shade, 1.0) - 1.0)[..., None] * 1.3
        self._lay(self.coverage(distance - outline), base * 0.36)
        self.fill(distance + outline, body)

    def _lay(self, alpha: np.ndarray, colour: Colour) -> None:
        paint = np.asarray(colour, np.float32)
        self._rgb += alpha[..., None] * (paint - self._rgb)
        if self.depth is not None:
            np.maximum(self._mask, alpha, out=self._mask)
            self._depth += alpha * (self.depth - self._depth)


def _gradient(field: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    down, right = np.zeros_like(field), np.zeros_like(field)
    if field.shape[0] > 2:
        down[1:-1] = field[2:] - field[:-2]
    if field.shape[1] > 2:
        right[:, 1:-1] = field[:, 2:] - field[:, :-2]
    return down, right
