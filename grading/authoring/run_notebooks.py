"""A student's copy of the course, and a kernel in it that goes through one notebook."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import yaml
from nbclient import NotebookClient
from nbformat import NotebookNode

from distillery.core.files import REPOSITORY
from grading.stages.stage import Stage

PICTURES = Path("data", "hand_in.yaml")
COPIED = ("distillery", "guidance")  # a cell with an answer writes into guidance/


@contextmanager
def student_copy(folder: Path, effort: float) -> Iterator[Path]:
    """A student's copy of the course, where kernels that are started within find it; yields it.

    Args:
        folder: an empty one.
        effort: the share of long runs to compute, in (0, 1], and of the pictures to hand in.
    """
    for name in COPIED:
        shutil.copytree(REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("*.pyc"))
    (folder / "data").mkdir()
    for one in (REPOSITORY / "data").iterdir():
        (folder / "data" / one.name).symlink_to(one)
    pictures = yaml.safe_load((REPOSITORY / PICTURES).read_text(encoding="utf-8"))
    for stage in pictures.values():
        stage["settings"]["steps"] = max(1, round(stage["settings"]["steps"] * effort))
    (folder / PICTURES).unlink()
    (folder / PICTURES).write_text(yaml.safe_dump(pictures), encoding="utf-8")
    with _environment(PYTHONPATH=str(folder), EFFORT=f"{effort:g}"):
        yield folder


def give_answers(course: Path, stage: Stage) -> None:
    """Put the answers of a stage into a student's copy, for notebooks that go on from them."""
    module = f"{stage.module}.py"
    shutil.copy(REPOSITORY / "reference" / module, course / "guidance" / module)


def client_for(
    notebook: NotebookNode, path: PurePosixPath, course: Path, *, patience: float | None
) -> NotebookClient:
    """What runs a notebook where it lies in a student's copy.

    Args:
        notebook: its cells; their outputs are written into it.
        path: of the notebook, from the root of the course.
        patience: seconds for one cell; None: any time.
    """
    folder = course / path.parent
    folder.mkdir(parents=True, exist_ok=True)
    resources = {"metadata": {"path": str(folder)}}
    return NotebookClient(notebook, timeout=patience, resources=resources)


@contextmanager
def _environment(**changed: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in changed}
    os.environ.update(changed)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
