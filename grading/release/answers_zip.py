"""The zip of a stage's answers, for after the deadline.

Unpacked over a student's course it puts into `answers/` the answered module, the written answers to
bug hunts, dares and questions, and the notebook with all of them, run from its first cell to its
last. `answer(...)` in a notebook then finds them.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from distillery.core.errors import CourseError
from distillery.core.files import atomic_write
from distillery.course.answers import GIVEN_OUT
from grading.authoring.build import ROOT, solved_text
from grading.authoring.make_stubs import BEGIN, END
from grading.core.manifest import TOP, bundle_of
from grading.stages.stage import Stage
from grading.student.pack import zipped

PATIENCE = 3600  # seconds for one cell; only a kernel that hangs takes so long
SHARED = ("distillery", "data")  # what the notebook reads and never writes
EFFORT = "EFFORT"  # in the environment: the share of each run's steps; 1 unless it says less


def answers_of(course: Path, assignment: str) -> Path:
    """Where the zip with a stage's answers is, or will be."""
    return bundle_of(course, assignment).with_name(f"{assignment}_answers.zip")


def give_out(
    stage: Stage,
    course: Path,
    *,
    root: Path = ROOT,
    say: Callable[[str], object] = print,
) -> Path:
    """Run the answered notebook of a stage, make the zip of its answers, and return its path.

    Args:
        say: called with a line for each step.

    Raises:
        CourseError: the notebook stops with an error, or the zip cannot be written.
    """
    say(
        f"{stage.folder}: running the answered notebook, which takes some minutes on two quiet "
        f"cores ({EFFORT}=0.05 in the environment: a twentieth of the steps)."
    )
    notebook = executed(stage, root, say)
    reference = (root / "reference" / f"{stage.module}.py").read_text("utf-8")
    lines = [line for line in reference.splitlines() if line.strip() not in (BEGIN, END)]
    files = {
        f"{GIVEN_OUT}/{stage.folder}.ipynb": notebook.encode(),
        f"{GIVEN_OUT}/{stage.module}.py": ("\n".join(lines) + "\n").encode(),
    }
    written = root / "reference" / f"{stage.module}.md"
    if written.is_file():
        files[f"{GIVEN_OUT}/{stage.module}.md"] = written.read_bytes()
    path = answers_of(Path(course).resolve(), stage.folder)
    atomic_write(path, zipped(files, TOP))
    return path


def executed(stage: Stage, root: Path, say: Callable[[str], object]) -> str:
    """The notebook with all answers and its outputs, run in a copy of the course.

    Raises:
        CourseError: a cell stops with an error.
    """
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    notebook = nbformat.reads(solved_text(stage, root), as_version=4)
    with course_copy(stage, root) as folder:
        resources = {"metadata": {"path": str(folder / stage.notebook.parent)}}
        client = NotebookClient(notebook, timeout=PATIENCE, resources=resources)
        number = 0
        try:
            with client.setup_kernel(env=os.environ | {"PYTHONPATH": str(folder)}):
                for number, cell in enumerate(notebook.cells, start=1):
                    client.execute_cell(cell, number - 1)
                    if number % 25 == 0:
                        say(f"{stage.folder}: {number} of {len(notebook.cells)} cells are done.")
        except CellExecutionError as error:
            raise CourseError(
                f"{stage.folder}: cell {number} of the answered notebook stops with "
                f"{error.ename}: {error.evalue}; no answers are given out."
            ) from None
    for cell in notebook.cells:
        _forget_times(cell)
    return nbformat.writes(notebook) + "\n"


@contextlib.contextmanager
def course_copy(stage: Stage, root: Path) -> Iterator[Path]:
    """A course in a temporary folder, in which a notebook may save and draw what it likes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for shared in SHARED:
            (folder / shared).symlink_to((root / shared).resolve())
        plain = shutil.ignore_patterns("__pycache__")
        shutil.copytree(root / "guidance", folder / "guidance", ignore=plain)
        (folder / stage.notebook.parent).mkdir(parents=True)
        yield folder


def _forget_times(cell: NotebookNode) -> None:
    """When a cell ran is nobody's business, and would make every zip another one."""
    cell.metadata.pop("execution", None)
