"""Cells are known by their ids, whatever a student has put where the metadata should be."""

from __future__ import annotations

import pytest

from grading.core import notebook_cells as cells

TASK = "sds.sds_grad"
CODE = "def sds_grad():\n    return 1\n"


def test_ids_name_tasks_and_tasks_name_ids():
    assert cells.todo_id(TASK) == "sds-sds_grad"
    assert cells.check_id(TASK) == "sds-sds_grad-check"
    assert cells.task_of(cells.todo_id(TASK)) == cells.task_of(cells.check_id(TASK)) == TASK
    assert cells.task_of("sds-pictures") == "sds.pictures"


@pytest.mark.parametrize(
    "cell",
    [
        {},
        {"metadata": None},
        {"metadata": []},
        {"metadata": {"nbgrader": 3}},
        {"metadata": {"nbgrader": {"grade_id": ["x"]}}},
    ],
)
def test_nonsense_where_metadata_should_be_is_no_id(cell):
    assert cells.grade_id_of(cell) == ""


def test_a_source_may_be_one_string_or_lines():
    assert cells.source_of({"source": CODE}) == CODE
    assert cells.source_of({"source": CODE.splitlines(keepends=True)}) == CODE
    assert cells.source_of({"source": 7}) == cells.source_of({}) == ""
