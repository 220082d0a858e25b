"""The course folder, and the student's modules in it as they are now.

One rule: every cell of a notebook, and every check, uses the files of guidance/ as they are when it
begins.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from weakref import WeakKeyDictionary

from distillery.core.errors import CourseError
from distillery.core.files import REPOSITORY

_KEPT = {"__name__", "__doc__", "__package__", "__loader__", "__spec__", "__file__", "__cached__"}
_loaded: WeakKeyDictionary[ModuleType, bytes] = WeakKeyDictionary()  # the text each was loaded from


def course_root() -> Path:
    """The nearest folder at or above the working directory with guidance/ and distillery/ in it.

    Where there is none, it is the folder that this package is in.

    Raises:
        CourseError: that one has no guidance/ either.
    """
    here = Path.cwd()
    for folder in (here, *here.parents, REPOSITORY):
        if (folder / "guidance").is_dir() and (folder / "distillery").is_dir():
            return folder
    raise CourseError(
        f"{here} is not inside a course folder, one with guidance/ and distillery/ in it; "
        "start Jupyter inside the course folder."
    )


def student_file(stage: str) -> Path:
    """The module that the student's functions of a stage are saved in."""
    return course_root() / "guidance" / f"{stage}.py"


def student_module(stage: str) -> ModuleType:
    """`guidance.<stage>`, loaded again, so that an edit in any editor counts at once.

    Exceptions of the student's file are not caught.
    """
    file = student_file(stage)
    import_guidance_from(file.parents[1])
    name = f"guidance.{stage}"
    module = sys.modules.get(name) or importlib.import_module(name)
    load_again(module, file.read_bytes())
    return module


def load_again(module: ModuleType, source: bytes) -> None:
    """Run this text in an emptied module, so that no name of an earlier text is left.

    It is the same module afterwards, for those who have imported it. Exceptions of the text are not
    caught; the module is then as it was.
    """
    names = vars(module)
    before = dict(names)
    _loaded[module] = source
    names.clear()
    names.update({name: value for name, value in before.items() if name in _KEPT})
    try:
        exec(compile(source, str(module.__file__), "exec"), names)
    except BaseException:
        names.clear()
        names.update(before)
        raise


def edited_modules() -> list[tuple[ModuleType, bytes]]:
    """The loaded modules of guidance/ whose files have another text now, with that text."""
    found = []
    for name, module in list(sys.modules.items()):
        file = Path(getattr(module, "__file__", None) or "")
        if name.startswith("guidance.") and file.is_file():
            source = file.read_bytes()
            if _loaded.get(module) != source:
                found.append((module, source))
    return found


def forget_bytecode(file: Path) -> None:
    """Delete the file's bytecode.

    Python compares only the size and the time in whole seconds, which two quick saves may share.
    """
    Path(importlib.util.cache_from_source(str(file))).unlink(missing_ok=True)


def import_guidance_from(root: Path) -> None:
    """Make `guidance` the one under `root`, even if another copy is installed or loaded."""
    if sys.path[:1] != [str(root)]:
        sys.path.insert(0, str(root))
    loaded = getattr(sys.modules.get("guidance"), "__file__", None)
    if loaded is not None and Path(loaded).parent != root / "guidance":
        for name in [name for name in sys.modules if name.split(".")[0] == "guidance"]:
            del sys.modules[name]
        importlib.invalidate_caches()
