"""What students get runs on its own, knows no answer, and says what is still to do."""

from __future__ import annotations

import ast
import contextlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

import pytest
from PIL import Image

from distillery.core.errors import CourseError
from distillery.core.files import atomic_write
from distillery.core.images import save_png
from distillery.course.saved_text import replaced
from distillery.course.todo_cell import read_answer
from distillery.metrics import evaluate as evaluation
from grading.authoring.build import ROOT, answered_text, class_text, sequel_texts, written
from grading.authoring.make_stubs import BEGIN, END, answered_functions, function_text, stub_module
from grading.authoring.written_answers import said
from grading.core.limits import SCORE_TOLERANCE
from grading.core.manifest import TOP, Manifest, bundle_of
from grading.core.rules import Rules
from grading.core.submission import Submission
from grading.hub.own_course import lay_out
from grading.intake.take_in import take_in
from grading.release.bundle import check_no_answers, contents, readable, stage_manifest
from grading.stages import STAGES
from grading.stages.known_answers import answers_in
from grading.stages.sds import misconceptions as sds_mistakes
from grading.stages.tour import misconceptions as tour_mistakes
from grading.student import check_pictures, pack, run_checks
from grading.student.student_stage import StudentStage, find_stages
from grading.student.validate import look
from tests import own_environment

TOUR, SDS = STAGES[:2]
PROMPTS = (
    "a red boat on a frozen river",
    "a yellow castle in the night sky",
    "a blue mushroom in the forest",
)
KNOWN = {
    "__init__.py",
    "__main__.py",
    "core/__init__.py",
    "core/limits.py",
    "core/manifest.py",
    "core/notebook_cells.py",
    "student/__init__.py",
    "student/check_pictures.py",
    "student/lint.py",
    "student/pack.py",
    "student/run_checks.py",
    "student/student_notebook.py",
    "student/student_stage.py",
    "student/validate.py",
}
INSTRUCTORS = (
    "reference",
    "cases",
    "misconceptions",
    "variants",
    "tests",
    "training",
    "benchmarks",
)


def squeezed(text: str) -> str:
    return "".join(text.split())


def names_in(bundle: Path) -> list[str]:
    with zipfile.ZipFile(bundle) as archive:
        return [name.removeprefix(f"{TOP}/") for name in archive.namelist()]


def texts_in(bundle: Path) -> dict[str, str]:
    """Every text of a bundle, line breaks within JSON undone."""
    with zipfile.ZipFile(bundle) as archive:
        names = [n for n in archive.namelist() if not n.endswith((".png", ".safetensors"))]
        texts = {name: archive.read(name).decode() for name in names}
    return {n: t if n.endswith(".py") else t.replace("\\n", "\n") for n, t in texts.items()}


