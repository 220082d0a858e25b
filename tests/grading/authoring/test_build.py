"""What is committed is what the one build command makes, and it holds no answers."""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import nbformat
import pytest
import torch
from nbclient import NotebookClient
from safetensors.torch import load

from distillery.core.errors import CourseError
from grading.authoring import build, counts, observed_tasks
from grading.authoring.build import ROOT, answered, committed_files, nbgrader_files, stale
from grading.authoring.make_stubs import answered_functions, stub_module
from grading.authoring.notebooks import answered_notebook, sequel_notebook, student_notebook
from grading.stages import STAGES
from grading.stages.known_answers import Answer
from grading.stages.stage import Stage

TOUR = STAGES[0]
FEW = STAGES[:2]  # observing the known mistakes of all takes a third of a minute
NOTEBOOK = Path("notebooks/00_tour/00_tour.ipynb")


NO_SECRET = ("= prior.", ".shape[", "with torch.no_grad():", "with torch.enable_grad():")


def solution_lines() -> set[str]:
    """The lines between the marks that could not stand anywhere by chance.

    How to call a prior is no secret, every contract says it; nor is how to unpack a shape or leave
    out the graph, nor a line that a given function of the same module holds too.
    """
    solutions: set[str] = set()
    for path in (ROOT / "reference").glob("*.py"):
        answers, given, inside = set(), set(), False
        for line in map(str.strip, path.read_text().splitlines()):
            if line.startswith("### "):
                inside = line == "### BEGIN SOLUTION"
            elif len(line) > 20 and not any(words in line for words in NO_SECRET):
                (answers if inside else given).add(line)
        solutions |= answers - given
    return solutions


def built(course: Path, *, repository: str | None = None) -> build.Files:
    return committed_files(course, FEW, repository=repository)


@pytest.fixture
def small_build(small_course, monkeypatch):
    """Let the build command build the small course, and only a few stages of it."""
    monkeypatch.setattr(build, "ROOT", small_course)
    monkeypatch.setattr(build, "committed_files", built)
    return small_course


def test_every_notebook_has_a_source_and_every_source_a_stage():
    known = {path for stage in STAGES for path in (stage.notebook, *stage.ungraded)}
    there = {path.relative_to(ROOT) for path in (ROOT / "notebooks").glob("*/*.ipynb")}
    assert {path.as_posix() for path in there} == {str(path) for path in known}
    assert all((ROOT / path).with_suffix(".py").exists() for path in there)


@pytest.mark.parametrize(
    "cell", ["# TODO pixelart.paint", 'check("pixelart.paint")', 'hand_in("04_pixelart")']
)
def test_a_further_notebook_in_which_something_would_be_graded_is_refused(cell):
    (stage,) = [stage for stage in STAGES if stage.sequels]
    (path,) = stage.ungraded
    percent = (ROOT / path.with_suffix(".py")).read_text("utf-8")
    assert '"nbgrader"' not in sequel_notebook(stage, path, percent)
    with pytest.raises(CourseError, match=r"only 04_pixelart\.ipynb is graded: move the cell"):
        sequel_notebook(stage, path, f"{percent}\n# %%\n{cell}\n")


def test_building_twice_gives_the_same_bytes(small_course):
    assert built(small_course) == built(small_course)


def test_nothing_a_student_receives_holds_an_answer(small_course):
    answers = solution_lines()
    assert len(answers) >= 8
    places = ("notebooks/*/*.ipynb", "guidance/*.py", "data/checks/*.json")
    there = {path: path.read_bytes() for place in places for path in ROOT.glob(place)}
    assert len(there) >= 3 * len(STAGES)
    for path, content in (there | built(small_course)).items():
        if path.suffix != ".safetensors":
            text = json.dumps(content.decode())
            assert "SOLUTION" not in text, path
            assert not [line for line in answers if json.dumps(line)[1:-1] in text], path


def test_the_checks_are_small():
    sizes = [path.stat().st_size for path in (ROOT / "data" / "checks").iterdir()]
    assert sum(sizes) < 3_500_000


def test_no_tensor_of_the_checks_is_stored_twice():
    for path in (ROOT / "data" / "checks").glob("*.safetensors"):
        tensors = list(load(path.read_bytes()).values())
        for one, other in combinations(tensors, 2):
            assert one.dtype != other.dtype or not torch.equal(one, other)


def test_a_task_names_the_tasks_that_it_uses():
    stored = json.loads((ROOT / "data" / "checks" / "pds.json").read_text())["tasks"]
    assert stored["pds_loss"]["uses"] == ["posterior_coefficients", "stochastic_latent"]
    assert "uses" not in stored["dds_loss"]


