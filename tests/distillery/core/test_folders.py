"""Which files of a folder count, and how a folder replaces another."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

import pytest

from distillery.core.errors import CourseError
from distillery.core.files import read_text
from distillery.core.folders import files_of, is_left_by_system, put_in_place


def test_what_systems_leave_is_passed_over_and_capitals_count(tmp_path: Path) -> None:
    folder = tmp_path / ".hidden above"
    for name in (
        *("b.PNG", "a.jpg", "c.Jpeg", "notes.txt"),
        *("._a.jpg", ".DS_Store", "Thumbs.db", ".d.png", "__MACOSX/e.png"),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    (folder / "folder.png").mkdir()

    found = files_of(folder.rglob("*"), (".png", ".jpg", ".jpeg"), under=folder)

    assert [path.name for path in found] == ["a.jpg", "b.PNG", "c.Jpeg"]


@pytest.mark.parametrize(
    ("name", "left"),
    [("._a.png", True), ("__MACOSX/a/b.png", True), ("Thumbs.db", True), ("a/_b.png", False)],
)
def test_the_files_of_systems_are_known(name: str, left: bool) -> None:
    assert is_left_by_system(PurePosixPath(name)) is left


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_text_is_read_with_and_without_a_byte_order_mark(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "a.txt").write_bytes("ein Boot,\r\nblau 船\r\n".encode(encoding))

    assert read_text(tmp_path / "a.txt") == "ein Boot,\nblau 船\n"


def test_other_encodings_and_missing_files_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("Müller".encode("latin-1"))

    with pytest.raises(CourseError, match=r"a\.txt cannot be read as text in UTF-8"):
        read_text(tmp_path / "a.txt")
    with pytest.raises(CourseError, match="there is no file"):
        read_text(tmp_path / "b.txt")


def folder_of(path: Path, content: str) -> Path:
    path.mkdir()
    (path / "page").write_text(content)
    return path


def test_a_folder_takes_the_place_of_another(tmp_path: Path) -> None:
    new, old = folder_of(tmp_path / "made", "new"), tmp_path / "old"

    put_in_place(new, tmp_path / "a" / "site", old=old)
    assert not old.exists()
    put_in_place(folder_of(new, "newer"), tmp_path / "a" / "site", old=old)

    assert (tmp_path / "a" / "site" / "page").read_text() == "newer"
    assert (old / "page").read_text() == "new"
    assert not new.exists()


@pytest.mark.parametrize("error", [OSError("full"), KeyboardInterrupt()])
def test_a_folder_that_cannot_be_replaced_is_in_its_place_again(
    error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new, there = folder_of(tmp_path / "made", "new"), folder_of(tmp_path / "site", "first")
    rename = os.rename

    def fails_for_the_new(source: Path, target: Path) -> None:
        if source == new:
            raise error
        rename(source, target)

    monkeypatch.setattr(os, "rename", fails_for_the_new)
    with pytest.raises(type(error)):
        put_in_place(new, there, old=tmp_path / "old")

    assert (there / "page").read_text() == "first"