@pytest.fixture(scope="session")
def unpacked_once(released: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unpacked")
    with zipfile.ZipFile(bundle_of(released, TOUR.folder)) as archive:
        archive.extractall(folder)
    return folder / TOP


@pytest.fixture
def unpacked(unpacked_once: Path, tmp_path: Path) -> Path:
    """Stage 0 as a student has unpacked it; the models are shared."""
    shutil.copytree(unpacked_once, tmp_path / TOP, copy_function=link_weights)
    return tmp_path / TOP


def link_weights(source: str, target: str) -> None:
    (os.link if source.endswith(".safetensors") else shutil.copy2)(source, target)


@pytest.fixture
def with_pictures(released: Path, unpacked: Path, monkeypatch) -> Path:
    """Stage 1 unpacked over stage 0, with pictures of nothing and their scores."""
    with zipfile.ZipFile(bundle_of(released, SDS.folder)) as archive:
        for name in archive.namelist():
            if not (unpacked.parent / name).exists():
                archive.extract(name, unpacked.parent)
    folder = unpacked / "outputs" / SDS.folder
    for index, name in enumerate(PROMPTS):
        path = folder / f"{name.replace(' ', '_')}.png"
        save_png(path, Image.new("RGB", (64, 64), (index, 90, 200)), prompt=name)
    evaluation.write(folder / "eval.json", evaluation.evaluate(folder, "tiny-clip"))
    monkeypatch.chdir(unpacked)
    return unpacked


def work(root: Path, name: str = TOUR.folder) -> StudentStage:
    return find_stages(root, name)[0]


def answer(function: str, stage=TOUR) -> str:
    text = function_text((ROOT / "reference" / f"{stage.module}.py").read_text(), function)
    return "\n".join(line for line in text.split("\n") if line.strip() not in (BEGIN, END))


def edit(root: Path, change: Callable[[list[dict]], None], stage=TOUR) -> None:
    """Change the cells of the student's notebook."""
    path = root / stage.notebook
    notebook = json.loads(path.read_text("utf-8"))
    change(notebook["cells"])
    path.write_text(json.dumps(notebook), "utf-8")


def cell_of(cells: list[dict], grade_id: str) -> dict:
    return next(c for c in cells if c["metadata"].get("nbgrader", {}).get("grade_id") == grade_id)


def write(root: Path, function: str, code: str, *, line: bool = True) -> None:
    """Write a function's cell, and run it."""
    task = f"tour.{function}"

    def change(cells: list[dict]) -> None:
        cell = cell_of(cells, f"tour-{function}")
        cell["source"] = f"%%todo {task}\n{code}" if line else code

    edit(root, change)
    path = root / "guidance" / "tour.py"
    # Running a cell that cannot be saved says so, and leaves the file.
    with contextlib.suppress(CourseError):
        saved = read_answer(task, f"%%todo {task}\n{code}").code
        path.write_text(replaced(path.read_text("utf-8"), task, saved), "utf-8")


def write_all(root: Path) -> None:
    for function in TOUR.points:
        write(root, function, answer(function))


def in_a_shell_of_its_own(
    root: Path, *words: str, module: str = "grading"
) -> subprocess.CompletedProcess:
    """`python -m grading ...` where this repository is on no path: -S leaves .pth files unread."""
    env = {**os.environ, "PYTHONPATH": sysconfig.get_path("purelib"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-S", "-m", module, *words]
    return subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, check=False)


def test_a_bundle_has_nothing_of_the_instructors_in_it(released):
    for stage in (TOUR, SDS):
        names = names_in(bundle_of(released, stage.folder))
        assert {n for n in names if n.startswith("grading/")} == {f"grading/{n}" for n in KNOWN}
        assert not [n for n in names if set(Path(n).parts) & set(INSTRUCTORS)]
        assert not [n for n in names if "__pycache__" in n or Path(n).name.startswith(".")]
        assert [n for n in names if n.startswith("data/checks/")] == [
            f"data/checks/{stage.module}.json",
            f"data/checks/{stage.module}.safetensors",
        ]


def test_no_answer_of_any_stage_is_in_a_bundle(released):
    texts = {}
    for stage in (TOUR, SDS):
        texts |= texts_in(bundle_of(released, stage.folder))
    inside = {name.removeprefix(f"{TOP}/"): squeezed(text) for name, text in texts.items()}
    assert not [name for name, text in inside.items() if "SOLUTION" in text]
    for path in (ROOT / "reference").glob("[a-z]*.py"):
        source = path.read_text("utf-8")
        for function in answered_functions(source):
            body = function_text(source, function).split(BEGIN)[1].split(END)[0]
            held = {name for name, text in inside.items() if squeezed(body) in text}
            assert not held, f"{held} hold the answer to {path.stem}.{function}"


def written_paragraphs() -> dict[str, str]:
    """Each paragraph of the written answers of all stages, without white space -> its answer."""
    found = {}
    for stage in STAGES:
        for name, text in written(stage).items():
            found |= {squeezed(part): f"{stage.module}.{name}" for part in text.split("\n\n")}
    return found


def test_no_written_answer_of_any_stage_is_in_what_a_class_gets(released):
    paragraphs = written_paragraphs()
    assert len(paragraphs) > 80
    texts = {}
    for stage in (TOUR, SDS):
        with zipfile.ZipFile(bundle_of(released, stage.folder)) as archive:
            for name in archive.namelist():
                if not name.endswith((".png", ".safetensors")):
                    texts[name] = readable(name, archive.read(name))
    for stage in STAGES:
        notebook = answered_text(stage)  # of the instructor's source/, with the code of the answers
        texts[f"source/{stage.folder}"] = readable("a.ipynb", notebook.encode())
        for path, text in sequel_texts(stage, ROOT, said(stage)).items():
            texts[str(path)] = readable("a.ipynb", text.encode())
    for name, text in texts.items():
        inside = squeezed(text)
        held = {answer for paragraph, answer in paragraphs.items() if paragraph in inside}
        assert not held, f"{name} holds {held}"


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.folder)
def test_a_bundle_with_a_written_answer_in_its_notebook_is_refused(stage):
    sequels = sequel_texts(stage, ROOT, said(stage))
    for text in (class_text(stage), *sequels.values()):
        check_no_answers({"a.ipynb": text.encode()}, ROOT)
    committed = [(ROOT / path).read_bytes() for path in (stage.notebook, *stage.ungraded)]
    with pytest.raises(CourseError, match=r"holds the answer to \w+\.bug_hunt_"):
        check_no_answers({f"{number}.ipynb": its for number, its in enumerate(committed)}, ROOT)


def test_no_misconception_and_no_hidden_seed_is_in_a_bundle(released):
    names = {one.name for one in answers_in(tour_mistakes, sds_mistakes)}
    assert len(names) > 40
    hidden = str(Rules.load(released / "rules.yaml").seed)
    assert len(hidden) > 4
    for stage in (TOUR, SDS):
        for name, text in texts_in(bundle_of(released, stage.folder)).items():
            assert hidden not in text, name
            if name.endswith(".py"):
                # Their names are in the checks' data, and their code is nowhere.
                defined = {n.name for n in ast.walk(ast.parse(text)) if hasattr(n, "name")}
                assert not defined & names, name


def test_every_file_of_the_data_belongs_into_some_bundle():
    held: set[str] = set()
    for stage in STAGES:
        reference = (ROOT / "reference" / f"{stage.module}.py").read_text("utf-8")
        stub = stub_module(reference, stage.sentence).encode()
        held |= set(contents(stage, ROOT, class_text(stage).encode(), stub))
    data = {p.relative_to(ROOT).as_posix() for p in (ROOT / "data").rglob("*") if p.is_file()}
    assert data - held == set()


def test_a_bundle_with_an_answer_in_it_is_refused():
    indented = "\n".join(f"        {line}" for line in answer("sds_grad", SDS).split("\n"))
    for name in ("guidance/tour.py", "grading/student/validate.py", "data/checks/tour.json"):
        with pytest.raises(CourseError, match=rf"{name} holds the answer to sds.sds_grad"):
            check_no_answers({name: f"class Hidden:\n{indented}".encode()}, ROOT)
    with pytest.raises(CourseError, match="solution mark"):
        check_no_answers({"notebooks/a.ipynb": f'"{BEGIN}\\n"'.encode()}, ROOT)


def test_the_two_bundles_share_a_folder_and_leave_each_others_work(with_pictures):
    assert [one.name for one in find_stages(with_pictures)] == [TOUR.folder, SDS.folder]
    assert (with_pictures / "guidance" / "tour.py").exists()
    with pytest.raises(CourseError, match="several stages here, 00_tour, 01_sds"):
        pack.only_stage(with_pictures, "")


def test_an_environment_can_be_made_from_a_bundle(unpacked, tmp_path):
    """With the command of its README, but for the libraries, which are this environment's."""
    python = own_environment.made(tmp_path / "env")
    own_environment.pip("--python", python, "install", "--editable", unpacked)
    where = "import distillery; print(distillery.__file__)"
    said = own_environment.said([python, "-c", where], cwd=tmp_path)
    assert Path(said) == unpacked / "distillery" / "__init__.py"


def test_a_bundle_runs_on_its_own_and_says_what_is_to_do_until_it_is_done(unpacked):
    before = in_a_shell_of_its_own(unpacked, "validate", TOUR.folder)
    assert (before.returncode, before.stderr) == (1, "")
    for function in TOUR.points:
        assert f"  - {TOUR.sentence(function)}" in before.stdout
    assert "ready to hand in" not in before.stdout
    write_all(unpacked)
    after = in_a_shell_of_its_own(unpacked, "validate")
    assert (after.returncode, after.stderr) == (0, "")
    assert "6 of 6 points" in after.stdout
    assert after.stdout.splitlines()[-1].startswith("ready to hand in: python -m grading pack")
    packed = in_a_shell_of_its_own(unpacked, "pack", "Ada Lovelace", "al1815")
    assert (packed.returncode, packed.stderr) == (0, "")
    assert (unpacked / "Ada-Lovelace_al1815.zip").exists()
    release = in_a_shell_of_its_own(unpacked, "release")
    assert release.returncode == 2
    assert (
        release.stderr
        == "error: there is no command 'release'; choose a command: validate, pack.\n"
    )


def test_a_wrong_answer_earns_nothing_and_its_mistake_is_named(unpacked, monkeypatch):
    monkeypatch.chdir(unpacked)
    write_all(unpacked)
    write(unpacked, "predict_x0", answer("predict_x0").replace("/ alpha_bar.sqrt()", ""))
    report = look(work(unpacked))
    assert [one.points for one in report.checked] == [2, 0, 2]
    assert report.to_do == (
        "tour.predict_x0 is not right yet; its check above says what it returned.",
    )
    assert "This is what you get when" in report.text()
    assert "stand for 4 of 6 points" in report.text()


def test_code_that_ends_python_or_never_ends_costs_its_own_task_only(unpacked, monkeypatch):
    write_all(unpacked)
    code = answer("predict_x0")
    broken = code.replace("    return", "    import os\n\n    os._exit(3)\n    return")
    write(unpacked, "predict_x0", broken)
    report = look(work(unpacked))
    assert [one.passed for one in report.checked] == [True, False, True]
    assert report.checked[1].lines == ("tour.predict_x0: it ends Python itself.",)

    def never(command, **_):
        raise subprocess.TimeoutExpired(command, 1)

    monkeypatch.setattr(run_checks.subprocess, "run", never)
    report = look(work(unpacked))
    assert all("does not end" in one.lines[0] for one in report.checked)


def test_pytest_checks_the_functions_of_a_bundle_that_is_just_unpacked(unpacked):
    before = in_a_shell_of_its_own(unpacked, module="pytest")
    assert (before.returncode, before.stderr) == (0, "")
    assert "3 skipped" in before.stdout
    for function in TOUR.points:
        assert TOUR.sentence(function) in before.stdout
    write_all(unpacked)
    after = in_a_shell_of_its_own(unpacked, "guidance", module="pytest")
    assert "3 passed" in after.stdout
    assert work(unpacked).manifest.differences(unpacked, TOUR.folder, complete=True) == []


def test_the_plugin_for_pytest_is_never_taken_for_an_answer(unpacked, released_course, tmp_path):
    write_all(unpacked)
    files = pack.files_of(work(unpacked))
    assert [name for name in files if name.endswith(".py")] == ["guidance/tour.py"]
    whole = tmp_path / "handed in"
    for name in ("notebooks", "guidance"):
        shutil.copytree(unpacked / name, whole / name)
    submission = Submission(released_course, "al1815", TOUR.folder)
    intake = take_in(whole, submission, received=datetime(2026, 1, 1, tzinfo=timezone.utc))
    assert (intake.rejected, intake.flags, intake.missing) == ("", (), ())


def without(cells: list[dict], grade_id: str) -> None:
    cells.remove(cell_of(cells, grade_id))


def twice(cells: list[dict], grade_id: str) -> None:
    cells.append(cell_of(cells, grade_id))


def as_text(cells: list[dict], grade_id: str) -> None:
    cell_of(cells, grade_id)["cell_type"] = "markdown"


def other_points(cells: list[dict], grade_id: str) -> None:
    cell_of(cells, grade_id)["source"] = 'check("tour.add_noise").points(99)'


@pytest.mark.parametrize(
    ("change", "grade_id", "says"),
    [
        (without, "tour-add_noise", "the TODO cell tour-add_noise is missing"),
        (without, "tour-add_noise-check", "the check tour-add_noise-check is missing"),
        (twice, "tour-add_noise", "tour-add_noise is there 2 times"),
        (as_text, "tour-add_noise", "is not a code cell any more"),
        (other_points, "tour-add_noise-check", "tour-add_noise-check was changed"),
    ],
)
def test_a_cell_that_is_not_as_it_must_be_is_named(unpacked, change, grade_id, says):
    write_all(unpacked)
    assert look(work(unpacked), run=False).ready
    edit(unpacked, lambda cells: change(cells, grade_id))
    (sentence, *rest) = look(work(unpacked), run=False).to_do
    assert says in sentence
    assert rest == []


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("def add_noise(x0, eps, alpha_bar)\n    return x0", "the cell is not Python"),
        ("def noise(x0, eps, alpha_bar):\n    return x0", "must define add_noise, once"),
        ("seed(1)\ndef add_noise(x0, eps, alpha_bar):\n    return x0", "neither an import nor"),
        ("x = !ls\ndef add_noise(x0, eps, alpha_bar):\n    return x", "line 2 of the cell gives x"),
    ],
)
def test_code_that_cannot_be_graded_is_said_so(unpacked, code, says):
    write_all(unpacked)
    write(unpacked, "add_noise", code)
    to_do = look(work(unpacked), run=False).to_do
    assert "tour.add_noise cannot be graded" in to_do[0]
    assert says in to_do[0]


