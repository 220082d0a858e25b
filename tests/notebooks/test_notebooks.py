"""The notebooks run as they should: answered to the end, released up to each thing to do."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode

from grading.build import ROOT, answered
from grading.stages import STAGES, Stage

LIMIT = 300  # seconds a whole notebook may take on two cores
TASKS = [(stage, number) for stage in STAGES for number in range(len(stage.points))]


def committed(stage: Stage) -> NotebookNode:
    return nbformat.read(ROOT / stage.notebook, as_version=4)


@pytest.fixture
def course(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A course folder with stubs of its own; package and models are the repository's."""
    for folder in ("guidance", "data/checks"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("*.pyc"))
    (tmp_path / "distillery").mkdir()
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return tmp_path


def execute(notebook: NotebookNode, stage: Stage, course: Path) -> None:
    """Run the cells in order up to the first error, as "Run All" does."""
    folder = course / "notebooks" / stage.folder
    folder.mkdir(parents=True, exist_ok=True)
    NotebookClient(notebook, timeout=2 * LIMIT).execute(cwd=str(folder))


def outputs(notebook: NotebookNode, kind: str) -> Iterator[NotebookNode]:
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if output.output_type == kind:
                yield output


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.folder)
def test_the_answered_notebook_runs_to_its_end_without_a_warning(stage, course):
    notebook = nbformat.read(answered(stage, course / "answered"), as_version=4)
    began = time.monotonic()
    execute(notebook, stage, course)
    took = time.monotonic() - began
    streams = list(outputs(notebook, "stream"))
    assert [stream.text for stream in streams if stream.name == "stderr"] == []
    printed = "".join(stream.text for stream in streams)
    assert printed.count(": right.") == len(stage.points)
    assert took < LIMIT, f"it took {took:.0f} seconds"


@pytest.mark.parametrize(
    ("stage", "number"), TASKS, ids=[f"{stage.folder}-{number + 1}" for stage, number in TASKS]
)
def test_the_released_notebook_stops_calmly_at_each_task(stage, number, course):
    notebook = committed(stage)
    with_answers = nbformat.read(answered(stage, course / "answered"), as_version=4)
    todo = [i for i, cell in enumerate(notebook.cells) if cell.source.startswith("%%todo")]
    for i in todo[:number]:
        notebook.cells[i] = with_answers.cells[i]
    with pytest.raises(CellExecutionError):
        execute(notebook, stage, course)
    (error,) = outputs(notebook, "error")
    sentence = stage.sentence(list(stage.points)[number])
    assert (error.ename, error.evalue) == ("NotImplementedError", sentence)
    assert error.traceback == [sentence]
    assert sentence in "".join(output.text for output in outputs(notebook, "stream"))


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.folder)
def test_every_task_has_a_card_a_check_a_picture_and_hints(stage):
    cells = committed(stage).cells
    sources = [cell.source for cell in cells]
    for number, (function, points) in enumerate(stage.points.items(), start=1):
        task = f"{stage.module}.{function}"
        card = next(
            i for i, source in enumerate(sources) if f"Exercise {number} · `{task}`" in source
        )
        assert re.search(rf"\d+ minutes · difficulty [●○]{{3}} · {points:g} points", sources[card])
        assert "**Contract.**" in sources[card]
        todo, check, picture, after = sources[card + 1 : card + 5]
        assert todo.startswith(f"%%todo {task}\n")
        assert check == f'check("{task}").points({points:g})'
        assert picture == f'compare_picture("{task}")'
        assert "**What you should see.**" in after
        assert after.count("<details><summary>Help: ") == after.count("</details>") >= 2


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.folder)
def test_a_notebook_names_its_model_once_and_never_the_answers(stage):
    code = [cell.source for cell in committed(stage).cells if cell.cell_type == "code"]
    assert code[0].startswith('MODEL = "tiny-sd"')
    assert "load_prior(MODEL)" in code[1]
    assert not [source for source in code if "reference" in source or '"tiny-sd"' in source][1:]
    assert any("## Bug hunt" in cell.source for cell in committed(stage).cells)
    assert any("## Dares" in cell.source for cell in committed(stage).cells)


def test_a_stage_announces_its_points():
    for stage in STAGES:
        total = sum(stage.points.values())
        assert f"{total:g} points" in committed(stage).cells[0].source
