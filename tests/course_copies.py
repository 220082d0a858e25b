"""Copies of a course: the instructor's folder, and a student's."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def copied_course(released: Path, course: Path) -> Path:
    """A copy of a course folder; the bundles are shared, for they are only ever replaced whole."""

    def copy(source: str, target: str) -> None:
        (os.link if source.endswith(".zip") else shutil.copy2)(source, target)

    shutil.copytree(released, course, copy_function=copy)
    return course


def student_course(folder: Path) -> Path:
    """A student's course with every stage still to do; the packages are the repository's."""
    plain = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "guidance", folder / "guidance", ignore=plain)
    shutil.copytree(ROOT / "data" / "checks", folder / "data" / "checks")
    shutil.copy2(ROOT / "grading" / "student" / "pytest.ini", folder)
    (folder / "distillery").symlink_to(ROOT / "distillery")
    return folder