def test_a_cell_that_cannot_be_graded_is_not_called_a_stub_too(unpacked):
    write_all(unpacked)
    write(unpacked, "add_noise", "def add_noise(x0")
    to_do = look(work(unpacked), run=True).to_do
    assert len([line for line in to_do if "tour.add_noise" in line]) == 1


def test_a_cell_without_its_first_line_is_said_so(unpacked):
    write_all(unpacked)
    write(unpacked, "add_noise", answer("add_noise"), line=False)
    to_do = look(work(unpacked), run=False).to_do
    assert to_do == (
        "tour.add_noise cannot be graded: its cell must begin with the line %%todo tour.add_noise.",
    )


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("path = '/home/ada/x.pt'", "'/home/ada/x.pt' is a path on your computer"),
        ("path = 'C:\\\\Users\\\\ada'", "is a path on your computer"),
        ("path = '/content/drive'", "is a path on your computer"),
        ("import requests", "requests uses the network"),
        ("from urllib.request import urlopen", "urllib uses the network"),
        ("import subprocess", "subprocess acts outside your function"),
        ("name = input()", "input() waits for somebody to type"),
        ("breakpoint()", "breakpoint() waits for somebody to debug"),
        ("open('x.txt')", "open() reads or writes a file"),
    ],
)
def test_what_will_not_run_in_the_grader_is_said_and_not_forbidden(unpacked, line, says):
    write_all(unpacked)
    write(
        unpacked, "add_noise", answer("add_noise").replace("    return", f"    {line}\n    return")
    )
    report = look(work(unpacked), run=False)
    assert [one for one in report.to_know if one.startswith("add_noise: ") and says in one]
    assert report.ready


