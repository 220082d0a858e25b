"""A student's own course folder on a hub: what is theirs stays, what is shared is led to."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("nbgrader", reason="no nbgrader here")

from nbgrader.coursedir import CourseDirectory

from grading.hub.own_course import SubmitStage, lay_out


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    folder = tmp_path / "shared"
    for name in ("guidance", "distillery", "data"):
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text("")
    (folder / "guidance" / "tour.py").write_text("stub")
    (folder / "main.py").write_text("")
    return folder


def test_what_students_write_is_a_copy_and_the_rest_leads_to_the_shared_course(shared, tmp_path):
    own = tmp_path / "home" / "score-distillery"
    lay_out(shared, own)
    assert (own / "guidance" / "tour.py").read_text() == "stub"
    assert not (own / "guidance").is_symlink()
    assert (own / "notebooks").is_dir()
    assert (own / "distillery").resolve() == shared / "distillery"
    assert (own / "main.py").resolve() == shared / "main.py"


def test_a_later_stage_is_added_and_answers_stay(shared, tmp_path):
    own = tmp_path / "own"
    lay_out(shared, own)
    (own / "guidance" / "tour.py").write_text("my answer")
    (own / "main.py").unlink()
    (own / "main.py").write_text("mine")
    (shared / "guidance" / "sds.py").write_text("new stub")
    lay_out(shared, own)
    assert (own / "guidance" / "tour.py").read_text() == "my answer"
    assert (own / "main.py").read_text() == "mine"
    assert (own / "guidance" / "sds.py").read_text() == "new stub"


def test_a_submission_takes_the_pictures_of_its_stage_along(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    pictures = tmp_path / "score-distillery" / "outputs" / "01_sds"
    (pictures / "a_red_boat").mkdir(parents=True)
    for name in ("a_red_boat.png", "eval.json", "drawn.json", "a_red_boat/frame.png"):
        (pictures / name).write_text(name)
    source = tmp_path / "01_sds"
    source.mkdir()
    (source / "01_sds.ipynb").write_text("{}")
    submit = SubmitStage(coursedir=CourseDirectory())
    submit.coursedir.assignment_id = "01_sds"
    submit.do_copy(str(source), str(tmp_path / "handed_in"))
    found = sorted(path.name for path in (tmp_path / "handed_in").rglob("*") if path.is_file())
    assert found == ["01_sds.ipynb", "a_red_boat.png", "eval.json"]
