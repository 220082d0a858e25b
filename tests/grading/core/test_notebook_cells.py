"""Cells are known by their ids and their %%todo lines, whatever a student has put around them."""

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


@pytest.mark.parametrize("above", ["", "# mine\n", "\n", "%%time\n", "# a\n\n%%capture x\n"])
def test_a_todo_line_is_found_below_comments_and_timing(above):
    source = f"{above}  %%todo {TASK} \n{CODE}"
    assert cells.task_named(source) == TASK
    assert cells.answer_in(source) == CODE
    assert cells.code_below(source) == above.replace("%%", "# %%") + CODE


@pytest.mark.parametrize("source", [CODE, "", "x = 1\n%%todo sds.sds_grad\n", "%%todo sds\n"])
def test_a_cell_without_a_todo_line_names_no_task_and_stays_as_it_is(source):
    assert cells.task_named(source) is None
    assert cells.answer_in(source) == cells.code_below(source) == source


def test_a_todo_line_alone_has_no_code():
    assert cells.task_named(f"%%todo {TASK}") == TASK
    assert cells.code_below(f"%%todo {TASK}") == ""


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