def test_a_cell_that_installs_something_is_noted(unpacked):
    write_all(unpacked)
    new = {"cell_type": "code", "metadata": {}, "source": ["%pip install einops\n"], "outputs": []}
    edit(unpacked, lambda cells: cells.append(new))
    assert "a cell installs something" in " ".join(look(work(unpacked), run=False).to_know)


def test_a_cell_that_was_written_and_never_run_is_noticed(unpacked):
    write_all(unpacked)
    task = "%%todo tour.add_noise\ndef add_noise(x0, eps, alpha_bar):\n    return x0"
    edit(unpacked, lambda cells: cell_of(cells, "tour-add_noise").update(source=task))
    report = look(work(unpacked), run=False)
    (sentence,) = report.differing
    assert "guidance/tour.py holds another add_noise than your notebook" in sentence
    assert not report.ready
    assert not report.to_do


def test_answers_that_are_only_in_the_file_are_named_first(unpacked):
    untouched = (unpacked / TOUR.notebook).read_bytes()
    write_all(unpacked)
    (unpacked / TOUR.notebook).write_bytes(untouched)
    report = look(work(unpacked))
    assert [one.split(", and")[0] for one in report.differing] == [
        f"guidance/tour.py holds an answer to tour.{function}" for function in TOUR.points
    ]
    lines = report.text().splitlines()
    assert lines[1] == "the notebook and guidance/ differ:"
    assert "Only the cells are graded" in lines[2]
    assert "stand for 0 of 6 points" in report.text()


