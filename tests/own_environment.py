"""An environment of its own for a test, with the libraries of this one, and without the course."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Sequence
from pathlib import Path

# Nothing is fetched: what is needed to build and to run is in this environment.
OFFLINE = {"PIP_NO_DEPS": "1", "PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0"}


def made(folder: Path) -> Path:
    """Make it and return its Python."""
    venv.create(folder, with_pip=False)
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    # A plain path: the .pth file in it that leads to this course is not read.
    (packages(python) / "libraries.pth").write_text(sysconfig.get_path("purelib"))
    return python


def packages(python: Path) -> Path:
    """Its folder of packages."""
    return Path(said([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]))


def said(command: Sequence[str | Path], *, cwd: Path | None = None) -> str:
    """What a command prints, without the last line end; it must end well."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, env=kept | OFFLINE, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.rstrip("\n")


def pip(*words: str | Path) -> None:
    """Let this environment's pip do something."""
    said([sys.executable, "-m", "pip", "--quiet", *words])
