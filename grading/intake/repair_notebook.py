"""Rebuild a submission on the released notebook, so that nbgrader can always read it.

The cells of the release keep their order. Locked cells are as released; cells for an answer hold
the student's code. The student's other cells follow the same released cell as before, without
anything that nbgrader would read.
"""

from __future__ import annotations

import copy
import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from textwrap import shorten
from typing import Any

import nbformat
from nbformat import NotebookNode

from distillery.core.counting import counted
from distillery.course.todo_cell import answer_in, code_below, task_named
from grading.core.notebook_cells import grade_id_of
from grading.core.records import Flag
from grading.intake.archives import quoted

FIXED = ("grade", "solution", "locked", "task", "points")  # of nbgrader's metadata
HIDDEN = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")


@dataclass(frozen=True)
class _ReleasedCell:
    """A cell of the release that nbgrader knows.

    follows: whether it comes directly after another such cell.
    """

    cell: NotebookNode
    follows: bool

    @property
    def grade_id(self) -> str:
        return grade_id_of(self.cell)

    @property
    def locked(self) -> bool:
        return bool(self.cell.metadata.nbgrader.get("locked"))

    @property
    def task(self) -> str | None:
        """The task that the cell asks for."""
        return _task_of(self.cell)


def grade_ids(notebook: Mapping[str, Any]) -> set[str]:
    """The ids by which nbgrader knows the cells of a notebook."""
    return {name for cell in notebook["cells"] if (name := grade_id_of(cell))}


def belongs(notebook: Mapping[str, Any], released: NotebookNode) -> bool:
    """Whether a notebook is of this assignment, judged by its cells and not by its name."""
    if grade_ids(notebook) & grade_ids(released):
        return True
    asked = {one.task for one in _released_cells(released)} - {None}
    return any(_task_of(cell) in asked for cell in notebook["cells"])


def repair_notebook(
    notebook: Mapping[str, Any], released: NotebookNode
) -> tuple[NotebookNode, list[Flag]]:
    """The released notebook with the student's answers and own cells, and flags.

    A cell answers a task if its `%%todo` line names the task, or if it has the task's grade id and
    no such line. Of several answers the last one that is not the released stub counts, as if all
    cells were run in order.

    Args:
        notebook: as `read_notebook` returns it.
        released: as nbgrader released it.
    """
    cells: Sequence[dict[str, Any]] = notebook["cells"]
    flags: list[Flag] = []
    places: dict[str, int] = {}  # grade id -> index of the student's cell for it
    known = _released_cells(released)
    for one in known:
        found = _answers(one, cells) if one.task else _copies(one, cells)
        flags += _missing(one, cells) if not found else []
        if found:
            places[one.grade_id] = _chosen(one, [cells[index] for index in found], found, flags)
    flags += _unknown(cells, known) + _hidden_characters(cells)
    repaired = copy.deepcopy(released)
    given = [cell for cell in released.cells if not grade_id_of(cell)]
    repaired.cells = _with_ids(_assembled(cells, known, places), given)
    return repaired, flags


def _released_cells(released: NotebookNode) -> list[_ReleasedCell]:
    marked = [bool(grade_id_of(cell)) for cell in released.cells]
    follows = [False, *(before for before, _ in pairwise(marked))]
    return [
        _ReleasedCell(cell, after)
        for cell, mark, after in zip(released.cells, marked, follows, strict=True)
        if mark
    ]


def _task_of(cell: Mapping[str, Any]) -> str | None:
    """The task that a code cell's `%%todo` line names."""
    return task_named(cell["source"]) if cell["cell_type"] == "code" else None


def _answers(one: _ReleasedCell, cells: Sequence[Mapping[str, Any]]) -> list[int]:
    return [
        index
        for index, cell in enumerate(cells)
        if cell["cell_type"] == "code"
        and (_task_of(cell) or (one.task if grade_id_of(cell) == one.grade_id else None))
        == one.task
    ]


def _copies(one: _ReleasedCell, cells: Sequence[Mapping[str, Any]]) -> list[int]:
    return [index for index, cell in enumerate(cells) if grade_id_of(cell) == one.grade_id]


def _chosen(
    one: _ReleasedCell, cells: list[dict[str, Any]], places: list[int], flags: list[Flag]
) -> int:
    """The index of the student's cell that counts for a released cell; adds flags."""
    if not one.task:
        same = [place for cell, place in zip(cells, places, strict=True) if _is_same(one, cell)]
        if len(cells) > 1:
            flags.append(Flag("copied cell", f"{one.grade_id} is there {len(cells)} times."))
        if one.locked and not same:
            flags.append(Flag("locked cell", _change(one, cells[0])))
        return (same or places)[0]
    if len(cells) > 1:
        sentence = f"{one.grade_id} is answered {len(cells)} times; the last answer was graded."
        flags.append(Flag("copied cell", sentence))
    stub = answer_in(one.cell.source).strip()
    written = [
        place
        for cell, place in zip(cells, places, strict=True)
        if answer_in(cell["source"]).strip() != stub
    ]
    return (written or places)[-1]


