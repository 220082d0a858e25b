"""What a sandbox may read: Python, its libraries, parts of the course, but no answers."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

COURSE = Path(__file__).resolve().parents[2]
INSIDE = Path(__file__).resolve().parent / "inside"

# The libraries that Python and torch are linked with. /etc only says where they are.
SYSTEM = (
    "/usr/lib",
    "/usr/lib64",
    "/lib",
    "/lib64",
    "/etc/ld.so.cache",
    "/etc/alternatives",
    "/etc/ssl/openssl.cnf",
    "/usr/share/zoneinfo",
)
WITHHELD = frozenset({"checks"})  # of data/: the results of right and wrong answers


def python_folders() -> list[Path]:
    """The interpreter, its standard library and the installed packages; none is inside another."""
    found = {path.resolve() for path in _prefixes()}
    return [path for path in sorted(found) if not any(above in found for above in path.parents)]


def python_links() -> dict[Path, Path]:
    """Symbolic name -> folder, if Python's path leads through a symbolic link.

    For example on a cluster, where /home/ada may be a link to another disk.
    """
    names, program = _prefixes(), Path(sys.executable)
    while program.is_symlink():
        program = program.parent / program.readlink()
        names.add(Path(os.path.normpath(program.parents[1])))
    folders, paths = python_folders(), {name: name.resolve() for name in sorted(names)}
    return {
        name: path
        for name, path in paths.items()
        if _lies_in(path, folders) and not _lies_in(name, folders)
    }


def _lies_in(path: Path, folders: Sequence[Path]) -> bool:
    return any(path.is_relative_to(folder) for folder in folders)


def _prefixes() -> set[Path]:
    prefixes = (sys.base_prefix, sys.prefix, sys.base_exec_prefix, sys.exec_prefix)
    return {Path(prefix) for prefix in prefixes}


def system_paths() -> list[Path]:
    """Those of `SYSTEM` that exist here."""
    return [Path(path) for path in SYSTEM if os.path.lexists(path)]


def course_parts() -> dict[str, Path]:
    """Name within the course -> path: what students have too, without their work."""
    parts = {"distillery": COURSE / "distillery"}
    for path in sorted((COURSE / "data").iterdir()):
        if path.name not in WITHHELD:
            parts[f"data/{path.name}"] = path
    return parts


def environment(home: str) -> dict[str, str]:
    """The whole environment inside; the grader's own may hold tokens and passwords."""
    return {
        "PATH": f"{sys.prefix}/bin:/usr/bin:/bin",
        "HOME": home,
        "TMPDIR": home,
        "USER": "student",
        "LANG": "C.UTF-8",
        "OMP_NUM_THREADS": "1",  # a pool of threads would not survive a fork
        "CUDA_VISIBLE_DEVICES": "",
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "MPLBACKEND": "Agg",
        "MPLCONFIGDIR": home,
        "PYTHONDONTWRITEBYTECODE": "1",
    }
