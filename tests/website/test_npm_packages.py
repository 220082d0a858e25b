"""What comes from npm's registry is what was tested, or is refused in one sentence."""

from __future__ import annotations

import base64
import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from distillery.core.errors import CourseError
from website import npm_packages
from website.npm_packages import PACKAGES, Package, fetched, package_folder

CONTENT = b"export const answer = 42;\n"


def archive(name: str = "package/main.js") -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as members:
        entry = tarfile.TarInfo(name)
        entry.size = len(CONTENT)
        members.addfile(entry, io.BytesIO(CONTENT))
    return packed.getvalue()


def known(content: bytes) -> dict[str, Package]:
    digest = base64.b64encode(hashlib.sha512(content).digest()).decode()
    return {"tiny": Package("tiny", "1.2.3", f"sha512-{digest}")}


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a stand-in for npm, which writes the file `brought` if there is one."""
    folder = tmp_path / "bin"
    folder.mkdir()
    script = f'#!/bin/sh\n[ -f "{folder}/brought" ] && cp "{folder}/brought" tiny-1.2.3.tgz\n'
    (folder / "npm").write_text(script)
    (folder / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder


def test_a_package_is_unpacked_and_not_fetched_again(npm, tmp_path, monkeypatch):
    (npm / "brought").write_bytes(archive())
    monkeypatch.setattr(npm_packages, "PACKAGES", known(archive()))
    first = fetched("tiny", folder=tmp_path / "npm")
    (npm / "npm").unlink()
    assert fetched("tiny", folder=tmp_path / "npm") == first
    assert (first / "main.js").read_bytes() == CONTENT
    assert [path.name for path in (tmp_path / "npm").iterdir()] == ["tiny-1.2.3"]


def test_an_archive_of_another_hash_is_refused(npm, tmp_path, monkeypatch):
    (npm / "brought").write_bytes(archive("package/other.js"))
    monkeypatch.setattr(npm_packages, "PACKAGES", known(archive()))
    with pytest.raises(CourseError, match=r"another tiny 1\.2\.3 than was tested"):
        fetched("tiny", folder=tmp_path / "npm")
    assert not list((tmp_path / "npm").iterdir())


def test_an_npm_that_brings_nothing_is_answered_with_one_sentence(npm, tmp_path, monkeypatch):
    monkeypatch.setattr(npm_packages, "PACKAGES", known(archive()))
    with pytest.raises(CourseError, match="online"):
        fetched("tiny", folder=tmp_path / "npm")


def test_a_missing_npm_is_answered_with_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CourseError, match=r"no program npm here: install Node\.js"):
        fetched("axe-core", folder=tmp_path / "npm")


@pytest.mark.parametrize("name", PACKAGES)
def test_every_package_is_pinned_by_a_whole_hash(name):
    kind, _, digest = PACKAGES[name].integrity.partition("-")
    assert (kind, len(base64.b64decode(digest))) == ("sha512", 64)
    assert package_folder(name).name == f"{name}-{PACKAGES[name].version}"
