"""The studio with the course's model, for a cell of a notebook and for a page of its own."""

from __future__ import annotations

from pathlib import Path

from distillery.methods.morph import MorphFunctions
from distillery.methods.settings import IMPLEMENTATIONS
from distillery.morph.settings import MorphSettings
from distillery.notebook.morph.drawing import drawn_by
from distillery.notebook.morph.studio import MorphStudio

PROMPTS = ("a red boat on a frozen river", "a blue house in the snow")
FRAMES = 24


def morph_studio(functions: MorphFunctions, *, out: Path = Path("outputs")) -> MorphStudio:
    """The studio on tiny-sd, with two keyframes to begin with.

    Args:
        functions: the module of the seven functions of stage 7.
        out: the folder below which files are saved.
    """
    package = str(getattr(functions, "__name__", "")).partition(".")[0]
    implementation = package if package in IMPLEMENTATIONS else "guidance"
    first = MorphSettings(
        prompts=PROMPTS, frames=FRAMES, easing="linear", implementation=implementation
    )
    return MorphStudio(drawn_by(functions), first, out=out)
