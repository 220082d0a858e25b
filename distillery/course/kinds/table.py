"""A function that returns a table of whole numbers, each of which counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from distillery.course.drawing import NewFigure, draw_table
from distillery.course.kinds.value import ValueCase
from distillery.course.observe import Observation
from distillery.course.record import Facts, Tensors

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST = 40  # rows or columns that are drawn


@dataclass(frozen=True)
class TableCase(ValueCase):
    """The result is (M, N).

    columns: what the N columns are called; none if they are places as the rows are.
    """

    kind = "table"

    columns: tuple[str, ...] = ()

    def where(self, place: tuple[int, ...]) -> str:
        row, column = place
        if not self.columns:
            return f"in row {row}, column {column}"
        return f"in row {row}, under {self.columns[column]!r}"

    def can_draw(self, wanted: Observation, came: Observation) -> bool:
        its = came.value
        return (
            its is not None and its.dim() == 2 and 0 < len(its) <= MOST and 0 < its.shape[1] <= MOST
        )

    def draw(self, new: NewFigure, wanted: Observation, came: Observation | None) -> Figure:
        assert wanted.value is not None
        can = came is not None and self.can_draw(wanted, came)
        return draw_table(new, wanted.value, came.value if came and can else None, self.columns)

    def stored_facts(self) -> Facts:
        return super().stored_facts() | {"columns": list(self.columns)}

    @classmethod
    def restored(cls, facts: Facts, tensors: Tensors) -> Self:
        return super().restored(facts | {"columns": tuple(facts.get("columns", ()))}, tensors)


KIND = TableCase
