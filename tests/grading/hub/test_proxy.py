"""The proxy comes from npm in the versions that were tested, or a sentence says why not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from distillery.core.errors import CourseError
from grading.hub.proxy import LOCKED, NAME, fetched, program

BRINGS = """#!/bin/sh
cp package-lock.json called-with
mkdir -p node_modules/.bin && touch node_modules/.bin/configurable-http-proxy
"""


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for npm."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "npm").write_text(BRINGS)
    (folder / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder / "npm"


def test_it_is_brought_as_locked_and_not_twice(npm, tmp_path):
    folder = tmp_path / "npm" / NAME
    assert fetched(folder) == program(folder)
    assert (folder / "called-with").read_bytes() == (LOCKED / "package-lock.json").read_bytes()
    npm.unlink()
    assert fetched(folder) == program(folder)
    assert [path.name for path in folder.parent.iterdir()] == [NAME]


def test_an_older_one_is_replaced(npm, tmp_path):
    folder = tmp_path / NAME
    fetched(folder)
    (folder / "package-lock.json").write_text("{}")
    fetched(folder)
    assert (folder / "package-lock.json").read_bytes() == (
        LOCKED / "package-lock.json"
    ).read_bytes()


def test_an_npm_that_brings_nothing_is_answered_with_one_sentence(npm, tmp_path):
    npm.write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(CourseError, match="as it was tested"):
        fetched(tmp_path / NAME)
    assert not (tmp_path / NAME).exists()


def test_a_missing_npm_is_answered_with_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CourseError, match=r"no program npm here: install Node\.js"):
        fetched(tmp_path / NAME)


def test_everything_that_is_fetched_is_pinned_by_a_hash_and_names_no_registry():
    packages = json.loads((LOCKED / "package-lock.json").read_text("utf-8"))["packages"]
    assert len(packages) > 20
    for name, package in packages.items():
        if name:
            assert package["integrity"].startswith("sha512-"), name
            assert "resolved" not in package, name
