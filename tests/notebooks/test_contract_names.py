"""Every name that a contract uses is there when its task begins, or said where to find."""

from __future__ import annotations

import ast
import builtins
import importlib
import re
from functools import cache
from pathlib import Path

import jupytext
import pytest
from nbformat import NotebookNode

from distillery.course.saved_text import names_of
from grading.authoring.build import ROOT
from grading.stages import STAGES
from grading.stages.stage import Stage

QUOTED = re.compile(r"`([^`]+)`")
TASKS = [(stage, name) for stage in STAGES for name in stage.points]


def cells_of(stage: Stage) -> list[NotebookNode]:
    return cells_in((ROOT / stage.notebook).with_suffix(".py"))


@cache
def cells_in(source: Path) -> list[NotebookNode]:
    return jupytext.reads(source.read_text("utf-8"), fmt="py:percent").cells


def reference_of(stage: Stage) -> str:
    return (ROOT / "reference" / f"{stage.module}.py").read_text("utf-8")


def definition(stage: Stage, name: str) -> ast.FunctionDef:
    body = ast.parse(reference_of(stage)).body
    return next(one for one in body if isinstance(one, ast.FunctionDef) and one.name == name)


def place_of(stage: Stage, name: str) -> int:
    """The number of the cell with the task."""
    wanted = f"# TODO {stage.module}.{name}"
    return next(i for i, cell in enumerate(cells_of(stage)) if cell.source.strip() == wanted)


def there(stage: Stage, name: str) -> set[str]:
    """The names that the notebook has when the task begins, and those of all tasks."""
    code = [cell.source for cell in cells_of(stage)[: place_of(stage, name)] if is_code(cell)]
    lines = [line for line in "\n".join(code).splitlines() if not line.startswith("%")]
    return names_of("\n".join(lines)) | set(stage.points) | set(vars(builtins))


def is_code(cell: NotebookNode) -> bool:
    return cell.cell_type == "code"


def used(stage: Stage, name: str) -> set[str]:
    """The names that signature, docstring and contract use, without the arguments.

    In a text these are what is called, what has an attribute, and what the module has.
    """
    function = definition(stage, name)
    arguments = [*function.args.args, *function.args.kwonlyargs]
    annotations = [one.annotation for one in arguments] + [function.returns]
    found = {
        node.id
        for annotation in annotations
        if annotation is not None
        for node in ast.walk(annotation)
        if isinstance(node, ast.Name)
    }
    card = cells_of(stage)[place_of(stage, name) - 1].source
    contract = (ast.get_docstring(function) or "") + card.partition("**Contract.**")[2]
    for text in QUOTED.findall(contract.replace("\n", " ")):
        found |= names_in(text, names_of(reference_of(stage)))
    return found - {one.arg for one in arguments}


def names_in(text: str, of_module: set[str]) -> set[str]:
    """Those in one piece of code of a text; a dotted name that can be imported says where it is."""
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except SyntaxError:
        return set()
    if is_importable(text.strip()):
        return set()
    found = set()
    for node in ast.walk(tree):
        part = node.func if isinstance(node, ast.Call) else node
        if isinstance(part, ast.Attribute):
            part = part.value
        elif part is node and not (isinstance(node, ast.Name) and node.id in of_module):
            continue
        if isinstance(part, ast.Name):
            found.add(part.id)
    return found


def is_importable(dotted: str) -> bool:
    """Whether it is the whole name of something in a module of the course."""
    module, dot, name = dotted.rpartition(".")
    if not dot or not module.startswith("distillery."):
        return False
    return hasattr(importlib.import_module(module), name)


@pytest.mark.parametrize(
    ("stage", "name"), TASKS, ids=[f"{stage.module}.{name}" for stage, name in TASKS]
)
def test_what_a_contract_names_is_imported_before_its_task(stage, name):
    assert used(stage, name) - there(stage, name) == set()


def test_the_names_of_a_contract_are_found():
    pds = next(stage for stage in STAGES if stage.module == "pds")
    assert {"cat", "Prior", "Condition", "torch"} <= used(pds, "pds_loss")
    assert names_in("cat", {"cat"}) == names_in("cat([a, b])", set()) == {"cat"}
    assert names_in("x - y", {"cat"}) == names_in("distillery.models.prior.cat", set()) == set()
