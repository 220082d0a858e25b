"""Stroke paintings of drawings: what somebody would paint who means the same scene.

Each is a pure function of a `Drawing` of any size, and of a seed where there is chance in it: the
same seed paints the same, and at another resolution nearly the same.
"""

from __future__ import annotations

import itertools

import numpy as np
from PIL import Image, ImageFilter

from distillery.toybox.crayon import Sheet, hatching, wandering
from distillery.toybox.drawing import Drawing

BANDS = 3
ROWS = 48  # of a scene, among which the edges of its bands are sought
MARGIN = 0.05  # of the height: outlines and shadows, which are no part of the scene


def coarse_painting(drawing: Drawing, seed: int) -> np.ndarray:
    """One ellipse for each thing on three bands of flat colour, a little off: the coarsest.

    An ellipse has the centre, the axes and the tilt of its thing's label (its first and second
    moments), and the median colour of the thing; a band has the median colour of the scene there,
    the things left out. The edges of the bands are where the scene changes most from row to row.
    Centres, axes and edges are then shifted at random by a few percent.

    Returns:
        (H, W, 3) uint8, with at most three colours and one for each thing.
    """
    g = np.random.default_rng(seed)
    painting = np.empty_like(drawing.image)
    for rows, colour in bands(drawing, g):
        painting[rows] = colour
    for label in range(1, len(drawing.factors) + 1)[::-1]:  # the first is in front
        seen = drawing.labels == label
        if seen.any():
            painting[_ellipse(seen, g)] = np.median(drawing.image[seen], axis=0)
    return painting


def few_colours(drawing: Drawing, *, colours: int = 6, width: float = 0.11) -> np.ndarray:
    """The drawing through a median filter, in a small palette: finer, with the thing's outline.

    This is the painting operator that GradOP+ (arXiv 2211.17084) calls the more faithful one.

    Args:
        colours: how many at most.
        width: of the filter, as a part of the shorter side.

    Returns:
        (H, W, 3) uint8.
    """
    size = 2 * round(width * min(drawing.image.shape[:2]) / 2) + 1
    # PIL's filter takes width^2 steps a pixel: large drawings are filtered at a smaller size.
    shrink = max(1, size // 15)
    small = Image.fromarray(drawing.image).reduce(shrink)
    smooth = small.filter(ImageFilter.MedianFilter(max(1, size // shrink // 2 * 2 + 1)))
    whole = smooth.resize(drawing.image.shape[1::-1], Image.Resampling.BILINEAR)
    flat = whole.quantize(colours, Image.Quantize.MEDIANCUT, kmeans=4, dither=Image.Dither.NONE)
    return np.asarray(flat.convert("RGB"))


def scribbles(drawing: Drawing, seed: int) -> np.ndarray:
    """Loose strokes in the colours of the scene and its things; much stays unpainted.

    Returns:
        (H, W, 4) uint8; alpha is 0 where nothing was painted, and the colour there is of no use.
    """
    g = np.random.default_rng(seed)
    sheet = Sheet(*drawing.image.shape[:2])
    side = min(sheet.size)
    for rows, colour in bands(drawing, g):
        height = rows.stop - rows.start
        for middle in np.arange(0.5, max(1.0, height / (0.17 * side))) * 0.17 * side:
            y = rows.start + min(middle, height / 2 if height < 0.17 * side else middle)
            start, end = sheet.size[1] * g.uniform((0.02, 0.75), (0.25, 0.98))
            path = wandering([(start, y), (end, y + 0.03 * side * g.normal())], 0.02 * side, g)
            sheet.stroke(path, 0.035 * side, colour, g)
    for label in range(1, len(drawing.factors) + 1)[::-1]:
        region = _blob(drawing.labels == label)
        if region.any():
            colour = np.median(drawing.image[drawing.labels == label], axis=0)
            lines = hatching(region, angle=g.uniform(-0.9, 0.9), spacing=0.075 * side, g=g)
            zigzag = [end for line in lines for end in line]
            sheet.stroke(wandering(zigzag, 0.01 * side, g), 0.03 * side, colour, g)
    return sheet.rgba()


def bands(drawing: Drawing, g: np.random.Generator) -> list[tuple[slice, np.ndarray]]:
    """The scene without its things as three bands, each with its rows and colour (3,) in [0, 255].

    Every row belongs to one band; a low picture has fewer bands.
    """
    scene = _rows_of_scene(drawing)
    height = len(scene)
    cuts = [round(cut * height / ROWS) for cut in _cuts(scene)]
    cuts = [round(cut + height * 0.02 * g.uniform(-1, 1)) for cut in cuts]
    edges = [0, *np.clip(cuts, 0, height), height]
    return [
        (slice(int(top), int(bottom)), np.median(scene[top:bottom], axis=0))
        for top, bottom in itertools.pairwise(edges)
        if bottom > top
    ]


def _rows_of_scene(drawing: Drawing) -> np.ndarray:
    """The median colour of each row without the things, (H, 3); the next row's where all is hid."""
    height = drawing.image.shape[0]
    wide = 2 * round(MARGIN * min(drawing.image.shape[:2])) + 1
    things = Image.fromarray((drawing.labels > 0).astype(np.uint8))
    free = ~np.asarray(things.filter(ImageFilter.MaxFilter(wide))).astype(bool)
    known = np.flatnonzero(free.any(axis=1))
    if not len(known):
        free, known = np.ones_like(free), np.arange(height)
    rows = np.array([np.median(drawing.image[row][free[row]], axis=0) for row in known])
    nearest = np.abs(np.arange(height)[:, None] - known).argmin(axis=1)
    return rows[nearest]


def _cuts(rows: np.ndarray) -> tuple[int, int]:
    """The two cuts, of `ROWS`, between which the rows (H, 3) differ least from their means."""
    some = rows[np.arange(ROWS) * len(rows) // ROWS]
    sums = np.concatenate([np.zeros((1, 3)), some.cumsum(axis=0)])
    # Of a band's squared differences, only -n mean^2 depends on the cuts.
    return max(
        ((a, b) for a in range(3, ROWS - 5) for b in range(a + 3, ROWS - 2)),
        key=lambda cut: sum(
            ((sums[end] - sums[start]) ** 2).sum() / (end - start)
            for start, end in ((0, cut[0]), cut, (cut[1], ROWS))
        ),
    )


def _ellipse(seen: np.ndarray, g: np.random.Generator) -> np.ndarray:
    """Where the ellipse with the moments of `seen` (H, W) bool is, a little off; (H, W) bool."""
    places = np.argwhere(seen) + 0.5
    side = min(seen.shape)
    centre = places.mean(axis=0) + 0.02 * side * g.uniform(-1, 1, 2)
    spread = np.cov(places.T, bias=True) + np.eye(2) / 12  # a pixel has a size
    spread *= np.outer(*[g.uniform(0.92, 1.08, 2)] * 2)
    away = np.moveaxis(np.indices(seen.shape), 0, -1) + 0.5 - centre
    # A filled ellipse with semi-axis a has the variance a^2 / 4 along it.
    return np.einsum("...i,ij,...j", away, np.linalg.inv(4 * spread), away) <= 1


def _blob(seen: np.ndarray) -> np.ndarray:
    """The silhouette (H, W) bool without its fine parts, as a hand would paint it."""
    blurred = Image.fromarray(seen.astype(np.uint8) * 255).filter(
        ImageFilter.GaussianBlur(0.03 * min(seen.shape))
    )
    return np.asarray(blurred) > 127
