"""The stages: which notebook asks for which functions, and what each is worth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

from distillery.core.errors import to_do_sentence


@dataclass(frozen=True)
class Stage:
    """One notebook and the module that its answers are saved in.

    folder: of the notebook under notebooks/, and its name; also the nbgrader assignment.
    module: name in guidance/ and reference/.
    points: function -> points, in the order of the notebook.
    pictures: points of the pictures that data/hand_in.yaml asks for; 0 where it asks for none.
    """

    folder: str
    module: str
    points: dict[str, float]
    pictures: float = 0

    @property
    def notebook(self) -> PurePosixPath:
        return PurePosixPath("notebooks", self.folder, f"{self.folder}.ipynb")

    def sentence(self, function: str) -> str:
        """What a stub says when it is called."""
        number = list(self.points).index(function) + 1
        return to_do_sentence(f"{self.module}.{function}", self.notebook, number)
