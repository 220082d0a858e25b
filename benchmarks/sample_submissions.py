"""Makes sample submissions of stage 0 from the released notebook; `submission_cases` lists them."""

from __future__ import annotations

import json
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from grading.authoring.build import ROOT
from grading.authoring.make_stubs import BEGIN, END, function_text
from grading.stages import STAGES

STAGE = STAGES[0]
NAME = STAGE.folder
ADD, PREDICT, GUIDE = STAGE.points
FULL = dict(STAGE.points)
LOST_ADD = FULL | {ADD: 0}
LOST_ALL = dict.fromkeys(FULL, 0)
SIGNATURE = "def add_noise(x0, eps, alpha_bar):\n"
RIGHT = "return alpha_bar.sqrt() * x0 + (1 - alpha_bar).sqrt() * eps"


@dataclass(frozen=True)
class SampleSubmission:
    """One submission, and its expected result.

    number:  in the list of cases.
    write:   writes it into an empty folder, given the released notebook.
    points:  function -> expected points.
    status:  "graded" or "rejected".
    outcome: of add_noise; one of several where it depends on the machine.
    says:    a part of what the student reads.
    flags:   kinds of flags that the instructor must see.
    """

    number: int
    name: str
    write: Callable[[Path, NotebookNode], object]
    points: Mapping[str, float] = field(default_factory=lambda: dict(LOST_ADD))
    status: str = "graded"
    outcome: tuple[str, ...] = ()
    says: str = ""
    flags: tuple[str, ...] = ()


def answer(function: str) -> str:
    """The right answer as a student would write it."""
    text = function_text((ROOT / "reference" / f"{STAGE.module}.py").read_text("utf-8"), function)
    lines = [line for line in text.split("\n") if line.strip() not in (BEGIN, END)]
    return "\n".join(lines)


def todo(function: str, code: str) -> str:
    return f"%%todo {STAGE.module}.{function}\n{code}"


def solved(released: NotebookNode, **codes: str) -> NotebookNode:
    """The released notebook with right answers, or with the codes given for some functions."""
    notebook = nbformat.from_dict(json.loads(nbformat.writes(released)))
    for function in FULL:
        cell_of(notebook, function).source = todo(function, codes.get(function, answer(function)))
    return notebook


def cell_of(notebook: NotebookNode, function: str, *, check: bool = False) -> NotebookNode:
    """The TODO cell of a function, or its locked check."""
    wanted = f"{STAGE.module}-{function}{'-check' if check else ''}"
    (cell,) = (
        c for c in notebook.cells if c.metadata.get("nbgrader", {}).get("grade_id") == wanted
    )
    return cell


def save(folder: Path, notebook: NotebookNode, name: str = f"{NAME}.ipynb") -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    # Not by nbformat.write: a submission may be invalid.
    (folder / name).write_text(json.dumps(notebook, indent=1), encoding="utf-8")


def coded(body: str, before: str = "") -> Callable[[Path, NotebookNode], object]:
    """add_noise with this body (its lines indented here) and imports or definitions before it."""
    lines = "".join(f"    {line}\n" for line in body.strip("\n").split("\n"))
    return lambda folder, released: save(
        folder, solved(released, **{ADD: f"{before}\n{SIGNATURE}{lines}".lstrip("\n")})
    )


def changed(change: Callable[[NotebookNode], Any]) -> Callable[[Path, NotebookNode], object]:
    """A solved notebook, changed."""

    def write(folder: Path, released: NotebookNode) -> None:
        notebook = solved(released)
        change(notebook)
        save(folder, notebook)

    return write


def raw(content: bytes, name: str = f"{NAME}.ipynb") -> Callable[[Path, NotebookNode], object]:
    return lambda folder, released: (folder / name).write_bytes(content) and None


def encoded(turn: Callable[[str], bytes]) -> Callable[[Path, NotebookNode], object]:
    """A solved notebook whose file is other bytes."""

    def write(folder: Path, released: NotebookNode) -> None:
        (folder / f"{NAME}.ipynb").write_bytes(turn(json.dumps(solved(released))))

    return write


def with_files(files: dict[str, str | bytes]) -> Callable[[Path, NotebookNode], object]:
    """A solved notebook with other files next to it."""

    def write(folder: Path, released: NotebookNode) -> None:
        save(folder, solved(released))
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)

    return write


def extra_cell(source: str, *, first: bool = True) -> Callable[[Path, NotebookNode], object]:
    """Wrong add_noise, and a cell of the student's own that would like to hide it."""

    def write(folder: Path, released: NotebookNode) -> None:
        notebook = solved(released, **{ADD: SIGNATURE + "    return 5 * x0\n"})
        cell = nbformat.v4.new_code_cell(source)
        notebook.cells.insert(0 if first else len(notebook.cells), cell)
        save(folder, notebook)

    return write


def png(width: int, height: int, declared: tuple[int, int] | None = None) -> bytes:
    """A grey PNG, or one whose header lies about its size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    size = declared or (width, height)
    rows = zlib.compress((b"\0" + b"\x80" * width) * height)
    header = struct.pack(">IIBBBBB", *size, 8, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def zipped(fill: Callable[[zipfile.ZipFile, str], None]) -> Callable[[Path, NotebookNode], object]:
    """hand_in.zip in the folder; `fill` gets the text of a solved notebook."""

    def write(folder: Path, released: NotebookNode) -> None:
        with zipfile.ZipFile(folder / "hand_in.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            fill(archive, json.dumps(solved(released)))

    return write
