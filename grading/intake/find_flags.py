"""What an instructor should look at in a submission: files that were ignored, and whose it is."""

from __future__ import annotations

import ast
import re
import sys
from functools import lru_cache
from pathlib import Path

from nbformat import NotebookNode

from grading.core.limits import LARGEST_EVALUATION
from grading.core.manifest import NAME as MANIFEST
from grading.core.manifest import Manifest
from grading.core.notebook_cells import grade_id_of, todo_id
from grading.core.parse_code import parsed
from grading.core.records import Flag
from grading.intake.archives import quoted
from grading.intake.open_submission import Opened, read_json
from grading.stages.stage import Stage

PACKED = "pack.json"
OTHER_STUDENT = "student id"  # kind of a flag
SHADOWS = ("sitecustomize.py", "usercustomize.py", "conftest.py", "torch.py", "numpy.py")


def changed_files(opened: Opened, stage: Stage, course: Path) -> list[Flag]:
    """Files that students must not change and that came changed; they are ignored."""
    path = course / MANIFEST
    if not path.exists():
        return []
    manifest = _manifest(path, path.stat().st_mtime_ns)
    if stage.folder not in manifest.stages:
        return []
    return [
        Flag("fixed file", f"{one.what}{_first_change(one.diff)}")
        for one in manifest.file_differences(opened.root, stage.folder)
    ]


def shadow_files(opened: Opened) -> list[Flag]:
    """Files that Python would import in place of its own modules."""
    names = {f"{name}.py" for name in sys.stdlib_module_names} | {*SHADOWS}
    found = [
        quoted(path.name)
        for path in opened.files
        if path.suffix == ".pth"
        or (path.name in names and path.parent in (opened.root, opened.top))
    ]
    if not found:
        return []
    sentence = (
        f"files that would replace Python's own modules were ignored: {', '.join(found[:9])}."
    )
    return [Flag("shadow file", sentence)]


def answers_elsewhere(
    opened: Opened, stage: Stage, released: NotebookNode, repaired: NotebookNode
) -> list[Flag]:
    """Answers that were written into guidance/<module>.py and not into the notebook's cells."""
    path = opened.root / "guidance" / f"{stage.module}.py"
    written = _written_functions(path) if path in opened.files else set()
    stubs = {grade_id_of(cell): cell.source for cell in released.cells}
    cells = {grade_id_of(cell): cell.source for cell in repaired.cells}
    ids = {name: todo_id(f"{stage.module}.{name}") for name in stage.points}
    names = [n for n in ids if n in written and stubs.get(ids[n]) == cells.get(ids[n])]
    if not names:
        return []
    listed = ", ".join(names)
    sentence = f"guidance/{path.name} answers {listed}, and the notebook's cells do not."
    return [Flag("answer elsewhere", sentence)]


def packed_for_another(opened: Opened, names: set[str]) -> list[Flag]:
    """Whether pack.json names another student than those of `names`."""
    packed = read_json(opened.root / PACKED)
    claimed = packed.get("student_id") if isinstance(packed, dict) else None
    if not isinstance(claimed, str) or safe_student(claimed) in map(safe_student, names):
        return []
    sentence = f"it was packed for the student {quoted(claimed)}, and handed in by another student."
    return [Flag(OTHER_STUDENT, sentence)]


def safe_student(name: str) -> str:
    """A learning platform's id as a name that is safe for a folder; "" if nothing is left."""
    kept = re.sub(r"[^A-Za-z0-9._@-]+", "-", name.strip()).strip("-._@")
    return kept[:64] if kept else ""


def _written_functions(path: Path) -> set[str]:
    """The functions of a module that do not end by raising, as a stub does."""
    body = parsed(path.read_bytes()[:LARGEST_EVALUATION]).body
    functions = [node for node in body if isinstance(node, ast.FunctionDef)]
    return {node.name for node in functions if not isinstance(node.body[-1], ast.Raise)}


@lru_cache(maxsize=4)
def _manifest(path: Path, changed: int) -> Manifest:
    return Manifest.load(path)


def _first_change(diff: str) -> str:
    """The first removed and the first added line of a unified diff, in brackets."""
    lines = [line for line in diff.split("\n")[2:] if line[:1] in ("-", "+")]
    first = [next((line for line in lines if line[0] == sign), "") for sign in "-+"]
    listed = " / ".join(quoted(line) for line in first if line)
    return f" ({listed})" if listed else ""
