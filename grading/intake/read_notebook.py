"""Read a student's file as a notebook, whatever is in it.

Only the type, the source and nbgrader's metadata of each cell are kept.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from grading.core.notebook_cells import source_of
from grading.core.records import Flag
from grading.intake.archives import SubmissionError, quoted

LARGEST = 64 * 2**20  # bytes of a notebook's file, including its pictures
LONGEST_CELL = 2**18  # characters
MOST_CELLS = 2000
MOST_BRACKETS = 2_000_000  # each becomes an object that takes many times its size
CELL_TYPES = ("code", "markdown", "raw")
UNPRINTABLE = re.compile("[\0-\x08\x0b\x0e-\x1f\x7f\ud800-\udfff]")


def read_notebook(data: bytes) -> tuple[dict[str, Any], list[Flag]]:
    """The notebook in a file, as {"cells": [...], "metadata": {}}, and flags.

    Each cell has a "cell_type", a "source" that is one string, and "metadata" with nothing but
    nbgrader's.

    Raises:
        SubmissionError: the file is not a notebook; the sentence says what it seems to be.
    """
    if len(data) > LARGEST:
        raise SubmissionError(
            f"is larger than {LARGEST // 2**20} MB: clear its outputs and hand it in again"
        )
    text, flags = _text(data)
    _check_begin(text)
    nonsense = SubmissionError("is JSON, but not of a notebook: save it in Jupyter again")
    if text.count("[") + text.count("{") > MOST_BRACKETS:
        raise nonsense
    try:
        stored = json.loads(text)
    except json.JSONDecodeError as error:
        raise SubmissionError(_no_json(text, error)) from None
    except (RecursionError, MemoryError, ValueError):
        raise nonsense from None
    if not isinstance(stored, dict):
        raise SubmissionError("is JSON, but not a notebook: hand in the .ipynb that Jupyter saved")
    cells = _raw_cells(stored)
    if len(cells) > MOST_CELLS:
        raise SubmissionError(f"has more than {MOST_CELLS} cells: remove those that are not needed")
    tidy = [_tidy(cell) for cell in cells if isinstance(cell, dict)]
    flags += _kernel_flags(stored)
    return {"cells": tidy, "metadata": {}}, flags


def tidied(notebook: Mapping[str, Any]) -> dict[str, Any]:
    """A notebook of format 4 as `read_notebook` would return it."""
    return {"cells": [_tidy(cell) for cell in notebook["cells"]], "metadata": {}}


def _text(data: bytes) -> tuple[str, list[Flag]]:
    encoding = json.detect_encoding(data)
    try:
        return data.decode(encoding).removeprefix("\ufeff"), []
    except UnicodeError:
        sentence = f"the notebook is not {encoding.upper()}; it was read as Windows-1252."
        return data.decode("cp1252", "replace"), [Flag("encoding", sentence)]


def _check_begin(text: str) -> None:
    """Recognise files that students often hand in by mistake.

    Raises:
        SubmissionError: it is one of them.
    """
    start = text[:1000].lstrip().lower()
    if not text.strip("\0 \t\r\n"):
        raise SubmissionError("is empty: save the notebook, and hand it in again")
    for begin, what in (
        ("version https://git-lfs", "is a Git LFS pointer, not the notebook: run git lfs pull"),
        ("<", "is a page of HTML, not a notebook: download the .ipynb itself"),
        ("pk\x03\x04", "is a zip archive under another name: give it the ending .zip"),
        ("%pdf", "is a PDF, not a notebook: hand in the .ipynb"),
    ):
        if start.startswith(begin):
            raise SubmissionError(what)


def _no_json(text: str, error: json.JSONDecodeError) -> str:
    if not text.lstrip().startswith("{"):
        return "is not a notebook: hand in the .ipynb that Jupyter saved"
    if error.pos >= len(text.rstrip()) - 1 or "Unterminated string" in error.msg:
        return "is not a complete notebook, it ends in the middle: save it and hand it in again"
    return (
        f"is not a notebook any more (its JSON is broken at line {error.lineno}): open it in "
        "Jupyter, save it, and hand it in again"
    )


def _raw_cells(stored: dict[str, Any]) -> list[Any]:
    """The cells of a notebook of format 2, 3 or 4.

    Raises:
        SubmissionError: it has another format, or no cells.
    """
    version = stored.get("nbformat", 4)
    if version in (2, 3):
        return _old_cells(stored)
    if version != 4:
        raise SubmissionError(
            f"has the notebook format {quoted(str(version))}, and only 4 can be read: save it in "
            "the course's own Jupyter"
        )
    cells = stored.get("cells")
    if not isinstance(cells, list):
        raise SubmissionError(
            "is not a notebook, it has no cells: hand in the .ipynb that Jupyter saved"
        )
    return cells


def _old_cells(stored: dict[str, Any]) -> list[Any]:
    """The cells of formats 2 and 3, which have worksheets and keep code under "input"."""
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
    metadata = cell.get("metadata")
    its = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    return {
        "cell_type": kind if kind in CELL_TYPES else "markdown",
        "source": tidy_text(source_of(cell)),
        "metadata": {"nbgrader": its} if isinstance(its, dict) else {},
    }


def tidy_text(text: str) -> str:
    """Text with plain line ends, U+FFFD in place of control characters, and a limited length."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    # A lone surrogate cannot be written as UTF-8; a pair of them is one character.
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
    return [Flag("kernel", f"the notebook asks for a kernel of {quoted(language)}, not of Python.")]
