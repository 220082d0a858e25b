"""Stroke paintings of drawings: what somebody would paint who means the same scene.

Each is a pure function of a `Drawing` of any size, and of a seed where there is chance in it: the
same seed paints the same, and at another resolution nearly the same.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageFilter

from distillery.toybox.crayon import Sheet, hatching, wandering
from distillery.toybox.drawing import Drawing

ROWS = 48  # of a scene, among which the edges of its bands are sought
LOWEST = 3  # rows of a band, at least
MARGIN = 0.05  # of the shorter side: outlines and shadows, which are no part of the scene


def coarse_painting(drawing: Drawing, seed: int) -> np.ndarray:
    """One ellipse for each thing on three bands of flat colour, a little off: the coarsest.

    An ellipse has the centre, the axes and the tilt of its thing's label (its first and second
    moments), and the median colour of the thing; a band has the median colour of the scene there,
    the things left out. The edges of the bands are where three flat colours fit the scene best.
    Centres, axes and edges are then shifted at random by a few percent.

    Returns:
        (H, W, 3) uint8, with at most three colours and one for each thing.
    """
    g = np.random.default_rng(seed)
    painting = np.empty_like(drawing.image)
    for rows, colour in bands(drawing, g):
        painting[rows] = colour
    for seen in _back_to_front(drawing):
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
        spacing = min(0.17 * side, height)  # so that a narrow band has a stroke too
        for y in rows.start + np.arange(0.5, height / spacing) * spacing:
            start, end = sheet.size[1] * g.uniform((0.02, 0.75), (0.25, 0.98))
            path = wandering([(start, y), (end, y + 0.03 * side * g.normal())], 0.02 * side, g)
            sheet.stroke(path, 0.035 * side, colour, g)
    for seen in _back_to_front(drawing):
        region = _blob(seen)
        if region.any():
            colour = np.median(drawing.image[seen], axis=0)
            lines = hatching(region, angle=g.uniform(-0.9, 0.9), spacing=0.075 * side, g=g)
            zigzag = [end for line in lines for end in line]
            sheet.stroke(wandering(zigzag, 0.01 * side, g), 0.03 * side, colour, g)
    return sheet.rgba()


def hatched(drawing: Drawing, seed: int) -> np.ndarray:
    """As with crayons: the bands hatched lightly, the things densely and with an outline.

    Returns:
        (H, W, 4) uint8; paper shows between the lines, with alpha below 255.
    """
    g = np.random.default_rng(seed)
    sheet = Sheet(*drawing.image.shape[:2])
    side = min(sheet.size)
    for rows, colour in bands(drawing, g):
        region = np.zeros(sheet.size, bool)
        region[rows] = True
        for angle in (g.uniform(-0.12, 0.12), g.uniform(-0.12, 0.12)):
            for line in hatching(region, angle=angle, spacing=0.075 * side, g=g):
                path = wandering(line, 0.01 * side, g)
                sheet.stroke(path, 0.035 * side, _shade(colour, g), g, pressure=(0.55, 0.95))
    for seen in _back_to_front(drawing):
        angle = g.uniform(0.3, 0.9) * g.choice([-1, 1])
        for part, colour in _parts(drawing.image, seen):
            for line in hatching(part, angle=angle, spacing=0.045 * side, g=g):
                path = wandering(line, 0.008 * side, g)
                sheet.stroke(path, 0.028 * side, _shade(colour, g), g, pressure=(0.7, 1.0))
            angle = -angle
        if (blob := _blob(seen)).any():
            dark = 0.5 * np.median(drawing.image[seen], axis=0)
            outline = wandering(_outline(blob), 0.008 * side, g)
            sheet.stroke(outline, 0.014 * side, dark, g, pressure=(0.5, 1.0))
    return sheet.rgba()


def dabbed(drawing: Drawing, seed: int) -> np.ndarray:
    """As with a broad brush and wet paint: overlapping dabs in the colours that lie beneath them.

    Returns:
        (H, W, 4) uint8; nearly everything is painted, but for gaps near the border.
    """
    g = np.random.default_rng(seed)
    sheet = Sheet(*drawing.image.shape[:2])
    side, width = min(sheet.size), sheet.size[1]
    for rows, colour in bands(drawing, g):
        for y in np.arange(rows.start + 0.03 * side, rows.stop, 0.06 * side):
            ends = width * g.uniform((-0.02, 0.94), (0.05, 1.03))
            path = wandering([(ends[0], y), (ends[1], y)], 0.015 * side, g)
            sheet.stroke(path, 0.055 * side, _shade(colour, g), g, pressure=(0.85, 1.0))
    things = _blob(drawing.labels > 0)
    _dab(sheet, few_colours(drawing, colours=8), ~things, 0.045 * side, 0.12 * side, g)
    for seen in _back_to_front(drawing):
        for part, colour in _parts(drawing.image, seen):
            flat = np.broadcast_to(colour, drawing.image.shape)
            _dab(sheet, flat, part, 0.03 * side, 0.05 * side, g)
    return sheet.rgba()


def _back_to_front(drawing: Drawing) -> Iterator[np.ndarray]:
    """Where each thing is seen, (H, W) bool; the first thing is in front, so it comes last."""
    for label in range(len(drawing.factors), 0, -1):
        yield drawing.labels == label


def _dab(
    sheet: Sheet,
    colours: np.ndarray,
    where: np.ndarray,
    radius: float,
    length: float,
    g: np.random.Generator,
) -> None:
    """Short strokes, nearly level, that begin in `where` (H, W) and about cover it."""
    places = np.argwhere(where)
    count = int(2.2 * len(places) / (2 * radius * (length + radius)))
    for row, column in places[g.integers(len(places), size=count)] if count else ():
        angle = 0.5 * g.normal()
        across = length / 2 * np.array([np.cos(angle), np.sin(angle)])
        middle = np.array([column + 0.5, row + 0.5])
        path = wandering([tuple(middle - across), tuple(middle + across)], 0.1 * radius, g)
        sheet.stroke(path, radius, _shade(colours[row, column], g), g, pressure=(0.75, 1.0))


def _parts(image: np.ndarray, seen: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """A thing as a hand would paint it: the whole in its main colour, then two smaller colours.

    Each part is where it is, (H, W) bool, and its colour (3,) in [0, 255].
    """
    whole = _blob(seen)
    if not whole.any():
        return []
    strip = Image.fromarray(image[seen][None])
    kinds = strip.quantize(4, Image.Quantize.MEDIANCUT, kmeans=4, dither=Image.Dither.NONE)
    kind = np.full(seen.shape, -1)
    kind[seen] = np.asarray(kinds)[0]
    by_size = sorted(range(4), key=lambda k: -(kind == k).sum())
    bright = [k for k in by_size if (kind == k).any() and image[kind == k].max(axis=1).mean() > 90]
    parts = [
        (whole if n == 0 else _blob(kind == k), k) for n, k in enumerate((bright or by_size)[:3])
    ]
    return [(part, np.median(image[kind == k], axis=0)) for part, k in parts if part.any()]


def _outline(blob: np.ndarray) -> list[tuple[float, float]]:
    """Once round a silhouette, (x, y) in pixels, as seen from its centre."""
    rows, columns = np.nonzero(blob)
    x, y = columns + 0.5, rows + 0.5
    dx, dy = x - x.mean(), y - y.mean()
    turn = ((np.arctan2(dy, dx) / (2 * np.pi) + 0.5) * 32).astype(int) % 32
    corners = []
    for k in range(32):
        here = np.flatnonzero(turn == k)
        if len(here):
            far = here[np.hypot(dx[here], dy[here]).argmax()]
            corners.append((float(x[far]), float(y[far])))
    return [*corners, corners[0]]


def _shade(colour: np.ndarray, g: np.random.Generator) -> np.ndarray:
    """The colour as it comes off a brush, a little lighter or darker."""
    return np.clip(colour * g.uniform(0.92, 1.08), 0, 255)


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
        (
            (a, b)
            for a in range(LOWEST, ROWS - 2 * LOWEST + 1)
            for b in range(a + LOWEST, ROWS - LOWEST + 1)
        ),
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
