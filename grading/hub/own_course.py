"""A student's own course folder on a hub, and what goes between it and nbgrader's exchange.

It is copied beside the settings of students' servers and runs there, as the student, without the
packages of the course.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from nbgrader.exchange.default import ExchangeFetchAssignment, ExchangeSubmit

STUDENTS_OWN = ("guidance", "notebooks")
HANDED_IN = (".png", ".gif", ".json")  # pictures, and eval.json with their scores


def own_folder() -> Path:
    """The course folder of the student who runs this."""
    return Path.home() / "score-distillery"


def lay_out(shared: Path, folder: Path) -> None:
    """Make a student's course folder, or add what is missing.

    `guidance/` is the student's own copy, because cells are saved there, and `notebooks/` is for
    what is fetched. All else are links to the course that everybody shares. Nothing that is there
    is changed.
    """
    for name in STUDENTS_OWN:
        (folder / name).mkdir(parents=True, exist_ok=True)
    for part in sorted(shared.iterdir()):
        link = folder / part.name
        if part.name not in STUDENTS_OWN and not os.path.lexists(link):
            link.symlink_to(part)
    for module in sorted((shared / "guidance").glob("*.py")):
        copy = folder / "guidance" / module.name
        if not copy.exists():
            shutil.copyfile(module, copy)


class FetchStage(ExchangeFetchAssignment):
    """Fetch a notebook, and put the module beside it that its cells are saved into."""

    def copy_files(self) -> None:
        """As nbgrader does, for a stage that may have come after the server was started."""
        super().copy_files()
        lay_out(Path(os.environ["COURSE_SHARED"]), own_folder())


class SubmitStage(ExchangeSubmit):
    """Submit a stage with its pictures, which lie outside of its notebook's folder."""

    def do_copy(self, src: str, dest: str, log: Any = None) -> None:
        """As nbgrader does, and the pictures of outputs/<stage>/ too."""
        super().do_copy(src, dest, log=log)
        pictures = own_folder() / "outputs" / str(self.coursedir.assignment_id)
        target = Path(dest, "outputs", pictures.name)
        for file in sorted(pictures.glob("*")):
            if file.suffix in HANDED_IN and file.is_file() and not file.name.startswith("drawn"):
                target.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, target / file.name)
