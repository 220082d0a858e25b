"""The notebooks with their outputs, executed with the reference, and none of its answers in them.

Each notebook is executed once with the answers in its cells. Then the text of the class's notebook,
with its stubs, gets the outputs. What is executed is kept, and executed anew when anything that it
depends on has changed.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path, PurePosixPath

import nbformat
from nbformat import NotebookNode

from distillery.core.errors import CourseError
from distillery.core.files import REPOSITORY, atomic_write
from grading.authoring.build import answered_text, class_text, sequel_texts
from grading.authoring.run_notebooks import client_for, give_answers, student_copy
from grading.authoring.written_answers import said
from grading.stages import STAGES
from grading.stages.stage import Stage
from website.answers import Answers
from website.made_before import MadeBefore
from website.outputs import shown_outputs

CHECKS = ("json", "safetensors")
SEEN = re.compile(r"\*\*What you should see\.\*\*\s+(.+?[.!?])(?=\s|$)", re.DOTALL)
HEAD = re.compile(r"#+ ")


def all_notebooks() -> list[tuple[Stage, PurePosixPath]]:
    """Every notebook of the course by its path from the root, with its stage."""
    return [(stage, path) for stage in STAGES for path in (stage.notebook, *stage.ungraded)]


def text_without_answers(stage: Stage, path: PurePosixPath, root: Path = REPOSITORY) -> str:
    """The notebook as a class gets it."""
    if path == stage.notebook:
        return class_text(stage, root)
    return sequel_texts(stage, root, said(stage))[path]


def text_with_answers(stage: Stage, path: PurePosixPath, root: Path = REPOSITORY) -> str:
    """The same notebook as it is executed, cell by cell."""
    if path == stage.notebook:
        return answered_text(stage, root)
    return text_without_answers(stage, path, root)


def with_outputs(
    stage: Stage, path: PurePosixPath, made: MadeBefore, effort: float, *, execute: bool
) -> NotebookNode:
    """The class's notebook with the outputs that the reference has, if there are any.

    Args:
        path: of the notebook, from the root of the course.
        made: what was executed before.
        effort: the share of long runs to compute, in (0, 1].
        execute: whether to execute what was not.
    """
    shown = nbformat.reads(text_without_answers(stage, path), as_version=4)
    executed = executed_before(stage, path, made, effort)
    if executed is None and execute:
        print(f"executing {path} ...", file=sys.stderr, flush=True)
        executed = _execute(stage, path, effort)
        place = made.folder / f"{path.stem}-{notebook_key(stage, path, made)}-{effort:g}.ipynb"
        atomic_write(place, nbformat.writes(executed))
    if executed is not None:
        _move_outputs(shown, executed, Answers.of_the_course())
    return shown


def notebook_key(stage: Stage, path: PurePosixPath, made: MadeBefore) -> str:
    """The key of an executed notebook, whatever share of its long runs was computed.

    Its texts are not in it, for they change no output.
    """
    cells = _code(nbformat.reads(text_with_answers(stage, path, made.root), as_version=4))
    checks = (made.root / "data" / "checks" / f"{stage.module}.{kind}" for kind in CHECKS)
    answers = made.root / "reference" / f"{stage.module}.py"
    return made.key("\n\n".join(cell.source for cell in cells), answers, *checks)


def _code(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def executed_before(
    stage: Stage, path: PurePosixPath, made: MadeBefore, effort: float
) -> NotebookNode | None:
    """The one with the most steps of its runs that is there, if it has as many as asked for."""
    found = made.folder.glob(f"{path.stem}-{notebook_key(stage, path, made)}-*.ipynb")
    taken = {float(one.stem.rpartition("-")[2]): one for one in found}
    best = max(taken, default=0.0)
    return nbformat.read(taken[best], as_version=4) if best >= effort else None


def _execute(stage: Stage, path: PurePosixPath, effort: float) -> NotebookNode:
    notebook = nbformat.reads(text_with_answers(stage, path), as_version=4)
    with tempfile.TemporaryDirectory() as scratch, student_copy(Path(scratch), effort) as course:
        if path != stage.notebook:
            give_answers(course, stage)
        try:
            client_for(notebook, path, course, patience=None).execute()
        except Exception as error:
            raise CourseError(
                f"{path} does not run to its end with the reference: {str(error)[-300:]}"
            ) from error
    return notebook


def _move_outputs(shown: NotebookNode, executed: NotebookNode, answers: Answers) -> None:
    """Give the cells of a notebook the outputs of the executed one, where they tell no answer."""
    for cell, ran in zip(_code(shown), _code(executed), strict=True):
        if not re.match(r"%%todo |from distillery import my_progress", cell.source):
            alt = alternative_text(shown.cells, shown.cells.index(cell))
            cell.outputs = shown_outputs(ran.outputs, answers, alt)
            cell.metadata["mystnb"] = {"image": {"alt": alt}}


def alternative_text(cells: list[NotebookNode], index: int) -> str:
    """What the picture of a cell shows: what the text below says of it, else under which heading.

    Args:
        cells: of the notebook.
        index: of the cell that draws.
    """
    for cell in cells[index + 1 :]:
        if cell.cell_type == "markdown":
            seen = SEEN.match(cell.source)
            if seen:
                return plain(seen[1])
            break
    texts = [cell.source for cell in cells[:index] if cell.cell_type == "markdown"]
    lines = [line for text in texts for line in text.splitlines() if HEAD.match(line)]
    heading = lines[-1].lstrip("# ") if lines else "the title"
    return plain(f"What the cell above draws, under “{heading}”.")


def plain(text: str) -> str:
    """A text without the marks of Markdown and formulas, on one line."""
    return " ".join(re.sub(r"[*_`$\\{}\[\]]", "", text).split())