def _is_same(one: _ReleasedCell, cell: Mapping[str, Any]) -> bool:
    if cell["cell_type"] != one.cell.cell_type or cell["source"] != one.cell.source:
        return False
    its, asked = cell["metadata"]["nbgrader"], one.cell.metadata.nbgrader
    return all(its.get(name, asked.get(name)) == asked.get(name) for name in FIXED)


def _change(one: _ReleasedCell, cell: Mapping[str, Any]) -> str:
    """What is different from the release in a locked cell."""
    its, asked = cell["metadata"]["nbgrader"], one.cell.metadata.nbgrader
    change = f"it is a {cell['cell_type']} cell"
    if cell["source"] != one.cell.source:
        lines = difflib.unified_diff(
            one.cell.source.split("\n"), cell["source"].split("\n"), n=0, lineterm=""
        )
        changed = [line for line in list(lines)[2:] if not line.startswith("@@")]
        change = shorten(" / ".join(changed), 160, placeholder=" ...")
    elif cell["cell_type"] == one.cell.cell_type:
        names = [name for name in FIXED if its.get(name, asked.get(name)) != asked.get(name)]
        change = ", ".join(f"{name}: {quoted(str(its.get(name)))}" for name in names)
    return f"{one.grade_id} was changed, and is graded as released ({change})."


def _missing(one: _ReleasedCell, cells: Sequence[Mapping[str, Any]]) -> list[Flag]:
    if any(grade_id_of(cell) == one.grade_id for cell in cells):
        return [Flag("cell type", f"{one.grade_id} is not a code cell for its task any more.")]
    kind = "locked cell" if one.locked else "missing cell"
    return [Flag(kind, f"{one.grade_id} was missing, and was put back as released.")]


def _unknown(cells: Sequence[Mapping[str, Any]], known: list[_ReleasedCell]) -> list[Flag]:
    names = {one.grade_id for one in known}
    strange = sorted({name for cell in cells if (name := grade_id_of(cell)) and name not in names})
    if not strange:
        return []
    listed = shorten(", ".join(map(quoted, strange)), 160, placeholder=" ...")
    return [
        Flag("unknown cell", f"cells have the ids {listed}, which this assignment does not have.")
    ]


def _hidden_characters(cells: Sequence[Mapping[str, Any]]) -> list[Flag]:
    """Invisible characters, which make code look like other code."""
    hidden = sum(bool(HIDDEN.search(c["source"])) for c in cells if c["cell_type"] == "code")
    if not hidden:
        return []
    return [
        Flag(
            "hidden characters",
            f"{counted(hidden, 'code cell holds', 'code cells hold')} invisible characters.",
        )
    ]


def _assembled(
    cells: Sequence[dict[str, Any]], known: list[_ReleasedCell], places: dict[str, int]
) -> list[NotebookNode]:
    """The released cells in their order, each followed by the student's own cells."""
    at = {place: grade_id for grade_id, place in places.items()}
    own: dict[str, list[NotebookNode]] = {"": [], **{one.grade_id: [] for one in known}}
    current = ""
    for index, written in enumerate(cells):
        if index in at:
            current = at[index]
        else:
            own[current].append(_own(written))
    result, waiting = own[""], list[NotebookNode]()
    for one in known:
        place = places.get(one.grade_id)
        # A cell that is put back comes directly after the cell that it followed in the release.
        if not (one.follows and place is None):
            result += waiting
            waiting = []
        result.append(_filled(one, None if place is None else cells[place]))
        waiting += own[one.grade_id]
    return result + waiting


def _with_ids(cells: list[NotebookNode], given: list[NotebookNode]) -> list[NotebookNode]:
    """The cells with valid and unique ids; ungraded cells that are as released keep theirs."""
    left = [copy.deepcopy(cell) for cell in given]
    own = 0
    named = []
    for cell in cells:
        same = [one for one in left if _is_as_given(cell, one)]
        if same and not grade_id_of(cell):
            left.remove(same[0])
            cell = same[0]
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
        elif not grade_id_of(cell):
            cell.id, own = f"own-{own}", own + 1
        named.append(cell)
    return named


def _is_as_given(cell: NotebookNode, given: NotebookNode) -> bool:
    return (cell.cell_type, cell.source) == (given.cell_type, given.source)


def _filled(one: _ReleasedCell, cell: dict[str, Any] | None) -> NotebookNode:
    """The released cell, with the student's source unless it is locked."""
    filled = copy.deepcopy(one.cell)
    if filled.cell_type == "code":
        filled.outputs, filled.execution_count = [], None
    if cell is None or one.locked:
        return filled
    if one.task:
        filled.source = f"%%todo {one.task}\n{code_below(cell['source'])}"
    elif cell["cell_type"] == filled.cell_type:
        filled.source = cell["source"]
    return filled


def _own(cell: dict[str, Any]) -> NotebookNode:
    own = {"id": "", "cell_type": cell["cell_type"], "metadata": {}, "source": cell["source"]}
    if own["cell_type"] == "code":
        own |= {"outputs": [], "execution_count": None}
    # nbformat.v4.new_code_cell validates each cell, which would take most of the time of a class.
    return nbformat.from_dict(own)
