"""The stages of the course. Each has a folder here with its facts, cases, misconceptions, variants.

A folder with a `stage.py` is a stage; nothing else lists it.
"""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from pathlib import Path
from types import ModuleType

from distillery.core.errors import CourseError
from grading.stages.stage import Stage


def _discover() -> dict[str, Stage]:
    """Name of a folder here -> its stage, in the order of the course."""
    names = (file.parent.name for file in Path(__file__).parent.glob("*/stage.py"))
    stages = {name: import_module(f"{__name__}.{name}.stage").STAGE for name in names}
    return dict(sorted(stages.items(), key=lambda item: item[1].folder))


_FOUND = _discover()
STAGES: tuple[Stage, ...] = tuple(_FOUND.values())


def parts(kind: str) -> list[ModuleType]:
    """The modules of one kind, "cases" or another, of all stages in the order of the course."""
    return [import_module(f"{__name__}.{name}.{kind}") for name in _FOUND]


@lru_cache
def imports_of(module: str) -> frozenset[str]:
    """The modules of distillery that answers in `guidance.<module>` import; none for others."""
    return frozenset().union(*(stage.imports for stage in STAGES if stage.module == module))


def stage_of(assignment: str) -> Stage:
    """The stage of an nbgrader assignment, such as 01_sds.

    Raises:
        CourseError: there is none of this name.
    """
    for stage in STAGES:
        if stage.folder == assignment:
            return stage
    names = ", ".join(stage.folder for stage in STAGES)
    raise CourseError(f"there is no stage {assignment!r}; there are {names}.")
