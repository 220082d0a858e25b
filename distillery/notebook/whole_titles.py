"""Titles of panels: in letters that a font has, and broken where they are wider than the panel."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from distillery.core.lettering import dejavu, lettering, letters_of, missing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text

SHARE = 0.96  # of a panel's width or height that a title may take
LINE = 1.35  # lines of text are so many times as high as its letters


def with_whole_titles(figure: Figure) -> Figure:
    """Break the titles, and the labels of the y axes, where they would run into their neighbours.

    The figure grows by the lines that come to the titles, so that the panels keep their size. Words
    in letters that matplotlib's font lacks are drawn in one that has them; where no font does, the
    letters are left out, and a warning says which.
    """
    _give_letters(figure)
    grown: dict[int, float] = {}
    width, height = figure.bbox.width, figure.bbox.height
    for axes in figure.axes:
        rows, columns, row = _place(axes)
        more = _break(figure, axes.title, width / columns, upright=True)
        grown[row] = max(grown.get(row, 0.0), more)
        _break(figure, axes.yaxis.label, height / rows, upright=False)
    inches = sum(grown.values())
    if inches:
        figure.set_figheight(figure.get_figheight() + inches)
    return figure


def _give_letters(figure: Figure) -> None:
    from matplotlib.font_manager import FontProperties
    from matplotlib.text import Text

    own = dejavu("DejaVuSans")
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        words = text.get_text()
        if words.isascii() or not missing(words, letters_of(own)):
            continue
        size = float(text.get_fontsize())
        font, kept = lettering(words, size)
        text.set_text(kept)
        text.set_fontproperties(FontProperties(fname=getattr(font, "path", own), size=size))


def _place(axes: Axes) -> tuple[int, int, int]:
    """Rows and columns of the grid that the axes are in, and their row."""
    spec = axes.get_subplotspec()
    if spec is None:
        return 1, 1, 0
    rows, columns = spec.get_gridspec().get_geometry()
    span = len(spec.colspan)
    return rows, max(1, columns // span), spec.rowspan.start


def _break(figure: Figure, text: Text, room: float, *, upright: bool) -> float:
    """Break a text that is longer than its room in pixels; returns the inches it is higher."""
    words = text.get_text()
    if not words.strip() or "\n" in words:
        return 0.0
    from matplotlib.backends.backend_agg import RendererAgg

    # The figure's own canvas may be gone by now, and cannot measure then.
    box = text.get_window_extent(RendererAgg(1, 1, figure.dpi))
    length = box.width if upright else box.height
    if length <= SHARE * room:
        return 0.0
    letters = max(4, int(len(words) * SHARE * room / length))
    broken = textwrap.wrap(words, letters, break_long_words=False)
    text.set_text("\n".join(broken))
    return (len(broken) - 1) * LINE * float(text.get_fontsize()) / 72
