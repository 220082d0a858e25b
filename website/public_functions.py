"""The reference of the public functions, read from the sources without importing them."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from distillery.core.files import REPOSITORY

PACKAGE = REPOSITORY / "distillery"
FOLDERS = {  # of the package, and what a reader finds there
    "models": "Pretrained models behind one interface: embed, encode, decode, predict noise.",
    "methods": "One file a method: the formulas of the papers as functions of tensors.",
    "runs": "What takes steps and leaves files: canvases, optimisation, resume.",
    "pixelart": "Pictures whose every pixel is one colour of a palette.",
    "morph": "From prompt to prompt, frame by frame.",
    "metrics": "How good a picture is: CLIP, the judge, distances.",
    "notebook": "What notebooks show: figures, previews, sliders.",
    "course": "Tasks, checks and what students hand in.",
    "palettes": "Named palettes, and files of palettes.",
    "crafts": "Pictures as beads, bricks and stitches.",
    "toybox": "The drawn world that the embedded models know.",
    "core": "Files, pictures, settings and command lines.",
}
FENCE = "`" * 4


def reference_pages(package: Path = PACKAGE) -> dict[PurePosixPath, str]:
    """Page -> its text: one for each folder of the package, and one that lists them."""
    pages = {}
    rows = []
    for folder, says in FOLDERS.items():
        pages[PurePosixPath("reference", f"{folder}.md")] = _page(package / folder, folder, says)
        rows.append(f"| [distillery.{folder}](reference/{folder}.md) | {says} |")
    listed = "\n".join(f"reference/{folder}" for folder in FOLDERS)
    pages[PurePosixPath("reference.md")] = (
        "# Public functions\n\nEverything that a student's code may call, from the sources' own "
        "words. What students write themselves is in the notebooks.\n\n| package | what it has |\n"
        "|---|---|\n" + "\n".join(rows) + f"\n\n```{{toctree}}\n:hidden:\n\n{listed}\n```\n"
    )
    return pages


def _page(folder: Path, name: str, says: str) -> str:
    parts = [f"# distillery.{name}", says]
    for path in sorted(folder.glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        entries = list(_entries(tree))
        if path.name.startswith("_") or not entries:
            continue
        parts += [f"## {name}.{path.stem}", _text(ast.get_docstring(tree) or "")]
        parts += [f"### {entry.name}\n\n{_entry(entry)}" for entry in entries]
    return "\n\n".join(part for part in parts if part)


def _entries(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.ClassDef]:
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef | ast.ClassDef):
            continue
        if not node.name.startswith("_") and ast.get_docstring(node):
            yield node


def _entry(node: ast.FunctionDef | ast.ClassDef) -> str:
    parts = [f"```python\n{_signature(node)}\n```", _text(ast.get_docstring(node) or "")]
    if isinstance(node, ast.ClassDef):
        methods = [
            one
            for one in node.body
            if isinstance(one, ast.FunctionDef)
            and not one.name.startswith("_")
            and ast.get_docstring(one)
        ]
        for method in methods:
            says = ast.get_docstring(method) or ""
            parts += [f"```python\n{_signature(method)}\n```", _text(says)]
    return "\n\n".join(parts)


def _signature(node: ast.FunctionDef | ast.ClassDef) -> str:
    if isinstance(node, ast.ClassDef):
        bases = ", ".join(ast.unparse(base) for base in node.bases)
        return f"class {node.name}({bases})" if bases else f"class {node.name}"
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    line = f"def {node.name}({ast.unparse(node.args)}){returns}"
    if len(line) <= 88:
        return line
    arguments = _split(ast.unparse(node.args))
    return "\n".join([f"def {node.name}(", *(f"    {one}," for one in arguments), f"){returns}"])


def _split(arguments: str) -> list[str]:
    """At the commas outside brackets and quotes."""
    parts, depth = [""], 0
    for sign in arguments:
        depth += (sign in "([{") - (sign in ")]}")
        if sign == "," and not depth:
            parts.append("")
        else:
            parts[-1] += sign
    return [part.strip() for part in parts]


def _text(docstring: str) -> str:
    """A docstring as it is written: its layout carries the shapes and the errors."""
    cleaned = inspect.cleandoc(docstring)
    return f"{FENCE}text\n{cleaned}\n{FENCE}" if cleaned else ""
