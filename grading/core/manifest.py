"""What students must not change in a stage: its files, its locked cells, and the stubs' own lines.

`release` writes `manifest.json` into the course folder, for all stages, and a copy for each stage
into that stage's bundle.
"""

from __future__ import annotations

import ast
import difflib
import hashlib
import json
import os
import stat
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from distillery.core.errors import CourseError
from grading.core.notebook_cells import grade_id_of, source_of

NAME = "manifest.json"
IN_BUNDLE = PurePosixPath("data/manifests")  # <stage>.json, so that stages can share a folder
TOP = "score-distillery"  # the one folder that a bundle unpacks to
LONGEST_TEXT = 2**20  # bytes; of a longer file only the hash is compared
LONGEST_DIFF = 200  # lines


@dataclass(frozen=True)
class Fixed:
    """A file that must not change. sha256: hexadecimal. size: in bytes."""

    sha256: str
    size: int


@dataclass(frozen=True)
class Cell:
    """A cell of the released notebook that nbgrader knows.

    source: as released; a locked cell must stay like this.
    points: of a graded cell, else 0.
    """

    grade_id: str
    cell_id: str
    cell_type: str
    locked: bool
    points: float
    source: str
    sha256: str


@dataclass(frozen=True)
class StageManifest:
    """What must not change in one stage.

    functions: that students write, in order.
    notebook, guidance: paths in the bundle of the files that students write in.
    stub: the whole module as released.
    """

    module: str
    functions: tuple[str, ...]
    notebook: str
    guidance: str
    stub: str
    cells: tuple[Cell, ...]
    files: dict[str, Fixed]


@dataclass(frozen=True)
class Difference:
    """Something that should not have changed and is not as released.

    file: by its path in the bundle.
    what: a sentence.
    diff: unified, from the released text to the present one; empty where no text is compared.
    """

    file: str
    what: str
    diff: str = ""


@dataclass(frozen=True)
class Manifest:
    """What must not change in some stages, by folder name, and the version of the course.

    course: the folder of the manifest; its bundles hold the originals.
    """

    version: str
    stages: dict[str, StageManifest]
    course: Path | None = None

    @classmethod
    def load(cls, path: Path) -> Manifest:
        """Read a manifest.

        Raises:
            CourseError: there is none, or it cannot be read.
        """
        path = Path(path)
        try:
            stored = json.loads(path.read_text("utf-8"))
            stages = {name: _stage_from(one) for name, one in stored["stages"].items()}
            return cls(stored["version"], stages, path.parent)
        except FileNotFoundError:
            raise CourseError(f"there is no {path}: run python -m grading release.") from None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise CourseError(
                f"{path} cannot be read as a manifest: run python -m grading release again."
            ) from error

    def text(self) -> str:
        """The manifest as JSON, always the same text for the same manifest."""
        stages = {name: asdict(stage) for name, stage in sorted(self.stages.items())}
        stored = {"version": self.version, "stages": stages}
        return json.dumps(stored, indent=1, ensure_ascii=False, sort_keys=True) + "\n"

    def stage(self, assignment: str) -> StageManifest:
        """What must not change in one stage.

        Raises:
            CourseError: it has not been released.
        """
        if assignment not in self.stages:
            raise CourseError(
                f"{assignment} is not in the manifest: run python -m grading release {assignment}."
            )
        return self.stages[assignment]

    def original(self, assignment: str, file: str) -> bytes | None:
        """The content of a released file, from the course's bundle; None without the bundle."""
        if self.course is None:
            return None
        try:
            with zipfile.ZipFile(bundle_of(self.course, assignment)) as archive:
                return archive.read(f"{TOP}/{file}")
        except (OSError, KeyError, zipfile.BadZipFile):
            return None

    def differences(
        self,
        folder: Path,
        assignment: str | None = None,
        *,
        complete: bool = False,
        linked: bool = False,
    ) -> list[Difference]:
        """Everything that differs from the release, in a copy of the course or a submission.

        Args:
            folder: with the paths of the bundle; the notebook may also be at its top. It is not
                trusted: links are not followed, and long files are only hashed.
            assignment: of which stage; None for every stage of the manifest.
            complete: whether fixed files that are missing count too.
            linked: whether links may lead to fixed files, as where students share a course. Only
                in one's own folder.
        """
        names = list(self.stages) if assignment is None else [assignment]
        found: dict[tuple[str, str], Difference] = {}
        for name in names:
            of_files = self.file_differences(Path(folder), name, complete=complete, linked=linked)
            for one in (*of_files, *self._of_notebook(Path(folder), name)):
                found.setdefault((one.file, one.what), one)
        return list(found.values())

    def file_differences(
        self, folder: Path, assignment: str, *, complete: bool = False, linked: bool = False
    ) -> Iterator[Difference]:
        """The differences in one stage, without those in its notebook."""
        stage = self.stage(assignment)
        for file, fixed in stage.files.items():
            path = folder / file
            if not os.path.lexists(path):
                if complete:
                    yield Difference(file, f"{file} is missing.")
            elif not (path.is_file() if linked else _is_plain(path, folder)):
                yield Difference(file, f"{file} is not a plain file.")
            else:
                yield from self._of_file(path, assignment, file, fixed)
        yield from module_differences(stage, _text_in(folder / stage.guidance))

    def _of_notebook(self, folder: Path, assignment: str) -> Iterator[Difference]:
        stage = self.stage(assignment)
        for place in (folder / stage.notebook, folder / PurePosixPath(stage.notebook).name):
            notebook = _json_in(place)
            if isinstance(notebook, dict):
                yield from notebook_differences(stage, _cells_of(notebook))
                break

    def _of_file(
        self, path: Path, assignment: str, file: str, fixed: Fixed
    ) -> Iterator[Difference]:
        if path.stat().st_size != fixed.size or digest_of(path) != fixed.sha256:
            yield Difference(
                file,
                f"{file} is not as it was released.",
                _diff(file, self._released_text(assignment, file), _text_in(path)),
            )

    def _released_text(self, assignment: str, file: str) -> str | None:
        content = self.original(assignment, file)
        return None if content is None else _as_text(content)


