"""A stage in a student's copy of the course."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from distillery.core.errors import CourseError
from distillery.core.folders import files_of
from grading.core.manifest import IN_BUNDLE, Manifest, StageManifest
from grading.core.notebook_cells import check_id, todo_id


@dataclass(frozen=True)
class StudentStage:
    """A stage in a student's folder.

    name: "01_sds".
    root: the course folder.
    """

    name: str
    root: Path
    manifest: Manifest

    @property
    def fixed(self) -> StageManifest:
        return self.manifest.stage(self.name)

    @property
    def notebook(self) -> Path:
        return self.root / self.fixed.notebook

    @property
    def graded(self) -> dict[str, float]:
        """Task -> points of its check."""
        checks = {cell.grade_id: cell.points for cell in self.fixed.cells}
        module = self.fixed.module
        tasks = [f"{module}.{function}" for function in self.fixed.functions]
        return {task: checks[check_id(task)] for task in tasks}

    @property
    def pictures(self) -> float:
        """Points of the pictures; 0 for a stage without pictures."""
        name = todo_id(f"{self.fixed.module}.pictures")
        return sum(cell.points for cell in self.fixed.cells if cell.grade_id == name)


def find_stages(root: Path, name: str = "") -> list[StudentStage]:
    """All stages of this folder, or only the one of this name.

    Raises:
        CourseError: there is no stage, or none of this name.
    """
    paths = files_of((root / IN_BUNDLE).glob("*"), (".json",), under=root / IN_BUNDLE)
    if not paths:
        raise CourseError(
            f"{root} is not a copy made for students: it has no {IN_BUNDLE}; unpack the stage's "
            "zip there, and leave everything in it."
        )
    stages = {path.stem: StudentStage(path.stem, root, Manifest.load(path)) for path in paths}
    for stage in stages.values():
        if name in (stage.name, stage.fixed.module):
            return [stage]
    if name:
        raise CourseError(f"there is no stage {name!r} in {root}; there is {', '.join(stages)}.")
    return list(stages.values())
