"""Whatever is handed in ends as a clean folder: repaired, or rejected with a reason."""

from __future__ import annotations

import json
import os
import random
import shutil
import zipfile
from collections.abc import Callable
from copy import deepcopy
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat import NotebookNode
from nbgrader.nbgraderformat import MetadataValidator

from distillery.core.errors import CourseError
from grading.authoring.build import ROOT
from grading.authoring.make_stubs import BEGIN, END, function_text
from grading.core.notebook_cells import grade_id_of
from grading.core.submission import Submission
from grading.intake import open_submission, receipts
from grading.intake import take_in as take_in_module
from grading.intake.archives import SubmissionError
from grading.intake.clean_folder import Intake, load_intake
from grading.intake.read_notebook import read_notebook, tidied
from grading.intake.receipts import keep
from grading.intake.repair_notebook import repair_notebook
from grading.intake.take_in import ensure_taken_in, repaired, take_in
from grading.stages import STAGES
from grading.student.pack import pack
from grading.student.student_stage import find_stages

TOUR, SDS = STAGES[:2]
NAME = TOUR.folder
WITH_MORE = [stage for stage in STAGES if stage.sequels]
WHEN = datetime(2026, 11, 20, 12, 30, tzinfo=timezone.utc)
DOT = bytes.fromhex(  # a PNG of one pixel
    "89504e470d0a1a0a0000000d4948445200000001000000010800000000"
    "3a7e9b550000000a49444154789c63680000000200014873760a0000000049454e44ae426082"
)


@pytest.fixture
def course(tmp_path: Path) -> Path:
    """What of a course folder is needed to take hand-ins in."""
    for stage in (TOUR, SDS):
        folder = tmp_path / "class" / "release" / stage.folder
        folder.mkdir(parents=True)
        shutil.copy(ROOT / stage.notebook, folder)
    return tmp_path / "class"


@pytest.fixture
def release(course: Path) -> NotebookNode:
    return nbformat.read(course / "release" / NAME / f"{NAME}.ipynb", as_version=4)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "handed in"
    path.mkdir()
    return path


def come(source: Path, course: Path, **changes: Any) -> Intake:
    submission = Submission(course, changes.pop("student", "ada"), changes.pop("assignment", NAME))
    return take_in(source, submission, **({"received": WHEN} | changes))


def cell_of(notebook: NotebookNode, grade_id: str) -> NotebookNode:
    (found,) = (
        cell
        for cell in notebook.cells
        if cell.metadata.get("nbgrader", {}).get("grade_id") == grade_id
    )
    return found


def answer(function: str) -> str:
    source = function_text((ROOT / "reference" / "tour.py").read_text("utf-8"), function)
    return "\n".join(line for line in source.split("\n") if line.strip() not in (BEGIN, END))


def solved(release: NotebookNode) -> NotebookNode:
    notebook = deepcopy(release)
    for function in TOUR.points:
        cell_of(notebook, f"tour-{function}").source = f"%%todo tour.{function}\n{answer(function)}"
    return notebook


def save(folder: Path, notebook: Any, name: str = f"{NAME}.ipynb") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(notebook), encoding="utf-8")
    return path


def clean_notebook(intake: Intake) -> NotebookNode:
    path = intake.folder / f"{intake.assignment}.ipynb"
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    MetadataValidator().validate_nb(notebook)
    return notebook


def kinds(intake: Intake) -> list[str]:
    return [flag.kind for flag in intake.flags]


def marks(notebook: NotebookNode) -> list[str]:
    found = (cell.metadata.get("nbgrader", {}).get("grade_id", "") for cell in notebook.cells)
    return [grade_id for grade_id in found if grade_id]


def test_an_honest_hand_in_comes_through_as_it_is(course, folder, release):
    written = solved(release)
    save(folder, written)
    intake = come(folder, course)
    assert (intake.rejected, intake.flags, intake.missing) == ("", (), ())
    clean = clean_notebook(intake)
    assert nbformat.writes(clean) == nbformat.writes(written)
    assert sorted(path.name for path in intake.folder.iterdir()) == [
        f"{NAME}.ipynb",
        "intake.json",
        "timestamp.txt",
    ]
    assert not list((course / ".intake").iterdir())


