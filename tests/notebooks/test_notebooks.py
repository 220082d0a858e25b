"""The notebooks run as they should: answered to the end, released up to each thing to do."""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode

from grading.authoring.build import ROOT, answered
from grading.authoring.run_notebooks import client_for, give_answers, student_copy
from grading.stages import STAGES
from grading.stages.stage import Stage
from tests.notebooks.claimed import claims_of, code_of

PATIENCE = 3600  # seconds for one cell; only a kernel that hangs takes so long
EFFORT = float(os.environ.get("EFFORT") or 0.02)  # `make notebooks-full` takes 1

SEQUELS = [path for stage in STAGES for path in stage.ungraded]


def committed(stage: Stage) -> NotebookNode:
    return nbformat.read(ROOT / stage.notebook, as_version=4)


@pytest.fixture
def course(tmp_path: Path) -> Iterator[Path]:
    """A student's copy of the course, whose pictures to submit take a share of the steps too."""
    with student_copy(tmp_path, EFFORT) as copied:
        yield copied


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.folder)
def test_a_notebook_stops_calmly_at_each_task_and_answered_runs_to_its_end(stage, course):
    """One kernel goes through the notebook; each task is first run into as a stub, then answered.

    The next cell that needs the answer must stop with the task's own sentence and nothing else.
    What the text claims of the figures is asserted where it stands.
    """
    released = committed(stage)
    notebook = nbformat.read(answered(stage, course / "answered"), as_version=4)
    sentences = iter([stage.sentence(function) for function in stage.points])
    guidance = course / "guidance" / f"{stage.module}.py"
    claims, text = claims_of(stage.folder), ""
    client = client_for(notebook, stage.notebook, course, patience=PATIENCE)
    with client.setup_kernel():
        for index, cell in enumerate(notebook.cells):
            if cell.source.startswith("%%todo"):
                after = [released.cells[index], *notebook.cells[index + 1 :]]
                saved = guidance.read_bytes()
                stops_calmly(client, after, next(sentences))
                guidance.write_bytes(saved)  # a later task may have been answered on the way
            client.execute_cell(cell, index)
            if cell.cell_type == "markdown":
                for code in code_of(claims, (text, cell.source), EFFORT):
                    holds(client, code)
                text = cell.source
    streams = list(outputs(notebook, "stream"))
    assert [stream.text for stream in streams if stream.name == "stderr"] == []
    printed = "".join(stream.text for stream in streams)
    assert len(re.findall(r"^\S+: right", printed, re.MULTILINE)) == len(stage.points)
    assert next(sentences, None) is None


@pytest.mark.parametrize("path", SEQUELS, ids=lambda path: path.stem)
def test_a_further_notebook_stops_calmly_at_a_stub_and_runs_to_its_end_with_the_answers(
    path, course
):
    stage = next(stage for stage in STAGES if path in stage.ungraded)
    notebook = nbformat.read(ROOT / path, as_version=4)
    with pytest.raises(CellExecutionError) as stopped:
        client_for(notebook, path, course, patience=PATIENCE).execute()
    assert stopped.value.evalue in [stage.sentence(function) for function in stage.points]
    give_answers(course, stage)
    claims, text = claims_of(path.stem), ""
    client = client_for(notebook, path, course, patience=PATIENCE)
    with client.setup_kernel():
        for index, cell in enumerate(notebook.cells):
            client.execute_cell(cell, index)
            if cell.cell_type == "markdown":
                for code in code_of(claims, (text, cell.source), EFFORT):
                    holds(client, code)
                text = cell.source
    assert [out.text for out in outputs(notebook, "stream") if out.name == "stderr"] == []


def stops_calmly(client: NotebookClient, cells: list[NotebookNode], sentence: str) -> None:
    """Run copies of the cells up to the first error, as "Run All" does; it must be the sentence."""
    ran = []
    for cell in cells:
        ran.append(copy.deepcopy(cell))
        try:
            # Cells run in a place of their own, behind all of the notebook's.
            client.nb.cells.append(ran[-1])
            client.execute_cell(ran[-1], len(client.nb.cells) - 1)
        except CellExecutionError:
            break
        finally:
            client.nb.cells.pop()
    (error,) = ran[-1].outputs[-1:]
    assert (error.ename, error.evalue) == ("NotImplementedError", sentence)
    assert error.traceback == [sentence]
    shown = "".join(o.text for cell in ran for o in cell.get("outputs", []) if "text" in o)
    assert sentence in shown


def holds(client: NotebookClient, code: str) -> None:
    """Run an assertion about what the notebook has computed so far, in a cell behind all others."""
    client.nb.cells.append(nbformat.v4.new_code_cell(code))
    try:
        client.execute_cell(client.nb.cells[-1], len(client.nb.cells) - 1)
    finally:
        client.nb.cells.pop()


def outputs(notebook: NotebookNode, kind: str) -> Iterator[NotebookNode]:
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if output.output_type == kind:
                yield output


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.folder)
def test_every_task_has_a_card_a_check_a_picture_and_hints(stage):
    cells = committed(stage).cells
    sources = [cell.source for cell in cells]
    for number, (function, points) in enumerate(stage.points.items(), start=1):
        task = f"{stage.module}.{function}"
        card = next(
            i for i, source in enumerate(sources) if f"Exercise {number} · `{task}`" in source
        )
        worth = f"{points:g} point{'' if points == 1 else 's'}"
        assert re.search(rf"\d+ minutes · difficulty [●○]{{3}} · {worth}\b", sources[card])
        assert "**Contract.**" in sources[card]
        todo, check, picture, after = sources[card + 1 : card + 5]
        assert todo.startswith(f"%%todo {task}\n")
        assert check == f'check("{task}").points({points:g})'
        assert picture == f'compare_picture("{task}")'
        assert "**What you should see.**" in after
        assert after.count("<details><summary>Help: ") == after.count("</details>") >= 2


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.folder)
def test_a_notebook_names_its_model_once_and_never_the_answers(stage):
    notebooks = [nbformat.read(ROOT / path, 4) for path in (stage.notebook, *stage.ungraded)]
    for notebook in notebooks:
        code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
        assert code[0].startswith(('MODEL = "tiny-sd"', 'MODEL = "tiny-sdxl"'))
        assert "load_prior(MODEL)" in code[1]
        assert re.search(r"^    answer,$", code[1], re.MULTILINE)
        answers = re.compile(r"(from|import) reference\b")
        assert not [one for one in code if answers.search(one) or '"tiny-sd"' in one][1:]
    texts = [cell.source for notebook in notebooks for cell in notebook.cells]
    assert any("## Bug hunt" in text for text in texts)
    assert any("## Dares" in text for text in texts)


def test_a_stage_announces_its_points_and_what_is_graded():
    for stage in STAGES:
        total = sum(stage.points.values())
        head = committed(stage).cells[0].source
        assert f"{total:g} points" in head
        pictures = ", with the pictures that you hand in" * bool(stage.pictures)
        graded = f"is graded** is the code in the `%%todo` cells of this notebook{pictures}. "
        assert graded in head


@pytest.mark.parametrize(
    "path",
    [path for stage in STAGES for path in (stage.notebook, *stage.ungraded)],
    ids=lambda path: path.stem,
)
def test_every_claim_that_is_checked_stands_in_one_cell_of_its_notebook(path):
    cells = nbformat.read(ROOT / path, as_version=4).cells
    texts = [cell.source for cell in cells if cell.cell_type == "markdown"]
    for claim in claims_of(path.stem):
        assert [claim.stands_in(text) for text in texts].count(True) == 1, claim.says
        compile(claim.holds, claim.says, "exec")
