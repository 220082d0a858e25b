"""Checks of tables of whole numbers, and the network that checks of windows hand over."""

from __future__ import annotations

import pytest
import torch
from matplotlib.figure import Figure
from torch import Tensor

from distillery.core.errors import CourseError
from distillery.course.functions import named
from distillery.course.kinds import from_wire, to_wire
from distillery.course.kinds.table import MOST, TableCase
from distillery.course.observe import Observation, observe

WANTED = torch.tensor([[0, 8, 0, 4], [2, 10, 4, 8], [4, 12, 8, 12]])
NAMES = ("read from", "read to", "write from", "write to")


def table_of(table: Tensor, columns: tuple[str, ...] = NAMES) -> tuple[TableCase, Observation]:
    case = TableCase((), columns=columns)
    return case, observe(lambda: table, case)


def texts(figure: Figure) -> list[list[str]]:
    return [[text.get_text() for text in axes.texts] for axes in figure.axes]


def test_numbers_are_compared_and_a_place_is_named_by_its_column() -> None:
    case, wanted = table_of(WANTED)
    assert wanted.equals(table_of(WANTED.clone())[1])
    assert not wanted.equals(table_of(WANTED + (WANTED == 10))[1])
    assert not wanted.equals(table_of(WANTED.float())[1])
    assert case.where((1, 3)) == "in row 1, under 'write to'"
    assert table_of(WANTED, ())[0].where((1, 3)) == "in row 1, column 3"


def test_a_case_comes_back_from_what_is_stored_of_it() -> None:
    case = TableCase(("side",), values={"side": 7}, columns=NAMES)
    assert from_wire(*to_wire(case)) == case
    assert from_wire(*to_wire(TableCase(("side",), values={"side": 7}))).columns == ()


def test_tables_of_one_shape_are_drawn_with_what_differs() -> None:
    case, wanted = table_of(WANTED)
    _, came = table_of(WANTED - 2 * (WANTED == 12))
    figure = case.draw(Figure, wanted, came)
    numbers = [[f"{number}" for number in its.flatten().tolist()] for its in (WANTED, WANTED)]
    numbers[1] = [text if text != "12" else "10" for text in numbers[1]]
    gaps = ["-2" if text == "12" else "0" for text in numbers[0]]
    assert texts(figure) == [*numbers, gaps]
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == list(NAMES)
    shade = figure.axes[2].images[0].get_array()
    assert (shade > 0).sum() == 2


def test_a_table_with_a_row_too_few_is_drawn_beside_the_right_one() -> None:
    case, wanted = table_of(WANTED)
    _, came = table_of(WANTED[:2])
    assert case.can_draw(wanted, came)
    drawn = texts(case.draw(Figure, wanted, came))
    assert [len(its) for its in drawn] == [12, 8, 0]


@pytest.mark.parametrize(
    "table", [torch.zeros(MOST + 1, 2), torch.zeros(2, MOST + 1), torch.zeros(3), torch.zeros(0, 4)]
)
def test_what_is_no_table_or_too_large_a_one_is_not_drawn(table: Tensor) -> None:
    case, wanted = table_of(WANTED)
    _, came = table_of(table)
    assert not case.can_draw(wanted, came)
    assert texts(case.draw(Figure, wanted, came))[1] == ["nothing to draw yet"]


NETWORK = {"function": "looks around", "slope": 0.1, "growth": 0.2, "answers": 2}


def test_a_cell_is_predicted_from_its_neighbours_its_place_and_the_number_of_its_view() -> None:
    predict = named(NETWORK)
    views = torch.zeros(3, 1, 1, 4, 5)
    nothing = predict(views)
    assert nothing.shape == (3, 1, 2, 4, 5)
    assert len(nothing[1, 0, 0].unique()) > 10  # places
    views[1, 0, 0, 2, 2] = 1.0
    moved = (predict(views) - nothing).abs() > 1e-6
    assert moved[1, 0, 0].nonzero().tolist() == [[1, 2], [2, 2], [2, 3]]
    assert not moved[[0, 2]].any()
    same = torch.ones(1, 1, 1, 4, 5).expand(3, 1, 1, 4, 5)
    first, second, third = predict(same)
    torch.testing.assert_close(second - first, third - second)
    assert (second - first).abs().max() > 0.1
    assert predict.calls == 3


def test_views_without_a_batch_are_refused_in_a_sentence() -> None:
    with pytest.raises(CourseError, match=r"five axes; these have the shape \(2, 3, 4, 5\)\."):
        named(NETWORK)(torch.zeros(2, 3, 4, 5))
