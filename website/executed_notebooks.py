"""The notebooks with their outputs, executed with the reference, and none of its answers in them.

Each notebook is executed once with the answers in its cells. Then the text of the class's notebook,
with its stubs, gets the outputs. What is executed is kept by its content, so a later build of the
same notebook executes nothing.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import nbformat
import yaml
from nbclient import NotebookClient
from nbformat import NotebookNode

from distillery.core.errors import CourseError
from distillery.core.files import REPOSITORY, atomic_write
from grading.authoring.build import answered_text, class_text, sequel_texts
from grading.authoring.written_answers import said
from grading.stages import STAGES
from grading.stages.stage import Stage
from website.answers import Answers
from website.outputs import shown_outputs

PICTURES = Path("data", "hand_in.yaml")
SEEN = re.compile(r"\*\*What you should see\.\*\*\s+(.+?[.!?])(?=\s|$)", re.DOTALL)
HEAD = re.compile(r"#+ ")
COPIED = ("distillery", "guidance")  # a cell with an answer writes into guidance/


def all_notebooks() -> list[tuple[Stage, PurePosixPath]]:
    """Every notebook of the course by its path from the root, with its stage."""
    return [(stage, path) for stage in STAGES for path in (stage.notebook, *stage.ungraded)]


def text_without_answers(stage: Stage, path: PurePosixPath) -> str:
    """The notebook as a class gets it."""
    if path == stage.notebook:
        return class_text(stage)
    return sequel_texts(stage, REPOSITORY, said(stage))[path]


def text_with_answers(stage: Stage, path: PurePosixPath) -> str:
    """The same notebook as it is executed, cell by cell."""
    return answered_text(stage) if path == stage.notebook else text_without_answers(stage, path)


def with_outputs(
    stage: Stage, path: PurePosixPath, cache: Path, effort: float, *, execute: bool
) -> NotebookNode:
    """The class's notebook with the outputs that the reference has, if there are any.

    Args:
        path: of the notebook, from the root of the course.
        cache: the folder of what was executed.
        effort: the share of long runs to compute, in (0, 1].
        execute: whether to execute what is not in the cache.
    """
    shown = nbformat.reads(text_without_answers(stage, path), as_version=4)
    executed = _cached(stage, path, cache, effort)
    if executed is None and execute:
        executed = _execute(stage, path, effort)
        atomic_write(_place(stage, path, cache, effort), nbformat.writes(executed))
    if executed is not None:
        _move_outputs(shown, executed, Answers.of_the_course())
    return shown


def _key(stage: Stage, path: PurePosixPath) -> str:
    answers = (REPOSITORY / "reference" / f"{stage.module}.py").read_text(encoding="utf-8")
    text = text_with_answers(stage, path) + answers
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _place(stage: Stage, path: PurePosixPath, cache: Path, effort: float) -> Path:
    return cache / "notebooks" / f"{path.stem}-{_key(stage, path)}-{effort:g}.ipynb"


def _cached(stage: Stage, path: PurePosixPath, cache: Path, effort: float) -> NotebookNode | None:
    """The one with the most steps of its runs that is there, if it has as many as asked for."""
    found = (cache / "notebooks").glob(f"{path.stem}-{_key(stage, path)}-*.ipynb")
    taken = {float(one.stem.rpartition("-")[2]): one for one in found}
    best = max(taken, default=0.0)
    return nbformat.read(taken[best], as_version=4) if best >= effort else None


def _execute(stage: Stage, path: PurePosixPath, effort: float) -> NotebookNode:
    notebook = nbformat.reads(text_with_answers(stage, path), as_version=4)
    with tempfile.TemporaryDirectory() as scratch, _course(Path(scratch), effort) as course:
        folder = course / path.parent
        folder.mkdir(parents=True)
        if path != stage.notebook:
            module = f"{stage.module}.py"
            shutil.copy(REPOSITORY / "reference" / module, course / "guidance" / module)
        resources = {"metadata": {"path": str(folder)}}
        try:
            NotebookClient(notebook, timeout=None, resources=resources).execute()
        except Exception as error:
            raise CourseError(
                f"{path} does not run to its end with the reference: {str(error)[-300:]}"
            ) from error
    return notebook


@contextmanager
def _course(root: Path, effort: float) -> Iterator[Path]:
    """A student's copy of the course in `root`, whose long runs take a share of their steps."""
    for folder in COPIED:
        shutil.copytree(REPOSITORY / folder, root / folder, ignore=shutil.ignore_patterns("*.pyc"))
    (root / "data").mkdir()
    for one in (REPOSITORY / "data").iterdir():
        (root / "data" / one.name).symlink_to(one)
    pictures = yaml.safe_load((REPOSITORY / PICTURES).read_text(encoding="utf-8"))
    for stage in pictures.values():
        stage["settings"]["steps"] = max(1, round(stage["settings"]["steps"] * effort))
    (root / PICTURES).unlink()
    (root / PICTURES).write_text(yaml.safe_dump(pictures), encoding="utf-8")
    changed = {"PYTHONPATH": str(root), "EFFORT": f"{effort:g}"}
    before = {name: os.environ.get(name) for name in changed}
    os.environ.update(changed)
    try:
        yield root
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _move_outputs(shown: NotebookNode, executed: NotebookNode, answers: Answers) -> None:
    """Give the cells of a notebook the outputs of the executed one, where they tell no answer."""
    for index, (cell, ran) in enumerate(zip(shown.cells, executed.cells, strict=True)):
        private = re.match(r"%%todo |from distillery import my_progress", cell.source)
        if cell.cell_type == "code" and not private:
            alt = alternative_text(shown.cells, index)
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
