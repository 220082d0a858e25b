"""Words beside the points of a figure: none on another, on a mark or on the legend."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Annotation
    from matplotlib.transforms import Bbox
    from matplotlib.typing import ColorType

SIZE = 7.0  # of the letters, in points, as are all lengths below
MARK = 3.0  # from the middle of a mark to its edge
APART = 1.0  # between words
NEAR, FARTHER = 4.0, 4.0  # from the middle of a mark to the words in the first round, and in each
ROUNDS, AROUND = 16, 12  # rounds of places, and places in each
LED = 14.0  # words that are farther from their mark have a line to it


@dataclass(frozen=True)
class Words:
    """What stands beside a point, which is in the units of the axes."""

    text: str
    point: tuple[float, float]
    colour: ColorType


def write_beside(axes: Axes, words: Sequence[Words]) -> list[Annotation]:
    """Write each beside its point; what comes first has the first choice of a place.

    Places are tried from near to far. If none is free, the one is taken where least is covered.
    Call it when everything else is drawn: the layout and the limits of the axes are settled here.
    """
    from matplotlib.backends.backend_agg import RendererAgg

    figure = axes.get_figure(root=True)
    assert figure is not None
    # The figure's own canvas may be gone by now, and cannot measure then.
    renderer = RendererAgg(1, 1, figure.dpi)
    axes.set(xlim=axes.get_xlim(), ylim=axes.get_ylim())
    if (engine := figure.get_layout_engine()) is not None:
        engine.execute(figure)
    pixels = figure.dpi / 72
    marks = [tuple(axes.transData.transform(one.point)) for one in words]
    taken = [_box(mark, 2 * MARK * pixels, 2 * MARK * pixels) for mark in marks]
    if (legend := axes.get_legend()) is not None:
        taken.append(legend.get_window_extent(renderer))
    frame = axes.get_window_extent(renderer)
    written = []
    for one, mark in zip(words, marks, strict=True):
        size = _note(axes, one, (0, 0), led=False)
        box = size.get_window_extent(renderer)
        size.remove()
        room = (box.width + APART * pixels, box.height + APART * pixels)
        places = list(_places(room[0] / pixels, room[1] / pixels))
        boxes = [_box((mark[0] + x * pixels, mark[1] + y * pixels), *room) for x, y, _ in places]
        covered = [_covered(its, taken, frame) for its in boxes]
        best = covered.index(min(covered))
        x, y, away = places[best]
        written.append(_note(axes, one, (x, y), led=away > LED))
        taken.append(boxes[best])
    return written


def _note(axes: Axes, one: Words, offset: tuple[float, float], *, led: bool) -> Annotation:
    note = axes.annotate(
        one.text,
        one.point,
        xytext=offset,
        textcoords="offset points",
        fontsize=SIZE,
        color=one.colour,
        ha="center",
        va="center",
        arrowprops={"arrowstyle": "-", "lw": 0.5, "color": one.colour} if led else None,
    )
    note.set_in_layout(False)  # so that the axes stay where they were measured
    return note


def _places(width: float, height: float) -> Iterator[tuple[float, float, float]]:
    """Middles of words of that size, from the mark, and how far from it the words are."""
    for away in (NEAR + FARTHER * k for k in range(ROUNDS)):
        for turn in range(AROUND):
            # Below to the right first, then to either side of it.
            angle = -math.pi / 4 + (-1) ** turn * ((turn + 1) // 2) * 2 * math.pi / AROUND
            x, y = math.cos(angle), math.sin(angle)
            yield x * (away + width / 2), y * (away + height / 2), away


def _box(middle: tuple[float, ...], width: float, height: float) -> Bbox:
    from matplotlib.transforms import Bbox

    return Bbox.from_bounds(middle[0] - width / 2, middle[1] - height / 2, width, height)


def _covered(box: Bbox, taken: Sequence[Bbox], frame: Bbox) -> float:
    """The area that a box shares with others, and that of it which is outside the frame."""
    return sum(_shared(box, other) for other in taken) + (
        box.width * box.height - _shared(box, frame)
    )


def _shared(one: Bbox, other: Bbox) -> float:
    wide = min(one.x1, other.x1) - max(one.x0, other.x0)
    high = min(one.y1, other.y1) - max(one.y0, other.y0)
    return max(0.0, wide) * max(0.0, high)
