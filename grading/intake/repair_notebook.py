"""From whatever a student's notebook has become to one that nbgrader can always digest.

The released notebook is the skeleton. What is locked in it stands in the mended one as it was
released, in the released order; what it asks for holds the student's code; all other cells of the
student's follow the same released cell as before, without anything that nbgrader would read.
"""

from __future__ import annotations

import copy
import difflib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from textwrap import shorten
from typing import Any

import nbformat
from nbformat import NotebookNode

from grading.core.notebook_cells import answer_in, code_below, grade_id_of, task_named
from grading.core.records import Flag
from grading.intake.archives import HandInError, shown

LARGEST = 64 * 2**20  # bytes of a notebook's file, its pictures included
LONGEST_CELL = 2**18  # characters
MOST_CELLS = 2000
MOST_BRACKETS = 2_000_000  # each becomes an object, of many times its size
KINDS = ("code", "markdown", "raw")
FIXED = ("grade", "solution", "locked", "task", "points")
HIDDEN = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
UNPRINTABLE = re.compile("[\0-\x08\x0b\x0e-\x1f\x7f\ud800-\udfff]")


def read_notebook(data: bytes) -> tuple[dict[str, Any], list[Flag]]:
    """A file's bytes as a notebook of format 4, of which only "cells" and "metadata" are sure.

    Each cell has a "cell_type", a "source" that is one string, and "metadata"; nothing else of it
    is kept.

    Raises:
        HandInError: it is no notebook, and this is what it is instead.
    """
    if len(data) > LARGEST:
        raise HandInError(
            f"is larger than {LARGEST // 2**20} MB: clear its outputs and hand it in again"
        )
    text, flags = _text(data)
    _check_begin(text)
    nonsense = HandInError("is JSON that no notebook holds: save it in Jupyter again")
    if text.count("[") + text.count("{") > MOST_BRACKETS:
        raise nonsense
    try:
        stored = json.loads(text)
    except json.JSONDecodeError as error:
        raise HandInError(_no_json(text, error)) from None
    except (RecursionError, MemoryError, ValueError):
        raise nonsense from None
    if not isinstance(stored, dict):
        raise HandInError("is JSON, but no notebook: hand in the .ipynb that Jupyter saved")
    cells = _raw_cells(stored)
    if len(cells) > MOST_CELLS:
        raise HandInError(f"has more than {MOST_CELLS} cells: remove those that are not needed")
    tidy = [_tidy(cell) for cell in cells if isinstance(cell, dict)]
    flags += _kernel_flags(stored)
    return {"cells": tidy, "metadata": {}}, flags


def _text(data: bytes) -> tuple[str, list[Flag]]:
    encoding = json.detect_encoding(data)
    try:
        return data.decode(encoding).removeprefix("\ufeff"), []
    except UnicodeError:
        sentence = f"the notebook is not {encoding.upper()}; it was read as Windows-1252."
        return data.decode("cp1252", "replace"), [Flag("encoding", sentence)]


def _check_begin(text: str) -> None:
    """Say what it is, if it is one of the things that are handed in by mistake.

    Raises:
        HandInError: it is.
    """
    start = text[:1000].lstrip().lower()
    if not text.strip("\0 \t\r\n"):
        raise HandInError("is empty: save the notebook, and hand it in again")
    for begin, what in (
        ("version https://git-lfs", "is a Git LFS pointer, not the notebook: run git lfs pull"),
        ("<", "is a page of HTML, not a notebook: download the .ipynb itself"),
        ("pk\x03\x04", "is a zip archive under another name: give it the ending .zip"),
        ("%pdf", "is a PDF, not a notebook: hand in the .ipynb"),
    ):
        if start.startswith(begin):
            raise HandInError(what)


def _no_json(text: str, error: json.JSONDecodeError) -> str:
    if not text.lstrip().startswith("{"):
        return "is not a notebook: hand in the .ipynb that Jupyter saved"
    if error.pos >= len(text.rstrip()) - 1 or "Unterminated string" in error.msg:
        return "is not a whole notebook, it ends in the middle: save it and hand it in again"
    return (
        f"is not a notebook any more (its JSON breaks at line {error.lineno}): open it in Jupyter, "
        "save it, and hand it in again"
    )


