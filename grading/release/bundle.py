"""What students get of a stage: one zip that runs on its own and knows no answer."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from distillery.core.errors import CourseError
from distillery.core.files import REPOSITORY
from distillery.core.folders import is_left_by_system
from distillery.course.answers import written_answers
from grading.authoring.build import sequel_texts
from grading.authoring.make_stubs import BEGIN, END, answered_functions, function_text
from grading.authoring.written_answers import said
from grading.core.manifest import IN_BUNDLE, TOP, Fixed, Manifest, StageManifest, cells_in, fixed
from grading.stages.stage import Stage
from grading.student.pack import STORED, zipped

LETTER = REPOSITORY / "grading" / "student"  # what is written for students alone
AS_THEY_ARE = (
    "main.py",
    "eval.py",
    "guidance/__init__.py",
    "guidance/conftest.py",
    "pyproject.toml",
    "hatch_build.py",
    "constraints.txt",
    "LICENSE",
    "docs/glossary.md",
)
TOOLS = (
    "__init__.py",
    "__main__.py",
    "core/__init__.py",
    "core/limits.py",
    "core/manifest.py",
    "core/notebook_cells.py",
    "student/*.py",
)
CODE = (".py", ".js", ".css")
# What the commands of the course read; a stage adds what only its notebook does.
DATA = ("configs", "crafts", "imgs", "palettes", "pipelines")
SCORERS = ("judge", "tiny-clip")
NOT_FIXED = (
    "README.md",
    "Makefile",
    "environment.yml",
    "pyproject.toml",
    "hatch_build.py",
    "pytest.ini",
    "constraints.txt",
    "LICENSE",
    "docs/glossary.md",
)

Contents = dict[str, bytes]


def contents(stage: Stage, root: Path, notebook: bytes, stub: bytes) -> Contents:
    """Every file of a stage's bundle but its manifest, by its path inside.

    Args:
        root: of the course.
        notebook: as nbgrader released it.
        stub: the module of the stage, unanswered.

    Raises:
        CourseError: something is missing, or an answer would get in.
    """
    root = Path(root)
    files = {
        path.relative_to(root).as_posix(): path
        for path in _of_course(stage, root)
        if not is_left_by_system(path.relative_to(root))
    }
    letter = [path for path in files_under(LETTER) if path.suffix != ".py"]
    files |= {path.relative_to(LETTER).as_posix(): path for path in letter}
    packed = {name: read_packed(path) for name, path in files.items()}
    packed[str(stage.notebook)] = notebook
    sequels = sequel_texts(stage, root, said(stage))
    packed |= {str(path): text.encode() for path, text in sequels.items()}
    packed[f"guidance/{stage.module}.py"] = stub
    check_no_answers(packed, root)
    return packed


def _of_course(stage: Stage, root: Path) -> Iterator[Path]:
    yield from (root / name for name in AS_THEY_ARE)
    for pattern in TOOLS:
        yield from sorted((root / "grading").glob(pattern))
    yield from (path for path in files_under(root / "distillery") if path.suffix in CODE)
    yield from sorted((root / "data" / "checks").glob(f"{stage.module}.*"))
    yield from (path for path in sorted((root / "data").glob("*.*")) if path.is_file())
    for name in (*DATA, *stage.data):
        yield from files_under(root / "data" / name)
    for pattern in (*SCORERS, *stage.models):
        for folder in sorted((root / "data" / "models").glob(pattern)):
            yield from files_under(folder)


def files_under(folder: Path) -> list[Path]:
    """The files under a folder, without caches and hidden ones."""
    found = (path for path in folder.rglob("*") if path.is_file())
    hidden = re.compile(r"(^|/)(\.|__pycache__)")
    return sorted(path for path in found if not hidden.search(str(path.relative_to(folder))))


def read_packed(path: Path) -> bytes:
    """The bytes of a file that goes into a zip.

    Raises:
        CourseError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise CourseError(
            f"{path} must go into the zip, but it cannot be read: check that "
            "it is there and that you may read it."
        ) from error


def stage_manifest(stage: Stage, files: Mapping[str, bytes]) -> StageManifest:
    """What is fixed of a bundle with these contents."""
    notebook, guidance = str(stage.notebook), f"guidance/{stage.module}.py"
    students_own = {notebook, guidance, *map(str, stage.ungraded)}
    return StageManifest(
        module=stage.module,
        functions=tuple(stage.points),
        notebook=notebook,
        guidance=guidance,
        stub=files[guidance].decode(),
        cells=cells_in(json.loads(files[notebook])),
        files=_fixed({name: files[name] for name in files if name not in students_own}),
    )


def _fixed(files: Mapping[str, bytes]) -> dict[str, Fixed]:
    return {name: fixed(files[name]) for name in sorted(files) if name not in NOT_FIXED}


def bundle(stage: Stage, files: Mapping[str, bytes], version: str) -> tuple[bytes, StageManifest]:
    """The zip of a stage, its manifest inside, and that manifest.

    The same contents give the same bytes.
    """
    its = stage_manifest(stage, files)
    text = Manifest(version, {stage.folder: its}).text()
    return zipped({**files, str(IN_BUNDLE / f"{stage.folder}.json"): text.encode()}, TOP), its


def check_no_answers(files: Mapping[str, bytes], root: Path) -> None:
    """Refuse a bundle that holds an answer.

    Raises:
        CourseError: it does.
    """
    marked = [name for name, text in _texts(files) if squeezed(BEGIN) in text]
    found = [(name, f"the answer to {answer}") for name, answer in answers_held(files, root)]
    for name, what in [*found, *((name, "a solution mark") for name in marked)]:
        raise CourseError(
            f"{name} holds {what}, so nothing is released; run python -m grading build."
        )


def answers_held(files: Mapping[str, bytes], root: Path) -> Iterator[tuple[str, str]]:
    """The name of each file that holds an answer of the course, and the answer's."""
    answers = {squeezed(text): name for name, text in _answers(root)}
    for name, text in _texts(files):
        yield from ((name, answer) for body, answer in answers.items() if body in text)


def _texts(files: Mapping[str, bytes]) -> Iterator[tuple[str, str]]:
    """Name -> what people read in each file that is text, squeezed."""
    for name, content in files.items():
        if PurePosixPath(name).suffix not in STORED:
            yield name, squeezed(readable(name, content))


def readable(name: str, content: bytes) -> str:
    """What people read in a file: of a notebook the text of its cells, of JSON its texts."""
    text = content.decode()
    if name.endswith(".ipynb"):
        with contextlib.suppress(ValueError, KeyError, TypeError):
            cells = json.loads(text)["cells"]
            return "\n".join("".join(cell["source"]) for cell in cells)
    return text.replace("\\n", "\n")


def _answers(root: Path) -> Iterator[tuple[str, str]]:
    """Every answered function with the lines between its solution marks, and written answers.

    Of a written answer these are its paragraphs, because part of one would say enough.
    """
    for path in sorted((root / "reference").glob("[a-z]*.md")):
        for answer, text in written_answers(path.read_text("utf-8")).items():
            for paragraph in text.split("\n\n"):
                yield f"{path.stem}.{answer}", paragraph
    for path in sorted((root / "reference").glob("[a-z]*.py")):
        source = path.read_text("utf-8")
        for function in answered_functions(source):
            text = function_text(source, function)
            yield f"{path.stem}.{function}", text.split(BEGIN)[1].split(END)[0]


def squeezed(text: str) -> str:
    """Without white space: no indenting hides an answer."""
    return "".join(text.split())