def test_a_mistake_that_the_check_cannot_see_stops_the_build(monkeypatch):
    right = importlib.import_module("reference.pds").posterior_coefficients
    harmless = Answer("pds.posterior_coefficients", lambda *levels: tuple(right(*levels)), "none.")
    monkeypatch.setattr(observed_tasks, "MISCONCEPTIONS", (harmless,))
    with pytest.raises(CourseError, match="cannot tell"):
        observed_tasks.checks(STAGES[2], vars(importlib.import_module("reference.pds")))


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.module)
def test_a_stub_keeps_signature_and_docstring_and_refuses_calmly(stage):
    reference = (ROOT / "reference" / f"{stage.module}.py").read_text()
    assert answered_functions(reference) == list(stage.points)
    answer, stub = {}, {}
    exec(reference, answer)
    exec(stub_module(reference, stage.sentence), stub)
    for name in stage.points:
        assert stub[name].__doc__ == answer[name].__doc__
        assert stub[name].__annotations__ == answer[name].__annotations__
        with pytest.raises(NotImplementedError, match="is still to do: notebooks/"):
            stub[name](*[None] * stub[name].__code__.co_argcount, **stub_keywords(stub[name]))


def stub_keywords(function) -> dict[str, None]:
    code = function.__code__
    names = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
    return dict.fromkeys(names)


def test_a_todo_cell_holds_the_stub_and_its_check_is_locked(small_course):
    cells = student_cells(small_course)
    todo = next(cell for cell in cells if cell.source.startswith("%%todo tour.predict_x0"))
    check = cells[cells.index(todo) + 1]
    assert todo.source.splitlines()[1].startswith("def predict_x0(")
    assert todo.metadata["tags"] == ["again"]
    assert todo.metadata["nbgrader"]["solution"]
    assert not todo.metadata["nbgrader"]["locked"]
    assert check.source == 'check("tour.predict_x0").points(2)'
    assert check.metadata["nbgrader"]["locked"]
    assert check.metadata["nbgrader"]["grade"]
    assert check.metadata["nbgrader"]["points"] == TOUR.points["predict_x0"]


def student_cells(course: Path) -> list[nbformat.NotebookNode]:
    text = built(course)[NOTEBOOK].decode()
    return nbformat.reads(text, as_version=4).cells


def test_notebooks_are_valid_and_without_outputs(small_course):
    notebook = nbformat.reads(built(small_course)[NOTEBOOK].decode(), as_version=4)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)


def test_an_edit_changes_the_id_of_its_own_cell_only(small_course):
    before = [cell.id for cell in student_cells(small_course)]
    source = small_course / NOTEBOOK.with_suffix(".py")
    source.write_text("# %% [markdown]\n# New.\n\n" + source.read_text().replace("small", "short"))
    after = [cell.id for cell in student_cells(small_course)]
    assert len(set(after)) == len(after)
    assert after[2:] == before[1:]
    assert after[1] != before[0]


def test_student_and_answered_notebook_share_their_ids(small_course):
    source = (small_course / NOTEBOOK.with_suffix(".py")).read_text()
    reference = (ROOT / "reference" / "tour.py").read_text()
    ids = [
        [cell.id for cell in nbformat.reads(make(TOUR, source, reference), as_version=4).cells]
        for make in (student_notebook, answered_notebook)
    ]
    assert ids[0] == ids[1]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# TODO tour.predict_x0", "# TODO tour.add_noise"),
        ("# TODO tour.predict_x0", "pass"),
        ('check("tour.predict_x0")', "pass"),
    ],
)
def test_a_source_that_forgets_or_repeats_a_task_is_refused(small_course, old, new):
    source = small_course / NOTEBOOK.with_suffix(".py")
    source.write_text(source.read_text().replace(old, new))
    with pytest.raises(CourseError, match="must have one cell"):
        built(small_course)


def test_stage_and_reference_must_agree(small_course):
    with pytest.raises(CourseError, match="answers"):
        student_notebook(
            Stage("00_tour", "tour", {"add_noise": 1}, title="", minutes=1),
            "",
            reference_text("tour"),
        )


def reference_text(module: str) -> str:
    return (ROOT / "reference" / f"{module}.py").read_text()


def test_what_is_out_of_date_is_listed(small_course):
    files = built(small_course)
    assert stale(small_course, files) == [NOTEBOOK]
    (small_course / "data/checks/sds.safetensors").unlink()
    (small_course / "guidance/tour.py").write_text("")
    outdated = {str(path) for path in stale(small_course, files)}
    assert outdated == {str(NOTEBOOK), "data/checks/sds.safetensors", "guidance/tour.py"}


def test_building_stops_before_it_overwrites_written_answers(small_build):
    path = small_build / "guidance" / "tour.py"
    written = path.read_text().replace("# your code here", "return x0 + eps", 1)
    lines = written.splitlines()
    start = next(i for i, line in enumerate(lines) if "return x0 + eps" in line)
    written = "\n".join(lines[: start + 1] + lines[start + 4 :])
    path.write_text(written)
    with pytest.raises(CourseError, match="add_noise"):
        build.main([])
    assert path.read_text() == written
    assert not (small_build / NOTEBOOK).exists()