def _raw_cells(stored: dict[str, Any]) -> list[Any]:
    """The cells of any format that is known.

    Raises:
        HandInError: none is.
    """
    version = stored.get("nbformat", 4)
    if version in (2, 3):
        return _old_cells(stored)
    if version != 4:
        raise HandInError(
            f"is of the notebook format {shown(str(version))}, and 4 is what can be read: save it "
            "in the course's own Jupyter"
        )
    cells = stored.get("cells")
    if not isinstance(cells, list):
        raise HandInError(
            "is not a notebook, it has no cells: hand in the .ipynb that Jupyter saved"
        )
    return cells


def _old_cells(stored: dict[str, Any]) -> list[Any]:
    """Formats 2 and 3 kept cells in worksheets, code under "input", and had cells for headings."""
    sheets = stored.get("worksheets")
    found: list[Any] = []
    for sheet in sheets if isinstance(sheets, list) else []:
        cells = sheet.get("cells") if isinstance(sheet, dict) else None
        found += cells if isinstance(cells, list) else []
    return [
        cell | {"source": cell.get("input", cell.get("source", ""))}
        if isinstance(cell, dict)
        else cell
        for cell in found
    ]


def _tidy(cell: dict[str, Any]) -> dict[str, Any]:
    kind = cell.get("cell_type")
    source = cell.get("source", "")
    if isinstance(source, list):
        source = "".join(line for line in source if isinstance(line, str))
    if not isinstance(source, str):
        source = ""
    metadata = cell.get("metadata")
    its = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    return {
        "cell_type": kind if kind in KINDS else "markdown",
        "source": tidy_text(source),
        "metadata": {"nbgrader": its} if isinstance(its, dict) else {},
    }


def tidy_text(text: str) -> str:
    """With plain line ends, and a mark in place of what is no text."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    # A surrogate alone cannot be written as UTF-8; a pair of them is one character.
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    text = UNPRINTABLE.sub("\ufffd", text)
    if len(text) > LONGEST_CELL:
        return text[:LONGEST_CELL] + "\n# (the cell was too long, and is cut here)\n"
    return text


def _kernel_flags(stored: dict[str, Any]) -> list[Flag]:
    metadata = stored.get("metadata")
    kernel = metadata.get("kernelspec") if isinstance(metadata, dict) else None
    language = kernel.get("language", "python") if isinstance(kernel, dict) else "python"
    if not isinstance(language, str) or language.lower() == "python":
        return []
    return [Flag("kernel", f"the notebook asks for a kernel of {shown(language)}, not of Python.")]


@dataclass(frozen=True)
class _Released:
    """A cell of the release that nbgrader knows.

    follows: whether it comes right after another one.
    """

    cell: NotebookNode
    follows: bool

    @property
    def grade_id(self) -> str:
        return str(self.cell.metadata.nbgrader["grade_id"])

    @property
    def locked(self) -> bool:
        return bool(self.cell.metadata.nbgrader.get("locked"))

    @property
    def task(self) -> str | None:
        """The task that the cell asks for."""
        return _asked(self.cell)


def grade_ids(notebook: Mapping[str, Any]) -> set[str]:
    """What nbgrader knows the cells of a notebook by."""
    return {name for cell in notebook["cells"] if (name := grade_id_of(cell))}


def belongs(notebook: Mapping[str, Any], released: NotebookNode) -> bool:
    """Whether a notebook is one of this assignment, by its cells and not by its name."""
    if grade_ids(notebook) & grade_ids(released):
        return True
    asked = {one.task for one in _released_cells(released)} - {None}
    return any(_asked(cell) in asked for cell in notebook["cells"])


def tidied(notebook: Mapping[str, Any]) -> dict[str, Any]:
    """A notebook of format 4 as `read_notebook` would give it."""
    return {"cells": [_tidy(cell) for cell in notebook["cells"]], "metadata": {}}


def mend(notebook: Mapping[str, Any], released: NotebookNode) -> tuple[NotebookNode, list[Flag]]:
    """The released notebook with the student's answers and own cells in it, and what was amiss.

    A task is answered by the cells whose `%%todo` line names it, or that have its grade id and no
    such line: among several by the last in the notebook that is not the released stub, as running
    them all from the top would have it.

    Args:
        notebook: as `read_notebook` gives it.
        released: as nbgrader released it.
    """
    cells: Sequence[dict[str, Any]] = notebook["cells"]
    flags: list[Flag] = []
    places: dict[str, int] = {}  # grade id -> index of the student's cell that stands for it
    known = _released_cells(released)
    for one in known:
        found = _answers(one, cells) if one.task else _copies(one, cells)
        flags += _missing(one, cells) if not found else []
        if found:
            places[one.grade_id] = _chosen(one, [cells[index] for index in found], found, flags)
    flags += _unknown(cells, known) + _odd(cells)
    mended = copy.deepcopy(released)
    given = [cell for cell in released.cells if not grade_id_of(cell)]
    mended.cells = _named(_assembled(cells, known, places), given)
    return mended, flags


def _released_cells(released: NotebookNode) -> list[_Released]:
    marked = [bool(grade_id_of(cell)) for cell in released.cells]
    follows = [False, *(before for before, _ in pairwise(marked))]
    return [
        _Released(cell, after)
        for cell, mark, after in zip(released.cells, marked, follows, strict=True)
        if mark
    ]


def _asked(cell: Mapping[str, Any]) -> str | None:
    """The task that the cell's `%%todo` line names."""
    return task_named(cell["source"]) if cell["cell_type"] == "code" else None