def test_what_pack_makes_is_understood_whole(released_course, tmp_path, monkeypatch):
    course = released_course
    shutil.unpack_archive(course / "bundles" / f"{SDS.folder}.zip", tmp_path / "student")
    (root,) = (tmp_path / "student").iterdir()
    drawn = root / "outputs" / SDS.folder
    drawn.mkdir(parents=True)
    (drawn / "a_red_boat_on_a_frozen_river.png").write_bytes(DOT)
    (drawn / "eval.json").write_text('{"mean": 0.3}')
    monkeypatch.chdir(root)
    (work,) = find_stages(root, SDS.folder)
    packed = pack(work, "Ada Lovelace", "al_1815", tmp_path)

    intake = come(packed, course, student="al_1815", assignment=SDS.folder)

    assert (intake.rejected, intake.flags, intake.missing) == ("", (), ())
    assert sorted(p.name for p in (intake.folder / "pictures").iterdir()) == [
        "a_red_boat_on_a_frozen_river.png"
    ]
    assert json.loads((intake.folder / "eval.json").read_text()) == {"mean": 0.3}
    other = come(packed, course, student="bob", assignment=SDS.folder)
    assert kinds(other) == ["student id"]
    assert kinds(come(packed, course, student="b", assignment=SDS.folder, names=["al_1815"])) == []


def test_the_receipt_time_is_the_one_given(course, folder, release):
    save(folder, solved(release))
    (folder / "timestamp.txt").write_text("1999-01-01 00:00:00.000000 UTC")
    zone = timezone(timedelta(hours=9))
    intake = come(folder, course, received=datetime(2026, 11, 20, 21, 30, tzinfo=zone))
    assert intake.received == WHEN
    text = (intake.folder / "timestamp.txt").read_text()
    assert text == "2026-11-20 12:30:00.000000 UTC\n"


