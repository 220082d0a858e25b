"""Imports run one way, folder by folder, and nothing a student receives knows the answers."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from grading.authoring.build import class_text
from grading.release.bundle import contents
from grading.stages import STAGES

ROOT = Path(__file__).resolve().parents[1]
OURS = {
    "distillery",
    "guidance",
    "reference",
    "grading",
    "training",
    "benchmarks",
    "website",
    "tests",
}
MAY_IMPORT = {
    "distillery": {"distillery"},
    "guidance": {"guidance", "distillery"},
    "reference": {"reference", "distillery"},
    "grading": {"grading", "distillery", "guidance", "reference"},
    "training": {"training", "distillery"},
    "benchmarks": {"benchmarks", "distillery", "grading", "reference", "training"},
    "website": {"website", "distillery", "guidance", "reference", "grading", "benchmarks"},
    "notebooks": {"distillery", "guidance"},
    "main.py": {"distillery"},
    "eval.py": {"distillery"},
    "demo.py": {"distillery", "reference"},
}
CHAIN = ["core", "models", "methods", "runs", "pixelart", "morph", "notebook", "course"]
SIDE = {"palettes": {"core"}, "crafts": {"core"}, "toybox": {"core"}}  # and all above may use them
GRADING = [
    "stages",
    "core",
    "authoring",
    "sandbox",
    "feedback",
    "student",
    "intake",
    "judge",
    "gradebook",
    "scheduler",
    "release",
    "report",
    "autograder",
    "hub",
]
# Folder -> the other folders of its package that its modules may import.
FOLDERS = {
    "distillery": SIDE
    | {"metrics": {"core", "models", "toybox"}}
    | {room: set(CHAIN[:floor]) for floor, room in enumerate(CHAIN[:4])}
    | {"models": {"core", "toybox"}}
    | {room: {*CHAIN[:floor], *SIDE, "metrics"} for floor, room in enumerate(CHAIN) if floor > 3},
    "grading": {room: set(GRADING[:floor]) for floor, room in enumerate(GRADING)},
}


def imports(tree: ast.Module, package: str = "") -> Iterator[str]:
    """The full name of everything that any import of a module names, also in a function.

    Args:
        package: that the module lies in, from where its relative imports count.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*above] * bool(node.level) + [node.module] * bool(node.module))
            yield from (f"{base}.{alias.name}" for alias in node.names)


def imports_of(path: Path, *, at_run_time: bool = False) -> set[str]:
    """Those of a file. at_run_time: without those that are for type checkers alone."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree) if at_run_time else ():
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            node.body = []
    return set(imports(tree, ".".join(path.relative_to(ROOT).parts[:-1])))


def packages(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imports_of(path)}


@pytest.mark.parametrize("place", MAY_IMPORT)
def test_packages_import_one_way(place):
    path = ROOT / place
    for file in [path] if path.is_file() else path.rglob("*.py"):
        forbidden = packages(file) & OURS - MAY_IMPORT[place]
        assert not forbidden, f"{file.relative_to(ROOT)} imports {forbidden}"


@pytest.mark.parametrize(
    ("package", "folder"), [(package, folder) for package in FOLDERS for folder in FOLDERS[package]]
)
def test_folders_import_one_way(package, folder):
    """Nor do they import the modules at the top of the package, which are made for others."""
    allowed = {folder} | FOLDERS[package][folder]
    for file in (ROOT / package / folder).rglob("*.py"):
        parts = [name.split(".") for name in imports_of(file)]
        forbidden = {its[1] for its in parts if its[0] == package and its[1:2]} - allowed
        assert not forbidden, f"{file.relative_to(ROOT)} imports {forbidden} of {package}"


@pytest.mark.parametrize("package", FOLDERS)
def test_every_folder_has_its_place(package):
    found = {path.parent.name for path in (ROOT / package).glob("*/__init__.py")}
    assert found == set(FOLDERS[package])


def test_no_modules_import_each_other_in_a_circle():
    files = {}
    for package in OURS - {"guidance", "tests"}:
        for path in (ROOT / package).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            files[".".join(parts[: -1 if parts[-1] == "__init__" else None])] = path
    graph: dict[str, set[str]] = {module: set() for module in files}
    for module, path in files.items():
        for name in imports_of(path, at_run_time=True):
            its = name if name in files else name.rpartition(".")[0]
            graph[module] |= {its} & set(files) - {module}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"a circle: {' <- '.join(error.args[1])}")


@pytest.mark.parametrize("place", ["reference", "guidance"])
def test_every_stage_stands_alone(place):
    for file in (ROOT / place).glob("[a-z]*.py"):
        assert place not in packages(file), f"{file.name} needs another stage"


def test_nothing_a_student_receives_imports_the_answers():
    for stage in STAGES:
        stub = (ROOT / "guidance" / f"{stage.module}.py").read_bytes()
        files = contents(stage, ROOT, class_text(stage).encode(), stub)
        code = {name: text.decode() for name, text in files.items() if name.endswith(".py")}
        for path in (stage.notebook, *stage.ungraded):
            code[str(path)] = (ROOT / path.with_suffix(".py")).read_text("utf-8")
        for name, text in code.items():
            known = {full.split(".")[0] for full in imports(ast.parse(text))} & OURS
            assert known <= {"distillery", "guidance", "grading"}, f"{name} imports {known}"


def test_no_answer_loads_diffusers_before_it_asks_a_model():
    """It takes seconds, and most checks and hidden inputs come with a small model of their own."""
    modules = ", ".join(f"reference.{stage.module}" for stage in STAGES)
    code = f"import {modules}, sys; print(*{{'diffusers', 'peft'}} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert ran.stdout == "\n", ran.stdout + ran.stderr
