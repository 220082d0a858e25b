"""What works on a student's computer and will not work in the grader."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from distillery.course.todo_cell import Answer

ABSOLUTE = re.compile(r"^(/(home|Users|content|tmp|mnt|kaggle|root)\b|[A-Za-z]:[\\/]|~/|\\\\)")
INSTALLS = re.compile(r"^[ \t]*[!%][ \t]*(pip|conda|mamba|uv|apt|apt-get)\b", re.MULTILINE)
OUTSIDE = {"socket", "urllib", "http", "requests", "httpx", "ftplib", "huggingface_hub", "wget"}
PROGRAMS = {"subprocess", "multiprocessing", "os", "shutil", "ctypes"}
WAITING = {"input": "waits for somebody to type", "breakpoint": "waits for somebody to debug"}


def lint(answers: Mapping[str, Answer], cells: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Sentences on code that will not run in the grader, found by reading it."""
    for function, answer in answers.items():
        for sentence in (*answer.left_out, *dict.fromkeys(_warnings(ast.parse(answer.code)))):
            yield f"{function}: {sentence}"
    if any(cell["cell_type"] == "code" and INSTALLS.search(cell["source"]) for cell in cells):
        yield "a cell installs something; the grader has the packages of the course and no others."


def _warnings(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if ABSOLUTE.match(node.value):
                yield f"{node.value!r} is a path on your computer; the grader has no such file."
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            yield from _about_import(node)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id in WAITING:
                waits = WAITING[node.func.id]
                yield f"{node.func.id}() {waits}; the grader cannot answer it: remove it."
            if node.func.id == "open":
                yield "open() reads or writes a file; your files are not in the grader: remove it."
        elif isinstance(node, ast.Attribute) and node.attr in (
            "from_pretrained",
            "hf_hub_download",
        ):
            yield f"{node.attr} may use the network; the grader has no network: remove it."


def _about_import(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    names = (
        [node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
    )
    for name in names:
        top = name.partition(".")[0]
        if top in OUTSIDE:
            yield f"{top} uses the network; the grader has no network: remove it."
        elif top in PROGRAMS:
            yield f"{top} acts outside your function; the grader blocks that: remove it."
        elif top in ("pdb", "ipdb"):
            yield f"{top} waits for somebody to debug; the grader cannot answer it: remove it."
