"""The names that every notebook begins with, and what it costs to have them at hand."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import distillery

PROBE = """
import sys, time
began = time.perf_counter()
import distillery
took = time.perf_counter() - began
print(len(set(sys.modules) & {"torch", "numpy", "PIL", "typing"}), took)
"""


def test_importing_it_imports_no_library_and_takes_less_than_20_ms():
    runs = [
        subprocess.run([sys.executable, "-c", PROBE], capture_output=True, check=True, text=True)
        for _ in range(3)
    ]
    answers = [run.stdout.split() for run in runs]
    assert {libraries for libraries, _ in answers} == {"0"}
    assert min(float(seconds) for _, seconds in answers) < 0.02


@pytest.mark.parametrize("name", distillery.__all__)
def test_every_name_is_there_and_is_the_one_of_its_own_module(name):
    found = getattr(distillery, name)
    assert found.__name__ == name
    assert found is getattr(sys.modules[found.__module__], name)
    assert name in dir(distillery)


def test_type_checkers_are_told_the_same_places():
    tree = ast.parse(Path(distillery.__file__).read_text(encoding="utf-8"))
    (block,) = [
        node
        for node in tree.body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    ]
    told = {
        node.module: [alias.name for alias in node.names]
        for node in block.body
        if isinstance(node, ast.ImportFrom) and node.module != "typing"
    }
    assert told == distillery._HOMES
    assert sorted(name for names in told.values() for name in names) == distillery.__all__


def test_what_is_not_there_is_said_as_python_says_it():
    with pytest.raises(AttributeError, match=r"module 'distillery' has no attribute 'nothing'"):
        distillery.nothing  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'nothing'"):
        from distillery import nothing  # noqa: F401