def test_what_only_the_file_has_is_named_too(unpacked):
    write_all(unpacked)
    write(unpacked, "add_noise", answer("add_noise").replace("return ", "return ONE * "))
    path = unpacked / "guidance" / "tour.py"
    path.write_text(path.read_text("utf-8") + "\nONE = 1\n", "utf-8")
    (sentence,) = look(work(unpacked), run=False).differing
    assert sentence.startswith("The cell of add_noise uses ONE, which only guidance/tour.py has.")


def test_other_spaces_and_comments_in_the_file_are_no_difference(unpacked):
    write_all(unpacked)
    path = unpacked / "guidance" / "tour.py"
    text = path.read_text("utf-8")
    path.write_text(text.replace("    return", "    # mine\n\n    return"), "utf-8")
    assert look(work(unpacked), run=False).ready


def test_what_the_grader_leaves_out_is_told_and_no_obstacle(unpacked):
    write_all(unpacked)
    code = f"!pip install x\n{answer('add_noise')}\nprint(add_noise(1, 2, 3))\n"
    write(unpacked, "add_noise", code)
    report = look(work(unpacked))
    assert report.ready
    assert [one.points for one in report.checked] == [2, 2, 2]
    told = [one for one in report.to_know if one.startswith("add_noise: Line")]
    assert [one.split(", ")[1] for one in told] == ["!pip install x", "print(add_noise(1"]