def test_the_build_command_builds_and_then_has_nothing_to_say(small_build, capsys):
    assert build.main(["--check"]) == 1
    assert str(NOTEBOOK) in capsys.readouterr().out
    assert build.main(["--course", str(small_build / "elsewhere")]) == 0
    assert (small_build / "elsewhere/source/00_tour/00_tour.ipynb").exists()
    assert build.main(["--check"]) == 0


def test_nbgrader_releases_what_students_get(small_course):
    course = small_course / "course"
    build._write(course, nbgrader_files(small_course))
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    subprocess.run(
        [sys.executable, "-m", "nbgrader", "generate_assignment", "00_tour", "--create"],
        cwd=course,
        env={**os.environ, "PATH": path},
        check=True,
        capture_output=True,
    )
    released = nbformat.read(course / "release/00_tour/00_tour.ipynb", as_version=4)
    mine = student_cells(small_course)
    assert [cell.source for cell in released.cells] == [cell.source for cell in mine]
    assert [cell.id for cell in released.cells] == [cell.id for cell in mine]


def run(path: Path, course: Path, monkeypatch) -> nbformat.NotebookNode:
    """Execute a notebook in the small course, whose own guidance/ it must find and fill."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    folder = course / "notebooks" / "00_tour"
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=120, allow_errors=True).execute(cwd=str(folder))
    return notebook


def outputs(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [out for cell in notebook.cells if cell.cell_type == "code" for out in cell.outputs]


def printed(notebook: nbformat.NotebookNode) -> str:
    return "".join(out.text for out in outputs(notebook) if out.output_type == "stream")


def test_the_answered_notebook_runs_and_fills_the_students_module(small_course, monkeypatch):
    committed = (ROOT / "guidance" / "tour.py").read_bytes()
    path = answered(TOUR, small_course / "answered", root=small_course)
    notebook = run(path, small_course, monkeypatch)
    assert not [out for out in outputs(notebook) if out.output_type == "error"]
    assert printed(notebook).count(": right.") == 3
    results = [o.data["text/plain"] for o in outputs(notebook) if o.output_type == "execute_result"]
    assert [text for text in results if "Figure" not in text] == ["2", "2", "2", "0.5"]
    assert any("image/png" in out.data for out in outputs(notebook) if "data" in out)
    saved = (small_course / "guidance" / "tour.py").read_text()
    assert "return alpha_bar.sqrt() * x0 + (1 - alpha_bar).sqrt() * eps" in saved
    assert (ROOT / "guidance" / "tour.py").read_bytes() == committed


def test_the_released_notebook_stops_calmly_where_something_is_to_do(small_course, monkeypatch):
    path = small_course / "released.ipynb"
    path.write_bytes(built(small_course)[NOTEBOOK])
    notebook = run(path, small_course, monkeypatch)
    for function in TOUR.points:
        assert TOUR.sentence(function) in printed(notebook)
    errors = [out for out in outputs(notebook) if out.output_type == "error"]
    assert [(out.ename, out.evalue) for out in errors] == [
        ("NotImplementedError", TOUR.sentence("add_noise"))
    ]


def test_points_are_typed_in_the_stage_alone():
    for stage in STAGES:
        source = (ROOT / stage.notebook.with_suffix(".py")).read_text("utf-8")
        assert not re.search(r"\b\d+ points?\b", source)
        built = (ROOT / stage.notebook).read_text("utf-8")
        assert "{points of" not in built
        assert stage.summary in built


def test_points_of_a_task_that_is_not_there_are_refused(small_course):
    path = small_course / NOTEBOOK.with_suffix(".py")
    path.write_text(path.read_text("utf-8") + "\n# %% [markdown]\n# {points of nothing}\n")
    with pytest.raises(CourseError, match="names the points of nothing"):
        built(small_course)


def test_counts_and_rows_of_the_texts_follow_the_stages():
    text = "".join((ROOT / name).read_text("utf-8") for name in counts.TEXTS)
    assert all(re.search(pattern, text) for pattern in counts.COUNTED)
    wrong = re.sub(r"(\d+)(?= known| other correct)", "7", text).replace("`sds_grad`, ", "")
    wrong = wrong.replace("| palette-exact", "| balette-exact")
    assert wrong != text
    assert counts.counted(wrong) == text


def test_text_on_the_line_of_a_cells_marker_is_refused_because_no_reader_would_see_it():
    percent = (ROOT / "notebooks/00_tour/00_tour.py").read_text("utf-8")
    reference = (ROOT / "reference/tour.py").read_text("utf-8")
    hidden = percent.replace("# %% [markdown]\n# Now let", "# %% [markdown] Now let", 1)
    assert hidden != percent
    with pytest.raises(CourseError, match="has text on the line of a cell's marker"):
        student_notebook(STAGES[0], hidden, reference)
