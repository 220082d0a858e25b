"""CONTRIBUTING is true: the stage it describes can be made from its text, checked and graded."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(
    r"^```(?:python|yaml)\n# (?P<file>[\w/.]+)(?:, (?P<place>[^\n]*))?\n(?P<text>.*?)^```$",
    re.M | re.S,
)
MOST_TOUCHED = 5  # files that exist already, of a new stage; two of them by hand
FOLDERS = ("distillery", "docs", "grading", "guidance", "notebooks", "reference", "tests")


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository with the stage in it, and what is built from that."""
    copy = tmp_path_factory.mktemp("copy") / "course"
    ignored = shutil.ignore_patterns("__pycache__", ".*")
    for name in FOLDERS:
        shutil.copytree(ROOT / name, copy / name, ignore=ignored)
    for path in [*ROOT.glob("*.*"), ROOT / "LICENSE"]:
        if path.is_file():
            shutil.copy(path, copy)
    for path in (ROOT / "data").iterdir():
        link_or_copy(path, copy / "data" / path.name)
    return copy


def link_or_copy(path: Path, to: Path) -> None:
    """Models are only read."""
    if path.name == "models":
        to.symlink_to(path)
    elif path.is_dir():
        shutil.copytree(path, to)
    else:
        to.parent.mkdir(exist_ok=True)
        shutil.copy(path, to)


def apply(text: str, copy: Path) -> None:
    """Do what the blocks of code say."""
    for block in BLOCK.finditer(text):
        path, place = copy / block["file"], block["place"]
        if not place:
            assert not path.exists(), f"{path} is there already"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block["text"], "utf-8")
            continue
        old = path.read_text("utf-8")
        if place == "at the end":
            path.write_text(f"{old}\n{block['text']}", "utf-8")
        else:
            name = place.removeprefix("in ")
            new, count = re.subn(
                rf"(^{name}\b.*?)(^\}})", rf"\1{block['text']}\2", old, count=1, flags=re.M | re.S
            )
            assert count == 1, f"{path} has no {name}"
            path.write_text(new, "utf-8")


def contents(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and not {"models", "__pycache__"} & set(path.parts)
    }


def run(copy: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(copy), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *words], cwd=copy, env=environment, capture_output=True, text=True
    )


def test_the_stage_of_contributing_can_be_built_checked_and_graded(copy: Path) -> None:
    before = contents(copy)
    apply((ROOT / "CONTRIBUTING.md").read_text("utf-8"), copy)
    built = run(copy, "-m", "grading", "build", "--course", str(copy / "build"))
    assert built.returncode == 0, built.stderr
    shutil.rmtree(copy / "build")
    after = contents(copy)
    touched = sorted(name for name in before if after.get(name) != before[name])
    assert len(touched) <= MOST_TOUCHED, touched
    assert {"notebooks/09_hello/09_hello.ipynb", "guidance/hello.py"} <= set(after)
    assert "| `09_hello` | 10 min | a sampler in one line: Euler's method | `euler_step` |" in (
        copy / "README.md"
    ).read_text("utf-8")

    tried = run(copy, "tests/try_new_stage.py")
    assert tried.returncode == 0, tried.stderr
    assert tried.stdout.splitlines()[-1] == "all of it works"