def test_an_answer_in_a_cell_of_ones_own_counts_as_in_the_grader(unpacked):
    released = json.loads((unpacked / TOUR.notebook).read_text("utf-8"))["cells"]
    stub = cell_of(released, "tour-add_noise")["source"]
    write_all(unpacked)
    source = f"%%todo tour.add_noise\n{answer('add_noise')}"
    new = {"cell_type": "code", "metadata": {}, "source": source, "outputs": []}

    def move(cells: list[dict]) -> None:
        cell_of(cells, "tour-add_noise")["source"] = stub
        cells.append(new)

    edit(unpacked, move)
    assert [one.passed for one in look(work(unpacked)).checked] == [True, True, True]


def test_a_changed_fixed_file_is_named_and_no_obstacle(unpacked):
    write_all(unpacked)
    (unpacked / "distillery" / "course" / "check.py").write_text("def check(*_): return True\n")
    (unpacked / "data" / "prompts.json").unlink()
    report = look(work(unpacked), run=False)
    assert "distillery/course/check.py is not as it was released." in report.to_know
    assert "data/prompts.json is missing." in report.to_know
    assert report.ready


def test_a_course_that_students_share_by_links_is_as_it_was_released(unpacked, tmp_path):
    own = tmp_path / "home" / TOP
    lay_out(unpacked, own)
    shutil.copytree(unpacked / "notebooks", own / "notebooks", dirs_exist_ok=True)
    assert (own / "distillery").is_symlink()
    assert look(work(own), run=False).to_know == look(work(unpacked), run=False).to_know == ()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "not a notebook as Jupyter saves it"),
        (b"<html></html>", "not a notebook as Jupyter saves it"),
        (b'{"cells": [1]}', "not a notebook as Jupyter saves it"),
        (b'{"cells": [], "metadata": {}}', "has none of the cells of 00_tour"),
        (b'{"cells": [], "metadata": {"kernelspec": {"language": "R"}}}', "choose one for Python"),
    ],
)
def test_a_file_that_is_not_this_notebook_is_said_so(unpacked, content, says):
    (unpacked / TOUR.notebook).write_bytes(content)
    (sentence,) = look(work(unpacked), run=False).to_do
    assert says in sentence


def test_a_renamed_notebook_is_found_out(unpacked):
    path = unpacked / TOUR.notebook
    path.rename(path.with_name("00_tour (1).ipynb"))
    (sentence,) = look(work(unpacked), run=False).to_do
    assert sentence.endswith("is missing; is it 00_tour (1).ipynb? Then rename that.")


def test_another_notebook_beside_a_missing_one_is_not_taken_for_it(unpacked):
    path = unpacked / TOUR.notebook
    shutil.copy(ROOT / SDS.notebook, path.with_name("00_tour_part2.ipynb"))
    path.unlink()
    (sentence,) = look(work(unpacked), run=False).to_do
    assert sentence.endswith("00_tour.ipynb is missing.")


def test_the_further_notebooks_of_a_stage_are_packed_and_may_be_changed():
    (stage,) = [stage for stage in STAGES if stage.sequels]
    stub = (ROOT / "guidance" / f"{stage.module}.py").read_bytes()
    files = contents(stage, ROOT, class_text(stage).encode(), stub)
    further = {str(path) for path in stage.ungraded}
    assert further
    assert further <= set(files)
    assert not further & set(stage_manifest(stage, files).files)


def test_a_folder_that_was_not_unpacked_from_a_bundle_is_refused(tmp_path):
    with pytest.raises(CourseError, match="is not a copy made for students"):
        find_stages(tmp_path)


