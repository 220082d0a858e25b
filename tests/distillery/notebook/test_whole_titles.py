"""No title of a panel is cut off, or runs into its neighbour's."""

from __future__ import annotations

import warnings
from itertools import pairwise
from pathlib import Path

import matplotlib
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg

from distillery.core import lettering
from distillery.notebook.figures import curves, scatter, show
from distillery.notebook.widgets import _sliders

LONG = ["a white balloon on the beach, seed 12", "an orange mushroom beside a waterfall", "short"]


def drawn(figure):
    """Boxes of the titles that are there, and of the figure, once it is laid out."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    titles = [axes.title for axes in figure.axes if axes.title.get_text()]
    return [one.get_window_extent(canvas.get_renderer()) for one in titles], figure.bbox


FIGURES = {
    "pictures": lambda titles: show(torch.zeros(6, 3, 8, 8), titles, columns=6),
    "tall pictures": lambda titles: show(torch.zeros(3, 3, 16, 4), titles),
    "curves": lambda titles: curves([1, 2], {one: [1, 2] for one in titles}, x_label="t"),
    "scatter": lambda titles: scatter(
        {one: torch.zeros(3, 2) for one in titles}, torch.zeros(1, 2), torch.zeros(1, 2)
    ),
}


@pytest.mark.parametrize("make", FIGURES.values(), ids=FIGURES.keys())
def test_long_titles_are_whole_and_apart(make):
    boxes, whole = drawn(make([*LONG, *(f"{one}!" for one in LONG)][:6]))

    assert len(boxes) >= 3
    for box in boxes:
        assert box.x0 >= whole.x0 - 1
        assert box.x1 <= whole.x1 + 1
        assert box.y1 <= whole.y1 + 1
    rows = {}
    for box in boxes:
        rows.setdefault(round(box.y0), []).append(box)
    for row in rows.values():
        for left, right in pairwise(sorted(row, key=lambda box: box.x0)):
            assert left.x1 <= right.x0 + 1


def test_a_short_title_changes_nothing():
    plain, titled = show(torch.zeros(2, 3, 8, 8)), show(torch.zeros(2, 3, 8, 8), ["a", "b"])
    assert titled.get_figheight() == pytest.approx(plain.get_figheight() + 0.3)


def test_a_long_title_does_not_make_the_picture_smaller():
    heights = []
    for titles in (["a", "b"], [LONG[0], LONG[1]]):
        figure = show(torch.zeros(2, 3, 8, 8), titles)
        drawn(figure)
        heights.append(figure.axes[0].get_window_extent().height)
    assert heights[1] >= 0.93 * heights[0]


def test_the_names_of_sliders_are_not_cut_off():
    (slider,) = _sliders({"controlnet_conditioning_scale": [1, 2]})
    assert slider.style.description_width == "initial"


@pytest.mark.parametrize("figure", FIGURES.values(), ids=FIGURES)
def test_letters_that_no_font_has_are_left_out_of_titles_and_named(figure, monkeypatch):
    monkeypatch.setattr(lettering, "machine_fonts", lambda: ())

    with pytest.warns(UserWarning, match=r"no font here has the letters 船 🚀 of") as told:
        made = figure(["a 船 boat 🚀", "a μπλε boat", "short"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # matplotlib warns of a letter that it cannot draw
        drawn(made)

    assert len(told) == 1
    titles = [axes.title.get_text() for axes in made.axes if axes.title.get_text()]
    assert [" ".join(one.split()) for one in titles] == ["a boat", "a μπλε boat", "short"]


def test_a_title_is_drawn_in_a_font_that_has_its_letters(monkeypatch):
    other = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "STIXSizOneSymReg.ttf"
    monkeypatch.setattr(lettering, "machine_fonts", lambda: (other,))
    letter = "\u2a00"  # DejaVu has it, so it is taken from DejaVu's list
    known = lettering.letters_of(lettering.dejavu("DejaVuSans")) - {letter}
    of = lettering.letters_of
    monkeypatch.setattr("distillery.notebook.whole_titles.letters_of", lambda path: known)
    monkeypatch.setattr(lettering, "letters_of", lambda path: of(path) if path == other else known)

    figure = show(torch.zeros(2, 3, 8, 8), [letter, "plain"])

    assert [Path(axes.title.get_fontproperties().get_file() or "") for axes in figure.axes] == [
        other,
        Path(),
    ]
