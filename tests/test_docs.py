"""The texts name only files, modules and commands that exist."""

from __future__ import annotations

import importlib.util
import re
import tokenize
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from grading.__main__ import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
DOCS = sorted(
    path
    for pattern in ("*.md", "docs/*.md", "grading/student/*.md", "data/**/*.md", "notebooks/*/*.py")
    for path in ROOT.glob(pattern)
)
PACKAGES = ("benchmarks", "distillery", "grading", "guidance", "reference", "training")
FOLDERS = (*PACKAGES, "data", "docs", "notebooks", "tests")
DOTTED = re.compile(rf"\b(?:{'|'.join(PACKAGES)})(?:\.[a-zA-Z_]\w*)+")
SLASHED = re.compile(rf"(?<![\w/.<])(?:\./|(?:\.\./)+)?(?:{'|'.join(FOLDERS)})/[\w./*<>-]*[\w/*>]")
LINKED = re.compile(r"\]\(([^)#\s]+)\)")
COMMAND = re.compile(r"python -m ([a-z_.]+)(?: ([a-z_]+))?")
# Folders that a run, a course or a student makes, and examples of files to write.
MADE = re.compile(r"outputs|class|submitted|received|downloads|data/manifests|hello")
FILES = (".py", ".yaml", ".json", ".md", ".ipynb")
SAID = (tokenize.COMMENT, tokenize.STRING)
OUTSIDE = ("http", "notebook", "venv", "pip", "ipykernel", "nbgrader", "pytest")


def texts() -> Iterator[tuple[Path, str]]:
    for path in DOCS:
        text = path.read_text("utf-8")
        if path.name == "CONTRIBUTING.md":  # what its blocks name is made from them
            text = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
        if path.suffix == ".py":  # a notebook's source: what people read are its text cells
            cells = re.split(r"^# %%", text, flags=re.MULTILINE)
            text = "\n".join(cell for cell in cells if cell.startswith(" [markdown]"))
            text = re.sub(r"^# ?", "", text, flags=re.MULTILINE)
        else:  # blocks of code are files to write
            text = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
        yield path.relative_to(ROOT), text


def found(pattern: re.Pattern[str]) -> list[tuple[str, re.Match[str]]]:
    return [(str(path), match) for path, text in texts() for match in pattern.finditer(text)]


def is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def is_defined(name: str) -> bool:
    """Whether a dotted name is a module, or something inside one."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        if is_module(".".join(parts[:end])):
            value = import_module(".".join(parts[:end]))
            for attribute in parts[end:]:
                if not hasattr(value, attribute):
                    return False
                value = getattr(value, attribute)
            return True
    return False


def test_every_dotted_name_is_a_module_or_in_one() -> None:
    names = [(path, match[0]) for path, match in found(DOTTED)]
    assert len(names) > 30
    assert [one for one in names if not one[1].endswith(FILES) and not is_defined(one[1])] == []


def test_every_module_that_is_run_exists_and_so_does_its_command() -> None:
    commands = found(COMMAND)
    assert len(commands) > 20
    for path, match in commands:
        module, command = match.groups()
        if module.split(".")[0] in OUTSIDE:
            continue
        assert is_module(module), (path, match[0])
        assert is_module(module + ".__main__") or "def main(" in source_of(module), (path, match[0])
        if module == "grading" and command:
            assert command in COMMANDS, (path, match[0])


def source_of(module: str) -> str:
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).read_text("utf-8")


def test_every_path_exists() -> None:
    paths = [(path, match[0]) for path, match in found(SLASHED)]
    assert len(paths) > 60
    missing = [(doc, name) for doc, name in paths if not exists(ROOT / doc, name)]
    assert missing == []


def exists(document: Path, name: str) -> bool:
    """Whether a path is there, seen from the root or from the document; <x> and * are any name."""
    pattern = re.sub(r"<\w+>", "*", name.rstrip("/"))
    if MADE.search(pattern):
        return True
    start = document.parent if pattern.startswith(".") else ROOT
    while pattern.startswith("../"):
        start, pattern = start.parent, pattern[3:]
    return any(start.glob(pattern.removeprefix("./")))


def test_comments_docstrings_and_messages_name_what_exists() -> None:
    sources = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    assert len(sources) > 100
    wrong = []
    for path in sources:
        with path.open("rb") as file:
            tokens = [one for one in tokenize.tokenize(file.readline) if one.type in SAID]
        said = "\n".join(one.string for one in tokens)
        names = [match[0] for match in DOTTED.finditer(said) if not match[0].endswith(FILES)]
        wrong += [(path, name) for name in names if not is_defined(name)]
        paths = [match[0] for match in SLASHED.finditer(said) if not MADE.search(match[0])]
        wrong += [(path, name) for name in paths if not exists(path, name)]
    assert wrong == []


def test_every_link_leads_somewhere() -> None:
    links = [(path, match[1]) for path, match in found(LINKED)]
    near = [(path, link) for path, link in links if not re.match(r"https?:|mailto:", link)]
    assert len(near) > 12
    assert [(p, link) for p, link in near if not (ROOT / p).parent.joinpath(link).exists()] == []


@pytest.mark.parametrize("document", ["README.md", "notebooks/00_tour/00_tour.py"])
def test_the_glossary_is_linked(document: str) -> None:
    assert "docs/glossary.md)" in (ROOT / document).read_text("utf-8")
