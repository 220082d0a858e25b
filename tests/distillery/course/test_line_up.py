"""A line-up shows wrong results and never says whose they are."""

from __future__ import annotations

import itertools

import pytest

from distillery.core.errors import CourseError
from distillery.course.line_up import LineUp

NAMES = ("noise_without_roots", "noise_subtracted", "noise_with_swapped_factors")


def test_only_the_right_accusation_has_every_letter_right(capsys):
    line_up = LineUp("tour.add_noise", NAMES, seed=4)
    for numbers in itertools.permutations((1, 2, 3)):
        line_up.accuse(**dict(zip("ABC", numbers, strict=True)))
    counts = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert sorted(counts) == ["0", "0", "1", "1", "1", "3"]


def test_an_unanswered_line_up_has_nothing_right(capsys):
    LineUp("tour.add_noise", NAMES).accuse(A=None)
    assert capsys.readouterr().out == "0 of 3 are right.\n"


def test_the_figure_has_a_column_for_every_suspect_and_prints_what_they_did(capsys):
    line_up = LineUp("tour.add_noise", NAMES)
    titles = [axes.get_title() for axes in line_up.figure().axes]
    assert titles[:4] == ["right", "A", "B", "C"]
    assert all(sentence in capsys.readouterr().out for sentence in line_up.sentences[:1])


@pytest.mark.parametrize("name", ["nobody", "noise_drawn_inside"])
def test_a_mistake_without_a_picture_is_refused(name):
    with pytest.raises(CourseError, match=name):
        LineUp("tour.add_noise", [name])


def test_a_task_without_pictures_is_refused():
    with pytest.raises(CourseError, match="no picture to show"):
        LineUp("sds.sample_timesteps", ["t_rounded"])
