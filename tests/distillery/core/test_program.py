"""How a program ends: with its own status, and after everything that waits for the end."""

from __future__ import annotations

import ast
import gc
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from distillery.core.files import REPOSITORY
from distillery.core.program import collection_paused

BEGIN = """
import atexit, sys
from distillery.core.program import run_program
def main():
    atexit.register(lambda: open("left", "w").write("tidy"))
    print("printed")
    {ending}
run_program(main)
"""


def ended(ending: str, folder: Path, **streams: object) -> subprocess.CompletedProcess[str]:
    """A program that prints a word and ends so, in this folder."""
    asked = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | streams
    return subprocess.run(
        [sys.executable, "-c", BEGIN.format(ending=ending)],
        cwd=folder,
        env={"PYTHONPATH": str(REPOSITORY)},
        check=False,
        **asked,
    )


@pytest.mark.parametrize(
    ("ending", "status", "said"),
    [
        pytest.param("return None", 0, "", id="nothing"),
        pytest.param("return 3", 3, "", id="a status"),
        pytest.param("sys.exit(2)", 2, "", id="argparse's way"),
        pytest.param("sys.exit()", 0, "", id="exit without a status"),
        pytest.param("sys.exit('no such palette')", 1, "no such palette", id="a sentence"),
        pytest.param("raise ValueError('torn')", 1, "ValueError: torn", id="an error"),
    ],
)
def test_a_program_ends_with_its_status_and_after_what_waits_for_the_end(
    ending: str, status: int, said: str, tmp_path: Path
):
    done = ended(ending, tmp_path)
    assert (done.returncode, done.stdout) == (status, "printed\n")
    assert done.stderr.strip().endswith(said)
    assert bool(done.stderr) == bool(said)
    assert (tmp_path / "left").read_text() == "tidy"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full is wanted")
def test_success_is_not_said_of_lines_that_could_not_be_written(tmp_path: Path):
    with open("/dev/full", "w") as full:
        assert ended("return 0", tmp_path, stdout=full).returncode == 120


def test_nothing_of_the_libraries_is_freed_at_the_end(tmp_path: Path):
    ending = """
    class Library:
        def __del__(self): print("freed")
    sys.library = Library()"""
    assert ended(ending, tmp_path).stdout == "printed\n"


def test_the_garbage_collector_works_on_after_imports_even_after_one_that_failed():
    assert gc.isenabled()
    with collection_paused():
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(ModuleNotFoundError), collection_paused():
        importlib.import_module("no_such_library")
    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off():
    gc.disable()
    try:
        with collection_paused():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_no_sentence_names_a_program_that_an_installed_course_has_not():
    """Docstrings may: who reads them has the sources."""
    said = []
    for path in [REPOSITORY / "main.py", *(REPOSITORY / "distillery").rglob("*.py")]:
        text = path.read_text("utf-8")
        if "main.py" in text and path.name != "program.py":
            said += [f"{path.name}: {one}" for one in sentences(text) if "main.py" in one]
    assert said == []


def sentences(source: str) -> list[str]:
    """The texts in a module that are no docstrings."""
    nodes = list(ast.walk(ast.parse(source)))
    alone = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    texts = [node for node in nodes if isinstance(node, ast.Constant) and id(node) not in alone]
    return [node.value for node in texts if isinstance(node.value, str)]
