"""The one build command: from `reference/` and the percent sources to everything made from them.

Committed: guidance/*.py, notebooks/*/*.ipynb, data/checks/*, what README.md and CHANGELOG.md say of
the stages, and docs/results.md. The solutions that notebooks fold away come from reference/*.md.
For instructors, on demand: an nbgrader course folder with the answered notebooks.
"""

from __future__ import annotations

import argparse
import ast
import importlib
from pathlib import Path, PurePosixPath

import torch
from safetensors.torch import load

from distillery.core.errors import CourseError
from distillery.core.files import REPOSITORY, atomic_write
from distillery.course.answers import written_answers
from grading.authoring.counts import counted_texts
from grading.authoring.make_stubs import stub_module
from grading.authoring.notebooks import (
    answered_notebook,
    sequel_notebook,
    solved_notebook,
    student_notebook,
)
from grading.authoring.observed_tasks import checks
from grading.authoring.repository import badged, for_colab, repository_in, repository_named
from grading.authoring.results import results_texts
from grading.authoring.written_answers import Show, check_places, folded, shown
from grading.core.nbgrader_config import YOUR_CODE
from grading.stages import STAGES
from grading.stages.stage import Stage

ROOT = REPOSITORY
README = Path("README.md")
NBGRADER_CONFIG = f"""\
# Only the answer is replaced: each released cell still ends with its own sentence.
c = get_config()  # noqa: F821
c.ClearSolutions.code_stub = {{"python": "{YOUR_CODE}"}}
"""

Files = dict[Path, bytes]


def committed_files(
    root: Path, stages: tuple[Stage, ...] = STAGES, *, repository: str | None = None
) -> Files:
    """Everything built that git keeps, by its path under `root`.

    Args:
        repository: "owner/name" on GitHub for badges and Colab, or "" for none; by default that of
            the README's badges.
    """
    files: Files = counted_texts(root) | results_texts(root)
    readme = files.get(README, b"").decode()
    repository = repository_in(readme) if repository is None else repository
    if README in files:
        files[README] = badged(readme, repository).encode()
    for stage in stages:
        reference = _reference(root, stage)
        stubs = stub_module(reference, stage.sentence)
        files[Path("guidance", f"{stage.module}.py")] = stubs.encode()
        if (root / _source(stage)).exists():
            text = for_colab(student_text(stage, root), stage.notebook, repository)
            files[Path(stage.notebook)] = text.encode()
            answers = written(stage, root)
            check_places(stage, _sources(stage, root), answers)
            sequels = sequel_texts(stage, root, folded(stage, answers))
            for path, text in sequels.items():
                files[Path(path)] = for_colab(text, path, repository).encode()
        tensors, facts = checks(stage, vars(importlib.import_module(f"reference.{stage.module}")))
        files[Path("data", "checks", f"{stage.module}.safetensors")] = tensors
        files[Path("data", "checks", f"{stage.module}.json")] = facts.encode()
    return files


def nbgrader_files(root: Path, stages: tuple[Stage, ...] = STAGES) -> Files:
    """An nbgrader course folder: the answered notebooks under source/, and its settings."""
    files = {Path("nbgrader_config.py"): NBGRADER_CONFIG.encode()}
    for stage in stages:
        if (root / _source(stage)).exists():
            text = answered_text(stage, root)
            files[Path("source", stage.folder, f"{stage.folder}.ipynb")] = text.encode()
    return files


def student_text(stage: Stage, root: Path = ROOT) -> str:
    """The notebook of a stage in a full copy of the course."""
    percent, reference = _percent(root, stage), _reference(root, stage)
    return student_notebook(stage, percent, reference, folded(stage, written(stage, root)))


def class_text(stage: Stage, root: Path = ROOT) -> str:
    """The same notebook as a class gets it, without the solutions of bug hunts."""
    return student_notebook(stage, _percent(root, stage), _reference(root, stage))


def answered_text(stage: Stage, root: Path = ROOT) -> str:
    """The notebook of a class with the answers, between nbgrader's solution marks."""
    return answered_notebook(stage, _percent(root, stage), _reference(root, stage))


def solved_text(stage: Stage, root: Path = ROOT) -> str:
    """The notebook with all answers, for after the deadline."""
    show = shown(written(stage, root))
    return solved_notebook(stage, _percent(root, stage), _reference(root, stage), show)


