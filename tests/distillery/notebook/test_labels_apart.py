"""Words beside points lie on nothing: not on each other, on marks, on the legend or outside."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from distillery.notebook.figures import frontier
from distillery.notebook.labels_apart import Words, write_beside

# As stage 2 found them: shares are eighths, and settings of two methods meet in one point.
METHODS = {
    "SDEdit": [(0.11, 0.25), (0.17, 0.5), (0.24, 0.875), (0.33, 1.0)],
    "SDS": [(0.05, 0.0), (0.13, 0.25), (0.24, 0.875), (0.31, 0.875)],
    "DDS": [(0.11, 0.25), (0.111, 0.25), (0.17, 0.5), (0.2, 0.625)],
    "PDS": [(0.112, 0.25), (0.115, 0.375), (0.17, 0.5)],
}
KNOBS: dict[str, list[float]] = {
    "SDEdit": [0.5, 0.6, 0.7, 0.9],
    "SDS": [20, 40, 80, 160],
    "DDS": [20, 40, 80, 160],
}
KNOBS |= {"PDS": [20, 40, 80]}


@pytest.mark.parametrize("dpi", [72, 144])
def test_no_setting_of_a_frontier_lies_on_another_or_on_the_legend(dpi: int) -> None:
    figure = frontier(METHODS, knobs=KNOBS, x_label="pays", y_label="gets")
    axes = figure.axes[0]
    drawn = drawn_at(figure, dpi)
    words = [text for text in axes.texts if text.get_text()]
    assert sorted(text.get_text() for text in words) == sorted(
        str(setting) for settings in KNOBS.values() for setting in settings
    )
    assert overlapping([drawn[text] for text in words]) == []
    legend, frame = axes.get_legend(), axes.get_window_extent()
    assert legend is not None
    for text in words:
        assert not drawn[text].overlaps(legend.get_window_extent()), text
        assert frame.x0 <= drawn[text].x0 < drawn[text].x1 <= frame.x1, text


def test_words_of_one_point_are_written_around_it_and_those_far_away_have_a_line() -> None:
    figure = Figure(layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1])
    words = [Words(f"setting {k}", (0.5, 0.5), "black") for k in range(16)]
    notes = write_beside(axes, words)
    drawn = drawn_at(figure, 100)
    assert overlapping([drawn[note] for note in notes]) == []
    assert notes[0].arrow_patch is None
    assert notes[-1].arrow_patch is not None


def test_where_there_is_room_words_stand_below_to_the_right_of_their_point() -> None:
    figure = Figure()
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1])
    (note,) = write_beside(axes, [Words("0.5", (0.5, 0.5), "black")])
    x, y = note.get_position()
    assert 0 < x < 20
    assert -20 < y < 0


def drawn_at(figure: Figure, dpi: int) -> dict[Text, Any]:
    """The boxes of the letters alone, in pixels, once the figure is drawn."""
    FigureCanvasAgg(figure)
    figure.set_dpi(dpi)
    figure.draw_without_rendering()
    return {text: Text.get_window_extent(text) for text in figure.findobj(Text)}


def overlapping(boxes: list[Any]) -> list[tuple[Any, Any]]:
    return [(one, other) for one, other in combinations(boxes, 2) if one.overlaps(other)]