def bundle_of(course: Path, assignment: str) -> Path:
    """Where `release` writes the zip of a stage that students get."""
    return Path(course) / "bundles" / f"{assignment}.zip"


def fixed(content: bytes) -> Fixed:
    return Fixed(sha256(content), len(content))


def sha256(content: bytes | str) -> str:
    data = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    return hashlib.sha256(data).hexdigest()


def digest_of(path: Path) -> str:
    """The SHA-256 of a file, read in pieces."""
    with open(path, "rb") as file:
        digest = hashlib.sha256()
        while piece := file.read(2**20):
            digest.update(piece)
    return digest.hexdigest()


def cells_in(notebook: Mapping[str, Any]) -> tuple[Cell, ...]:
    """The cells of a released notebook that nbgrader knows, in order."""
    known = []
    for cell in notebook["cells"]:
        its = cell["metadata"].get("nbgrader", {})
        if "grade_id" in its:
            source = source_of(cell)
            known.append(
                Cell(
                    grade_id=its["grade_id"],
                    cell_id=cell["id"],
                    cell_type=cell["cell_type"],
                    locked=its["locked"],
                    points=float(its.get("points", 0)),
                    source=source,
                    sha256=sha256(source),
                )
            )
    return tuple(known)


def notebook_differences(
    stage: StageManifest, cells: Sequence[Mapping[str, Any]]
) -> list[Difference]:
    """Cells that are missing, repeated or of another type, and locked cells that were changed."""
    by_id: dict[str, list[Mapping[str, Any]]] = {}
    for cell in cells:
        by_id.setdefault(grade_id_of(cell), []).append(cell)
    return [one for cell in stage.cells for one in _of_cell(stage, cell, by_id)]


