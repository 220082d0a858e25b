"""A hand-in run from its first cell to its last, for the record and for grading by hand.

Nothing of what it prints counts for a point.
"""

from __future__ import annotations

import sys
import tempfile
import zipfile
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from distillery.core.files import atomic_write
from grading.core.records import Record, Store
from grading.intake.take_in import Intake, load_intake
from grading.stages import stage_of

NAME = "executed.ipynb"
GRADER = "grading.judge.grade"  # the module with `open_grader` and `grade`


def path_of(one: Record | Intake, course: Path) -> Path:
    """Where the executed notebook of a record lies, or will lie."""
    return Store(course).folder / one.assignment / one.student / one.digest / NAME


def execute(intake: Intake, course: Path) -> str:
    """Run the notebook in the student bundle of its stage, in a sandbox of its own.

    The executed notebook is kept beside the record. A rejected hand-in is not run.

    Returns:
        Why it could not be run to its end, or an empty text.
    """
    # Here, because they import torch, which who only looks for what is new need not wait for.
    from grading.sandbox.jobs import SandboxError
    from grading.sandbox.program import run_program

    if intake.rejected:
        return ""
    stage = stage_of(intake.assignment)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with zipfile.ZipFile(course / "bundles" / f"{stage.folder}.zip") as bundle:
            bundle.extractall(folder)
        (top,) = folder.iterdir()
        handed_in = (intake.folder / f"{stage.folder}.ipynb").read_bytes()
        (top / stage.notebook).write_bytes(handed_in)
        command = [sys.executable, "-m", "nbconvert", "--to", "notebook", "--execute"]
        command += ["--allow-errors", "--inplace", str(stage.notebook)]
        try:
            ran = run_program(command, top)
        except SandboxError as error:
            return f"it was not run: {error}"
    notebook = ran.files.get(str(stage.notebook), handed_in)
    atomic_write(path_of(intake, course), notebook)
    return "" if ran.ending == "returned" and ran.status == 0 else f"it {ran.ending}"


def outputs_of(path: Path) -> dict[str, list[NotebookNode]]:
    """Cell id -> what the cell gave, of a notebook that a student's code may have written.

    Nothing of a notebook that cannot be read.
    """
    try:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)  # reading alone only warns
        return {c.id: list(c.outputs) for c in notebook.cells if c.cell_type == "code"}
    # Its writer was not trusted: whatever is wrong with it, nothing is shown.
    except Exception:
        return {}


def run_through(folder: Path, course: Path) -> None:
    """Execute a submission's notebook; what stands in its way costs nobody a point."""
    intake = load_intake(folder)
    if intake is not None:
        said = execute(intake, course)
        print(f"{intake.student}: {said or 'executed'}", file=sys.stderr)