def test_pictures_that_are_missing_or_not_as_scored_are_to_do(with_pictures):
    place = with_pictures / "outputs" / SDS.folder
    assert not [one for one in look(work(with_pictures, "sds"), run=False).to_do if "eval" in one]
    forged = json.loads((place / "eval.json").read_text())
    for row in forged["pictures"]:
        row["score"] = 0.9
    (place / "eval.json").write_text(json.dumps(forged | {"mean": 0.9}))
    to_do = list(check_pictures.wrong_evaluation(place / "eval.json", hand_in_of(), run=True))
    assert "the scores in eval.json are not those of the pictures" in to_do[0]
    (place / "eval.json").write_text(json.dumps(forged | {"mean": 0.9 + 0.9 * SCORE_TOLERANCE}))
    assert not [one for one in look(work(with_pictures, "sds"), run=False).to_do if "eval" in one]
    (place / "eval.json").write_text(json.dumps(forged | {"mean": 0.1}))
    assert "the mean in eval.json" in look(work(with_pictures, "sds"), run=False).to_do[-1]
    (place / "eval.json").write_text("[]")
    assert "not as eval.py writes it" in look(work(with_pictures, "sds"), run=False).to_do[-1]
    (place / "a_red_boat_on_a_frozen_river.png").write_bytes(b"no picture")
    assert "cannot be read" in look(work(with_pictures, "sds"), run=False).to_do[-1]
    shutil.rmtree(place)
    (sentence,) = [o for o in look(work(with_pictures, "sds"), run=False).to_do if "lacks" in o]
    assert sentence.count(".png") == 3
    assert sentence.endswith("eval.json: python main.py hand_in 01_sds")


def hand_in_of():
    from distillery.course.submission_pictures import load_hand_in

    return load_hand_in(SDS.folder)


def test_the_zip_has_code_pictures_and_scores_and_no_outputs(with_pictures):
    def show_something(cells: list[dict]) -> None:
        cell_of(cells, "sds-sds_grad")["outputs"] = [{"output_type": "stream", "text": "secret"}]

    edit(with_pictures, show_something, SDS)
    file = pack.pack(work(with_pictures, "sds"), "Ada", "al1815", with_pictures)
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        facts = json.loads(archive.read("pack.json"))
        assert b"secret" not in archive.read(f"notebooks/{SDS.folder}/{SDS.folder}.ipynb")
    pictures = [name for name in names if name.endswith(".png")]
    assert len(pictures) == 3
    assert set(names) == {
        "guidance/sds.py",
        f"notebooks/{SDS.folder}/{SDS.folder}.ipynb",
        f"outputs/{SDS.folder}/eval.json",
        "pack.json",
        *pictures,
    }
    assert (facts["student_id"], facts["stage"]) == ("al1815", SDS.folder)
    assert set(facts["sha256"]) == set(names) - {"pack.json"}
    again = pack.pack(work(with_pictures, "sds"), "Ada", "al1815", with_pictures / "again")
    assert again.read_bytes() == file.read_bytes()


def test_what_was_packed_is_taken_in_without_a_word(unpacked, released_course):
    write_all(unpacked)
    file = pack.pack(work(unpacked), "Ada", "al1815", unpacked)
    intake = take_in(
        file,
        Submission(released_course, "al1815", TOUR.folder),
        received=datetime(2026, 1, 1, tzinfo=timezone.utc),
    )
    assert (intake.rejected, intake.flags, intake.missing) == ("", (), ())


def test_there_must_be_something_to_hand_in(unpacked):
    with pytest.raises(CourseError, match="nothing to hand in: every TODO cell"):
        pack.pack(work(unpacked), "Ada", "al1815", unpacked)
    (unpacked / TOUR.notebook).unlink()
    with pytest.raises(CourseError, match="is missing"):
        pack.pack(work(unpacked), "Ada", "al1815", unpacked)
    assert not list(unpacked.glob("*.zip"))


def test_too_large_a_zip_is_not_written_and_what_is_large_is_named(unpacked, monkeypatch):
    write_all(unpacked)
    monkeypatch.setattr(pack, "LARGEST", 1000)
    with pytest.raises(CourseError, match="the largest in it is notebooks/00_tour"):
        pack.pack(work(unpacked), "Ada", "al1815", unpacked)
    assert not list(unpacked.glob("*.zip"))


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("Ada Lovelace", "Ada-Lovelace"),
        ("Jörg Groß/Müller", "Jorg-Gross-Muller"),
        ("../../etc/passwd", "etc-passwd"),
        ("O'Brien_Smith\n", "O-Brien-Smith"),
        ("Łukasz Æther Þór", "Lukasz-AEther-Thor"),
        ("李小龍", "student"),
        ("-rf *", "rf"),
        ("x" * 300, "x" * 60),
        ("\ud800a", "a"),
    ],
)
def test_a_name_becomes_letters_that_every_system_can_store(name, plain):
    assert pack.safe_name(name) == plain