def test_what_is_not_asked_for_is_left_behind(course, folder, release):
    save(folder, solved(release))
    for name in ("torch.py", "lora.pt", "guidance/evil.py", "intake.json", "x.pth"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("{}")
    intake = come(folder, course)
    assert kinds(intake) == ["shadow file"]
    assert "torch.py" in intake.flags[0].sentence
    assert sorted(path.name for path in intake.folder.iterdir()) == [
        f"{NAME}.ipynb",
        "intake.json",
        "timestamp.txt",
    ]


def test_a_fixed_file_that_was_changed_is_flagged_with_its_change(released_course, folder):
    course = released_course
    release = nbformat.read(course / "release" / NAME / f"{NAME}.ipynb", as_version=4)
    save(folder, solved(release), f"notebooks/{NAME}/{NAME}.ipynb")
    (folder / "distillery" / "models").mkdir(parents=True)
    changed = (
        (ROOT / "distillery" / "models" / "schedule.py")
        .read_text("utf-8")
        .replace("import", "impart", 1)
    )
    (folder / "distillery" / "models" / "schedule.py").write_text(changed, "utf-8")
    intake = come(folder, course)
    (flag,) = intake.flags
    assert flag.kind == "fixed file"
    assert "distillery/models/schedule.py" in flag.sentence
    assert "impart" in flag.sentence


def test_an_answer_that_is_in_the_module_alone_is_flagged(course, folder, release):
    notebook = solved(release)
    cell_of(notebook, "tour-predict_x0").source = cell_of(release, "tour-predict_x0").source
    save(folder, notebook, f"notebooks/{NAME}/{NAME}.ipynb")
    (folder / "guidance").mkdir()
    stubs = (ROOT / "guidance" / "tour.py").read_text("utf-8")
    (folder / "guidance" / "tour.py").write_text(stubs + "\n" + answer("predict_x0") + "\n")
    (flag,) = come(folder, course).flags
    assert flag.kind == "answer elsewhere"
    assert "guidance/tour.py answers predict_x0, and" in flag.sentence
    (folder / "guidance" / "tour.py").write_text("(" * 9999)
    assert come(folder, course).flags == ()


REJECTED: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is empty"),
    "spaces": (b" \n\0\n", "is empty"),
    "html": (b"\n<!DOCTYPE html><html></html>", "HTML"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "LFS"),
    "zip": (b"PK\x03\x04\x00\x00", "zip archive"),
    "pdf": (b"%PDF-1.7", "PDF"),
    "code": (b"import torch\n", "is not a notebook"),
    "list": (b"[1]", "not a notebook"),
    "no cells": (b'{"nbformat": 4}', "no cells"),
    "cut": (b'{"cells": [{"cell_type": "co', "ends in the middle"),
    "broken": (b'{"cells": [,,], "nbformat": 4}\n\n{"a": 1}', "JSON is broken at line 1"),
    "deep": (b'{"cells": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "JSON, but not of a notebook"),
    "long number": (b'{"cells": [], "x": ' + b"9" * 10_000 + b"}", "JSON, but not of a notebook"),
    "format 5": (b'{"nbformat": 5, "cells": []}', "format '5'"),
    "format text": (b'{"nbformat": "4", "cells": []}', "format '4'"),
    "other": (b'{"nbformat": 4, "cells": []}', f"no cell of {NAME}"),
    "many cells": (b'{"cells": [' + b",".join([b"{}"] * 3000) + b"]}", "more than 2000 cells"),
}


@pytest.mark.parametrize("name", REJECTED)
def test_what_is_no_notebook_is_rejected_and_said_what_it_is(name, course, folder):
    content, says = REJECTED[name]
    (folder / f"{NAME}.ipynb").write_bytes(content)
    intake = come(folder, course)
    assert says in intake.rejected
    assert intake.rejected.endswith(".")
    assert intake.rejected.startswith(f"'{NAME}.ipynb' ")
    assert load_intake(Submission.in_folder(intake.folder)) == intake


def test_a_rejected_hand_in_still_has_a_notebook_to_grade(course, folder, release):
    intake = come(folder, course)
    assert "no notebook" in intake.rejected
    assert nbformat.writes(clean_notebook(intake)) == nbformat.writes(release)


ENCODED: dict[str, Callable[[str], bytes]] = {
    "mark": lambda text: b"\xef\xbb\xbf" + text.encode(),
    "utf-16": lambda text: text.encode("utf-16"),
    "utf-16 without a mark": lambda text: text.encode("utf-16-be"),
    "utf-32": lambda text: text.encode("utf-32"),
    "crlf": lambda text: text.replace("\n", "\r\n").encode(),
}


@pytest.mark.parametrize("name", ENCODED)
def test_text_in_another_encoding_is_the_same_text(name, course, folder, release):
    written = solved(release)
    text = json.dumps(written, indent=1, ensure_ascii=False)
    (folder / f"{NAME}.ipynb").write_bytes(ENCODED[name](text))
    clean = clean_notebook(come(folder, course))
    assert [cell.source for cell in clean.cells] == [cell.source for cell in written.cells]


def test_a_windows_encoding_is_read_and_flagged(course, folder, release):
    notebook = solved(release)
    notebook.cells.append(nbformat.v4.new_markdown_cell("für – alle"))
    text = json.dumps(notebook, ensure_ascii=False)
    (folder / f"{NAME}.ipynb").write_bytes(text.replace("α", "a").encode("cp1252", "replace"))
    intake = come(folder, course)
    assert "encoding" in kinds(intake)
    assert clean_notebook(intake).cells[-1].source == "für – alle"


def test_what_is_no_text_is_marked_in_place(course, folder, release):
    notebook = solved(release)
    notebook.cells.append(nbformat.v4.new_markdown_cell("a\ud800b\0c\x1b[31m\r\nd\U0001f980"))
    cell_of(notebook, "tour-add_noise").source += "\n# \u202e abc"
    save(folder, notebook)
    intake = come(folder, course)
    clean = clean_notebook(intake)
    assert clean.cells[-1].source == "a\ufffdb\ufffdc\ufffd[31m\nd\U0001f980"
    assert kinds(intake) == ["hidden characters"]
    assert (intake.folder / f"{NAME}.ipynb").read_bytes().decode()


@pytest.mark.parametrize(
    "name", [f"{NAME} (1).ipynb", f"My Work/{NAME}.ipynb", "final.IPYNB", f"{NAME}.ipynb.txt"]
)
def test_a_notebook_is_known_by_its_cells_and_not_by_its_name(name, course, folder, release):
    save(folder, solved(release), name)
    other = nbformat.read(course / "release" / SDS.folder / f"{SDS.folder}.ipynb", as_version=4)
    save(folder, other, f"{SDS.folder}.ipynb")
    save(folder, release, f".ipynb_checkpoints/{NAME}-checkpoint.ipynb")
    (folder / "broken.ipynb").write_text("{")
    assert come(folder, course).rejected == ""


@pytest.mark.parametrize("stage", WITH_MORE, ids=lambda stage: stage.folder)
def test_the_further_notebooks_of_a_stage_may_come_along_but_do_not_stand_for_the_graded_one(
    stage, course, folder
):
    released = course / "release" / stage.folder
    released.mkdir()
    for path in (stage.notebook, *stage.ungraded):
        shutil.copy(ROOT / path, released)
        shutil.copy(ROOT / path, folder)
    intake = come(folder, course, assignment=stage.folder)
    assert (intake.rejected, intake.flags) == ("", ())
    there = {path.name for path in intake.folder.glob("*.ipynb")}
    assert there == {f"{stage.folder}.ipynb"}
    (folder / f"{stage.folder}.ipynb").unlink()
    intake = come(folder, course, assignment=stage.folder)
    name = stage.ungraded[0].name
    wanted = f"hand in {stage.folder}.ipynb."
    assert intake.rejected == f"'{name}' has no cell of {stage.folder}: {wanted}"


@pytest.mark.parametrize(
    "copy",
    [
        f"{NAME}-Copy1.ipynb",
        f"{NAME} (1).ipynb",
        f"{NAME} - Copy.ipynb",
        f"Kopie von {NAME}.ipynb",
        f"old/{NAME}-checkpoint.ipynb",
    ],
)
def test_of_a_notebook_and_its_copy_the_exact_name_is_graded_and_said(
    copy, course, folder, release
):
    save(folder, solved(release))
    save(folder, release, copy)
    intake = come(folder, course)
    assert intake.rejected == ""
    assert nbformat.writes(clean_notebook(intake)) == nbformat.writes(solved(release))
    assert [flag.kind for flag in intake.flags] == ["other notebook"]
    assert intake.flags[0].sentence == f"'{NAME}.ipynb' was graded, and not '{copy}'."


def test_a_copy_is_graded_where_the_exact_name_cannot_be_read_and_that_is_said(
    course, folder, release
):
    (folder / f"{NAME}.ipynb").write_text("{")
    save(folder, solved(release), f"{NAME} (1).ipynb")
    (flag,) = come(folder, course).flags
    assert flag.sentence == f"'{NAME} (1).ipynb' was graded, and not '{NAME}.ipynb'."


def test_of_two_notebooks_that_are_named_alike_neither_is_chosen(course, folder, release):
    for first, second in (("final.ipynb", "x (1).ipynb"), (f"a/{NAME}.ipynb", f"b/{NAME}.ipynb")):
        shutil.rmtree(folder)
        save(folder, solved(release), first)
        save(folder, release, second)
        intake = come(folder, course)
        assert "there are two notebooks" in intake.rejected
        assert f"'{first}' and '{second}': hand in only the one" in intake.rejected


def test_a_notebook_alone_is_enough(course, folder, release):
    assert come(save(folder, solved(release), "x.ipynb"), course).rejected == ""


def test_a_file_of_another_kind_is_rejected(course, folder):
    (folder / "report.docx").write_bytes(b"PK")
    assert "'report.docx' is a document" in come(folder / "report.docx", course).rejected
    os.symlink("/etc/passwd", folder / "a.zip")
    assert "neither a file nor a folder" in come(folder / "a.zip", course).rejected
    os.mkfifo(folder / "b.zip")
    assert "neither a file nor a folder" in come(folder / "b.zip", course).rejected


def test_an_archive_alone_in_a_folder_is_what_was_handed_in(course, folder, release):
    path = save(folder, solved(release))
    with zipfile.ZipFile(folder / "x.zip", "w") as archive:
        archive.write(path, f"deep/er/{NAME}.ipynb")
    path.unlink()
    (folder / "timestamp.txt").write_text("")
    assert come(folder, course).rejected == ""


def test_a_bad_archive_is_rejected_by_name(course, folder):
    with zipfile.ZipFile(folder / "x.zip", "w") as archive:
        archive.writestr("../x", "")
    intake = come(folder, course)
    assert intake.rejected.startswith("the archive 'x.zip' cannot be used: its entry '../x' leads")


def test_links_and_pipes_are_left_out_and_flagged(course, folder, release):
    save(folder, solved(release))
    (folder / "data.txt").symlink_to("/etc/passwd")
    os.mkfifo(folder / "eval.json")
    intake = come(folder, course)
    assert kinds(intake) == ["left out", "left out"]
    assert not (intake.folder / "eval.json").exists()


def test_pictures_are_taken_by_their_form(course, folder, release):
    notebook = nbformat.read(course / "release" / SDS.folder / f"{SDS.folder}.ipynb", as_version=4)
    save(folder, notebook, f"{SDS.folder}.ipynb")
    pictures = folder / "pictures"
    pictures.mkdir()
    (pictures / "good.PNG").write_bytes(DOT)
    (pictures / "page.png").write_bytes(b"<svg onload=alert(1)></svg>")
    (pictures / "bomb.png").write_bytes(DOT[:16] + b"\0\0\xff\xff\0\0\xff\xff" + DOT[24:])
    (pictures / "long.png").write_bytes(DOT + bytes(9 * 2**20))
    (pictures / "link.png").symlink_to("/etc/passwd")
    (pictures / "eval.json").write_text("{")
    intake = come(folder, course, assignment=SDS.folder)
    assert sorted(path.name for path in (intake.folder / "pictures").iterdir()) == ["good.png"]
    assert intake.missing == ("eval.json",)
    assert kinds(intake) == ["left out", "picture", "picture", "picture", "eval.json"]
    assert come(save(folder, notebook, "x.ipynb"), course, assignment=SDS.folder).missing == (
        "pictures",
        "eval.json",
    )


def test_a_locked_cell_is_restored_and_the_change_is_shown(course, folder, release):
    notebook = solved(release)
    cell_of(notebook, "tour-add_noise-check").source = "2.0"
    cell_of(notebook, "tour-predict_x0-check").metadata.nbgrader["points"] = 1000
    cell_of(notebook, "tour-classifier_free_guidance-check").cell_type = "raw"
    save(folder, notebook)
    intake = come(folder, course)
    clean = clean_notebook(intake)
    for grade_id in marks(release):
        if grade_id.endswith("-check"):
            assert cell_of(clean, grade_id) == cell_of(release, grade_id)
    assert kinds(intake) == ["locked cell"] * 3
    assert '-check("tour.add_noise").points(2) / +2.0' in intake.flags[0].sentence
    assert "points: '1000'" in intake.flags[1].sentence
    assert "raw cell" in intake.flags[2].sentence


def test_deleted_cells_are_put_back_behind_the_one_they_follow(course, folder, release):
    notebook = solved(release)
    for grade_id in ("tour-add_noise-check", "tour-predict_x0"):
        notebook.cells.remove(cell_of(notebook, grade_id))
    save(folder, notebook)
    intake = come(folder, course)
    clean = clean_notebook(intake)
    assert marks(clean) == marks(release)
    assert [cell.cell_type for cell in clean.cells] == [cell.cell_type for cell in release.cells]
    index = clean.cells.index(cell_of(clean, "tour-add_noise"))
    assert clean.cells[index + 1] == cell_of(release, "tour-add_noise-check")
    assert cell_of(clean, "tour-predict_x0") == cell_of(release, "tour-predict_x0")
    assert kinds(intake) == ["locked cell", "missing cell"]


def test_a_copied_cell_loses_all_that_nbgrader_reads(course, folder, release):
    notebook = solved(release)
    copy = nbformat.from_dict(dict(cell_of(notebook, "tour-add_noise-check")))
    notebook.cells += [copy, nbformat.from_dict(dict(copy))]
    save(folder, notebook)
    intake = come(folder, course)
    clean = clean_notebook(intake)
    assert marks(clean) == marks(release)
    assert [cell.source for cell in clean.cells[-2:]] == [copy.source] * 2
    assert [cell.metadata for cell in clean.cells[-2:]] == [{}, {}]
    assert kinds(intake) == ["copied cell"]


def test_of_two_answers_the_last_that_is_no_stub_counts(course, folder, release):
    notebook = solved(release)
    first = cell_of(notebook, "tour-add_noise")
    stub = cell_of(release, "tour-add_noise")
    last = nbformat.from_dict(dict(first))
    last.source = last.source.replace("\n", "\n# mine\n", 1)
    notebook.cells += [last, nbformat.from_dict(dict(stub))]
    save(folder, notebook)
    intake = come(folder, course)
    assert cell_of(clean_notebook(intake), "tour-add_noise").source == last.source
    assert kinds(intake) == ["copied cell"]


def test_an_answer_is_known_by_its_first_line_where_its_metadata_is_gone(course, folder, release):
    notebook = solved(release)
    for cell in notebook.cells:
        cell.metadata = {}
    first = next(cell for cell in notebook.cells if cell.source.startswith("%%todo"))
    first.source = "\n# first try\n" + first.source
    save(folder, notebook)
    clean = clean_notebook(come(folder, course))
    assert marks(clean) == marks(release)
    source = cell_of(clean, "tour-add_noise").source
    assert source.startswith("%%todo tour.add_noise\n\n# first try\ndef add_noise")


def test_an_answer_is_known_by_its_grade_id_where_its_first_line_is_gone(course, folder, release):
    notebook = solved(release)
    cell_of(notebook, "tour-add_noise").source = answer("add_noise")
    save(folder, notebook)
    clean = clean_notebook(come(folder, course))
    source = cell_of(clean, "tour-add_noise").source
    assert source == "%%todo tour.add_noise\n" + answer("add_noise")


def test_an_answer_in_a_cell_of_text_counts_as_not_there(course, folder, release):
    notebook = solved(release)
    cell_of(notebook, "tour-add_noise").cell_type = "markdown"
    save(folder, notebook)
    intake = come(folder, course)
    clean = clean_notebook(intake)
    assert cell_of(clean, "tour-add_noise") == cell_of(release, "tour-add_noise")
    assert answer("add_noise") in "".join(
        c.source for c in clean.cells if c.cell_type == "markdown"
    )
    assert kinds(intake) == ["cell type"]


def test_metadata_of_another_schema_or_of_nonsense_stops_nobody(course, folder, release):
    notebook = solved(release)
    nonsense: list[Any] = [None, 7, "x", [], {"grade_id": 5}, {"grade_id": ["x"]}, {"grade": True}]
    for its in nonsense:
        cell = nbformat.v4.new_code_cell("1")
        cell.metadata = {"nbgrader": its, "deletable": False}
        notebook.cells.append(cell)
    for cell in notebook.cells:
        if isinstance(cell.metadata.get("nbgrader"), dict):
            cell.metadata["nbgrader"]["schema_version"] = random.Random(1).choice([0, 1, 99, "x"])
    notebook.cells += [None, 3, {"cell_type": "mine"}, {"cell_type": ["code"], "source": {"a": 1}}]
    save(folder, notebook)
    intake = come(folder, course)
    assert intake.rejected == ""
    assert marks(clean_notebook(intake)) == marks(release)


def test_outputs_attachments_and_ids_of_the_students_are_gone(course, folder, release):
    notebook = solved(release)
    notebook.metadata["widgets"] = {"x": 1}
    for cell in notebook.cells:
        cell["id"] = "same"
        if cell.cell_type == "code":
            cell.outputs = [{"output_type": "execute_result", "data": {"text/html": "<script>"}}]
            cell.execution_count = 3
        cell["attachments"] = {"a.png": {"image/png": "x"}}
    save(folder, notebook)
    clean = clean_notebook(come(folder, course))
    assert "script" not in nbformat.writes(clean)
    assert "attachments" not in nbformat.writes(clean)
    assert len({cell.id for cell in clean.cells}) == len(clean.cells)
    assert "widgets" not in clean.metadata


def test_notebooks_of_format_3_are_read(course, folder, release):
    cells = [
        {"cell_type": c.cell_type, "metadata": dict(c.metadata)}
        | ({"input": [c.source], "outputs": []} if c.cell_type == "code" else {"source": c.source})
        for c in solved(release).cells
    ]
    save(folder, {"nbformat": 3, "worksheets": [{"cells": cells}, {"cells": 5}, 7]})
    intake = come(folder, course)
    clean = clean_notebook(intake)
    assert [c.source for c in clean.cells] == [c.source for c in solved(release).cells]
    assert intake.flags == ()


def test_another_kernel_is_replaced_and_flagged(course, folder, release):
    notebook = solved(release)
    notebook.metadata = {"kernelspec": {"name": "ir", "language": "R", "display_name": "R"}}
    save(folder, notebook)
    intake = come(folder, course)
    assert clean_notebook(intake).metadata == release.metadata
    assert kinds(intake) == ["kernel"]


def test_repairing_what_is_repaired_changes_nothing(course, folder, release):
    notebook = solved(release)
    notebook.cells.insert(0, nbformat.v4.new_code_cell("x = 1"))
    notebook.cells.append(nbformat.v4.new_raw_cell("raw"))
    once, _ = repair_notebook(tidied(notebook), release)
    twice, flags = repair_notebook(tidied(once), release)
    assert nbformat.writes(once) == nbformat.writes(twice)
    assert flags == []
    assert nbformat.writes(repaired(once, Submission(course, "ada", NAME))) == nbformat.writes(once)


def test_the_digest_is_of_the_content_and_not_of_the_hour(course, folder, release):
    save(folder, solved(release))
    first = come(folder, course)
    later = come(folder, course, received=WHEN + timedelta(days=1))
    assert later.digest == first.digest
    notebook = solved(release)
    cell_of(notebook, "tour-add_noise").source += "\n# changed"
    save(folder, notebook)
    assert come(folder, course).digest != first.digest


def test_a_new_hand_in_replaces_the_old_one_whole(course, folder, release):
    notebook = nbformat.read(course / "release" / SDS.folder / f"{SDS.folder}.ipynb", as_version=4)
    save(folder, notebook, f"{SDS.folder}.ipynb")
    (folder / "pictures").mkdir()
    (folder / "pictures" / "a.png").write_bytes(DOT)
    first = come(folder, course, assignment=SDS.folder)
    shutil.rmtree(folder / "pictures")
    second = come(folder, course, assignment=SDS.folder)
    assert first.folder == second.folder
    assert not (second.folder / "pictures").exists()
    assert load_intake(Submission.in_folder(second.folder)) == second


def test_an_intake_of_the_students_own_making_is_not_believed(course, folder, release):
    save(folder, solved(release))
    intake = come(folder, course)
    facts = json.loads((intake.folder / "intake.json").read_text())
    forged = course / "submitted" / "eve" / NAME
    for student in ("eve", f"../../submitted/eve/{NAME}", "ada"):
        shutil.rmtree(forged, ignore_errors=True)
        shutil.copytree(intake.folder, forged)
        (forged / "intake.json").write_text(json.dumps(facts | {"student": student}))
        assert load_intake(Submission.in_folder(forged)) is None


def test_what_nbgrader_collected_is_kept_and_taken_in_once(course, release):
    folder = course / "submitted" / "ada" / NAME
    save(folder, solved(release), f"{NAME} (1).ipynb")
    (folder / "timestamp.txt").write_text("2026-11-20 13:30:00.000000 +0100")
    intake = ensure_taken_in(Submission.in_folder(folder))
    assert intake.received == WHEN
    kept = course / "received" / NAME / "ada"
    assert (kept / "hand-in" / f"{NAME} (1).ipynb").exists()
    before = (folder / "intake.json").stat().st_mtime_ns
    assert ensure_taken_in(Submission.in_folder(folder)) == intake
    assert (folder / "intake.json").stat().st_mtime_ns == before


def test_a_folder_is_copied_once_and_its_notebook_is_repaired_once(course, release, monkeypatch):
    submission = Submission(course, "ada", NAME)
    save(submission.folder, solved(release), f"{NAME} (1).ipynb")
    calls: list[str] = []
    for module, name in (
        (receipts, "unpack"),
        (open_submission, "unpack"),
        (take_in_module, "repair_notebook"),
    ):
        as_ever = getattr(module, name)

        def counted(*given: Any, name: str = name, as_ever: Any = as_ever) -> Any:
            calls.append(name)
            return as_ever(*given)

        monkeypatch.setattr(module, name, counted)
    ensure_taken_in(submission)
    notebook = nbformat.read(submission.notebook, as_version=4)
    assert repaired(notebook, submission) is notebook
    assert calls == ["unpack", "repair_notebook"]


def test_a_notebook_that_was_changed_after_it_was_taken_in_is_repaired_again(course, release):
    submission = Submission(course, "ada", NAME)
    save(submission.folder, solved(release))
    ensure_taken_in(submission)
    taken = nbformat.read(submission.notebook, as_version=4)
    changed = deepcopy(taken)
    changed.cells.append(deepcopy(changed.cells[-1]))
    del changed.cells[[bool(mark) for mark in map(grade_id_of, changed.cells)].index(True)]
    nbformat.write(changed, submission.notebook)
    assert marks(repaired(changed, submission)) == marks(release)
    assert marks(changed) != marks(release)


@pytest.mark.parametrize("said", ["", "never", "2999-01-01 00:00:00 UTC", "9" * 99, "\xff"])
def test_a_time_that_cannot_be_is_not_believed(said, course, release):
    folder = course / "submitted" / "ada" / NAME
    save(folder, solved(release))
    (folder / "timestamp.txt").write_bytes(said.encode("latin-1"))
    now = datetime.now(timezone.utc)
    assert abs(ensure_taken_in(Submission.in_folder(folder)).received - now) < timedelta(minutes=5)


def test_what_was_kept_is_taken_in_if_that_was_cut_short(course, folder, release, monkeypatch):
    save(folder, solved(release))
    old = come(folder, course)
    newer = course / "submitted" / "ada" / NAME
    kept = course / "received" / NAME / "ada"
    notebook = solved(release)
    cell_of(notebook, "tour-add_noise").source += "\n# newer"
    save(folder, notebook)
    keep(folder, Submission(course, "ada", NAME), received=WHEN + timedelta(hours=1))
    assert load_intake(Submission.in_folder(newer)) is None
    intake = ensure_taken_in(Submission.in_folder(newer))
    assert intake.digest != old.digest
    assert intake.received == WHEN + timedelta(hours=1)
    assert (kept / "hand-in" / f"{NAME}.ipynb").exists()


@pytest.mark.parametrize("student", ["", "-rf", "../x", "a b", "a\n", "x" * 65, "é"])
def test_a_name_that_is_not_safe_is_no_student(student, course, folder):
    with pytest.raises(CourseError, match="a student's name is 1 to 64"):
        come(folder, course, student=student)


def test_a_stage_that_is_not_released_says_what_to_do(course, folder):
    with pytest.raises(CourseError, match="grading release 02_pds"):
        come(folder, course, assignment="02_pds")


def test_a_damaged_notebook_always_has_an_outcome(course, folder, release):
    good, chance = json.dumps(solved(release)).encode(), random.Random(3)
    outcomes = set()
    for trial in range(45):
        data = bytearray(good)
        if trial % 3 == 0:
            data = data[: chance.randrange(len(good))]
        else:
            for _ in range(chance.randint(1, 20)):
                data[chance.randrange(len(good))] = chance.choice(b'"{}[],:0\\n\xff\0 ')
        (folder / f"{NAME}.ipynb").write_bytes(data)
        intake = come(folder, course)
        clean = json.loads((intake.folder / f"{NAME}.ipynb").read_bytes())
        assert marks(nbformat.from_dict(clean)) == marks(release)
        assert intake.rejected == "" or intake.rejected.endswith(".")
        assert load_intake(Submission.in_folder(intake.folder)) == intake
        outcomes.add(bool(intake.rejected))
    assert outcomes == {True, False}


def test_any_json_is_a_notebook_or_is_refused(release):
    chance = random.Random(4)

    def grown(depth: int) -> Any:
        if depth == 0:
            return chance.choice([None, True, 1, -0.5, "", "code", "%%todo tour.add_noise\nx"])
        keys = ("cells", "cell_type", "source", "metadata", "nbgrader", "grade_id", "nbformat")
        if chance.random() < 0.5:
            return [grown(depth - 1) for _ in range(chance.randrange(4))]
        return {key: grown(depth - 1) for key in keys if chance.random() < 0.6}

    ended = set()
    for _ in range(300):
        stored = grown(6)
        if isinstance(stored, dict) and chance.random() < 0.9:
            stored |= {"nbformat": chance.choice([2, 3, 4]), "cells": [grown(4), grown(5)]}
        try:
            clean, _ = repair_notebook(read_notebook(json.dumps(stored).encode())[0], release)
        except SubmissionError:
            ended.add("refused")
        else:
            assert marks(clean) == marks(release)
            ended.add("repaired")
    assert ended == {"repaired", "refused"}
