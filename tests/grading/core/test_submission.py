"""A submission knows where its files are in the course folder."""

from __future__ import annotations

from pathlib import Path

from grading.core.submission import Submission, submissions


def test_a_folder_and_its_submission_name_each_other(tmp_path: Path) -> None:
    submission = Submission(tmp_path, "ada", "01_sds")
    assert submission.folder == tmp_path / "submitted" / "ada" / "01_sds"
    assert submission.notebook == submission.folder / "01_sds.ipynb"
    assert submission.received == tmp_path / "received" / "01_sds" / "ada"
    assert Submission.in_folder(submission.folder) == submission


def test_submissions_are_those_handed_in_and_those_received_whose_folder_is_lost(
    tmp_path: Path,
) -> None:
    for student in ("bob", "ada"):
        (tmp_path / "submitted" / student / "01_sds").mkdir(parents=True)
    (tmp_path / "submitted" / "eve" / "02_pds").mkdir(parents=True)
    for student in ("ada", "lost"):
        kept = tmp_path / "received" / "01_sds" / student
        kept.mkdir(parents=True)
        (kept / "receipt.json").touch()
    found = submissions(tmp_path, "01_sds")
    assert [one.student for one in found] == ["ada", "bob", "lost"]
    assert submissions(tmp_path, "01_sds", "lost") == [Submission(tmp_path, "lost", "01_sds")]
    assert submissions(tmp_path, "01_sds", "nobody") == []