def test_no_name_and_no_such_id_are_refused():
    with pytest.raises(CourseError, match="say your name"):
        pack.safe_name(" ")
    for student_id in ("", "a/b", "müller", "a b", ".hidden", "a" * 65, "a\n"):
        with pytest.raises(CourseError, match="student id"):
            pack.checked_id(student_id)


def test_nothing_differs_in_what_was_just_unpacked_or_only_filled_in(released, unpacked):
    manifest = Manifest.load(released / "manifest.json")
    assert manifest.differences(unpacked, TOUR.folder, complete=True) == []
    write_all(unpacked)
    path = unpacked / "guidance" / "tour.py"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert manifest.differences(unpacked, TOUR.folder, complete=True) == []


def test_a_changed_file_differs_with_its_lines_and_a_missing_one_where_all_must_be_there(
    released, unpacked
):
    manifest = Manifest.load(released / "manifest.json")
    path = unpacked / "distillery" / "models" / "schedule.py"
    path.write_text(path.read_text("utf-8").replace("import torch", "import torch as t"), "utf-8")
    (unpacked / "main.py").unlink()
    (one,) = manifest.differences(unpacked, TOUR.folder)
    assert (one.file, one.what) == (
        "distillery/models/schedule.py",
        "distillery/models/schedule.py is not as it was released.",
    )
    assert "\n-import torch\n+import torch as t\n" in one.diff
    both = manifest.differences(unpacked, TOUR.folder, complete=True)
    assert {one.what for one in both} == {one.what, "main.py is missing."} | {
        "distillery/models/schedule.py is not as it was released."
    }


def test_a_link_is_not_followed(released, unpacked):
    manifest = Manifest.load(released / "manifest.json")
    (unpacked / "main.py").rename(unpacked / "other.py")
    (unpacked / "main.py").symlink_to("other.py")
    shutil.move(unpacked / "data" / "palettes", unpacked / "elsewhere")
    (unpacked / "data" / "palettes").symlink_to(unpacked / "elsewhere")
    whats = {one.what for one in manifest.differences(unpacked, TOUR.folder)}
    assert "main.py is not a plain file." in whats
    assert "data/palettes/dusk.hex is not a plain file." in whats


def test_a_changed_locked_cell_and_given_line_differ(released, unpacked):
    manifest = Manifest.load(released / "manifest.json")
    edit(unpacked, lambda cells: other_points(cells, "tour-add_noise-check"))
    path = unpacked / "guidance" / "tour.py"
    atomic_write(path, path.read_text("utf-8") + "\n\ndef help_me():\n    return 1\n")
    module, cell = manifest.differences(unpacked, TOUR.folder)
    assert "changed outside the functions" in module.what
    assert "+def help_me():" in module.diff
    assert cell.what == "the locked cell tour-add_noise-check was changed."
    assert '+check("tour.add_noise").points(99)' in cell.diff
    path.write_text("def broken(:\n")
    assert "is not Python" in manifest.differences(unpacked, TOUR.folder)[0].what


def test_a_notebook_alone_in_a_folder_is_compared_too(released, unpacked, tmp_path):
    manifest = Manifest.load(released / "manifest.json")
    edit(unpacked, lambda cells: without(cells, "tour-add_noise"))
    shutil.copy(unpacked / TOUR.notebook, tmp_path)
    (one,) = manifest.differences(tmp_path, TOUR.folder)
    assert one.what == "the cell tour-add_noise is missing."


def test_a_manifest_that_cannot_be_read_is_said_so(tmp_path):
    with pytest.raises(CourseError, match="run python -m grading release"):
        Manifest.load(tmp_path / "manifest.json")
    for content in ("", "{}", "[]", '{"version": "1", "stages": {"a": {}}}', '{"stages": 1}'):
        (tmp_path / "manifest.json").write_text(content)
        with pytest.raises(CourseError, match="cannot be read as a manifest"):
            Manifest.load(tmp_path / "manifest.json")


def test_a_manifest_holds_what_it_was_saved_with(released):
    manifest = Manifest.load(released / "manifest.json")
    assert manifest.text() == (released / "manifest.json").read_text("utf-8")
    assert manifest.original(TOUR.folder, "main.py") == (ROOT / "main.py").read_bytes()
    assert manifest.original(TOUR.folder, "nothing.py") is None
    with pytest.raises(CourseError, match="02_pds is not in the manifest"):
        manifest.stage("02_pds")
