"""Imports run one way, and nothing a student receives knows the answers."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
OURS = {"distillery", "guidance", "reference", "grading", "training", "benchmarks"}
MAY_IMPORT = {
    "distillery": {"distillery"},
    "guidance": {"guidance", "distillery"},
    "reference": {"reference", "distillery"},
    "grading": {"grading", "distillery", "guidance", "reference"},
    "training": OURS - {"grading", "guidance", "reference"},
    "benchmarks": OURS - {"guidance"},
    "notebooks": {"distillery", "guidance"},
    "main.py": {"distillery"},
    "eval.py": {"distillery"},
    "demo.py": {"distillery", "reference"},
}


def imported(path: Path) -> set[str]:
    """The top-level packages that a file names in any import, also in a function."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            # A relative import stays inside its own package.
            names.add((node.module or "").split(".")[0] if node.level == 0 else "")
    return names


@pytest.mark.parametrize("place", MAY_IMPORT)
def test_imports_run_one_way(place):
    path = ROOT / place
    for file in [path] if path.is_file() else path.rglob("*.py"):
        forbidden = imported(file) & OURS - MAY_IMPORT[place]
        assert not forbidden, f"{file.relative_to(ROOT)} imports {forbidden}"


@pytest.mark.parametrize("place", ["reference", "guidance"])
def test_every_stage_stands_alone(place):
    for file in (ROOT / place).glob("[a-z]*.py"):
        assert place not in imported(file), f"{file.name} needs another stage"
