"""What is known of a stage: its notebook, its tasks, and what they need."""

from __future__ import annotations

import ast
from dataclasses import KW_ONLY, dataclass
from pathlib import PurePosixPath

from distillery.core.counting import counted
from distillery.core.errors import to_do_sentence
from distillery.core.files import REPOSITORY

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


@dataclass(frozen=True)
class Stage:
    """One graded notebook and the module that its answers are saved in.

    folder:   of the notebook under notebooks/, and its name; also the nbgrader assignment.
    module:   name in guidance/ and reference/.
    points:   function -> points, in the order of the notebook.
    title:    what the stage is about, for the README.
    minutes:  that it takes, about.
    makes:    what its reader will have made, for the table of all stages.
    pictures: points for the pictures that data/hand_in.yaml asks for; 0 if it asks for none.
    sequels:  further notebooks in its folder, by name, in which nothing is graded: they use the
              functions of the first. All that is graded is in one notebook, so a submission is
              never half there.
    models:   patterns of the folders in data/models/ that its notebooks load.
    data:     folders in data/ that only this stage reads.
    tried:    known mistakes that a run survives and that change its pictures;
              `benchmarks.calibrate_thresholds` draws with them.
    """

    folder: str
    module: str
    points: dict[str, float]
    _: KW_ONLY
    title: str
    minutes: int
    makes: str = ""
    pictures: float = 0
    sequels: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    tried: tuple[str, ...] = ()

    @property
    def notebook(self) -> PurePosixPath:
        return PurePosixPath("notebooks", self.folder, f"{self.folder}.ipynb")

    @property
    def ungraded(self) -> tuple[PurePosixPath, ...]:
        """Its further notebooks, in which nothing is graded."""
        return tuple(self.notebook.with_name(f"{name}.ipynb") for name in self.sequels)

    @property
    def summary(self) -> str:
        """How long the stage takes and what it is worth, for the head of its notebook."""
        tasks = NUMBERS[len(self.points)]
        exercises = f"{tasks} exercise{'s' * (len(self.points) != 1)}"
        pictures = f", and {self.pictures:g} for pictures" if self.pictures else ""
        points = in_points(sum(self.points.values()))
        return f"About {self.minutes} minutes, {exercises}, {points}{pictures}"

    @property
    def imports(self) -> frozenset[str]:
        """The modules of distillery that students' code imports, because the reference does."""
        text = (REPOSITORY / "reference" / f"{self.module}.py").read_text(encoding="utf-8")
        named = (node.module for node in ast.parse(text).body if isinstance(node, ast.ImportFrom))
        return frozenset(name for name in named if name and name.startswith("distillery."))

    def sentence(self, function: str) -> str:
        """What a stub says when it is called."""
        number = list(self.points).index(function) + 1
        return to_do_sentence(f"{self.module}.{function}", self.notebook, number)


def in_points(points: float) -> str:
    """ "1 point", "2.5 points"."""
    return counted(points, "point")
