"""Plain figures do not make small differences look large."""

from __future__ import annotations

from distillery.notebook.figures import curves, overlaid


def test_an_axis_from_zero_shows_how_small_a_difference_is():
    figure = curves([1, 2, 3], {"score": [0.75, 0.76, 0.755]}, x_label="s", from_zero=True)
    low, high = figure.axes[0].get_ylim()
    assert (low, round(high, 3)) == (0, 0.836)
    assert curves([1, 2], {"score": [0.75, 0.76]}, x_label="s").axes[0].get_ylim()[0] > 0.7


def test_logarithmic_curves_share_their_axis():
    lines = {"each": [1.0, 1000.0], "mean": [10.0, 20.0]}
    each, mean = curves([0, 1], lines, x_label="step", log_y=True).axes
    assert each.get_yscale() == mean.get_yscale() == "log"
    assert each.get_ylim() == mean.get_ylim()


def test_a_panel_of_several_lines_begins_at_zero_where_it_should():
    panels = {"pull": {"a": [3.0, 4.0]}, "weight": {"a": [3.0, 4.0]}}
    pull, weight = overlaid([0, 1], panels, x_label="t", from_zero=["weight"]).axes
    assert weight.get_ylim()[0] == 0
    assert pull.get_ylim()[0] > 2