def sequel_texts(stage: Stage, root: Path, show: Show) -> dict[PurePosixPath, str]:
    """The further notebooks of a stage that are there, by their path from the root.

    Args:
        show: what stands in the places of written answers.
    """
    sources = {path: root / path.with_suffix(".py") for path in stage.ungraded}
    return {
        path: sequel_notebook(stage, path, source.read_text(encoding="utf-8"), show)
        for path, source in sources.items()
        if source.exists()
    }


def written(stage: Stage, root: Path = ROOT) -> dict[str, str]:
    """The written answers of a stage; none where there is no file of them."""
    path = root / "reference" / f"{stage.module}.md"
    return written_answers(path.read_text(encoding="utf-8")) if path.is_file() else {}


def answered(stage: Stage, folder: Path, root: Path = ROOT) -> Path:
    """Write the answered notebook of a stage into `folder` and return its path."""
    text = answered_text(stage, root)
    path = Path(folder) / f"{stage.folder}.ipynb"
    atomic_write(path, text)
    return path


def stale(root: Path, files: Files) -> list[Path]:
    """The files that are missing under `root` or are not what would be built."""
    return [path for path, content in files.items() if not _is_built(root / path, content)]


def _is_built(path: Path, content: bytes) -> bool:
    if not path.exists():
        return False
    if path.suffix != ".safetensors":
        return path.read_bytes() == content
    # Another processor may round the last bit otherwise; that is not another check.
    old, new = load(path.read_bytes()), load(content)
    return old.keys() == new.keys() and all(
        old[name].shape == new[name].shape
        and torch.allclose(old[name], new[name], rtol=1e-5, atol=1e-6)
        for name in new
    )


def _source(stage: Stage) -> Path:
    return Path(stage.notebook.with_suffix(".py"))


def _sources(stage: Stage, root: Path) -> str:
    """The sources of all notebooks of a stage, one after the other."""
    paths = [root / path.with_suffix(".py") for path in (stage.notebook, *stage.ungraded)]
    return "\n".join(path.read_text(encoding="utf-8") for path in paths if path.exists())


def _percent(root: Path, stage: Stage) -> str:
    return (root / _source(stage)).read_text(encoding="utf-8")


def _reference(root: Path, stage: Stage) -> str:
    return (root / "reference" / f"{stage.module}.py").read_text(encoding="utf-8")


def _keep_written_answers(root: Path, files: Files) -> None:
    """Refuse to build over a module in which somebody has written more than the stubs."""
    for path, content in files.items():
        if path.parts[0] != "guidance" or not (root / path).exists():
            continue
        stubs = _refusing(content.decode())
        present = _refusing((root / path).read_text(encoding="utf-8"))
        written = [name for name in stubs if stubs[name] and not present.get(name, True)]
        if written:
            raise CourseError(
                f"{path} holds written answers ({', '.join(written)}) that building would "
                "overwrite; move the file away first."
            )


def _refusing(source: str) -> dict[str, bool]:
    """Function name -> whether its last line raises, as a stub's does; given functions do not."""
    return {
        node.name: isinstance(node.body[-1], ast.Raise)
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef)
    }


def main(arguments: list[str] | None = None) -> int:
    """Build what is stale, or with --check only list it; 1 if anything is."""
    parser = argparse.ArgumentParser(prog="python -m grading build", description=__doc__)
    parser.add_argument("--check", action="store_true", help="only list what is not as built")
    parser.add_argument(
        "--course",
        type=Path,
        default=ROOT / "build",
        help="nbgrader course folder to write source/ into (default: build)",
    )
    parser.add_argument(
        "--repository",
        metavar="URL",
        help="address of this repository on GitHub, for badges and Colab; '' takes them away "
        "(default: as README.md has it)",
    )
    options = parser.parse_args(arguments)
    named = options.repository
    repository = None if named is None else repository_named(named)
    files = committed_files(ROOT, repository=repository)
    outdated = stale(ROOT, files)
    if options.check:
        for path in outdated:
            print(f"not as built: {path} (run: python -m grading build)")
        return int(bool(outdated))
    changed = {path: files[path] for path in outdated}
    _keep_written_answers(ROOT, changed)
    _write(ROOT, changed)
    _write(options.course, _without_own_settings(options.course, nbgrader_files(ROOT)))
    return 0


def _write(folder: Path, files: Files) -> None:
    for path, content in files.items():
        atomic_write(folder / path, content)
        print(f"built {folder / path}")


def _without_own_settings(course: Path, files: Files) -> Files:
    """An instructor's own nbgrader settings stay as they are."""
    return {
        path: content
        for path, content in files.items()
        if path.name != "nbgrader_config.py" or not (course / path).exists()
    }
