"""What a grader on another machine needs of the course and of a class."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from distillery.core.errors import CourseError
from distillery.core.folders import is_left_by_system
from grading.core.manifest import NAME as MANIFEST
from grading.core.records import EXPECTED
from grading.core.rules import NAME as RULES
from grading.core.rules import Rules
from grading.core.submission import released_notebook
from grading.judge.redraw import LIMITS, expected_pictures
from grading.release.bundle import CODE, DATA, SCORERS, files_under, read_packed
from grading.stages.stage import Stage

CLASS = "class"  # folder that stands for the course folder
TOP_FILES = ("pyproject.toml", "constraints.txt", "LICENSE")
ANSWERS = ("reference", "grading/stages")  # folders; all that grading knows beyond students

Files = dict[str, bytes]


def code_files(root: Path) -> Files:
    """The course's code by its path, without what `answer_files` gives."""
    paths = [root / name for name in TOP_FILES]
    for part in ("distillery", "grading"):
        paths += [path for path in files_under(root / part) if path.suffix in (*CODE, ".ini")]
    answers = [root / name for name in ANSWERS]
    return _read((path for path in paths if not {*path.parents} & {*answers}), root)


def answer_files(root: Path) -> Files:
    """The answers, the hidden cases and the known mistakes of all stages."""
    return _read((path for name in ANSWERS for path in files_under(root / name)), root)


def data_files(stages: Sequence[Stage], root: Path) -> Files:
    """The data and models that grading these stages reads; students have them too."""
    paths = [path for path in (root / "data").glob("*.*") if path.is_file()]
    for stage in stages:
        paths += (root / "data" / "checks").glob(f"{stage.module}.*")
        for name in (*DATA, *stage.data):
            paths += files_under(root / "data" / name)
        for pattern in (*SCORERS, *stage.models):
            for folder in (root / "data" / "models").glob(pattern):
                paths += files_under(folder)
    return _read(paths, root)


def class_files(stage: Stage, course: Path, rules: Rules) -> Files:
    """What grading reads of the course folder; the gradebook and submissions stay there."""
    notebook = released_notebook(Path(CLASS), stage.folder).as_posix()
    files = {
        f"{CLASS}/{RULES}": read_packed(course / RULES),
        notebook: read_packed(released_notebook(course, stage.folder)),
    }
    if (course / MANIFEST).is_file():
        files[f"{CLASS}/{MANIFEST}"] = read_packed(course / MANIFEST)
    if stage.pictures and rules.regenerate:
        expected_pictures(stage, course / EXPECTED)  # draws those that are not there
        for path in sorted((course / EXPECTED).glob("*.png")):
            files[f"{CLASS}/{EXPECTED}/{path.name}"] = read_packed(path)
    return files


def requirements(root: Path) -> bytes:
    """The packages of the course and of instructors; constraints.txt has their versions."""
    text = (root / "pyproject.toml").read_text("utf-8")
    plain = re.search(r"^dependencies = \[(.*?)^\]", text, re.MULTILINE | re.DOTALL)
    extra = re.search(r"^instructor = \[(.*?)\]$", text, re.MULTILINE)
    if plain is None or extra is None:
        raise CourseError(f"{root / 'pyproject.toml'} does not list the packages of instructors.")
    names = re.findall(r'"([^"]+)"', plain[1] + extra[1])
    return "".join(f"{name}\n" for name in names).encode()


def longest_minutes(stage: Stage, rules: Rules) -> float:
    """Minutes that a submission can take at most: every job to its limit, and a minute to start."""
    jobs = 2 * len(stage.points) * rules.wall_s  # some functions run twice
    pictures = LIMITS.wall_s * rules.regenerate if stage.pictures else 0
    return (60 + jobs + pictures) / 60


def _read(paths: Iterable[Path], root: Path) -> Files:
    return {
        path.relative_to(root).as_posix(): read_packed(path)
        for path in sorted(set(paths))
        if not is_left_by_system(path.relative_to(root))
    }