def _answers(one: _Released, cells: Sequence[Mapping[str, Any]]) -> list[int]:
    return [
        index
        for index, cell in enumerate(cells)
        if cell["cell_type"] == "code"
        and (_asked(cell) or (one.task if grade_id_of(cell) == one.grade_id else None)) == one.task
    ]


def _copies(one: _Released, cells: Sequence[Mapping[str, Any]]) -> list[int]:
    return [index for index, cell in enumerate(cells) if grade_id_of(cell) == one.grade_id]


def _chosen(
    one: _Released, cells: list[dict[str, Any]], places: list[int], flags: list[Flag]
) -> int:
    """Which of the student's cells stands for a released one; what is odd is flagged."""
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


def _is_same(one: _Released, cell: Mapping[str, Any]) -> bool:
    if cell["cell_type"] != one.cell.cell_type or cell["source"] != one.cell.source:
        return False
    its, asked = cell["metadata"]["nbgrader"], one.cell.metadata.nbgrader
    return all(its.get(name, asked.get(name)) == asked.get(name) for name in FIXED)


def _change(one: _Released, cell: Mapping[str, Any]) -> str:
    """What of a locked cell is not as released."""
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
        change = ", ".join(f"{name}: {shown(str(its.get(name)))}" for name in names)
    return f"{one.grade_id} was changed, and is graded as released ({change})."


def _missing(one: _Released, cells: Sequence[Mapping[str, Any]]) -> list[Flag]:
    if any(grade_id_of(cell) == one.grade_id for cell in cells):
        return [Flag("cell type", f"{one.grade_id} is no cell of code for its task any more.")]
    kind = "locked cell" if one.locked else "missing cell"
    return [Flag(kind, f"{one.grade_id} was missing, and was put back as released.")]


def _unknown(cells: Sequence[Mapping[str, Any]], known: list[_Released]) -> list[Flag]:
    names = {one.grade_id for one in known}
    strange = sorted({name for cell in cells if (name := grade_id_of(cell)) and name not in names})
    if not strange:
        return []
    listed = shorten(", ".join(map(shown, strange)), 160, placeholder=" ...")
    return [Flag("unknown cell", f"cells call themselves {listed}, which the assignment has not.")]


def _odd(cells: Sequence[Mapping[str, Any]]) -> list[Flag]:
    """Characters by which code can look like other code."""
    hidden = sum(bool(HIDDEN.search(c["source"])) for c in cells if c["cell_type"] == "code")
    if not hidden:
        return []
    return [Flag("hidden characters", f"{hidden} cells of code hold characters that are not seen.")]


def _assembled(
    cells: Sequence[dict[str, Any]], known: list[_Released], places: dict[str, int]
) -> list[NotebookNode]:
    """The released cells in their order, each with the student's own ones that came after it."""
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
        # A cell that is put back belongs right behind the one that it was released with.
        if not (one.follows and place is None):
            result += waiting
            waiting = []
        result.append(_filled(one, None if place is None else cells[place]))
        waiting += own[one.grade_id]
    return result + waiting


def _named(cells: list[NotebookNode], given: list[NotebookNode]) -> list[NotebookNode]:
    """The cells with ids that are valid and their own; those that are as given, as they were."""
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


def _filled(one: _Released, cell: dict[str, Any] | None) -> NotebookNode:
    """The released cell, with the student's source where it is the student's to write."""
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
    # nbformat's own way of making a cell validates each, which takes most of the time of a class.
    return nbformat.from_dict(own)
