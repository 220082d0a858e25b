"""Run a submission's notebook from its first cell to its last, for grading by hand.

Its outputs never change the points.
"""

from __future__ import annotations

import sys
import tempfile
import zipfile
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from distillery.core.files import atomic_write
from grading.core.manifest import bundle_of
from grading.core.records import Store
from grading.core.submission import Submission
from grading.intake.clean_folder import Intake, load_intake
from grading.stages import stage_of

NAME = "executed.ipynb"
GRADER = "grading.judge.grade"  # the module with `open_grader` and `grade`


def executed_notebook(submission: Submission) -> Path:
    """Where the executed notebook of a submission of known digest is, or will be."""
    return Store(submission.course).attachments(submission) / NAME


def execute(intake: Intake) -> str:
    """Run the notebook in the student bundle of its stage, in its own sandbox.

    The executed notebook is kept next to the record. A rejected submission is not run.

    Returns:
        Why it could not be run to its end, or an empty text.
    """
    # Here, because they import torch, which takes seconds and is not always needed.
    from grading.sandbox.jobs import SandboxError
    from grading.sandbox.program import run_program

    if intake.rejected:
        return ""
    submission, stage = intake.submission, stage_of(intake.assignment)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with zipfile.ZipFile(bundle_of(submission.course, stage.folder)) as bundle:
            bundle.extractall(folder)
        (top,) = folder.iterdir()
        submitted = submission.notebook.read_bytes()
        (top / stage.notebook).write_bytes(submitted)
        command = [sys.executable, "-m", "nbconvert", "--to", "notebook", "--execute"]
        command += ["--allow-errors", "--inplace", str(stage.notebook)]
        try:
            ran = run_program(command, top)
        except SandboxError as error:
            return f"it was not run: {error}"
    notebook = ran.files.get(str(stage.notebook), submitted)
    atomic_write(executed_notebook(submission), notebook)
    return "" if ran.ending == "returned" and ran.status == 0 else f"it {ran.ending}"


def outputs_of(path: Path) -> dict[str, list[NotebookNode]]:
    """Cell id -> outputs, of a notebook that a student's code may have written.

    Empty for a notebook that cannot be read.
    """
    try:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)  # reading alone only warns
        return {c.id: list(c.outputs) for c in notebook.cells if c.cell_type == "code"}
    # The notebook is not trusted: where anything is wrong with it, no output is shown.
    except Exception:
        return {}


def run_through(submission: Submission) -> None:
    """Execute a submission's notebook; a failure costs no points."""
    intake = load_intake(submission)
    if intake is not None:
        problem = execute(intake)
        print(f"{intake.student}: {problem or 'executed'}", file=sys.stderr)