def _of_cell(
    stage: StageManifest, cell: Cell, by_id: Mapping[str, Sequence[Mapping[str, Any]]]
) -> Iterator[Difference]:
    handed_in = by_id.get(cell.grade_id, [])
    if not handed_in:
        yield Difference(stage.notebook, f"the cell {cell.grade_id} is missing.")
    if len(handed_in) > 1:
        times = f"{len(handed_in)} times" if len(handed_in) > 2 else "twice"
        yield Difference(stage.notebook, f"the cell {cell.grade_id} is there {times}.")
    for came in handed_in[:1]:
        if came.get("cell_type") != cell.cell_type:
            yield Difference(
                stage.notebook, f"the cell {cell.grade_id} is not a {cell.cell_type} cell any more."
            )
        elif cell.locked and source_of(came) != cell.source:
            yield Difference(
                stage.notebook,
                f"the locked cell {cell.grade_id} was changed.",
                _diff(cell.grade_id, cell.source, source_of(came)),
            )


def module_differences(stage: StageManifest, text: str | None) -> list[Difference]:
    """A difference where the course's own lines in guidance/<module>.py were changed."""
    if text is None:
        return []
    try:
        given, found = (
            given_lines(one, stage.module, stage.functions) for one in (stage.stub, text)
        )
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return [Difference(stage.guidance, f"{stage.guidance} is not Python as it stands.")]
    if given == found:
        return []
    what = f"{stage.guidance} was changed outside the functions that are to be written."
    return [Difference(stage.guidance, what, _diff(stage.guidance, given, found))]


def given_lines(text: str, module: str, functions: Iterable[str]) -> str:
    """A module without the functions that students write; one line stands for each.

    Raises:
        SyntaxError: the text is not Python.
    """
    lines = text.replace("\r\n", "\n").split("\n")
    for function in functions:
        begin, end = _place(lines, module, function)
        lines[begin:end] = [f"# {module}.{function}"] if end > begin else []
    # Saving a cell may add an empty line, which is not a change.
    return "\n".join(line.rstrip() for line in lines if line.strip()) + "\n"


def _place(lines: list[str], module: str, function: str) -> tuple[int, int]:
    """The lines of a function, with everything that its notebook cell saved around it."""
    task = f"{module}.{function}"
    begins = [i for i, line in enumerate(lines) if line.startswith(f"# >>> {task}: ")]
    ends = [i for i, line in enumerate(lines) if line == f"# <<< {task}"]
    if begins and ends and begins[0] < ends[-1]:
        return begins[0], ends[-1] + 1
    for node in ast.parse("\n".join(lines)).body:
        if isinstance(node, ast.FunctionDef) and node.name == function:
            first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
            return first - 1, node.end_lineno or node.lineno
    return 0, 0


def _stage_from(stored: Mapping[str, Any]) -> StageManifest:
    return StageManifest(
        module=stored["module"],
        functions=tuple(stored["functions"]),
        notebook=stored["notebook"],
        guidance=stored["guidance"],
        stub=stored["stub"],
        cells=tuple(Cell(**cell) for cell in stored["cells"]),
        files={name: Fixed(**one) for name, one in stored["files"].items()},
    )


def _cells_of(notebook: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    cells = notebook.get("cells")
    return [cell for cell in cells if isinstance(cell, dict)] if isinstance(cells, list) else []


def _is_plain(path: Path, folder: Path) -> bool:
    """Whether a path below `folder` is a regular file and contains no link."""
    places = [path, *list(path.parents)[: len(path.relative_to(folder).parts) - 1]]
    modes = [os.lstat(place).st_mode for place in places]
    return stat.S_ISREG(modes[0]) and all(map(stat.S_ISDIR, modes[1:]))


def _text_in(path: Path) -> str | None:
    """The text of a plain file of moderate length, else None."""
    try:
        if not stat.S_ISREG(os.lstat(path).st_mode) or path.stat().st_size > LONGEST_TEXT:
            return None
        return _as_text(path.read_bytes())
    except OSError:
        return None


def _json_in(path: Path) -> Any:
    try:
        if not stat.S_ISREG(os.lstat(path).st_mode):
            return None
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None


def _as_text(content: bytes) -> str | None:
    try:
        return content.decode()
    except UnicodeDecodeError:
        return None


def _diff(name: str, released: str | None, found: str | None) -> str:
    if released is None or found is None:
        return ""
    lines = difflib.unified_diff(
        released.splitlines(), found.splitlines(), f"released/{name}", f"yours/{name}", lineterm=""
    )
    return "\n".join(line for line, _ in zip(lines, range(LONGEST_DIFF), strict=False))
