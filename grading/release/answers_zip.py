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
from pathlib import Path, PurePosixPath

import nbformat

from distillery.core.errors import CourseError
from distillery.core.files import atomic_write
from distillery.course.answers import GIVEN_OUT
from grading.authoring.build import ROOT, sequel_texts, solved_text, written
from grading.authoring.make_stubs import BEGIN, END
from grading.authoring.written_answers import shown
from grading.core.manifest import TOP, bundle_of
from grading.stages.stage import Stage
from grading.student.pack import zipped

PATIENCE = 3600  # seconds for one cell; only a kernel that hangs takes so long
SHARED = ("distillery", "data")  # what the notebook reads and never writes
NOTE = (
    "> **Our answers, run.** Read them here. If you run the cells anew, ours replace your "
    "functions in `guidance/`; run the `%%todo` cells of your own notebook to put yours back."
)
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
    notebooks = executed(stage, root, say)
    reference = (root / "reference" / f"{stage.module}.py").read_text("utf-8")
    lines = [line for line in reference.splitlines() if line.strip() not in (BEGIN, END)]
    files = {f"{GIVEN_OUT}/{name}": text.encode() for name, text in notebooks.items()}
    files[f"{GIVEN_OUT}/{stage.module}.py"] = ("\n".join(lines) + "\n").encode()
    words = root / "reference" / f"{stage.module}.md"
    if words.is_file():
        files[f"{GIVEN_OUT}/{stage.module}.md"] = words.read_bytes()
    path = answers_of(Path(course).resolve(), stage.folder)
    atomic_write(path, zipped(files, TOP))
    return path


def executed(stage: Stage, root: Path, say: Callable[[str], object]) -> dict[str, str]:
    """File name -> the stage's notebooks with all answers, run one after the other.

    They run in a copy of the course, so that functions of the first are there in the others.

    Raises:
        CourseError: a cell stops with an error.
    """
    texts = {stage.notebook: solved_text(stage, root)}
    texts |= sequel_texts(stage, root, shown(written(stage, root)))
    with course_copy(stage, root) as folder:
        return {path.name: _run(path, text, folder, say) for path, text in texts.items()}


def _run(path: PurePosixPath, text: str, folder: Path, say: Callable[[str], object]) -> str:
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    notebook, number = nbformat.reads(text, as_version=4), 0
    resources = {"metadata": {"path": str(folder / path.parent)}}
    client = NotebookClient(notebook, timeout=PATIENCE, resources=resources)
    try:
        with client.setup_kernel(env=os.environ | {"PYTHONPATH": str(folder)}):
            for number, cell in enumerate(notebook.cells, start=1):
                client.execute_cell(cell, number - 1)
                if number % 25 == 0:
                    say(f"{path.stem}: {number} of {len(notebook.cells)} cells are done.")
    except CellExecutionError as error:
        raise CourseError(
            f"cell {number} of the answered notebook {path.name} stops with {error.ename}: "
            f"{error.evalue}; no answers are given out."
        ) from None
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # the times would make every zip another one
    if any(cell.source.startswith("%%todo") for cell in notebook.cells):
        notebook.cells.insert(1, nbformat.v4.new_markdown_cell(NOTE, id="answers-note"))
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
